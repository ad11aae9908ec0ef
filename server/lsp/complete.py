"""Complete: what the inline filter at the end of a query may become while it is being typed."""

from __future__ import annotations

import re
from collections.abc import Iterable

from server.lsp.protocol import Completion
from server.types import Kind

_UNFINISHED = re.compile(r"(?P<head>(?:.*\s)?-?(?P<filter>lang|kind|path|in):)(?P<value>\S*)", re.DOTALL)
_BEGUN = re.compile(r"(?P<head>(?:.*\s)?)(?P<word>-?\w{2,})", re.DOTALL)
_FILTERS = {
    "lang:": "only one language, as in lang:python",
    "kind:": "only methods, classes, …, as in kind:method",
    "path:": "only below a folder, as in path:src/**",
    "-path:": "not there, as in -path:tests",
    "in:": "with a word of the query there, as in in:doc",
}


_MOST_FOLDERS = 50
"""Offered behind `path:`; more nobody reads."""


def completions(
    query: str, languages: Iterable[str], kinds: Iterable[Kind] = tuple(Kind), paths: Iterable[str] = ()
) -> list[Completion] | None:
    """Return how a query may go on: every filter for an empty one, the fitting values behind a filter's name.

    None: its end is no unfinished filter, so it can be asked. `languages`, `kinds` and `paths` are those of the index.
    """
    if not query.strip():
        return [Completion(label, label, detail) for label, detail in _FILTERS.items()]
    from server.index.question import FIELDS  # noqa: PLC0415  (heavy imports, made with the engine's)

    unfinished = _UNFINISHED.fullmatch(query)
    if unfinished is None:
        return None
    head, value, name = unfinished["head"], unfinished["value"].lower(), unfinished["filter"]
    if name == "path":
        return [Completion(each, f"{head}{each}") for each in _folders(paths)] if not value else None
    values = {"lang": languages, "kind": (kind.name.lower() for kind in kinds), "in": FIELDS}
    known = sorted(set(values[name]))
    fitting = [each for each in known if each.startswith(value) and each != value]
    if value and (not fitting or value in known):
        return None
    return [Completion(each, f"{head}{each} ") for each in fitting]


def filters(query: str) -> list[Completion] | None:
    """Return the filters whose names begin like the last word of a query, which is a word all the same: it is asked."""
    begun = _BEGUN.fullmatch(query)
    if begun is None:
        return None
    # "in" is a word of many queries, and nobody has to complete it.
    fitting = [label for label in _FILTERS if label.startswith(begun["word"].lower()) and label != "in:"]
    return [Completion(each, f"{begun['head']}{each}", _FILTERS[each]) for each in fitting] or None


def _folders(paths: Iterable[str]) -> list[str]:
    """Return the folders at the top that some paths begin with."""
    return sorted({path.partition("/")[0] + "/" for path in paths if "/" in path})[:_MOST_FOLDERS]
