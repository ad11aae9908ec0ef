"""Rank: the learned weights of the features, and the score they make."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.index.features import NAMES, Candidates, Column
from server.index.lexical import FIELDS, FieldWeights
from server.types import Json

SHIPPED = Path(__file__).parents[1] / "model" / "base" / "ranker.json"
MEANING_OF_LIKE = 0.6
"""The share of meaning among likeness; the rest is common rare words, which put a clone before what is only alike.
RESULTS.md has what other shares are worth."""
DOUBT_OF_ASKED = 0.25
"""Of what it lacks to certainty, so much is left to what is called exactly as the whole question: who gives a name
wants what has it, however little else speaks for that (a test, a name without documentation)."""
TEST_OF_LIKE = 0.9
"""What a test counts for that is like code outside of tests."""
_ASKED_NAME = NAMES.index("asked_name")


@dataclass(frozen=True, slots=True)
class Ranker:
    """What training found (`server/model/ranker.py`)."""

    fields: FieldWeights
    weights: npt.NDArray[np.float64]
    """(len(NAMES),)"""
    bias: float
    demotion: float
    """How much lower a hit goes for each better one in its file, on the logistic scale."""
    doubt: npt.NDArray[np.float64]
    """(len(DOUBTS) + 1,): when an answer is a guess; the constant last."""
    least_score: float
    """An answer whose best score is lower is a guess in any case."""

    def scores(self, matrix: Column) -> Column:
        """Return (n,) scores from 0 to 1 of candidates with (n, len(NAMES)) features.

        Each row is summed by itself, so that its score does not depend on the rows beside it.
        """
        raw = (matrix * self.weights).sum(axis=1) + self.bias
        doubt = 1.0 / (1.0 + np.exp(raw))
        doubt[matrix[:, _ASKED_NAME] > 0.0] *= DOUBT_OF_ASKED
        scores: Column = (1.0 - doubt).round(9)
        return scores

    def is_guess(self, matrix: Column) -> bool:
        """Tell whether nothing among the candidates matches well."""
        if not len(matrix):
            return True
        told = doubts(matrix, self.scores(matrix))
        return bool(told[0] < self.least_score or told @ self.doubt[:-1] + self.doubt[-1] > 0.0)


DOUBTS = ("score", "cosine", "bm25", "coverage", "in_name", "exact_name")
"""What tells a guess: the best value of each among the candidates."""


def doubts(matrix: Column, scores: Column) -> Column:
    """Return (len(DOUBTS),) what tells whether an answer is a guess; there is at least one candidate."""
    columns = [matrix[:, NAMES.index(name)].max() for name in DOUBTS[1:]]
    return np.array([scores.max(), *columns])


@cache
def fields_of_like() -> FieldWeights:
    """Return what a word counts in each field when code is compared with code.

    Those of a ranker are learned from questions, to which a body says less than it does to other code.
    """
    weights = {"name": 4.0, "file": 1.0, "path": 1.0, "container": 1.5, "documentation": 2.0}
    return FieldWeights.of(tuple(weights.get(name, 1.0) for name in FIELDS), saturation=1.2, length=0.5)


def likeness(found: Candidates, out_of_place: npt.NDArray[np.bool_]) -> Column:
    """Return (n,) scores from 0 to 1 of what is like a text, the same for a row in any order of rows."""
    value = MEANING_OF_LIKE * np.maximum(found.cosines, 0.0) + (1.0 - MEANING_OF_LIKE) * found.words
    scores: Column = np.minimum(1.0, value * np.where(out_of_place, TEST_OF_LIKE, 1.0)).round(9)
    return scores


def parse(data: Json) -> Ranker:
    """Read what the trainer wrote; KeyError or ValueError where it does not fit this version's features."""
    fields = FieldWeights.of(tuple(data["fields"][name] for name in FIELDS), data["saturation"], data["length"])
    if unknown := set(data["weights"]) - set(NAMES):
        raise ValueError(f"unknown features {sorted(unknown)}")
    weights = np.array([data["weights"][name] for name in NAMES], dtype=np.float64)
    doubt = np.array([data["doubt"][name] for name in (*DOUBTS, "constant")], dtype=np.float64)
    least = float(data["least_score"])
    return Ranker(fields, weights, float(data["bias"]), float(data["demotion"]), doubt, least)


@cache
def shipped() -> Ranker:
    """Return the ranker that belongs to the base model."""
    return parse(json.loads(SHIPPED.read_text(encoding="utf-8")))
