"""Names as they are typed: exact, begun, in part, abbreviated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.index.columns import Columns  # noqa: F401
from server.index.names import NameTable, closeness

NAMES = ["retry_with_backoff", "Retry", "HttpServer", "getURLPath", "x", "", "größe", 'operator""', "a\\b", "_init_"]


def table(names: list[str]) -> NameTable:
    import json

    rows = [json.dumps([name, "Box", "def f()", 'says "x"']).encode() for name in names]
    text = np.frombuffer(b"".join(rows), np.uint8)
    return NameTable(text, np.cumsum([len(row) for row in rows], dtype=np.int64))


def found(names: list[str], typed: str) -> list[str]:
    return [names[row] for row in table(names).candidates(typed.encode(), np.ones(len(names), np.bool_))]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("retry", ["retry_with_backoff", "Retry"]),
        ("rwb", ["retry_with_backoff"]),
        ("url", ["getURLPath"]),
        ("zz", []),
        ("op", ['operator""']),
        ("", NAMES),
    ],
)
def test_letters_in_order(typed: str, expected: list[str]) -> None:
    assert found(NAMES, typed) == expected


@given(st.lists(st.text("abcXYZ_1", max_size=8), max_size=8), st.text("abcxyz_1", min_size=1, max_size=4))
def test_every_name_with_the_letters_in_order_is_a_candidate(names: list[str], typed: str) -> None:
    def has(name: str) -> bool:
        letters = iter(name.lower())
        return all(letter in letters for letter in typed)

    assert found(names, typed) == [name for name in names if has(name)]


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("retry", ["retry", "Retry", "retry_with_backoff", "do_retry", "xretry", "ReTargetRy"]),
        ("rwb", ["rwb", "rwb_x", "retry_with_backoff"]),
        ("urlpath", ["urlpath", "URLPathInfo", "getURLPath"]),
        ("GRÖSSE", ["GRÖSSE", "grösse", "größe_x"]),
    ],
)
def test_closer_names_are_closer(typed: str, names: list[str]) -> None:
    measured = [closeness(typed, name) for name in names]
    assert measured == sorted(measured, reverse=True)
    assert len(set(measured)) == len(measured) or measured[-1] == 0
    assert measured[0] == 1.0


@pytest.mark.parametrize(("typed", "name"), [("rt", "retry"), ("ab", "b_a"), ("retryx", "retry"), ("aa", "abc")])
def test_what_is_no_abbreviation(typed: str, name: str) -> None:
    assert closeness(typed, name) == 0.0
