"""Flags: what a unit is besides its kind, as far as the unit and the path of its file tell."""

from __future__ import annotations

import re
from functools import lru_cache

from server.model.tokens import WORD, split, words
from server.types import Kind, Unit

TEST, STUB, PRIVATE, DEPRECATED = 1, 2, 4, 8
"""Of a unit: it tests other code; it has no code of its own; it is not for others; it should not be used any more."""

_CALLABLE = frozenset({Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR})
_TEST_WORDS = frozenset({"test", "tests", "spec", "specs", "mock", "mocks", "fake"})
_STUB_WORDS = frozenset(
    {"pass", "raise", "throw", "new", "NotImplementedError", "NotImplemented", "UnsupportedOperationException"}
)
"""A body of these alone does nothing."""
_GLANCE = 200
_DEPRECATED = re.compile(r"@?\bdeprecated\b", re.IGNORECASE)

_ENDING = r"\.[a-z]+$"
_TEST_PATH = re.compile(
    r"(?:^|/)(?:tests?|testing|specs?|__tests__|testdata|fixtures?|mocks?|idle_test|test_[^/]*|tests?_support|e2e"
    rf"|benchmarks?|bench|perf)/|(?:^|/)(?:test_[^/]*|conftest\.py|[^/]*(?:_test|_spec|\.test|\.spec|_bench)){_ENDING}"
    r"|(?:^|/)[^/]*(?:Tests?|Spec|Suite)\.(?:java|cs|kt|swift|php|scala|groovy)$|(?:^|/)[^/]*Spec\.hs$"
)
_EXAMPLE_PATH = re.compile(r"(?:^|/)_?(?:examples?|samples?|demos?|tutorials?|docs?|playground|quickstart)/|_example\.")
_FOREIGN_PATH = re.compile(
    r"(?:^|/)(?:vendor|vendored|third[_-]?party|external|extern|deps|node_modules|generated|gen|dist|legacy|compat"
    r"|deprecated|polyfills?)/|\.(?:pb|g|generated|designer|min)\.|_pb2\.|_generated\.|(?:^|/)zz_generated"
)
_DECLARATION_PATH = re.compile(r"\.(?:d\.ts|d\.mts|d\.cts|pyi)$")


def flags_of(unit: Unit) -> int:
    """Return the flags of a unit."""
    passage = unit.passage
    flags = 0
    if _TEST_WORDS.intersection(split(passage.name)[:1]) or _TEST_WORDS.intersection(split(passage.container)):
        flags |= TEST
    if unit.kind in _CALLABLE and _is_stub(passage.body[:_GLANCE]):
        flags |= STUB
    if passage.name.startswith("_") and not passage.name.endswith("__"):
        flags |= PRIVATE
    said = passage.documentation[:2_000]
    if "deprecated" in said.lower() and _DEPRECATED.search(said):
        flags |= DEPRECATED
    return flags


def _is_stub(body: str) -> bool:
    """Tell whether a body does nothing; of nearly all of them the first word tells."""
    first = WORD.search(body)
    return first is None or (first[0] in _STUB_WORDS and _STUB_WORDS.issuperset(words(body)))


@lru_cache(maxsize=1 << 14)
def path_class(path: str) -> tuple[bool, bool, bool, bool]:
    """Tell by its path whether a file tests other code, shows its use, comes from elsewhere, or only declares."""
    return (
        _TEST_PATH.search(path) is not None,
        _EXAMPLE_PATH.search(path) is not None,
        _FOREIGN_PATH.search(path) is not None,
        _DECLARATION_PATH.search(path) is not None,
    )
