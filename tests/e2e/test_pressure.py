"""A client that writes and does not read: its own writes wait, the memory stays, and nothing is lost once it reads."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.process import resident_bytes
from tests.e2e.conftest import Start
from tests.e2e.raw import SOON, TIMEOUT, RawClient, frame, server_command
from tests.e2e.test_rpc import ODD

FIRST = 1_000_000
MUCH = 400_000_000
"""Bytes, of which a server that takes whatever comes takes all."""
ROOM = 150_000_000
STILL = 1.0
"""Seconds without room for another byte after which there will be none."""


class Mute:
    """A client that stops reading, and writes for as long as there is room."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self._reads = threading.Event()
        self._pipe = client._stdin.fileno()
        self._rest = b""
        self.begun = 0
        """Messages that were sent, the last one perhaps in part."""
        client.on_message = lambda _: self._reads.wait()

    def flood(self, messages: Iterator[bytes]) -> int:
        """Write until nothing more is taken; return how many bytes were."""
        os.set_blocking(self._pipe, False)
        sent = 0
        while sent < MUCH and select.select([], [self._pipe], [], STILL)[1]:
            if not self._rest:
                self._rest = next(messages)
                self.begun += 1
            count = os.write(self._pipe, self._rest)
            self._rest, sent = self._rest[count:], sent + count
        return sent

    def read(self) -> None:
        """Read what there is, and send the end of the last message."""
        self._reads.set()
        os.set_blocking(self._pipe, True)
        self.client.send_bytes(self._rest)


def refused() -> Iterator[bytes]:
    """Yield requests whose answers are as large as they, and cost the server nothing else."""
    number = FIRST
    while True:
        yield frame({"jsonrpc": "2.0", "id": number, "method": "no/" + "such" * 10_000})
        number += 1


def spins(folder: Path) -> Iterator[bytes]:
    """Yield requests that are not answered before they are cancelled."""
    number = FIRST
    while True:
        params = {"folder": str(folder), "name": "x"}
        yield frame({"jsonrpc": "2.0", "id": number, "method": "test/spin", "params": params})
        number += 1


def test_a_client_that_does_not_read_waits(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    before = resident_bytes(client.process.pid)
    mute = Mute(client)
    assert mute.flood(refused()) < MUCH
    assert resident_bytes(client.process.pid) < before + ROOM
    mute.read()
    last = FIRST + mute.begun - 1
    client.answer(last)
    client.result("sextant/indexStatus")
    answered = [each["id"] for each in client.received if each.get("id", 0) >= FIRST]
    assert sorted(answered) == list(range(FIRST, last + 1))
    assert client.shutdown() == 0


def test_a_client_that_asks_without_end_waits(start: Start, workspace: Path, tmp_path: Path) -> None:
    client = start(ODD)
    client.initialize(workspace)
    client.wait_ready()
    before = resident_bytes(client.process.pid)
    assert Mute(client).flood(spins(tmp_path)) < MUCH
    assert resident_bytes(client.process.pid) < before + ROOM
    begun = time.monotonic()
    client.close_input()
    assert client.process.wait(TIMEOUT) == 1
    assert time.monotonic() - begun < SOON


@pytest.mark.parametrize("way", ["end of input", "parent"])
def test_it_ends_soon_though_nobody_reads(start: Start, workspace: Path, way: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    client = start()
    client.initialize(workspace, processId=parent.pid)
    client.wait_ready()
    Mute(client).flood(refused())
    begun = time.monotonic()
    if way == "parent":
        parent.kill()
    else:
        client.close_input()
    assert client.process.wait(TIMEOUT) == 1
    assert time.monotonic() - begun < SOON
    parent.kill()
    parent.wait(TIMEOUT)


def test_nothing_to_read_is_not_the_end(environment: dict[str, str]) -> None:
    """Pipes that do not wait, as a parent may leave them: an empty one looks like one at its end."""
    theirs, ours = os.pipe()
    os.set_blocking(theirs, False)
    with subprocess.Popen(server_command(), stdin=theirs, stdout=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
        os.write(ours, frame({"jsonrpc": "2.0", "id": 1, "method": "shutdown"}))
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Content-Length")
        os.close(ours)
        assert process.wait(TIMEOUT) == 1
