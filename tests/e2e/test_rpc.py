"""The repairs of pygls, one test each, and what must never break the protocol."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lsprotocol.types import ConfigurationParams

from server.lsp import progress
from server.lsp.server import SextantServer, create
from server.types import FolderStatus, Status
from tests.e2e.conftest import SOURCES, Start, environment_of, write
from tests.e2e.raw import SOON, TIMEOUT, RawClient, frame

ODD = [sys.executable, "-m", "tests.e2e.odd_server"]


@pytest.fixture
def odd(start: Start, workspace: Path) -> RawClient:
    client = start(ODD)
    client.initialize(workspace)
    return client


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawClient]:
    """One such server for the tests that leave it as it was."""
    home = tmp_path_factory.mktemp("odd")
    client = RawClient(ODD, environment_of(home), home / "server.log")
    client.initialize(write(home / "workspace", SOURCES))
    yield client
    client.kill()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def test_whoever_prints_reaches_the_log_and_not_the_protocol(shared: RawClient) -> None:
    number = shared.post("test/print", {})
    following = shared.post("test/inFlight", {})  # these bytes belong to the server, not to a child that reads
    assert shared.answer(number)["result"] == [0, 0]
    assert "result" in shared.answer(following)
    assert shared.broken is None
    log = shared.log()
    for source in ("print", "the first stdout", "the descriptor", "C", "a child", "a shell"):
        assert f"from {source}\n" in log


def test_cancel_stops_running_and_queued_work(shared: RawClient, tmp_path: Path) -> None:
    """Two requests run, one waits for a thread; each is cancelled, and only its own."""
    ids = {name: shared.post("test/spin", {"folder": str(tmp_path), "name": name}) for name in ("a", "b", "queued")}
    until(lambda: (tmp_path / "started-a").exists() and (tmp_path / "started-b").exists())
    shared.notify("$/cancelRequest", {"id": ids["queued"]})
    assert shared.answer(ids["queued"])["error"]["code"] == -32800
    shared.send({"jsonrpc": "2.0", "id": ids["a"], "result": None})  # an answer to no question changes nothing
    shared.notify("$/cancelRequest", {"id": ids["a"]})
    assert shared.answer(ids["a"])["error"]["code"] == -32800
    until((tmp_path / "cancelled-a").exists)
    assert not (tmp_path / "cancelled-b").exists()
    shared.notify("$/cancelRequest", {"id": ids["b"]})
    assert shared.answer(ids["b"])["error"]["code"] == -32800
    until((tmp_path / "cancelled-b").exists)
    assert shared.search("delay") is not None  # both threads are free again
    assert not (tmp_path / "started-queued").exists()
    assert all(len(shared.answers(number)) == 1 for number in ids.values())


def test_a_cancelled_command_stops_its_work(shared: RawClient, tmp_path: Path) -> None:
    """Repair 9: pygls answers the cancel and lets the work go on."""
    command = {"command": "test.spin", "arguments": [{"folder": str(tmp_path), "name": "command"}]}
    number = shared.post("workspace/executeCommand", command)
    until((tmp_path / "started-command").exists)
    shared.notify("$/cancelRequest", {"id": number})
    assert shared.answer(number)["error"]["code"] == -32800
    until((tmp_path / "cancelled-command").exists)


def test_an_id_that_is_in_use_is_refused(shared: RawClient, tmp_path: Path) -> None:
    request = {"jsonrpc": "2.0", "id": "twice", "method": "test/spin", "params": {"folder": str(tmp_path), "name": "x"}}
    shared.send(request)
    until((tmp_path / "started-x").exists)
    shared.send({**request, "method": "test/inFlight"})
    assert shared.answer("twice")["error"]["code"] == -32600
    shared.notify("$/cancelRequest", {"id": "twice"})
    until((tmp_path / "cancelled-x").exists)
    shared.result("test/inFlight", {})
    assert [each["error"]["code"] for each in shared.answers("twice")] == [-32600, -32800]
    shared.send({**request, "method": "test/inFlight"})  # free again
    shared.wait(lambda each: each.get("id") == "twice" and each.get("result") == 1)


def test_shutdown_cancels_what_is_running(odd: RawClient, tmp_path: Path) -> None:
    """Repair 3: pygls dies of a dictionary that changes while it walks over it."""
    ids = [odd.post("test/spin", {"folder": str(tmp_path), "name": str(number)}) for number in range(20)]
    odd.notify("$/setTrace", {"value": "off"})  # runs for a minute; its future removes itself while it is cancelled
    odd.notify("$/setTrace", {"value": "off"})
    until((tmp_path / "started-0").exists)
    assert odd.result("shutdown") is None
    for number in ids:
        assert odd.answer(number)["error"]["code"] == -32800
    odd.notify("exit")
    assert odd.process.wait(TIMEOUT) == 0


def test_the_end_of_input_ends_running_work(odd: RawClient, tmp_path: Path) -> None:
    """Repair 15: pygls waits for threads, and returns 0."""
    odd.post("test/spin", {"folder": str(tmp_path), "name": "x"})
    until((tmp_path / "started-x").exists)
    started = time.monotonic()
    odd.close_input()
    assert odd.process.wait(TIMEOUT) == 1
    assert time.monotonic() - started < SOON
    assert (tmp_path / "cancelled-x").exists()


@pytest.mark.parametrize("is_proper", [True, False])
def test_a_thread_that_does_not_stop_is_left_behind(odd: RawClient, tmp_path: Path, is_proper: bool) -> None:
    odd.post("test/stuck", {"folder": str(tmp_path)})
    until((tmp_path / "started-stuck").exists)
    started = time.monotonic()
    if is_proper:
        assert odd.shutdown() == 0
    else:
        odd.close_input()
        assert odd.process.wait(TIMEOUT) == 1
    assert time.monotonic() - started < SOON


def test_the_end_of_input_ends_a_server_whose_loop_is_busy(odd: RawClient, tmp_path: Path) -> None:
    odd.post("test/busyLoop", {"folder": str(tmp_path)})
    until((tmp_path / "started-busy").exists)
    started = time.monotonic()
    odd.close_input()
    assert odd.process.wait(TIMEOUT) == 1
    assert time.monotonic() - started < SOON


def test_a_bug_is_an_error_without_inside(shared: RawClient) -> None:
    """Repair 14: pygls sends the traceback as `data`."""
    error = shared.request("test/bug", {"text": "SECRET"})["error"]
    assert error["code"] == -32603
    assert set(error) == {"code", "message"}
    assert "SECRET" not in error["message"]
    assert "odd_server.py" in shared.log()  # where it happened


@pytest.mark.parametrize("method", ["test/bug", "test/plainBug"])
def test_a_bug_in_a_notification_is_logged_and_no_more(shared: RawClient, method: str) -> None:
    """Repair 14: pygls shows it to the user, who can do nothing about it, or logs the user's text."""
    seen = len(shared.log())
    shared.notify(method, {"text": "SECRET"})
    shared.result("test/inFlight", {})
    assert not shared.notifications("window/showMessage")
    assert "SECRET" not in shared.log()
    assert "KeyError" in shared.log()[seen:]
    assert "odd_server.py" in shared.log()[seen:]  # where it happened


