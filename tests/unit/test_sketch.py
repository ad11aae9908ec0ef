"""Codes tell which rows may be near a vector, the same ones whatever stands beside them."""

from __future__ import annotations

import numpy as np
import pytest

from server.index import search, sketch
from server.types import Vectors
from tests.bench.neighbours import layer_of


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


def test_copies_do_not_keep_out_what_is_nearer() -> None:
    """Thousands of equal rows lie at one distance of codes; those a bit further away may have the greater cosine."""
    random = np.random.default_rng(5)
    asked = random.standard_normal(256)
    asked /= np.linalg.norm(asked)

    def at(cosine: float, count: int) -> Vectors:
        other = random.standard_normal((count, 256))
        other -= np.outer(other @ asked, asked)
        other /= np.linalg.norm(other, axis=1, keepdims=True)
        return (cosine * asked + np.sqrt(1 - cosine**2) * other).astype(np.float16).astype(np.float32)

    for _ in range(5):
        rows = np.concatenate([np.repeat(at(0.40, 1), 4_000, axis=0), at(0.45, 50), at(0.05, 6_000)])
        layer = layer_of(rows)
        [near] = search._near([layer], [layer.live], asked.astype(np.float32))
        assert set(range(4_000, 4_050)) <= set(near.tolist())


def test_different_codes_are_counted_in_all_parts() -> None:
    codes = sketch.codes(rows_of(100, 256))
    assert sketch.different([codes, codes[:, :50], np.repeat(codes[:, :1], 900, axis=1)]) == 100
    assert sketch.different([]) == 0
