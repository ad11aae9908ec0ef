"""The ranker's trainer: questions with the files that answer them in, the weights of the features out.

usage: sextant train --ranker REPOS_JSON ANNOTATIONS CHECKOUTS [--units FILE] [--foreign FILE] [--only NAME ...]
                              [--out FILE]

Each repository is indexed by the real engine. First the weights of the lexical fields are learned (`fields.py`), as
the features depend on them. Then a linear model of the features is fitted to put the files that answer above the
others: the score of a file is that of its best unit, the loss is the softmax cross-entropy over the files of a
question (ListNet, Cao et al. 2007), a language counts as much as any other. Where the best units of a question are
known, the same loss over its units is added: a file's class should not stand for the method that is asked for.
Features that can only speak for (or only against) a unit keep that sign. The figures printed are cross-validated: a
repository is ranked with weights that have not seen it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.index import question as questions
from server.index import rank
from server.index.features import GROUPS, NAMES
from server.index.lexical import FIELDS, FieldWeights
from server.index.rank import Ranker
from server.model import encoder
from server.model import fields as fields_of
from server.model.judged import Example, Source, foreign_questions, indexed, ndcg, shares, sources
from server.snapshot import Snapshot
from server.types import CancelToken, Json, Query

DEMOTION = 0.5
"""Of a hit for each better one in its file; RESULTS.md has what others are worth."""
UNIT_LOSS = 0.5
"""What the units of a question count beside its files; RESULTS.md has what others are worth."""
RIDGE = 0.05
"""Weight of the squares of the weights (of features with deviation 1)."""
_STEPS, _RATE = 300, 0.05
AT_MOST = {
    "not_test": -4.0, "not_example": -4.0, "is_test": -2.5, "is_example": -1.5, "is_foreign": -1.0,
    "is_declaration": -0.5, "is_stub": -0.5, "is_deprecated": -0.3,
}  # fmt: skip
"""Weights that are no greater than this on the logistic scale, whatever was learned: no question of the development set
asks for tests or examples, and few of its repositories have them, vendored or declaring code."""
AT_LEAST = {"qualified_name": 4.0, "asked_file": 1.0}
"""Weights that are no less than this, as few questions of the set tell: who writes `Cache.reset` means that one, and
who writes the name of a class that several files hold means the file of that name."""
_AGAINST = frozenset(("foreign_name", *GROUPS["prior"]))
_FREE = frozenset((*GROUPS["kind"], *GROUPS["size"]))
"""Features whose sign only the data knows."""
FOLDS = 5
"""Of repositories, for the weights of the fields."""
ALIEN_SHARE = 3
"""A repository is asked every third foreign question; another is asked the next ones."""
_SUSPECTED = 0.015
"""Share of the questions with an answer that may be called guesses; RESULTS.md has how many of the others then are."""

Column = npt.NDArray[np.float64]


@dataclass(slots=True)
class Examples:
    """Questions with the features of their candidates, the candidates of a file next to one another."""

    fields: FieldWeights = field(default_factory=fields_of.plain)
    """What the words of the features were weighed by."""
    held: frozenset[str] = frozenset()
    """The repositories that those weights have not seen."""
    asked: list[Example] = field(default_factory=list)
    matrices: list[npt.NDArray[np.float32]] = field(default_factory=list)
    files: list[list[str]] = field(default_factory=list)
    """The path of each candidate."""
    best: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    """Whether each candidate is one of the best units, as far as those are known."""

    def add(self, example: Example, snapshot: Snapshot, prefix: str) -> None:
        """Ask a question and keep the features of what may answer."""
        ranker = untrained(self.fields)
        found, matrix, _, _ = replace(snapshot, ranker=lambda: ranker).candidates(
            questions.parse(Query(example.text)), CancelToken()
        )
        paths, best = [], np.zeros(len(found), np.bool_)
        for at, (layer, row) in enumerate(zip(found.layer_of.tolist(), found.rows.tolist(), strict=True)):
            segment = found.layers[layer].segment
            path = segment.paths[segment.file_of[row]]
            paths.append(prefix + path)
            if example.units:
                name, container, _, _ = segment.strings(row)
                best[at] = (path, container, name) in example.units
        order = sorted(range(len(paths)), key=lambda at: paths[at])
        self.asked.append(example)
        self.matrices.append(matrix[order].astype(np.float32))
        self.files.append([paths[at] for at in order])
        self.best.append(best[order])

    def where(self, wanted: Sequence[bool]) -> Examples:
        """Return some of the questions."""
        chosen = [number for number, one in enumerate(wanted) if one]
        columns = (self.asked, self.matrices, self.files, self.best)
        return Examples(self.fields, self.held, *([column[n] for n in chosen] for column in columns))  # type: ignore[arg-type]


def fit(examples: Examples, columns: Sequence[str] = NAMES, ridge: float = RIDGE) -> Ranker:
    """Return the ranker that some questions teach, with these features alone."""
    kept = np.array([name in columns for name in NAMES])
    matrix = np.concatenate(examples.matrices)
    deviation = matrix.std(axis=0)
    deviation[deviation < 1e-6] = 1.0
    matrix = (matrix - matrix.mean(axis=0)) / deviation * kept
    starts, question_of, relevant = _files(examples)
    share = shares(examples.asked)
    has_answer = np.bincount(question_of, relevant, len(examples.asked)) > 0
    target = relevant / np.maximum(np.bincount(question_of, relevant, len(examples.asked)), 1.0)[question_of]
    weight = (share * has_answer)[question_of]
    file_of = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(matrix))))
    units, unit_of, is_best, unit_weight = _units(examples, share)
    signs = np.array([0.0 if name in _FREE else -1.0 if name in _AGAINST else 1.0 for name in NAMES])
    weights = np.zeros(len(NAMES))
    mean, square = np.zeros(len(NAMES)), np.zeros(len(NAMES))
    for step in range(_STEPS):
        scores = (matrix @ weights.astype(np.float32)).astype(np.float64)
        best = np.maximum.reduceat(scores, starts)
        at = np.flatnonzero(scores == best[file_of])
        at = at[np.unique(file_of[at], return_index=True)[1]]
        chance = _softmax(best, question_of, len(examples.asked))
        gradient = matrix[at].T.astype(np.float64) @ ((chance - target) * weight) + 2.0 * ridge * weights
        if len(units):
            chance = _softmax(scores[units], unit_of, len(examples.asked))
            gradient += matrix[units].T.astype(np.float64) @ ((chance - is_best) * unit_weight)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        pace = _RATE * (1.0 - step / _STEPS)
        moved = mean / (1.0 - 0.9 ** (step + 1)) / (np.sqrt(square / (1.0 - 0.999 ** (step + 1))) + 1e-9)
        weights -= pace * moved
        weights[weights * signs < 0] = 0.0
    return _calibrated(examples, np.where(kept, weights / deviation, 0.0), kept)


def doubting(ranker: Ranker, examples: Examples, foreign: Examples) -> Ranker:
    """Return the ranker with the weights that tell a guess: a logistic regression of foreign against own questions."""
    known = np.array([_doubts(ranker, matrix) for matrix in examples.matrices])
    alien = np.array([_doubts(ranker, matrix) for matrix in foreign.matrices])
    truth = np.repeat([0.0, 1.0], [len(known), len(alien)])
    share = np.repeat([0.5 / max(len(known), 1), 0.5 / max(len(alien), 1)], [len(known), len(alien)])
    raw = np.append(_logistic(np.concatenate((known, alien)), truth, share)[:-1], 0.0)
    raw[-1] = -float(np.quantile(known @ raw[:-1], 1.0 - _SUSPECTED))
    # With filters or of one word, a question is unlike those that were learned from; a score is a chance all the same.
    least = float(np.quantile(known[:, 0], _SUSPECTED)) / 2.0
    return replace(ranker, doubt=raw, least_score=least)


def dump(ranker: Ranker, made: Json) -> str:
    """Return the file that `rank.parse` reads."""
    data = {
        "made": made,
        "fields": {name: round(weight, 4) for name, weight in zip(FIELDS, ranker.fields.weights, strict=True)},
        "saturation": round(ranker.fields.saturation, 4),
        "length": round(ranker.fields.length, 4),
        "demotion": ranker.demotion,
        "bias": round(ranker.bias, 5),
        "least_score": round(ranker.least_score, 4),
        "weights": {name: round(float(weight), 5) for name, weight in zip(NAMES, ranker.weights, strict=True)},
        "doubt": {
            name: round(float(weight), 5) for name, weight in zip((*rank.DOUBTS, "constant"), ranker.doubt, strict=True)
        },
    }
    return json.dumps(data, indent=1) + "\n"


def untrained(fields: FieldWeights) -> Ranker:
    """Return a ranker that knows the weights of BM25's fields alone; collecting features needs no more."""
    return Ranker(fields, np.zeros(len(NAMES)), 0.0, DEMOTION, np.zeros(len(rank.DOUBTS) + 1), 0.0)


