"""The child: a process of ours that encodes, alone or with Ray, and ends with its parent."""

from __future__ import annotations

import contextlib
import heapq
import os
import sqlite3
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NoReturn

from server.cluster import protocol, reaper, tasks
from server.cluster.contact import ClusterError, ClusterLost
from server.cluster.driver import Connection
from server.cluster.fill import Batch, Compute, Inline, fill
from server.cluster.protocol import (
    Cancel,
    Done,
    Encode,
    Encoded,
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
from server.config import Settings
from server.index import exchange
from server.index.vectors import VectorStore
from server.model import choice
from server.model.choice import TRANSFORMER
from server.model.encoder import BagEncoder, ModelError
from server.process import install_command
from server.types import Cancelled, CancelToken, Encoder, space_name

_BATCH = 256
_BATCH_TRANSFORMER = 16
"""Passages a task: a tenth of a second to a second of work, so that a cancel is seen and a lost task costs little."""
_GRACE = 2.0
"""Seconds for an orderly end once the parent is gone."""


class Child:
    """Does one thing at a time; questions first."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._out = Writer(outgoing)
        self._token = CancelToken()
        self._news = threading.Condition()
        self._queue: list[tuple[int, int, Open | Encode | Fill | Tune]] = []
        self._count = 0
        self._forgotten: set[int] = set()
        self._name = ""
        self._encoder: Encoder | None = None
        self._scratch = ""
        self._connection: Connection | None = None
        self._leaving = threading.Lock()

    def run(self) -> NoReturn:
        """Serve until the parent closes our stdin, or ends."""
        threading.Thread(target=self._read, daemon=True, name="commands").start()
        try:
            while True:
                with self._news:
                    self._news.wait_for(lambda: bool(self._queue))
                    _, _, command = heapq.heappop(self._queue)
                self._do(command)
        except BrokenPipeError:  # the parent is gone
            self._leave()
        except Exception:  # a bug: the parent reads of it in the log
            traceback.print_exc()
            self._leave()

    def _read(self) -> None:
        for command in protocol.commands(self._incoming):
            if isinstance(command, Cancel):
                self._token.cancel()
                continue
            with self._news:
                if isinstance(command, Forget):
                    self._forgotten.add(command.id)
                    continue
                if isinstance(command, Fill | Tune):
                    self._scratch = command.scratch
                urgent = isinstance(command, Open) or (isinstance(command, Encode) and command.query is not None)
                self._count += 1
                heapq.heappush(self._queue, (0 if urgent else 1, self._count, command))
                self._news.notify()
        # The parent is gone or wants no more: what runs is stopped, in order if that goes quickly.
        self._token.cancel()
        end = time.monotonic() + _GRACE
        while self._connection is not None and time.monotonic() < end:
            time.sleep(0.05)
        self._leave()

    def _leave(self) -> NoReturn:
        """End this process once nothing of its job is left (invariant 13), whichever thread comes first.

        An interpreter that ended by returning would stop the other thread in the middle of that.
        """
        with self._leaving:
            if self._scratch:
                reaper.end_marked(self._scratch)
                reaper.remove_tree(Path(self._scratch))
            os._exit(0)

    def _do(self, command: Open | Encode | Fill | Tune) -> None:
        number = command.id if isinstance(command, Encode) else 0
        try:
            if isinstance(command, Open):
                self._open(command)
            elif isinstance(command, Fill):
                self._fill(command)
            elif isinstance(command, Tune):
                self._tune(command)
            elif command.id not in self._forgotten:
                self._encode(command)
        except (ModelError, ClusterError) as problem:
            self._out.send(Failed(str(problem), number))
        except ClusterLost as problem:
            self._out.send(Lost(str(problem)))
        except BrokenPipeError:
            raise
        except OSError as problem:
            place = f"{problem.filename} cannot be used: " if problem.filename else ""
            self._out.send(Failed(f"{place}{problem.strerror or problem}", number))
        except sqlite3.Error as problem:
            self._out.send(Failed(f"{problem}", number))
        finally:
            self._forgotten.discard(number)

    def _open(self, command: Open) -> None:
        if command.nice and hasattr(os, "nice"):
            os.nice(command.nice)
        self._encoder, self._name = choice.load(command.encoder), command.encoder
        self._out.send(Ready(self._encoder.fingerprint, self._encoder.dimensions))

    def _encode(self, command: Encode) -> None:
        encoder = self._encoder
        if encoder is None:
            raise ModelError("no encoder is open")
        if command.query is not None:
            rows = encoder.encode_query(command.query)
        else:
            rows = encoder.encode([protocol.passage(parts) for parts in command.passages])
        self._out.send(Encoded(command.id, protocol.pack_rows(rows)))

    def _fill(self, job: Fill) -> None:
        encoder = self._encoder
        if encoder is None:
            raise ModelError("no encoder is open")
        started = time.monotonic()
        is_transformer = self._name.startswith(TRANSFORMER)
        name = space_name(encoder.fingerprint, job.strips)
        store = VectorStore(Path(job.data_dir, "vectors"), name, encoder.dimensions)
        seen: set[bytes] | None = set() if job.export else None
        try:
            with self._compute(job, encoder) as compute:
                size = _BATCH_TRANSFORMER if is_transformer else _BATCH
                done = fill(job, store, compute, size, self._out.send, self._token, seen)
            if seen is not None:
                path, count = exchange.export(store, name, encoder.dimensions, Path(job.export), seen)
                done = replace(done, exported=count, exported_to=str(path))
            self._out.send(done)
        except Cancelled:
            self._out.send(Done(0, 0, 0, round(time.monotonic() - started, 3), job.on, cancelled=True))
        finally:
            store.close()

    def _tune(self, job: Tune) -> None:
        if not isinstance(self._encoder, BagEncoder):
            raise ModelError("only the built-in model can be tuned; set the encoder to base")
        try:
            from server.model import tune  # noqa: PLC0415  (torch takes seconds)
        except ImportError as error:
            raise ModelError(f"tuning needs {error.name}; install it with: {install_command('train')}") from error

        def show(what: str, done: float) -> None:
            self._out.send(Progress(round(100 * done), 100, 0, 0, what))

        def elsewhere(material: bytes) -> bytes:
            with self._connection_for(job, tasks.NEEDED_FOR_TUNING) as connection:
                connection.open(self._token)
                show(f"training on {connection.where}", 0.2)
                return connection.call(tasks.train, material, self._token)

        settings = Settings(exclude=tuple(job.exclude), max_file_bytes=job.max_file_bytes)
        there = None if job.on == "inline" else elsewhere
        try:
            found = tune.tune(
                self._encoder, Path(job.root), settings, Path(job.out), self._token, show, elsewhere=there
            )
        except tune.TooLittle as problem:
            self._out.send(Failed(str(problem)))
        except Cancelled:
            self._out.send(Done(0, 0, 0, 0.0, "inline", cancelled=True))
        else:
            self._out.send(Tuned(**asdict(found)))

    @contextlib.contextmanager
    def _compute(self, job: Fill, encoder: Encoder) -> Iterator[Compute]:
        if job.on == "inline":
            yield Inline(encoder)
            return
        is_transformer = self._name.startswith(TRANSFORMER)
        needed = tasks.NEEDED_FOR_TRANSFORMERS if is_transformer else tasks.NEEDED
        with self._connection_for(job, needed) as connection:

            def connect() -> None:
                weights = tasks.weights_of(self._name, encoder.fingerprint)
                connection.open(self._token, sum(map(len, weights.files.values())))
                connection.teach(weights, uses_gpu=is_transformer)

            yield _WhenNeeded(connection, connect)

    @contextlib.contextmanager
    def _connection_for(self, job: Fill | Tune, needed: Sequence[str]) -> Iterator[Connection]:
        self._connection = Connection(job, needed, self._out.send)
        try:
            self._connection.find()
            yield self._connection
        finally:
            self._connection.close()
            self._connection = None


class _WhenNeeded:
    """A cluster that is connected once there is something to compute: that takes seconds."""

    def __init__(self, connection: Connection, connect: Callable[[], None]) -> None:
        self._connection = connection
        self._connect = connect
        self.where = connection.where

    def run(self, batches: Iterator[Batch], token: CancelToken) -> Iterator[tuple[Batch, bytes]]:
        """Yield each batch with its rows."""
        first = next(batches, None)
        if first is not None:
            self._connect()
            yield from self._connection.run(chain((first,), batches), token)


def main() -> None:
    """Take the pipes away from everybody else, then serve."""
    # Ray's processes inherit fd 0 and write to fd 1: neither may be the pipe to the parent.
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    Child(incoming, outgoing).run()
