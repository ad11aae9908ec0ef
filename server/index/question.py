"""Question: what a user typed, taken apart into words and filters."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from server.globs import Rules, parsed
from server.index.actions import is_action
from server.index.columns import name_hash
from server.index.languages import LANGUAGES
from server.index.lexical import FIELDS as LEXICAL_FIELDS
from server.types import Filter, Kind, Query, QuestionError

LONGEST_QUERY = 100_000
"""Characters; a longer text is a file, not a question."""
LARGEST_LIMIT = 200
MOST_GLOBS = 50
"""Filters by path; each is held against every file."""
_FEWEST_MARKS = 3
_WORDS_A_MARK = 4
"""Code has a bracket, semicolon or the like for every few words; a sentence has not."""

_FILTER = re.compile(r"""(?:^|(?<=\s))(-?)(lang|kind|path|in):("[^"]*"?|\S*)""")
_FILTERS = ("lang", "kind", "path", "in")
_LOOKS_LIKE_ONE = re.compile(r"(?:^|(?<=\s))(-?)([A-Za-z]{2,12}):(?!:|//)(\S+)")
_CALLED_ELSEWHERE = {
    **dict.fromkeys(("language", "languages", "filetype", "ext", "extension"), "lang"),
    **dict.fromkeys(("file", "files", "filename", "folder", "dir", "directory"), "path"),
    **dict.fromkeys(("type", "symbol"), "kind"),
    **dict.fromkeys(("field", "where"), "in"),
}
"""What the filters are called in other tools."""
_LIKENESS = 0.7
"""Of a misspelt name to what is meant, 0 to 1."""
_LIKENESS_OF_VALUES = 0.65
"""The same for what stands behind a filter's name: `dco` is `doc`."""
_MOST_NOTICES = 3
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|#|->)[A-Za-z_$][\w$]*)*")
_CODE_LIKE = re.compile(r"[a-z][A-Z]|\w_\w|\.|::|#|->|\d")
"""What tells an identifier inside a sentence from a word."""
_QUALIFIER = re.compile(r"\.|::|#|->")
_PUNCTUATION = re.compile(r"[(){}\[\];=<>]")
_WORD = re.compile(r"\w+")
_TESTS = re.compile(r"\b(?:tests?|tested|testing|specs?|mocks?|fixtures?|benchmarks?)\b", re.IGNORECASE)
_TESTS_OF = re.compile(
    r"\b(?:tests?|specs?)\s+(?:for|of|that|which|covering|checking)\b|\bunit tests?\b|\btested\s*\??$", re.IGNORECASE
)
_EXAMPLES = re.compile(r"\b(?:examples?|samples?|demos?|tutorials?|usages?)\b", re.IGNORECASE)
_EXAMPLES_OF = re.compile(
    r"\b(?:examples?|samples?|demos?|usages?)\s+(?:of|for|that|which|how|using)\b|\bexamples?$", re.IGNORECASE
)
_ALIASES = {
    "js": "javascript", "jsx": "javascriptreact", "ts": "typescript", "tsx": "typescriptreact", "py": "python",
    "c++": "cpp", "c#": "csharp", "cs": "csharp", "golang": "go", "rb": "ruby", "rs": "rust", "bash": "shellscript",
    "sh": "shellscript", "shell": "shellscript", "zsh": "shellscript", "ex": "elixir", "hs": "haskell", "kt": "kotlin",
    "notebook": "jupyter", "ipynb": "jupyter", "proto": "proto3", "vim": "viml", "objc": "objective-c",
    "make": "makefile", "coffee": "coffeescript", "fortran": "fortran-modern", "objcpp": "objective-cpp",
    "ps1": "powershell",
}  # fmt: skip
_FAMILIES = {
    "javascript": ("javascript", "javascriptreact"),
    "typescript": ("typescript", "typescriptreact"),
    "python": ("python", "jupyter"),
}
_KINDS = {
    **{kind.name.lower(): (kind,) for kind in Kind},
    **dict.fromkeys(("fn", "func", "def", "fun", "sub"), (Kind.FUNCTION, Kind.METHOD)),
    **dict.fromkeys(("ctor", "init"), (Kind.CONSTRUCTOR,)),
    **dict.fromkeys(("trait", "protocol", "typeclass"), (Kind.INTERFACE,)),
    **dict.fromkeys(("record", "object"), (Kind.CLASS, Kind.STRUCT)),
    **dict.fromkeys(("const",), (Kind.CONSTANT,)),
    **dict.fromkeys(("mod", "file"), (Kind.MODULE,)),
    **dict.fromkeys(("alias", "typedef"), (Kind.TYPE,)),
}
"""What users call the kinds."""
FIELDS = {
    "doc": ("documentation",), "docs": ("documentation",), "documentation": ("documentation",), "name": ("name",),
    "container": ("container",), "class": ("container",), "signature": ("signature",), "body": ("body",),
    "code": ("signature", "body"), "path": ("file", "path"), "file": ("file",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Question:
    """A query without its filters, and what it asks for."""

    text: str
    names: tuple[tuple[str, str], ...]
    """(container or "", name) of each identifier that may be meant exactly."""
    filter: Filter
    limit: int
    is_name: bool = False
    """It is a name and nothing else."""
    is_code: bool = False
    """It is pasted code, and what is like it is asked for."""
    is_action: bool = False
    """It asks for what does something."""
    allows_tests: bool = False
    """Tests are spoken of, so they are not out of place."""
    wants_tests: bool = False
    """Tests are asked for, so anything else is out of place."""
    allows_examples: bool = False
    wants_examples: bool = False
    notices: tuple[str, ...] = ()
    """What looks like a filter and is none."""

    @property
    def named(self) -> dict[int, frozenset[str]]:
        """Return the hash of each name that is asked for with the containers in which it is; none if its tests are."""
        if self.wants_tests or self.wants_examples:
            return {}
        found: dict[int, frozenset[str]] = {}
        for container, name in self.names:
            number = name_hash(name)
            found[number] = found.get(number, frozenset()) | {container.casefold()}
        return found


def parse(query: Query) -> Question:
    """Take a query apart; raises QuestionError for what cannot be asked."""
    if not 1 <= query.limit <= LARGEST_LIMIT:
        raise QuestionError(f"limit must be from 1 to {LARGEST_LIMIT}, not {query.limit}")
    if len(query.text) > LONGEST_QUERY:
        raise QuestionError(f"the query has {len(query.text):,} characters; at most {LONGEST_QUERY:,} can be asked")
    parts, text = checked(query.filter), query.text
    is_code = _is_code(text)
    notices: tuple[str, ...] = ()
    if not is_code or "\n" not in text.strip():  # `kind: x` in pasted code is no filter
        for minus, field, value in _FILTER.findall(text):
            parts = _with(parts, bool(minus), field, value)
        text = _FILTER.sub(" ", text)
        _check_globs(parts)
        notices = _misspelt(text)
    text = text.strip() if is_code else " ".join(text.split())
    stripped = text.removesuffix("()")
    is_name = _IDENTIFIER.fullmatch(stripped) is not None
    names: tuple[tuple[str, str], ...] = ()
    if not is_code:
        names = tuple(_qualified(match) for match in _IDENTIFIER.findall(text) if is_name or _CODE_LIKE.search(match))
    return Question(
        text,
        names,
        parts,
        query.limit,
        is_name,
        is_code,
        is_action=not is_name and not is_code and is_action(text),
        allows_tests=is_code or _TESTS.search(text) is not None,
        wants_tests=not is_code and _TESTS_OF.search(text) is not None,
        allows_examples=is_code or _EXAMPLES.search(text) is not None,
        wants_examples=not is_code and _EXAMPLES_OF.search(text) is not None,
        notices=notices,
    )


def checked(wanted: Filter) -> Filter:
    """Return a filter with the languages' ids; raises QuestionError for what nothing can pass."""
    languages = (frozenset({name}) if name in LANGUAGES else languages_named(name) for name in wanted.languages)
    if unknown := wanted.fields - frozenset(LEXICAL_FIELDS):
        raise QuestionError(f"there is no field {min(unknown)!r}; fields are {', '.join(sorted(FIELDS))}")
    globs(wanted.include)
    globs(wanted.exclude)
    _check_globs(wanted)
    return replace(wanted, languages=frozenset().union(*languages))


def _check_globs(wanted: Filter) -> None:
    if (count := len(wanted.include) + len(wanted.exclude)) > MOST_GLOBS:
        raise QuestionError(f"the query has {count:,} filters by path; at most {MOST_GLOBS} can be asked")


def _is_code(text: str) -> bool:
    """Tell pasted code from words by its punctuation."""
    marks = len(_PUNCTUATION.findall(text))
    if "\n" in text.strip():
        return marks >= _FEWEST_MARKS
    return marks >= _FEWEST_MARKS and marks * _WORDS_A_MARK >= len(_WORD.findall(text))


def globs(patterns: tuple[str, ...]) -> Rules:
    """Return the matcher of some globs; raises QuestionError for one that makes no sense."""
    for pattern in patterns:
        if parsed(pattern) is None:
            raise QuestionError(f"{pattern!r} is not a glob such as src/**")
    return Rules(patterns)


def _qualified(identifier: str) -> tuple[str, str]:
    """Return the last two parts of a qualified name."""
    *before, name = _QUALIFIER.split(identifier)
    return (before[-1] if before else "", name)


def language_id(name: str) -> str:
    """Return the LSP's name of a language that a user or an editor may name otherwise."""
    return _ALIASES.get(name.lower(), name.lower())


def languages_named(name: str) -> frozenset[str]:
    """Return the language ids that a user means by a name; raises QuestionError for an unknown one."""
    identity = language_id(name)
    family = _FAMILIES.get(identity, (identity,))
    if family[0] not in LANGUAGES:
        raise _unknown("language", name, (*sorted(LANGUAGES), *_ALIASES), "`sextant status` lists those of the index.")
    return frozenset(family)


def spoken(languages: frozenset[str]) -> list[str]:
    """Return languages as users name them: a family that is there as a whole (Python, notebooks) by one name."""
    whole = {name: members for name, members in _FAMILIES.items() if languages.issuperset(members)}
    return sorted({*whole, *languages.difference(*whole.values())})


def kinds_named(name: str) -> frozenset[Kind]:
    """Return the kinds that a user means by a name; raises QuestionError for an unknown one."""
    if name.lower() not in _KINDS:
        raise _unknown("kind", name, _KINDS, f"Kinds: {', '.join(kind.name.lower() for kind in Kind)}.")
    return frozenset(_KINDS[name.lower()])


def _closest(name: str, known: Iterable[str], likeness: float = _LIKENESS) -> str | None:
    """Return what a misspelt name may stand for."""
    near = difflib.get_close_matches(name.lower(), list(known), 1, likeness)
    return near[0] if near else None


def _misspelt(text: str) -> tuple[str, ...]:
    """Say which words of a query look like filters and were taken for words."""
    found = []
    for match in itertools.islice(_LOOKS_LIKE_ONE.finditer(text), _MOST_NOTICES):
        minus, name, value = match.groups()
        lower = name.lower()
        meant = _CALLED_ELSEWHERE.get(lower) or _closest(lower, _FILTERS)
        # Nobody misspells a first letter: `math:sqrt` is not `path:sqrt`.
        if meant is not None and (lower in _CALLED_ELSEWHERE or meant[0] == lower[0]):
            better = f"{minus}{meant}:{value[:40]}"
            found.append(f"{minus}{name}: is no filter and was searched for as words, did you mean {better}?")
    return tuple(found)


def _unknown(what: str, name: str, known: Iterable[str], more: str) -> QuestionError:
    """`more`: which others there are, or how to see them."""
    meant = _closest(name, known, _LIKENESS_OF_VALUES)
    guess = f"; did you mean {meant!r}?" if meant else "."
    return QuestionError(f"there is no {what} {name[:40]!r}{guess} {more}")


def _with(parts: Filter, minus: bool, field: str, value: str) -> Filter:
    if value.startswith('"'):
        if len(value) < 2 or not value.endswith('"'):
            raise QuestionError(f"{field}:{value[:40]} lacks its closing quotation mark")
        value = value[1:-1]
    if not value:
        example = {"lang": "lang:python", "kind": "kind:method", "in": "in:doc"}.get(field, "path:src/**")
        raise QuestionError(f"{field}: needs a value, as in {example}")
    if field == "path":
        globs((value,))
        if minus:
            return replace(parts, exclude=(*parts.exclude, value))
        return replace(parts, include=(*parts.include, value))
    if minus:
        raise QuestionError(f"-{field}: is not known; -path: is")
    if field == "in":
        if value.lower() not in FIELDS:
            raise _unknown("part of code", value, FIELDS, f"Parts: {', '.join(FIELDS)}.")
        return replace(parts, fields=parts.fields | frozenset(FIELDS[value.lower()]))
    if field == "lang":
        return replace(parts, languages=parts.languages | languages_named(value))
    return replace(parts, kinds=parts.kinds | kinds_named(value))
