"""The values every part of Sextant speaks in; imports nothing of ours."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""An (n, dimensions) or (dimensions,) array of float32."""


class Kind(IntEnum):
    """What a unit is; the numbers are those of the LSP's SymbolKind, so no table translates them."""

    MODULE = 2
    NAMESPACE = 3
    CLASS = 5
    METHOD = 6
    CONSTRUCTOR = 9
    ENUM = 10
    INTERFACE = 11
    FUNCTION = 12
    CONSTANT = 14
    STRUCT = 23
    TYPE = 26  # SymbolKind.TypeParameter, the nearest the protocol has to a type alias


class Span(NamedTuple):
    """A range of a file: offsets and columns are bytes, rows and columns count from 0, the end is exclusive.

    Rows end at \\n, \\r\\n or a lone \\r, as the LSP has it (not as tree-sitter counts).
    """

    start: int
    end: int
    start_row: int
    start_column: int
    end_row: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Passage:
    """The text of a unit that is encoded, by field; equal passages have equal vectors wherever they stand."""

    name: str = ""
    container: str = ""
    signature: str = ""
    documentation: str = ""
    body: str = ""

    def fields(self) -> tuple[str, str, str, str, str]:
        """Return the fields in the order of `FIELDS`."""
        return (self.name, self.container, self.signature, self.documentation, self.body)


FIELDS = ("name", "container", "signature", "documentation", "body")
"""The names of a passage's fields, in the order the encoder's weights have them."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A function, method, type or the remainder of a module, as it was cut from a file."""

    kind: Kind
    language: str
    """LSP language id."""
    passage: Passage
    name_span: Span
    """What an editor selects; empty at the start of the file for a module's remainder."""
    span: Span
    """The whole definition with its decorators and leading documentation: what an editor previews."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells whether a file changed: compared for equality only, never ordered (clocks jump)."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which units may answer; empty fields let everything pass."""

    languages: frozenset[str] = frozenset()
    kinds: frozenset[Kind] = frozenset()
    include: tuple[str, ...] = ()
    """Globs relative to the workspace folder; a unit's path must match one."""
    exclude: tuple[str, ...] = ()
    scope: tuple[str, str] | None = None
    """(workspace folder, relative path prefix or "" for all of it)."""
    fields: frozenset[str] = frozenset()
    """Where a word of the question must stand, as `index/lexical.py` calls the fields."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question: words, code or an identifier."""

    text: str
    limit: int = 20
    filter: Filter = field(default_factory=Filter)
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """A word that carried a match, and how much it brought."""

    term: str
    weight: float
    """The sum of the next two."""
    dense: float = 0.0
    """What it adds to the cosine."""
    lexical: float = 0.0
    """What it adds to the lexical share."""
    span: Span | None = None
    """Where it first stands in the hit, whatever its ending; None where only its meaning is there."""


@dataclass(frozen=True, slots=True)
class Why:
    """What speaks for a hit: how near it is in meaning, how much of the question's words it has, and which words."""

    dense: float
    """The cosine: the sum of the terms' dense parts."""
    lexical: float
    """BM25 as a share of the most there can be, 0 to 1: the sum of the terms' lexical parts."""
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer."""

    folder: str
    """Absolute path of the workspace folder."""
    path: str
    """Relative to the folder, with forward slashes."""
    language: str
    kind: Kind
    name: str
    container: str
    signature: str
    detail: str
    """The first sentence of the documentation."""
    name_span: Span
    span: Span
    score: float
    """0 to 1, comparable within one result."""
    similarity: float
    """Cosine, -1 to 1."""
    why: Why | None = None
    copies: int = 0
    """Near-identical units that this hit stands for, besides itself."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to a question, as of one snapshot."""

    hits: tuple[Hit, ...]
    is_incomplete: bool
    generation: int
    low_confidence: bool
    origin: Hit | None = None
    notices: tuple[str, ...] = ()
    """What the user should know of the question: a filter misspelt, or one that lets nothing pass."""


class Cancelled(Exception):
    """Raised by `CancelToken.check` in work that nobody waits for any more."""


class CancelToken:
    """A flag that work polls at every batch (a batch lasts at most 50 ms)."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the work to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Cancelled if somebody asked the work to stop."""
        if self._event.is_set():
            raise Cancelled


class EncoderUnavailable(Exception):
    """Says why an encoder in another process does not answer; questions are answered by their words meanwhile."""


class Encoder(Protocol):
    """Turns passages and questions into vectors of one space."""

    @property
    def fingerprint(self) -> str:
        """Name the space: vectors of different fingerprints are never compared."""

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""

    def encode(self, passages: Sequence[Passage]) -> Vectors:
        """Return (n, dimensions) unit rows; a zero row where no token is known."""

    def encode_query(self, text: str, token: CancelToken | None = None) -> Vectors:
        """Return a unit vector (dimensions,), or zeros where no token is known; Cancelled, EncoderUnavailable."""

    def explain(self, asked: str | Passage, vector: Vectors) -> list[tuple[str, float]]:
        """Return the words of a question or a passage with what each adds to its cosine with the vector."""


def space_name(fingerprint: str, strips: bool) -> str:
    """Name the space of an encoder that is given passages with or without comments and strings."""
    if not strips:
        return fingerprint
    return hashlib.blake2b(f"stripped 1 {fingerprint}".encode(), digest_size=16).hexdigest()


Json = dict[str, Any]
"""A decoded JSON object."""


@dataclass(frozen=True, slots=True)
class Similar:
    """A find-similar question: a place in a file, or a text that need not be in any."""

    path: str = ""
    """Absolute path, or "" when only the text is given."""
    start: int = 0
    end: int = 0
    """Byte offsets into the file; an empty range means the function around it."""
    text: str = ""
    language: str = ""
    limit: int = 20
    filter: Filter = field(default_factory=Filter)
    explain: bool = False


class QuestionError(ValueError):
    """The user's mistake in a question, as a sentence the user can act on."""


State = Literal["opening", "indexing", "ready", "degraded"]


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """What is known of one workspace folder."""

    root: str
    state: State
    files: int
    units: int
    pending_files: int
    skipped: dict[str, int]
    """Files and folders left out of the index although a user may expect them there, counted by reason."""
    languages: dict[str, int]
    """Files by LSP language id."""
    message: str | None = None
    encoded: int = 0
    """Units encoded since the start; the vectors of all others were known already."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of the whole index."""

    folders: tuple[FolderStatus, ...]
    generation: int
    encoder: str
    backend: str
    """How neighbours are found now: "exact" or "annoy"."""
    resident_bytes: int
    missing_vectors: int = 0
    """Passages that the encoder in the settings has to encode before it can answer; 0 if it answers, or is built in."""
