"""Indexes and vectors that nobody uses are deleted; what is used, or open in another process, stays."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from server.config import Settings
from server.engine import Engine
from server.folder import home_of
from server.index.collect import collect, is_due, size_of
from server.index.parser import HERE
from server.index.vectors import today
from server.model import encoder
from server.types import CancelToken, Query

PLENTY = 10**12


def opened(root: Path, data: Path) -> Engine:
    engine = Engine(Settings(workers=1), encoder.load(), data, parser=HERE)
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(30)
    return engine


def index(root: Path, data: Path) -> int:
    """Bring an index up to date; return how many units had to be encoded."""
    engine = opened(root, data)
    encoded = engine.status().folders[0].encoded
    engine.close()
    return encoded


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def roots(tmp_path: Path, data: Path) -> list[Path]:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "a.py").write_text(f"def work_{folder.name}(value):\n    return value\n")
        index(folder, data)
    return folders


def age(data: Path, root: Path, days: float) -> None:
    used = home_of(data, str(root)) / "used"
    then = time.time() - days * 86_400
    os.utime(used, (then, then))


def age_vectors(data: Path, days: int) -> None:
    for path in (data / "vectors").glob("*.db"):
        with sqlite3.connect(path) as db:
            db.execute("UPDATE vectors SET day = ?", (today() - days,))
        db.close()


def test_what_was_not_opened_for_long_is_deleted(data: Path, roots: list[Path]) -> None:
    age(data, roots[0], 61)
    age(data, roots[1], 59)
    age_vectors(data, 61)
    collect(data, 60, PLENTY)
    assert [home_of(data, str(root)).exists() for root in roots] == [False, True]
    assert index(roots[1], data) == 0, "its vectors are used"
    assert index(roots[0], data) == 1, "those of the other are gone"


def test_vectors_of_another_branch_stay_for_their_time(data: Path, roots: list[Path]) -> None:
    before = (roots[0] / "a.py").read_text()
    (roots[0] / "a.py").write_text("def other(value):\n    return value\n")
    assert index(roots[0], data) == 1
    age_vectors(data, 59)
    collect(data, 60, PLENTY)
    (roots[0] / "a.py").write_text(before)
    assert index(roots[0], data) == 0


def test_what_is_open_stays(data: Path, roots: list[Path]) -> None:
    engine = opened(roots[0], data)
    try:
        for root in roots:
            age(data, root, 1000)
        age_vectors(data, 1000)
        collect(data, 60, 0)
        assert [home_of(data, str(root)).exists() for root in roots] == [True, False]
        assert engine.snapshot.search(Query("work one"), CancelToken()).hits
    finally:
        engine.close()
    assert index(roots[0], data) == 0


def test_the_size_is_kept_by_deleting_what_was_used_least_recently(data: Path, roots: list[Path]) -> None:
    age(data, roots[1], 3)
    whole = size_of(data)
    assert whole > 0
    done = collect(data, 60, whole - 1)
    assert any("two" in line for line in done)
    assert [home_of(data, str(root)).exists() for root in roots] == [True, False]
    assert size_of(data) < whole


def test_it_is_due_once_a_day(data: Path) -> None:
    assert not is_due(data), "a new data folder has nothing to collect"
    data.mkdir()
    assert not is_due(data)
    mark = data / "collected"
    os.utime(mark, (time.time() - 90_000,) * 2)
    assert is_due(data)
    collect(data, 60, PLENTY)
    assert not is_due(data)


def test_an_older_table_of_vectors_is_taken_over(data: Path, roots: list[Path]) -> None:
    for path in (data / "vectors").glob("*.db"):
        with sqlite3.connect(path) as db:
            rows = db.execute("SELECT key, vector FROM vectors").fetchall()
            db.execute("DROP TABLE vectors")
            db.execute("CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
            db.executemany("INSERT INTO vectors VALUES (?, ?)", [(key, row[:-4]) for key, row in rows])  # no checksum
            db.execute("PRAGMA user_version = 0")
        db.close()
    (roots[0] / "b.py").write_text((roots[1] / "a.py").read_text())
    assert index(roots[0], data) == 0
