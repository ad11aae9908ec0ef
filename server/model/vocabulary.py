"""The vocabulary: which rows of the weights an identifier or word stands for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from server.model import tokens

CONTINUATION = "##"
"""Marks a piece that stands inside a word, as WordPiece has it."""
_BECOMES = ("to", "into")
_COMES_FROM = ("from",)
_ARTICLES = ("a", "an", "the", "its", "this", "given", "of", "some")
"""Stand between a connective and its word."""
_CACHE_WORDS = 20_000
"""Words remembered per vocabulary, about 4 MB when full; emptied then, since most of them are never seen again."""


class Vocabulary:
    """Maps words to token ids: a frequent subtoken is one token, any other is cut into learned pieces."""

    def __init__(self, entries: Sequence[str]) -> None:
        self.entries = tuple(entries)
        self._index = {entry: number for number, entry in enumerate(self.entries)}
        if len(self._index) != len(self.entries):
            raise ValueError("a vocabulary names no token twice")
        self._longest = max(map(len, self.entries), default=0)
        self._cache = _Cache(self)
        self._connectives = {
            self._index[word]: words is _COMES_FROM
            for words in (_BECOMES, _COMES_FROM)
            for word in words
            if word in self._index
        }
        self._articles = frozenset(self._index[word] for word in _ARTICLES if word in self._index)
        self._inner = frozenset(number for number, entry in enumerate(self.entries) if entry.startswith(CONTINUATION))

    def __len__(self) -> int:
        return len(self.entries)

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text, with repetitions; the same in training and serving."""
        if len(self._cache) > _CACHE_WORDS:
            self._cache.clear()
        return list(chain.from_iterable(map(self._cache.__getitem__, tokens.words(text))))

    def ordered(self, ids: list[int]) -> list[int]:
        """Return more ids that keep "int to string" apart from "string to int".

        What something is made from is its token's id plus the vocabulary's size, what it is made into that plus twice
        the size.
        """
        if self._connectives.keys().isdisjoint(ids):
            return []
        found: list[int] = []
        for place, number in enumerate(ids):
            is_backward = self._connectives.get(number)
            if is_backward is not None:
                before, after = self._before(ids, place), self._after(ids, place)
                origin, result = (after, before) if is_backward else (before, after)
                found += [one + len(self) for one in origin]
                found += [one + 2 * len(self) for one in result]
        return found

    def word(self, word: str) -> tuple[int, ...]:
        """Return the token ids of one identifier or word."""
        return tuple(number for part in tokens.split(word) for number in self._pieces(part))

    def dump(self) -> bytes:
        """Return the file's bytes: one entry a line, the line number is the token id."""
        return "".join(f"{entry}\n" for entry in self.entries).encode()

    @classmethod
    def parse(cls, data: bytes) -> Vocabulary:
        """Read what `dump` wrote; ValueError (also for broken UTF-8) where it is something else."""
        return cls(data.decode().split("\n")[:-1])

    def _before(self, ids: list[int], place: int) -> list[int]:
        end = place
        while end > 0 and ids[end - 1] in self._articles:
            end -= 1
        start = end - 1
        while start > 0 and ids[start] in self._inner:
            start -= 1
        return [] if end == 0 or ids[end - 1] in self._connectives else ids[start:end]

    def _after(self, ids: list[int], place: int) -> list[int]:
        start = place + 1
        while start < len(ids) and ids[start] in self._articles:
            start += 1
        end = start + 1
        while end < len(ids) and ids[end] in self._inner:
            end += 1
        return [] if start == len(ids) or ids[start] in self._connectives else ids[start:end]

    def _pieces(self, part: str) -> Iterable[int]:
        """Cut a subtoken greedily into the longest known pieces; what starts no piece is skipped."""
        whole = self._index.get(part)
        if whole is not None:
            yield whole
            return
        start, prefix = 0, ""
        while start < len(part):
            for end in range(min(len(part), start + self._longest), start, -1):
                number = self._index.get(prefix + part[start:end])
                if number is not None:
                    yield number
                    start = end
                    break
            else:
                start += 1
            prefix = CONTINUATION


class _Cache(dict[str, tuple[int, ...]]):
    """Remembers the ids of words; a plain dict look-up is what keeps Python's share of the work small."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__()
        self._vocabulary = vocabulary

    def __missing__(self, word: str) -> tuple[int, ...]:
        ids = self[word] = self._vocabulary.word(word)
        return ids
