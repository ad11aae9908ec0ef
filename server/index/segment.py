"""Segment: rows of units as arrays, the one shape that disk, delta and open buffers share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from server.index.lexical import Bag, term_hash
from server.types import FileStamp, Kind, Span, Vectors

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Record:
    """A unit as the index keeps it: all but its body."""

    kind: Kind
    language: str
    name: str
    container: str
    signature: str
    detail: str
    name_span: Span
    span: Span
    key: bytes
    """Content address of the vector: hash of the encoder's fingerprint and the passage (invariant 3)."""
    bag: Bag


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file as the index keeps it; without records when it was skipped for `reason`."""

    path: str
    stamp: FileStamp
    language: str
    records: tuple[Record, ...]
    reason: str | None = None


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
    near: Callable[[Vectors, int], npt.NDArray[np.int64]] | None = None
    """Approximate neighbours of a vector, where a tree was built: (vector, how many) to rows."""

    def __len__(self) -> int:
        return len(self.kinds)

    @cached_property
    def file_ids(self) -> dict[str, int]:
        """Return the number of each path."""
        return {path: number for number, path in enumerate(self.paths)}

    def strings(self, row: int) -> tuple[str, str, str, str]:
        """Return name, container, signature and detail of a row."""
        start = int(self.text_ends[row - 1]) if row else 0
        name, container, signature, detail = json.loads(self.text[start : int(self.text_ends[row])].tobytes())
        return name, container, signature, detail

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


def name_hash(name: str) -> int:
    """Return the number under which exact names are found, whatever their case and underscores."""
    return term_hash("\0name:" + name.replace("_", "").replace("-", "").casefold())


def build(files: Iterable[FileEntry], vectors_of: Callable[[Sequence[bytes]], Vectors]) -> Segment:
    """Build the segment of some files; `vectors_of` gives (n, dimensions) rows for n keys."""
    ordered = sorted((file for file in files if file.records), key=lambda file: file.path)
    records = [record for file in ordered for record in file.records]
    languages = tuple(sorted({record.language for record in records}))
    language_ids = {language: number for number, language in enumerate(languages)}
    texts = [
        json.dumps((r.name, r.container, r.signature, r.detail), ensure_ascii=True).encode("ascii") for r in records
    ]
    terms, term_ends, posting_rows, posting_weights = _invert([record.bag for record in records])
    keys = [record.key for record in records]
    return Segment(
        paths=tuple(file.path for file in ordered),
        languages=languages,
        file_of=np.repeat(np.arange(len(ordered), dtype=np.int32), [len(file.records) for file in ordered]),
        language_of=np.array([language_ids[record.language] for record in records], dtype=np.uint8),
        kinds=np.array([record.kind for record in records], dtype=np.uint8),
        spans=np.array([span_numbers(r.name_span) + span_numbers(r.span) for r in records], dtype=np.uint32).reshape(
            len(records), 12
        ),
        text=np.frombuffer(b"".join(texts), dtype=np.uint8),
        text_ends=np.cumsum([len(text) for text in texts], dtype=np.int64),
        names=np.array([name_hash(record.name) for record in records], dtype=np.uint64),
        lengths=np.array([record.bag.weights.sum(dtype=np.float64) for record in records], dtype=np.float32),
        terms=terms,
        term_ends=term_ends,
        posting_rows=posting_rows,
        posting_weights=posting_weights,
        vectors=vectors_of(keys),
        keys=np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), 16),
    )


def span_numbers(span: Span) -> tuple[int, int, int, int, int, int]:
    """Return the six numbers of a span, in the order of its fields."""
    return span.start, span.end, span.start_row, span.start_column, span.end_row, span.end_column


def _invert(
    bags: list[Bag],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Turn bags by row into postings by term: terms, their ends, rows and weights."""
    if not bags:
        return (np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))
    hashes = np.concatenate([bag.hashes for bag in bags])
    weights = np.concatenate([bag.weights for bag in bags])
    rows = np.repeat(np.arange(len(bags), dtype=np.int32), [len(bag.hashes) for bag in bags])
    order = np.argsort(hashes, kind="stable")  # stable: rows stay ascending within a term
    hashes = hashes[order]
    starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1]))) if len(hashes) else np.empty(0, int)
    ends = np.append(starts[1:], len(hashes)).astype(np.int64) if len(starts) else np.empty(0, np.int64)
    return hashes[starts], ends, rows[order], weights[order]
