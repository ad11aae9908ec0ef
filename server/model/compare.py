"""Compare: the gate for a new base model, on judged relevance rather than on documentation alone."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from server.model import benchmarks, encoder, measures, repositories
from server.model.encoder import BagEncoder, ModelError

_SHARE = 0.85
"""Of meaning in what is fused with BM25, as in base/card.md."""
_EXACT = 1e-3
"""A fall that rounding and float16 can explain is none."""

Figures = dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare two model folders on judged questions; exit 1 where the new one answers any kind of them worse."""
    parser = argparse.ArgumentParser(prog="sextant train --compare", description=main.__doc__)
    parser.add_argument("before", type=Path, help="model folder")
    parser.add_argument("after", type=Path, help="model folder that is to take its place")
    parser.add_argument("--cosqa", type=Path, required=True, help="folder with cosqa-dev-500.json and cosqa-codes.json")
    parser.add_argument("--repos", type=Path, required=True, help="JSON list: name, language, benchmark_root")
    parser.add_argument("--annotations", type=Path, required=True, help="folder of NAME.json with questions and files")
    parser.add_argument("--checkouts", type=Path, required=True, help="folder of NAME: the repositories' files")
    parser.add_argument("--pairs", type=Path, help="what server.model.corpus wrote: held-out documentation, not judged")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        models = [encoder.load(options.before), encoder.load(options.after)]
        told = [documentation(model, options.pairs) for model in models] if options.pairs else []
        before, after = judged(models, options.cosqa, options.repos, options.annotations, options.checkouts)
    except (OSError, ModelError, json.JSONDecodeError) as error:
        parser.error(str(error))
    worse = fallen(before, after)
    table = Table("", "before", "after", "", title="judged questions")
    for name, value in after.items():
        table.add_row(name, f"{before[name]:.4f}", f"{value:.4f}", "worse" if name in worse else "")
    if told:
        table.add_row("held-out documentation, MRR@1000 (not judged)", *(f"{value:.4f}" for value in told), "")
    Console(width=110).print(table)
    sys.stdout.write(f"refused: worse on {', '.join(worse)}\n" if worse else "accepted: no figure fell\n")
    return 1 if worse else 0


def judged(models: Sequence[BagEncoder], cosqa: Path, repos: Path, annotations: Path, checkouts: Path) -> list[Figures]:
    """Return what each model reaches on CoSQA, alone and fused with BM25, and on the repositories' questions."""
    task = benchmarks.cosqa(cosqa)
    lexical = measures.Lexical(task.passages).scores(task.questions)
    found: list[Figures] = []
    for model in models:
        scores = measures.cosines(model, task.questions, task.passages)
        fused = measures.fused(scores, lexical, _SHARE)
        found.append(
            {"CoSQA dev, MRR": measures.mrr(scores, task.own), "CoSQA dev fused, MRR": measures.mrr(fused, task.own)}
        )
    for figures, value in zip(found, repositories.dense(models, repos, annotations, checkouts), strict=True):
        figures["repositories, NDCG@10"] = value
    return found


def fallen(before: Figures, after: Figures) -> list[str]:
    """Name the figures that fell by more than rounding."""
    return [name for name, value in after.items() if not value >= before[name] - _EXACT]  # what is no number, too


def documentation(model: BagEncoder, pairs: Path) -> float:
    """Return the mean over languages of the reciprocal ranks of held-out documentation."""
    ranks: dict[str, list[float]] = {}
    for task in benchmarks.documentation(benchmarks.held_out(pairs)):
        found = measures.reciprocal_ranks(measures.cosines(model, task.questions, task.passages), task.own)
        ranks.setdefault(task.languages[0], []).extend(found.tolist())
    return float(np.mean([np.mean(values) for values in ranks.values()])) if ranks else 0.0
