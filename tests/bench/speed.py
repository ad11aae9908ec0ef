"""Speed: index time, functions a second, query latency over LSP and in-process, start-up and memory.

usage: python -m tests.bench.speed [--workspace DIR] [--queries N]

Prints medians of real runs: the real server over stdio in its own process, a fresh index folder for the cold run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

QUESTIONS = (
    "parse command line arguments", "create a temporary directory", "send an email", "compress a file", "read json",
    "lock a mutex", "handle an http request", "walk a directory tree", "convert time zone", "retry with backoff",
)  # fmt: skip

SETTLED = 15.0
"""Seconds without a change after which nothing more is coming."""


async def measure(root: Path, data: Path, questions: int) -> dict[str, float]:
    """Start the server, wait until it is ready, ask, and return seconds, milliseconds and megabytes."""
    client = LanguageClient("sextant-bench", "1")
    os.environ["SEXTANT_DATA_DIR"] = str(data)
    found: dict[str, float] = {}
    begun = time.perf_counter()
    await client.start_io(sys.executable, "-m", "server", "serve")
    folder = lsp.WorkspaceFolder(uri=root.as_uri(), name=root.name)
    await client.initialize_async(
        lsp.InitializeParams(capabilities=lsp.ClientCapabilities(), process_id=os.getpid(), workspace_folders=[folder])
    )
    found["spawn to initialize reply, s"] = time.perf_counter() - begun
    client.initialized(lsp.InitializedParams())
    status: Any = None
    while status is None or not status.folders or status.folders[0].state in ("opening", "indexing"):
        status = await client.protocol.send_request_async("sextant/indexStatus", None)
        await asyncio.sleep(0.02)
    found["spawn to ready, s"] = time.perf_counter() - begun
    found["units"] = status.folders[0].units
    found["resident when ready, MB"] = status.residentBytes / 1e6
    found |= {f"{name}, at once": value for name, value in (await ask(client, questions)).items()}
    await settle(client)
    found |= await ask(client, questions)
    status = await client.protocol.send_request_async("sextant/indexStatus", None)
    found["resident after questions, MB"] = status.residentBytes / 1e6
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    return found


async def settle(client: LanguageClient) -> None:
    """Wait until the generation has stood for a while: after a first index the delta is folded away."""
    last, since = -1, time.perf_counter()
    while time.perf_counter() - since < SETTLED:
        status = await client.protocol.send_request_async("sextant/indexStatus", None)
        if status.generation != last:
            last, since = status.generation, time.perf_counter()
        await asyncio.sleep(0.1)


async def ask(client: LanguageClient, questions: int) -> dict[str, float]:
    """Return p50 and p95 of one question after another, in milliseconds."""
    times = []
    for number in range(questions + len(QUESTIONS)):
        asked = time.perf_counter()
        await client.protocol.send_request_async("sextant/search", {"query": QUESTIONS[number % len(QUESTIONS)]})
        if number >= len(QUESTIONS):  # the first round reads the index from the disk
            times.append((time.perf_counter() - asked) * 1000)
    median, late = statistics.median(times), sorted(times)[int(len(times) * 0.95)]
    return {"search over LSP p50, ms": median, "search over LSP p95, ms": late}


def show(title: str, figures: Iterable[tuple[str, float]]) -> None:
    print(title)
    for name, value in figures:
        print(f"  {name:34} {value:12,.0f}" if value >= 1000 else f"  {name:34} {value:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    root = options.workspace.resolve()
    with tempfile.TemporaryDirectory() as data:
        cold = asyncio.run(measure(root, Path(data), options.queries))
        cold["functions a second"] = cold["units"] / cold["spawn to ready, s"]
        show(f"cold: {root}", cold.items())
        show("warm", asyncio.run(measure(root, Path(data), options.queries)).items())


if __name__ == "__main__":
    main()
