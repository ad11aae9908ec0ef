"""First answers under a partial result token, and the server's status."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SOURCES, Start
from tests.e2e.raw import RawClient
from tests.e2e.test_search import many_files


def partials(client: RawClient, token: str) -> list[Any]:
    return [each["value"] for each in client.notifications("$/progress") if each["token"] == token]


@pytest.mark.parametrize(
    ("method", "asked"),
    [("sextant/search", {"query": "add f7_3"}), ("sextant/findSimilar", {"text": "def f7_3(a):\n    return a + 3\n"})],
)
def test_a_first_answer_comes_while_indexing(client: RawClient, tmp_path: Path, method: str, asked: Any) -> None:
    client.initialize(many_files(tmp_path / "many", 2_500))
    for number in range(1000):
        token = f"t{number}"
        result = client.result(method, {**asked, "partialResultToken": token})
        if found := partials(client, token):
            break
        assert result["isIncomplete"] or not number, "indexed before there was anything to find"
        client.wait_quietly()
    (first,) = found
    assert first["isIncomplete"] is True
    assert first["lowConfidence"] is False
    assert 0 < len(first["hits"]) <= 20
    assert all(hit["similarity"] == 0 for hit in first["hits"])  # by words alone
    assert first["generation"] <= result["generation"]
    order = [
        ("partial" if "method" in each else "response") for each in client.received if is_about(each, token, result)
    ]
    assert order == ["partial", "response"]


def is_about(message: Any, token: str, result: Any) -> bool:
    return message.get("params", {}).get("token") == token or message.get("result") == result


def test_no_first_answer_without_a_token_or_without_need(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    client.search("retry")
    uri = (workspace / "retry.py").as_uri()
    client.open(uri, SOURCES["retry.py"])
    for number in range(5):
        client.change(uri, {"text": SOURCES["retry.py"] + f"\n\ndef tide{number}(): pass\n"}, version=number + 2)
        assert client.search("tide")
    assert not client.notifications("$/progress")


def test_the_servers_status(client: RawClient, tmp_path: Path) -> None:
    client.initialize(
        many_files(tmp_path / "many", 100), capabilities={"experimental": {"serverStatusNotification": True}}
    )
    client.wait_ready()
    client.wait(lambda each: each.get("method") == "experimental/serverStatus" and each["params"]["quiescent"])
    said = client.notifications("experimental/serverStatus")
    assert {**said[0], "summary": ""} == {"health": "ok", "quiescent": False, "summary": ""}
    assert said[0]["summary"] == "indexing 0 %"
    assert said[-1] == {"health": "ok", "quiescent": True, "summary": "ready: 2,000 functions and types"}
    assert all(one != other for one, other in pairwise(said))  # changes only


def test_a_degraded_folder_is_a_warning(client: RawClient, tmp_path: Path) -> None:
    client.initialize(tmp_path / "missing", capabilities={"experimental": {"serverStatusNotification": True}})
    status = client.wait(lambda each: each.get("method") == "experimental/serverStatus" and each["params"]["quiescent"])
    assert status["params"]["health"] == "warning"
    assert "missing" in status["params"]["message"]


def test_a_client_that_did_not_ask_is_not_told(session: RawClient) -> None:
    assert session.search("delay")
    assert not session.notifications("experimental/serverStatus")


def search_until_complete(client: RawClient, query: str) -> list[Any]:
    """Return all answers from now on to the first complete one."""
    answers: list[Any] = []

    def ask() -> Any:
        answers.append(client.result("sextant/search", {"query": query}))
        return answers[-1]

    client.until(ask, lambda answer: not answer["isIncomplete"])
    return answers


@pytest.mark.parametrize("encoder", ["base", "sentence-transformers:/nowhere"])
def test_until_everything_is_indexed_no_answer_says_there_is_nothing(
    start: Start, tmp_path: Path, encoder: str
) -> None:
    """At a first index, beside a server that does it, at the next start, and in a folder that comes later."""
    many = many_files(tmp_path / "many", 400)
    later = many_files(tmp_path / "later", 200)
    wanted = "f199_3"
    clients = [start() for _ in range(3)]
    runs = []
    for number, client in enumerate(clients):
        client.initialize(many, initializationOptions={"encoder": encoder})
        if number == 0:
            client.result("sextant/indexStatus")  # it has begun, so the next one follows it
        if number == 1:
            runs += [search_until_complete(each, wanted) for each in clients[:2]]
    runs.append(search_until_complete(clients[2], wanted))
    event = {"event": {"added": [{"uri": later.as_uri(), "name": "later"}], "removed": []}}
    clients[0].notify("workspace/didChangeWorkspaceFolders", event)
    runs.append(search_until_complete(clients[0], wanted))
    for answers in runs:
        assert wanted in [hit["name"] for hit in answers[-1]["hits"]]
        assert not any(answer["lowConfidence"] for answer in answers if not answer["hits"])
    assert len(runs[0]) > 1, "indexed before it was asked"
    scoped = clients[0].result("sextant/search", {"query": wanted, "scope": later.as_uri()})
    assert scoped["hits"]