def folded(asked: Sequence[tuple[Source, Snapshot]], folds: int = FOLDS) -> list[Examples]:
    """Return all questions once for each fold of repositories, with field weights that have not seen the fold."""
    samples = sampled(asked)
    names = [source.name for source, _ in asked]
    made = []
    for fold in range(min(folds, len(names))):
        held = frozenset(names[fold::folds])
        fields = fields_of.learn([one for one in samples if one.example.repository not in held] or samples)
        made.append(collected(asked, Examples(fields, held)))
    return made


def sampled(asked: Sequence[tuple[Source, Snapshot]]) -> list[fields_of.Sample]:
    """Return what the weights of the fields are learned from."""
    return [fields_of.sample(one, snapshot, source.prefix) for source, snapshot in asked for one in source.examples]


def alienated(asked: Sequence[tuple[Source, Snapshot]], examples: Examples, aliens: Sequence[str]) -> Examples:
    """Ask each repository some of the questions that nothing answers, and return what was given with them."""
    for number, (source, snapshot) in enumerate(asked):
        for text in aliens[number % ALIEN_SHARE :: ALIEN_SHARE]:
            examples.add(Example(source.name, source.language, "foreign", text, frozenset()), snapshot, "")
    return examples


def collected(asked: Sequence[tuple[Source, Snapshot]], examples: Examples) -> Examples:
    """Ask the questions of some repositories, and return what was given with them."""
    for source, snapshot in asked:
        for example in source.examples:
            examples.add(example, snapshot, source.prefix)
    return examples


