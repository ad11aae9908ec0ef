"""Count: the terms of the units of a file, by field; a first index spends more time here than in its parsers."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt

from server.index.lexical import FIELDS, MOST, PREFIXED, SHIFTS, Counts, file_words, word_terms
from server.model import tokens
from server.model.tokens import words
from server.types import Passage

_WIDTH = len(FIELDS)
_IS_PREFIXED = np.isin(np.arange(_WIDTH), PREFIXED)
_MOST = np.array(MOST, dtype=np.uint32)
_SHIFTS = np.array(SHIFTS, dtype=np.uint32)
_MOST_WORDS = 1 << 16
"""Words remembered, some 15 MB; forgotten then, since most of them are never seen again."""
_AT_ONCE = 1 << 14
"""Words that are counted at once: those of some files, since each time has a price of its own."""
_FEW_WORDS = 1 << 13
"""Words that are remembered also where nothing is being read."""


@dataclass(frozen=True, slots=True)
class Bag:
    """The terms of a unit, by hash, ascending, with their packed counts, and how many words each field has."""

    hashes: npt.NDArray[np.uint64]
    counts: Counts
    lengths: npt.NDArray[np.uint16]
    """(len(FIELDS),)"""
    said: bytes
    """Equal for units whose signature and body have the same words in the same order."""


def bags(placed: Sequence[tuple[Passage, str]]) -> list[Bag]:
    """Return the terms of each of some passages, which come with the paths of the files that they stand in."""
    found: list[Bag] = []
    listed: list[list[str]] = []
    said: list[bytes] = []
    named = {path: [words(text) for text in file_words(path)] for path in {path for _, path in placed}}
    room = _AT_ONCE
    for passage, path in placed:
        signature, body = words(passage.signature), words(passage.body)
        text = f"{' '.join(signature)}\0{' '.join(body)}"
        said.append(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        documentation = words(passage.documentation)
        listed += words(passage.name), *named[path], words(passage.container), signature, documentation, body
        room -= len(documentation) + len(body)
        if room < 0:
            found += _bagged(listed, said)
            listed, said, room = [], [], _AT_ONCE
    return found + _bagged(listed, said)


def _bagged(listed: list[list[str]], said: list[bytes]) -> list[Bag]:
    with _guard:
        counted = _counted(listed) if listed else []
    return [Bag(*one, said=own) for one, own in zip(counted, said, strict=True)]


class _Table(dict[str, int]):
    """Numbers words, and remembers the terms of each, one word after another."""

    def __init__(self) -> None:
        super().__init__()
        self._terms = np.empty(1 << 12, np.uint64)
        self._ends = np.empty((1 << 10, 3), np.int64)
        """Of a word's parts, of its terms in any field, of those in a field with prefixes."""
        self._used = 0

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        parts, whole, prefixes = word_terms(word)
        terms = (*parts, *whole, *prefixes)
        first, self._used = self._used, self._used + len(terms)
        while self._used > len(self._terms):
            self._terms = np.concatenate((self._terms, np.empty_like(self._terms)))
        if number == len(self._ends):
            self._ends = np.concatenate((self._ends, np.empty_like(self._ends)))
        self._terms[first : self._used] = terms
        self._ends[number] = first + len(parts), first + len(parts) + len(whole), self._used
        return number

    def sizes(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return (n, 4): where the terms of some words begin, and how many are parts, in any field, and in all."""
        starts = np.where(numbers > 0, self._ends[numbers - 1, 2], 0)
        return np.column_stack((starts, self._ends[numbers] - starts[:, None]))

    def terms(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Return the terms at some places."""
        return self._terms[places]


_table = _Table()
_guard = threading.Lock()


def forget() -> None:
    """Let go of the words that are remembered, if they are many."""
    global _table  # noqa: PLW0603  (a cache)
    tokens.forget()
    with _guard:
        if len(_table) > _FEW_WORDS:
            _table = _Table()


def _counted(
    listed: list[list[str]],
) -> list[tuple[npt.NDArray[np.uint64], Counts, npt.NDArray[np.uint16]]]:
    """Return terms, packed counts and lengths of units whose words are given field by field."""
    global _table  # noqa: PLW0603  (a cache)
    if len(_table) > _MOST_WORDS:
        _table = _Table()
    sizes = np.fromiter(map(len, listed), dtype=np.int64, count=len(listed))
    numbers = np.fromiter(map(_table.__getitem__, chain.from_iterable(listed)), np.int64, int(sizes.sum()))
    places = np.repeat(np.arange(len(listed)), sizes)
    starts, parts, plain, every = _table.sizes(numbers).T
    lengths = np.bincount(places, parts, len(listed)).clip(max=0xFFFF).astype(np.uint16).reshape(-1, _WIDTH)

    taken = np.where(_IS_PREFIXED[places % _WIDTH], every, plain)
    ends = np.cumsum(taken)
    offsets = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - taken, taken)
    terms, ranks = np.unique(_table.terms(np.repeat(starts, taken) + offsets), return_inverse=True)
    place = np.repeat(places, taken)
    unit, field = np.divmod(place, _WIDTH)
    keys = np.sort((unit * len(terms) + ranks) * _WIDTH + field)
    firsts = _firsts(keys)
    times = np.diff(firsts, append=len(keys)).astype(np.uint32)
    keys, field = np.divmod(keys[firsts], _WIDTH)
    packed = np.minimum(times, _MOST[field]) << _SHIFTS[field]
    firsts = _firsts(keys)
    counts = np.bitwise_or.reduceat(packed, firsts) if len(packed) else packed
    unit, rank = np.divmod(keys[firsts], max(1, len(terms)))
    hashes = terms[rank]
    bounds = pairwise(np.searchsorted(unit, np.arange(len(lengths) + 1)).tolist())
    return [(hashes[low:high], counts[low:high], own) for (low, high), own in zip(bounds, lengths, strict=True)]


def _firsts(ordered: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where each run of equal numbers begins."""
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(ordered) else ordered
