"""Question: what a user typed, taken apart into words and filters."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pathspec import GitIgnoreSpec

from server.config import is_pattern
from server.index.ignore import MOST_STARS, is_wild
from server.index.languages import LANGUAGES
from server.types import Filter, Kind, Query, QuestionError

LONGEST_QUERY = 100_000
"""Characters; a longer text is a file, not a question."""
LARGEST_LIMIT = 200

_FILTER = re.compile(r"""(?:^|(?<=\s))(-?)(lang|kind|path):("[^"]*"|\S*)""")
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|#|->)[A-Za-z_$][\w$]*)*")
_CODE_LIKE = re.compile(r"[a-z][A-Z]|\w_\w|\.|::|#|->|\d")
"""What tells an identifier inside a sentence from a word."""
_QUALIFIER = re.compile(r"\.|::|#|->")
_TESTS = re.compile(r"\b(?:tests?|testing|specs?|mocks?|fixtures?|examples?)\b", re.IGNORECASE)
_TESTS_OF = re.compile(r"\btests?\s+(?:for|of|that)\b", re.IGNORECASE)
_ALIASES = {
    "js": "javascript", "jsx": "javascriptreact", "ts": "typescript", "tsx": "typescriptreact", "py": "python",
    "c++": "cpp", "c#": "csharp", "cs": "csharp", "golang": "go", "rb": "ruby", "rs": "rust", "bash": "shellscript",
    "sh": "shellscript", "shell": "shellscript", "zsh": "shellscript", "ex": "elixir", "hs": "haskell", "kt": "kotlin",
    "notebook": "jupyter", "ipynb": "jupyter", "proto": "proto3", "vim": "viml", "objc": "objective-c",
    "make": "makefile",
}  # fmt: skip
_FAMILIES = {
    "javascript": ("javascript", "javascriptreact"),
    "typescript": ("typescript", "typescriptreact"),
    "python": ("python", "jupyter"),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A query without its filters, and the identifiers in it that may be exact names."""

    text: str
    names: tuple[tuple[str, str], ...]
    """(container or "", name) of each identifier that may be meant exactly."""
    allows_tests: bool
    """Tests are spoken of, so they are not out of place."""
    wants_tests: bool
    """Tests are asked for, so anything else is out of place."""
    filter: Filter
    limit: int


def parse(query: Query) -> Question:
    """Take a query apart; raises QuestionError for what cannot be asked."""
    if not 1 <= query.limit <= LARGEST_LIMIT:
        raise QuestionError(f"limit must be from 1 to {LARGEST_LIMIT}, not {query.limit}")
    if len(query.text) > LONGEST_QUERY:
        raise QuestionError(f"the query has {len(query.text):,} characters; at most {LONGEST_QUERY:,} can be asked")
    parts: Filter = query.filter
    for minus, field, value in _FILTER.findall(query.text):
        parts = _with(parts, bool(minus), field, value.strip('"'))
    text = " ".join(_FILTER.sub(" ", query.text).split())
    stripped = text.removesuffix("()")
    is_name = _IDENTIFIER.fullmatch(stripped) is not None
    names = tuple(_qualified(match) for match in _IDENTIFIER.findall(text) if is_name or _CODE_LIKE.search(match))
    allows_tests, wants_tests = _TESTS.search(text) is not None, _TESTS_OF.search(text) is not None
    return Question(text, names, allows_tests, wants_tests, parts, query.limit)


def globs(patterns: tuple[str, ...]) -> GitIgnoreSpec:
    """Return the matcher of some globs; raises QuestionError for one that makes no sense."""
    for pattern in patterns:
        if is_wild(pattern):
            raise QuestionError(f"the glob {pattern!r} has more than {MOST_STARS} stars in one part of the path")
        if not is_pattern(pattern):
            raise QuestionError(f"{pattern!r} is not a glob such as src/**")
    return GitIgnoreSpec.from_lines(patterns)


def _qualified(identifier: str) -> tuple[str, str]:
    """Return the last two parts of a qualified name."""
    *before, name = _QUALIFIER.split(identifier)
    return (before[-1] if before else "", name)


def languages_named(name: str) -> frozenset[str]:
    """Return the language ids that a user means by a name; raises QuestionError for an unknown one."""
    identity = _ALIASES.get(name.lower(), name.lower())
    family = _FAMILIES.get(identity, (identity,))
    if family[0] not in LANGUAGES:
        raise QuestionError(f"language {name!r} is not one of {', '.join(sorted(LANGUAGES))}")
    return frozenset(family)


def kind_named(name: str) -> Kind:
    """Return the kind that a user means by a name; raises QuestionError for an unknown one."""
    try:
        return Kind[name.upper()]
    except KeyError:
        raise QuestionError(f"kind {name!r} is not one of {', '.join(kind.name.lower() for kind in Kind)}") from None


def _with(parts: Filter, minus: bool, field: str, value: str) -> Filter:
    if not value:
        raise QuestionError(f"{field}: needs a value, as in {'lang:python' if field == 'lang' else 'path:src/**'}")
    if field == "path":
        if minus:
            return replace(parts, exclude=(*parts.exclude, value))
        return replace(parts, include=(*parts.include, value))
    if minus:
        raise QuestionError(f"-{field}: is not known; -path: is")
    if field == "lang":
        return replace(parts, languages=parts.languages | languages_named(value))
    return replace(parts, kinds=parts.kinds | {kind_named(value)})
