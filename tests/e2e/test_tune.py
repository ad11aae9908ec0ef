"""The repository model over the protocol and on the command line: trained, used, kept, rolled back."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import environment_of
from tests.e2e.leftovers import OWNERS, leftovers, running
from tests.e2e.raw import Message, RawClient, server_command, wait_until
from tests.e2e.test_jobs import finished
from tests.house import write_house

TIMEOUT = 300.0


def encoder(client: RawClient) -> str:
    name: str = client.result("sextant/indexStatus")["encoder"]
    return name


def folders(inside: Path) -> tuple[Path, Path]:
    """A workspace with enough to learn from, and a home folder."""
    root, home = inside / "house", inside / "home"
    root.mkdir()
    home.mkdir()
    write_house(root)
    return root, home


def test_a_repository_model_is_trained_used_kept_and_rolled_back(tmp_path: Path) -> None:
    root, home = folders(tmp_path)
    environment = environment_of(home)
    client = RawClient(server_command(), environment, home / "server.log")
    client.initialize(root)
    client.wait_ready()
    base = encoder(client)

    assert client.code("sextant/tune", {"folder": tmp_path.as_uri()}) == -32803
    assert client.code("sextant/tune", {"on": "somewhere"}) == -32602
    dead = finished(client, client.result("sextant/tune", {"on": "127.0.0.1:1"})["jobId"], TIMEOUT)
    assert not dead["ok"] and "nothing answers at 127.0.0.1:1" in dead["message"]

    where = "local" if importlib.util.find_spec("ray") else "inline"
    outcome = finished(client, client.result("sextant/tune", {"folder": root.as_uri(), "on": where})["jobId"], TIMEOUT)
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
    again.initialize(root, capabilities={"experimental": {"serverStatusNotification": True}})
    again.wait_ready()
    wait_until(lambda: encoder(again) == tuned)  # a model outlives the server
    said = "by the model tuned to this repository"
    again.wait(lambda one: one.get("method") == "experimental/serverStatus" and said in one["params"]["summary"])
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


def training(client: RawClient) -> None:
    """Wait until a model is being trained."""
    client.wait(
        lambda one: one.get("method") == "$/progress" and one["params"]["value"].get("message") == "training", TIMEOUT
    )
    client.received.clear()


def models(home: Path) -> list[Path]:
    return [path for path in (home / "data").rglob("model*") if "folders" in path.parts]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_a_tune_that_is_cancelled_or_killed_changes_nothing(tmp_path: Path) -> None:
    root, home = folders(tmp_path)
    environment = environment_of(home)

    def begin() -> RawClient:
        client = RawClient(server_command(), environment, home / "server.log")
        OWNERS.add(str(client.process.pid))
        client.initialize(root, capabilities={"window": {"workDoneProgress": True}})
        client.wait_ready()
        return client

    client = begin()
    base = encoder(client)
    job = client.result("sextant/tune", {})["jobId"]
    training(client)
    client.notify("window/workDoneProgress/cancel", {"token": f"sextant-job-{job}"})
    outcome = finished(client, job, TIMEOUT)
    assert not outcome["ok"] and "ancelled" in outcome["message"]
    assert (leftovers(), models(home)) == ([], [])

    client.result("sextant/tune", {})
    training(client)
    client.process.kill()
    client.process.wait()
    wait_until(lambda: not leftovers(), 20, leftovers)
    assert models(home) == []

    command = subprocess.Popen([*server_command()[:-1], "tune", str(root)], env=environment, stderr=subprocess.DEVNULL)
    OWNERS.add(str(command.pid))
    wait_until(lambda: any("/torch/" in maps(pid) for pid in running()))
    command.kill()
    command.wait()
    wait_until(lambda: not leftovers(), 20, leftovers)
    assert models(home) == []

    client = begin()
    assert encoder(client) == base
    assert client.shutdown() == 0


def maps(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""
