"""Search: candidates by meaning and by word, scored exactly, best first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.index import rank
from server.index.columns import name_hash
from server.index.layers import Layer
from server.index.lexical import idf, saturate, stem
from server.index.question import Question, globs
from server.index.segment import Segment
from server.types import CancelToken, Filter, Kind, Vectors

CANDIDATES = 150
"""From each of the dense and the lexical list; not tuned yet."""
_TOLERANCE = 1e-4
"""What the fast float32 scan may be off by; rows this near to the last candidate stay in and are scored exactly."""

Mask = npt.NDArray[np.bool_]
Place = tuple[int, int]
"""(number of the layer, row in it)"""


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its score and what it is made of."""

    layer: Layer
    row: int
    score: float
    similarity: float
    lexical: float


@dataclass(frozen=True, slots=True)
class Terms:
    """The words asked for, with their weight among the live units, whatever layers those lie in (invariant 1)."""

    idf: dict[str, float]
    hashes: dict[str, int]
    stats: tuple[int, float]
    """Live units, and their mean length."""

    @property
    def most(self) -> float:
        """Return the most that a unit can score."""
        return sum(self.idf.values())


def weigh(layers: Sequence[Layer], hashes: dict[str, int], keep: int | None = None) -> Terms:
    """Look the words up in all layers; of too many, `keep` the rarest."""
    count = sum(int(np.count_nonzero(layer.live)) for layer in layers)
    total = sum(float(layer.segment.lengths[layer.live].sum(dtype=np.float64)) for layer in layers)
    found: dict[str, float] = {}
    for term, number in hashes.items():
        frequency = sum(int(np.count_nonzero(layer.live[layer.segment.postings(number)[0]])) for layer in layers)
        found[term] = idf(count, frequency)
    if keep is not None and len(found) > keep:
        found = dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))[:keep])
    return Terms(found, {term: hashes[term] for term in found}, (count, total / max(count, 1)))


def find(
    layers: Sequence[Layer],
    masks: Sequence[Mask],
    vector: Vectors,
    terms: Terms,
    question: Question,
    token: CancelToken,
) -> list[Scored]:
    """Return the best candidates among the rows that the masks let pass; ties by path, then position."""
    if not layers:
        return []
    lexical = []
    for layer in layers:
        token.check()
        lexical.append(_bm25(layer.segment, terms))
    places: set[Place] = set()
    if vector.any():
        places.update(_best(masks, [_scan(layer, mask, vector) for layer, mask in zip(layers, masks, strict=True)]))
    token.check()
    places.update(_best(masks, lexical))
    named_in: dict[int, set[str]] = {}
    for container, own in question.names:
        named_in.setdefault(name_hash(own), set()).add(container.casefold())
    wanted_names = sorted(named_in)
    named = [mask & np.isin(layer.segment.names, wanted_names) for layer, mask in zip(layers, masks, strict=True)]
    places.update(_best(named, lexical))
    wanted = rank.stems(question.text)
    by_stem = {stem(term): weight for term, weight in terms.idf.items()}
    most = terms.most
    scored = []
    for number, layer in enumerate(layers):
        rows = sorted(row for other, row in places if other == number)
        segment = layer.segment
        cosines = exact_cosines(segment.vectors[rows], vector)
        for row, cosine in zip(rows, cosines, strict=True):
            words = float(lexical[number][row]) / most if most else 0.0
            is_test = rank.is_test_path(segment.paths[segment.file_of[row]])
            features = rank.Features(
                dense=max(cosine, 0.0),
                lexical=words,
                name=rank.name_overlap(segment.name(row), wanted, by_stem),
                exact_name=0.0 if question.wants_tests else _exact_name(segment, row, named_in),
                is_out_of_place=not question.allows_tests if is_test else question.wants_tests,
                kind=Kind(int(segment.kinds[row])),
            )
            scored.append(Scored(layer, row, rank.score(features), cosine, words))
    return sorted(scored, key=_order)[: question.limit]


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
        include, exclude = globs(wanted.include), globs(wanted.exclude)

        def passes(path: str) -> bool:
            inside = not prefix or path == prefix or path.startswith(prefix + "/")
            return (
                inside
                and (not wanted.include or include.match_file(path))
                and not (wanted.exclude and exclude.match_file(path))
            )

        files = np.fromiter(map(passes, segment.paths), dtype=np.bool_, count=len(segment.paths))
        mask = mask & (files[segment.file_of] if len(files) else False)
    return mask


