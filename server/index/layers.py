"""Layers: one folder's generation, the changes saved since, and the open buffers above; the newest claim wins."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.index import generation
from server.index.ingest import Ingested
from server.index.segment import FileEntry, Segment, build
from server.index.store import Store
from server.index.vectors import VectorStore
from server.types import Encoder, FileStamp, Passage, Vectors

COMPACT_MIN_UNITS = 2_000
"""A delta this small is never worth a new generation: merging it takes milliseconds."""
COMPACT_SHARE = 0.1
"""Of the generation's units: past it the delta is folded into a new generation."""
_ENCODE_BATCH = 512
_GLANCE = 0.05
"""Seconds between two looks at the engine's queue while a generation is written."""
_NO_STAMP = FileStamp(0, 0, 0)
"""Equals no file's stamp."""


@dataclass(frozen=True)
class Layer:
    """A segment of one folder with the rows that no newer layer claims."""

    folder: str
    segment: Segment
    live: npt.NDArray[np.bool_]


class FolderLayers:
    """The index of one folder; used by the engine's thread alone (invariant 2)."""

    def __init__(self, root: str, home: Path, vectors: VectorStore, encoder: Encoder) -> None:
        self.root = root
        self._home = home
        self._vectors = vectors
        self._encoder = encoder
        self.store = Store(home, encoder.fingerprint)
        self.stamps = self.store.stamps()
        self._delta: dict[str, FileEntry] = {}
        self._buffers: dict[str, FileEntry] = {}
        self._recent: dict[bytes, Vectors] = {}
        self._base = self._load_base()
        self._delta_segment: Segment | None = None
        self._buffer_segment: Segment | None = None
        self.encoded = 0
        """Passages encoded so far; the rest came from the content-addressed store."""

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def commit(self, batch: Sequence[Ingested], deleted: Iterable[str] = ()) -> None:
        """Make saved changes durable, then visible; vectors are kept before anything refers to them (invariant 4)."""
        gone = [path for path in deleted if path in self.stamps]
        self._keep_vectors(batch)
        entries = [ingested.entry for ingested in batch]
        self.store.commit(entries, gone)
        for entry in entries:
            self._delta[entry.path] = entry
            self.stamps[entry.path] = entry.stamp
        for path in gone:
            self._delta[path] = FileEntry(path, _NO_STAMP, "", ())  # a claim without units
            del self.stamps[path]
        self._delta_segment = None

    def set_buffer(self, ingested: Ingested) -> None:
        """Put an open buffer above whatever is saved; nothing of it is written to the index (only its vectors are)."""
        self._keep_vectors([ingested])
        self._buffers[ingested.entry.path] = ingested.entry
        self._buffer_segment = None

    def drop_buffer(self, path: str) -> bool:
        """Uncover what is saved; tell whether there was such a buffer."""
        self._buffer_segment = None
        return self._buffers.pop(path, None) is not None

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers, newest first, with their live rows computed from the order of claims (invariant 5)."""
        if self._buffer_segment is None:
            self._buffer_segment = build(self._buffers.values(), self._vectors_of)
        if self._delta_segment is None:
            self._delta_segment = build(self._delta.values(), self._vectors_of)
            self._reread_lost(self._delta_segment)
        return (
            _layer(self.root, self._buffer_segment, ()),
            _layer(self.root, self._delta_segment, self._buffers),
            _layer(self.root, self._base[0], (*self._buffers, *self._delta)),
        )

    def counts(self) -> tuple[dict[str, int], dict[str, int], int]:
        """Return saved files by language, skipped ones by reason, and the number of saved units."""
        return self.store.counts()

    def wants_compaction(self) -> bool:
        """Tell whether the delta has grown past what merging it on each save should cost."""
        return self.delta_units > max(COMPACT_MIN_UNITS, COMPACT_SHARE * len(self._base[0]))

    @property
    def delta_units(self) -> int:
        """Return how many units changed since the generation."""
        return sum(len(entry.records) for entry in self._delta.values())

    def compact(self) -> Iterator[None]:
        """Fold the delta into a new generation beside the running work, then publish it by one pointer (invariant 6).

        The thread reads the stores through connections of its own; changes that are committed meanwhile have greater
        sequence numbers and so stay in the delta.
        """
        writing: Future[str] = Future()

        def write() -> None:
            try:
                writing.set_result(_write_generation(self._home, self._vectors, self._encoder))
            except BaseException as problem:  # handed on to the waiting thread, which raises it
                writing.set_exception(problem)

        # A daemon: the process may end in the middle; what it leaves behind is never pointed to.
        threading.Thread(target=write, name="sextant-compact", daemon=True).start()
        while not writing.done():
            wait([writing], timeout=_GLANCE)
            yield
        name = writing.result()
        self.store.put("generation", name)
        generation.remove_others(self._home, name)
        self._base = self._load_base()
        self._reread_lost(self._base[0])
        self._delta_segment = None

    def rewind(self) -> None:
        """Forget what is in memory and read the store again, after a change that failed."""
        self.stamps = self.store.stamps()
        self._base = self._load_base()
        self._delta_segment = None

    def _load_base(self) -> tuple[Segment, int]:
        """Map the current generation and put what changed since into the delta; without one, all is delta."""
        name = self.store.get("generation")
        loaded = generation.read(self._home, name, self._encoder.fingerprint) if name else None
        base, sequence = loaded or (build((), self._vectors_of), 0)
        self._delta = {entry.path: entry for entry in self.store.entries(after=sequence)}
        for path in base.paths:
            if path not in self.stamps:
                self._delta[path] = FileEntry(path, _NO_STAMP, "", ())
        held = (record.key for entry in self._buffers.values() for record in entry.records)
        self._recent = {key: self._recent[key] for key in held}
        return base, sequence

    def _keep_vectors(self, batch: Sequence[Ingested]) -> None:
        """Encode what no store knows yet, once for equal passages."""
        passages: dict[bytes, Passage] = {}
        for ingested in batch:
            for record, passage in zip(ingested.entry.records, ingested.passages, strict=True):
                if record.key not in self._recent:
                    passages[record.key] = passage
        known = self._vectors.get(list(passages))
        self._recent |= known
        missing = [key for key in passages if key not in known]
        for start in range(0, len(missing), _ENCODE_BATCH):
            keys = missing[start : start + _ENCODE_BATCH]
            rows = self._encoder.encode([passages[key] for key in keys])
            made = dict(zip(keys, rows, strict=True))
            self._vectors.put(made)
            self._recent |= made
            self.encoded += len(keys)

    def _vectors_of(self, keys: Sequence[bytes]) -> Vectors:
        """Return the vectors of some keys; a lost one is zeros, and `_reread_lost` has its file read again."""
        unknown = [key for key in keys if key not in self._recent]
        return _rows(keys, {**self._recent, **self._vectors.get(unknown)} if unknown else self._recent, self._encoder)

    def _reread_lost(self, segment: Segment) -> None:
        """Forget the stamps of files whose vectors the shared store lost, so that the next scan reads them."""
        empty = np.flatnonzero(~segment.vectors.any(axis=1)) if len(segment) else ()
        keys = {row: segment.keys[row].tobytes() for row in empty}
        known = self._vectors.get(list(keys.values()))  # a passage without a known word has zeros of its own
        for number in {int(segment.file_of[row]) for row, key in keys.items() if key not in known}:
            if segment.paths[number] in self.stamps:
                self.stamps[segment.paths[number]] = _NO_STAMP


def _write_generation(home: Path, vectors: VectorStore, encoder: Encoder) -> str:
    """Write a generation of all that is committed now and return its name."""
    store, own = Store(home, encoder.fingerprint), vectors.reopen()
    try:
        with store.reading():
            sequence = store.sequence()
            entries = list(store.entries())
        segment = build(entries, lambda keys: _rows(keys, own.get(keys), encoder))
        return generation.write(home, segment, sequence, encoder.fingerprint)
    finally:
        store.close()
        own.close()


def _rows(keys: Sequence[bytes], known: Mapping[bytes, Vectors], encoder: Encoder) -> Vectors:
    """Return the vectors of some keys as a matrix, with zeros for the unknown ones."""
    rows = np.zeros((len(keys), encoder.dimensions), dtype=np.float32)
    for number, key in enumerate(keys):
        vector = known.get(key)
        if vector is not None:
            rows[number] = vector
    return rows


def _layer(folder: str, segment: Segment, claimed: Iterable[str]) -> Layer:
    """Return a layer whose claimed files are not live."""
    live = np.ones(len(segment.paths), dtype=np.bool_)
    for path in claimed:
        number = segment.file_ids.get(path)
        if number is not None:
            live[number] = False
    return Layer(folder, segment, live[segment.file_of])
