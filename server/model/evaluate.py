"""The evaluation: how well questions find their code, beside BM25 and untrained vectors."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from server.index.extract import extract
from server.model import data, encoder, tokens
from server.model.corpus import Record
from server.model.encoder import BagEncoder, Weights
from server.types import FIELDS, Encoder, Kind, Passage

Scores = npt.NDArray[np.floating[Any]]
"""(questions, passages): higher is nearer."""

_CANDIDATES = 1000
"""A question's own passage and 999 others, as CodeSearchNet has it."""
_FEWEST = 200
"""Languages with fewer held-out pairs are not reported."""
_MOST = 5_000
"""Held-out pairs of one language: enough for a standard error below .01."""
_K1, _B = 1.2, 0.75
_DENSE_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Quality:
    """Mean reciprocal ranks of one question set."""

    questions: int
    dense: float
    untrained: float
    bm25: float
    fused: float


def main(argv: Sequence[str] | None = None) -> int:
    """Print the mean reciprocal ranks of a model and of its two baselines."""
    parser = argparse.ArgumentParser(prog="python -m server.model.evaluate", description=main.__doc__)
    parser.add_argument("--model", type=Path, help="model folder (default: the base model)")
    parser.add_argument("--cosqa", type=Path, help="folder with cosqa-dev-500.json and cosqa-codes.json")
    parser.add_argument(
        "--pairs", type=Path, help="what server.model.corpus wrote; only held-out repositories are used"
    )
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    model = encoder.load(options.model)
    found: dict[str, Quality] = {}
    if options.cosqa:
        found["CoSQA dev"] = cosqa(model, options.cosqa)
    if options.pairs:
        found |= held_out(model, options.pairs)
    Console(width=100).print(_table(found))
    return 0


def cosqa(model: BagEncoder, folder: Path) -> Quality:
    """Measure web questions against all codes of the set."""
    asked = json.loads((folder / "cosqa-dev-500.json").read_text(encoding="utf-8"))
    codes = json.loads((folder / "cosqa-codes.json").read_text(encoding="utf-8"))
    passages = [python_passage(code) for code in codes]
    own = np.array([entry["code_index"] for entry in asked])
    return measure(model, [entry["query"] for entry in asked], passages, own)


def held_out(model: BagEncoder, folder: Path) -> dict[str, Quality]:
    """Measure documentation against its undocumented code, by language and their mean."""
    _, corpus = data.load(folder, only_held_out=True).split()
    by_language: dict[str, list[Record]] = defaultdict(list)
    for record in corpus.records:
        if record.question:
            by_language[record.language].append(record)
    found: dict[str, Quality] = {}
    for language, records in sorted(by_language.items()):
        if len(records) >= _FEWEST:
            order = np.random.default_rng(0).permutation(len(records))[:_MOST]
            rounds = _rounds([records[number] for number in order])
            found[language] = _mean([_round(model, part) for part in rounds])
    if found:
        found["all languages"] = _mean(list(found.values()), weighted=False)
    return found


def measure(
    model: BagEncoder, questions: Sequence[str], passages: Sequence[Passage], own: npt.NDArray[np.int64]
) -> Quality:
    """Rank passages for questions; passage own[i] is the answer to question i."""
    dense = cosines(model, questions, passages)
    lexical = bm25(questions, passages)
    return Quality(
        len(questions),
        dense=mrr(dense, own),
        untrained=mrr(cosines(untrained(model, passages), questions, passages), own),
        bm25=mrr(lexical, own),
        fused=mrr(_DENSE_SHARE * _standard(dense) + (1 - _DENSE_SHARE) * _standard(lexical), own),
    )


def mrr(scores: Scores, own: npt.NDArray[np.int64]) -> float:
    """Return the mean reciprocal rank; whatever scores the same as the answer counts as before it."""
    reached = scores[np.arange(len(own)), own]
    return float((1.0 / (scores >= reached[:, None]).sum(axis=1)).mean())


