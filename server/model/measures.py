"""Measures: scores of passages for questions by several methods, and how good they are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from server.index.lexical import query_terms, stem
from server.model import encoder, tokens
from server.model.encoder import BagEncoder, Weights
from server.types import FIELDS, Encoder, Passage, Vectors

Scores = npt.NDArray[np.floating[Any]]
"""(questions, passages): higher is nearer."""

TOP = 10
_FIELD_WEIGHTS = {"name": 4.0, "container": 1.5, "signature": 1.0, "documentation": 2.0, "body": 1.0}
"""How many times an occurrence counts for BM25, as in the index."""
_K1, _B = 1.2, 0.5
_MOST_TERMS = 40
"""The rarest words of a long question, such as a whole function, stand for it; so does the index."""
_SHARES = np.arange(21) / 20
"""The shares of meaning in a fused score that are tried."""


def reciprocal_ranks(scores: Scores, own: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return 1 / rank of passage own[i] for each question; whatever scores the same as it counts as before it."""
    reached = scores[np.arange(len(own)), own]
    ranks: npt.NDArray[np.float64] = 1.0 / (scores >= reached[:, None]).sum(axis=1)
    return ranks


def mrr(scores: Scores, own: npt.NDArray[np.int64]) -> float:
    """Return the mean reciprocal rank of the answers, ties against them."""
    return float(reciprocal_ranks(scores, own).mean())


def asked(model: Encoder, questions: Sequence[str | Passage]) -> Vectors:
    """Return the vectors of questions, or of passages that others are to be like."""
    return np.stack([model.encode_query(one) if isinstance(one, str) else model.encode([one])[0] for one in questions])


def cosines(model: Encoder, questions: Sequence[str | Passage], passages: Sequence[Passage]) -> Scores:
    """Return the cosine of every question with every passage."""
    scores: Scores = asked(model, questions) @ model.encode(passages).T
    return scores


def untrained(model: BagEncoder, passages: Sequence[Passage]) -> BagEncoder:
    """Return the honest baseline: the model's tokens with random rows, weighted by their rarity."""
    vocabulary = model.vocabulary
    bags = encoder.count(vocabulary, [enumerate(passage.fields()) for passage in passages])
    holders = np.repeat(np.arange(len(passages)), np.diff(bags.starts))
    held = np.unique(np.stack((holders, bags.tokens % len(vocabulary))), axis=1)[1]
    frequency = np.bincount(held, minlength=len(vocabulary))
    rarity = np.log(1.0 + len(passages) / (1.0 + frequency))
    rows = np.random.default_rng(0).standard_normal((len(vocabulary), model.dimensions))
    fields = np.ones(len(FIELDS) + 1, dtype=np.float32)
    return BagEncoder(vocabulary, Weights(rows.astype(np.float32), rarity.astype(np.float32), fields), "untrained")


class Lexical:
    """BM25 over passages: with the subtokens, stems, stop words and weights of fields that the index has."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        held = [_terms(passage) for passage in passages]
        lengths = np.array([sum(bag.values()) for bag in held], dtype=np.float64)
        norms = _K1 * (1 - _B + _B * lengths / max(1.0, lengths.mean()))
        postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, bag in enumerate(held):
            for term, times in bag.items():
                postings[term].append((number, times))
        self._size = len(passages)
        self._terms: dict[str, tuple[float, npt.NDArray[np.int64], npt.NDArray[np.float64]]] = {}
        for term, entries in postings.items():
            places, counts = np.array([place for place, _ in entries]), np.array([times for _, times in entries])
            rarity = math.log1p((self._size - len(places) + 0.5) / (len(places) + 0.5))
            self._terms[term] = rarity, places, rarity * counts / (counts + norms[places])

    def scores(self, questions: Sequence[str | Passage]) -> Scores:
        """Return the score of every question with every passage."""
        scores = np.zeros((len(questions), self._size))
        for row, question in zip(scores, questions, strict=True):
            text = question if isinstance(question, str) else " ".join(question.fields())
            found = [self._terms[term] for term in dict.fromkeys(map(stem, query_terms(text))) if term in self._terms]
            for _, places, gains in sorted(found, key=lambda term: -term[0])[:_MOST_TERMS]:
                row[places] += gains
        return scores


def fused(dense: Scores, lexical: Scores, share: float) -> Scores:
    """Add both, each standardised question by question; `share` of it is meaning."""
    return share * _standard(dense) + (1 - share) * _standard(lexical)


def best_share(parts: Mapping[str, Sequence[tuple[Scores, Scores, npt.NDArray[np.int64]]]]) -> float:
    """Return the share of meaning that answers best, averaged over (dense, lexical, answers) parts by language."""

    def reached(share: float) -> float:
        means = [
            np.mean([mrr(fused(dense, lexical, share), own) for dense, lexical, own in all_of])
            for all_of in parts.values()
        ]
        return float(np.mean(means))

    return float(max(_SHARES.tolist(), key=reached))


def _terms(passage: Passage) -> dict[str, float]:
    weighted: dict[str, float] = {}
    for weight, text in zip(_FIELD_WEIGHTS.values(), passage.fields(), strict=True):
        for word in tokens.words(text):
            parts = tokens.split(word)
            for part in (*parts, word.lower()) if len(parts) > 1 else parts:
                term = stem(part)
                weighted[term] = weighted.get(term, 0.0) + weight
    return weighted


def _standard(scores: Scores) -> Scores:
    """Return each question's scores with mean 0 and deviation 1, so that two kinds can be added."""
    spread = scores.std(axis=1, keepdims=True)
    standard: Scores = (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    return standard
