"""Process: what the operating system says of this one, and work in others that end with it."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_handles
from pathlib import Path
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")

_M_ARENA_MAX = -8
"""The number of this parameter in malloc.h."""
_STEP_BACK = 10
"""A tenth of a processor that somebody else wants, too."""
_PR_SET_PDEATHSIG = 1
"""The number of this option in sys/prctl.h: the signal that comes with the end of the thread that started us."""
SPAWN = multiprocessing.get_context("spawn")
"""Not fork: the server has threads, and Windows and macOS have nothing else."""


def resident_bytes(pid: int | None = None) -> int:
    """Return the memory a process holds, or this one; its peak where only that is known, 0 where nothing is."""
    try:
        statm = Path(f"/proc/{pid or 'self'}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        pass
    try:
        import psutil  # noqa: PLC0415  (installed where there is no /proc)

        return int(psutil.Process(pid).memory_info().rss)
    except Exception:  # it has ended, or may not be asked
        if pid is not None:
            return 0
    try:
        import resource  # noqa: PLC0415  (POSIX only)
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def install_command(extra: str) -> str:
    """Return the command that installs an extra of pyproject.toml beside this installation, checkout or not."""
    return f"{shlex.quote(sys.executable or 'python')} -m pip install 'sextant-ls[{extra}]'"


def release_memory() -> None:
    """Give freed memory back to the system where the C library has to be asked (glibc keeps it otherwise)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def share_one_arena() -> None:
    """Let all threads allocate from one arena: glibc's eight a processor keep memory that no other thread gets."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def in_process(work: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Result:
    """Run a module's function in a process of low priority and return its result; it ends with this one.

    Raises what the function raised, and OSError when the process died or could not be started.
    """
    ours, theirs = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_run, args=(theirs, work, given, named), daemon=True)
    try:
        process.start()
        theirs.close()
        outcome = ours.recv()
    except EOFError as end:
        process.join()
        raise OSError(f"a helper process ended early (exit code {process.exitcode})") from end
    finally:
        ours.close()
    process.join()
    if isinstance(outcome, Exception):
        raise outcome
    result: Result = outcome
    return result


def _run(pipe: Connection, work: Callable[..., object], given: tuple[object, ...], named: dict[str, object]) -> None:
    begin_worker()
    try:
        outcome = work(*given, **named)
    except Exception as problem:
        outcome = problem
    pipe.send(outcome)


def begin_worker(most_bytes: int = 0, steps_back: bool = True) -> None:
    """Leave Ctrl-C to the parent, run at low priority, and end with the parent even when it is killed.

    `most_bytes` is the memory it may take where the system can be told; 0: any. `steps_back`: nobody waits for it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if most_bytes and sys.platform == "linux":  # macOS does not enforce any such limit
        import resource  # noqa: PLC0415  (POSIX only)

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the C code that meets the limit aborts
    if steps_back and hasattr(os, "nice"):
        os.nice(_STEP_BACK)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            # A thread alone would wait for the end of what holds the interpreter.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def follow() -> None:
            wait_for_handles([sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True, name="sextant-follow-parent").start()
