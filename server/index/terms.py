"""Terms: the words of a question looked up in all layers, with their weight among the live units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from server.index.layers import Layer
from server.index.lexical import FieldWeights, idf, phrase_terms, prefix_terms, query_terms

if TYPE_CHECKING:
    from server.index.features import Candidates

Postings = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint32]]
"""The rows a term stands in, ascending, and its packed counts there."""
MOST_TERMS = 40
"""The rarest words of a long text stand for it; more of them are common ones that change nothing."""


@dataclass(frozen=True, slots=True)
class Group:
    """Some terms with their rarity among the live units, whatever layers those lie in (invariant 1)."""

    terms: tuple[str, ...]
    idf: npt.NDArray[np.float64]
    postings: tuple[tuple[Postings, ...], ...]
    """By layer, then by term."""
    most: float
    """The sum of all idf, above 0."""

    def packed(self, found: Candidates) -> npt.NDArray[np.uint32]:
        """Return (terms, n) the packed counts of each term in each candidate."""
        counts = np.zeros((len(self.terms), len(found)), dtype=np.uint32)
        ends = np.searchsorted(found.layer_of, np.arange(len(self.postings) + 1)).tolist()
        for layer, postings in enumerate(self.postings):
            low, high = ends[layer], ends[layer + 1]
            if low == high:
                continue
            wanted = found.rows[low:high].astype(np.int32)  # as postings are: no copy of them is made
            for term, (rows, packed) in enumerate(postings):
                if len(rows):
                    at = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
                    counts[term, low:high] = np.where(rows[at] == wanted, packed[at], 0)
        return counts


@dataclass(frozen=True, slots=True)
class Terms:
    """What is looked up for a question."""

    words: Group
    phrases: Group
    """Neighbouring words written as one."""
    prefixes: Group
    """The first letters of words, among names alone."""
    layers: tuple[Layer, ...]
    mean_length: float
    """Words of a live unit."""

    def bm25(self, weights: FieldWeights) -> list[npt.NDArray[np.float64]]:
        """Return BM25 of each row of each layer as a share of the most there can be.

        A row's score is summed in the order of the words, so it is the same in any layer.
        """
        found = []
        for postings, layer in zip(self.words.postings, self.layers, strict=True):
            totals = layer.segment.totals
            scores = np.zeros(len(totals))
            for share, (rows, packed) in zip((self.words.idf / self.words.most).tolist(), postings, strict=True):
                if len(rows):
                    factor = weights.saturate(weights.frequencies(packed), totals[rows], self.mean_length)
                    scores[rows] += share * factor
            found.append(scores)
        return found

    def shares(self, weights: FieldWeights, layer: Layer, row: int) -> dict[str, float]:
        """Return what each word adds to the BM25 share of a row; they sum to it."""
        number = next(number for number, one in enumerate(self.layers) if one is layer)
        length = layer.segment.totals[row : row + 1]
        found = {}
        for term, weight, (rows, packed) in zip(
            self.words.terms, self.words.idf.tolist(), self.words.postings[number], strict=True
        ):
            at = int(np.searchsorted(rows, row))
            if at < len(rows) and int(rows[at]) == row:
                factor = weights.saturate(weights.frequencies(packed[at : at + 1]), length, self.mean_length)
                found[term] = float(factor[0]) * weight / self.words.most
        return found


def look_up(layers: Sequence[Layer], text: str, keep: int = MOST_TERMS) -> Terms:
    """Look the words of a text up in all layers; of too many, `keep` the rarest."""
    count = sum(layer.count for layer in layers)
    length = sum(layer.words for layer in layers) / max(count, 1)
    words = query_terms(text)
    phrases: dict[str, int] = {}
    prefixes: dict[str, int] = {}
    if len(words) <= keep:
        phrases = {str(number): number for number in phrase_terms(text)}
        prefixes = prefix_terms(text)
    return Terms(
        _group(layers, words, count, keep),
        _group(layers, phrases, count, keep),
        _group(layers, prefixes, count, keep),
        tuple(layers),
        length,
    )


def _group(layers: Sequence[Layer], hashes: dict[str, int], count: int, keep: int) -> Group:
    found: list[tuple[str, float, list[Postings]]] = []
    unseen: set[str] = set()
    for term, number in hashes.items():
        postings = [layer.segment.postings(number) for layer in layers]
        frequency = sum(
            len(rows) if layer.count == len(layer.live) else int(np.count_nonzero(layer.live[rows]))
            for layer, (rows, _) in zip(layers, postings, strict=True)
        )
        found.append((term, idf(count, frequency), postings))
        if not frequency:
            unseen.add(term)
    if len(found) > keep:
        found = sorted(found, key=lambda one: (one[0] in unseen, -one[1], one[0]))[:keep]
    rarity = np.array([weight for _, weight, _ in found])
    by_layer = tuple(tuple(postings[number] for _, _, postings in found) for number in range(len(layers)))
    return Group(tuple(term for term, _, _ in found), rarity, by_layer, max(sum(rarity.tolist()), 1e-9))
