"""The evaluation: how well questions find code and code its like, beside BM25, untrained vectors and a teacher."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from server.model import benchmarks, encoder, repositories
from server.model.benchmarks import Task
from server.model.data import Corpus
from server.model.encoder import BagEncoder, ModelError
from server.model.measures import TOP, Lexical, Scores, asked, best_share, cosines, fused, reciprocal_ranks, untrained
from server.process import install_command
from server.types import Encoder

if TYPE_CHECKING:
    from server.model.distill import SentenceEncoder

_log = logging.getLogger(__name__)

_SHARE = 0.75
"""Of meaning in what is fused with BM25; only where there are no held-out pairs to fit it to."""
_METHODS = ("untrained", "BM25", "teacher", "model", "model + BM25", "model + teacher")
_PART = 250
"""Questions scored at once: a row of scores has as many columns as there are passages."""
_SAMPLE, _SAMPLE_UNITS = 150, 10_000
"""What a slow teacher is asked: functions like others of each language; documentation, among so many held-out units."""


@dataclass(slots=True)
class Quality:
    """The reciprocal rank of each question's answer, by method."""

    ranks: dict[str, list[float]]

    def __len__(self) -> int:
        return max(map(len, self.ranks.values()), default=0)

    def mrr(self, method: str) -> float:
        """Return the mean reciprocal rank."""
        return float(np.mean(self.ranks[method]))

    def recall(self, method: str) -> float:
        """Return how many answers are among the first ten."""
        return float(np.mean([rank >= 1 / TOP for rank in self.ranks[method]]))


