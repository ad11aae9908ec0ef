"""Apart: a process for work that may end its process, or take more memory than there is; it ends with the server."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from server.process import SPAWN, begin_worker, resident_bytes
from server.types import Cancelled, CancelToken

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

_DEATHS = 2
"""Processes that had one work and died, until it is given up."""
_STARTS = 5
"""Tries to have some work done, those included in which no process could be had."""
_GLANCE = 0.05
"""Seconds between two looks at the memory of a process; a parser gone wild takes some 50 MB in that time."""
_LONGEST = 60.0
"""Seconds that one work may take, however busy the machine is."""
_LONGEST_RUN = 10
"""Seconds of the processor for it, where the system can be told; the parser stops by itself long before."""


class Died(RuntimeError):
    """The processes that were given some work did not live to return it."""


class Apart:
    """One process that does one work at a time, for any thread; it is started when it is needed."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._guard = threading.Lock()
        self._child: _Child | None = None
        self._used = 0.0
        self._has_lived = False
        """Whether processes can be had here at all."""
        self._is_closed = False

    @property
    def is_running(self) -> bool:
        """Tell whether the process is kept for more."""
        return self._child is not None

    def close(self, unless_used_for: float | None = None) -> None:
        """End the process for good, in the middle of its work if need be; or for now, if it rested for some seconds."""
        if unless_used_for is None:
            self._is_closed = True
            if (child := self._child) is not None:
                child.end()
        elif time.monotonic() - self._used > unless_used_for and self._guard.acquire(blocking=False):
            try:
                self._drop()
            finally:
                self._guard.release()

    def run(self, work: Callable[..., Result], *given: object, token: CancelToken | None = None) -> Result:
        """Return what a module's function returns; raise what it raises, Cancelled, or Died if two processes die of it.

        One death proves nothing: that process may have been ended by others, for want of memory for instance.
        """
        with self._guard:
            deaths = 0
            for _ in range(_STARTS):
                if self._is_closed:
                    raise Cancelled
                try:
                    child = self._ready()
                except _LOST:  # it died between two works, or no process lives here
                    self._drop()
                    continue
                self._has_lived = True
                try:
                    is_done, outcome = child.do(work, given, token)
                except Cancelled:
                    self._drop()
                    raise
                except _LOST:
                    self._drop()
                    deaths += 1
                    if deaths == _DEATHS and not self._is_closed:
                        raise Died from None
                    continue
                finally:
                    self._used = time.monotonic()
                if not is_done:
                    raise outcome
                result: Result = outcome
                return result
        if self._has_lived:
            raise Died
        return work(*given)

    def _ready(self) -> _Child:
        """Return a process that lives."""
        if self._child is None:
            self._child = _Child(self._most_bytes)
        self._child.do(os.getpid, ())
        return self._child

    def _drop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()
            child.close()


class _Child:
    """The process, seen from here."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._pipe, theirs = SPAWN.Pipe()
        self._process = SPAWN.Process(target=_serve, args=(theirs, most_bytes), daemon=True, name="sextant-apart")
        try:
            self._process.start()
        except BaseException:
            self._pipe.close()
            raise
        finally:
            theirs.close()

    def do(
        self, work: Callable[..., Any], given: tuple[object, ...], token: CancelToken | None = None
    ) -> tuple[bool, Any]:
        """Return (True, its result) or (False, what it raised)."""
        end = time.monotonic() + _LONGEST
        self._pipe.send((work, given))
        while not self._pipe.poll(_GLANCE):
            if token is not None:
                token.check()
            # Where the system enforces no limit (macOS, Windows), and where what takes memory forgets to be ended.
            if resident_bytes(self._process.pid) > self._most_bytes or time.monotonic() > end:
                self.end()
                raise EOFError
        outcome: tuple[bool, Any] = self._pipe.recv()
        return outcome

    def end(self) -> None:
        """Kill the process; whoever waits for it then sees the end of its pipe."""
        self._process.kill()

    def close(self) -> None:
        """Let go of it."""
        self._pipe.close()
        self._process.join()
        self._process.close()


_LOST = (EOFError, OSError, MemoryError)
"""What is raised where a process died, could not be started, or was too small for its work."""


def _serve(pipe: Connection, most_bytes: int) -> None:
    begin_worker(most_bytes, steps_back=False)  # the user waits for what is typed
    while True:
        try:
            work, given = pipe.recv()
        except (EOFError, OSError):
            return
        _limit_run()
        try:
            outcome = True, work(*given)
        except MemoryError:
            os._exit(1)
        except Exception as problem:
            outcome = False, problem
        try:
            pipe.send(outcome)
        except OSError:  # the server was killed meanwhile
            return
        del work, given, outcome  # rather now than at the next one


def _limit_run() -> None:
    """Let the system end this process if the next work takes too long."""
    try:
        import resource  # noqa: PLC0415  (POSIX only)
    except ImportError:
        return
    own = resource.getrusage(resource.RUSAGE_SELF)
    most = int(own.ru_utime + own.ru_stime) + _LONGEST_RUN
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))
