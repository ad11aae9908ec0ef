"""Layers: one folder's generation, the changes saved since, and the open buffers above; the newest claim wins."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.index import generation
from server.index.columns import FileEntry, split_keys
from server.index.crew import Kit
from server.index.delta import Delta
from server.index.ingest import Ingested
from server.index.segment import Segment, build
from server.index.spaces import Second, Space
from server.index.store import NONSENSE, Store, is_environment, reading
from server.index.vectors import VectorStore
from server.process import in_process
from server.types import FileStamp, Passage

COMPACT_MIN_UNITS = 2_000
"""A delta this small is never worth a new generation: merging it takes milliseconds."""
COMPACT_SHARE = 0.1
"""Of the generation's units: past it the delta is folded into a new generation."""
COMPACT_BULK_UNITS = (30_000, 48_000)
"""The same during a first index, where each early generation is written in vain: from the first number on a delta is
folded when it is as large as the generation, and at the second in any case, as it is what takes the memory."""
FOLD_BESIDE = 20_000
"""Units; from here on a generation is made in a process of its own, whose memory and locks are not the server's."""
_NO_STAMP = FileStamp(0, 0, 0)
"""Equals no file's stamp."""


@dataclass(frozen=True)
class Layer:
    """A segment of one folder with the rows that no newer layer claims."""

    folder: str
    segment: Segment
    live: npt.NDArray[np.bool_]

    @cached_property
    def count(self) -> int:
        """Return how many rows are live."""
        return int(np.count_nonzero(self.live))

    @cached_property
    def words(self) -> int:
        """Return how many words the live rows have."""
        return int(self.segment.totals[self.live].sum())


@dataclass(frozen=True)
class Folded:
    """A generation that could not be written: rows in memory, and the changes that they hold."""

    segment: Segment
    delta: dict[str, FileEntry]
    space: str
    """The name of the space whose vectors the rows have."""


