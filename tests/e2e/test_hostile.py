"""Texts for which a parser takes gigabytes: no text ends the server, or takes its memory (invariant 14)."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.raw import RawClient, wait_until
from tests.unit.test_workers import alive, children

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

HOSTILE = "/* a "
"""Python's grammar takes 1.8 GB for 2,000 of them, all of it in one step at the end of the text."""
GROWTH = 60_000_000
"""Bytes by which the server may grow meanwhile: buffers, and what it had not loaded yet."""
LIMIT = 500_000_000
"""What a process that parses may take by default on the machines we test on, at most."""


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


def family(pid: int) -> set[int]:
    own = children(pid)
    return own.union(*map(family, own)) if own else own


@contextmanager
def watched(pid: int) -> Iterator[Callable[[], tuple[int, int]]]:
    """Yield what tells the most memory that the server, and any process of its own, has held."""
    most, ended = [0, 0], threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], resident(pid))
            most[1] = max([most[1], *map(resident, family(pid))])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: (most[0], most[1])
    finally:
        ended.set()
        thread.join()


def test_a_hostile_text_costs_its_parser_and_nothing_else(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    assert client.search("retry with backoff")
    pid = client.process.pid
    before = resident(pid)
    uri = (workspace / "open.py").as_uri()
    with watched(pid) as most:
        client.open(uri, HOSTILE * 12_000)
        assert client.search("retry with backoff")[0]["name"] == "retry_with_backoff"
        for number in range(1, 200, 10):  # as if it were typed, or pasted again and again
            client.change(uri, {"text": HOSTILE * 10 * number}, version=number + 1)
            assert client.search("retry with backoff")
        assert client.result("sextant/findSimilar", {"text": HOSTILE * 2_000, "languageId": "python"})["hits"]
        client.change(uri, {"text": "def healed_at_last():\n    return 1\n"}, version=1_000)
        client.wait_hit("healed at last", "healed_at_last")
        (workspace / "saved.py").write_text(HOSTILE * 12_000)
        created = {"uri": (workspace / "saved.py").as_uri(), "type": 1}
        client.notify("workspace/didChangeWatchedFiles", {"changes": [created]})
        client.until(lambda: client.result("sextant/indexStatus")["folders"][0], lambda each: each["skippedFiles"] == 1)
        server, others = most()
    assert server - before < GROWTH
    assert others < 1.1 * LIMIT
    assert others > 100_000_000  # else the text was not hostile, and this shows nothing
    assert client.search("retry with backoff")


def test_the_duplicates_of_a_hostile_document_are_none(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace, initializationOptions={"duplicates": True})
    client.wait_ready()
    uri = (workspace / "open.py").as_uri()
    client.open(uri, "x = 1\n")
    client.change(uri, {"text": HOSTILE * 4_000})
    with watched(client.process.pid) as most:
        assert client.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})["items"] == []
        assert most()[0] < 300_000_000


def test_a_parser_that_is_killed_is_started_again(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    uri = (workspace / "open.py").as_uri()
    for number in range(3):
        client.open(uri, f"def function_that_came_as_number_{number}(): pass\n")
        client.wait_hit(f"function_that_came_as_number_{number}", f"function_that_came_as_number_{number}")
        parsers = family(client.process.pid)
        assert parsers
        for pid in parsers:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda gone=parsers: not gone & family(client.process.pid))  # type: ignore[misc]


def test_a_parser_that_hangs_holds_nothing_up(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    uri = (workspace / "open.py").as_uri()
    client.open(uri, "def what_was_there_before(): pass\n")
    client.wait_hit("what was there before", "what_was_there_before")
    stopped = {pid for pid in family(client.process.pid) if "tree_sitter" in Path(f"/proc/{pid}/maps").read_text()}
    assert stopped
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    client.change(uri, {"text": "def what_came_later(): pass\n"})
    assert client.search("retry with backoff")
    asked = client.post("sextant/findSimilar", {"text": "def f(x):\n    return x", "languageId": "python"})
    client.notify("$/cancelRequest", {"id": asked})
    assert client.answer(asked)["error"]["code"] == -32800
    assert client.search("retry with backoff")
    assert client.shutdown() == 0
    wait_until(lambda: not any(map(alive, stopped)))


def test_a_cancelled_comparison_with_a_hostile_text_ends_at_once(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    hostile = {"text": HOSTILE * 3_900, "languageId": "python"}
    asked = [client.post("sextant/findSimilar", hostile) for _ in range(4)]
    for number in asked:
        client.notify("$/cancelRequest", {"id": number})
    assert {client.answer(number)["error"]["code"] for number in asked} == {-32800}
    assert client.result("sextant/findSimilar", {"text": "def f(x):\n    return x", "languageId": "python"})["hits"]
