"""Emacs with Eglot, for real in a terminal, with the README's three lines as its whole configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import SOURCES, write
from tests.e2e.raw import REPOSITORY

PACKAGES = ("emacs-nox", "elpa-eglot", "tmux")
TIMEOUT = 60.0


def has_eglot() -> bool:
    if not shutil.which("emacs") or not shutil.which("tmux"):
        return False
    command = ["emacs", "--batch", "--eval", "(require 'eglot)"]
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False).returncode == 0


def install() -> None:
    """Where a package manager can be asked without a password (a container, a build machine)."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            subprocess.run(["apt-get", *command], capture_output=True, check=False, timeout=600)


@pytest.fixture(scope="module", autouse=True)
def emacs() -> None:
    if os.name == "nt":
        pytest.skip("needs a terminal of POSIX")
    if not has_eglot():
        install()
    if not has_eglot():
        pytest.skip(
            f"Emacs with Eglot is not here and cannot be installed; on Debian: apt-get install {' '.join(PACKAGES)}"
        )


class Terminal:
    """Emacs in tmux."""

    def __init__(self, home: Path, workspace: Path) -> None:
        self._socket = str(home / "tmux")
        (block,) = re.findall(r"^```elisp\n(.*?)^```", (REPOSITORY / "README.md").read_text("utf-8"), re.M | re.S)
        assert len(block.splitlines()) == 3
        (home / "init.el").write_text(block)
        (home / "bin").mkdir()
        (home / "bin" / "sextant").symlink_to(Path(sys.executable).parent / "sextant")
        environment = {
            **os.environ,
            "HOME": str(home),
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "SEXTANT_DATA_DIR": str(home / "data"),
            "LC_ALL": "C.UTF-8",
        }
        command = ["emacs", "-nw", "-q", "--no-splash", "-l", str(home / "init.el"), str(workspace / "retry.py")]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", *command, environment=environment)

    def _tmux(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=TIMEOUT,
            check=False,
        )
        return done.stdout

    def type(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def wait(self, wanted: str) -> str:
        """Return the screen once it matches."""
        end = time.monotonic() + TIMEOUT
        while not re.search(wanted, screen := self.screen(), re.S):
            assert time.monotonic() < end, f"no {wanted!r} on the screen:\n{screen}"
            threading.Event().wait(0.1)
        return screen

    def close(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    workspace = write(tmp_path / "work", SOURCES)
    subprocess.run(["git", "init", "-q"], cwd=workspace, check=True)
    found = Terminal(tmp_path, workspace)
    yield found
    found.close()


def test_symbols_by_meaning_and_similar_code(terminal: Terminal) -> None:
    terminal.wait(r"\[eglot:work\]")
    terminal.type("C-M-.")
    terminal.wait("Search for pattern")
    terminal.type("call again with an exponentially growing delay", "Enter")
    # One match opens at once, several are listed.
    screen = terminal.wait(r"def retry_with_backoff.*\*xref\*|retry\.py +All L6 ")
    if "*xref*" in screen:
        terminal.type("n")
        terminal.type("Enter")
        terminal.wait(r"retry\.py +\S+ +L6 ")

    terminal.type("M-x")
    terminal.type("eglot-code-actions", "Enter")
    screen = terminal.wait(r"Find code similar to retry_w|retry_fixed  work/retry\.py:16")
    if "work/retry.py:16" not in screen:  # Eglot asks which one if there are several
        terminal.type("Enter")
    terminal.wait(r"retry_fixed  work/retry\.py:16")
