"""The repository model: the base model taught the words of one workspace, kept only where it finds more."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.config import Settings as Limits
from server.model import adapt, data, encoder, tokens, workspace
from server.model.adapt import Settings
from server.model.data import Corpus
from server.model.encoder import BagEncoder, Weights
from server.model.measures import cosines, reciprocal_ranks
from server.model.vocabulary import Vocabulary
from server.types import CancelToken

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
"""Told what is done now, and how much of the whole is done (0 to 1)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What tuning reached; mean reciprocal ranks of documentation among the units of files never trained on."""

    accepted: bool
    message: str
    before: float
    after: float
    general_before: float
    general_after: float
    questions: int
    """Held-out questions of the workspace."""


_SETTINGS = Settings()


class TooLittle(Exception):
    """Says that a workspace has too little documentation to learn from."""


_LEAST_PAIRS = 150
"""Documented functions without which training learns nothing."""
_LEAST_HELD_OUT = 40
"""Documented functions in held-out files without which the test of it says nothing."""
_POOL = 1_000
"""Units that a held-out question chooses from; all of them where there are fewer."""
_MOST_QUESTIONS = 1_000
_FORGETS = 0.01
"""General quality that the words of one repository may cost at most."""
_SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of what was learned, tried in turn until no more than that is forgotten."""
_RESAMPLES = 2_000
_CONFIDENCE = 0.05
_WORD_UNITS = 3
"""Units that a word stands in before it gets a row of its own."""


def tune(
    base: BagEncoder,
    root: Path,
    limits: Limits,
    out: Path,
    token: CancelToken,
    progress: Progress = lambda what, done: None,
    settings: Settings = _SETTINGS,
    elsewhere: Callable[[bytes], bytes] | None = None,
) -> Outcome:
    """Train on a workspace and write the model folder `out` if the result is better; TooLittle, Cancelled.

    `elsewhere` runs `adapt.learn` on another machine.

    Better: the documentation of held-out files finds its code by more than a bootstrap's noise, and the general set,
    Python's own library, loses less than .01.
    """
    progress("reading the workspace", 0.0)
    trained, held = workspace.split(workspace.cut(root, limits, token))
    trained = workspace.with_history(trained, root, token)
    asked = sum(bool(record.question) for record in trained.records)
    held_asked = sum(bool(record.question) for record in held.records)
    if asked < _LEAST_PAIRS or held_asked < _LEAST_HELD_OUT:
        raise TooLittle(
            f"{root} has {asked} functions with an English description to learn from and {held_asked} in other files "
            f"to test it on; tuning needs {_LEAST_PAIRS} and {_LEAST_HELD_OUT}, so the base model stays."
        )
    progress("reading general code", 0.1)
    practice, general = workspace.split(workspace.general(token))
    before, general_before = _reciprocal_ranks(base, held), _reciprocal_ranks(base, general)
    token.check()
    vocabulary, weights = grown(base, trained, settings.words)
    _log.info("%d pairs, %d new words", asked, len(vocabulary) - len(base.vocabulary))

    def step(done: float) -> None:
        token.check()
        progress("training", 0.2 + 0.7 * done)

    given = adapt.Material(vocabulary, weights, trained, practice, settings)
    learned = adapt.train(given, step) if elsewhere is None else adapt.unpack(elsewhere(adapt.pack(given)))
    progress("comparing", 0.9)
    for share in _SHARES:
        tuned = _stored(vocabulary, blend(weights, learned, share))
        general_after = _reciprocal_ranks(tuned, general)
        if general_before.mean() - general_after.mean() < _FORGETS:
            break
    after = _reciprocal_ranks(tuned, held)
    reason = _refusal(after - before, float(general_before.mean() - general_after.mean()))
    if not reason:
        encoder.save(out, vocabulary, tuned.weights)
    message = (
        f"{reason or 'The repository model is better and is used from now on.'} Documentation finds its code at "
        f"{before.mean():.3f} before and {after.mean():.3f} after tuning (mean reciprocal rank of {len(before)} in "
        f"files that were not trained on), general code at {general_before.mean():.3f} and {general_after.mean():.3f}."
    )
    return Outcome(
        not reason,
        message,
        float(before.mean()),
        float(after.mean()),
        float(general_before.mean()),
        float(general_after.mean()),
        len(before),
    )


