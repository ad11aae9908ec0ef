"""Generation: a segment on disk, mapped into memory, with an Annoy tree where that pays."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from server.index import sketch
from server.index.segment import SEGMENT_ARRAYS, Segment
from server.types import Vectors

try:
    import annoy
except ImportError:  # no compiler, or built for another machine: codes alone find as much, only slower
    annoy = None  # type: ignore[assignment]

HAS_TREES = annoy is not None
ANNOY_MIN_ROWS = 8_000_000
"""Below, the codes of all rows (`sketch.py`) are faster and find as much. At 400,000 rows they took 4.8 ms for a
recall@10 of .999, 30 trees 98 ms for .995; at 1,000,000 14 ms for .997 and 106 ms for .996, after 233 s of a processor
for a tree of 1.4 GB (RESULTS.md). One grows with the rows, the other hardly: where they meet is extrapolated."""
ANNOY_TREES = 30
"""More find little more for their time and disk: recall@10 at 400,000 rows .982 with 30, .988 with 100, which take
three times as long to build."""
ANNOY_SEARCH_K = 240_000
"""Nodes inspected a query. Recall@10 after rescoring at 400,000 rows: .982 with 80,000, .992 with 160,000, .999 with
320,000; at 1,000,000: .977, .992, .997."""
_PLATFORM = f"{sys.byteorder}-{platform.machine()}-{platform.system()}"


def write(parent: Path, segment: Segment, sequence: int, fingerprint: str, with_tree: bool = True) -> str:
    """Write a generation into a new folder and return its name; it counts only once the store points to it.

    `sequence` is the store's last change that the segment holds. Errors: OSError when the disk is full.
    """
    name = f"generation-{uuid.uuid4().hex[:12]}"
    folder = parent / name
    folder.mkdir(parents=True)
    try:
        digests = {}
        for field, kind in SEGMENT_ARRAYS:
            array: npt.NDArray[np.generic] = np.ascontiguousarray(getattr(segment, field), dtype=kind)
            data = array.data.cast("B") if array.size else b""
            _write(folder / field, data)
            digests[field] = [list(array.shape), hashlib.sha256(data).hexdigest()]
        if annoy is not None and with_tree and len(segment) >= ANNOY_MIN_ROWS:
            grow(folder / "tree.ann", segment.vectors)
            digests["tree.ann"] = [[len(segment)], _digest(folder / "tree.ann")]
        meta = {
            "sequence": sequence,
            "encoder": fingerprint,
            "platform": _PLATFORM,
            "paths": segment.paths,
            "languages": segment.languages,
            "files": digests,
        }
        text = json.dumps(meta)
        _write(folder / "meta.json", f"{text}\n{_own_digest(text)}\n".encode("ascii"))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return name


def grow(path: Path, vectors: Vectors) -> None:
    """Write the trees of some vectors; OSError when the disk is full."""
    tree = annoy.AnnoyIndex(vectors.shape[1], "angular")
    tree.set_seed(1)
    for row, vector in enumerate(vectors):
        tree.add_item(row, vector)
    tree.build(ANNOY_TREES, n_jobs=1)  # one job: the same bytes each time
    tree.save(os.fspath(path))


def encoder_of(parent: Path, name: str) -> str:
    """Return the name of the space whose vectors a generation holds; OSError or ValueError where it cannot be read."""
    return str(_meta(parent / name)["encoder"])


def read(parent: Path, name: str, fingerprint: str) -> tuple[Segment, int] | None:
    """Map a generation and return it with its sequence number; None where it does not match in every respect."""
    folder = parent / name
    try:
        meta = _meta(folder)
        if meta["platform"] != _PLATFORM or meta["encoder"] != fingerprint:
            return None
        arrays: dict[str, Any] = {}
        for field, kind in SEGMENT_ARRAYS:
            shape, digest = meta["files"][field]
            if _digest(folder / field) != digest:
                return None
            mapped = np.prod(shape) > 0
            arrays[field] = (
                np.memmap(folder / field, kind, "r", shape=tuple(shape)) if mapped else np.empty(shape, kind)
            )
            arrays[field] = np.asarray(arrays[field])
        files = arrays["file_of"]
        if not all(isinstance(path, str) for path in meta["paths"]) or len(meta["paths"]) <= files.max(initial=-1):
            return None
        if arrays["codes"].shape != sketch.shape(arrays["vectors"].shape):
            return None
        near = None
        if annoy is not None and "tree.ann" in meta["files"]:
            [count], digest = meta["files"]["tree.ann"]
            # Annoy crashes the process on a damaged file.
            if _digest(folder / "tree.ann") == digest:
                near = opened(folder / "tree.ann", arrays["vectors"].shape[1], count)
        segment = Segment(
            tuple(meta["paths"]),
            tuple(meta["languages"]),
            is_intact=_Sizes(folder, [*(field for field, _ in SEGMENT_ARRAYS), *(["tree.ann"] if near else [])]),
            near=near,
            kept_codes=arrays.pop("codes"),
            **arrays,
        )
        return segment, int(meta["sequence"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def wants_tree(segment: Segment) -> bool:
    """Tell whether a tree could be had and would pay."""
    return annoy is not None and segment.near is None and len(segment) >= ANNOY_MIN_ROWS


def tree_problem() -> str | None:
    """Say what is wrong with Annoy here: some builds of it find one neighbour only (spotify/annoy#679)."""
    if not HAS_TREES:
        return "Annoy cannot be imported"
    rows = np.random.default_rng(1).standard_normal((200, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    tree = annoy.AnnoyIndex(16, "angular")
    tree.set_seed(1)
    for number, row in enumerate(rows):
        tree.add_item(number, row)
    tree.build(10, n_jobs=1)
    for number, row in enumerate(rows):
        nearest = set(np.argsort(rows @ row)[-10:].tolist())
        found = tree.get_nns_by_vector(row, 10, search_k=2_000)
        if not found or found[0] != number or len(nearest & set(found)) < 9:
            return "Annoy finds other neighbours than an exact search"
    return None


class _Sizes:
    """Tells whether files still have the sizes they had; deleted ones count as whole, as what is mapped remains."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._sizes = [(folder / name, (folder / name).stat().st_size) for name in names]

    def __call__(self) -> bool:
        try:
            return all(path.stat().st_size >= size for path, size in self._sizes)
        except OSError:
            return True


def remove_others(parent: Path, keep: Collection[str]) -> None:
    """Delete the generations that the store does not point to; those still mapped by somebody may stay."""
    for folder in parent.glob("generation-*"):
        if folder.name not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def opened(path: Path, dimensions: int, count: int) -> Callable[[Vectors, int], npt.NDArray[np.int64]] | None:
    """Map the trees of so many vectors, whose file is known to be whole; None where they cannot be used."""
    tree = annoy.AnnoyIndex(dimensions, "angular")
    with contextlib.suppress(OSError):
        tree.load(os.fspath(path))
        if tree.get_n_items() == count:

            def near(vector: Vectors, wanted: int) -> npt.NDArray[np.int64]:
                return np.array(tree.get_nns_by_vector(vector, wanted, search_k=ANNOY_SEARCH_K), dtype=np.int64)

            return near
    return None


def _meta(folder: Path) -> dict[str, Any]:
    """Return what a generation says of itself; ValueError where it is not what was written."""
    _refuse_specials(folder / "meta.json")
    text, _, digest = (folder / "meta.json").read_text(encoding="ascii").partition("\n")
    if digest.strip() != _own_digest(text):
        raise ValueError("the description of a generation is damaged")
    meta: dict[str, Any] = json.loads(text)
    return meta


def _refuse_specials(path: Path) -> None:
    """Raise ValueError for a pipe or a device, which may never end."""
    if not path.is_file():
        raise ValueError(f"{path} is not a regular file")


def _own_digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _write(path: Path, data: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path) -> str:
    """Return SHA-256 of a file: with the processor's own instructions it is twice as fast as BLAKE2 without."""
    _refuse_specials(path)
    digest, block = hashlib.sha256(), memoryview(bytearray(1 << 20))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(block[:size])
    return digest.hexdigest()
