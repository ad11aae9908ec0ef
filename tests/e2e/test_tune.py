"""The repository model over the protocol and on the command line: trained, used, kept, rolled back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.e2e.conftest import environment_of
from tests.e2e.raw import Message, RawClient, server_command, wait_until
from tests.house import write_house

TIMEOUT = 300.0


def finished(client: RawClient, job: str) -> Message:
    message = client.wait(
        lambda one: one.get("method") == "sextant/jobFinished" and one["params"]["jobId"] == job, TIMEOUT
    )
    found: Message = message["params"]
    return found


def encoder(client: RawClient) -> str:
    name: str = client.result("sextant/indexStatus")["encoder"]
    return name


def test_a_repository_model_is_trained_used_kept_and_rolled_back(tmp_path: Path) -> None:
    root, home = tmp_path / "house", tmp_path / "home"
    root.mkdir()
    home.mkdir()
    write_house(root)
    environment = environment_of(home)
    client = RawClient(server_command(), environment, home / "server.log")
    client.initialize(root)
    client.wait_ready()
    base = encoder(client)

    assert client.code("sextant/tune", {"folder": tmp_path.as_uri()}) == -32803
    on_cluster = finished(client, client.result("sextant/tune", {"on": "local"})["jobId"])
    assert not on_cluster["ok"] and "trained on this machine" in on_cluster["message"]

    outcome = finished(client, client.result("sextant/tune", {"folder": root.as_uri()})["jobId"])
    assert outcome["ok"] and outcome["accepted"] and outcome["kind"] == "tune", outcome
    assert outcome["after"] > outcome["before"]
    # What the new space lacks is computed unasked; until then the base model answers, and never both at once.
    client.wait(lambda one: one.get("method") == "sextant/jobFinished" and one["params"]["kind"] == "reindex", TIMEOUT)
    tuned = encoder(client)
    assert tuned != base
    hit = client.search("turn a text", explain=True)[0]
    assert hit["why"]["terms"]
    assert client.shutdown() == 0

    again = RawClient(server_command(), environment, home / "again.log")
    again.initialize(root)
    again.wait_ready()
    wait_until(lambda: encoder(again) == tuned)  # a model outlives the server
    # With two folders open one model has to answer for both: the base model.
    other = tmp_path / "other"
    other.mkdir()
    (other / "one.py").write_text("def one():\n    return 1\n")
    again.notify(
        "workspace/didChangeWorkspaceFolders",
        {"event": {"added": [{"uri": other.as_uri(), "name": "other"}], "removed": []}},
    )
    again.wait_hit("one", "one")
    wait_until(lambda: encoder(again) == base)
    assert again.shutdown() == 0

    def run(*arguments: str) -> Message:
        command = [*server_command()[:-1], "tune", str(root), "--json", *arguments]
        found: Message = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        return found

    assert "answers again" in run("--rollback")["message"]
    assert "no model of its own" in run("--rollback")["message"]
    third = RawClient(server_command(), environment, home / "third.log")
    third.initialize(root)
    third.wait_ready()
    assert encoder(third) == base
    assert third.shutdown() == 0
