"""Lexical terms: what of a unit can be matched word by word, in which field and how often.

A posting is one uint32: the number of occurrences in each field, in bit fields (`_BITS`), cut off at what the bits
hold. So the weights of the fields are chosen when a question is asked, and learning better ones rebuilds no index.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from server.model.tokens import split, words

LEXICAL_VERSION = 3
"""Stored with the index: raise it with any change of what `count.bags` returns."""

FIELDS = ("name", "file", "path", "container", "signature", "documentation", "body")
"""Where a word can stand: `file` is the name of the file (of its folder where that is `index` or the like), `path` the
folders above it."""
_BITS = (4, 4, 4, 4, 4, 6, 6)
"""Of a posting, from the lowest; the first four fields fill the lower half."""
SHIFTS = tuple(sum(_BITS[:number]) for number in range(len(_BITS)))
MOST = tuple((1 << bits) - 1 for bits in _BITS)
"""Occurrences that are told apart in each field."""
_LOWER = 4
_HALF = 16

STOP_WORDS = frozenset(
    "a an and are as at be by can do does for from how i if in into is it its me my of on or our that the their then"
    " there these this to us was we what when where which who why will with you your".split()
)
"""Words of a question that say nothing about code. Keywords such as `if` and `for` are among them on purpose."""
PREFIX = 4
"""Letters that a word of a name shares with what it is short for: `auth`, `config`, `utils`."""
PREFIXED = (FIELDS.index("name"), FIELDS.index("file"), FIELDS.index("container"))
"""Fields in which also the first letters of words are terms."""
_COMMON_STEMS = frozenset({"__init__", "__main__", "index", "mod", "main", "lib", "init"})
"""Files that are called like so many others that their folder's name says more."""

Counts = npt.NDArray[np.uint32]


def file_words(path: str) -> tuple[str, str]:
    """Return what names a file, and the folders above that."""
    *folders, name = path.split("/")
    stem = name.rpartition(".")[0] or name
    if stem.lower() in _COMMON_STEMS and folders:
        stem = folders.pop()
    return stem, "/".join(folders)


def field_counts(packed: Counts, field: int) -> Counts:
    """Return how often each term stands in one field."""
    counts: Counts = (packed >> np.uint32(SHIFTS[field])) & np.uint32(MOST[field])
    return counts


def field_mask(fields: frozenset[str]) -> int:
    """Return the bits of a posting that belong to some fields."""
    return sum(MOST[number] << SHIFTS[number] for number, field in enumerate(FIELDS) if field in fields)


@dataclass(frozen=True, slots=True)
class FieldWeights:
    """BM25F with the weights of one ranker: how many times an occurrence counts in each field.

    The frequency of a posting is the sum of two table look-ups, one for each half of its bits.
    """

    weights: tuple[float, ...]
    saturation: float
    """k1: how soon repetitions of a term stop to count."""
    length: float
    """b: how much long units are held back, 0 to 1."""
    lower: npt.NDArray[np.float64]
    upper: npt.NDArray[np.float64]

    @classmethod
    def of(cls, weights: tuple[float, ...], saturation: float, length: float) -> FieldWeights:
        """Prepare the tables of some weights, one for each of FIELDS."""
        halves = np.arange(1 << _HALF, dtype=np.uint32)
        lower, upper = np.zeros(1 << _HALF), np.zeros(1 << _HALF)
        for field, weight in enumerate(weights):
            if field < _LOWER:
                lower += weight * field_counts(halves, field)
            else:
                upper += weight * field_counts(halves << np.uint32(_HALF), field)
        return cls(weights, saturation, length, lower, upper)

    def frequencies(self, packed: Counts) -> npt.NDArray[np.float64]:
        """Return the weighted frequency of each posting."""
        frequency: npt.NDArray[np.float64] = self.lower[packed & 0xFFFF] + self.upper[packed >> _HALF]
        return frequency

    def saturate(
        self, frequencies: npt.NDArray[np.float64], lengths: npt.NDArray[np.int64], mean_length: float
    ) -> npt.NDArray[np.float64]:
        """Return BM25's term factor, from 0 up to 1, of weighted frequencies in units of so many words."""
        norm = 1.0 - self.length + self.length / max(mean_length, 1.0) * lengths
        return frequencies / (frequencies + self.saturation * norm)


def query_terms(text: str) -> dict[str, int]:
    """Return the terms of a question with their hashes, without stop words unless there is nothing else."""
    found: dict[str, int] = {}
    rest: dict[str, int] = {}
    for word in words(text):
        parts = split(word)
        for part in parts:
            (rest if part in STOP_WORDS else found)[part] = term_hash(stem(part))
        if len(parts) > 1:
            found[word.lower()] = term_hash(_joined(parts))
    return found or rest


def phrase_terms(text: str) -> tuple[int, ...]:
    """Return the hashes of neighbouring words written as one: "status code" is `StatusCode` and `statuscode`, too."""
    parts = [part for word in words(text) for part in split(word)]
    kept = (pair for pair in pairwise(parts) if not STOP_WORDS.intersection(pair))
    return tuple(dict.fromkeys(term_hash(_joined(pair)) for pair in kept))


def prefix_terms(text: str) -> dict[str, int]:
    """Return the first letters of a question's words with the hashes of names' words that begin so, too."""
    parts = (part for word in words(text) for part in split(word) if part not in STOP_WORDS)
    return {part[:PREFIX]: prefix_hash(part) for part in parts if len(part) >= PREFIX}


def prefix_hash(part: str) -> int:
    """Return the number under which names with a word that begins like `part` are found."""
    return term_hash("\0begins:" + part[:PREFIX])


def idf(documents: int, frequency: int) -> float:
    """Return the weight of a term found in `frequency` of `documents` units (BM25 as Lucene has it, never negative)."""
    return float(np.log1p((documents - frequency + 0.5) / (frequency + 0.5)))


_ENDINGS = (("ing", 6), ("ies", 5), ("ed", 5), ("es", 5), ("s", 4))
_KEPT = re.compile(r"(?:ss|us|is)\Z")


@lru_cache(maxsize=1 << 14)
def stem(term: str) -> str:
    """Strip the endings that English identifiers vary in: plural, -ing, -ed; both sides of a match do."""
    for ending, shortest in _ENDINGS:
        if term.endswith(ending) and len(term) >= shortest and not _KEPT.search(term):
            root = term[: -len(ending)]
            if ending == "ies":
                return root + "y"
            if ending in ("ing", "ed") and len(root) > 3 and root[-1] == root[-2] and root[-1] not in "lsz":
                return root[:-1]
            return root.removesuffix("e")
    return term.removesuffix("e") if len(term) > 3 else term


def term_hash(term: str) -> int:
    """Return the 64-bit number under which postings know a term."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _joined(parts: tuple[str, ...]) -> str:
    """Return the term of an identifier as a whole, whatever joins its parts."""
    return stem("".join(parts))


def word_terms(word: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the hashes of an identifier: of its parts, of the whole if it has several, of their first letters."""
    parts = split(word)
    known = [_part(part) for part in parts]
    whole = (term_hash(_joined(parts)),) if len(parts) > 1 else ()
    return tuple(own for own, _ in known), whole, tuple(prefix for _, prefix in known if prefix is not None)


@lru_cache(maxsize=1 << 14)
def _part(part: str) -> tuple[int, int | None]:
    """Return the hash of a subtoken, and that of its first letters if it has enough of them."""
    return term_hash(stem(part)), prefix_hash(part) if len(part) >= PREFIX else None
