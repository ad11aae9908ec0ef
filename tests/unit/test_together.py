"""Two editors on one workspace: one writes the index, both answer, and the other takes over."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from server.config import Settings
from server.engine import Engine
from server.folder import home_of
from server.index.parser import HERE
from server.model import encoder
from server.types import CancelToken, Query

FUNCTIONS = {"mail.py": "send_mail", "dates.py": "parse_date", "web/auth.py": "login"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    for path, name in FUNCTIONS.items():
        write(folder / path, name)
    return folder


def write(file: Path, name: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"def {name}(value):\n    return value\n")


@contextmanager
def editor(root: Path, data: Path) -> Iterator[Engine]:
    engine = Engine(Settings(workers=1), encoder.load(), data, parser=HERE)
    engine.add_folder(str(root))
    engine.start()
    try:
        assert engine.wait_idle(30)
        yield engine
    finally:
        engine.close()


def names(engine: Engine) -> set[str]:
    query = Query("send mail parse date login retry work", limit=50)
    return {hit.name for hit in engine.snapshot.search(query, CancelToken()).hits}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def committed(data: Path, root: Path) -> dict[str, int]:
    with sqlite3.connect(home_of(data, str(root)) / "index.db") as db:
        found = dict(db.execute("SELECT path, sequence FROM files"))
    db.close()
    return found


def test_both_answer_and_one_writes(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with editor(root, data) as first, editor(root, data) as second:
        assert names(first) == names(second) == set(FUNCTIONS.values())
        before = committed(data, root)
        write(root / "retry.py", "retry")
        second.touch([str(root / "retry.py")])
        assert second.wait_idle(30)
        assert names(second) == {*FUNCTIONS.values(), "retry"}
        assert committed(data, root) == before, "the second does not write"
        first.touch([str(root / "retry.py")])
        assert first.wait_idle(30)
        assert committed(data, root).keys() == {*before, "retry.py"}
        assert second.status().folders[0].encoded == 1
        assert first.status().folders[0].encoded == 2 + 1, "the vector came from the other"
        assert second.status().folders[0].state == "ready"


def test_the_other_sees_what_is_committed(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with editor(root, data) as first, editor(root, data) as second:
        write(root / "retry.py", "retry")
        (root / "mail.py").unlink()
        first.touch([str(root / "retry.py"), str(root / "mail.py")])
        wait_for(lambda: names(second) == {"parse_date", "login", "retry"})
        first.compact()
        write(root / "dates.py", "work")
        first.touch([str(root / "dates.py")])
        wait_for(lambda: names(second) == {"work", "login", "retry"})
        second.set_buffer(str(root / "dates.py"), "python", "def send(): pass\n")
        assert second.wait_idle(30)
        assert names(second) == {"send", "login", "retry"}
        assert names(first) == {"work", "login", "retry"}


def test_the_other_takes_over(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ExitStack() as stack:
        first = stack.enter_context(editor(root, data))
        second = stack.enter_context(editor(root, data))
        write(root / "retry.py", "retry")
        second.touch([str(root / "retry.py")])
        assert second.wait_idle(30)
        first.close()
        wait_for(lambda: "retry.py" in committed(data, root))
        write(root / "mail.py", "work")
        second.touch([str(root / "mail.py")])
        assert second.wait_idle(30)
        assert names(second) == {"retry", "parse_date", "login", "work"}
    with editor(root, data) as again:
        assert names(again) == {"retry", "parse_date", "login", "work"}
        assert again.status().folders[0].encoded == 0


BUILD = """
import sys
from pathlib import Path
from server.config import Settings
from server.engine import Engine
from server.model import encoder

engine = Engine(Settings(workers=1), encoder.load(), Path(sys.argv[2]))
engine.add_folder(sys.argv[1])
engine.start()
print("begun", flush=True)
sys.stdin.read()
"""


def test_the_other_goes_on_when_a_first_index_is_killed(root: Path, tmp_path: Path) -> None:
    for number in range(400):
        write(root / f"part{number}.py", f"work_{number}")
    data = tmp_path / "data"
    command = [sys.executable, "-c", BUILD, str(root), str(data)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"begun\n"
        wait_for((home_of(data, str(root)) / "index.db").exists)
        engine = Engine(Settings(workers=1), encoder.load(), data, parser=HERE)
        engine.add_folder(str(root))
        engine.start()
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        process.wait(30)
        try:
            assert engine.wait_idle(60)
            assert engine.status().folders[0].files == 403
            assert len(committed(data, root)) == 403
        finally:
            engine.close()


def test_an_index_of_another_format_in_use_is_left_alone(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with editor(root, data) as first:
        with sqlite3.connect(home_of(data, str(root)) / "index.db") as db:
            db.execute("UPDATE meta SET value = 'other' WHERE key = 'format'")
        db.close()
        second = Engine(Settings(workers=1), encoder.load(), data, parser=HERE)
        second.add_folder(str(root))
        second.start()
        try:
            wait_for(lambda: bool(second.status().folders))
            assert committed(data, root).keys() == FUNCTIONS.keys()
            first.close()
            wait_for(lambda: names(second) == set(FUNCTIONS.values()))
        finally:
            second.close()
