"""Neighbours: the nearest rows by a scan, by codes and by trees, with the shipped model's vectors of real code.

usage: python -m tests.bench.neighbours FOLDER [FOLDER ...] [--rows N ...] [--trees T ...] [--search-k K ...]

All functions below the folders are encoded, those of a training corpus (`*.jsonl.gz`) as well. Where that is not enough
rows, copies are added whose vectors are moved by noise as large as the distance of a vector to its nearest other one
(so the neighbourhoods stay as dense as they are); the output says how many. The ways are those of the server: the
search for candidates, exactly rescored; a scan is what it does where few rows pass. Recall@10 is how many of the ten
exact neighbours, or of rows as near as they, are the ten best found. Questions are those of the latency bench and
documentation, of rows that are mostly among those that are searched. Trees are built and asked by one thread; set
OPENBLAS_NUM_THREADS=1 as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt

from server.index import generation, search, segment
from server.index.extract import extract
from server.index.languages import language_of
from server.index.layers import Layer
from server.model import corpus, encoder
from server.types import Passage, Vectors
from tests.bench.latency import QUERIES, sources

Column = npt.NDArray[np.float64]
TOP = 10
ALL = 1 << 40
"""So many rows are few: all of them are compared."""
QUESTIONS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 400_000, 1_000_000])
    parser.add_argument("--trees", type=int, nargs="+", default=[generation.ANNOY_TREES])
    parser.add_argument("--search-k", type=int, nargs="+", default=[generation.ANNOY_SEARCH_K])
    parser.add_argument(
        "--keep", type=Path, help=".npz file to keep the vectors in, or to take them from where it exists"
    )
    options = parser.parse_args()
    random = np.random.default_rng(1)
    rows, questions = kept(options.folders, max(options.rows), options.keep, random)
    print(f"{len(rows):,} different vectors of real code, {len(questions)} questions")
    for count in options.rows:
        layer = layer_of(grown(rows, count, random))
        (exact, scanned), (found, spent) = ask([(layer, ALL), (layer, search.FEW)], questions)
        made = max(0, count - len(rows))
        told = f"scan p50 {scanned:.2f} ms, codes p50 {spent:.2f} ms, recall@10 {recall(found, exact):.4f}"
        print(f"{count:>9,} rows ({made:,} made): {told}", flush=True)
        for trees in options.trees:
            measure(layer, questions, trees, options.search_k)


def kept(folders: Sequence[Path], most: int, keep: Path | None, random: np.random.Generator) -> tuple[Vectors, Vectors]:
    """Return the different vectors of the code in some folders, in a random order, and those of questions."""
    if keep is None or not keep.exists():
        model, encoded, documented = encoder.load(), list[Vectors](), list[str]()
        for batch in passages(folders):
            encoded.append(model.encode(batch).astype(np.float16))
            documented += [one.documentation[:200] for one in batch if len(one.documentation) > 30]
            if sum(map(len, encoded)) >= most * 1.2:
                break
        rows = np.concatenate(encoded)
        _, first = np.unique(rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel(), return_index=True)
        rows = rows[random.permutation(first)]
        chosen = random.choice(documented, QUESTIONS - len(QUERIES), replace=False).tolist()
        asked = np.stack([model.encode_query(text) for text in (*QUERIES, *chosen)])
        keep = keep or Path(tempfile.mkdtemp(), "vectors.npz")
        np.savez(keep, rows=rows[rows.any(axis=1)], asked=asked)
    with np.load(keep) as stored:
        return stored["rows"], stored["asked"]


def passages(folders: Sequence[Path]) -> Iterator[list[Passage]]:
    """Yield the passages below some folders, those of a file together."""
    for path in (path for folder in folders for path in sorted(folder.glob("*.jsonl.gz"))):
        yield [
            Passage(one.name, one.container, one.signature, one.documentation, one.body) for one in corpus.read(path)
        ]
    for path, _ in sources(folders):
        data = path.read_bytes()
        found = [unit.passage for unit in extract(data, language_of(path.name, data[:2000]) or "", path.name)]
        if found:
            yield found


def grown(real: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """Return so many rows: real ones, and moved copies of them where there are too few."""
    rows = np.empty((count, real.shape[1]), dtype=np.float32)
    rows[: len(real)] = real[:count]
    if count <= len(real):
        return rows
    sample = real[random.choice(len(real), 500, replace=False)].astype(np.float32) @ rows[:50_000].T
    sample[sample > 0.9999] = -1.0  # itself
    angle = float(np.median(np.arccos(np.clip(sample.max(axis=1), -1.0, 1.0))))
    for start in range(len(real), count, 50_000):
        end = min(count, start + 50_000)
        source = rows[random.integers(0, len(real), end - start)]
        noise = random.standard_normal(source.shape).astype(np.float32)
        moved = source + np.tan(angle) * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        rows[start:end] = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float16)
    return rows


def layer_of(rows: Vectors) -> Layer:
    """Return a layer that has vectors and nothing else."""
    empty = segment.build((), lambda _: rows[:0])
    return Layer("", replace(empty, vectors=rows), np.ones(len(rows), np.bool_))


def ask(ways: Sequence[tuple[Layer, int]], questions: Vectors) -> list[tuple[list[Column], float]]:
    """Ask all ways (a layer, and how many rows are few) each question in turn, so that other load slows all of them.

    Returns for each way the cosines of the ten nearest rows, ascending, and the median of the milliseconds.
    """
    found: list[list[Column]] = [[] for _ in ways]
    times: list[list[float]] = [[] for _ in ways]
    for layer, _ in ways:
        _ = layer.segment.codes  # which a generation has on disk
    for question in questions:
        for number, (layer, few) in enumerate(ways):
            begun = time.perf_counter()
            with mock.patch.object(search, "FEW", few):
                [near] = search._near([layer], [layer.live], question)
            cosines = search.exact_cosines(layer.segment.vectors[near], question)
            times[number].append((time.perf_counter() - begun) * 1000)
            found[number].append(np.sort(cosines)[-TOP:])
    return [(own, statistics.median(spent)) for own, spent in zip(found, times, strict=True)]


def recall(found: list[Column], exact: list[Column]) -> float:
    """Return how many of the ten nearest rows, or of rows as near as they, were found."""
    hits = sum(np.count_nonzero(own >= best[0]) for own, best in zip(found, exact, strict=True))
    return float(hits / sum(map(len, exact)))


def measure(layer: Layer, questions: Vectors, trees: int, search_ks: Sequence[int]) -> None:
    vectors = layer.segment.vectors
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(generation, "ANNOY_TREES", trees):
        file, begun, used = Path(folder, "tree.ann"), time.perf_counter(), time.process_time()
        generation.grow(file, vectors)
        built, used, size = time.perf_counter() - begun, time.process_time() - used, file.stat().st_size / 2**20
        print(f"{'':10}{trees} trees: {built:.0f} s ({used:.0f} s of the processor), {size:,.0f} MB", flush=True)
        near = generation.opened(file, vectors.shape[1], len(vectors))
        treed = replace(layer, segment=replace(layer.segment, near=near))
        ask([(treed, 0)], questions[:20])  # the first read the file from the disk
        for search_k in search_ks:
            with mock.patch.object(generation, "ANNOY_SEARCH_K", search_k):
                (exact, scanned), (found, spent) = ask([(layer, ALL), (treed, 0)], questions)
            print(
                f"{'':12}search_k {search_k:>9,}: recall@10 {recall(found, exact):.4f}, p50 {spent:.2f} ms, "
                f"scan {scanned:.2f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
