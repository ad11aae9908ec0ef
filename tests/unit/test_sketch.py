"""Codes tell which rows may be near a vector, the same ones whatever stands beside them."""

from __future__ import annotations

import numpy as np
import pytest

from server.index import sketch
from server.types import Vectors


def rows_of(count: int, dimensions: int) -> Vectors:
    """Unit rows as encoders return them, the first components much greater than the last."""
    rows = np.random.default_rng(3).standard_normal((count, dimensions)) / np.arange(1, dimensions + 1) ** 0.5
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("dimensions", [3, 64, 256, 384])
def test_a_code_depends_on_its_row_alone(dimensions: int) -> None:
    rows = rows_of(5_000, dimensions)
    codes = sketch.codes(rows)
    order = np.random.default_rng(4).permutation(len(rows))
    assert (sketch.codes(rows[order]) == codes[:, order]).all()
    assert all((sketch.codes(rows[at : at + 1])[:, 0] == codes[:, at]).all() for at in range(0, 5_000, 250))
    assert (sketch.codes(np.asfortranarray(rows)) == codes).all()


def test_the_distance_of_codes_tells_the_angle() -> None:
    rows = rows_of(4_000, 256)
    asked = rows[7]
    distances = sketch.distances(sketch.codes(rows), asked)
    assert distances[7] == 0
    assert sketch.distances(sketch.codes(-rows[7:8]), asked)[0] > 250
    angles = np.arccos(np.clip(rows @ asked, -1.0, 1.0)) / np.pi
    assert np.abs(distances / 256 - angles).mean() < 0.03


def test_rows_without_a_direction_and_none_at_all() -> None:
    assert sketch.codes(np.zeros((2, 256), np.float32)).tolist() == [[0, 0]] * 4
    assert sketch.distances(sketch.codes(np.empty((0, 256), np.float32)), rows_of(1, 256)[0]).tolist() == []
