"""Changes on disk are found although nobody reports them."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.config import Settings
from server.engine import Engine
from server.model import encoder
from server.types import CancelToken, Query


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.py").write_text("def first(): pass\n")
    return folder


@pytest.fixture
def engine(root: Path, tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(Settings(workers=1), encoder.load(), tmp_path / "data", watches=True)
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(30)
    yield engine
    engine.close()


def names(engine: Engine) -> set[str]:
    text = "first second third fourth"
    return {hit.name for hit in engine.snapshot.search(Query(text), CancelToken()).hits}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the change was not noticed"
        time.sleep(0.02)


def test_files_written_moved_and_deleted_by_others(root: Path, engine: Engine) -> None:
    (root / "src" / "b.py").write_text("def second(): pass\n")
    wait_for(lambda: names(engine) == {"first", "second"})
    beside = root / "src" / "b.py.tmp"
    beside.write_text("def third(): pass\n")
    beside.replace(root / "src" / "b.py")
    wait_for(lambda: names(engine) == {"first", "third"})
    (root / "src" / "a.py").unlink()
    wait_for(lambda: names(engine) == {"third"})


def test_a_new_top_folder_is_watched_too(root: Path, engine: Engine) -> None:
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "c.py").write_text("def third(): pass\n")
    wait_for(lambda: "third" in names(engine))
    (root / "new" / "deep" / "c.py").write_text("def fourth(): pass\n")
    wait_for(lambda: names(engine) == {"first", "fourth"})
    (root / "new").rename(root / "moved")
    wait_for(lambda: bool(engine.snapshot.layers[1].segment.rows_of("moved/deep/c.py")) and "fourth" in names(engine))


def test_an_ignore_file_takes_effect_at_once(root: Path, engine: Engine) -> None:
    (root / ".gitignore").write_text("src/\n")
    wait_for(lambda: names(engine) == set())
    (root / ".gitignore").unlink()
    wait_for(lambda: names(engine) == {"first"})


def test_a_branch_switch_encodes_only_what_is_new(root: Path, engine: Engine) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", root, *identity, *arguments], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    git("checkout", "-q", "-b", "other")
    (root / "src" / "a.py").write_text("def second(): pass\n")
    git("commit", "-q", "-am", "y")
    wait_for(lambda: names(engine) == {"second"})
    for branch, name in (("main", "first"), ("other", "second")):
        git("checkout", "-q", branch)
        wait_for(lambda name=name: names(engine) == {name})  # type: ignore[misc]


def test_a_top_folder_that_is_made_again_is_watched_again(root: Path, engine: Engine) -> None:
    for name in ("second", "third", "fourth"):
        shutil.rmtree(root / "src")
        (root / "src").mkdir()
        (root / "src" / "a.py").write_text(f"def {name}(): pass\n")
        wait_for(lambda name=name: names(engine) == {name})  # type: ignore[misc]
    (root / "src" / "a.py").write_text("def first(): pass\n")
    wait_for(lambda: names(engine) == {"first"})


def test_a_folder_that_is_reached_through_a_link_stays_out(root: Path, engine: Engine, tmp_path: Path) -> None:
    (root / ".gitignore").write_text("private/\n")
    engine.touch([str(root / ".gitignore")])
    for hidden in (root / "private", tmp_path / "outside"):
        hidden.mkdir()
        (hidden / "s.py").write_text("def second(): pass\n")
    (root / "in").symlink_to(root / "private")
    (root / "out").symlink_to(tmp_path / "outside")
    for path in (root / "in" / "s.py", root / "out" / "s.py"):
        engine.set_buffer(str(path), "python", "def third(): pass\n")
        engine.touch([str(path)])
    assert engine.wait_idle(30)
    assert names(engine) == {"first"}


def test_vectors_that_were_deleted_are_computed_again(root: Path, engine: Engine, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "data" / "vectors")
    (root / "src" / "b.py").write_text("def second(): pass\n")
    wait_for(lambda: names(engine) == {"first", "second"})
    engine.compact()
    assert engine.wait_idle(30)
    token = CancelToken()
    assert all(hit.similarity > 0.3 for hit in engine.snapshot.search(Query("first second"), token).hits)