def main(argv: Sequence[str] | None = None) -> int:
    """Train the ranker and print what it is worth on repositories it has not seen."""
    parser = argparse.ArgumentParser(
        prog="sextant train --ranker", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repos", type=Path, help="JSON list of repositories: name, language, benchmark_root")
    parser.add_argument("annotations", type=Path, help="folder of NAME.json: query, category, relevant, secondary")
    parser.add_argument("checkouts", type=Path, help="folder of the repositories' files, by name")
    parser.add_argument("--units", type=Path, help="JSON: repository, question, the best units: path, container, name")
    parser.add_argument("--foreign", type=Path, help="questions that nothing answers, one a line")
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME")
    parser.add_argument("--out", type=Path, default=rank.SHIPPED)
    options = parser.parse_args(argv)
    model = encoder.load()
    try:
        aliens = foreign_questions(options.foreign) if options.foreign else []
        found = list(sources(options.repos, options.annotations, options.checkouts, options.only, options.units))
    except (OSError, json.JSONDecodeError) as problem:
        parser.error(str(problem))
    with ExitStack() as stack:
        asked = []
        for source in found:
            asked.append((source, stack.enter_context(indexed(source.root, model))))
            sys.stderr.write(f"{source.name}: {len(source.examples)} questions\n")
        samples = [
            fields_of.sample(one, snapshot, source.prefix) for source, snapshot in asked for one in source.examples
        ]
        fields = fields_of.learn(samples)
        examples, foreign = collected(asked, Examples(fields)), Examples(fields)
        for number, (source, snapshot) in enumerate(asked):
            for text in aliens[number % ALIEN_SHARE :: ALIEN_SHARE]:
                foreign.add(Example(source.name, source.language, "foreign", text, frozenset()), snapshot, "")
        unseen = folded(asked)
    ranker = fit(examples)
    if aliens:
        ranker = doubting(ranker, examples, foreign)
    made = {
        "by": "sextant train --ranker",
        "encoder": model.fingerprint,
        "questions": len(examples.asked),
        "repositories": sorted({one.repository for one in examples.asked}),
        "ndcg10": round(by_language(examples, cross_validated(unseen)), 4),
        "validation": "each repository with weights that have not seen it; files, averaged by language",
    }
    options.out.write_text(dump(ranker, made), encoding="utf-8")
    sys.stdout.write(f"NDCG@10 over files, cross-validated: {made['ndcg10']}; {options.out} written\n")
    return 0


def cross_validated(made: Sequence[Examples], columns: Sequence[str] = NAMES, one_by_one: bool = True) -> list[float]:
    """Return the NDCG@10 of each question with weights that have not seen its repository.

    `made`: the same questions, each time with fields that have not seen some repositories; `one_by_one`: the weights
    have seen the others of those.
    """
    found = [0.0] * len(made[0].asked)
    for examples in made:
        for held in [{name} for name in examples.held] if one_by_one else [examples.held]:
            ranker = fit(examples.where([one.repository not in held for one in examples.asked]), columns)
            for number, one in enumerate(examples.asked):
                if one.repository in held:
                    order = np.argsort(-(examples.matrices[number] @ ranker.weights), kind="stable")
                    found[number] = ndcg([examples.files[number][at] for at in order], one.wanted)
    return found


def by_language(examples: Examples, values: Sequence[float]) -> float:
    """Return the mean over languages of the mean in each."""
    return float(np.dot(shares(examples.asked), values))


def _files(examples: Examples) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Column]:
    """Return where each file of each question starts among all candidates, its question, and whether it answers."""
    starts: list[int] = []
    question_of: list[int] = []
    relevant: list[float] = []
    offset = 0
    for number, paths in enumerate(examples.files):
        for at, path in enumerate(paths):
            if at == 0 or path != paths[at - 1]:
                starts.append(offset + at)
                question_of.append(number)
                relevant.append(float(path in examples.asked[number].wanted))
        offset += len(paths)
    return np.array(starts), np.array(question_of), np.array(relevant)


