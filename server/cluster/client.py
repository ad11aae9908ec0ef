"""The client: starts our child processes, speaks with them, and leaves nothing of them behind."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from server.cluster import protocol, reaper
from server.cluster.protocol import (
    Cancel,
    Command,
    Done,
    Encode,
    Encoded,
    Event,
    Failed,
    Fill,
    Forget,
    Lost,
    Open,
    Progress,
    Ready,
    Tune,
    Tuned,
    Writer,
)
from server.cluster.tasks import MARK
from server.types import Cancelled, CancelToken, EncoderUnavailable, Passage, Vectors

_CANCEL_SECONDS = 1.0
"""For an orderly end after a cancel; then everything of the job is killed."""
_ANSWER_SECONDS = 30.0
"""For an answer from an encoder that works; what takes longer is stuck."""
_RESTARTS = (1.0, 10.0, 60.0)
"""Seconds before an encoder that died is started again, the last for all further times."""
_START = "import sys; sys.path[0] = sys.argv[1]; from server.cluster.child import main; main()"
"""Not `-m`: that would let modules in the current folder, which may be anybody's, stand in for ours."""
_NICE = 10

_log = logging.getLogger(__name__)


class JobFailed(Exception):
    """Says why a job ended without its result, and what to do about it."""


class ChildDied(Exception):
    """Says that a child or its cluster went away in the middle of a job."""


class Child:
    """A child process."""

    def __init__(self, encoder: str, nice: int = 0, scratch: Path | None = None) -> None:
        self.encoder = encoder
        package = str(Path(__file__).resolve().parents[2])
        environment = {**os.environ, MARK: str(scratch)} if scratch is not None else None
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((scratch / "driver.log").open("wb")) if scratch is not None else None
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, package],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C in a terminal is the parent's affair
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._writer = Writer(self._process.stdin)
        self.send(Open(encoder, nice))

    def send(self, command: Command) -> None:
        """Send a command; a child that is gone says so by the end of its events."""
        with contextlib.suppress(OSError, ValueError):
            self._writer.send(command)

    def events(self) -> Iterator[Event]:
        """Yield what the child says until it ends."""
        assert self._process.stdout is not None
        with contextlib.suppress(ValueError):  # closed by `end`
            yield from protocol.events(self._process.stdout)

    def end(self) -> None:
        """End the child at once."""
        self._process.kill()
        with contextlib.suppress(OSError, ValueError):
            self._writer.close()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class RemoteEncoder:
    """An encoder in a child process, for as long as that lives."""

    fingerprint: str
    dimensions: int
    _ask: Callable[[Encode, CancelToken | None], str]

    def encode(self, passages: Sequence[Passage]) -> Vectors:
        """Return (n, dimensions) rows; raises EncoderUnavailable."""
        answer = self._ask(Encode(0, None, [passage.fields() for passage in passages]), None)
        return protocol.unpack_rows(answer, self.dimensions)

    def encode_query(self, text: str, token: CancelToken | None = None) -> Vectors:
        """Return a vector (dimensions,); raises EncoderUnavailable and Cancelled."""
        vector: Vectors = protocol.unpack_rows(self._ask(Encode(0, text), token), self.dimensions)[0]
        return vector

    def explain(self, asked: str | Passage, vector: Vectors) -> list[tuple[str, float]]:
        """Return nothing: the child has no words to divide a cosine among."""
        return []


class EncoderService:
    """Keeps a child warm that encodes questions and what is edited; starts it again when it dies.

    `on_ready` gets an encoder whenever one is loaded, `on_lost` a sentence whenever there is none any more; both are
    called in this service's thread.
    """

    def __init__(self, name: str, on_ready: Callable[[RemoteEncoder], None], on_lost: Callable[[str], None]) -> None:
        self._name = name
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._numbers = itertools.count(1)
        self._pending: dict[int, queue.SimpleQueue[str | None]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True, name="sextant-encoder")
        self._thread.start()

    def close(self) -> None:
        """End the child."""
        self._closed.set()
        with self._lock:
            child = self._child
        if child is not None:
            child.end()
        self._thread.join(1.0)

    def _run(self) -> None:
        for attempt in itertools.count():
            try:
                child = Child(self._name)
            except OSError as problem:
                self._on_lost(f"the encoder's process cannot be started: {problem}")
                return
            with self._lock:
                self._child = child
            if self._closed.is_set():
                child.end()
                return
            refusal = self._serve(child)
            child.end()
            with self._lock:
                self._child = None
                pending = list(self._pending.values())
            for answer in pending:
                answer.put(None)
            if self._closed.is_set():
                return
            self._on_lost(refusal or "the encoder's process ended; it is being started again")
            if refusal:
                return
            self._closed.wait(_RESTARTS[min(attempt, len(_RESTARTS) - 1)])

    def _serve(self, child: Child) -> str:
        """Handle a child's events until it ends; return why it cannot load the encoder, if that is so."""
        for event in child.events():
            if isinstance(event, Ready):
                self._on_ready(RemoteEncoder(event.fingerprint, event.dimensions, self._ask))
            elif isinstance(event, Encoded | Failed):
                if isinstance(event, Failed) and not event.id:
                    return event.message
                answer = self._pending.get(event.id)
                if answer is not None:
                    answer.put(event.rows if isinstance(event, Encoded) else None)
        return ""

    def _ask(self, command: Encode, token: CancelToken | None) -> str:
        """Return the rows for a command; raises EncoderUnavailable and Cancelled."""
        command = replace(command, id=next(self._numbers))
        answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._pending[command.id] = answer
        try:
            with self._lock:
                child = self._child
            if child is None:
                raise EncoderUnavailable("the encoder's process is not running")
            child.send(command)
            end = time.monotonic() + _ANSWER_SECONDS
            while time.monotonic() < end:
                with contextlib.suppress(queue.Empty):
                    rows = answer.get(timeout=0.02)
                    if rows is None:
                        raise EncoderUnavailable("the encoder's process failed")
                    return rows
                if token is not None and token.cancelled:
                    child.send(Forget(command.id))
                    raise Cancelled
            raise EncoderUnavailable("the encoder's process does not answer")
        finally:
            del self._pending[command.id]


