"""Ingest: one file to what the index keeps of it; the only way in, for scans, saves and open buffers alike."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for_handles
from pathlib import Path

from server.config import Settings
from server.index.columns import FileEntry, from_units
from server.index.extract import extract
from server.index.files import Found, Skip, check_text, read
from server.index.vectors import passage_key
from server.types import FileStamp, Passage

POOL_MIN_FILES = 300
"""Below, starting processes (0.3 s each) costs more than it saves."""
_CHUNK = 16
"""Files a task of the pool: enough to hide its overhead, few enough that batches stay short."""
_GLANCE = 0.05
"""Seconds between two looks at the engine's queue while the pool works."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """A file's entry and the passages behind its columns' keys, in the same order."""

    entry: FileEntry
    passages: tuple[Passage, ...] = ()


def ingest_text(data: bytes, language: str, path: str, stamp: FileStamp) -> Ingested:
    """Return what the index keeps of a text."""
    units = extract(data, language, path)
    passages = tuple(unit.passage for unit in units)
    keys = [passage_key(passage) for passage in passages]
    return Ingested(FileEntry(path, stamp, language, from_units(units, path, keys)), passages)


def ingest_buffer(data: bytes, language: str, path: str, settings: Settings) -> Ingested:
    """Return what the index keeps of an open buffer: what it would keep of a file with that text."""
    stamp = FileStamp(len(data), 0, 0)
    try:
        check_text(data, language, settings)
    except Skip as skip:
        return Ingested(FileEntry(path, stamp, language, None, str(skip)))
    return ingest_text(data, language, path, stamp)


def ingest_file(root: Path, found: Found, settings: Settings) -> Ingested:
    """Return what the index keeps of a file; one that is skipped keeps its stamp and the reason."""
    if found.reason is not None:
        return Ingested(FileEntry(found.path, found.stamp, "", None, found.reason))
    try:
        data, language = read(root, found.path, settings)
    except Skip as skip:
        return Ingested(FileEntry(found.path, found.stamp, "", None, str(skip)))
    return ingest_text(data, language, found.path, found.stamp)


def ingest_all(root: Path, files: list[Found], settings: Settings) -> Iterator[list[Ingested]]:
    """Yield what the index keeps of many files, in batches, in their order; many files are parsed in parallel."""
    chunks = (files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK))
    workers = settings.worker_count
    if workers == 1 or len(files) < POOL_MIN_FILES:
        for chunk in chunks:
            yield _ingest_chunk(root, chunk, settings)
        return
    # spawn, not fork: the server has threads, and Windows and macOS have nothing else.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)
    try:
        yield from _in_order(pool, workers * 2, chunks, root, settings)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _in_order(
    pool: ProcessPoolExecutor,
    window: int,
    chunks: Iterable[list[Found]],
    root: Path,
    settings: Settings,
) -> Iterator[list[Ingested]]:
    """Keep a bounded number of chunks in flight; a chunk whose worker died is done here."""
    remaining = iter(chunks)
    flying: list[tuple[list[Found], Future[list[Ingested]]]] = []
    works = True
    while True:
        for chunk in islice(remaining, window - len(flying)):
            future: Future[list[Ingested]] | None = None
            if works:
                try:
                    future = pool.submit(_ingest_chunk, root, chunk, settings)
                except (OSError, RuntimeError):  # no more processes to be had
                    works = False
            if future is None:
                yield _ingest_chunk(root, chunk, settings)
            else:
                flying.append((chunk, future))
        if not flying:
            return
        chunk, future = flying[0]
        done, _ = wait([future], timeout=_GLANCE)
        if not done:
            yield []
            continue
        flying.pop(0)
        try:
            yield future.result()
        except (OSError, RuntimeError):  # BrokenProcessPool is a RuntimeError
            works = False
            yield _ingest_chunk(root, chunk, settings)


def _ingest_chunk(root: Path, chunk: list[Found], settings: Settings) -> list[Ingested]:
    return [ingest_file(root, found, settings) for found in chunk]


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, run at low priority, and end with the parent even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def follow() -> None:
            wait_for_handles([sentinel])
            os._exit(1)

        threading.Thread(target=follow, daemon=True, name="sextant-follow-parent").start()