class Tally:
    """Counts files by language and by the reason why they were skipped, and their units."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, str | None, int]] = {}
        self._languages: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._units = 0

    def put(self, path: str, language: str, reason: str | None, units: int) -> None:
        """Count a file, and no longer what it was before."""
        self.drop(path)
        self._files[path] = sys.intern(language), reason, units
        self._add(language, reason, units, 1)

    def reason(self, path: str) -> str | None:
        """Return why a file was skipped; None for one that was not, or is unknown."""
        known = self._files.get(path)
        return known[1] if known is not None else None

    def drop(self, path: str) -> None:
        """Count a file no longer."""
        if (known := self._files.pop(path, None)) is not None:
            self._add(*known, -1)

    def _add(self, language: str, reason: str | None, units: int, sign: int) -> None:
        if reason is None:
            self._languages[language] += sign
        elif reason:
            self._reasons[reason] += sign
        self._units += sign * units

    def counts(self) -> tuple[dict[str, int], dict[str, int], int]:
        """Return files by language, skipped ones by reason, and the number of units."""
        return _positive(self._languages), _positive(self._reasons), self._units


class FolderLayers:
    """The index of one folder; used by the engine's thread alone (invariant 2).

    What cannot be written, because another process writes this index or the disk refuses, is kept in memory and
    answers all the same; `save` brings it to the disk once that is possible.
    """

    def __init__(self, root: str, home: Path, space: Space) -> None:
        self.root = root
        self._home = home
        self._first = self._space = space
        """The space whose vectors are always complete, and the one that answers."""
        self.store = Store(home)
        self.stamps: dict[str, FileStamp] = {}
        self._tally = Tally()
        self._unsaved: dict[str, FileEntry | None] = {}
        """What the store lacks: by path what is known of a file, None for one that is gone."""
        self._delta = Delta((), self._weight)
        self._buffers: dict[str, FileEntry] = {}
        self._buffer_segment: Segment | None = None
        self.has_lost = False
        """Whether files wait for a scan because the shared store lost vectors of theirs."""
        self.second: Second | None = None
        """Another space that is to know what is committed here, too."""
        self.encoded = 0
        """Passages encoded so far; the rest came from the content-addressed store."""
        self._base = build((), space.vectors.rows)
        self._base_name: str | None = None
        self._sequence = 0
        try:
            self.rewind()
            self._tidy()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def commit(self, batch: Sequence[Ingested], deleted: Iterable[str] = (), pending: int = 0) -> None:
        """Make saved changes visible, and durable if possible; `pending` files are still to come.

        Raises OSError or sqlite3.Error where they could not be written; they are visible all the same.
        """
        self._keep_vectors(batch)
        for path in deleted:
            if path in self.stamps:
                self._forget(path)
                self._unsaved[path] = None
        for ingested in batch:
            self._take(ingested.entry)
            self._unsaved[ingested.entry.path] = ingested.entry
        self.save(pending)

    def save(self, pending: int = 0) -> None:
        """Write what the store lacks; vectors are durable before anything refers to them (invariant 4)."""
        if not self._unsaved or not self.store.is_writer:
            return
        self._first.vectors.save()
        entries = [entry for entry in self._unsaved.values() if entry is not None]
        gone = [path for path, entry in self._unsaved.items() if entry is None]
        self._sequence = self.store.commit(entries, gone, pending)
        self._unsaved.clear()

    def finish(self) -> None:
        """Tell other processes that the whole workspace was read."""
        if self.store.is_writer and self.store.get("pending") != "0" and self.is_saved:
            self.store.put("pending", "0")

    @property
    def is_saved(self) -> bool:
        """Tell whether the disk has everything that is known here."""
        return not self._unsaved

    def lead(self) -> bool:
        """Try to become the process that writes this index; tell whether this one now is and was not before."""
        if self.store.is_writer or not self.store.lead():
            return False
        self.rewind()
        self._tidy()
        return True

    def follow(self) -> set[str] | None:
        """Take over what another process committed, and return the files about which it says something else.

        None when there is nothing new.
        """
        if self.store.is_writer or not self.store.changed():
            return None
        own = {path: entry.stamp if entry is not None else None for path, entry in self._unsaved.items()}
        if self.store.generation(self._space.name) != self._base_name:
            self._unsaved.clear()
            self.rewind()
        else:
            for entry in self.store.entries(after=self._sequence):
                self._unsaved.pop(entry.path, None)
                self._take(entry)
            paths = self.store.paths()
            for path in [path for path in self.stamps if path not in paths and path not in self._unsaved]:
                self._forget(path)
            self._unsaved = {path: entry for path, entry in self._unsaved.items() if entry is not None or path in paths}
            self._sequence = self.store.sequence()
        return {path for path, stamp in own.items() if self.stamps.get(path) != stamp}

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
        if not self._base.is_intact():
            self.rewind()
        if self._buffer_segment is None:
            self._buffer_segment = build(self._buffers.values(), self._space.vectors.rows)
        if (grown := self._delta.grow(self._space.vectors.rows)) is not None:
            self._reread_lost(grown)
        base = _layer(self.root, self._base, (*self._buffers, *self._delta.paths()))
        newer = (
            _layer(self.root, self._buffer_segment, ()),
            *(_layer(self.root, part, (*self._buffers, *dead)) for part, dead in self._delta.segments()),
        )
        # A layer of nothing costs a search as many calls as another one.
        return (*(layer for layer in newer if layer.count), base)

    def use(self, space: Space) -> None:
        """Answer from the vectors of another space."""
        self._space = space
        self.rewind()
        self._buffer_segment = None

    def missing(self, space: Space) -> int:
        """Return how many of the live passages a space has no vectors for."""
        keys = {bytes(key) for layer in self.layers() for key in split_keys(layer.segment.keys[layer.live])}
        return len(keys) - len(space.vectors.known(list(keys)))

    def refresh(self) -> None:
        """Look again for vectors that were unknown."""
        self._base = self._completed(self._base)
        self._delta.rebuild()
        self._buffer_segment = None

    def distrust(self) -> None:
        """Forget what tells that files did not change."""
        self.stamps.update(dict.fromkeys(self.stamps, _NO_STAMP))

    def reason(self, path: str) -> str | None:
        """Return why a file was skipped; None for one that was not, or is unknown."""
        return self._tally.reason(path)

    def counts(self) -> tuple[dict[str, int], dict[str, int], int]:
        """Return files by language, skipped ones by reason, and the number of units, open buffers left aside."""
        return self._tally.counts()

    def wants_compaction(self, is_bulk: bool) -> bool:
        """Tell whether the delta has grown past what merging it on each save should cost."""
        if not self.store.is_writer and not self.store.trouble:
            return False  # the process that writes will
        if is_bulk:
            least, most = COMPACT_BULK_UNITS
            return self._delta.units > min(most, max(least, len(self._base)))
        return self._delta.units > max(COMPACT_MIN_UNITS, COMPACT_SHARE * len(self._base))

    @property
    def wants_tree(self) -> bool:
        """Tell whether the generation lacks a tree that would pay and could be kept."""
        return self.store.is_writer and self.is_saved and generation.wants_tree(self._base)

    def generation_writer(self, with_tree: bool) -> Callable[[], str | Folded]:
        """Return a function for another thread that folds what is known into a new generation; see `adopt`.

        It reads through connections of its own. What is committed meanwhile stays in the delta: it has greater
        sequence numbers. Where the disk does not have everything, the generation is made in memory.
        """
        home, space, unsaved = self._home, self._space.name, dict(self._unsaved)
        if self.store.is_writer and not unsaved:
            place = self._space.vectors.place
            if self._delta.units + len(self._base) < FOLD_BESIDE:
                return lambda: fold(home, space, place, with_tree)
            return lambda: in_process(fold, home, space, place, with_tree)
        vectors, delta, has_file = self._space.vectors.reopen(), self._delta.entries(), not self.store.is_behind

        def fold_in_memory() -> Folded:
            with contextlib.ExitStack() as stack:
                entries: Iterable[FileEntry] = stack.enter_context(reading(home))[1] if has_file else ()
                kept = [entry for entry in entries if entry.path not in unsaved]
                kept += [entry for entry in unsaved.values() if entry is not None]
                segment = build(kept, vectors.rows)
            vectors.close()
            return Folded(segment, delta, space)

        return fold_in_memory

    def adopt(self, made: str | Folded) -> None:
        """Answer from a new generation, one on disk published by one pointer (invariant 6)."""
        if isinstance(made, Folded):
            if made.space != self._space.name:
                return
            self._base = made.segment
            later = [entry for path, entry in self._delta.entries().items() if made.delta.get(path) is not entry]
            self._delta = Delta(later, self._weight)
        else:
            if not self.store.is_writer:
                return
            self.store.point(generation.encoder_of(self._home, made), made)  # which may not answer any more
            self._tidy()
            self._load_base()
        self._reread_lost(self._base)

    def rewind(self) -> None:
        """Read the store again, and put above it what it lacks; a store that makes no sense is begun anew."""
        try:
            self._reload()
        except (*NONSENSE, sqlite3.DatabaseError) as problem:
            if is_environment(problem):
                raise
            self.store.replace()
            self._reload()

    def _reload(self) -> None:
        self.stamps.clear()
        self._tally = Tally()
        for path, stamp, language, reason, units in self.store.known():
            self.stamps[path] = stamp
            self._tally.put(path, language, reason, units)
        self._load_base()

    def _load_base(self) -> None:
        """Map the current generation and put what changed since into the delta; without one, all is delta."""
        name = self._base_name = self.store.generation(self._space.name)
        loaded = generation.read(self._home, name, self._space.name) if name else None
        self._base, sequence = loaded or (build((), self._space.vectors.rows), 0)
        self._base = self._completed(self._base)
        self._delta = Delta(self.store.entries(after=sequence), self._weight)
        self._sequence = self.store.sequence()
        for path, entry in self._unsaved.items():
            if entry is None:
                self._forget(path)
            else:
                self._take(entry)
        for path in self._base.paths:
            if path not in self.stamps:
                self._delta.claim(_nothing(path))

    def _take(self, entry: FileEntry) -> None:
        """Let an entry stand for its file."""
        self._delta.claim(entry)
        self.stamps[entry.path] = entry.stamp
        self._tally.put(entry.path, entry.language, entry.reason, len(entry))

    def _weight(self, entry: FileEntry) -> int:
        """Return how many units changed with a claim: those of the generation where the file is gone."""
        return len(entry) or len(self._base.rows_of(entry.path))

    def _forget(self, path: str) -> None:
        """Let a file be gone: a claim without units."""
        self._delta.claim(_nothing(path))
        self.stamps.pop(path, None)
        self._tally.drop(path)

    def _tidy(self) -> None:
        """Delete the generations that a crash or a newer one left behind."""
        if self.store.is_writer:
            generation.remove_others(self._home, self.store.generations())

    def _completed(self, segment: Segment) -> Segment:
        """Return a generation of a second space with the vectors that were not known yet when it was written."""
        if self._space is self._first:
            return segment
        empty = np.flatnonzero(~segment.vectors.any(axis=1))
        rows = self._space.vectors.rows(split_keys(segment.keys[empty]))
        if not rows.any():
            return segment
        vectors = np.array(segment.vectors)
        vectors[empty] = rows
        return replace(segment, vectors=vectors, kept_codes=None)

    def _keep_vectors(self, batch: Sequence[Ingested]) -> None:
        """Encode what no store knows yet, once for equal passages, or take over what was encoded on the way."""
        passages: dict[bytes, Passage] = {}
        languages: dict[bytes, str] = {}
        given: dict[bytes, bytes] = {}
        for ingested in batch:
            if ingested.vectors is not None:
                given.update(ingested.vectors)
            elif ingested.entry.columns is not None:
                keys = ingested.entry.columns.key_list()
                passages.update(zip(keys, ingested.passages, strict=True))
                languages.update(dict.fromkeys(keys, ingested.entry.language))
        vectors = self._first.vectors
        known = vectors.known([*passages, *given])
        vectors.take({key: row for key, row in given.items() if key not in known})
        missing = [key for key in passages if key not in known]
        if missing:
            rows = self._first.encoder.encode([passages[key] for key in missing])
            vectors.put(dict(zip(missing, rows, strict=True)))
        self.encoded += len(missing) + len(given.keys() - known)
        if self.second is not None:
            self.second.ask(passages, languages)

    @property
    def kit(self) -> Kit | None:
        """Return what lets others encode what they parse; None where its passages are wanted here."""
        opener = getattr(self._first.encoder, "opener", None)
        return Kit(opener, self._first.vectors.place) if opener is not None and self.second is None else None

    def _reread_lost(self, segment: Segment) -> None:
        """Forget the stamps of files whose vectors the shared store lost, so that the next scan reads them."""
        if self._space is not self._first:
            return  # what a second space lacks is encoded on the side, or by a job
        empty = np.flatnonzero(~segment.vectors.any(axis=1))
        keys = split_keys(segment.keys[empty])
        known = self._space.vectors.known(keys)  # a passage without a known word has zeros of its own
        for row, key in zip(empty.tolist(), keys, strict=True):
            path = segment.paths[segment.file_of[row]]
            if key not in known and path in self.stamps:
                self.stamps[path] = _NO_STAMP
                self.has_lost = True


def fold(home: Path, fingerprint: str, vectors: tuple[Path, str, int], with_tree: bool) -> str:
    """Write a generation of all that is committed when this runs, and return its name; runs in any process."""
    own = VectorStore(*vectors)
    try:
        with reading(home) as (sequence, entries, _):
            segment = build(entries, own.rows)
        return generation.write(home, segment, sequence, fingerprint, with_tree)
    finally:
        own.close()


def _positive(counter: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in sorted(counter.items()) if count > 0}


def _nothing(path: str) -> FileEntry:
    """Return a claim without units."""
    return FileEntry(path, _NO_STAMP, "", None)


def _layer(folder: str, segment: Segment, claimed: Iterable[str]) -> Layer:
    """Return a layer whose claimed files are not live."""
    live = np.ones(len(segment.paths), dtype=np.bool_)
    for path in claimed:
        number = segment.file_ids.get(path)
        if number is not None:
            live[number] = False
    return Layer(folder, segment, live[segment.file_of])
