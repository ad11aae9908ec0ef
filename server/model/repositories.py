"""Repositories: questions whose answers are files, asked of meaning alone, of words alone and of the whole search."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from server.config import Settings
from server.index.files import walk
from server.index.ignore import IgnoreRules
from server.index.ingest import ingest_file
from server.model.encoder import BagEncoder
from server.model.judged import Source, indexed, ndcg, sources
from server.model.measures import Lexical, Scores, cosines, untrained
from server.model.ranker import cross_validated, folded
from server.types import CancelToken, Passage

if TYPE_CHECKING:
    from server.model.distill import SentenceEncoder

_FULL = "full search"

Means = dict[str, dict[str, list[float]]]
"""NDCG@10 of each question, by language and method."""


def measure(
    model: BagEncoder,
    repos: Path,
    annotations: Path,
    checkouts: Path,
    full: bool,
    teacher: SentenceEncoder | None = None,
) -> Means:
    """Ask every repository; `full` asks the real engine too, ranked by weights that have not seen the repository."""
    found: Means = defaultdict(lambda: defaultdict(list))
    asked = []
    cut = [(source, *_units(source)) for source in sources(repos, annotations, checkouts)]
    if teacher:
        teacher.read(example.text for source, _, _ in cut for example in source.examples)
        teacher.read(passage for _, _, passages in cut for passage in passages)
    for source, paths, passages in cut:
        texts = [example.text for example in source.examples]
        methods: dict[str, Scores] = {
            "untrained": cosines(untrained(model, passages), texts, passages),
            "BM25": Lexical(passages).scores(texts),
            "model": cosines(model, texts, passages),
        }
        if teacher:
            methods["teacher"] = cosines(teacher, texts, passages)
        for method, scores in methods.items():
            for example, row in zip(source.examples, scores, strict=True):
                ranked = [paths[number] for number in np.argsort(-row, kind="stable")]
                found[source.language][method].append(ndcg(ranked, example.wanted))
        if full:
            asked.append(source)
    if asked:
        with ExitStack() as stack:
            made = folded([(source, stack.enter_context(indexed(source.root, model))) for source in asked])
        for example, value in zip(made[0].asked, cross_validated(made), strict=True):
            found[example.language][_FULL].append(value)
    return found


def dense(models: Sequence[BagEncoder], repos: Path, annotations: Path, checkouts: Path) -> list[float]:
    """Return the NDCG@10 over files of each model's vectors alone, averaged over languages."""
    found: list[dict[str, list[float]]] = [defaultdict(list) for _ in models]
    for source in sources(repos, annotations, checkouts):
        paths, passages = _units(source)
        for model, values in zip(models, found, strict=True):
            scores = cosines(model, [example.text for example in source.examples], passages)
            for example, row in zip(source.examples, scores, strict=True):
                ranked = [paths[number] for number in np.argsort(-row, kind="stable")]
                values[source.language].append(ndcg(ranked, example.wanted))
    return [float(np.mean([np.mean(one) for one in values.values()])) for values in found]


def _units(source: Source) -> tuple[list[str], list[Passage]]:
    """Return the path and the passage of each unit."""
    settings = Settings()
    paths: list[str] = []
    passages: list[Passage] = []
    for found in walk(source.root, IgnoreRules(source.root, settings.exclude), settings, CancelToken()):
        units = ingest_file(source.root, found, settings).passages
        passages += units
        paths += [source.prefix + found.path] * len(units)
    return paths, passages
