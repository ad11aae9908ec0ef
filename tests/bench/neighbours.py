"""Neighbours: Annoy's candidates against an exact scan, with the shipped model's vectors of real code.

usage: python -m tests.bench.neighbours FOLDER [FOLDER ...] [--rows N ...] [--search-k K ...]

All functions below the folders are encoded. Where that is not enough rows, copies are added whose vectors are moved by
noise as large as the distance of a vector to its nearest other one (so the neighbourhoods stay as dense as they are);
the output says how many. Recall@10 is after rescoring: of the ten exact neighbours, how many are among Annoy's
candidates.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import annoy
import numpy as np

from server.index import generation
from server.index.extract import extract
from server.index.languages import language_of
from server.index.search import CANDIDATES
from server.model import encoder
from server.types import Passage, Vectors
from tests.bench.latency import QUERIES, sources

TOP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 20_000, 50_000, 100_000, 1_000_000])
    parser.add_argument("--search-k", type=int, nargs="+", default=[generation.ANNOY_SEARCH_K])
    options = parser.parse_args()
    model = encoder.load()
    passages: list[Passage] = []
    for path, _ in sources(options.folders):
        data = path.read_bytes()
        passages += [unit.passage for unit in extract(data, language_of(path.name, data[:2000]) or "", path.name)]
        if len(passages) >= max(options.rows):
            break
    documented = [passage.documentation[:200] for passage in passages if len(passage.documentation) > 30]
    random = np.random.default_rng(1)
    asked = [*QUERIES, *random.choice(documented, 186, replace=False).tolist()]
    real = np.unique(model.encode(passages), axis=0)
    real = real[real.any(axis=1)][random.permutation(int(real.any(axis=1).sum()))]
    questions = np.stack([model.encode_query(text) for text in asked])
    print(f"{len(real):,} different vectors of real code, {len(questions)} questions; {generation.ANNOY_TREES} trees")
    for count in options.rows:
        measure(grown(real, count, random), questions, options.search_k, max(0, count - len(real)))


def grown(real: Vectors, count: int, random: np.random.Generator) -> Vectors:
    """Return so many rows: real ones, and moved copies of them where there are too few."""
    if count <= len(real):
        return real[:count]
    sample = real[random.choice(len(real), 500, replace=False)] @ real[: min(len(real), 50_000)].T
    sample[sample > 0.9999] = -1.0  # itself
    angle = float(np.median(np.arccos(np.clip(sample.max(axis=1), -1.0, 1.0))))
    rows = np.empty((count, real.shape[1]), dtype=np.float32)
    rows[: len(real)] = real
    for start in range(len(real), count, 50_000):
        end = min(count, start + 50_000)
        source = real[random.integers(0, len(real), end - start)]
        noise = random.standard_normal(source.shape).astype(np.float32)
        moved = source + np.tan(angle) * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        rows[start:end] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return rows


def measure(rows: Vectors, questions: Vectors, search_ks: list[int], made: int) -> None:
    exact, times = [], []
    for question in questions:
        begun = time.perf_counter()
        scores = np.vecdot(rows, question)
        best = np.argpartition(-scores, TOP)[:TOP]
        times.append((time.perf_counter() - begun) * 1000)
        exact.append(set(best.tolist()))
    print(f"{len(rows):>9,} rows ({made:,} made): exact scan p50 {statistics.median(times):.2f} ms", flush=True)
    tree = annoy.AnnoyIndex(rows.shape[1], "angular")
    tree.set_seed(1)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tree.on_disk_build(str(Path(folder, "tree.ann")))
        for number, row in enumerate(rows):
            tree.add_item(number, row)
        tree.build(generation.ANNOY_TREES, n_jobs=1)
        built = time.perf_counter() - begun
        for search_k in search_ks:
            found, times = 0, []
            for question, best in zip(questions, exact, strict=True):
                begun = time.perf_counter()
                near = tree.get_nns_by_vector(question, CANDIDATES * 3, search_k=search_k)
                times.append((time.perf_counter() - begun) * 1000)
                found += len(best.intersection(near))
            recall = found / TOP / len(questions)
            print(
                f"          search_k {search_k:>7,}: recall@10 {recall:.4f}, p50 {statistics.median(times):.2f} ms, "
                f"built in {built:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
