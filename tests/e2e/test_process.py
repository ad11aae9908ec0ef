"""The server as a process: what it loads, and how soon it answers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.raw import TIMEOUT, RawClient, frame, server_command

HEAVY = ("torch", "ray", "tokenizers", "transformers")
GRAMMARS = ("tree_sitter", "tree_sitter_python")
"""In the process that parses only, which inherits the flags that say what is imported."""


def use(client: RawClient, workspace: Path) -> None:
    """Make the server do everything it can."""
    client.initialize(workspace)
    client.wait_ready()
    uri = (workspace / "retry.py").as_uri()
    client.open(uri, "def other(): pass\n")
    assert client.search("other")
    assert client.result("sextant/findSimilar", {"text": "def again(f): return f()"})["hits"]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_no_heavy_library_is_mapped(client: RawClient, workspace: Path) -> None:
    use(client, workspace)
    maps = Path(f"/proc/{client.process.pid}/maps").read_text()
    assert "numpy" in maps  # the list says what is loaded
    assert [name for name in (*HEAVY, *GRAMMARS) if f"/{name}/" in maps] == []


def test_no_heavy_module_is_imported(start: Start, workspace: Path) -> None:
    client = start([sys.executable, "-X", "importtime", "-m", "server", "serve"])
    use(client, workspace)
    assert client.shutdown() == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in client.log().splitlines() if "|" in line}
    assert {"numpy", "pygls", "server"} <= imported
    assert imported & set(HEAVY) == set()


def test_initialize_is_answered_soon(start: Start, workspace: Path) -> None:
    """Measured 0.45 s on two idle cores, of which 0.37 s import pygls; nothing heavy may come before the reply.

    Both are measured here, so that a busy machine slows the bound too.
    """
    imports, answers = [], []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "import pygls.lsp.server, numpy"], check=True, timeout=TIMEOUT)
        imports.append(time.monotonic() - started)
        started = time.monotonic()
        client = start()
        client.initialize(workspace)
        answers.append(time.monotonic() - started)
        assert client.shutdown() == 0
    assert min(answers) < 1.5 * min(imports) + 0.1, (answers, imports)


def test_a_terminated_server_ends_in_order(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    client.result("sextant/indexStatus")
    client.process.terminate()
    assert client.process.wait(TIMEOUT) == 1  # not killed by the signal: the engine was closed


def test_a_closed_standard_stream_is_no_endless_run(environment: dict[str, str]) -> None:
    command = f'exec "{sys.executable}" -m server serve <&- >&-'
    done = subprocess.run(["sh", "-c", command], env=environment, timeout=TIMEOUT, check=False, capture_output=True)
    assert done.returncode != 0


def test_a_client_that_reads_no_more_ends_the_server(environment: dict[str, str], workspace: Path) -> None:
    process = subprocess.Popen(
        server_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        params = {"processId": None, "rootUri": workspace.as_uri(), "capabilities": {}}
        process.stdin.write(frame({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}))
        process.stdin.flush()
        assert process.stdout.readline()
        process.stdout.close()
        process.stdin.write(frame({"jsonrpc": "2.0", "id": 2, "method": "sextant/indexStatus"}))
        process.stdin.flush()
        assert process.wait(TIMEOUT) == 1
    finally:
        process.kill()
        process.wait(TIMEOUT)
        process.stdin.close()
