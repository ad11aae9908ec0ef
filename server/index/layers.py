"""Layers: one folder's generation, the changes saved since, and the open buffers above; the newest claim wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.index import generation
from server.index.columns import FileEntry, split_keys
from server.index.ingest import Ingested
from server.index.segment import Segment, build
from server.index.store import Store
from server.index.vectors import VectorStore
from server.types import Encoder, FileStamp, Passage

COMPACT_MIN_UNITS = 2_000
"""A delta this small is never worth a new generation: merging it takes milliseconds."""
COMPACT_SHARE = 0.1
"""Of the generation's units: past it the delta is folded into a new generation."""
COMPACT_SHARE_BULK = 1.0
"""The same during a first index, where each early generation is written in vain: doubling keeps that to one more."""
_ENCODE_BATCH = 512
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
        self.store = Store(home)
        self.stamps = self.store.stamps()
        self._delta: dict[str, FileEntry] = {}
        self._buffers: dict[str, FileEntry] = {}
        self._base = self._load_base()
        self._delta_segment: Segment | None = None
        self._buffer_segment: Segment | None = None
        self.has_lost = False
        """Whether files wait for a scan because the shared store lost vectors of theirs."""
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
            self._delta[path] = FileEntry(path, _NO_STAMP, "", None)  # a claim without units
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
            self._buffer_segment = build(self._buffers.values(), self._vectors.rows)
        if self._delta_segment is None:
            self._delta_segment = build(self._delta.values(), self._vectors.rows)
            self._reread_lost(self._delta_segment)
        return (
            _layer(self.root, self._buffer_segment, ()),
            _layer(self.root, self._delta_segment, self._buffers),
            _layer(self.root, self._base[0], (*self._buffers, *self._delta)),
        )

    def counts(self) -> tuple[dict[str, int], dict[str, int], int]:
        """Return saved files by language, skipped ones by reason, and the number of saved units."""
        return self.store.counts()

    def wants_compaction(self, is_bulk: bool) -> bool:
        """Tell whether the delta has grown past what merging it on each save should cost."""
        share = COMPACT_SHARE_BULK if is_bulk else COMPACT_SHARE
        return self.delta_units > max(COMPACT_MIN_UNITS, share * len(self._base[0]))

    @property
    def delta_units(self) -> int:
        """Return how many units changed since the generation."""
        return sum(map(len, self._delta.values()))

    def generation_writer(self) -> Callable[[], str]:
        """Return a function that writes a generation of all that is committed when it runs, and returns its name.

        It is for another thread: it reads through connections of its own. What is committed meanwhile has greater
        sequence numbers and so stays in the delta.
        """
        home, vectors, encoder = self._home, self._vectors, self._encoder

        def write() -> str:
            store, own = Store(home), vectors.reopen()
            try:
                with store.reading():
                    sequence = store.sequence()
                    segment = build(store.entries(), own.rows)
                return generation.write(home, segment, sequence, encoder.fingerprint)
            finally:
                store.close()
                own.close()

        return write

    def adopt(self, name: str) -> None:
        """Publish a generation by one pointer (invariant 6)."""
        self.store.point(self._encoder.fingerprint, name)
        generation.remove_others(self._home, self.store.generations())
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
        name = self.store.generation(self._encoder.fingerprint)
        loaded = generation.read(self._home, name, self._encoder.fingerprint) if name else None
        base, sequence = loaded or (build((), self._vectors.rows), 0)
        self._delta = {entry.path: entry for entry in self.store.entries(after=sequence)}
        for path in base.paths:
            if path not in self.stamps:
                self._delta[path] = FileEntry(path, _NO_STAMP, "", None)
        return base, sequence

    def _keep_vectors(self, batch: Sequence[Ingested]) -> None:
        """Encode what no store knows yet, once for equal passages."""
        passages: dict[bytes, Passage] = {}
        for ingested in batch:
            if ingested.entry.columns is not None:
                passages.update(zip(ingested.entry.columns.key_list(), ingested.passages, strict=True))
        known = self._vectors.known(list(passages))
        missing = [key for key in passages if key not in known]
        for start in range(0, len(missing), _ENCODE_BATCH):
            keys = missing[start : start + _ENCODE_BATCH]
            rows = self._encoder.encode([passages[key] for key in keys])
            self._vectors.put(dict(zip(keys, rows, strict=True)))
            self.encoded += len(keys)

    def _reread_lost(self, segment: Segment) -> None:
        """Forget the stamps of files whose vectors the shared store lost, so that the next scan reads them."""
        empty = np.flatnonzero(~segment.vectors.any(axis=1))
        keys = split_keys(segment.keys[empty])
        known = self._vectors.known(keys)  # a passage without a known word has zeros of its own
        for row, key in zip(empty.tolist(), keys, strict=True):
            path = segment.paths[segment.file_of[row]]
            if key not in known and path in self.stamps:
                self.stamps[path] = _NO_STAMP
                self.has_lost = True


def _layer(folder: str, segment: Segment, claimed: Iterable[str]) -> Layer:
    """Return a layer whose claimed files are not live."""
    live = np.ones(len(segment.paths), dtype=np.bool_)
    for path in claimed:
        number = segment.file_ids.get(path)
        if number is not None:
            live[number] = False
    return Layer(folder, segment, live[segment.file_of])