def run(
    encoder: str, job: Fill, report: Callable[[Progress], None], warn: Callable[[str], None], token: CancelToken
) -> Done:
    """Run a job in a child and return its outcome; raises JobFailed.

    A job whose child or cluster goes away is begun again on this machine: what was committed is not computed again.
    """
    for attempt in range(2):
        try:
            done = _run_once(encoder, job, report, token)
            assert isinstance(done, Done)
            return done
        except ChildDied as problem:
            if attempt:
                raise JobFailed(f"{problem}; what was computed is kept, and the next run goes on from there") from None
            warn(f"{problem}; the rest is computed on this machine")
            job = replace(job, on="inline")
    raise AssertionError("unreachable")


def tune(
    encoder: str, job: Tune, report: Callable[[Progress], None], warn: Callable[[str], None], token: CancelToken
) -> Tuned:
    """Train a repository model in a child; raises JobFailed and Cancelled.

    One whose cluster goes away is trained on this machine.
    """
    for on in dict.fromkeys((job.on, "inline")):
        try:
            outcome = _run_once(encoder, replace(job, on=on), report, token)
        except ChildDied as problem:
            if on == "inline":
                raise JobFailed(f"{problem}; nothing was changed") from None
            warn(f"{problem}; the model is trained on this machine")
            continue
        if isinstance(outcome, Done):
            raise Cancelled
        return outcome
    raise AssertionError("unreachable")


def _run_once(encoder: str, job: Fill | Tune, report: Callable[[Progress], None], token: CancelToken) -> Done | Tuned:
    scratch = _make_scratch()
    news: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    child = Child(encoder, _NICE, scratch)
    try:
        child.send(replace(job, scratch=str(scratch)))

        def read() -> None:
            for event in child.events():
                news.put(event)
            news.put(None)

        threading.Thread(target=read, daemon=True, name="sextant-job-events").start()
        end: float | None = None
        while True:
            if token.cancelled and end is None:
                child.send(Cancel())
                end = time.monotonic() + _CANCEL_SECONDS
            try:
                event = news.get(timeout=0.05)
            except queue.Empty:
                if end is not None and time.monotonic() > end:
                    return Done(0, 0, 0, 0.0, "", cancelled=True)
                continue
            if isinstance(event, Progress):
                report(event)
            elif isinstance(event, Done | Tuned):
                return event
            elif isinstance(event, Failed):
                raise JobFailed(event.message)
            elif isinstance(event, Lost):
                raise ChildDied(event.message)
            elif event is None:
                _log.warning("a job's process ended: %s", _last_words(scratch))
                raise ChildDied("the job's process ended unexpectedly")
    finally:
        child.end()
        reaper.end_marked(str(scratch))
        reaper.remove_tree(scratch)


def _make_scratch() -> Path:
    """Make a folder for a job, its name short since sockets lie in it; clear up after jobs whose owner was killed."""
    parent = Path("/tmp" if os.name == "posix" and os.access("/tmp", os.W_OK) else tempfile.gettempdir())
    for folder in parent.glob("sx-*"):
        with contextlib.suppress(OSError, ValueError):
            if folder.stat().st_uid == os.getuid() and not folder.is_symlink():
                owner = int((folder / "owner").read_text(encoding="ascii"))
                if not reaper.is_running(owner):
                    reaper.end_marked(str(folder))
                    reaper.remove_tree(folder)
    folder = Path(tempfile.mkdtemp(prefix="sx-", dir=parent))
    (folder / "owner").write_text(str(os.getpid()), encoding="ascii")
    return folder


def _last_words(scratch: Path) -> str:
    try:
        lines = (scratch / "driver.log").read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
