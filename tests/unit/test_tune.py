"""The repository model: what it learns, what it refuses, what it never reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from server.config import Settings
from server.model import encoder, tune
from server.model.workspace import cut
from server.types import Cancelled, CancelToken, Passage
from tests.house import PAIRS, SECRET, write_house


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    write_house(root)
    return root


@pytest.fixture(scope="module")
def base() -> encoder.BagEncoder:
    return encoder.load()


def test_a_tuned_model_is_written_when_it_finds_more(base: encoder.BagEncoder, workspace: Path, tmp_path: Path) -> None:
    told: list[float] = []
    outcome = tune.tune(base, workspace, Settings(), tmp_path / "out", CancelToken(), lambda _, done: told.append(done))
    assert told == sorted(told) and told[0] >= 0 and told[-1] <= 1
    assert outcome.accepted == (tmp_path / "out").exists()
    assert outcome.questions >= 40 and outcome.general_before - outcome.general_after < 0.01
    assert outcome.accepted and outcome.after > outcome.before, outcome
    model = encoder.load(tmp_path / "out")
    assert model.fingerprint != base.fingerprint and model.dimensions == base.dimensions
    # Rows for the words of files that count, none for those of ignored ones (invariant 8).
    words = model.vocabulary.entries[len(base.vocabulary) :]
    assert len(words) >= PAIRS and SECRET not in words


def test_a_new_word_starts_where_its_pieces_were(base: encoder.BagEncoder, workspace: Path) -> None:
    corpus = cut(workspace, Settings(), CancelToken())
    vocabulary, weights = tune.grown(base, corpus, 500)
    grown = encoder.BagEncoder(vocabulary, weights, "grown")
    words = vocabulary.entries[len(base.vocabulary) :]
    assert words
    passages = [Passage(name=word, body="return the value") for word in words]
    cosines = (base.encode(passages) * grown.encode(passages)).sum(axis=1)
    assert cosines.min() > 0.97


def test_nothing_learned_is_the_base_model(base: encoder.BagEncoder, workspace: Path) -> None:
    weights = base.weights
    learned = encoder.Weights(weights.rows + 1, weights.importance * 2, weights.fields)
    same = tune.blend(weights, learned, 0.0)
    assert np.array_equal(same.rows, weights.rows) and np.allclose(same.importance, weights.importance)


def test_too_little_is_refused_with_the_numbers(base: encoder.BagEncoder, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text('def one():\n    """Return the first of all the numbers."""\n')
    with pytest.raises(tune.TooLittle, match="tuning needs 150 and 40"):
        tune.tune(base, tmp_path, Settings(), tmp_path / "out", CancelToken())


def test_chance_and_forgetting_are_refused() -> None:
    noise = np.random.default_rng(3).normal(0.0, 0.3, 100)
    assert "chance" in tune._refusal(noise - noise.mean(), 0.0)
    assert "general code" in tune._refusal(np.full(100, 0.1), 0.02)
    assert not tune._refusal(np.full(100, 0.1), 0.005)


def test_a_cancelled_run_leaves_nothing(base: encoder.BagEncoder, workspace: Path, tmp_path: Path) -> None:
    token = CancelToken()

    def cancel(what: str, done: float) -> None:
        if what == "training":
            token.cancel()

    with pytest.raises(Cancelled):
        tune.tune(base, workspace, Settings(), tmp_path / "out", token, cancel)
    assert not any(tmp_path.iterdir())
