"""Fill: compute what a vector store lacks for the files of some folders; results are kept as they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from server.cluster.protocol import Done, Fill, Progress
from server.config import Settings
from server.index.crew import ingest_all
from server.index.files import Found, walk
from server.index.ignore import IgnoreRules
from server.index.parser import Parser, ParserApart
from server.index.vectors import VectorStore
from server.types import CancelToken, Encoder, Passage

_BATCH_CHARACTERS = 200_000
"""A batch ends here even if it has few texts: what one task may take and what stands in memory is bounded."""
_REPORT_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Batch:
    """Passages that are encoded together, with the keys of their vectors."""

    keys: tuple[bytes, ...]
    passages: tuple[Passage, ...]


class Compute(Protocol):
    """Somewhere to encode."""

    where: str
    """Its name, for the user."""

    def run(self, batches: Iterator[Batch], token: CancelToken) -> Iterator[tuple[Batch, bytes]]:
        """Yield each batch with its float16 rows, in any order; takes few batches ahead of what it yields."""


class Inline:
    """This process."""

    where = "this machine"

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def run(self, batches: Iterator[Batch], token: CancelToken) -> Iterator[tuple[Batch, bytes]]:
        """Encode each batch when it is asked for, one text at a time so that a cancel is seen soon."""
        for batch in batches:
            rows = []
            for start in range(0, len(batch.passages), 8):
                token.check()
                rows.append(self._encoder.encode(batch.passages[start : start + 8]).astype(np.float16).tobytes())
            yield batch, b"".join(rows)


class _Tally:
    """How far a job is: what is counted, and what is on its way."""

    def __init__(self, total_files: int, report: Callable[[Progress], None]) -> None:
        self.files = self.computed = self.known = 0
        self._flying: set[bytes] = set()
        self._landed: set[bytes] = set()
        self._total = total_files
        self._report = report
        self._reported_at = 0.0

    def missing(self, store: VectorStore, keys: Sequence[bytes]) -> set[bytes]:
        """Return the keys that are neither stored nor on their way, and count the stored ones."""
        self._flying -= self._landed  # those are found in the store from now on
        self._landed.clear()
        known = store.known(keys)
        self.known += len(known)
        return set(keys) - known - self._flying

    def depart(self, key: bytes) -> None:
        """Note that a vector is on its way."""
        self._flying.add(key)

    def land(self, keys: Sequence[bytes]) -> None:
        """Note that vectors have been stored."""
        self._landed.update(keys)
        self.computed += len(keys)
        self.show()

    def show(self) -> None:
        now = time.monotonic()
        if now - self._reported_at > _REPORT_SECONDS:
            self._reported_at = now
            self._report(Progress(self.files, self._total, self.computed, self.known))


def fill(
    job: Fill,
    store: VectorStore,
    compute: Compute,
    batch_size: int,
    report: Callable[[Progress], None],
    token: CancelToken,
    seen: set[bytes] | None = None,
) -> Done:
    """Compute what the store lacks and commit it batch by batch; raises Cancelled. `seen` takes the keys of all files.

    A key never changes its vector (invariant 3), so files that are edited meanwhile cannot be overwritten.
    """
    started = time.monotonic()
    settings = Settings(exclude=tuple(job.exclude), max_file_bytes=job.max_file_bytes, workers=job.workers)
    found: list[tuple[Path, list[Found]]] = []
    for root in map(Path, job.roots):
        # The same walk as the index: what is ignored is not read, and so goes nowhere (invariant 8).
        found.append((root, list(walk(root, IgnoreRules(root, settings.exclude), settings, token))))
    tally = _Tally(sum(len(files) for _, files in found), report)
    parser = ParserApart(settings.worker_bytes)
    batches = _batches(found, job, settings, store, batch_size, tally, parser, token, seen)
    try:
        for batch, packed in compute.run(batches, token):
            rows = np.frombuffer(packed, np.float16).reshape(len(batch.keys), -1)
            store.put(dict(zip(batch.keys, rows, strict=True)))
            store.save()
            tally.land(batch.keys)
    finally:
        batches.close()
        parser.close()
    return Done(tally.files, tally.computed, tally.known, round(time.monotonic() - started, 3), compute.where)


def _batches(
    found: list[tuple[Path, list[Found]]],
    job: Fill,
    settings: Settings,
    store: VectorStore,
    batch_size: int,
    tally: _Tally,
    parser: Parser,
    token: CancelToken,
    seen: set[bytes] | None,
) -> Generator[Batch, None, None]:
    """Yield batches of the passages whose vectors are neither stored nor on their way, equal ones once."""
    waiting: dict[bytes, Passage] = {}
    size = 0
    for root, files in found:
        for part in ingest_all(root, files, settings, parser):
            token.check()
            for ingested in part:
                tally.files += 1
                if ingested.entry.columns is None:
                    continue
                keys = ingested.entry.columns.key_list()
                if seen is not None:
                    seen.update(keys)
                missing = tally.missing(store, keys)
                for key, passage in zip(keys, ingested.passages, strict=True):
                    if key not in missing:
                        continue
                    missing.discard(key)
                    sent = parser.stripped(passage, ingested.entry.language) if job.strips else passage
                    tally.depart(key)
                    waiting[key] = sent
                    size += sum(map(len, sent.fields()))
                    if len(waiting) >= batch_size or size >= _BATCH_CHARACTERS:
                        yield Batch(tuple(waiting), tuple(waiting.values()))
                        waiting, size = {}, 0
            tally.show()
    if waiting:
        yield Batch(tuple(waiting), tuple(waiting.values()))
