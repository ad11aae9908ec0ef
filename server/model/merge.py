"""Merge: one model from several with the same vocabulary, better than each: their rows turned alike and averaged.

A bag's cosines do not change when all rows are turned together, so models that were trained from different starts can
be laid upon each other (generalised Procrustes analysis, Gower 1975) and then averaged as the weights of one model are
(model soups, Wortsman et al. 2022).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from server.model import encoder
from server.model.encoder import ModelError, Weights
from server.types import Vectors

_ROUNDS = 2
"""Turned first onto the first model, then onto the mean."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the mean of model folders that share a vocabulary."""
    parser = argparse.ArgumentParser(prog="sextant train --merge", description=main.__doc__)
    parser.add_argument("models", type=Path, nargs="+", help="model folders")
    parser.add_argument("--shares", type=float, nargs="+", help="how much of each (default: equally much)")
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    options = parser.parse_args(argv)
    shares = options.shares or [1.0] * len(options.models)
    try:
        models = [encoder.load(folder) for folder in options.models]
    except ModelError as error:
        parser.error(str(error))
    if len(shares) != len(models) or min(shares) < 0 or sum(shares) <= 0:
        parser.error("--shares takes one number for each model, none below 0")
    if any(model.vocabulary.entries != models[0].vocabulary.entries for model in models):
        parser.error("these models have different vocabularies; train them with the same --words")
    if any(model.dimensions != models[0].dimensions for model in models):
        parser.error("these models have different --dimensions")
    encoder.save(options.out, models[0].vocabulary, merged([model.weights for model in models], shares))
    sys.stdout.write(f"{options.out} written\n")
    return 0


def merged(models: Sequence[Weights], shares: Sequence[float]) -> Weights:
    """Return the weighted mean of models of one shape, each turned and stretched onto the others."""
    parts = np.asarray(shares, dtype=np.float64) / sum(shares)
    importance = np.exp(sum(part * np.log(one.importance) for part, one in zip(parts, models, strict=True)))
    fields = np.exp(sum(part * np.log(one.fields) for part, one in zip(parts, models, strict=True)))
    mean: Vectors = models[0].rows.astype(np.float32)
    for _ in range(_ROUNDS):
        turned = [_onto(mean, one.rows.astype(np.float32), importance) for one in models]
        mean = np.sum([part * rows for part, rows in zip(parts, turned, strict=True)], axis=0).astype(np.float32)
    return Weights(mean, importance.astype(np.float32), fields.astype(np.float32))


def _onto(wanted: Vectors, rows: Vectors, importance: Vectors) -> Vectors:
    """Return rows turned (and all scaled alike) so that they come nearest to the wanted ones (Schönemann 1966)."""
    weights = importance[:, None].astype(np.float32)
    left, sizes, right = np.linalg.svd((rows * weights).T @ (wanted * weights))
    stretch = float(sizes.sum() / (np.linalg.norm(rows * weights) ** 2 or 1.0))
    turned: Vectors = (rows @ (left @ right) * stretch).astype(np.float32)
    return turned
