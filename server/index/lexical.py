"""Lexical terms: what of a unit can be matched word by word, and BM25 over it."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from server.model.tokens import split, words
from server.types import Passage

LEXICAL_VERSION = 1
"""Stored with the index: raise it with any change of what `bag` returns."""

FIELD_WEIGHTS = {"name": 4.0, "path": 2.0, "container": 1.5, "documentation": 2.0, "signature": 1.0, "body": 1.0}
"""How many times one occurrence in a field counts (BM25F). Multiples of .5, so that sums are exact in any order and
an incremental index scores like one built from scratch (invariant 1)."""

K1 = 1.2
"""How soon repetitions of a term stop to count; the usual value."""
B = 0.5
"""How much long units are held back. Below the usual .75: a long function is often the right answer."""

STOP_WORDS = frozenset(
    "a an and are as at be by can do does for from how i if in into is it its me my of on or our that the their then"
    " there these this to us was we what when where which who why will with you your".split()
)
"""Words of a question that say nothing about code. Keywords such as `if` and `for` are among them on purpose."""


@dataclass(frozen=True, slots=True)
class Bag:
    """The weighted terms of a unit, by hash, ascending."""

    hashes: npt.NDArray[np.uint64]
    weights: npt.NDArray[np.float32]


def bag(passage: Passage, path: str) -> Bag:
    """Return the weighted terms of a passage that stands in the file of that path."""
    weighted: dict[int, float] = {}
    fields = (
        ("name", passage.name),
        ("path", path),
        ("container", passage.container),
        ("documentation", passage.documentation),
        ("signature", passage.signature),
        ("body", passage.body),
    )
    for field, text in fields:
        if text:
            weight = FIELD_WEIGHTS[field]
            for word, count in Counter(words(text)).items():
                for term in _hashes(word):
                    weighted[term] = weighted.get(term, 0.0) + weight * count
    hashes = np.fromiter(weighted.keys(), dtype=np.uint64, count=len(weighted))
    weights = np.fromiter(weighted.values(), dtype=np.float32, count=len(weighted))
    order = np.argsort(hashes)
    return Bag(hashes[order], weights[order])


def query_terms(text: str) -> dict[str, int]:
    """Return the terms of a question with their hashes, without stop words unless there is nothing else."""
    found: dict[str, int] = {}
    rest: dict[str, int] = {}
    for word in words(text):
        parts = split(word)
        for term in (*parts, word.lower()) if len(parts) > 1 else parts:
            (rest if term in STOP_WORDS else found)[term] = term_hash(stem(term))
    return found or rest


def idf(documents: int, frequency: int) -> float:
    """Return the weight of a term found in `frequency` of `documents` units (BM25 as Lucene has it, never negative)."""
    return float(np.log1p((documents - frequency + 0.5) / (frequency + 0.5)))


def saturate(
    weights: npt.NDArray[np.float32], lengths: npt.NDArray[np.float32], mean_length: float
) -> npt.NDArray[np.float64]:
    """Return BM25's term factor, from 0 up to 1, of weighted term frequencies in units of these lengths."""
    tf = weights.astype(np.float64)
    return tf / (tf + K1 * (1.0 - B + B * lengths.astype(np.float64) / max(mean_length, 1.0)))


@lru_cache(maxsize=1 << 16)
def stem(term: str) -> str:
    """Strip the endings that English identifiers vary in: plural, -ing, -ed; both sides of a match do."""
    for ending, shortest in (("ing", 6), ("ies", 5), ("ed", 5), ("es", 5), ("s", 4)):
        if term.endswith(ending) and len(term) >= shortest and not term.endswith(("ss", "us", "is")):
            root = term[: -len(ending)]
            if ending == "ies":
                return root + "y"
            if ending in ("ing", "ed") and len(root) > 3 and root[-1] == root[-2] and root[-1] not in "lsz":
                return root[:-1]
            return root.removesuffix("e")
    return term.removesuffix("e") if len(term) > 3 else term


@lru_cache(maxsize=1 << 17)
def term_hash(term: str) -> int:
    """Return the 64-bit number under which postings know a term."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=1 << 16)
def _hashes(word: str) -> tuple[int, ...]:
    """Return the hashes of an identifier's parts, and of the whole where it has several."""
    parts = split(word)
    if len(parts) > 1:
        parts = (*parts, word.lower())
    return tuple(term_hash(stem(part)) for part in parts)
