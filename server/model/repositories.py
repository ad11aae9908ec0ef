"""Repositories: questions whose answers are files, asked of meaning alone, of words alone and of the whole search."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from server.config import Settings
from server.engine import Engine
from server.index.files import walk
from server.index.ignore import IgnoreRules
from server.index.ingest import ingest_file
from server.model.encoder import BagEncoder
from server.model.measures import Lexical, Scores, cosines, ndcg, untrained
from server.types import CancelToken, Encoder, Passage, Query

_ASKED = 100
"""Hits asked for, so that ten different files are among them."""
_PATIENCE = 900.0
"""Seconds an index may take."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with questions."""

    language: str
    root: Path
    prefix: str
    """What the paths of the answers have before those in the root."""
    questions: tuple[tuple[str, frozenset[str]], ...]
    """(question, paths of the files that answer it)"""


def measure(model: BagEncoder, repos: Path, annotations: Path, checkouts: Path) -> dict[str, dict[str, list[float]]]:
    """Return, by language and method, the mean NDCG@10 of each repository."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for repository in repositories(repos, annotations, checkouts):
        paths, passages = _units(repository)
        texts = [text for text, _ in repository.questions]
        methods: dict[str, Scores] = {
            "untrained": cosines(untrained(model, passages), texts, passages),
            "BM25": Lexical(passages).scores(texts),
            "model": cosines(model, texts, passages),
        }
        for method, scores in methods.items():
            ranked = [[paths[number] for number in np.argsort(-row, kind="stable")] for row in scores]
            found[repository.language][method].append(_mean(repository, ranked))
        found[repository.language]["full search"].append(_mean(repository, list(_answers(repository, model))))
    return found


def repositories(repos: Path, annotations: Path, checkouts: Path) -> Iterator[Repository]:
    """Yield the repositories that have annotations."""
    for spec in json.loads(repos.read_text(encoding="utf-8")):
        name, below = spec["name"], spec.get("benchmark_root") or ""
        file = annotations / f"{name}.json"
        if not file.exists():
            continue
        asked = json.loads(file.read_text(encoding="utf-8"))
        questions = tuple(
            (
                str(one["query"]),
                frozenset(_path(target) for key in ("relevant", "secondary") for target in one.get(key, [])),
            )
            for one in asked
        )
        # The paths of some annotations begin at the folder that is indexed, not at the top of the repository.
        from_top = any((checkouts / name / path).exists() for path in questions[0][1])
        yield Repository(
            spec["language"], checkouts / name / below, f"{below}/" if below and from_top else "", questions
        )


def _units(repository: Repository) -> tuple[list[str], list[Passage]]:
    """Return the path and the passage of each unit."""
    settings = Settings()
    paths: list[str] = []
    passages: list[Passage] = []
    for found in walk(repository.root, IgnoreRules(repository.root, settings.exclude), settings, CancelToken()):
        units = ingest_file(repository.root, found, settings).passages
        passages += units
        paths += [repository.prefix + found.path] * len(units)
    return paths, passages


def _answers(repository: Repository, model: Encoder) -> Iterator[list[str]]:
    """Yield the paths of the hits of each question, from the real engine."""
    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Settings(), model, Path(data))
        engine.add_folder(str(repository.root))
        engine.start()
        try:
            if not engine.wait_idle(_PATIENCE):
                raise TimeoutError(f"{repository.root} is not indexed after {_PATIENCE:.0f} s")
            for text, _ in repository.questions:
                hits = engine.snapshot.search(Query(text, _ASKED), CancelToken()).hits
                yield [repository.prefix + hit.path for hit in hits]
        finally:
            engine.close()


def _mean(repository: Repository, ranked: list[list[str]]) -> float:
    scores = [ndcg(found, wanted) for found, (_, wanted) in zip(ranked, repository.questions, strict=True)]
    return sum(scores) / len(scores)


def _path(target: object) -> str:
    return str(target["path"] if isinstance(target, dict) else target)
