"""Kill: end the server at random moments of its work; what is left answers like an index built from scratch.

usage: python -m tests.bench.kill [--times N] [--seed N] [--files N]

A process indexes, edits, saves, deletes and compacts a generated workspace, and is killed (SIGKILL) at a random moment.
The index it leaves is opened again, brought up to date, and compared with a fresh one, answer by answer; the next
process goes on with it. Any difference ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from server.config import Settings
from server.engine import Engine
from server.index import crew, layers
from server.model import encoder
from server.types import CancelToken, Query, SearchResult

QUERIES = ("send an email", "parse a date", "retry with backoff", "close the connection", "work 7")
VERBS = ("send", "parse", "retry", "close", "open", "read", "merge", "sort")
NOUNS = ("email", "date", "backoff", "connection", "file", "index", "tree", "user")
LONGEST = 3.0

WORK = """
import random, sys
from tests.bench.kill import work

if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
"""


def text(rng: random.Random) -> str:
    parts = []
    for _ in range(rng.randint(1, 6)):
        verb, noun, number = rng.choice(VERBS), rng.choice(NOUNS), rng.randrange(1000)
        parts.append(f'def {verb}_{noun}_{number}(value):\n    """{verb} the {noun}."""\n    return value + {number}\n')
    return "\n".join(parts)


def change(root: Path, rng: random.Random, files: int) -> Path:
    """Write, move or delete a file; return what to look at."""
    path = root / f"part{rng.randrange(8)}" / f"f{rng.randrange(files)}.py"
    kind = rng.random()
    if kind < 0.2:
        path.unlink(missing_ok=True)
    elif kind < 0.3 and path.exists():
        path.replace(path.with_name(f"f{rng.randrange(files)}.py"))
        return path.parent
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text(rng), encoding="utf-8")
    return path


def work(root: str, data: str, seed: int, files: int) -> None:
    """Change and index a workspace until somebody ends this process."""
    rng = random.Random(seed)
    layers.COMPACT_MIN_UNITS, layers.FOLD_BESIDE = 50, 500
    if rng.random() < 0.3:
        crew.POOL_MIN_FILES = 50
    engine = Engine(Settings(workers=2), encoder.load(), Path(data))
    engine.add_folder(root)
    engine.start()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    while True:
        path = change(Path(root), rng, files)
        engine.touch([str(path)])
        if rng.random() < 0.3:
            engine.set_buffer(str(path), "python", text(rng))
        if rng.random() < 0.3:
            engine.drop_buffer(str(path))
        if rng.random() < 0.05:
            engine.compact()
        if rng.random() < 0.02:
            engine.rescan()
        time.sleep(0.002)


def answers(root: Path, data: Path) -> list[SearchResult]:
    engine = Engine(Settings(workers=1), encoder.load(), data)
    engine.add_folder(str(root))
    engine.start()
    try:
        if not engine.wait_idle(300) or engine.status().folders[0].state != "ready":
            raise SystemExit(f"the index does not become ready: {engine.status()}")
        found = [engine.snapshot.search(Query(text, limit=100), CancelToken()) for text in QUERIES]
        return [replace(result, generation=0) for result in found]
    finally:
        engine.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=600)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    home = Path(tempfile.mkdtemp(prefix="sextant-kill-")).resolve()
    root, data = home / "work", home / "data"
    root.mkdir()
    for _ in range(options.files):
        change(root, rng, options.files)
    differing = 0
    for number in range(options.times):
        if rng.random() < 0.3:
            shutil.rmtree(data, ignore_errors=True)  # a first index, too
        command = [sys.executable, "-c", WORK, str(root), str(data), str(rng.randrange(10**9)), str(options.files)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            if process.stdout is None or process.stdout.readline() != b"begun\n":
                raise SystemExit("the process does not begin")
            time.sleep(rng.random() * LONGEST)
            os.kill(process.pid, signal.SIGKILL)
        expected = answers(root, home / "fresh")
        shutil.rmtree(home / "fresh")
        if answers(root, data) != expected:
            differing += 1
            print(f"kill {number}: the answers differ")
        if number % 20 == 19:
            print(f"{number + 1} kills, {differing} indexes that differ", flush=True)
    shutil.rmtree(home)
    print(f"{options.times} kills: {options.times - differing} indexes answer like new ones")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
