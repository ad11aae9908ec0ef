"""Filters of a query that is being typed."""

from __future__ import annotations

import pytest

from server.index.question import parse
from server.lsp.complete import completions, filters
from server.types import Kind, Query, QuestionError

LANGUAGES = {"python", "c", "cpp", "csharp"}


def labels(query: str) -> list[str] | None:
    found = completions(query, LANGUAGES)
    return None if found is None else [each.label for each in found]


def test_an_empty_query_offers_the_filters() -> None:
    assert labels("") == labels("  ") == ["lang:", "kind:", "path:", "-path:", "in:"]


def test_values_are_completed() -> None:
    assert labels("retry lang:") == ["c", "cpp", "csharp", "python"]
    assert labels("retry lang:CP") == ["cpp"]
    assert labels("kind:me") == ["method"]
    assert "doc" in (labels("retry in:") or [])
    assert labels("path:") == []


def test_only_what_is_in_the_index_is_offered() -> None:
    paths = ("src/a.py", "src/deep/b.py", "tests/c.py", "setup.py")
    kinds = (Kind.METHOD, Kind.CLASS, Kind.METHOD)
    found = completions("x kind:", LANGUAGES, kinds, paths) or []
    assert [each.label for each in found] == ["class", "method"]
    found = completions("x -path:", LANGUAGES, kinds, paths) or []
    assert [each.query for each in found] == ["x -path:src/", "x -path:tests/"]


def test_the_rest_of_the_query_is_kept() -> None:
    [completion] = completions("parse  a\theader kind:me", LANGUAGES) or []
    assert completion.query == "parse  a\theader kind:method "


def test_what_is_complete_or_free_text_is_asked() -> None:
    for query in ("retry", "lang:c", "lang:python ", "path:src", "lang:nothing", "like kind: method", "slang:", "a\nb"):
        assert labels(query) is None, query


def test_what_is_offered_can_be_asked() -> None:
    for start in ("kind:", "in:"):
        for completion in completions(start, LANGUAGES) or []:
            parse(Query(completion.query + "retry"))
    with pytest.raises(QuestionError):
        parse(Query("kind:"))


def test_the_beginning_of_a_filter_is_a_word_that_may_become_one() -> None:
    assert [each.query for each in filters("retry pa") or []] == ["retry path:"]
    assert [each.label for each in filters("-pa") or []] == ["-path:"]
    assert [each.label for each in filters("LA") or []] == ["lang:"]
    for query in ("retry", "p", "in:", "path:", "kinds", "", "la x", "sla"):
        assert filters(query) is None, query
