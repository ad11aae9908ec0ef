"""Crew: the processes that parse many files at once, and encode what they find; they end with the server."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from server.config import Settings
from server.index.apart import Died
from server.index.columns import FileEntry
from server.index.files import Found
from server.index.ingest import Ingested, ingest_file, ingest_files
from server.index.parser import Parser, ParserApart
from server.index.vectors import VectorStore
from server.process import SPAWN, begin_worker, resident_bytes
from server.types import Encoder, Passage

_log = logging.getLogger(__name__)

CRASHED = "ended its parser"
"""Why a file was left out on which a parsing process died (of its memory, or of a fault of the parser)."""
_LOST = (OSError, RuntimeError, MemoryError)
"""What is raised where a process died (BrokenProcessPool is a RuntimeError), could not be started, or was too small."""
POOL_MIN_FILES = 300
"""Below, starting processes (0.3 s each) costs more than it saves."""
_CHUNK = 16
"""Files a task of the pool: enough to hide its overhead, few enough that batches stay short."""
_AHEAD = 8
"""Chunks in flight for each process, so that none waits while the engine commits."""
_GARBAGE = 200_000
"""Objects made since the last search for cycles, of which parsing makes none to speak of: the search is 6 % of it."""
_GLANCE = 0.05
"""Seconds between two looks at the engine's queue while the pool works."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What processes need to encode what they parse; the passages then stay there."""

    open_encoder: Callable[[], Encoder]
    vectors: tuple[Path, str, int]
    """Where is what is known already: see `VectorStore.place`."""


def ingest_one(root: Path, found: Found, settings: Settings, parser: Parser) -> Ingested:
    """Return what the index keeps of one file; one that ends its parsers is left out for that reason."""
    try:
        return ingest_file(root, found, settings, parser)
    except Died:
        _log.warning("%s ended the processes that parsed it and is left out until the next start", found.path)
        return Ingested(FileEntry(found.path, found.stamp, "", None, CRASHED))


def ingest_suspects(root: Path, files: Iterable[Found], settings: Settings) -> Iterator[list[Ingested]]:
    """Yield what the index keeps of files that may end their parsers, and nothing now and then."""
    parser = ParserApart(settings.worker_bytes)
    with ThreadPoolExecutor(1, "sextant-suspects") as thread:
        try:
            for found in files:
                future = thread.submit(ingest_one, root, found, settings, parser)
                while not wait([future], timeout=_GLANCE).done:
                    yield []
                yield [future.result()]
        finally:
            parser.close()


def ingest_all(
    root: Path, files: list[Found], settings: Settings, parser: Parser, kit: Kit | None = None
) -> Iterator[list[Ingested]]:
    """Yield what the index keeps of many files, in batches, in their order; many files are parsed in parallel.

    `kit`: let those who parse encode, too.
    """
    workers = settings.worker_count
    if workers == 1 or len(files) < POOL_MIN_FILES:
        for found in files:
            yield [ingest_one(root, found, settings, parser)]
        return
    chunks = (files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK))
    crew = _Crew(workers, root, settings, kit)
    try:
        yield from crew.run(chunks)
    finally:
        crew.close()


class _Crew:
    """A pool of processes that parse; what was in flight when one died is parsed again, apart and one by one.

    Whose process died, and whether of its file, cannot be told: others may kill one, too.
    """

    def __init__(self, workers: int, root: Path, settings: Settings, kit: Kit | None) -> None:
        self._workers = workers
        self._given = root, settings
        self._kit = kit
        self._pool: ProcessPoolExecutor | None = _pool(workers, settings, kit)
        """None where no process lives long enough to do anything."""

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def run(self, chunks: Iterable[list[Found]]) -> Iterator[list[Ingested]]:
        """Keep a bounded number of chunks in flight; yield nothing now and then, so that others get a turn."""
        remaining = iter(chunks)
        flying: list[tuple[list[Found], Future[list[Ingested]] | None]] = []
        while True:
            for chunk in islice(remaining, _AHEAD * self._workers - len(flying)):
                flying.append((chunk, self._submit(chunk)))
            if not flying:
                return
            chunk, future = flying[0]
            if future is None:  # no processes to be had
                flying.pop(0)
                yield self._here(chunk)
                continue
            done, _ = wait([future], timeout=_GLANCE)
            if not done:
                self._watch()
                yield []
                continue
            flying.pop(0)
            try:
                yield future.result()
            except _LOST:
                suspects = [chunk, *(each for each, _ in flying)]
                flying.clear()
                # The file that ended it is found; the others lose nothing.
                yield from ingest_suspects(self._given[0], chain.from_iterable(suspects), self._given[1])

    def _watch(self) -> None:
        """End processes that take more than they may, where the system does not (macOS, Windows)."""
        for pid in list(getattr(self._pool, "_processes", None) or ()):
            if resident_bytes(pid) > self._given[1].worker_bytes:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGTERM)

    def _submit(self, chunk: list[Found]) -> Future[list[Ingested]] | None:
        root, settings = self._given
        for _ in range(2):
            if self._pool is None:
                break
            try:
                return self._pool.submit(_ingest_chunk, root, chunk, settings)
            except _LOST:
                self._renew()
        return None

    def _renew(self) -> None:
        """Start other processes, unless new ones die without any file's help."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = _pool(self._workers, self._given[1], self._kit)
        try:
            self._pool.submit(os.getpid).result()
        except _LOST:
            self._pool = None

    def _here(self, chunk: list[Found]) -> list[Ingested]:
        return _ingest_chunk(self._given[0], chunk, *self._given[1:])


def _pool(workers: int, settings: Settings, kit: Kit | None = None) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=SPAWN, initializer=_begin, initargs=(settings.worker_bytes, kit))


_opened: tuple[Encoder, VectorStore] | None = None
"""In a process that encodes: what it opened of its kit."""


def _begin(most_bytes: int, kit: Kit | None) -> None:
    global _opened  # noqa: PLW0603  (a process of a pool is given nothing else that stays)
    begin_worker(most_bytes)
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    if kit is not None:
        _opened = kit.open_encoder(), VectorStore(*kit.vectors)


def _ingest_chunk(root: Path, chunk: list[Found], settings: Settings) -> list[Ingested]:
    found = ingest_files(root, chunk, settings)
    return found if _opened is None else _encoded(found, *_opened)


def _encoded(found: list[Ingested], encoder: Encoder, store: VectorStore) -> list[Ingested]:
    """Return what was found with the vectors that no store knows yet instead of the passages."""
    keys = [one.entry.columns.key_list() if one.entry.columns is not None else [] for one in found]
    passages: dict[bytes, Passage] = {}
    for one, own in zip(found, keys, strict=True):
        passages.update(zip(own, one.passages, strict=True))
    known = store.known(list(passages))
    missing = [key for key in passages if key not in known]
    rows = encoder.encode([passages[key] for key in missing]).astype(np.float16)
    vectors = {key: row.tobytes() for key, row in zip(missing, rows, strict=True)}
    return [
        replace(one, passages=(), vectors={key: vectors.pop(key) for key in own if key in vectors})
        for one, own in zip(found, keys, strict=True)
    ]
