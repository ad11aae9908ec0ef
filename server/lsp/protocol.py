"""The wire types of Sextant's own messages, and the only reader of their parameters."""

from __future__ import annotations

import json
import re
import types as pytypes
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from lsprotocol import types
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams
from pygls.protocol import default_converter

SEARCH = "sextant/search"
FIND_SIMILAR = "sextant/findSimilar"
INDEX_STATUS = "sextant/indexStatus"
REINDEX = "sextant/reindex"
TUNE = "sextant/tune"
JOB_FINISHED = "sextant/jobFinished"
SERVER_STATUS = "experimental/serverStatus"

PROTOCOL_VERSION: Literal[1] = 1
DEFAULT_LIMIT = 20
MAX_LIMIT = 200
"""More hits than a person reads; each costs a look at its file."""

Token = int | str

# Results have None defaults or none: the converter leaves out what equals its default, and false must arrive.


@attrs.frozen
class SearchParams:
    """A question in words, code or an identifier."""

    query: str
    limit: int | None = None
    languages: list[str] | None = None
    kinds: list[types.SymbolKind] | None = None
    include: list[str] | None = None
    exclude: list[str] | None = None
    scope: str | None = None
    explain: bool | None = None
    complete: bool | None = None
    work_done_token: Token | None = None
    partial_result_token: Token | None = None


@attrs.frozen
class FindSimilarParams:
    """A question by example: a place in a document, or a text."""

    text_document: types.TextDocumentIdentifier | None = None
    range: types.Range | None = None
    text: str | None = None
    language_id: str | None = None
    limit: int | None = None
    languages: list[str] | None = None
    include: list[str] | None = None
    exclude: list[str] | None = None
    scope: str | None = None
    explain: bool | None = None
    work_done_token: Token | None = None
    partial_result_token: Token | None = None


@attrs.frozen
class ReindexParams:
    """What to index again, and where to compute it."""

    folder: str | None = None
    scope: Literal["changed", "all"] | None = None
    on: str | None = None


@attrs.frozen
class ReindexResult:
    """The answer to sextant/reindex and sextant/tune: the job has begun."""

    job_id: str


@attrs.frozen
class TuneParams:
    """Which folder's model to train, and where."""

    folder: str | None = None
    on: str | None = None


@attrs.frozen
class JobFinished:
    """How a job ended."""

    job_id: str
    kind: Literal["reindex", "tune"]
    ok: bool
    message: str
    before: float | None = None
    after: float | None = None
    accepted: bool | None = None


@attrs.frozen
class ServerStatusParams:
    """Whether the server is well, and whether it is at rest."""

    health: Literal["ok", "warning", "error"]
    quiescent: bool
    message: str | None = None
    summary: str | None = None


@attrs.frozen
class Term:
    """A word of the question, what it brought to a hit, and where it stands there."""

    term: str
    weight: float
    range: types.Range | None = None
    dense: float | None = None
    lexical: float | None = None


@attrs.frozen
class Why:
    """What speaks for a hit."""

    dense: float
    lexical: float
    terms: list[Term]


@attrs.frozen
class Hit:
    """One answer."""

    location: types.Location
    target_range: types.Range
    name: str
    kind: types.SymbolKind
    language_id: str
    score: float
    container_name: str | None = None
    signature: str | None = None
    detail: str | None = None
    similarity: float | None = None
    why: Why | None = None
    copies: int | None = None


@attrs.frozen
class Completion:
    """What a query that ends in an unfinished filter may become."""

    label: str
    query: str
    detail: str | None = None


@attrs.frozen
class SearchResult:
    """The answer to sextant/search and sextant/findSimilar."""

    hits: list[Hit]
    is_incomplete: bool
    generation: int
    low_confidence: bool
    origin: Hit | None = None
    notices: list[str] | None = None
    completions: list[Completion] | None = None


@attrs.frozen
class FolderStatus:
    """What is known of one workspace folder."""

    uri: str
    state: Literal["opening", "indexing", "ready", "degraded"]
    files: int
    units: int
    pending_files: int
    skipped_files: int
    languages: dict[str, int]
    message: str | None = None
    encoded_units: int | None = None
    summary: str | None = None


@attrs.frozen
class IndexStatus:
    """The answer to sextant/indexStatus."""

    protocol_version: Literal[1]
    folders: list[FolderStatus]
    generation: int
    encoder: str
    backend: str
    resident_bytes: int


class Written(NamedTuple):
    """A result with its JSON, written where it was found: the event loop has other things to do, and colder caches."""

    result: SearchResult
    json: str


def write(result: SearchResult) -> Written:
    """Write a result; may be called in any thread."""
    return Written(result, json.dumps(_CONVERTER.unstructure(result), allow_nan=False))


PARAMS: Mapping[str, type | None] = {
    SEARCH: SearchParams,
    FIND_SIMILAR: FindSimilarParams,
    INDEX_STATUS: None,
    REINDEX: ReindexParams,
    TUNE: TuneParams,
}
"""Sextant's requests with the type of their parameters."""

