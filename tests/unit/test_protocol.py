"""The wire types: read strictly, written as EXTENSIONS.md says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from lsprotocol import types
from pygls.protocol import default_converter

from server.lsp import protocol
from tests import mirror

DOCUMENT = (Path(protocol.__file__).parent / "EXTENSIONS.md").read_text("utf-8")


def documented() -> dict[str, dict[str, str]]:
    """Return the fields of each interface of EXTENSIONS.md with their types."""
    return {
        name: dict(re.findall(r"^    (\w+\??): (.*);$", body, re.MULTILINE))
        for name, body in re.findall(r"^interface (\w+) \{\n(.*?)^\}", DOCUMENT, re.MULTILINE | re.DOTALL)
    }


def test_the_document_describes_every_field() -> None:
    assert mirror.interfaces() == documented()


def test_the_document_has_every_method_with_an_example() -> None:
    examples = [json.loads(each) for each in re.findall(r"^```json\n(.*?)\n```", DOCUMENT, re.MULTILINE | re.DOTALL)]
    asked = [each for each in examples if "method" in each]
    methods = [*protocol.PARAMS, *protocol.NOTIFICATIONS]
    assert [each["method"] for each in asked if each["method"] in methods] == methods
    assert re.findall(r"^## ((?:sextant|experimental)/\w+)$", DOCUMENT, re.MULTILINE) == methods
    for example in asked:
        if example["method"] in protocol.PARAMS:
            protocol.parse_params(example["method"], example.get("params"))
        elif cls := protocol.NOTIFICATIONS.get(example["method"]):
            known = default_converter().structure(example["params"], cls)
            assert default_converter().unstructure(known) == example["params"]
    shapes = {"hits": protocol.SearchResult, "folders": protocol.IndexStatus}
    for example in examples:
        for field, cls in shapes.items():
            if field in example.get("result", {}):
                known = default_converter().structure(example["result"], cls)
                assert default_converter().unstructure(known) == example["result"]


@pytest.mark.parametrize("cls", mirror.WIRE_TYPES)
def test_no_field_has_a_default_but_none(cls: type) -> None:
    """The converter leaves out a field that equals its default: a client would miss `false` or 0."""
    assert all(field.default in (attrs.NOTHING, None) for field in attrs.fields(cls))  # type: ignore[arg-type]


def test_false_and_zero_are_written_and_none_is_not() -> None:
    empty = protocol.SearchResult(hits=[], is_incomplete=False, generation=0, low_confidence=False)
    expected = {"hits": [], "isIncomplete": False, "generation": 0, "lowConfidence": False}
    assert default_converter().unstructure(empty) == expected


def test_unknown_fields_and_nulls_are_passed_over() -> None:
    params = protocol.parse_params(protocol.SEARCH, {"query": "x", "limit": None, "later": {"a": 1}, "kinds": [12]})
    assert params == protocol.SearchParams("x", kinds=[types.SymbolKind.Function])


def test_a_place_is_read_into_its_types() -> None:
    where = {"start": {"line": 1, "character": 2}, "end": {"line": 3, "character": 4}}
    params = protocol.parse_params(protocol.FIND_SIMILAR, {"textDocument": {"uri": "file:///a"}, "range": where})
    assert params.range == types.Range(types.Position(1, 2), types.Position(3, 4))
    assert params.text_document.uri == "file:///a"


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "🙂\ud83d"])
def test_half_a_surrogate_pair_is_replaced(text: str) -> None:
    read = protocol.parse_params(protocol.SEARCH, {"query": text}).query
    assert "\ufffd" in read
    read.encode()


@pytest.mark.parametrize("limit", [1, 200])
def test_limits_that_are_allowed(limit: int) -> None:
    assert protocol.parse_params(protocol.SEARCH, {"query": "x", "limit": limit}).limit == limit


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"query": 1}, "params.query must be a string."),
        ({"query": "x", "limit": -1}, "params.limit must be a whole number of at least 0."),
        ({"query": "x", "limit": 0}, "params.limit must be between 1 and 200."),
        ({"query": "x", "workDoneToken": {}}, "params.workDoneToken must be a whole number of at least 0 or a string."),
        ({"query": "x", "include": ["a", 1]}, "params.include[1] must be a string."),
        ({}, "params.query is missing."),
    ],
)
def test_a_mistake_is_named(params: dict[str, Any], said: str) -> None:
    with pytest.raises(protocol.InvalidParams) as caught:
        protocol.parse_params(protocol.SEARCH, params)
    assert caught.value.message == said
    assert caught.value.code == -32602


def test_what_other_files_repeat_is_up_to_date() -> None:
    """`python -m tests.mirror` writes it."""
    assert mirror.outdated() == []
