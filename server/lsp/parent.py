"""Parent: end with the editor, also when it dies without closing our input."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable

POLL = 3.0
"""Seconds between two looks where the system cannot tell of a process's end."""

logger = logging.getLogger(__name__)


def watch(pid: int | None, gone: Callable[[], object]) -> None:
    """Call `gone` in the running loop when a process ends.

    A process that is not there now is not watched: its number is that of another machine or container.
    """
    if pid is None or pid <= 0 or pid == os.getpid():
        return
    loop = asyncio.get_running_loop()
    try:
        handle = os.pidfd_open(pid)  # Linux: costs nothing while nothing happens
    except ProcessLookupError:
        logger.warning("the client's process is not on this machine")
        return
    except (AttributeError, OSError):
        if is_alive(pid):
            loop.call_later(POLL, _look, loop, pid, gone)
        return

    def ended() -> None:
        loop.remove_reader(handle)
        os.close(handle)
        gone()

    loop.add_reader(handle, ended)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415

        kernel = ctypes.windll.kernel32  # os.kill would end it here
        handle = kernel.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
        if not handle:
            return False
        runs = kernel.WaitForSingleObject(handle, 0) == 0x102  # WAIT_TIMEOUT
        kernel.CloseHandle(handle)
        return bool(runs)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def _look(loop: asyncio.AbstractEventLoop, pid: int, gone: Callable[[], object]) -> None:
    if is_alive(pid):
        loop.call_later(POLL, _look, loop, pid, gone)
    else:
        gone()
