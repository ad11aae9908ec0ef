"""Fields: learns how much a word counts in each field (BM25F), from questions with the files that answer them.

Coordinate ascent (Metzler and Croft 2007): one weight after another is raised or lowered as long as that helps. What
is maximised is NDCG@10 over files, ranked by the best unit of each by these words alone, less a penalty for the squares
of the weights' logarithms, so that none becomes large because of a few questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.index import question as questions
from server.index.lexical import FIELDS, FieldWeights
from server.index.terms import look_up
from server.model.judged import Example, ndcg, shares
from server.snapshot import Snapshot
from server.types import Query

SATURATION, LENGTH = 1.2, 0.5
"""BM25's k1 and b where the search begins."""
RIDGE = 0.006
"""Weight of the squares of the logarithms; RESULTS.md has what others are worth."""
_PACES = (2.0, 1.4, 1.18)
_ROUNDS = 3
_LEAST, _MOST = 0.02, 40.0
_LITTLE = 1e-5

Column = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """A question with all rows that have a word of it, those of a file next to one another."""

    example: Example
    rarity: Column
    """(terms,) each term's idf as a share of the most there can be."""
    counts: npt.NDArray[np.uint32]
    """(terms, n) packed counts."""
    totals: npt.NDArray[np.int64]
    """(n,) words of each row."""
    mean_length: float
    paths: tuple[str, ...]
    """Of the files."""
    starts: npt.NDArray[np.int64]
    """(files,) the first row of each."""


def plain() -> FieldWeights:
    """Return the weights where learning begins: a word counts as much in any field."""
    return _weights(_start())


def sample(example: Example, snapshot: Snapshot, prefix: str) -> Sample:
    """Look the words of a question up."""
    terms = look_up(snapshot.layers, questions.parse(Query(example.text)).text)
    counts, totals, paths = [], [], list[str]()
    for layer, postings in zip(snapshot.layers, terms.words.postings, strict=True):
        rows = np.unique(np.concatenate([np.empty(0, np.int32), *(found for found, _ in postings)]))
        rows = rows[layer.live[rows]]
        packed = np.zeros((len(postings), len(rows)), np.uint32)
        for number, (found, each) in enumerate(postings):
            is_live = layer.live[found]
            packed[number, np.searchsorted(rows, found[is_live])] = each[is_live]
        counts.append(packed)
        totals.append(layer.segment.totals[rows])
        paths += [prefix + layer.segment.paths[number] for number in layer.segment.file_of[rows]]
    names, file_of = np.unique(np.array(paths, dtype=np.str_), return_inverse=True)
    order = np.argsort(file_of, kind="stable")
    return Sample(
        example,
        terms.words.idf / terms.words.most,
        np.concatenate(counts, axis=1)[:, order],
        np.concatenate(totals)[order],
        terms.mean_length,
        tuple(names.tolist()),
        np.searchsorted(file_of[order], np.arange(len(names))),
    )


def learn(samples: Sequence[Sample], ridge: float = RIDGE) -> FieldWeights:
    """Return the weights that rank the files of some questions best."""
    weigh = shares([one.example for one in samples])
    start = _start()

    def worth(values: Column) -> float:
        return float(weigh @ ndcgs(samples, _weights(values)) - ridge * np.square(np.log(values / start)).sum())

    values, best = start, worth(start)
    for pace in _PACES:
        for _ in range(_ROUNDS):
            before = best
            for number in range(len(values)):
                for factor in (pace, 1.0 / pace):
                    while (moved := worth(tried := _moved(values, number, factor))) > best + _LITTLE:
                        values, best = tried, moved
            if best == before:
                break
    return _weights(values)


def ndcgs(samples: Sequence[Sample], weights: FieldWeights) -> Column:
    """Return the NDCG@10 over files of each question, by its words alone."""
    found = []
    for one in samples:
        scores = np.zeros(len(one.totals))
        for rarity, packed in zip(one.rarity.tolist(), one.counts, strict=True):
            at = np.flatnonzero(packed)
            frequencies = weights.frequencies(packed[at])
            scores[at] += rarity * weights.saturate(frequencies, one.totals[at], one.mean_length)
        best = np.maximum.reduceat(scores, one.starts) if len(scores) else scores
        ranked = [one.paths[number] for number in np.argsort(-best, kind="stable")[:10].tolist()]
        found.append(ndcg(ranked, one.example.wanted))
    return np.array(found)


def _start() -> Column:
    return np.array([1.0] * len(FIELDS) + [SATURATION, LENGTH])


def _moved(values: Column, number: int, factor: float) -> Column:
    moved: Column = values.copy()
    moved[number] = np.clip(moved[number] * factor, _LEAST, 1.0 if number == len(FIELDS) + 1 else _MOST)
    return moved


def _weights(values: Column) -> FieldWeights:
    *fields, saturation, length = values.tolist()
    return FieldWeights.of(tuple(fields), saturation, length)
