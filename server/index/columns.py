"""Columns: the units of one file as arrays, the shape in which they are stored, merged and searched."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.index.count import Bag
from server.index.flags import flags_of
from server.index.lexical import FIELDS, term_hash
from server.types import FileStamp, Unit

KEY_BYTES = 16
_HEADER = struct.Struct("<4I")
_SENTENCE_END = re.compile(r"[.!?](?= )")
_DETAIL = 160
"""Characters of documentation shown beside a hit."""


@dataclass(frozen=True, slots=True)
class Columns:
    """n units with m terms in all and s bytes of strings."""

    names: npt.NDArray[np.uint64]
    """(n,) hash of the folded name."""
    hashes: npt.NDArray[np.uint64]
    """(m,) the terms of each unit, ascending within it."""
    digests: npt.NDArray[np.uint64]
    """(n,) equal for units that differ in nothing but layout, comments' place and whatever is around them."""
    counts: npt.NDArray[np.uint32]
    """(m,) how often the term stands in each field of the unit, packed as `lexical` says."""
    spans: npt.NDArray[np.uint32]
    """(n, 12): name span, then whole span."""
    term_counts: npt.NDArray[np.uint32]
    """(n,)"""
    text_sizes: npt.NDArray[np.uint32]
    """(n,) bytes of each unit's JSON [name, container, signature, detail]."""
    lengths: npt.NDArray[np.uint16]
    """(n, 7) words in each field."""
    keys: npt.NDArray[np.uint8]
    """(n, 16) content address of each passage, which names its vector in an encoder's store (invariant 3)."""
    kinds: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    """(n,) what else is known of a unit, as `flags` says."""
    text: npt.NDArray[np.uint8]
    """(s,)"""

    def __len__(self) -> int:
        return len(self.kinds)

    def key_list(self) -> list[bytes]:
        """Return the keys as bytes."""
        return split_keys(self.keys)

    def __reduce__(self) -> tuple[Callable[[bytes, str], Columns], tuple[bytes, str]]:
        """Go from process to process as one piece: twelve arrays cost ten times as much."""
        return unpack, (self.pack(""), "")

    def pack(self, owner: str) -> bytes:
        """Return the columns of `owner` as bytes, widest numbers first so that each array is aligned."""
        data = b"".join(getattr(self, field).tobytes() for field, _, _ in _LAYOUT)
        return _HEADER.pack(len(self.kinds), len(self.hashes), len(self.text), _checksum(data, owner)) + data


_LAYOUT: tuple[tuple[str, type[np.generic], tuple[int, int, int]], ...] = (
    ("names", np.uint64, (1, 0, 0)),
    ("digests", np.uint64, (1, 0, 0)),
    ("hashes", np.uint64, (0, 1, 0)),
    ("counts", np.uint32, (0, 1, 0)),
    ("spans", np.uint32, (12, 0, 0)),
    ("term_counts", np.uint32, (1, 0, 0)),
    ("text_sizes", np.uint32, (1, 0, 0)),
    ("lengths", np.uint16, (len(FIELDS), 0, 0)),
    ("keys", np.uint8, (KEY_BYTES, 0, 0)),
    ("kinds", np.uint8, (1, 0, 0)),
    ("flags", np.uint8, (1, 0, 0)),
    ("text", np.uint8, (0, 0, 1)),
)
"""Field, type, and how many numbers it has for each of n, m and s."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file as the index keeps it; without columns when it was skipped for `reason` or is gone."""

    path: str
    stamp: FileStamp
    language: str
    columns: Columns | None
    reason: str | None = None

    def __len__(self) -> int:
        return len(self.columns) if self.columns is not None else 0


def from_units(units: Sequence[Unit], keys: Sequence[bytes], found: Sequence[Bag]) -> Columns:
    """Return the columns of the units of a file, whose vectors have these keys, and whose terms are these."""
    texts = [_strings(unit) for unit in units]
    count = len(units)
    return Columns(
        names=np.array([name_hash(unit.passage.name) for unit in units], dtype=np.uint64),
        hashes=np.concatenate([one.hashes for one in found]) if found else np.empty(0, np.uint64),
        digests=np.array([_digest(*one) for one in zip(units, found, strict=True)], dtype=np.uint64),
        counts=np.concatenate([one.counts for one in found]) if found else np.empty(0, np.uint32),
        spans=np.array([u.name_span + u.span for u in units], dtype=np.uint32).reshape(count, 12),
        term_counts=np.array([len(one.hashes) for one in found], dtype=np.uint32),
        text_sizes=np.array([len(text) for text in texts], dtype=np.uint32),
        lengths=np.array([one.lengths for one in found], dtype=np.uint16).reshape(count, len(FIELDS)),
        keys=np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(count, KEY_BYTES),
        kinds=np.array([unit.kind for unit in units], dtype=np.uint8),
        flags=np.array([flags_of(unit) for unit in units], dtype=np.uint8),
        text=np.frombuffer(b"".join(texts), dtype=np.uint8),
    )


def unpack(data: bytes, owner: str) -> Columns:
    """Return the columns that `pack` made bytes of for this owner; raises ValueError for any other bytes."""
    if len(data) < _HEADER.size:
        raise ValueError("the columns of a file are cut short")
    units, terms, letters, checksum = _HEADER.unpack_from(data)
    if _checksum(memoryview(data)[_HEADER.size :], owner) != checksum:
        raise ValueError("the columns of a file are damaged")
    arrays = {}
    offset = _HEADER.size
    for field, kind, (by_unit, by_term, by_letter) in _LAYOUT:
        array = np.frombuffer(data, kind, by_unit * units + by_term * terms + by_letter * letters, offset)
        offset += array.nbytes
        arrays[field] = array.reshape(-1, by_unit) if by_unit > 1 else array
    return Columns(**arrays)


def _checksum(data: bytes | memoryview, owner: str) -> int:
    return zlib.crc32(data, zlib.crc32(owner.encode("utf-8", "surrogatepass")))


def name_hash(name: str) -> int:
    """Return the number under which exact names are found, whatever their case and underscores."""
    return term_hash("\0name:" + name.replace("_", "").replace("-", "").casefold())


def _digest(unit: Unit, bag: Bag) -> int:
    """Return a number that two units share if they have the same name and kind and the same words."""
    own = f"{int(unit.kind)}\0{unit.passage.name}\0".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(own + bag.said, digest_size=8).digest(), "little")


def split_keys(keys: npt.NDArray[np.uint8]) -> list[bytes]:
    """Return the rows of an (n, 16) array as bytes."""
    data = keys.tobytes()
    return [data[start : start + KEY_BYTES] for start in range(0, len(data), KEY_BYTES)]


def _strings(unit: Unit) -> bytes:
    passage = unit.passage
    detail = _first_sentence(passage.documentation)
    return json.dumps((passage.name, passage.container, passage.signature, detail), ensure_ascii=True).encode("ascii")


def _first_sentence(documentation: str) -> str:
    paragraph = " ".join(documentation.strip().split("\n\n", 1)[0].split())
    end = _SENTENCE_END.search(paragraph)
    sentence = paragraph[: end.end()] if end else paragraph
    return sentence if len(sentence) <= _DETAIL else sentence[: _DETAIL - 1].rstrip() + "…"
