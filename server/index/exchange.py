"""Exchange: the vectors of one encoder as a file that others can import; checksummed, no objects in it.

SEXTANT-VECTORS 1\\n
{"space": name, "dimensions": d, "count": n}\\n
n times: key (16 bytes), row (d float16, little-endian)
BLAKE2b of everything above (64 bytes)
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import IO

import numpy as np

from server.index.columns import KEY_BYTES
from server.index.vectors import VectorStore, are_sound

ENDING = ".vectors"
_MAGIC = b"SEXTANT-VECTORS 1\n"
_DIGEST_BYTES = 64
_BATCH = 4_096
_LONGEST_HEADER = 1_000


class ExchangeError(Exception):
    """Says why a file of vectors cannot be used."""


def export(
    store: VectorStore, space: str, dimensions: int, folder: Path, only: Collection[bytes] | None = None
) -> tuple[Path, int]:
    """Write the vectors of a store to a file of the space's name; it appears whole. Return it and their number.

    `only`: the keys that are wanted, else all of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{space}{ENDING}"
    beside = folder / f".{uuid.uuid4().hex[:12]}.tmp"
    try:
        with beside.open("xb") as file:
            digest = hashlib.blake2b()

            def write(data: bytes) -> None:
                digest.update(data)
                file.write(data)

            keys = sorted(store.known(store.keys() if only is None else sorted(only)))  # without damaged ones
            header = {"space": space, "dimensions": dimensions, "count": len(keys)}
            write(_MAGIC + json.dumps(header).encode("ascii") + b"\n")
            for start in range(0, len(keys), _BATCH):
                batch = keys[start : start + _BATCH]
                for key, row in zip(batch, store.rows(batch).astype("<f2"), strict=True):
                    write(key + row.tobytes())
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path, len(keys)


def import_(store: VectorStore, space: str, dimensions: int, path: Path) -> int:
    """Take the vectors of a file that the store lacks and return their number; raises ExchangeError and OSError.

    Nothing is taken from a file that is damaged, or of another encoder.
    """
    width = KEY_BYTES + 2 * dimensions
    if not path.is_file():
        raise ExchangeError(f"there is no file {path}; `sextant vectors export FOLDER` writes one")
    with path.open("rb") as file:
        count = _check(file, path, space, dimensions, width)
        added = 0
        while count:
            size = min(count, _BATCH)
            data = file.read(size * width)
            parts = [data[start : start + width] for start in range(0, len(data), width)]
            rows = {part[:KEY_BYTES]: np.frombuffer(part, "<f2", offset=KEY_BYTES).astype(np.float32) for part in parts}
            known = store.known(list(rows))
            store.put({key: row for key, row in rows.items() if key not in known})
            store.save()
            added += len(rows) - len(known)
            count -= size
    return added


def _check(file: IO[bytes], path: Path, space: str, dimensions: int, width: int) -> int:
    """Read the whole file once; return how many rows it has, and leave it before the first of them."""
    digest = hashlib.blake2b()
    magic = file.read(len(_MAGIC))
    line = file.readline(_LONGEST_HEADER)
    try:
        header = json.loads(line) if magic == _MAGIC else {}
        found, size, count = str(header["space"]), int(header["dimensions"]), int(header["count"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ExchangeError(f"{path} is no file of vectors that this version of Sextant reads") from None
    if found != space or size != dimensions:
        raise ExchangeError(f"{path} has the vectors of another encoder ({found[:12]}, not {space[:12]})")
    start = file.tell()
    digest.update(magic + line)
    left, odd = count * width, 0
    while left > 0 and (data := file.read(min(left, _BATCH * width))):
        digest.update(data)
        left -= len(data)
        whole = np.frombuffer(data, np.uint8, len(data) // width * width).reshape(-1, width)
        odd += int((~are_sound(np.ascontiguousarray(whole[:, KEY_BYTES:]).view("<f2"))).sum())
    if left or file.read() != digest.digest():
        raise ExchangeError(f"{path} is damaged: its checksum does not match; export it again")
    if odd:
        raise ExchangeError(
            f"{path} holds {odd:,} vectors that no encoder returns (their norm is not 1): the store they come from is "
            "damaged; export them again with this version of Sextant"
        )
    file.seek(start)
    return count
