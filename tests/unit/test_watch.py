"""Changes on disk are found although nobody reports them."""

from __future__ import annotations

import logging
import os
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
    wait_for(
        lambda: (
            any(layer.segment.rows_of("moved/deep/c.py") for layer in engine.snapshot.layers)
            and "fourth" in names(engine)
        )
    )


def test_an_ignore_file_takes_effect_at_once(root: Path, engine: Engine) -> None:
    (root / ".gitignore").write_text("src/\n")
    wait_for(lambda: names(engine) == set())
    (root / ".gitignore").unlink()
    wait_for(lambda: names(engine) == {"first"})


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


def test_rules_in_a_place_of_gits_own_take_effect_when_somebody_asks(root: Path, engine: Engine) -> None:
    git(root, "init", "-q")
    exclude = root / ".git" / "info" / "exclude"
    exclude.write_text("src/\n")
    wait_for(lambda: names(engine) == set())
    exclude.write_text("")
    wait_for(lambda: names(engine) == {"first"})
    (root / "src" / "a.py").write_text("def second(): pass\n")
    wait_for(lambda: names(engine) == {"second"})


def test_rules_above_the_folder_take_effect_when_somebody_asks(root: Path, engine: Engine) -> None:
    git(root.parent, "init", "-q")
    (root.parent / ".gitignore").write_text(f"/{root.name}/src/\n")
    wait_for(lambda: names(engine) == set())
    (root.parent / ".gitignore").unlink()
    wait_for(lambda: names(engine) == {"first"})


@pytest.mark.parametrize("place", [".git/info/exclude", "work/.git/info/exclude", ".gitignore", "home/git/ignore"])
def test_what_was_just_excluded_is_not_read(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Neither its new text on disk nor that in the editor, and no other request is needed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "git").mkdir(parents=True)
    git(root if place.startswith("work") else root.parent, "init", "-q")
    engine = Engine(Settings(workers=1), encoder.load(), tmp_path / "data")
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(30)
    (tmp_path / place).write_text("a.py\nb.py\n")
    (root / "src" / "a.py").write_text("def second(): pass\n")
    engine.touch([str(root / "src" / "a.py")])
    engine.set_buffer(str(root / "src" / "b.py"), "python", "def third(): pass\n")
    assert engine.wait_idle(30)
    assert names(engine) == set()
    (tmp_path / place).write_text("")
    engine.touch([str(tmp_path / place)])  # as a client reports it
    assert engine.wait_idle(30)
    assert names(engine) == {"second", "third"}
    engine.close()


def test_a_folder_that_becomes_a_virtual_environment_goes(root: Path, engine: Engine) -> None:
    (root / "src" / "pyvenv.cfg").write_text("")
    wait_for(lambda: names(engine) == set())


def test_a_branch_switch_encodes_only_what_is_new(root: Path, engine: Engine) -> None:
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "x")
    git(root, "checkout", "-q", "-b", "other")
    (root / "src" / "a.py").write_text("def second(): pass\n")
    git(root, "commit", "-q", "-am", "y")
    wait_for(lambda: names(engine) == {"second"})
    assert engine.status().folders[0].encoded == 2
    for branch, name in (("main", "first"), ("other", "second")):
        git(root, "checkout", "-q", branch)
        wait_for(lambda name=name: names(engine) == {name})  # type: ignore[misc]
    assert engine.status().folders[0].encoded == 2, "both were seen before"
    git(root, "worktree", "add", "-q", str(root.parent / "beside"), "main")
    engine.add_folder(str(root.parent / "beside"))
    wait_for(lambda: names(engine) == {"first", "second"})
    assert engine.wait_idle(30)
    assert [folder.encoded for folder in engine.status().folders] == [2, 0]


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


