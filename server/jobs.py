"""Jobs: long work that a user asked for, one at a time, with progress and an end that is told."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.types import Cancelled, CancelToken

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for; equal requests that wait or run are one job."""

    kind: str
    """The name of its work: reindex, or another one."""
    roots: tuple[str, ...]
    """Workspace folders."""
    on: str = "auto"
    """auto, inline, local or the address of a Ray cluster."""
    everything: bool = False
    """Whether to look at unchanged files, too."""


@dataclass(frozen=True, slots=True)
class State:
    """How far a job is."""

    message: str
    share: float | None = None
    """0 to 1, where it is known."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    ok: bool
    message: str
    before: float | None = None
    after: float | None = None
    accepted: bool | None = None


class JobError(Exception):
    """Says why a job ended without its result, and what to do about it."""


def sentence(text: str) -> str:
    """Return a text with an end."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


@dataclass(frozen=True, slots=True)
class Course:
    """What the work of a job is given beside its request."""

    report: Callable[[State], None]
    warn: Callable[[str], None]
    token: CancelToken


Work = Callable[[Request, Course], Outcome]


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of jobs, in their thread."""

    begun: Callable[[str, Request], None]
    moved: Callable[[str, State], None]
    warned: Callable[[str], None]
    ended: Callable[[str, Request, Outcome], None]


class Jobs:
    """Owns the jobs of a process: they run one after another in one thread."""

    def __init__(self, works: Mapping[str, Work], listener: Listener) -> None:
        """`works`: what each kind of job does."""
        self._works = works
        self._listener = listener
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._open: dict[str, tuple[Request, CancelToken]] = {}
        """Jobs that wait or run, oldest first."""
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sextant-jobs", daemon=True)
        self._thread.start()

    def start(self, request: Request) -> str:
        """Ask for a job and return its id; one that was asked for already is not done twice."""
        with self._changed:
            for name, (asked, token) in self._open.items():
                if asked == request and not token.cancelled:
                    return name
            name = f"{request.kind}-{next(self._numbers)}"
            self._open[name] = request, CancelToken()
            self._changed.notify()
            return name

    def cancel(self, name: str) -> None:
        """End a job; what it has finished stays."""
        with self._changed:
            if name in self._open:
                self._open[name][1].cancel()

    def close(self, timeout: float = 2.0) -> None:
        """Cancel everything, and wait until it has ended or for so many seconds."""
        with self._changed:
            self._closed = True
            for _, token in self._open.values():
                token.cancel()
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._open) or self._closed)
                if self._closed:
                    return
                name, (request, token) = next(iter(self._open.items()))
            outcome = self._do(name, request, token)
            with self._changed:
                del self._open[name]
            self._listener.ended(name, request, outcome)

    def _do(self, name: str, request: Request, token: CancelToken) -> Outcome:
        self._listener.begun(name, request)
        course = Course(lambda state: self._listener.moved(name, state), self._listener.warned, token)
        try:
            token.check()
            return self._works[request.kind](request, course)
        except Cancelled:
            return Outcome(False, "Cancelled; what was computed is kept.")
        except JobError as problem:
            return Outcome(False, str(problem))
        except Exception:  # the one broad catch of this thread: the next job must run
            _log.exception("a job failed unexpectedly")
            return Outcome(False, f"A bug in Sextant ended the {request.kind}; the log has the details.")
