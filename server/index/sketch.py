"""Sketch: some bits of each row that tell which rows may be near a vector, without reading the rows.

The bits are the signs of a row's components after a fixed rotation (Charikar, "Similarity estimation techniques from
rounding algorithms", 2002), so that no component matters more than another, whatever the encoder. They take one of 32
of a row's bytes, and the share in which those of two rows differ tells the angle between the rows.

A code depends on its row alone, bit for bit: components are rounded to whole numbers whose sums float32 holds exactly,
in any order. So which rows are near enough to be looked at depends on no history (invariant 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from server.types import Vectors

_WORD = 64
_STEPS = 4096.0
"""A component of a unit row in whole numbers: sums of up to 16 million are exact."""
_BATCH = 4_096
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Mixes the words of a code into one, which is sorted faster; of millions hardly two fall together."""

Codes = npt.NDArray[np.uint64]
"""(words, n): the first 64 bits of all rows, then the next."""


def codes(vectors: Vectors) -> Codes:
    """Return the codes of (n, dimensions) unit rows."""
    rotation = _rotation(vectors.shape[1])
    found = np.empty(shape(vectors.shape), np.uint64)
    for start in range(0, len(vectors), _BATCH):
        bits = np.packbits(_whole(vectors[start : start + _BATCH]) @ rotation > 0, axis=1)
        found[:, start : start + _BATCH] = bits.view(np.uint64).T
    return found


def shape(vectors: tuple[int, ...]) -> tuple[int, int]:
    """Return (words, n): the shape of the codes of (n, dimensions) rows."""
    count, dimensions = vectors
    return _bits(dimensions) // _WORD, count


def distances(of: Codes, vector: Vectors) -> npt.NDArray[np.uint16]:
    """Return (n,) in how many bits each code differs from that of a vector."""
    # Not by a product of matrices, for which BLAS keeps buffers of megabytes for each thread.
    bits = np.packbits(np.vecdot(_rotation(len(vector)).T, _whole(vector)) > 0)
    total = np.zeros(of.shape[1], np.uint16)
    for word, own in zip(of, bits.view(np.uint64), strict=True):
        total += np.bitwise_count(word ^ own)
    return total


def different(parts: Sequence[Codes]) -> int:
    """Return how many different codes there are."""
    packed = np.zeros(sum(part.shape[1] for part in parts), np.uint64)
    for word in np.concatenate(parts, axis=1) if parts else ():
        packed = packed * _ODD + word
    packed.sort()
    return int(np.count_nonzero(packed[1:] != packed[:-1])) + bool(len(packed))


def _whole(vectors: Vectors) -> Vectors:
    whole: Vectors = np.rint(vectors * np.float32(_STEPS))
    return whole


def _bits(dimensions: int) -> int:
    """Return the length of a code: the next power of two, and a word at least."""
    return max(_WORD, 1 << max(0, dimensions - 1).bit_length())


@lru_cache(maxsize=4)
def _rotation(dimensions: int) -> Vectors:
    """Return (dimensions, bits) a matrix of 1 and -1 with orthogonal rows: Hadamard's, with signs turned at random."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < _bits(dimensions):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    signs = np.random.default_rng(1).integers(0, 2, dimensions).astype(np.float32) * 2 - 1
    rotation: Vectors = np.asfortranarray(matrix[:dimensions] * signs[:, np.newaxis])
    rotation.setflags(write=False)
    return rotation
