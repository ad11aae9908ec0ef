"""Reasons: the words that carried a hit, what each brought, and where it stands in the hit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from server.index.lexical import stem
from server.model.tokens import split
from server.types import Span, Term, Why

_IDENTIFIER = re.compile(r"[^\W\d]\w*|\d+")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LONGEST = 40_000
"""Bytes of a unit that are looked through."""


def why(
    similarity: float,
    lexical: float,
    dense_shares: Iterable[tuple[str, float]],
    lexical_shares: dict[str, float],
    text: bytes | None,
    name: Span,
    whole: Span,
) -> Why:
    """Share a score among the words asked for: the dense shares sum to the cosine, the lexical ones to the BM25 share.

    `text` is the file's, or None if it is gone; then no word has a place.
    """
    dense: dict[str, float] = {}
    for word, value in dense_shares:
        dense[word.lower()] = dense.get(word.lower(), 0.0) + value
    words = sorted({*dense, *lexical_shares}, key=lambda word: (-_share(word, dense, lexical_shares), word))
    spans = places(text, name, whole, words) if text is not None else {}
    terms = (
        Term(
            word,
            _share(word, dense, lexical_shares),
            dense.get(word, 0.0),
            lexical_shares.get(word, 0.0),
            spans.get(word),
        )
        for word in words
    )
    return Why(similarity, lexical, tuple(terms))


def places(text: bytes, name: Span, whole: Span, words: Sequence[str]) -> dict[str, Span]:
    """Return where each word first stands in a unit, in its name before anywhere else, whatever its ending."""
    found: dict[str, Span] = {}
    for span in (name, whole):
        piece = text[span.start : min(span.end, span.start + _LONGEST)].decode("utf-8", "surrogateescape")
        folded = _folded(piece)
        for word in words:
            if word not in found and (place := _first(piece, folded, _stem(word))):
                found[word] = _span(text, span, piece, *place)
    return found


def _first(piece: str, folded: str, wanted: str) -> tuple[int, int] | None:
    """Return where the first identifier stands that has a word with a stem, or is one as a whole."""
    begins = wanted.removesuffix("y") or wanted  # as do all words of that stem: `queries` are `query`
    places: Iterator[int] = _occurrences(folded, begins)
    if "_" in piece and begins in folded.replace("_", ""):
        places = (match.start() for match in re.finditer("_*".join(map(re.escape, begins)), folded))
    end = 0
    for at in places:
        if at < end:
            continue
        start = end = at
        while start and (piece[start - 1].isalnum() or piece[start - 1] == "_"):
            start -= 1
        for match in _IDENTIFIER.finditer(piece, start):
            end = match.end()
            if wanted in _stems(match.group()):
                return match.start(), end
            if end > at:
                break
    return None


def _occurrences(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _folded(text: str) -> str:
    """Return a text in small letters, each in its place."""
    folded = text.lower()
    return folded if len(folded) == len(text) else "".join(map(_small, text))


def _small(char: str) -> str:
    small = char.lower()
    return small if len(small) == 1 else char


@lru_cache(maxsize=1 << 14)
def _stems(identifier: str) -> frozenset[str]:
    """Return the stems of an identifier's words and of the whole."""
    parts = split(identifier)
    return frozenset((*map(stem, parts), stem("".join(parts))))


def _share(word: str, dense: dict[str, float], lexical: dict[str, float]) -> float:
    return dense.get(word, 0.0) + lexical.get(word, 0.0)


def _stem(word: str) -> str:
    return stem("".join(split(word)))


def _span(text: bytes, around: Span, piece: str, start: int, end: int) -> Span:
    """Return the span of some characters of a piece that begins where `around` does."""
    first = around.start + len(piece[:start].encode("utf-8", "surrogateescape"))
    last = first + len(piece[start:end].encode("utf-8", "surrogateescape"))
    row, column = around.start_row, around.start_column + first - around.start
    for line_end in _LINE_END.finditer(text, around.start, first):
        row, column = row + 1, first - line_end.end()
    return Span(first, last, row, column, row, column + last - first)
