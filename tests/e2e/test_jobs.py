"""Jobs over the protocol: reindexing, its progress and its end, and another encoder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from server.model import encoder
from server.model.encoder import Weights
from tests.e2e.conftest import Start
from tests.e2e.raw import RawClient, wait_until

PROGRESS = {"window": {"workDoneProgress": True}}


def finished(client: RawClient, job: str, timeout: float = 40.0) -> dict[str, Any]:
    message = client.wait(
        lambda each: each.get("method") == "sextant/jobFinished" and each["params"]["jobId"] == job, timeout
    )
    outcome: dict[str, Any] = message["params"]
    return outcome


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = encoder.load()
    folder = tmp_path_factory.mktemp("model")
    weights = base.weights
    encoder.save(folder, base.vocabulary, Weights(weights.rows[:, :96], weights.importance, weights.fields))
    return folder


def test_reindexing_tells_progress_and_its_end(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace, capabilities=PROGRESS)
    client.wait_ready()
    job = client.result("sextant/reindex", {"scope": "all", "on": "inline"})["jobId"]
    outcome = finished(client, job)
    assert outcome["ok"] and outcome["kind"] == "reindex" and "functions" in outcome["message"]
    assert client.search("retry with backoff")
    begun = [each for each in client.notifications("$/progress") if each["value"]["kind"] == "begin"]
    ended = [each for each in client.notifications("$/progress") if each["value"]["kind"] == "end"]
    assert {each["token"] for each in begun if each["token"].startswith("sextant-job-")} <= {
        each["token"] for each in ended
    }


def test_what_cannot_be_reindexed_is_refused(client: RawClient, workspace: Path, tmp_path: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    assert client.code("sextant/reindex", {"on": "somewhere"}) == -32602
    assert client.code("sextant/reindex", {"folder": tmp_path.as_uri()}) == -32803
    started = time.monotonic()
    outcome = finished(client, client.result("sextant/reindex", {"on": "127.0.0.1:1"})["jobId"])
    assert not outcome["ok"] and "nothing answers at 127.0.0.1:1" in outcome["message"]
    assert time.monotonic() - started < 20  # 5 s on an idle machine
    assert client.search("retry with backoff")


def test_equal_requests_are_one_job(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.wait_ready()
    first, second = (client.post("sextant/reindex", {"on": "127.0.0.1:1"}) for _ in range(2))
    third = client.post("sextant/reindex", {"on": "inline"})
    jobs = [client.answer(each)["result"]["jobId"] for each in (first, second, third)]
    assert jobs[0] == jobs[1] != jobs[2]
    assert finished(client, jobs[2])["ok"]


def test_another_encoder_is_one_setting(start: Start, workspace: Path, model: Path) -> None:
    base, other = encoder.load().fingerprint, encoder.load(model).fingerprint
    client = start()
    client.initialize(workspace, initializationOptions={"encoder": f"folder:{model}"})
    client.wait_ready()
    wait_until(lambda: client.result("sextant/indexStatus")["encoder"] == other)
    assert client.search("retry with backoff")[0]["name"] == "retry_with_backoff"
    client.open((workspace / "new.py").as_uri(), "def evict_oldest_entry(cache):\n    return cache.pop()\n")
    assert client.wait_hit("evict the oldest entry", "evict_oldest_entry")
    client.notify("workspace/didChangeConfiguration", {"settings": {"sextant": {"encoder": "base"}}})
    wait_until(lambda: client.result("sextant/indexStatus")["encoder"] == base)
    assert client.search("retry with backoff")[0]["name"] == "retry_with_backoff"
    assert client.shutdown() == 0


def test_an_encoder_that_cannot_be_loaded_says_what_to_do(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace, initializationOptions={"encoder": "sentence-transformers:/no/such/folder"})
    client.wait_ready()

    def told() -> bool:
        folder = client.result("sextant/indexStatus")["folders"][0]
        return "/no/such/folder" in (folder.get("message") or "")

    wait_until(told)
    assert client.search("retry with backoff")
