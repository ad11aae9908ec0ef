"""Reaper: ends the processes of a job, and deletes its folder, whatever became of the job."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_PATIENCE = 10.0
"""Seconds for killed processes to be gone; on a busy machine large ones take some."""


def end_marked(mark: str) -> None:
    """Kill every process whose environment names a mark, this one excepted, until none is left.

    Ray's processes leave their group and outlive a parent that was killed, but they inherit its environment. One that
    just begins has none for a moment, so none is left when two looks in a row have found none.
    """
    end = time.monotonic() + _PATIENCE
    unseen = 0
    while unseen < 2 and time.monotonic() < end:
        found = _marked(mark)
        unseen = 0 if found else unseen + 1
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        time.sleep(0.03)


def is_running(pid: int) -> bool:
    """Tell whether there is such a process."""
    if sys.platform == "win32":
        return str(pid) in _output(["tasklist", "/FI", f"PID eq {pid}", "/NH"])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def remove_tree(folder: Path) -> None:
    """Delete a folder into which processes that end may still write."""
    end = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)


def _marked(mark: str) -> list[int]:
    own, wanted = os.getpid(), mark.encode()
    if Path("/proc/self/environ").exists():
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != own:
                with contextlib.suppress(OSError):
                    if wanted in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
        return found
    if sys.platform == "win32":
        return []  # the tree was ended with its root
    lines = (line.split(maxsplit=1) for line in _output(["ps", "-axEww", "-o", "pid=,command="]).splitlines())
    return [int(words[0]) for words in lines if len(words) == 2 and mark in words[1] and int(words[0]) != own]


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
