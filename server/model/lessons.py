"""Lessons: a teacher's vectors on disk, and which of them belong to which record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from server.model.corpus import Record
from server.model.data import spoken
from server.model.vocabulary import CONTINUATION, Vocabulary

_TEACHER_DIMENSIONS = 384
_CODE_CHARACTERS = 600
"""Of a body; the teacher reads no further anyway."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """A teacher's vectors and, for each record, which of them are its question's, name's and code's (-1: none)."""

    keys: npt.NDArray[np.uint64]
    vectors: npt.NDArray[np.float16]
    """(n, 384) unit rows"""
    projection: npt.NDArray[np.float32]
    """(384, dimensions): onto the principal components of the vectors, with orthonormal columns."""
    questions: npt.NDArray[np.int64]
    names: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]

    @classmethod
    def of(cls, folder: Path, records: list[Record], dimensions: int) -> Lessons:
        """Read a folder that `distill` wrote for these records; ValueError where it did not."""
        keys, vectors = cached(folder)
        if not len(keys):
            raise ValueError(f"{folder} holds no vectors of a teacher; server.model.distill writes them")
        places = dict(zip(keys.tolist(), range(len(keys)), strict=True))

        def find(text: Callable[[Record], str]) -> npt.NDArray[np.int64]:
            texts = map(text, records)
            return np.array([places.get(key(one), -1) if one else -1 for one in texts], dtype=np.int64)

        return cls(
            keys,
            vectors,
            _principal(vectors, dimensions),
            find(lambda record: record.question),
            find(lambda record: spoken(record.name)),
            find(code_text),
        )

    def rows(self, vocabulary: Vocabulary) -> Iterable[tuple[int, npt.NDArray[np.float32]]]:
        """Yield (token id, projected vector) for the tokens that the teacher encoded alone."""
        return ((number, vector @ self.projection) for number, vector in self.words(vocabulary))

    def words(self, vocabulary: Vocabulary) -> Iterable[tuple[int, npt.NDArray[np.float32]]]:
        """Yield (token id, the teacher's vector) for the tokens that it encoded alone."""
        places = dict(zip(self.keys.tolist(), range(len(self.keys)), strict=True))
        for number, entry in enumerate(vocabulary.entries):
            place = places.get(key(entry.removeprefix(CONTINUATION)))
            if place is not None:
                yield number, self.vectors[place].astype(np.float32)


def cached(folder: Path) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float16]]:
    """Return the keys (n,) and the vectors (n, 384) of a folder."""
    shards = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    if not shards:
        return np.zeros(0, np.uint64), np.zeros((0, _TEACHER_DIMENSIONS), np.float16)
    return np.concatenate([shard["keys"] for shard in shards]), np.concatenate([shard["vectors"] for shard in shards])


def key(text: str) -> int:
    """Name a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def code_text(record: Record) -> str:
    """Return what the teacher reads of a unit: its name as words, then the start of its code."""
    return f"{spoken(record.name)} {record.signature} {record.body[:_CODE_CHARACTERS]}"


def _principal(vectors: npt.NDArray[np.float16], dimensions: int) -> npt.NDArray[np.float32]:
    """Return the (384, dimensions) orthonormal directions in which unit vectors differ most from zero."""
    moments = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), 1 << 14):
        part = vectors[start : start + (1 << 14)].astype(np.float32)
        moments += part.T @ part
    directions: npt.NDArray[np.float32] = np.linalg.eigh(moments)[1][:, ::-1][:, :dimensions].astype(np.float32)
    return directions
