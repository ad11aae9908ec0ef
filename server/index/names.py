"""Names: which units have a name like the one typed, exact ones first, then those it abbreviates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from server.index.layers import Layer
    from server.index.search import Mask

_LONGEST = 200
"""Characters; more is no name that somebody types."""
MOST_CANDIDATES = 3000
"""Names looked at one by one; the shortest ones, of those that have all letters in order."""
PART, ABBREVIATION = 0.5, 0.3
"""The least closeness of a name that has what was typed in it, and of one that is abbreviated by it."""
_WORD_START = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_BITS = np.uint64(1) << (np.arange(256, dtype=np.uint64) % np.uint64(64))


class NameTable:
    """The names of a segment's units, in lower case, as bytes that numpy can look through."""

    def __init__(self, text: npt.NDArray[np.uint8], text_ends: npt.NDArray[np.int64]) -> None:
        """Take the rows' JSON (`Segment.text`), each of which begins with `["name"`."""
        starts = np.concatenate([[0], text_ends[:-1]]).astype(np.int64) + 2 if len(text_ends) else text_ends
        quotes = np.flatnonzero(text == ord('"'))
        sizes = quotes[np.searchsorted(quotes, starts)] - starts
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        names = text[np.arange(int(sizes.sum())) + np.repeat(starts - self._starts, sizes)]
        names[(names >= ord("A")) & (names <= ord("Z"))] += 32
        self._text = names
        self._letters = np.zeros(len(starts), np.uint64)
        """(n,) the bytes of each name as a set, 64 of them told apart."""
        if (filled := sizes > 0).any():
            self._letters[filled] = np.bitwise_or.reduceat(_BITS[names], self._starts[filled])

    def candidates(self, typed: bytes, mask: Mask) -> npt.NDArray[np.int64]:
        """Return the rows whose names have these (folded) bytes in this order, the shortest names first."""
        wanted = np.bitwise_or.reduce(_BITS[list(typed)]) if typed else np.uint64(0)
        rows = np.flatnonzero(mask & ((self._letters & wanted) == wanted))
        at = self._starts[rows]
        for byte in typed:
            places = np.flatnonzero(self._text == byte)
            index = np.searchsorted(places, at)
            found = index < len(places)
            rows, index = rows[found], index[found]
            at = places[index] + 1
            inside = at <= self._ends[rows]
            rows, at = rows[inside], at[inside]
        if len(rows) > MOST_CANDIDATES:
            sizes = self._ends[rows] - self._starts[rows]
            rows = np.sort(rows[np.argsort(sizes, kind="stable")[:MOST_CANDIDATES]])
        return rows


def find(layers: Sequence[Layer], masks: Sequence[Mask], typed: str, limit: int) -> list[tuple[float, Layer, int]]:
    """Return (closeness, layer, row) of the units whose names are like what was typed, the closest first.

    What is typed may be qualified (`Flask.run`, `Foo::bar`) or several words, each of which must stand in the name.
    """
    *containers, name = [part for part in re.split(r"\.|::|#|->", typed.strip().removesuffix("()")) if part] or [""]
    words = name.split()
    if not words or len(typed) > _LONGEST:
        return []
    found: list[tuple[tuple[float, int, str, str, int], float, Layer, int]] = []
    folded = "".join(words).lower()
    for layer, mask in zip(layers, masks, strict=True):
        segment = layer.segment
        # JSON writes other letters as escapes: they are compared below, one by one.
        ascii_part = "".join(letter for letter in folded if letter.isascii()) if len(words) == 1 else words[0].lower()
        typed_bytes = ascii_part.encode("ascii", "ignore")
        for row in segment.name_table.candidates(typed_bytes, mask).tolist():
            own, container, _, _ = segment.strings(row)
            close = min(closeness(word, own) for word in words)
            is_elsewhere = containers and not container.casefold().endswith(containers[-1].casefold())
            if is_elsewhere or close < (PART if len(words) > 1 else ABBREVIATION):
                continue
            path = segment.paths[segment.file_of[row]]
            place = (-close, len(own), layer.folder, path, int(segment.spans[row][6]))
            found.append((place, close, layer, row))
    found.sort(key=lambda each: each[0])
    return [(close, layer, row) for _, close, layer, row in found[:limit]]


def closeness(typed: str, name: str) -> float:
    """Return how like a name is to what was typed: 1 the same, .8 its begin, .5 a part, .3 abbreviated, 0 not."""
    if typed == name:
        return 1.0
    small, whole = typed.casefold(), name.casefold()
    if small == whole:
        return 0.98
    share = len(small) / max(len(whole), 1)
    if whole.startswith(small):
        return 0.8 + 0.15 * share
    if (at := whole.find(small)) > 0:
        starts_word = whole[at - 1] in "_$-" or at in _word_starts(name)
        return (0.65 if starts_word else 0.5) + 0.1 * share
    return 0.3 + 0.15 * share if _abbreviates(small, name) else 0.0


def _abbreviates(small: str, name: str) -> bool:
    """Tell whether the letters begin the words of a name, in order (`rwb`, `retback` for retry_with_backoff)."""
    whole = name.casefold()
    places = [at for at in _word_starts(name) if at < len(whole)]
    states = {(0, -1)}  # (letters used, place in the name up to which the current word was followed)
    for place in places:
        more = set()
        for used, _ in states:
            step, at = used, place
            while step < len(small) and at < len(whole) and whole[at] == small[step]:
                step, at = step + 1, at + 1
                more.add((step, at))
        states |= more
        if any(used == len(small) for used, _ in more):
            return True
    return False


@lru_cache(maxsize=1 << 14)
def _word_starts(name: str) -> tuple[int, ...]:
    return tuple(match.start() for match in _WORD_START.finditer(name))