def _units(examples: Examples, share: Column) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Column, Column]:
    """Return the candidates of the questions whose best units are known, their questions, targets and weights."""
    sizes = np.array([len(best) for best in examples.best])
    question_of = np.repeat(np.arange(len(sizes)), sizes)
    best = np.concatenate(examples.best).astype(np.float64)
    known = np.bincount(question_of, best, len(sizes))
    units = np.flatnonzero(known[question_of] > 0)
    weight = share * (known > 0)
    weight *= UNIT_LOSS / max(float(weight.sum()), 1e-9)
    question_of = question_of[units]
    return units, question_of, best[units] / known[question_of], weight[question_of]


def _softmax(values: Column, group_of: npt.NDArray[np.int64], groups: int) -> Column:
    most = np.full(groups, -np.inf)
    np.maximum.at(most, group_of, values)
    raised = np.exp(values - most[group_of])
    chances: Column = raised / np.bincount(group_of, raised, groups)[group_of]
    return chances


def _calibrated(examples: Examples, weights: Column, kept: npt.NDArray[np.bool_]) -> Ranker:
    """Scale the weights so that a score is the chance that the unit's file answers (Platt 1999)."""
    starts, _, relevant = _files(examples)
    scores = np.maximum.reduceat(np.concatenate(examples.matrices) @ weights, starts)
    slope, bias = _logistic(scores[:, None], relevant, np.full(len(scores), 1.0 / len(scores)))
    most = np.array([AT_MOST.get(name, np.inf) for name in NAMES])
    least = np.array([AT_LEAST.get(name, -np.inf) for name in NAMES])
    most[~kept], least[~kept] = np.inf, -np.inf
    return replace(untrained(examples.fields), weights=np.clip(weights * slope, least, most), bias=float(bias))


def _logistic(columns: Column, truth: Column, share: Column) -> Column:
    """Return the weights of a logistic regression, the constant last, by Newton's method."""
    mean, deviation = columns.mean(axis=0), columns.std(axis=0) + 1e-9
    inputs = np.column_stack(((columns - mean) / deviation, np.ones(len(columns))))
    weights = np.zeros(inputs.shape[1])
    for _ in range(30):
        chance = 1.0 / (1.0 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        slope = inputs.T @ (share * (chance - truth)) + 1e-4 * weights
        curve = (inputs * (share * chance * (1.0 - chance))[:, None]).T @ inputs + 1e-4 * np.eye(len(weights))
        weights -= np.linalg.solve(curve, slope)
    scaled = weights[:-1] / deviation
    return np.append(scaled, weights[-1] - scaled @ mean)


def _doubts(ranker: Ranker, matrix: npt.NDArray[np.float32]) -> Column:
    if not len(matrix):
        return np.zeros(len(rank.DOUBTS))
    wide = matrix.astype(np.float64)
    return rank.doubts(wide, ranker.scores(wide))


if __name__ == "__main__":
    raise SystemExit(main())
