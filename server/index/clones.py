"""Clones: how much of one function's text stands in another, whatever its variables are called.

The usual measure of clone detection (Roy and Cordy, "A survey on software clone detection research", 2007): tokens with
identifiers, numbers and strings made alike show the structure, and the identifiers themselves what it works on.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

LEAST_TOKENS = 50
"""Shorter functions are alike by nature: accessors, delegations, guards."""
LEAST_STRUCTURE, LEAST_NAMES, LEAST_BOTH = 0.75, 0.2, 1.08
"""Of the structure, of the names, and of the structure with half of the names. Chosen by
`python -m tests.bench.duplicates` on the standard library of Python; figures on other code stand in RESULTS.md."""
_GRAM = 5
_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)"""
    r"""|(?P<string>\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)"""
    r"""|(?P<number>\d[\w.]*)|(?P<name>[^\W\d]\w*)|(?P<mark>=>|->|::|&&|\|\||[-+*/%=!<>]=|\S)""",
    re.DOTALL,
)
_HASH_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#[^\n]*")
HASH_LANGUAGES = frozenset({"python", "ruby", "shellscript", "elixir", "r", "perl"})
"""Languages whose comments begin with #."""
KEYWORDS = frozenset(
    "and as async await break case catch class const continue def default defer del do elif else end except false fn "
    "for func function go if import in is lambda let loop match new nil none not null or pass raise rescue return "
    "select self static struct super switch this throw true try type unless until var when while with yield".split()
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is compared of a function."""

    size: int
    """Tokens."""
    grams: Counter[tuple[str, ...]]
    names: Counter[str]


@lru_cache(maxsize=256)
def shape(text: str, language: str) -> Shape:
    """Return the shape of a function's text; comments do not count."""
    if language in HASH_LANGUAGES:
        text = _HASH_COMMENT.sub("", text)
    tokens: list[str] = []
    names: Counter[str] = Counter()
    for found in _TOKEN.finditer(text):
        kind, word = found.lastgroup, found[0]
        if kind == "name" and word.lower() not in KEYWORDS:
            names[word] += 1
            tokens.append("i")
        elif kind in ("string", "number"):
            tokens.append(kind)
        elif kind != "skip":
            tokens.append(word.lower())
    grams = Counter(tuple(tokens[at : at + _GRAM]) for at in range(max(1, len(tokens) - _GRAM + 1)))
    return Shape(len(tokens), grams, names)


def structure(one: Shape, other: Shape) -> float:
    """Return how alike the order of tokens is, 0 to 1."""
    return _dice(one.grams, other.grams)


def names(one: Shape, other: Shape) -> float:
    """Return how alike the identifiers are, 0 to 1."""
    return _dice(one.names, other.names)


def closeness(one: Shape, other: Shape) -> float:
    """Return how nearly two functions say the same, more for nearer ones; 0 unless they nearly do."""
    small, large = sorted((one.size, other.size))
    if small < LEAST_TOKENS or 2 * small < large:
        return 0.0
    order, words = structure(one, other), names(one, other)
    both = order + words / 2
    return both if order >= LEAST_STRUCTURE and words >= LEAST_NAMES and both >= LEAST_BOTH else 0.0


def _dice(one: Counter[str] | Counter[tuple[str, ...]], other: Counter[str] | Counter[tuple[str, ...]]) -> float:
    total = sum(one.values()) + sum(other.values())
    return 2 * sum((one & other).values()) / total if total else 0.0  # type: ignore[operator]
