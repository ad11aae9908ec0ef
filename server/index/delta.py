"""Delta: what changed since the generation, in segments that grow together, so that a change costs what is new."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from server.index.columns import FileEntry, split_keys
from server.index.segment import Segment, build
from server.types import Vectors

_LEAST = 1_000
"""Units; a part this small is always built again with the next: that takes milliseconds, and each layer costs a search
some."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A segment and the entries that it was built of."""

    segment: Segment
    entries: Mapping[str, FileEntry]


class Delta:
    """The newest entry of each file that changed since the generation; used by the engine's thread alone."""

    def __init__(self, entries: Iterable[FileEntry], weigh: Callable[[FileEntry], int]) -> None:
        """`weigh` tells how many units changed with an entry."""
        self._weigh = weigh
        self._entries: dict[str, FileEntry] = {}
        self._waiting: dict[str, FileEntry] = {}
        """Entries that no part has yet."""
        self._parts: list[_Part] = []
        """Newest first; of a file that several have, only the newest entry is live."""
        self.units = 0
        """How many units changed."""
        for entry in entries:
            self.claim(entry)

    def claim(self, entry: FileEntry) -> None:
        """Let an entry stand for its file; one without units hides what older layers have."""
        before = self._entries.get(entry.path)
        self.units += self._weigh(entry) - (self._weigh(before) if before is not None else 0)
        self._entries[entry.path] = self._waiting[entry.path] = entry

    def entries(self) -> dict[str, FileEntry]:
        """Return all entries by path."""
        return dict(self._entries)

    def paths(self) -> Collection[str]:
        """Return the files that older layers do not show any more."""
        return self._entries.keys()

    def rebuild(self) -> None:
        """Build all segments anew when they are next asked for: their vectors are others now."""
        self._parts = []
        self._waiting = dict(self._entries)

    def grow(self, rows_of: Callable[[Sequence[bytes]], Vectors]) -> Segment | None:
        """Bring the segments up to date, and return the one that is new; `rows_of` as `build` takes it.

        A part is built again with what is newer once that is as large, so there are few of them, each twice the next.
        """
        if not self._waiting:
            return None
        entries, self._waiting = self._waiting, {}
        size = sum(map(len, entries.values()))
        if not size:
            return None
        merged: list[Segment] = []
        while self._parts and len(self._parts[0].segment) <= max(size, _LEAST):
            older = self._parts.pop(0)
            merged.append(older.segment)
            alive = {path: entry for path, entry in older.entries.items() if self._entries[path] is entry}
            entries = {**alive, **entries}
            size += len(older.segment)
        segment = build(entries.values(), _reusing(merged, rows_of))
        self._parts.insert(0, _Part(segment, entries))
        return segment

    def segments(self) -> list[tuple[Segment, list[str]]]:
        """Return the segments, newest first, each with its files that are not live in it."""
        own = self._entries
        return [
            (part.segment, [path for path, entry in part.entries.items() if own[path] is not entry])
            for part in self._parts
        ]


def _reusing(
    segments: Sequence[Segment], rows_of: Callable[[Sequence[bytes]], Vectors]
) -> Callable[[Sequence[bytes]], Vectors]:
    """Return a function that takes rows from segments where they are, and else from `rows_of`.

    A row of zeros may be one that was not known then.
    """
    known: dict[bytes, int] = {}
    starts = np.cumsum([0, *map(len, segments)]).tolist()
    for start, segment in zip(starts, segments, strict=False):
        rows = np.flatnonzero(segment.vectors.any(axis=1))
        known.update(zip(split_keys(segment.keys[rows]), (start + rows).tolist(), strict=True))

    def rows_of_all(keys: Sequence[bytes]) -> Vectors:
        places = np.array([known.get(key, -1) for key in keys], dtype=np.int64)
        unknown = np.flatnonzero(places < 0).tolist()
        asked = rows_of([keys[place] for place in unknown])
        vectors = np.empty((len(keys), asked.shape[1]), np.float32)
        vectors[unknown] = asked
        for (start, end), segment in zip(pairwise(starts), segments, strict=True):
            own = (places >= start) & (places < end)
            vectors[own] = segment.vectors[places[own] - start]
        return vectors

    return rows_of_all if known else rows_of
