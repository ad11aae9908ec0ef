"""Segment: rows of units as arrays, the one shape that disk, delta and open buffers share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from server.index.columns import KEY_BYTES, Columns, FileEntry, split_keys
from server.index.names import NameTable
from server.types import Span, Vectors

_DECODER = json.JSONDecoder()
Number = TypeVar("Number", bound=np.generic)


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
    lengths: npt.NDArray[np.float32]
    """(n,) sum of the weighted term frequencies."""
    terms: npt.NDArray[np.uint64]
    """(t,) ascending."""
    term_ends: npt.NDArray[np.int64]
    """(t,) where each term's postings end."""
    posting_rows: npt.NDArray[np.int32]
    posting_weights: npt.NDArray[np.float32]
    vectors: Vectors
    """(n, dimensions) unit rows."""
    keys: npt.NDArray[np.uint8]
    """(n, 16)"""
    is_intact: Callable[[], bool] = lambda: True
    """Tell whether the files behind mapped arrays are still whole: to read past the end of one ends the process."""
    near: Callable[[Vectors, int], npt.NDArray[np.int64]] | None = None
    """Approximate neighbours of a vector, where a tree was built: (vector, how many) to rows."""

    def __len__(self) -> int:
        return len(self.kinds)

    @cached_property
    def file_ids(self) -> dict[str, int]:
        """Return the number of each path."""
        return {path: number for number, path in enumerate(self.paths)}

    @cached_property
    def name_table(self) -> NameTable:
        """Return the names to look through, made when first asked for."""
        return NameTable(self.text, self.text_ends)

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
        return Span(*numbers[:6]), Span(*numbers[6:])

    def postings(self, term: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return the rows a term stands in, ascending, and its weighted frequencies there."""
        position = int(np.searchsorted(self.terms, np.uint64(term)))
        if position == len(self.terms) or int(self.terms[position]) != term:
            return self.posting_rows[:0], self.posting_weights[:0]
        start = int(self.term_ends[position - 1]) if position else 0
        end = int(self.term_ends[position])
        return self.posting_rows[start:end], self.posting_weights[start:end]

    def rows_of(self, path: str) -> range:
        """Return the rows of a file."""
        number = self.file_ids.get(path)
        if number is None:
            return range(0)
        return range(int(np.searchsorted(self.file_of, number)), int(np.searchsorted(self.file_of, number, "right")))


SEGMENT_ARRAYS = (
    ("file_of", np.int32),
    ("language_of", np.uint8),
    ("kinds", np.uint8),
    ("spans", np.uint32),
    ("text", np.uint8),
    ("text_ends", np.int64),
    ("names", np.uint64),
    ("lengths", np.float32),
    ("terms", np.uint64),
    ("term_ends", np.int64),
    ("posting_rows", np.int32),
    ("posting_weights", np.float32),
    ("vectors", np.float32),
    ("keys", np.uint8),
)
"""The array fields of a segment with their types, in the order a generation writes them."""


def build(files: Iterable[FileEntry], rows_of: Callable[[Sequence[bytes]], Vectors]) -> Segment:
    """Build the segment of some files; `rows_of` gives (n, dimensions) vectors for n keys."""
    ordered = sorted((file for file in files if len(file)), key=lambda file: file.path)
    parts = [file.columns for file in ordered if file.columns is not None]
    counts = [len(part) for part in parts]
    languages = tuple(sorted({file.language for file in ordered}))
    numbers = np.array([languages.index(file.language) for file in ordered], dtype=np.uint8)
    keys = _join([part.keys for part in parts], np.uint8).reshape(-1, KEY_BYTES)
    terms, term_ends, posting_rows, posting_weights = _invert(parts)
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
        lengths=_join([part.lengths for part in parts], np.float32),
        terms=terms,
        term_ends=term_ends,
        posting_rows=posting_rows,
        posting_weights=posting_weights,
        vectors=rows_of(split_keys(keys)),
        keys=keys,
    )


def _invert(
    parts: list[Columns],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Turn terms by unit into postings by term: terms, where each one's postings end, rows and weights."""
    hashes = _join([part.hashes for part in parts], np.uint64)
    weights = _join([part.weights for part in parts], np.float32)
    counts = _join([part.term_counts for part in parts], np.uint32)
    rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    order = np.argsort(hashes, kind="stable")  # stable: rows stay ascending within a term
    hashes = hashes[order]
    is_last = np.append(hashes[1:] != hashes[:-1], True) if len(hashes) else np.empty(0, np.bool_)
    ends = np.flatnonzero(is_last) + 1
    return hashes[ends - 1], ends.astype(np.int64), rows[order], weights[order]


def _join(arrays: list[npt.NDArray[Number]], kind: type[Number]) -> npt.NDArray[Number]:
    return np.concatenate(arrays) if arrays else np.empty(0, kind)
