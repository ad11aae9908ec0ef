"""Search: candidates by meaning, by word and by name, scored exactly, best first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from server.index import sketch
from server.index.features import Candidates
from server.index.layers import Layer
from server.index.lexical import FieldWeights, field_mask
from server.index.question import Question
from server.index.terms import Terms
from server.types import CancelToken, Filter, Vectors

CANDIDATES = 150
"""From each of the dense and the lexical list; RESULTS.md has what fewer and more are worth."""
_TOLERANCE = 1e-4
"""What the fast float32 scan may be off by; rows this near to the last candidate are scored exactly before the cut."""
_LEAST_COSINE = 1e-9
"""Exact cosines are rounded to it; below, nothing is alike."""
_NARROW = 2
"""Where no more than one row in so many passes, trees would find too few."""
FEW = 6_000
"""Rows that pass up to which all of them are compared."""
SHORTLIST = 3_000
"""Of more, so many that are nearest by their codes; RESULTS.md has what that leaves out."""
_NEVER = np.iinfo(np.uint16).max
_BATCH = 256
"""Rows copied at once."""

Mask = npt.NDArray[np.bool_]
Column = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def candidates(
    layers: Sequence[Layer],
    masks: Sequence[Mask],
    vector: Vectors,
    terms: Terms,
    question: Question,
    weights: FieldWeights,
    token: CancelToken,
) -> Candidates:
    """Return the rows that may answer among those that the masks let pass.

    Which rows these are depends on the live rows alone, not on the layers they lie in (invariant 1).
    """
    words = terms.bm25(weights)
    token.check()
    lists = [_best(masks, words), _near(layers, masks, vector)]
    token.check()
    if question.named:
        named = [mask & _called(layer, question) for layer, mask in zip(layers, masks, strict=True)]
        lists.append(_best(named, [part + 1.0 for part in words]))
    rows = [np.unique(np.concatenate([found[number] for found in lists])) for number in range(len(layers))]
    cosines = [exact_cosines(layer.segment.vectors[each], vector) for layer, each in zip(layers, rows, strict=True)]
    return Candidates(
        layers,
        layer_of=np.repeat(np.arange(len(rows)), [len(each) for each in rows]),
        rows=np.concatenate(rows),
        cosines=np.concatenate(cosines),
        words=np.concatenate([part[each] for part, each in zip(words, rows, strict=True)]),
        file_words=np.concatenate(
            [_of_file(layer, part, each) for layer, part, each in zip(layers, words, rows, strict=True)]
        ),
    )


def mask_of(layer: Layer, wanted: Filter) -> Mask:
    """Return which rows of a layer are live and pass the filter; filters act before scoring, so lists stay full."""
    segment = layer.segment
    mask = layer.live
    if wanted.scope is not None and wanted.scope[0] != layer.folder:
        return np.zeros(len(segment), np.bool_)
    if wanted.languages:
        passing = np.array([language in wanted.languages for language in segment.languages], dtype=np.bool_)
        mask = mask & (passing[segment.language_of] if len(passing) else False)
    if wanted.kinds:
        mask = mask & np.isin(segment.kinds, [int(kind) for kind in sorted(wanted.kinds)])
    prefix = wanted.scope[1] if wanted.scope else ""
    if wanted.include or wanted.exclude or prefix:
        files = segment.files_passing(wanted.include, wanted.exclude, prefix)
        mask = mask & (files[segment.file_of] if len(files) else False)
    return mask


def within_fields(masks: Sequence[Mask], terms: Terms, fields: frozenset[str]) -> list[Mask]:
    """Return which rows of the masks have a word of the question in one of these fields."""
    bits = np.uint32(field_mask(fields))
    passing = []
    for mask, postings in zip(masks, terms.words.postings, strict=True):
        found = np.zeros(len(mask), np.bool_)
        for rows, packed in postings:
            found[rows[(packed & bits) > 0]] = True
        passing.append(mask & found)
    return passing


def exact_cosines(rows: Vectors, vector: Vectors) -> Column:
    """Return the cosine of each row, which depends on row and vector alone, not on the matrix the row stands in.

    The components are float16 values (invariant 11), so that in float64 the products are exact and so is nearly
    every sum.
    """
    products = rows.astype(np.float64) * vector.astype(np.float64)
    cosines: Column = products.sum(axis=1).round(9)
    return cosines


def _near(layers: Sequence[Layer], masks: Sequence[Mask], vector: Vectors) -> list[Rows]:
    """Return the rows nearest to a vector in each layer, `CANDIDATES` in all and what ties with the last of them."""
    if not vector.any():
        return [np.empty(0, np.int64) for _ in layers]
    passing = sum(map(np.count_nonzero, masks))
    is_few = passing <= FEW and all(layer.segment.near is None for layer in layers)
    rows = [np.flatnonzero(mask) for mask in masks] if is_few else _shortlist(layers, masks, vector)
    return _nearest(layers, rows, vector)


def _shortlist(layers: Sequence[Layer], masks: Sequence[Mask], vector: Vectors) -> list[Rows]:
    """Return the rows that pass and may be nearest by their codes: some `SHORTLIST` different ones in all.

    In a layer with a tree (very many rows) it tells which ones, unless the mask lets few of them pass.
    """
    chosen: list[Rows | None] = [_by_tree(layer, mask, vector) for layer, mask in zip(layers, masks, strict=True)]
    apart = [
        np.empty(0, np.uint16) if rows is not None else sketch.distances(layer.segment.codes, vector)
        for layer, rows in zip(layers, chosen, strict=True)
    ]
    for each, mask in zip(apart, masks, strict=True):
        if len(each):
            each[~mask] = _NEVER
    near = _nearest_codes(layers, apart)
    return [own if rows is None else rows for own, rows in zip(near, chosen, strict=True)]


def _nearest_codes(layers: Sequence[Layer], apart: Sequence[npt.NDArray[np.uint16]]) -> list[Rows]:
    """Return the rows of each layer with the nearest codes: some `SHORTLIST` different ones, and ties with the last.

    Rows are not counted: a thousand copies of one text would keep out what is nearer than they are.
    """
    merged = np.concatenate(apart)
    wanted = SHORTLIST
    while True:
        most = min(int(np.partition(merged, wanted)[wanted]) if len(merged) > wanted else _NEVER, _NEVER - 1)
        rows = [np.flatnonzero(each <= most) for each in apart]
        found = [layer.segment.codes[:, own] for layer, own in zip(layers, rows, strict=True)]
        lacking = SHORTLIST - sketch.different(found)
        if lacking <= SHORTLIST // 10 or most == _NEVER - 1:
            return rows
        wanted = sum(map(len, rows)) + lacking


def _by_tree(layer: Layer, mask: Mask, vector: Vectors) -> Rows | None:
    """Return the rows that pass among those that a layer's tree finds; None without one, or where it finds too few."""
    if layer.segment.near is None or np.count_nonzero(mask) * _NARROW <= len(mask):
        return None
    rows = layer.segment.near(vector, CANDIDATES * 3)
    return rows[mask[rows]]