RESULTS: Mapping[str, type] = {
    SEARCH: SearchResult,
    FIND_SIMILAR: SearchResult,
    INDEX_STATUS: IndexStatus,
    REINDEX: ReindexResult,
    TUNE: ReindexResult,
}
"""The type of each request's result."""

NOTIFICATIONS: Mapping[str, type] = {JOB_FINISHED: JobFinished, SERVER_STATUS: ServerStatusParams}
"""The server's own notifications with the type of their parameters."""

COMMANDS: Mapping[str, str] = {
    "sextant.search": SEARCH,
    "sextant.findSimilar": FIND_SIMILAR,
    "sextant.status": INDEX_STATUS,
    "sextant.reindex": REINDEX,
    "sextant.tune": TUNE,
}
"""The same as commands, for clients that can send no other requests; the first argument is the parameters."""


class RequestFailed(JsonRpcException):
    """A well-formed request that cannot be answered, with a sentence the user can act on."""

    CODE = -32803
    MESSAGE = "The request failed"


class InvalidParams(JsonRpcInvalidParams):
    """Malformed parameters, with a sentence that names the field."""


def parse_params(method: str, raw: object) -> Any:
    """Return the parameters of one of Sextant's requests.

    Raises InvalidParams. The converter is not used here: it would turn null into "None" and "7" into 7.
    Unknown fields are ignored, so that newer clients are understood.
    """
    expected = PARAMS[method]
    if expected is None:
        return None
    optional = raw is None and all(field.default is None for field in attrs.fields(expected))
    params: Any = _object(expected, {} if optional else raw, "params")
    limit = getattr(params, "limit", None)
    if limit is not None and not 1 <= limit <= MAX_LIMIT:
        raise InvalidParams(f"params.limit must be between 1 and {MAX_LIMIT}.")
    if isinstance(params, FindSimilarParams):
        if params.text_document is None and params.text is None:
            raise InvalidParams("Give a place (textDocument and range) or a text.")
        if (params.text_document is None) != (params.range is None) and params.text is None:
            raise InvalidParams("A place needs both textDocument and range.")
    return params


def camel(name: str) -> str:
    """Return the wire name of a field."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def well_formed(text: str) -> str:
    """Return the text with each lone half of a surrogate pair (legal in JSON, no text, breaks encoders) replaced."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


_CONVERTER = default_converter()  # type: ignore[no-untyped-call]
_SURROGATE = re.compile("[\ud800-\udfff]")
_T = TypeVar("_T")
_NAMES: Mapping[object, str] = {str: "a string", bool: "true or false", int: "a whole number of at least 0"}


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _object(cls: type[_T], raw: object, where: str) -> _T:
    if not isinstance(raw, Mapping):
        raise InvalidParams(f"{where} must be an object.")
    values, hints = {}, _hints(cls)  # type: ignore[arg-type]  # mypy doubts that a type is hashable
    for field in attrs.fields(cls):  # type: ignore[arg-type]  # every class that gets here is an attrs class
        name = camel(field.name)
        if raw.get(name) is not None:
            values[field.name] = _value(hints[field.name], raw[name], f"{where}.{name}")
        elif field.default is attrs.NOTHING:
            raise InvalidParams(f"{where}.{name} is missing.")
    try:
        return cls(**values)
    except ValueError as error:  # a line or column beyond what the protocol's integers hold
        raise InvalidParams(f"{where} is out of range.") from error


def _value(expected: Any, raw: object, where: str) -> Any:
    options = [option for option in _options(expected) if option is not type(None)]
    for option in options:
        if option is int and isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0:
            return raw
        if option in (str, bool) and isinstance(raw, option):
            return well_formed(raw) if isinstance(raw, str) else raw
        if get_origin(option) is Literal:
            if raw not in get_args(option):
                raise InvalidParams(f"{where} must be one of {', '.join(map(repr, get_args(option)))}.")
            return raw
        if get_origin(option) is list:
            if not isinstance(raw, list):
                raise InvalidParams(f"{where} must be a list.")
            return [_value(get_args(option)[0], item, f"{where}[{index}]") for index, item in enumerate(raw)]
        if isinstance(option, type) and issubclass(option, Enum):
            if isinstance(raw, int) and not isinstance(raw, bool) and raw in {each.value for each in option}:
                return option(raw)
            raise InvalidParams(f"{where} must be a number of {option.__name__}.")
        if isinstance(option, type) and attrs.has(option):
            return _object(option, raw, where)
    raise InvalidParams(f"{where} must be {' or '.join(_NAMES[option] for option in options)}.")


def _options(expected: Any) -> tuple[Any, ...]:
    union = get_origin(expected) in (Union, pytypes.UnionType)
    return get_args(expected) if union else (expected,)