def grown(base: BagEncoder, corpus: Corpus, most: int) -> tuple[Vocabulary, Weights]:
    """Give the words of a corpus rows of their own; each starts as the sum of the pieces it was cut into."""
    known = set(base.vocabulary.entries)
    units: Counter[str] = Counter()
    files: dict[str, str] = {}
    shared: set[str] = set()
    for record, path in zip(corpus.records, corpus.repositories, strict=True):
        text = f"{record.name} {record.container} {record.signature} {record.documentation} {record.body}"
        for word in set(tokens.subtokens(text)) - known:
            units[word] += 1
            if files.setdefault(word, path) != path:
                shared.add(word)
    wanted = [word for word in units if units[word] >= _WORD_UNITS and word in shared and not word.isdigit()]
    words = sorted(wanted, key=lambda word: (-units[word], word))[:most]
    weights = base.weights
    pieces = [list(base.vocabulary.word(word)) for word in words]
    words = [word for word, ids in zip(words, pieces, strict=True) if ids]
    pieces = [ids for ids in pieces if ids]
    sums = [(weights.rows[ids] * weights.importance[ids, None]).sum(axis=0) for ids in pieces]
    importance = [weights.importance[ids].max() for ids in pieces]
    rows = [total / scale for total, scale in zip(sums, importance, strict=True)]
    return Vocabulary([*base.vocabulary.entries, *words]), Weights(
        np.vstack([weights.rows, *rows]).astype(np.float32),
        np.concatenate([weights.importance, np.array(importance, dtype=np.float32)]),
        weights.fields,
    )


def blend(base: Weights, learned: Weights, share: float) -> Weights:
    """Return weights between two (Wortsman et al. 2022, "Robust fine-tuning"): less learned, less forgotten."""
    return Weights(
        base.rows + share * (learned.rows - base.rows),
        base.importance ** (1 - share) * learned.importance**share,
        base.fields,
    )


def _stored(vocabulary: Vocabulary, weights: Weights) -> BagEncoder:
    """Return the model through the bytes that are stored, so that what is measured is what will answer."""
    return BagEncoder(vocabulary, encoder.unpack(encoder.pack(weights)), "tuned")


def _refusal(differences: npt.NDArray[np.float64], forgotten: float) -> str:
    """Return why a model is not taken, or ""."""
    random = np.random.default_rng(0)
    means = [random.choice(differences, len(differences)).mean() for _ in range(_RESAMPLES)]
    if np.quantile(means, _CONFIDENCE) <= 0:
        return "Tuning did not help more than chance would; the base model stays."
    if forgotten >= _FORGETS:
        return "Tuning would make general code harder to find; the base model stays."
    return ""


def _reciprocal_ranks(model: BagEncoder, corpus: Corpus) -> npt.NDArray[np.float64]:
    """Return the reciprocal rank of each documented unit for its own documentation."""
    random = np.random.default_rng(0)
    order = random.permutation(len(corpus.records))
    found: list[npt.NDArray[np.float64]] = []
    for start in range(0, len(order), _POOL):
        pool = [corpus.records[number] for number in order[start : start + _POOL]]
        own = np.array([number for number, record in enumerate(pool) if record.question], dtype=np.int64)
        if len(own):
            passages = [replace(data.passage(record), documentation="") for record in pool]
            scores = cosines(model, [pool[number].question for number in own], passages)
            found.append(reciprocal_ranks(scores, own))
        if sum(map(len, found)) >= _MOST_QUESTIONS:
            break
    return np.concatenate(found) if found else np.zeros(0)
