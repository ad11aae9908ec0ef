"""Rank: the features of a candidate and the score they make."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from server.index.lexical import stem
from server.model.tokens import split, words
from server.types import Kind

DENSE_WEIGHT = 0.5
"""The share of meaning in a fused score; the rest is lexical. Not tuned; either one alone is worse (README)."""
NAME_WEIGHT = 0.25
"""What a name that consists of the question's words adds."""
TEST_FACTOR = 0.75
"""Tests, examples and benchmarks repeat the words of what they test; unless asked for, the thing itself goes first."""
FOREIGN_NAME = 0.7
"""How exact a name is that was asked for in another container: `Flask.run` is meant, `Other.run` may be."""
MODULE_FACTOR = 0.9
"""The remainder of a module is rarely the answer itself."""

_TEST_PATH = re.compile(
    r"(?:^|/)(?:tests?|testing|specs?|__tests__|testdata|fixtures?|mocks?|examples?|samples?|demos?|benchmarks?|bench"
    r"|idle_test|test_[^/]*|tests?_support)/|(?:^|/)(?:test_[^/]*|conftest\.py|[^/]*(?:_test|_spec|\.test|\.spec|Tests?))\.[a-z]+$"
    r"|(?:^|/)[^/]*Tests?\.(?:java|cs|kt|swift|php)$"
)


@dataclass(frozen=True, slots=True)
class Features:
    """What is known of a candidate."""

    dense: float
    """Cosine, clipped at 0."""
    lexical: float
    """BM25 as a share of the most that the question's words could give, 0 to 1."""
    name: float
    """Overlap of the name's words with the question's, 0 to 1."""
    exact_name: float
    """1 for the very name that was asked for, less if it belongs to another container than the one asked for."""
    is_out_of_place: bool
    """A test, example or benchmark that nobody asked for, or anything else where tests were asked for."""
    kind: Kind


def score(features: Features) -> float:
    """Return how well a candidate answers, 0 to 1."""
    value = DENSE_WEIGHT * features.dense + (1 - DENSE_WEIGHT) * features.lexical + NAME_WEIGHT * features.name
    value /= 1 + NAME_WEIGHT
    if features.is_out_of_place:
        value *= TEST_FACTOR
    if features.kind == Kind.MODULE:
        value *= MODULE_FACTOR
    # An exact name lifts above everything else, but keeps the order among several of that name.
    return (features.exact_name + value) / 2 if features.exact_name else value


@lru_cache(maxsize=1 << 14)
def is_test_path(path: str) -> bool:
    """Tell by its path whether code tests, shows or measures other code."""
    return _TEST_PATH.search(path) is not None


@lru_cache(maxsize=1 << 14)
def stems(text: str) -> frozenset[str]:
    """Return the stems of the words in a name or question."""
    return frozenset(stem(part) for word in words(text) for part in split(word))


def name_overlap(name: str, wanted: frozenset[str], idf: dict[str, float]) -> float:
    """Return how much of the name is in the question times how much of the question is in the name, weighted by idf."""
    have = stems(name)
    if not have or not wanted:
        return 0.0
    common = sum(idf.get(term, 0.0) for term in sorted(have & wanted))
    total = sum(idf.get(term, 0.0) for term in sorted(wanted))
    share = len(have & wanted) / len(have)
    return float((share * common / total) ** 0.5) if total else 0.0