@pytest.mark.parametrize("is_nan", [True, False])
def test_an_answer_that_cannot_be_written_is_an_error(shared: RawClient, is_nan: bool) -> None:
    """Repair 5: pygls logs and drops it."""
    assert shared.code("test/unwritable", {"nan": is_nan}) == -32603


def test_notifications_leave_nothing_behind(shared: RawClient) -> None:
    """Repair 2: pygls keeps a future of each for ever."""
    uri = "untitled:a"
    shared.open(uri, "x")
    for number in range(300):
        shared.change(uri, {"text": f"x = {number}"}, version=number + 2)
    assert shared.result("test/inFlight", {}) == 1  # itself


def test_no_document_is_kept_twice(shared: RawClient) -> None:
    """pygls keeps the text of every document, and so would need the memory of each once more."""
    shared.open("untitled:kept", "x")
    assert shared.result("test/documents", {}) == 0


def test_a_client_that_never_accepts_a_progress_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repair 18: pygls waits for its answer for ever, and there is no progress from then on."""
    monkeypatch.setattr(progress, "CREATE_TIMEOUT", 0.01)
    folder = FolderStatus("/w", "indexing", 0, 0, pending_files=100, skipped={}, languages={})
    status = Status((folder,), 1, "", "exact", 0)
    asked: list[asyncio.Future[Any]] = []
    sent: list[Any] = []

    async def run() -> None:
        def create(_: Any) -> asyncio.Future[Any]:
            asked.append(asyncio.get_running_loop().create_future())
            return asked[-1]

        shown = progress.IndexProgress(lambda *message: sent.append(message), create)
        end = time.monotonic() + TIMEOUT
        while len(asked) < 3:
            shown.update(status)
            await asyncio.sleep(0.005)
            assert time.monotonic() < end
        await shown.close()
        assert not sent

    asyncio.run(run())


def test_what_pygls_reports_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repair 14, for whatever pygls itself stumbles over."""
    monkeypatch.setenv("SEXTANT_DATA_DIR", str(tmp_path))

    async def run() -> None:
        inside = Inside(create())
        inside.server.report_server_error(KeyError("SECRET"), KeyError)
        assert inside.sent == []

    asyncio.run(run())


class Inside:
    """A server in this process, spoken to in messages."""

    def __init__(self, server: SextantServer) -> None:
        self.server = server
        self.sent: list[dict[str, Any]] = []
        server.protocol.set_writer(self)

    def write(self, data: bytes) -> None:
        self.sent.append(json.loads(data.partition(b"\r\n\r\n")[2]))

    def close(self) -> None:
        pass

    def say(self, **message: Any) -> None:
        self.server.feed(frame({"jsonrpc": "2.0", **message}))


def test_answers_of_the_client_count_after_shutdown_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repair 16: pygls drops them, and whoever waits for one waits for ever."""
    monkeypatch.setenv("SEXTANT_DATA_DIR", str(tmp_path))

    async def run() -> None:
        inside = Inside(create())
        inside.say(id=1, method="initialize", params={"processId": None, "rootUri": None, "capabilities": {}})
        ask = inside.server.protocol.send_request_async
        before = ask("workspace/configuration", ConfigurationParams([]))
        inside.say(id=2, method="shutdown")
        while not any(message.get("id") == 2 for message in inside.sent):
            await asyncio.sleep(0)
        after = [ask("workspace/configuration", ConfigurationParams([])) for _ in range(3)]
        ids = [message["id"] for message in inside.sent if message.get("method") == "workspace/configuration"]
        inside.say(id=ids[0], result=["late"])
        inside.say(id=ids[1], result=["x"])
        inside.say(id=ids[1], result=["once more"])
        inside.say(id=ids[2], error={"code": -32601, "message": "no"})
        inside.say(id=ids[3], result=7)
        _, waiting = await asyncio.wait([before, *after], timeout=TIMEOUT)
        assert not waiting
        assert before.cancelled()
        assert list(after[0].result()) == ["x"]
        assert after[1].exception() is not None
        assert after[2].exception() is not None
        inside.server.session.close()

    asyncio.run(run())
