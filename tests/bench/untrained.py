"""Untrained: the second honest baseline, the same tokens with random rows and no weights."""

from __future__ import annotations

import numpy as np

from server.model.encoder import BagEncoder, Weights, load
from server.types import FIELDS


def untrained(seed: int = 1) -> BagEncoder:
    """Return the shipped model's vocabulary with random unit rows; how much a token matters stays untold."""
    trained = load()
    random = np.random.default_rng(seed)
    rows = random.standard_normal(trained.weights.rows.shape).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    importance = np.ones(len(rows), dtype=np.float32)
    fields = np.ones(len(FIELDS) + 1, dtype=np.float32)
    return BagEncoder(trained.vocabulary, Weights(rows, importance, fields), f"untrained{seed:023d}")
