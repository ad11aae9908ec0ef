"""Parsing processes: a file that ends one is left out, they obey their limit, and they end with the server."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.config import Settings
from server.engine import Engine
from server.folder import home_of
from server.index.apart import Apart, Died
from server.index.crew import CRASHED
from server.model import encoder
from server.types import CancelToken, Query

SMALL = Settings(workers=2, memory_megabytes=400)
linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit and /proc are Linux's")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    for number in range(400):
        (folder / f"part{number}.py").write_text(f"def work_{number}():\n    return {number}\n")
    return folder


@pytest.fixture
def engine(root: Path, tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(SMALL, encoder.load(), tmp_path / "data")
    engine.add_folder(str(root))
    yield engine
    engine.close()


HOSTILE = ("a<b<" * 20 + "\n") * 12_000
"""Ambiguous to the grammar of TSX: the parser takes more and more memory for it."""


@linux
def test_a_file_that_ends_its_parser_is_left_out_and_nothing_else(root: Path, engine: Engine) -> None:
    for number in (1, 2):
        (root / f"hostile{number}.tsx").write_text(HOSTILE[number:])
    engine.start()
    assert engine.wait_idle(120)
    status = engine.status().folders[0]
    assert status.skipped == {CRASHED: 2}
    assert (status.files, status.state) == (400, "ready")


@linux
def test_the_server_survives_an_open_document_that_ends_its_parser(root: Path, engine: Engine) -> None:
    engine.start()
    assert engine.wait_idle(120)
    path = str(root / "open.tsx")
    engine.set_buffer(path, "typescriptreact", HOSTILE)
    assert engine.wait_idle(120)
    assert engine.snapshot.search(Query("work 7", limit=3), CancelToken()).hits
    engine.set_buffer(path, "typescriptreact", "function better() {}\n")
    (root / "saved.tsx").write_text(HOSTILE)
    engine.touch([str(root / "saved.tsx")])
    assert engine.wait_idle(120)
    assert engine.status().folders[0].skipped == {CRASHED: 1}
    assert engine.snapshot.search(Query("better"), CancelToken()).hits[0].name == "better"


def wait_to_be_killed(log: Path, times: int) -> int:
    with log.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if len(log.read_text().splitlines()) <= times:
        time.sleep(60)
    return times


@linux
@pytest.mark.parametrize("kills", [1, 2])
def test_work_is_given_up_after_two_processes_of_its_own_died(tmp_path: Path, kills: int) -> None:
    log = tmp_path / "log"
    log.touch()
    apart = Apart(SMALL.worker_bytes)
    assert apart.run(wait_to_be_killed, log, -1) == -1
    first = int(log.read_text())
    os.kill(first, signal.SIGKILL)  # while it has nothing to do
    deadline = time.monotonic() + 60
    while alive(first):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    log.write_text("")
    with ThreadPoolExecutor() as threads:
        outcome = threads.submit(apart.run, wait_to_be_killed, log, kills)
        for number in range(kills):
            while len(pids := log.read_text().split("\n")) < number + 2:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(int(pids[number]), signal.SIGKILL)
        if kills == 1:
            assert outcome.result() == 1
        else:
            with pytest.raises(Died):
                outcome.result()
    apart.close()


def take(size: int) -> int:
    """Take memory of a kind that the limit of the system does not count."""
    shared = mmap.mmap(-1, size)
    shared.write(bytes(size))
    time.sleep(60)
    return len(shared)


@linux
def test_work_that_takes_more_than_the_system_limits_is_ended_all_the_same() -> None:
    apart = Apart(100_000_000)
    assert apart.run(os.getpid) != os.getpid()
    with pytest.raises(Died):
        apart.run(take, 200_000_000)
    assert apart.run(os.getpid) != os.getpid()
    apart.close()


@linux
def test_parsers_that_others_kill_cost_no_file(root: Path, tmp_path: Path) -> None:
    for number in range(400, 3_000):
        (root / f"part{number}.py").write_text(f"def work_{number}():\n    return {number}\n")
    engine = Engine(SMALL, encoder.load(), tmp_path / "data")
    engine.add_folder(str(root))
    engine.start()
    killed = set[int]()
    while not engine.wait_idle(0.3) and len(killed) < 8:  # all there are, again and again
        for pid in children(os.getpid()) - killed:
            if priority(pid) >= 5:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    assert engine.wait_idle(120)
    engine.close()
    assert killed
    engine = Engine(SMALL, encoder.load(), tmp_path / "data")  # one file may have met two kills: it is tried again
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(120)
    status = engine.status().folders[0]
    engine.close()
    assert (status.files, status.skipped) == (3_000, {})


@linux
def test_what_ended_its_parser_is_parsed_again_by_the_next_start(root: Path, tmp_path: Path) -> None:
    (root / "hostile.tsx").write_text(HOSTILE)

    def start(tries_again: bool = True) -> tuple[int, dict[str, int]]:
        engine = Engine(SMALL, encoder.load(), tmp_path / "data", tries_again=tries_again)
        engine.add_folder(str(root))
        engine.start()
        assert engine.wait_idle(120)
        status = engine.status().folders[0]
        engine.close()
        return status.files, status.skipped

    assert start() == (400, {CRASHED: 1})
    with contextlib.closing(sqlite3.connect(home_of(tmp_path / "data", str(root)) / "index.db")) as db, db:
        innocent = "UPDATE files SET reason = ?, columns = NULL, units = 0 WHERE path IN ('part7.py', 'part8.py')"
        assert db.execute(innocent, (CRASHED,)).rowcount == 2
    assert start(tries_again=False) == (398, {CRASHED: 3})
    assert start() == (400, {CRASHED: 1})


BUILD = """
import sys
from pathlib import Path
from server.config import Settings
from server.engine import Engine
from server.model import encoder

if __name__ == "__main__":
    engine = Engine(Settings(workers=2), encoder.load(), Path(sys.argv[2]))
    engine.add_folder(sys.argv[1])
    engine.start()
    engine.wait_idle()
"""


def children(pid: int) -> set[int]:
    found = set[int]()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.add(int(entry.name))
    return found


@linux
def test_the_parsing_processes_end_with_a_server_that_is_killed(root: Path, tmp_path: Path) -> None:
    for number in range(400, 6_000):
        (root / f"part{number}.py").write_text(f"def work_{number}():\n    return {number}\n")
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, script, root, tmp_path / "other"], env=environment)
    deadline = time.monotonic() + 60
    while sum(map(priority, workers := children(process.pid))) < 2 * 5:  # both have stepped back behind the editor
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "they outlive the server"
        time.sleep(0.01)


def priority(pid: int) -> int:
    """How much less important a process is than this one."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, 0)
    except ProcessLookupError:
        return 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
