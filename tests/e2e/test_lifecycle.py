"""From the first byte to the exit code: parents that die, shutdown in the middle of work, the log and the trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Start
from tests.e2e.raw import SOON, TIMEOUT, RawClient, server_command
from tests.e2e.test_search import many_files


@pytest.fixture
def parent() -> Any:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait(TIMEOUT)


def test_the_server_ends_with_its_parent(client: RawClient, workspace: Path, parent: Any) -> None:
    """Also when somebody else still holds its input open, as a shell between them may."""
    client.initialize(workspace, processId=parent.pid)
    client.wait_ready()
    parent.kill()
    assert client.process.wait(TIMEOUT) == 1


def test_a_parent_on_another_machine_is_no_reason_to_end(client: RawClient, workspace: Path, parent: Any) -> None:
    parent.kill()
    parent.wait(TIMEOUT)  # a number that no process has
    client.initialize(workspace, processId=parent.pid)
    client.wait_ready()
    assert client.search("delay")
    assert client.shutdown() == 0


@pytest.mark.parametrize("pid", [None, 0, -1, 2**31 - 1])
def test_odd_process_ids(client: RawClient, workspace: Path, pid: int | None) -> None:
    client.initialize(workspace, processId=pid)
    assert client.result("sextant/indexStatus")
    assert client.shutdown() == 0


def test_parents_are_polled_where_the_system_cannot_tell(start: Start, workspace: Path, parent: Any) -> None:
    code = (
        "import os, sys; from server.lsp.stdio import take_stdio; streams = take_stdio(); "
        "vars(os).pop('pidfd_open', None); from server.lsp import parent, server; parent.POLL = 0.05; "
        "sys.exit(server.serve(streams))"
    )
    client = start([sys.executable, "-c", code])
    client.initialize(workspace, processId=parent.pid)
    client.wait_ready()
    parent.kill()
    parent.wait(TIMEOUT)
    assert client.process.wait(TIMEOUT) == 1


@pytest.mark.parametrize("way", ["shutdown", "exit", "end of input"])
def test_it_ends_soon_in_the_middle_of_work(start: Start, tmp_path: Path, way: str) -> None:
    client = start()
    client.initialize(many_files(tmp_path / "many", 800))
    client.result("sextant/indexStatus")  # the engine is there, and busy
    for number in range(50):
        client.post("sextant/search", {"query": f"add {number}"})
    begun = time.monotonic()
    if way == "shutdown":
        assert client.shutdown() == 0
    elif way == "exit":
        client.notify("exit")
        assert client.process.wait(TIMEOUT) == 1
    else:
        client.close_input()
        assert client.process.wait(TIMEOUT) == 1
    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize("way", ["shutdown", "end of input"])
def test_no_pattern_of_a_user_holds_the_end_up(start: Start, tmp_path: Path, way: str) -> None:
    """In ignore files, settings, queries and filters: each would take ages if every star were tried at every place."""
    evil = "/".join(["*a*a*a*a*a"] * 6) + "*b"
    root = tmp_path / "evil"
    folder = root / "/".join(["a" * 60] * 5)
    folder.mkdir(parents=True)
    (root / ".gitignore").write_text(f"{evil}\n")
    for number in range(20):
        (folder / f"{'a' * 60}{number}.py").write_text("def shout(): return 1\n")
    client = start()
    client.initialize(root, initializationOptions={"exclude": [evil]})
    client.wait_ready()
    for others in ({}, {"include": [evil]}, {"exclude": [evil]}):
        client.post("sextant/search", {"query": f"shout path:{evil} -path:{evil}", **others})
    assert client.search("shout")
    begun = time.monotonic()
    if way == "shutdown":
        assert client.shutdown() == 0
    else:
        client.close_input()
        assert client.process.wait(TIMEOUT) == 1
    assert time.monotonic() - begun < SOON


def test_the_log_file_is_json_without_the_users_text(start: Start, workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "logs" / "sextant.log"
    client = start(server_command("--log", str(file)))
    client.initialize(workspace, initializationOptions={"workers": "SECRET"})
    client.wait_ready()
    client.open((workspace / "a.py").as_uri(), "def SECRET(): pass\n")
    client.search("SECRET")
    client.request("sextant/search", {"query": "lang:SECRET"})
    client.request("sextant/findSimilar", {"text": "SECRET " * 20_000})
    client.result("workspace/symbol", {"query": "SECRET"})
    assert client.shutdown() == 0
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert all(set(line) >= {"time", "level", "logger", "message"} for line in lines)
    said = [line["message"] for line in lines]
    assert any(each.startswith("sextant/search answered in ") for each in said)
    assert any(each.startswith("sextant/search failed in ") for each in said)
    assert "SECRET" not in file.read_text("utf-8") + client.log()


def test_a_log_that_cannot_be_written_is_said_so(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = server_command("--log", str(tmp_path / "file" / "x.log"))
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 1
    assert b"cannot write its log" in done.stderr
    assert done.stdout == b""


def test_a_client_that_traces_is_told(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace, trace="messages")
    client.search("SECRET")
    assert any(each["message"].startswith("sextant/search answered in ") for each in client.notifications("$/logTrace"))
    assert all("verbose" not in each for each in client.notifications("$/logTrace"))
    client.notify("$/setTrace", {"value": "verbose"})
    client.search("SECRET")
    assert "verbose" in client.notifications("$/logTrace")[-1]
    client.notify("$/setTrace", {"value": "off"})
    client.result("sextant/indexStatus")
    seen = len(client.notifications("$/logTrace"))
    client.search("SECRET")
    assert len(client.notifications("$/logTrace")) == seen
    assert "SECRET" not in json.dumps(client.notifications("$/logTrace"))


def test_only_this_machine_can_connect(environment: dict[str, str]) -> None:
    """The port listens on loopback alone: every listening socket of the process has that address."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("needs /proc")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        server_command("--tcp", str(port)), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    try:
        assert process.stderr is not None
        process.stderr.readline()
        tables = [line.split() for name in ("tcp", "tcp6") for line in open_table(name)]
        local = {row[1] for row in tables if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
        assert local == {f"0100007F:{port:04X}"}
    finally:
        process.kill()
        process.communicate()


def open_table(name: str) -> list[str]:
    path = Path("/proc/net") / name
    return path.read_text().splitlines()[1:] if path.exists() and os.name != "nt" else []
