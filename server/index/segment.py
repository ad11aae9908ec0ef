"""Segment: rows of units as arrays, the one shape that disk, delta and open buffers share."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from server.globs import Rules
from server.index import sketch
from server.index.columns import KEY_BYTES, Columns, FileEntry, split_keys
from server.index.lexical import FIELDS
from server.index.names import NameTable
from server.index.sketch import Codes
from server.types import Span, Vectors

_DECODER = json.JSONDecoder()
Number = TypeVar("Number", bound=np.generic)
_PATH_FILTERS = 16
"""Filters by path whose files are remembered."""


@dataclass(frozen=True)
class Segment:
    """An immutable set of rows, ordered by path and then by position in the file."""

    paths: tuple[str, ...]
    languages: tuple[str, ...]
    file_of: npt.NDArray[np.int32]
    """(n,) index into paths."""
    language_of: npt.NDArray[np.uint8]
    """(n,) index into languages."""
    kinds: npt.NDArray[np.uint8]
    spans: npt.NDArray[np.uint32]
    """(n, 12): name span, then whole span."""
    text: npt.NDArray[np.uint8]
    text_ends: npt.NDArray[np.int64]
    """(n,) where each row's JSON [name, container, signature, detail] ends in `text`."""
    names: npt.NDArray[np.uint64]
    """(n,) hash of the folded name."""
    digests: npt.NDArray[np.uint64]
    """(n,) equal for copies."""
    lengths: npt.NDArray[np.uint16]
    """(n, 7) words in each field."""
    flags: npt.NDArray[np.uint8]
    terms: npt.NDArray[np.uint64]
    """(t,) ascending."""
    term_ends: npt.NDArray[np.int64]
    """(t,) where each term's postings end."""
    posting_rows: npt.NDArray[np.int32]
    posting_counts: npt.NDArray[np.uint32]
    """How often the term stands in each field of the row, packed as `lexical` says."""
    vectors: Vectors
    """(n, dimensions) unit rows."""
    keys: npt.NDArray[np.uint8]
    """(n, 16)"""
    is_intact: Callable[[], bool] = lambda: True
    """Tell whether the files behind mapped arrays are still whole: to read past the end of one ends the process."""
    kept_codes: Codes | None = None
    """`codes` of a generation, which come from its file."""
    near: Callable[[Vectors, int], npt.NDArray[np.int64]] | None = None
    """Approximate neighbours of a vector, where a tree was built: (vector, how many) to rows."""

    def __len__(self) -> int:
        return len(self.kinds)

    @cached_property
    def file_ids(self) -> dict[str, int]:
        """Return the number of each path."""
        return {path: number for number, path in enumerate(self.paths)}

    @cached_property
    def files_passing(self) -> Callable[[tuple[str, ...], tuple[str, ...], str], npt.NDArray[np.bool_]]:
        """Tell which files lie in a folder (or are it), match a glob and none of others: (globs, others, folder).

        The last answers are remembered, as the next question mostly has the same filter.
        """
        return lru_cache(maxsize=_PATH_FILTERS)(partial(_passing, self.paths))

    @cached_property
    def name_table(self) -> NameTable:
        """Return the names to look through, made when first asked for."""
        return NameTable(self.text, self.text_ends)

    @cached_property
    def codes(self) -> Codes:
        """Return what tells which rows may be near a vector; of rows that are in no file, made when first asked for."""
        return sketch.codes(self.vectors) if self.kept_codes is None else self.kept_codes

    @cached_property
    def totals(self) -> npt.NDArray[np.int64]:
        """Return (n,) the words of each row."""
        total: npt.NDArray[np.int64] = self.lengths.sum(axis=1, dtype=np.int64)
        return total

    @cached_property
    def file_bounds(self) -> npt.NDArray[np.int64]:
        """Return (files + 1,) the first row of each file, of which each has one, and where the last file ends."""
        return np.searchsorted(self.file_of, np.arange(len(self.paths) + 1))

    @cached_property
    def depths(self) -> npt.NDArray[np.float64]:
        """Return (files,) how many folders each file lies in."""
        return np.array([path.count("/") for path in self.paths], dtype=np.float64)

    def strings(self, row: int) -> tuple[str, str, str, str]:
        """Return name, container, signature and detail of a row."""
        start = int(self.text_ends[row - 1]) if row else 0
        text = self.text[start : int(self.text_ends[row])].tobytes().decode("ascii")
        name, container, signature, detail = json.loads(text)
        return name, container, signature, detail

    def name(self, row: int) -> str:
        """Return the name of a row."""
        start = int(self.text_ends[row - 1]) if row else 0
        text = self.text[start : int(self.text_ends[row])].tobytes().decode("ascii")
        name, _ = _DECODER.raw_decode(text, 1)  # the row begins with `["name"`
        return str(name)

    def row_spans(self, row: int) -> tuple[Span, Span]:
        """Return the span of the name and of the whole definition."""
        numbers = self.spans[row].tolist()
        return Span._make(numbers[:6]), Span._make(numbers[6:])

    def postings(self, term: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
        """Return the rows a term stands in, ascending, and its packed counts there."""
        position = int(np.searchsorted(self.terms, np.uint64(term)))
        if position == len(self.terms) or int(self.terms[position]) != term:
            return self.posting_rows[:0], self.posting_counts[:0]
        start = int(self.term_ends[position - 1]) if position else 0
        end = int(self.term_ends[position])
        return self.posting_rows[start:end], self.posting_counts[start:end]

    def rows_of(self, path: str) -> range:
        """Return the rows of a file."""
        number = self.file_ids.get(path)
        if number is None:
            return range(0)
        return range(*self.file_bounds[number : number + 2].tolist())


SEGMENT_ARRAYS = (
    ("file_of", np.int32),
    ("language_of", np.uint8),
    ("kinds", np.uint8),
    ("spans", np.uint32),
    ("text", np.uint8),
    ("text_ends", np.int64),
    ("names", np.uint64),
    ("digests", np.uint64),
    ("lengths", np.uint16),
    ("flags", np.uint8),
    ("terms", np.uint64),
    ("term_ends", np.int64),
    ("posting_rows", np.int32),
    ("posting_counts", np.uint32),
    ("vectors", np.float32),
    ("keys", np.uint8),
    ("codes", np.uint64),
)
"""The array fields of a segment with their types, in the order a generation writes them."""


def _passing(
    paths: tuple[str, ...], include: tuple[str, ...], exclude: tuple[str, ...], folder: str
) -> npt.NDArray[np.bool_]:
    """Return (files,) which of some paths, ascending, pass a filter."""
    chosen: Sequence[int] = range(len(paths))
    if folder:
        itself = range(bisect_left(paths, folder), bisect_right(paths, folder))
        below = range(bisect_left(paths, f"{folder}/"), bisect_left(paths, f"{folder}0"))  # "0" follows "/"
        chosen = [*itself, *below]
    inside = [paths[number] for number in chosen]
    taken = np.ones(len(inside), np.bool_)
    if include:
        taken &= np.array(Rules(include).taken(inside), dtype=np.bool_)
    if exclude:
        taken &= ~np.array(Rules(exclude).taken(inside), dtype=np.bool_)
    passing = np.zeros(len(paths), np.bool_)
    passing[chosen] = taken
    passing.setflags(write=False)  # whoever asks next gets the same
    return passing


def build(files: Iterable[FileEntry], rows_of: Callable[[Sequence[bytes]], Vectors]) -> Segment:
    """Build the segment of some files; `rows_of` gives (n, dimensions) vectors for n keys."""
    ordered = sorted((file for file in files if len(file)), key=lambda file: file.path)
    parts = [file.columns for file in ordered if file.columns is not None]
    counts = [len(part) for part in parts]
    languages = tuple(sorted({file.language for file in ordered}))
    numbers = np.array([languages.index(file.language) for file in ordered], dtype=np.uint8)
    keys = _join([part.keys for part in parts], np.uint8).reshape(-1, KEY_BYTES)
    terms, term_ends, posting_rows, posting_counts = _invert(parts)
    return Segment(
        paths=tuple(file.path for file in ordered),
        languages=languages,
        file_of=np.repeat(np.arange(len(ordered), dtype=np.int32), counts),
        language_of=np.repeat(numbers, counts),
        kinds=_join([part.kinds for part in parts], np.uint8),
        spans=_join([part.spans for part in parts], np.uint32).reshape(-1, 12),
        text=_join([part.text for part in parts], np.uint8),
        text_ends=np.cumsum(_join([part.text_sizes for part in parts], np.uint32), dtype=np.int64),
        names=_join([part.names for part in parts], np.uint64),
        digests=_join([part.digests for part in parts], np.uint64),
        lengths=_join([part.lengths for part in parts], np.uint16).reshape(-1, len(FIELDS)),
        flags=_join([part.flags for part in parts], np.uint8),
        terms=terms,
        term_ends=term_ends,
        posting_rows=posting_rows,
        posting_counts=posting_counts,
        vectors=rows_of(split_keys(keys)),
        keys=keys,
    )


def _invert(
    parts: list[Columns],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.uint32]]:
    """Turn terms by unit into postings by term: terms, where each one's postings end, rows and counts."""
    hashes = _join([part.hashes for part in parts], np.uint64)
    counts = _join([part.counts for part in parts], np.uint32)
    sizes = _join([part.term_counts for part in parts], np.uint32)
    rows = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    order = np.argsort(hashes, kind="stable")  # stable: rows stay ascending within a term
    hashes = hashes[order]
    is_last = np.append(hashes[1:] != hashes[:-1], True) if len(hashes) else np.empty(0, np.bool_)
    ends = np.flatnonzero(is_last) + 1
    return hashes[ends - 1], ends.astype(np.int64), rows[order], counts[order]


def _join(arrays: list[npt.NDArray[Number]], kind: type[Number]) -> npt.NDArray[Number]:
    return np.concatenate(arrays) if arrays else np.empty(0, kind)