def main(argv: Sequence[str] | None = None) -> int:
    """Print how good a model is; each table only where its data are given."""
    parser = argparse.ArgumentParser(prog="sextant train --evaluate", description=main.__doc__)
    parser.add_argument("--model", type=Path, help="model folder (default: the base model)")
    parser.add_argument("--pairs", type=Path, help="what server.model.corpus wrote; held-out repositories are used")
    parser.add_argument("--cosqa", type=Path, help="folder with cosqa-dev-500.json and cosqa-codes.json")
    parser.add_argument("--repos", type=Path, help="JSON list of repositories with name, language, benchmark_root")
    parser.add_argument("--annotations", type=Path, help="folder of NAME.json: questions and the files that answer")
    parser.add_argument("--checkouts", type=Path, help="folder of NAME: the repositories' files")
    parser.add_argument("--full", action="store_true", help="ask the repositories through the whole search as well")
    parser.add_argument(
        "--teacher", type=Path, help="folder with model.safetensors and tokenizer.json (slow, needs the extra train)"
    )
    parser.add_argument("--teacher-vectors", type=Path, help="folder that keeps what this teacher has read")
    parser.add_argument("--teacher-languages", help="held-out languages it answers, with commas (default: all)")
    parser.add_argument("--teacher-pieces", type=int, default=256, help="word pieces it reads of a text (default: 256)")
    parser.add_argument("--teacher-coarse", action="store_true", help="bfloat16: faster on processors that have it")
    parser.add_argument("--threads", type=int, default=2, help="of the teacher (default: 2)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if options.teacher and not options.teacher_vectors:
        parser.error("--teacher is slow: --teacher-vectors FOLDER keeps what it has read, should the run be stopped")
    if options.repos and not (options.annotations and options.checkouts):
        parser.error("--repos needs --annotations and --checkouts")
    try:
        _show(options)
    except (OSError, ModelError, json.JSONDecodeError) as problem:
        parser.error(str(problem))
    return 0


def _show(options: argparse.Namespace) -> None:
    model = encoder.load(options.model)
    teacher = _teacher(options) if options.teacher else None
    console = Console(width=130)
    console.print(_speed(model))
    share = _SHARE
    if options.pairs:
        held_out = benchmarks.held_out(options.pairs)
        documentation = list(benchmarks.documentation(held_out))
        share = fitted(model, documentation)
        console.print(f"share of meaning that answers held-out questions best, for all fused figures: {share:.2f}")
        languages = options.teacher_languages.split(",") if options.teacher_languages else None
        for title, tasks, part, sample in _held_out(held_out, documentation, languages):
            if not tasks:
                console.print(f"{title}: too few held-out repositories to ask")
                continue
            console.print(_table(title, measure(model, tasks, share)))
            if teacher:
                console.print(_table(f"{title}; {part}", measure(model, sample(), share, teacher)))
    if options.cosqa:
        task = benchmarks.cosqa(options.cosqa)
        found = measure(model, [task], share, teacher)
        console.print(_table(f"CoSQA dev, {len(task.passages):,} codes", found))
    if options.repos:
        places = options.repos, options.annotations, options.checkouts
        console.print(_ndcg(repositories.measure(model, *places, full=options.full, teacher=teacher)))


def _held_out(
    corpus: Corpus, documentation: Sequence[Task], languages: Sequence[str] | None
) -> Iterator[tuple[str, Sequence[Task], str, Callable[[], list[Task]]]]:
    """Yield a title with all tasks, and what a teacher can be asked of them in `languages` with those tasks."""
    told = "documentation → its unit"
    yield f"{told} among 999 others", documentation, "first pools", lambda: first(documentation, languages)
    yield (
        f"{told} among all {len(corpus.records):,}",
        [benchmarks.among_all(corpus)] if documentation else [],
        f"among {min(_SAMPLE_UNITS, len(corpus.records)):,} of them",
        lambda: [benchmarks.among_all(corpus, _SAMPLE, _SAMPLE_UNITS)],
    )
    for title, alike in (
        ("clone with renamed variables → original", list(benchmarks.clones(corpus))),
        ("function → namesake in another repository", list(benchmarks.namesakes(corpus, across=False))),
        ("function → namesake in another language", list(benchmarks.namesakes(corpus, across=True))),
    ):
        sample = partial(first, alike, languages, _SAMPLE)
        yield f"{title}, nameless, among 999 others", alike, f"at most {_SAMPLE} of a language", sample


def measure(
    model: BagEncoder, tasks: Iterable[Task], share: float, teacher: SentenceEncoder | None = None
) -> dict[str, Quality]:
    """Rank the passages of tasks by every method; return the qualities by language."""
    found: dict[str, Quality] = {}
    if teacher:
        tasks = list(tasks)
        teacher.read(one for task in tasks for one in (*task.questions, *task.passages))
    for task in tasks:
        baseline, lexical = untrained(model, task.passages), Lexical(task.passages)
        encoded = {"model": model.encode(task.passages), "untrained": baseline.encode(task.passages)}
        encoders: dict[str, Encoder] = {"model": model, "untrained": baseline}
        if teacher:
            encoders["teacher"], encoded["teacher"] = teacher, teacher.encode(task.passages)
        for start in range(0, len(task.questions), _PART):
            part = slice(start, start + _PART)
            scores: dict[str, Scores] = {
                method: asked(one, task.questions[part]) @ encoded[method].T for method, one in encoders.items()
            }
            scores["BM25"] = lexical.scores(task.questions[part])
            scores["model + BM25"] = fused(scores["model"], scores["BM25"], share)
            if teacher:
                scores["model + teacher"] = scores["model"] + scores["teacher"]
            for method, one in scores.items():
                ranks = reciprocal_ranks(one, task.own[part]).tolist()
                for language, rank in zip(task.languages[part], ranks, strict=True):
                    found.setdefault(language, Quality(defaultdict(list))).ranks[method].append(rank)
    return found


def first(tasks: Iterable[Task], languages: Sequence[str] | None = None, most: int | None = None) -> list[Task]:
    """Return the first pool of each language, or of some, and its first questions: what a slow encoder can be asked."""
    pools = {task.languages[0]: task for task in reversed(list(tasks))}
    return [
        replace(
            pools[language],
            languages=pools[language].languages[:most],
            questions=pools[language].questions[:most],
            own=pools[language].own[:most],
        )
        for language in sorted(pools)
        if languages is None or language in languages
    ]


def fitted(model: BagEncoder, tasks: Sequence[Task]) -> float:
    """Return the share of meaning that answers the first pool of each language best."""
    parts = defaultdict(list)
    for task in first(tasks):
        scores = cosines(model, task.questions, task.passages), Lexical(task.passages).scores(task.questions)
        parts[task.languages[0]].append((*scores, task.own))
    return best_share(parts) if parts else _SHARE


def _teacher(options: argparse.Namespace) -> SentenceEncoder:
    try:
        from server.model import distill  # noqa: PLC0415  needs torch, and nothing else here does
    except ImportError as error:
        raise ModelError(f"A teacher needs {error.name}; install it with: {install_command('train')}") from error
    teacher = distill.Teacher(options.teacher, options.teacher_pieces, options.teacher_coarse, options.threads)
    # Vectors of texts read to another length, or more coarsely, are others.
    kept = options.teacher_vectors / f"{options.teacher_pieces}{'-coarse' if options.teacher_coarse else ''}"
    return distill.SentenceEncoder(teacher, kept)


def _speed(model: BagEncoder) -> str:
    """Say how fast the model loads and encodes real functions, those of this package."""
    loads: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        encoder.load()
        loads.append(time.perf_counter() - started)
    passages = benchmarks.library_passages()
    model.encode(passages[::10])
    started, spent = time.perf_counter(), time.process_time()
    model.encode(passages)
    rate, busy = len(passages) / (time.perf_counter() - started), len(passages) / (time.process_time() - spent)
    words = sum(len(" ".join(passage.fields()).split()) for passage in passages) / len(passages)
    return (
        f"the base model loads in {min(loads) * 1000:.0f} ms; this one encodes {len(passages):,} functions"
        f" of {words:.0f} words, {rate:,.0f} a second ({busy:,.0f} a second of processor time)"
    )


def _table(title: str, found: dict[str, Quality]) -> Table:
    methods = [method for method in _METHODS if any(method in quality.ranks for quality in found.values())]
    table = Table("", "number", *methods, title=f"{title}: MRR / recall@{TOP}")
    for language, quality in found.items():
        cells = [_cell(quality, method) if method in quality.ranks else "" for method in methods]
        table.add_row(language, f"{len(quality):,}", *cells)
    if len(found) > 1:
        means = []
        for method in methods:
            known = [quality for quality in found.values() if method in quality.ranks]
            mean, recall = (
                float(np.mean([measured(method) for measured in column]))
                for column in ([quality.mrr for quality in known], [quality.recall for quality in known])
            )
            means.append(f"{mean:.3f} / {recall:.2f}" + ("" if len(known) == len(found) else f" ({len(known)})"))
        table.add_row(f"mean of {len(found)}", f"{sum(map(len, found.values())):,}", *means, style="bold")
    return table


def _cell(quality: Quality, method: str) -> str:
    return f"{quality.mrr(method):.3f} / {quality.recall(method):.2f}"


def _ndcg(found: dict[str, dict[str, list[float]]]) -> Table:
    columns = list(next(iter(found.values()), {}))
    table = Table("", *columns, title=f"NDCG@{TOP} over files")
    for language, values in sorted(found.items()):
        table.add_row(language, *(f"{np.mean(values[column]):.3f}" for column in columns))
    means = [np.mean([np.mean(values[column]) for values in found.values()]) for column in columns]
    table.add_row(f"mean of {len(found)}", *(f"{mean:.3f}" for mean in means), style="bold")
    return table


if __name__ == "__main__":
    raise SystemExit(main())
