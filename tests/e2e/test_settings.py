"""Settings, whichever way an editor tells them, and what they change in the index."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.raw import SILENCE, TIMEOUT, RawClient

CAN_BE_ASKED = {"workspace": {"configuration": True}}


def files(client: RawClient) -> int:
    count: int = client.wait_ready()["folders"][0]["files"]
    return count


def wait_files(client: RawClient, wanted: int) -> None:
    end = time.monotonic() + TIMEOUT
    while (count := files(client)) != wanted:
        assert time.monotonic() < end, count
        threading.Event().wait(0.01)


def complaints(client: RawClient) -> list[str]:
    return [each["message"] for each in client.notifications("window/showMessage")]


@pytest.mark.parametrize("own", [{"exclude": ["shapes.py"]}, {"sextant": {"exclude": ["shapes.py"]}}])
def test_options_of_initialize(client: RawClient, workspace: Path, own: dict[str, Any]) -> None:
    client.initialize(workspace, initializationOptions=own)
    assert files(client) == 2
    assert not complaints(client)


def test_a_client_that_can_be_asked_is_asked(client: RawClient, workspace: Path) -> None:
    client.replies["workspace/configuration"] = [{"exclude": ["shapes.py"], "server": {"path": "/x"}, "workers": None}]
    client.initialize(workspace, capabilities=CAN_BE_ASKED, initializationOptions={"exclude": ["*.ts"]})
    assert files(client) == 2
    assert client.notifications("workspace/configuration") == [{"items": [{"section": "sextant"}]}]
    assert client.search("evictOldest")[0]["name"] == "evictOldest"
    assert not client.search("Circle", kinds=[5])

    client.replies["workspace/configuration"] = [None]  # taken back: the options of initialize are left
    client.notify("workspace/didChangeConfiguration", {"settings": {}})
    client.wait_hit("Circle", "Circle")
    client.wait_hit("evictOldest", "evictOldest", present=False)
    assert not complaints(client)


def test_a_client_that_cannot_be_asked_tells(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    assert files(client) == 3
    client.notify("workspace/didChangeConfiguration", {"settings": {"sextant": {"exclude": ["*.py"]}}})
    wait_files(client, 1)
    client.notify("workspace/didChangeConfiguration", {"settings": {}})
    wait_files(client, 3)
    assert not client.notifications("workspace/configuration")


def test_the_largest_file(client: RawClient, workspace: Path) -> None:
    """Nothing about the file itself changes, so its stamp says nothing."""
    client.initialize(workspace, initializationOptions={"maxFileBytes": 400})
    small = files(client)
    for limit, count in ((1_000_000, 3), (400, small), (1_000_000, 3)):
        client.notify("workspace/didChangeConfiguration", {"settings": {"maxFileBytes": limit}})
        wait_files(client, count)
    assert small < 3
    client.wait_hit("retry_with_backoff", "retry_with_backoff")


def test_a_client_that_never_answers_costs_a_moment(client: RawClient, workspace: Path) -> None:
    client.replies["workspace/configuration"] = SILENCE
    client.initialize(workspace, capabilities=CAN_BE_ASKED, initializationOptions={"exclude": ["shapes.py"]})
    assert files(client) == 2


@pytest.mark.parametrize("answer", [None, [], [7], ["x"], {"exclude": []}, [[]]])
def test_odd_answers(client: RawClient, workspace: Path, answer: Any) -> None:
    client.replies["workspace/configuration"] = answer
    client.initialize(workspace, capabilities=CAN_BE_ASKED)
    assert files(client) == 3
    for settings in (None, 7, [], {"sextant": 1}):
        client.notify("workspace/didChangeConfiguration", {"settings": settings})
    assert client.search("retry_fixed")


def test_mistakes_are_reported_once_by_name(client: RawClient, workspace: Path) -> None:
    wrong = {"maxFileBytes": "huge", "nothing": [1], "exclude": ["shapes.py"], "workers": -1, "duplicates": "SECRET"}
    client.replies["workspace/configuration"] = [wrong]
    client.initialize(workspace, capabilities=CAN_BE_ASKED)
    assert files(client) == 2
    for _ in range(3):
        client.notify("workspace/didChangeConfiguration", {"settings": None})
    client.search("x")
    said = complaints(client)
    assert len(said) == 4
    for name in ("maxFileBytes", "nothing", "workers", "duplicates"):
        assert sum(repr(name) in each for each in said) == 1
        assert name in client.log()
    assert "SECRET" not in client.log()


def test_the_command_line_keeps_to_the_editors_settings(
    client: RawClient, workspace: Path, environment: dict[str, str]
) -> None:
    client.initialize(workspace, initializationOptions={"exclude": ["shapes.py"]})
    assert files(client) == 2
    assert client.shutdown() == 0

    def run(*arguments: str) -> Any:
        command = [sys.executable, "-m", "server", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=True, cwd=workspace)
        return json.loads(done.stdout)

    found = run("search", "Circle area", "--json", "-C", str(workspace))
    assert "Circle" not in json.dumps(found)
    status = run("status", "--json")
    assert status["settings"]["exclude"] == ["shapes.py"]
    assert status["languages"] == {"python": 1, "typescript": 1}
