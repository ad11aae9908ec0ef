"""Too much of everything: each request is answered exactly once, the memory comes back, the server lives."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SOURCES
from tests.e2e.raw import TIMEOUT, RawClient, frame

CANCELLED = -32800
ROOM = 60_000_000
"""Bytes a storm may leave behind: the allocator's own reserves, the answers' caches."""


def resident(client: RawClient) -> int:
    size: int = client.result("sextant/indexStatus")["residentBytes"]
    return size


def wait_small(client: RawClient, before: int) -> None:
    """Wait until the memory is near what it was; a status is renewed with each change of the index."""
    end = time.monotonic() + TIMEOUT
    uri = client.result("sextant/indexStatus")["folders"][0]["uri"] + "/nudge.py"
    version = 1
    client.open(uri, "x = 1\n")
    while (now := resident(client)) > before + ROOM:
        assert time.monotonic() < end, f"{now / 1e6:.0f} MB, {before / 1e6:.0f} before"
        version += 1
        client.change(uri, {"text": f"x = {version}\n"}, version=version)
        client.wait_quietly()
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


def collect(client: RawClient, ids: list[int]) -> dict[int, list[Any]]:
    """Wait for the answers to all ids and return them by id."""
    client.answer(client.post("sextant/indexStatus"), 120)
    wanted = set(ids)
    got: dict[int, list[Any]] = {number: [] for number in ids}
    end = time.monotonic() + 120
    seen = 0
    while True:
        fresh, seen = client.received[seen:], len(client.received)
        for message in fresh:
            if "method" not in message and message.get("id") in wanted:
                got[message["id"]].append(message)
        if all(got.values()):
            break
        assert time.monotonic() < end
        count = seen
        client.wait(lambda _, count=count: len(client.received) > count, 60)  # type: ignore[misc]
    client.answer(client.post("sextant/indexStatus"), 60)  # nothing more comes
    return got


def test_a_thousand_requests_at_once(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    before = resident(client)
    first = client._next_id + 1
    body = b"".join(
        frame(
            {"jsonrpc": "2.0", "id": first + number, "method": "sextant/search", "params": {"query": f"delay {number}"}}
        )
        for number in range(1000)
    )
    client._next_id += 1000
    client.send_bytes(body)
    got = collect(client, list(range(first, first + 1000)))
    assert all(len(answers) == 1 and answers[0]["result"]["hits"] for answers in got.values())
    wait_small(client, before)


def test_ten_thousand_requests_each_cancelled_some_time_later(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    before = resident(client)
    dice = random.Random(7)
    ids: list[int] = []
    due: list[tuple[float, int]] = []
    for number in range(10_000):
        method, params = dice.choice(
            [
                ("sextant/search", {"query": f"retry after a delay {number % 50}", "workDoneToken": number}),
                ("sextant/findSimilar", {"text": SOURCES["shapes.py"], "languageId": "python"}),
                ("workspace/symbol", {"query": "retry"}),
                ("sextant/search", {"query": "delay", "partialResultToken": number}),
            ]
        )
        ids.append(client.post(method, params))
        due.append((time.monotonic() + dice.random() * 0.05, ids[-1]))
        due.sort()
        while due and due[0][0] <= time.monotonic():
            client.notify("$/cancelRequest", {"id": due.pop(0)[1]})
    for _, number in due:
        client.notify("$/cancelRequest", {"id": number})
    got = collect(client, ids)
    outcomes = Counter(
        "twice" if len(answers) > 1 else "result" if "result" in answers[0] else answers[0]["error"]["code"]
        for answers in got.values()
    )
    assert set(outcomes) <= {"result", CANCELLED}, outcomes
    assert outcomes[CANCELLED] > 1000, outcomes
    wait_small(client, before)
    assert client.shutdown() == 0
    assert "Traceback" not in client.log()
    assert "a bug" not in client.log()


def test_a_large_query_and_a_large_document(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    before = resident(client)
    assert client.code("sextant/search", {"query": "retry " * 170_000}) == -32803  # a megabyte
    assert client.result("workspace/symbol", {"query": "x" * 1_000_000}) == []
    snippet = "def f(a):\n    return a + 1\n" * 40_000
    assert client.code("sextant/findSimilar", {"text": snippet, "languageId": "python"}) == -32803

    uri = (workspace / "huge.py").as_uri()
    line = "value_of_something = compute(another_value, 12345)  # padding\n"
    client.open(uri, line * (50_000_000 // len(line)))
    client.change(
        uri, {"range": {"start": {"line": 5, "character": 0}, "end": {"line": 5, "character": 5}}, "text": "x"}
    )
    assert client.request("sextant/search", {"query": "retry_fixed"}, 60)["result"]["hits"][0]["name"] == "retry_fixed"
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    wait_small(client, before)


@pytest.mark.parametrize("is_open", [True, False])
def test_one_line_of_many_megabytes(client: RawClient, workspace: Path, is_open: bool) -> None:
    text = "x = [" + "1, " * 3_000_000 + "]"
    (workspace / "wide.py").write_text("" if is_open else text)
    client.initialize(workspace)
    uri = (workspace / "wide.py").as_uri()
    if is_open:
        client.open(uri, text)
        for number in range(5):
            spot = {"line": 0, "character": 5 + number}
            client.change(uri, {"range": {"start": spot, "end": spot}, "text": "2"}, version=number + 2)
    assert client.wait_ready()
    assert client.search("retry_fixed")[0]["name"] == "retry_fixed"


def test_messages_in_pieces_from_a_slow_client(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    numbers = range(900_000, 900_020)
    data = b"".join(
        frame({"jsonrpc": "2.0", "id": number, "method": "sextant/search", "params": {"query": "delay"}})
        for number in numbers
    )
    dice = random.Random(3)
    while data:
        size = dice.randint(1, 40)
        client.send_bytes(data[:size])
        data = data[size:]
        threading.Event().wait(0.0005)
    assert all(client.answer(number)["result"] is not None for number in numbers)