def exact_cosines(rows: Vectors, vector: Vectors) -> list[float]:
    """Return the cosine of each row, which depends on row and vector alone, not on the matrix the row stands in.

    The components are float16 values (invariant 11), so that in float64 the products are exact and so is nearly
    every sum.
    """
    products = rows.astype(np.float64) * vector.astype(np.float64)
    cosines: list[float] = products.sum(axis=1).round(9).tolist()
    return cosines


def term_shares(segment: Segment, row: int, terms: Terms) -> dict[str, float]:
    """Return what each word adds to the lexical score of a row; the shares sum to that score."""
    shares = {}
    for term, number in terms.hashes.items():
        rows, weights = segment.postings(number)
        at = int(np.searchsorted(rows, row))
        if at < len(rows) and int(rows[at]) == row:
            factor = saturate(weights[at : at + 1], segment.lengths[row : row + 1], terms.stats[1])
            shares[term] = float(factor[0]) * terms.idf[term] / terms.most
    return shares


def _bm25(segment: Segment, terms: Terms) -> npt.NDArray[np.float64]:
    """Return BM25 of each row, summed in the order of the words so that a row's sum is the same in any layer."""
    scores = np.zeros(len(segment), dtype=np.float64)
    for term, weight in terms.idf.items():
        rows, weights = segment.postings(terms.hashes[term])
        if len(rows):
            scores[rows] += weight * saturate(weights, segment.lengths[rows], terms.stats[1])
    return scores


def _scan(layer: Layer, mask: Mask, vector: Vectors) -> npt.NDArray[np.float64]:
    """Return the cosine of each row, or of the approximate neighbours alone where a tree answers well enough."""
    segment = layer.segment
    near: Callable[[Vectors, int], npt.NDArray[np.int64]] | None = segment.near
    # A narrow filter would throw most neighbours away: then the few rows that pass are scanned exactly.
    if near is not None and np.count_nonzero(mask) * 2 > len(segment):
        rows = near(vector, CANDIDATES * 3)
        scores = np.full(len(segment), -np.inf)
        scores[rows] = segment.vectors[rows] @ vector
        return scores
    return (segment.vectors @ vector).astype(np.float64)


def _best(masks: Sequence[Mask], scores: Sequence[npt.NDArray[np.float64]]) -> Iterable[Place]:
    """Return the places of the best rows over all layers, with everything that nearly ties with the last of them."""
    passing = [np.flatnonzero(mask & (part > 0)) for mask, part in zip(masks, scores, strict=True)]
    merged = np.concatenate([part[rows] for part, rows in zip(scores, passing, strict=True)])
    if len(merged) > CANDIDATES:
        last = np.partition(merged, len(merged) - CANDIDATES)[len(merged) - CANDIDATES]
        passing = [rows[part[rows] >= last - _TOLERANCE] for part, rows in zip(scores, passing, strict=True)]
    return [(number, int(row)) for number, rows in enumerate(passing) for row in rows]


def _exact_name(segment: Segment, row: int, named_in: dict[int, set[str]]) -> float:
    """Return how exactly a row is what was named, given the containers in which each name was asked for."""
    containers = named_in.get(int(segment.names[row]))
    if containers is None:
        return 0.0
    own = segment.strings(row)[1].rpartition(".")[2].casefold()
    return 1.0 if "" in containers or own in containers else rank.FOREIGN_NAME


def _order(scored: Scored) -> tuple[float, str, str, int]:
    segment = scored.layer.segment
    path = segment.paths[segment.file_of[scored.row]]
    return -scored.score, scored.layer.folder, path, int(segment.spans[scored.row][6])
