"""Live: what an editor notices of the index: keystroke to answer, the event loop, warm start, rescan, memory, idleness.

usage: python -m tests.bench.live --workspace DIR [--edits N]

The real server over stdio. DIR should have about 100,000 units for the figures that are promised of that size.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from server.config import Settings
from server.engine import Engine
from server.model import encoder
from tests.e2e.raw import REPOSITORY, RawClient, server_command

LINES = 2_000
IDLE = 10.0
PATIENCE = 3_600.0


def start(data: Path, root: Path) -> RawClient:
    environment = {**os.environ, "SEXTANT_DATA_DIR": str(data), "PYTHONPATH": str(REPOSITORY)}
    client = RawClient(server_command(), environment, data / "log")
    client.initialize(root)
    return client


def status(client: RawClient) -> dict[str, Any]:
    found: dict[str, Any] = client.result("sextant/indexStatus")
    return found


def settle(client: RawClient, seconds: float = 5.0) -> dict[str, Any]:
    """Wait until nothing has been published for a while."""
    last, since = (-1, ""), time.perf_counter()
    while True:
        found = status(client)
        now = found["generation"], found["folders"][0]["state"] if found["folders"] else ""
        if now != last or now[1] != "ready":
            last, since = now, time.perf_counter()
        elif time.perf_counter() - since > seconds:
            return found
        time.sleep(0.1)


def lags(client: RawClient, seconds: float, until: str = "") -> list[float]:
    """Ask again and again for what there is not: the milliseconds of the refusals show how long the loop was held.

    The loop refuses alone. The status is no measure: the first waits until the engine is there.
    """
    found = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        client.request("sextant/nothing")
        found.append((time.perf_counter() - begun) * 1_000)
        answer = status(client)
        if until and answer["folders"] and answer["folders"][0]["state"] == until:
            break
        time.sleep(0.02)
    return found


def keystrokes(client: RawClient, root: Path, edits: int) -> list[float]:
    """Type a new name into a large file, key by key, and time the last key until the name is found."""
    path = root / "sextant_bench_open.py"
    body = "".join(
        f"def function_{n}(value):\n    total = value + {n}\n    print(total)\n    return total\n\n"
        for n in range(LINES // 5)
    )
    client.open(path.as_uri(), body)
    row = LINES // 2 // 5 * 5
    column = len("def ")
    found = []
    version = 1
    typed = f"function_{LINES // 10}"
    for number in range(edits):
        word = f"quasar_{number}"
        for key in range(len(word) + 1):  # the old name goes with the first key
            version += 1
            end = column + (len(typed) if key == 0 else 0)
            at = column + max(0, key - 1)
            change = {
                "range": {
                    "start": {"line": row, "character": column if key == 0 else at},
                    "end": {"line": row, "character": end if key == 0 else at},
                },
                "text": "" if key == 0 else word[key - 1],
            }
            client.change(path.as_uri(), change, version=version)
            time.sleep(0.03)
        begun = time.perf_counter()
        while not any(hit["name"] == word for hit in client.search(word, limit=3)):
            if time.perf_counter() - begun > 30:
                raise SystemExit(f"{word} was not found within 30 s")
        found.append((time.perf_counter() - begun) * 1_000)
        typed = word
    client.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})
    return found


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak(pid: int) -> float:
    """Return the most memory a process ever held, in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0]) / 1e3


def memory(client: RawClient) -> float:
    return status(client)["residentBytes"] / 1e6  # type: ignore[no-any-return]


def show(name: str, times: list[float]) -> None:
    ordered = sorted(times)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    print(f"{name}: p50 {statistics.median(times):.0f}, p95 {late:.0f}, most {ordered[-1]:.0f} ms ({len(times)})")


def rescan(root: Path, data: Path) -> None:
    engine = Engine(Settings(), encoder.load(), data)
    engine.add_folder(str(root))
    engine.start()
    engine.wait_idle()
    begun = time.perf_counter()
    engine.rescan()
    engine.wait_idle()
    files = engine.status().folders[0].files
    print(f"rescan of {files:,} unchanged files: {time.perf_counter() - begun:.2f} s")
    engine.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--edits", type=int, default=40)
    options = parser.parse_args()
    root = options.workspace.resolve()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        client = start(data, root)
        show("event loop while indexing", lags(client, PATIENCE, until="ready"))
        show("event loop while the last generation is written", lags(client, 15.0))
        found = settle(client)
        print(f"units: {found['folders'][0]['units']:,}; peak of the server: {peak(client.process.pid):.0f} MB")
        client.shutdown()
        begun = time.perf_counter()
        client = start(data, root)
        while not client.search("parse command line arguments"):
            time.sleep(0.01)
        took, used = time.perf_counter() - begun, cpu_seconds(client.process.pid)
        print(f"warm, spawn to first answer: {took:.2f} s, {used:.2f} s of processor time")
        settle(client)
        print(f"resident, warm: {memory(client):.0f} MB")
        used = cpu_seconds(client.process.pid)
        show("last keystroke to found", keystrokes(client, root, options.edits))
        used = (cpu_seconds(client.process.pid) - used) / options.edits * 1_000
        print(f"processor time of the server: {used:.0f} ms for each name typed, key by key, and found")
        settle(client)
        print(f"resident after {options.edits} edits: {memory(client):.0f} MB")
        before = cpu_seconds(client.process.pid)
        threading.Event().wait(IDLE)
        print(f"idle: {(cpu_seconds(client.process.pid) - before) / IDLE:.2%} of a processor")
        client.shutdown()
        rescan(root, data)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as work:
        for number in range(100):
            text = "".join(f"def work_{number}_{n}(value):\n    return value + {n}\n\n" for n in range(10))
            Path(work, f"part{number}.py").write_text(text, encoding="utf-8")
        client = start(Path(folder), Path(work).resolve())
        found = settle(client)
        client.search("work with a value")
        print(f"resident at {found['folders'][0]['units']:,} units: {memory(client):.0f} MB")
        client.shutdown()


if __name__ == "__main__":
    main()
