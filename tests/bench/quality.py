"""Quality: NDCG@10 over files of questions with known answers, beside two honest baselines.

usage: python -m tests.bench.quality REPOS_JSON ANNOTATIONS_FOLDER CHECKOUTS_FOLDER [--only NAME ...]

Each repository is indexed by the real engine into a temporary folder. The rank of a file is that of its first hit.
Averaged by language, then over languages. Rows: the full search, meaning alone, words alone (BM25), and untrained
vectors (the same tokens with random rows).
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from server.config import Settings
from server.engine import Engine
from server.index import rank
from server.model import encoder
from server.snapshot import Snapshot
from server.types import CancelToken, Encoder, Query
from tests.bench.untrained import untrained

TOP = 10
ASKED = 100
"""Hits asked for, so that ten different files are among them."""


@contextmanager
def indexed(root: Path, model: Encoder) -> Iterator[Snapshot]:
    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Settings(), model, Path(data))
        engine.add_folder(str(root))
        engine.start()
        assert engine.wait_idle(600)
        yield engine.snapshot
        engine.close()


@contextmanager
def weights(dense: float, name: float, plain: bool) -> Iterator[None]:
    """Ask with other weights; `plain` leaves out what is known of paths and kinds."""
    kept = rank.DENSE_WEIGHT, rank.NAME_WEIGHT, rank.TEST_FACTOR, rank.MODULE_FACTOR
    rank.DENSE_WEIGHT, rank.NAME_WEIGHT = dense, name
    if plain:
        rank.TEST_FACTOR = rank.MODULE_FACTOR = 1.0
    yield
    rank.DENSE_WEIGHT, rank.NAME_WEIGHT, rank.TEST_FACTOR, rank.MODULE_FACTOR = kept


def ndcg(found: list[str], wanted: set[str]) -> float:
    gain = sum(1 / math.log2(position + 2) for position, path in enumerate(found[:TOP]) if path in wanted)
    return gain / sum(1 / math.log2(position + 2) for position in range(min(TOP, len(wanted))))


def score(snapshot: Snapshot, questions: list[dict[str, object]], prefix: str) -> tuple[float, float]:
    """Return mean NDCG@10 and the share of questions that are answered with low confidence."""
    total = unsure = 0.0
    for question in questions:
        result = snapshot.search(Query(str(question["query"]), ASKED), CancelToken())
        files = list(dict.fromkeys(prefix + hit.path for hit in result.hits))
        wanted = {_path(one) for field in ("relevant", "secondary") for one in question.get(field, [])}  # type: ignore[attr-defined]
        total += ndcg(files, wanted)
        unsure += result.low_confidence
    return total / len(questions), unsure / len(questions)


def _path(target: object) -> str:
    return str(target["path"] if isinstance(target, dict) else target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repos", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    trained, random = encoder.load(), untrained()
    rows: dict[str, Callable[[], object]] = {
        "full": lambda: weights(rank.DENSE_WEIGHT, rank.NAME_WEIGHT, False),
        "meaning": lambda: weights(1.0, 0.0, True),
        "BM25": lambda: weights(0.0, 0.0, True),
        "untrained": lambda: weights(1.0, 0.0, True),
    }
    scores: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    print(f"{'repository':14} {'language':11} " + " ".join(f"{row:>9}" for row in rows) + "   unsure")
    for spec in json.loads(options.repos.read_text()):
        name, language = spec["name"], spec["language"]
        annotations = options.annotations / f"{name}.json"
        if (options.only and name not in options.only) or not annotations.exists():
            continue
        root = options.checkouts / name / (spec.get("benchmark_root") or "")
        prefix = f"{spec['benchmark_root']}/" if spec.get("benchmark_root") else ""
        questions = json.loads(annotations.read_text())
        # The paths of some annotations begin at the folder that is indexed, not at the top of the repository.
        if not any((options.checkouts / name / _path(target)).exists() for target in questions[0]["relevant"]):
            prefix = ""
        line, unsure = {}, 0.0
        for model, chosen in ((trained, ("full", "meaning", "BM25")), (random, ("untrained",))):
            with indexed(root, model) as snapshot:
                for row in chosen:
                    with rows[row]():  # type: ignore[attr-defined]
                        line[row], doubts = score(snapshot, questions, prefix)
                    unsure = doubts if row == "full" else unsure
                    scores[row][language].append(line[row])
        print(
            f"{name:14} {language:11} " + " ".join(f"{line[row]:9.3f}" for row in rows) + f"   {unsure:.0%}", flush=True
        )
    means = {row: [sum(values) / len(values) for values in by_language.values()] for row, by_language in scores.items()}
    print(f"{'mean':26} " + " ".join(f"{sum(means[row]) / len(means[row]):9.3f}" for row in rows))


if __name__ == "__main__":
    main()