def test_a_root_that_goes_and_comes_back(root: Path, engine: Engine) -> None:
    encoded = engine.status().folders[0].encoded
    for _ in range(2):
        root.rename(root.parent / "away")
        wait_for(lambda: names(engine) == set() and engine.status().folders[0].state == "degraded")
        (root.parent / "away").rename(root)
        wait_for(lambda: names(engine) == {"first"} and engine.status().folders[0].state == "ready")
        (root / "src" / "b.py").write_text("def second(): pass\n")
        wait_for(lambda: names(engine) == {"first", "second"})
        (root / "src" / "b.py").unlink()
        wait_for(lambda: names(engine) == {"first"})
    assert engine.status().folders[0].encoded == encoded + 1


def test_another_folder_takes_the_place_of_the_root(root: Path, engine: Engine) -> None:
    root.rename(root.parent / "away")
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "b.py").write_text("def second(): pass\n")
    wait_for(lambda: names(engine) == {"second"})
    (root / "lib" / "b.py").write_text("def third(): pass\n")
    wait_for(lambda: names(engine) == {"third"})
    (root.parent / "away" / "src" / "a.py").write_text("def fourth(): pass\n")
    (root / "lib" / "c.py").write_text("def first(): pass\n")
    wait_for(lambda: names(engine) == {"third", "first"})


def test_a_root_that_is_made_later(tmp_path: Path) -> None:
    engine = Engine(Settings(workers=1), encoder.load(), tmp_path / "data", watches=True)
    engine.add_folder(str(tmp_path / "later"))
    engine.start()
    try:
        wait_for(lambda: any(folder.state == "degraded" for folder in engine.status().folders))
        (tmp_path / "later" / "src").mkdir(parents=True)
        (tmp_path / "later" / "src" / "a.py").write_text("def first(): pass\n")
        wait_for(lambda: names(engine) == {"first"} and engine.status().folders[0].state == "ready")
    finally:
        engine.close()


def test_a_second_write_in_the_same_tick_of_the_clock(root: Path, engine: Engine) -> None:
    """The file system dates both alike, and they have one size: only the event tells that there were two."""
    file = root / "src" / "a.py"
    now = time.time_ns()
    for name in ("third", "other"):
        with file.open("r+") as open_file:
            open_file.write(f"def {name}(): pass\n")
        os.utime(file, ns=(now, now))
        engine.touch([str(file)])
        assert engine.wait_idle(30)
    wait_for(lambda: bool(engine.snapshot.search(Query("other"), CancelToken()).hits[0].name == "other"))


def test_a_storm_of_files_and_a_renamed_folder(root: Path, engine: Engine) -> None:
    for number in range(5_000):
        (root / "src" / f"f{number}.py").write_text(f"def second_{number}(): pass\n")
        if number % 2:
            (root / "src" / f"f{number - 1}.py").unlink()
    (root / "src").rename(root / "lib")
    for number in range(1, 5_000, 2):
        (root / "lib" / f"f{number}.py").unlink()
    (root / "lib" / "b.py").write_text("def third(): pass\n")
    wait_for(lambda: names(engine) == {"first", "third"} and engine.status().folders[0].units == 2)
    assert engine.status().folders[0].files == 2


def test_a_clock_that_jumps(root: Path, engine: Engine) -> None:
    for number, moment in enumerate((4_000_000_000, 0, 1_000_000_000)):
        name = ("second", "third", "fourth")[number]
        (root / "src" / "a.py").write_text(f"def {name}(): pass\n")
        os.utime(root / "src" / "a.py", (moment, moment))
        wait_for(lambda name=name: names(engine) == {name})  # type: ignore[misc]


def test_ten_thousand_rapid_edits(root: Path, engine: Engine) -> None:
    path = str(root / "src" / "a.py")
    for number in range(10_000):
        engine.set_buffer(path, "python", f"def second_{number}(): pass\n")
    engine.set_buffer(path, "python", "def third(): pass\n")
    assert engine.wait_idle(30)
    assert names(engine) == {"third"}
    engine.drop_buffer(path)
    assert engine.wait_idle(30)
    assert names(engine) == {"first"}


def test_the_end_of_a_watch_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("watchdog.observers.inotify")
    logger.error("InotifyEmitter.queue_events() called when the thread is inactive")
    logger.error("something else")
    assert [record.message for record in caplog.records] == ["something else"]