def _nearest(layers: Sequence[Layer], rows: Sequence[Rows], vector: Vectors) -> list[Rows]:
    """Return the rows with the largest products above 0 with a vector: `CANDIDATES` in all, and ties.

    The fast product decides where it can, the exact one about the rows that are as near to the last as its error.
    """
    scores = [_products(layer.segment.vectors, each, vector) for layer, each in zip(layers, rows, strict=True)]
    least = max(_last(scores, CANDIDATES), 0.0)
    sure = [each[score > least + _TOLERANCE] for each, score in zip(rows, scores, strict=True)]
    close = [each[np.abs(score - least) <= _TOLERANCE] for each, score in zip(rows, scores, strict=True)]
    exact = [exact_cosines(layer.segment.vectors[each], vector) for layer, each in zip(layers, close, strict=True)]
    least = max(_last(exact, CANDIDATES - sum(map(len, sure))), _LEAST_COSINE)
    return [
        np.concatenate([each, other[cosines >= least]]) for each, other, cosines in zip(sure, close, exact, strict=True)
    ]


def _products(vectors: Vectors, rows: Rows, vector: Vectors) -> npt.NDArray[np.float32]:
    """Return the product of some rows with a vector; a few rows at a time, which stay in the processor's cache."""
    products = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _BATCH):
        batch = slice(start, start + _BATCH)
        np.vecdot(vectors[rows[batch]], vector, products[batch])
    return products


def _best(masks: Sequence[Mask], scores: Sequence[Column]) -> list[Rows]:
    """Return the rows with the best scores above 0 in each layer, likewise."""
    passing = [np.flatnonzero(mask & (part > 0)) for mask, part in zip(masks, scores, strict=True)]
    found = [part[rows] for part, rows in zip(scores, passing, strict=True)]
    least = _last(found, CANDIDATES)
    return [rows[part >= least] for rows, part in zip(passing, found, strict=True)]


def _last(scores: Sequence[npt.NDArray[np.floating]], most: int) -> float:
    """Return the score of the last of so many that there is room for."""
    merged = np.concatenate(scores)
    if len(merged) <= most:
        return -np.inf
    return float(np.partition(merged, len(merged) - most)[len(merged) - most])


def _called(layer: Layer, question: Question) -> Mask:
    """Return which rows have a name that was asked for."""
    found = np.zeros(len(layer.segment), np.bool_)
    for name in question.named:
        found |= layer.segment.names == np.uint64(name)
    return found


def _of_file(layer: Layer, words: Column, rows: Rows) -> Column:
    """Return the best score in the file of each of some rows."""
    if not len(rows):
        return np.empty(0)
    files, of = np.unique(layer.segment.file_of[rows], return_inverse=True)
    first, end = layer.segment.file_bounds[files], layer.segment.file_bounds[files + 1]
    starts = np.cumsum(end - first) - (end - first)
    # The rows of these files, one after another: what all files have at best would take as long as the words.
    inside = np.repeat(first - starts, end - first) + np.arange(int((end - first).sum()))
    best: Column = np.maximum.reduceat(words[inside], starts)[of]
    return best
