"""Latency: one search after another, in-process, in indexes of many units.

usage: python -m tests.bench.latency FOLDER [FOLDER ...] [--units N ...] [--queries FILE] [--rounds R]

The files of the folders are copied into one workspace until it has so many units (20,000 and 100,000 unless said
otherwise), which is indexed by the real engine and compacted. Prints the median and the 95th percentile in
milliseconds, with and without `explain` and with a narrow filter, and where the time of a search goes. Set
OPENBLAS_NUM_THREADS=1 to have all of it in one thread.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from server.config import Settings
from server.engine import Engine
from server.index import features, rank, search
from server.index import question as questions
from server.index.extract import extract
from server.index.languages import language_of
from server.index.terms import look_up
from server.model import encoder
from server.snapshot import Snapshot
from server.types import CancelToken, Query

QUERIES = (
    "parse command line arguments", "create a temporary directory", "send an email", "compress a file", "read json",
    "lock a mutex", "handle an http request", "walk a directory tree", "convert time zone", "retry with backoff",
    "how are routes registered and matched", "HTTPServer", "where is the configuration loaded from", "tests for parse",
)  # fmt: skip
LARGEST_FILE = 200_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--units", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    asked = options.queries.read_text().splitlines() if options.queries else QUERIES
    for wanted in options.units:
        with tempfile.TemporaryDirectory() as temporary:
            root, data = Path(temporary, "work"), Path(temporary, "data")
            copy(options.folders, root, wanted)
            engine = Engine(Settings(), encoder.load(), data)
            engine.add_folder(str(root.resolve()))
            engine.start()
            assert engine.wait_idle(3600)
            engine.compact()
            assert engine.wait_idle(3600)
            report(engine.snapshot, asked, options.rounds)
            engine.close()


def copy(folders: Sequence[Path], root: Path, wanted: int) -> None:
    """Copy source files until they have so many units."""
    total = 0
    for path, name in sources(folders):
        data = path.read_bytes()
        total += len(extract(data, language_of(path.name, data[:2000]) or "", path.name))
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        if total >= wanted:
            return


def sources(folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for number, folder in enumerate(folders):
        for path in sorted(folder.rglob("*")):
            is_plain = path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST_FILE
            if is_plain and ".git" not in path.parts and language_of(path.name):
                yield path, f"{number}/{path.relative_to(folder).as_posix()}"


def report(snapshot: Snapshot, asked: Sequence[str], rounds: int) -> None:
    units = sum(layer.count for layer in snapshot.layers)
    backend = "annoy" if any(layer.segment.near for layer in snapshot.layers) else "exact"
    print(f"{units:,} units in {len(snapshot.layers)} layers, neighbours {backend}")
    few = " lang:python path:**/*a*.py"
    for title, queries, explain in (
        ("search", asked, False),
        ("search with explain", asked, True),
        ("search with a narrow filter", [text + few for text in asked], False),
    ):

        def ask(text: str, explain: bool = explain) -> object:
            return snapshot.search(Query(text, 20, explain=explain), CancelToken())

        show(title, timed(ask, queries, rounds))
    parsed = {text: questions.parse(Query(text)) for text in asked}
    ranker, token = rank.shipped(), CancelToken()
    vectors = {text: snapshot.encoder.encode_query(text) for text in asked}
    terms = {text: look_up(snapshot.layers, text) for text in asked}
    masks = [search.mask_of(layer, parsed[asked[0]].filter) for layer in snapshot.layers]
    found = {
        text: search.candidates(snapshot.layers, masks, vectors[text], terms[text], parsed[text], ranker.fields, token)
        for text in asked
    }
    show("  look the words up", timed(lambda text: look_up(snapshot.layers, text), asked, rounds))
    show("  BM25 of all rows", timed(lambda text: terms[text].bm25(ranker.fields), asked, rounds))
    show("  nearest rows", timed(lambda text: search._near(snapshot.layers, masks, vectors[text]), asked, rounds))
    show("  features", timed(lambda text: features.matrix(found[text], terms[text], parsed[text]), asked, rounds))


def timed(work: Callable[[str], object], asked: Sequence[str], rounds: int) -> list[tuple[float, float]]:
    """Return seconds of the clock and of this thread: on a busy machine only the latter mean much."""
    times = []
    for number in range(rounds + 1):
        for text in asked:
            begun, used = time.perf_counter(), time.thread_time()
            work(text)
            if number:  # the first round reads the index from the disk
                times.append((time.perf_counter() - begun, time.thread_time() - used))
    return times


def show(title: str, times: list[tuple[float, float]]) -> None:
    clock, used = (sorted(column) for column in zip(*times, strict=True))
    late = clock[int(len(clock) * 0.95)]
    print(
        f"  {title:30} p50 {1000 * statistics.median(clock):7.2f} ms   p95 {1000 * late:7.2f} ms   "
        f"processor p50 {1000 * statistics.median(used):7.2f} ms",
        flush=True,
    )


if __name__ == "__main__":
    main()
