"""Names: how often what is called exactly as it is asked for is the first hit.

usage: python -m tests.bench.names FOLDER [FOLDER ...] [--names N]

From each folder's units some names of two words or more are drawn and asked for; printed is the share that is first.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from server.model import encoder
from server.model.judged import indexed
from server.model.tokens import split
from server.snapshot import Snapshot
from server.types import CancelToken, Query


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--names", type=int, default=60, help="drawn from each folder")
    options = parser.parse_args()
    model, shares = encoder.load(), list[float]()
    for folder in options.folders:
        with indexed(folder, model) as snapshot:
            names = drawn(snapshot, options.names)
            shares.append(sum(is_first(snapshot, name) for name in names) / max(1, len(names)))
            print(f"{folder.name:20} {len(names):>4} names, {shares[-1]:.3f} first", flush=True)
    print(f"{'mean':20} {'':>4}        {np.mean(shares):.3f} first")


def drawn(snapshot: Snapshot, count: int) -> list[str]:
    rows = [(layer, int(row)) for layer in snapshot.layers for row in np.flatnonzero(layer.live)]
    names = {layer.segment.strings(row)[0] for layer, row in rows}
    fit = sorted(name for name in names if name.isidentifier() and len(split(name)) >= 2)
    return random.Random(1).sample(fit, min(count, len(fit)))


def is_first(snapshot: Snapshot, name: str) -> bool:
    hits = snapshot.search(Query(name, limit=5), CancelToken()).hits
    return bool(hits) and hits[0].name == name


if __name__ == "__main__":
    main()
