"""Judged: questions about repositories with the files that answer them, and how good an answer is (NDCG)."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.config import Settings
from server.engine import Engine
from server.snapshot import Snapshot
from server.types import Encoder, Json

Column = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """A question about a repository."""

    repository: str
    language: str
    category: str
    text: str
    wanted: frozenset[str]
    """Paths of the files that answer it; none for a foreign question."""
    units: frozenset[tuple[str, str, str]] = frozenset()
    """The units of those that answer it best, if somebody said so: path below what is indexed, container, name."""


@dataclass(frozen=True, slots=True)
class Source:
    """A repository with questions."""

    name: str
    language: str
    root: Path
    prefix: str
    """What stands before the paths of the index in those of the answers."""
    examples: tuple[Example, ...]


def sources(
    repos: Path, annotations: Path, checkouts: Path, only: Sequence[str] = (), units: Path | None = None
) -> Iterator[Source]:
    """Yield the repositories that there are both questions and files of; FileNotFoundError where that is none.

    `units`: the best units of some questions.
    """
    found = False
    best = json.loads(units.read_text(encoding="utf-8")) if units else {}
    for spec in json.loads(repos.read_text(encoding="utf-8")):
        name, inner = spec["name"], spec.get("benchmark_root") or ""
        asked, root = annotations / f"{name}.json", checkouts / name / inner
        if (only and name not in only) or not asked.exists() or not root.is_dir():
            continue
        examples = tuple(
            Example(
                name,
                spec["language"],
                one["category"],
                one["query"],
                _targets(one, checkouts / name, inner),
                frozenset(map(tuple, best.get(name, {}).get(one["query"], ()))),
            )
            for one in json.loads(asked.read_text(encoding="utf-8"))
        )
        found = True
        yield Source(name, spec["language"], root, f"{inner}/" if inner else "", examples)
    if not found:
        raise FileNotFoundError(f"no repository of {repos} has questions in {annotations} and files in {checkouts}")


@contextmanager
def indexed(root: Path, model: Encoder) -> Iterator[Snapshot]:
    """Index a folder and yield its snapshot."""
    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Settings(), model, Path(data))
        engine.add_folder(str(root.resolve()))
        engine.start()
        try:
            if not engine.wait_idle(600):
                raise TimeoutError(f"{root} was not indexed within ten minutes")
            yield engine.snapshot
        finally:
            engine.close()


def foreign_questions(path: Path) -> list[str]:
    """Read questions that no repository answers, one a line."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def ndcg(hits: Sequence[str], wanted: frozenset[str], top: int = 10, by_file: bool = True) -> float:
    """Return NDCG over files: a file's rank is that of its first hit, among files or (`by_file` false) among hits."""
    listed = list(dict.fromkeys(hits)) if by_file else list(hits)
    seen: set[str] = set()
    gain = 0.0
    for position, path in enumerate(listed[:top]):
        if path in wanted and path not in seen:
            gain += 1.0 / math.log2(position + 2)
            seen.add(path)
    return gain / sum(1.0 / math.log2(position + 2) for position in range(min(top, len(wanted))))


def shares(asked: Sequence[Example]) -> Column:
    """Return the weight of each question, so that languages weigh the same and all sum to 1."""
    languages = [one.language for one in asked]
    counts = {language: languages.count(language) for language in languages}
    return np.array([1.0 / len(counts) / counts[language] for language in languages])


def _targets(question: Json, checkout: Path, inner: str) -> frozenset[str]:
    """Return the paths of the answers from the top of the checkout; some lists begin at the folder that is indexed."""
    targets = [*question["relevant"], *question.get("secondary", ())]
    paths = [str(one["path"] if isinstance(one, dict) else one) for one in targets]
    return frozenset(
        f"{inner}/{path}" if inner and not (checkout / path).exists() and (checkout / inner / path).exists() else path
        for path in paths
    )