def cosines(model: Encoder, questions: Sequence[str], passages: Sequence[Passage]) -> Scores:
    """Return the cosine of every question with every passage."""
    scores: Scores = np.stack([model.encode_query(question) for question in questions]) @ model.encode(passages).T
    return scores


def untrained(model: BagEncoder, passages: Sequence[Passage]) -> BagEncoder:
    """Return the honest baseline: the model's tokens with random rows, weighted by their rarity."""
    vocabulary = model.vocabulary
    bags = encoder.count(vocabulary, [enumerate(passage.fields()) for passage in passages])
    holders = np.repeat(np.arange(len(passages)), np.diff(bags.starts))
    frequency = np.bincount(np.unique(np.stack((holders, bags.tokens)), axis=1)[1], minlength=len(vocabulary))
    rarity = np.log(1.0 + len(passages) / (1.0 + frequency))
    rows = np.random.default_rng(0).standard_normal((len(vocabulary), model.dimensions))
    fields = np.ones(len(FIELDS) + 1, dtype=np.float32)
    return BagEncoder(vocabulary, Weights(rows.astype(np.float32), rarity.astype(np.float32), fields), "untrained")


def bm25(questions: Sequence[str], passages: Sequence[Passage]) -> Scores:
    """Return the BM25 score of every question with every passage, over subtokens of all fields."""
    held = [Counter(tokens.subtokens(" ".join(passage.fields()))) for passage in passages]
    lengths = np.array([sum(bag.values()) for bag in held], dtype=np.float64)
    norms = _K1 * (1 - _B + _B * lengths / max(1.0, lengths.mean()))
    postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, bag in enumerate(held):
        for token, times in bag.items():
            postings[token].append((number, times))
    scores = np.zeros((len(questions), len(passages)))
    for row, question in zip(scores, questions, strict=True):
        for token in tokens.subtokens(question):
            if token in postings:
                places, times = np.array(postings[token]).T
                rarity = np.log(1 + (len(passages) - len(places) + 0.5) / (len(places) + 0.5))
                row[places] += rarity * times * (_K1 + 1) / (times + norms[places])
    return scores


def python_passage(code: str) -> Passage:
    """Return the passage of the first unit of a Python text, or all of the text as a body."""
    units = [unit for unit in extract(code.encode(), "python", "code.py") if unit.kind != Kind.MODULE]
    return units[0].passage if units else Passage(body=code)


def _rounds(records: list[Record]) -> list[list[Record]]:
    """Cut records into whole rounds of candidates; a language with fewer has one smaller round."""
    ends = range(_CANDIDATES, len(records) + 1, _CANDIDATES)
    return [records[end - _CANDIDATES : end] for end in ends] or [records]


def _round(model: BagEncoder, records: list[Record]) -> Quality:
    passages = [Passage(record.name, record.container, record.signature, "", record.body) for record in records]
    return measure(model, [record.question for record in records], passages, np.arange(len(records)))


def _mean(parts: list[Quality], weighted: bool = True) -> Quality:
    weights = [part.questions if weighted else 1 for part in parts]
    columns = ([getattr(part, name) for part in parts] for name in ("dense", "untrained", "bm25", "fused"))
    return Quality(
        sum(part.questions for part in parts), *(float(np.average(column, weights=weights)) for column in columns)
    )


def _standard(scores: Scores) -> Scores:
    """Return each question's scores with mean 0 and deviation 1, so that two kinds can be added."""
    spread = scores.std(axis=1, keepdims=True)
    standard: Scores = (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    return standard


def _table(found: dict[str, Quality]) -> Table:
    table = Table("questions of", "number", "untrained", "BM25", "model", "model + BM25", title="mean reciprocal rank")
    for name, quality in found.items():
        ranks = (quality.untrained, quality.bm25, quality.dense, quality.fused)
        table.add_row(name, str(quality.questions), *(f"{rank:.3f}" for rank in ranks))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
