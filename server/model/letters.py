"""Letters: the n-grams that tokens share, so that what is learned of one is learned of its relatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.model.vocabulary import CONTINUATION

_LENGTHS = (3, 4, 5)


@dataclass(frozen=True, slots=True)
class Spelled:
    """The n-grams of all tokens: those of token i are numbers[starts[i]:starts[i + 1]]."""

    size: int
    """How many different n-grams there are."""
    numbers: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    """(tokens,)"""
    shares: npt.NDArray[np.float32]
    """(len(numbers),): what each counts; one over the root of how many its token has."""


def spelled(entries: Sequence[str]) -> Spelled:
    """Cut tokens into the n-grams that at least two of them have.

    "<" and ">" stand where a word begins and ends; a piece from inside a word has no beginning.
    """
    grams = [_grams(entry) for entry in entries]
    times = Counter(gram for one in grams for gram in one)
    shared = sorted(gram for gram, tokens in times.items() if tokens > 1)
    places = {gram: number for number, gram in enumerate(shared)}
    kept = [[places[gram] for gram in one if gram in places] for one in grams]
    sizes = np.array([len(one) for one in kept], dtype=np.int64)
    shares = np.array([1.0 / max(1, len(one)) ** 0.5 for one in grams], dtype=np.float32)
    return Spelled(
        size=max(1, len(shared)),
        numbers=np.array([number for one in kept for number in one], dtype=np.int64),
        starts=np.cumsum(sizes) - sizes,
        shares=np.repeat(shares, sizes),
    )


def _grams(entry: str) -> list[str]:
    inner = entry.removeprefix(CONTINUATION)
    text = f"{inner}>" if inner != entry else f"<{entry}>"
    return sorted({text[at : at + length] for length in _LENGTHS for at in range(len(text) - length + 1)})
