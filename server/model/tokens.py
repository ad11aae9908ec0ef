"""Tokens: text to subtokens, the same in training, indexing and asking."""

from __future__ import annotations

import re
from functools import lru_cache

TOKENIZER_VERSION = 1
"""Part of every fingerprint: raise it with any change of what `subtokens` returns."""

WORD = re.compile(r"[^\W\d]\w*|\d+")
_ASCII_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_SPACED = "".join(char if char.isalnum() or char == "_" else " " for char in map(chr, range(128)))
"""Each ASCII character as it stands in a word, else a space."""
_MOST_LETTERS = 1 << 18
"""Characters of the texts whose words are remembered, which take some 3 MB."""
_SHORT = 40
"""Characters; in a shorter text words are found as soon as they are remembered."""
_LONGEST_WORD = 200
"""Characters; longer runs are data (base64, minified code), not words."""


class _Recent(dict[str, list[str]]):
    """Remembers the words of the last texts: each is asked for twice, for its terms and for its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self._letters = 0

    def __missing__(self, text: str) -> list[str]:
        if self._letters + len(text) > _MOST_LETTERS:
            self.clear()
        self._letters += len(text)
        found = self[text] = _words(text)
        return found

    def clear(self) -> None:
        super().clear()
        self._letters = 0


_recent = _Recent()


def forget() -> None:
    """Let go of the words of the last texts."""
    _recent.clear()


def words(text: str) -> list[str]:
    """Return the identifiers, words and numbers of a text as they stand there, in order; nobody changes the list."""
    return _recent[text] if len(text) > _SHORT else _words(text)


def _words(text: str) -> list[str]:
    found = _ascii_words(text) if text.isascii() else None
    if found is None:
        found = WORD.findall(text)
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
