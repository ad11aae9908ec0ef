"""What jobs of this test run have left behind: processes, and folders with what lies in them."""

from __future__ import annotations

import os
from pathlib import Path

from server.cluster.tasks import MARK
from tests.e2e.ray_cluster import title

OWNERS: set[str] = {str(os.getpid())}
"""The processes that jobs are asked of: this one, and servers and commands that tests start."""
_RUN = f"SEXTANT_TEST_RUN={os.getpid()}"
os.environ["SEXTANT_TEST_RUN"] = str(os.getpid())  # inherited by all of them


def leftovers() -> list[str]:
    folders = [
        f"{folder}: {sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))[:20]} {_last_words(folder)}"
        for folder in Path("/tmp").glob("sx-*")
        if _is_of_this_run(folder)
    ]
    return folders + [f"{pid} {title(pid)}" for pid in running()]


def running() -> list[int]:
    """The processes of jobs of this test run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if _RUN.encode() in environment and any(each.startswith(f"{MARK}=".encode()) for each in environment):
                found.append(int(entry.name))
    return found


def _last_words(folder: Path) -> str:
    try:
        return (folder / "driver.log").read_text("utf-8", "replace")[-1_000:]
    except OSError:
        return ""


def _is_of_this_run(folder: Path) -> bool:
    try:
        return (folder / "owner").read_text() in OWNERS
    except OSError:
        return False
