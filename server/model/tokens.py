"""Tokens: text to subtokens, the same in training, indexing and asking."""

from __future__ import annotations

import re
from functools import lru_cache

TOKENIZER_VERSION = 1
"""Part of every fingerprint: raise it with any change of what `subtokens` returns."""

_WORD = re.compile(r"[^\W\d]\w*|\d+")
_ASCII_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_SPACED = "".join(char if char.isalnum() or char == "_" else " " for char in map(chr, range(128)))
"""Each ASCII character as it stands in a word, else a space."""
_LONGEST_WORD = 200
"""Characters; longer runs are data (base64, minified code), not words."""


def words(text: str) -> list[str]:
    """Return the identifiers, words and numbers of a text as they stand there, in order."""
    found = _ascii_words(text) if text.isascii() else None
    if found is None:
        found = _WORD.findall(text)
    if len(text) > _LONGEST_WORD and max(map(len, found), default=0) > _LONGEST_WORD:
        return [word for word in found if len(word) <= _LONGEST_WORD]
    return found


def _ascii_words(text: str) -> list[str] | None:
    """Return the same in half the time, unless letters follow a number: `10px` is two words."""
    found = text.translate(_SPACED).split()
    numbers = [word for word in found if word < ":"]  # only digits come before it
    return found if all(map(str.isdigit, numbers)) else None


@lru_cache(maxsize=1 << 13)
def split(word: str) -> tuple[str, ...]:
    """Split an identifier at camel humps, underscores, digits and acronyms, and fold its case.

    `parseHTTPResponse2` becomes parse, http, response, 2.
    """
    if word.isascii():
        return tuple(part.lower() for part in _ASCII_PART.findall(word))
    return tuple(part for piece in re.split(r"_+|(\d+)", _humps(word)) if piece for part in piece.casefold().split())


def subtokens(text: str) -> list[str]:
    """Return all subtokens of a text, in order and with repetitions."""
    return [part for word in words(text) for part in split(word)]


def _humps(word: str) -> str:
    """Put a space before each capital that follows a small letter, in any script that has cases."""
    return "".join(
        f" {char}" if index and char.isupper() and word[index - 1].islower() else char
        for index, char in enumerate(word)
    )
