"""Round trip: how long a client waits for `sextant/search` over stdio.

usage: python -m tests.bench.roundtrip [FOLDER] [--units N] [--queries N]

One question after another; 16 in flight; and 16 in flight while files are indexed. A copy of FOLDER is asked; without
one Python's standard library, copied until it has as many units as asked for, each copy under names of its own. Prints
milliseconds by a plain JSON-RPC client, and the processor time of the server's process for each answer: on a busy
machine only that means much.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.live import cpu_seconds
from tests.bench.speed import QUESTIONS
from tests.e2e.conftest import environment_of
from tests.e2e.raw import RawClient, server_command

IN_FLIGHT = 16
NAME = re.compile(r"\b(def|class) (\w+)")


class Timed(RawClient):
    """A client that notes when each answer came, in the thread that reads it."""

    def __init__(self, *arguments: Any) -> None:
        self.came: dict[Any, float] = {}
        self.news = threading.Condition()
        super().__init__(*arguments)

    def note(self, message: dict[str, Any]) -> None:
        if "method" not in message:
            with self.news:
                self.came[message["id"]] = time.perf_counter()
                self.news.notify_all()

    def wait_for(self, number: int) -> float:
        with self.news:
            assert self.news.wait_for(lambda: number in self.came, 120), self.log()
            return self.came[number]


def one_by_one(client: Timed, count: int) -> list[float]:
    times = []
    for number in range(count):
        begun = time.perf_counter()
        asked = client.post("sextant/search", {"query": QUESTIONS[number % len(QUESTIONS)]})
        times.append(1000 * (client.wait_for(asked) - begun))
    return times


def many_at_once(client: Timed, count: int) -> list[float]:
    """Keep 16 questions in flight."""
    begun: dict[int, float] = {}
    times: list[float] = []
    for number in range(count):
        while len(begun) >= IN_FLIGHT:
            with client.news:
                client.news.wait_for(lambda: any(each in client.came for each in begun), 120)
            for each in [each for each in begun if each in client.came]:
                times.append(1000 * (client.came[each] - begun.pop(each)))
        asked = time.perf_counter()
        begun[client.post("sextant/search", {"query": QUESTIONS[number % len(QUESTIONS)]})] = asked
    times += [1000 * (client.wait_for(each) - asked) for each, asked in begun.items()]
    return times


def enlarge(source: Path, target: Path, units: int) -> None:
    """Copy Python files until they have so many functions and classes, with new names in each copy."""
    files = sorted(path for path in source.rglob("*.py") if "site-packages" not in path.parts)
    copied = copy = 0
    while copied < units:
        for path in files:
            text = path.read_text("utf-8", "replace")
            if copy:
                text = NAME.sub(rf"\1 \2_{copy}", text)
            place = target / f"copy{copy}" / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8")
            copied += len(NAME.findall(text)) + 1
            if copied >= units:
                break
        copy += 1


def show(name: str, client: Timed, ask: Callable[[Timed, int], list[float]], count: int) -> None:
    before = cpu_seconds(client.process.pid)
    times = ask(client, count)
    each = 1000 * (cpu_seconds(client.process.pid) - before) / count
    late = sorted(times)[int(count * 0.95)]
    print(
        f"  {name:46} p50 {statistics.median(times):7.1f} ms   p95 {late:7.1f} ms   "
        f"processor {each:6.2f} ms   of {count}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--units", type=int, default=20_000)
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if options.folder:
            shutil.copytree(options.folder, home / "w" / "copy0", symlinks=True, ignore=shutil.ignore_patterns(".git"))
        else:
            enlarge(Path(sysconfig.get_paths()["stdlib"]), home / "w", options.units)
        client = Timed(server_command(), environment_of(home), home / "log")
        client.on_message = client.note
        client.initialize(home / "w")
        client.wait_ready(900)
        settle(client)
        status = client.result("sextant/indexStatus")
        units, load = status["folders"][0]["units"], os.getloadavg()[0]
        print(f"{units:,} units, {status['backend']}, load {load:.1f}", flush=True)
        one_by_one(client, len(QUESTIONS))
        show("one after another", client, one_by_one, options.queries)
        show("16 in flight", client, many_at_once, options.queries)
        shutil.copytree(home / "w" / "copy0", home / "w" / "more", symlinks=True)
        created = {"uri": (home / "w" / "more").as_uri(), "type": 1}
        client.notify("workspace/didChangeWatchedFiles", {"changes": [created]})
        while client.result("sextant/indexStatus")["folders"][0]["state"] != "indexing":
            client.wait_quietly()
        show("16 in flight while indexing, which is counted", client, many_at_once, options.queries)
        if client.result("sextant/indexStatus")["folders"][0]["state"] != "indexing":
            print("  (it ended meanwhile: ask less)")
        client.shutdown()
    return 0


def settle(client: RawClient) -> None:
    """Wait until the index has stood for some seconds: a first one is folded into a generation."""
    last, since = -1, time.perf_counter()
    while time.perf_counter() - since < 5:
        generation = client.result("sextant/indexStatus")["generation"]
        if generation != last:
            last, since = generation, time.perf_counter()
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
