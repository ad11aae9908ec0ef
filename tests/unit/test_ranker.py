"""The ranker's trainer: what questions with known answers teach."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server.index import rank
from server.index.features import NAMES
from server.index.lexical import FIELDS
from server.model import encoder, fields
from server.model.judged import Example, Source, indexed, ndcg, sources
from server.model.ranker import Examples, collected, cross_validated, dump, fit, folded
from server.snapshot import Snapshot

WORDS = ("apple", "pear", "plum", "cherry", "grape", "melon", "lemon", "mango")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Source, Snapshot]]:
    """A folder in which names say what is meant, and bodies speak of everything."""
    root = tmp_path_factory.mktemp("work")
    for number, word in enumerate(WORDS):
        others = " ".join(f"{one} = 1; {one} = 2;" for one in WORDS if one != word)
        (root / f"part{number}.js").write_text(
            f"class {word.title()}Basket {{ size() {{ return 1 }} }}\nfunction peel{word.title()}() {{ {others} }}\n"
        )
    examples = tuple(
        Example(
            "fruit", "javascript", "semantic", f"peel {word}", frozenset({f"part{number}.js"}),
            frozenset({(f"part{number}.js", "", f"peel{word.title()}")}),
        )
        for number, word in enumerate(WORDS)
    )  # fmt: skip
    with indexed(root, encoder.load()) as snapshot:
        yield Source("fruit", "javascript", root, "", examples), snapshot


def test_fields_that_name_things_learn_to_count_more(asked: tuple[Source, Snapshot]) -> None:
    source, snapshot = asked
    samples = [fields.sample(one, snapshot, "") for one in source.examples]
    learned = fields.learn(samples)
    weights = dict(zip(FIELDS, learned.weights, strict=True))
    assert weights["name"] / weights["body"] > 1.0
    assert fields.ndcgs(samples, learned).mean() > fields.ndcgs(samples, fields.plain()).mean()


def test_the_units_of_a_question_are_learned_beside_its_files(asked: tuple[Source, Snapshot]) -> None:
    source, _ = asked
    examples = collected([asked], Examples())
    assert [int(best.sum()) for best in examples.best] == [1] * len(WORDS)
    ranker = fit(examples)
    for number, matrix in enumerate(examples.matrices):
        best = int(np.argmax(matrix @ ranker.weights))
        assert examples.best[number][best], source.examples[number].text


def test_a_trained_ranker_is_read_back(asked: tuple[Source, Snapshot]) -> None:
    ranker = replace(fit(collected([asked], Examples())), least_score=0.125)
    read = rank.parse(json.loads(dump(ranker, {})))
    assert np.allclose(read.weights, ranker.weights, atol=1e-5)
    assert read.least_score == 0.125
    assert read.fields.weights == pytest.approx(ranker.fields.weights, abs=1e-4)


def test_what_is_held_out_is_ranked_by_what_has_not_seen_it(asked: tuple[Source, Snapshot]) -> None:
    source, snapshot = asked
    parts = [
        (replace(source, name=name, examples=tuple(replace(one, repository=name) for one in source.examples)), snapshot)
        for name in ("one", "two")
    ]
    made = folded(parts, 2)
    assert [examples.held for examples in made] == [frozenset({"one"}), frozenset({"two"})]
    values = cross_validated(made)
    assert len(values) == 2 * len(WORDS)
    assert min(values) > 0.0


def test_ndcg_counts_a_file_once() -> None:
    assert ndcg(["a", "a", "b"], frozenset({"a", "b"})) == 1.0
    assert ndcg(["a", "a", "b"], frozenset({"a", "b"}), by_file=False) == pytest.approx((1 + 0.5) / (1 + 0.63093), 1e-4)


def test_questions_come_with_their_best_units(tmp_path: Path) -> None:
    (tmp_path / "code/src").mkdir(parents=True)
    (tmp_path / "code/src/a.py").touch()
    (tmp_path / "list.json").write_text(
        json.dumps(
            [{"name": "code", "language": "python", "benchmark_root": "src"}, {"name": "gone", "language": "go"}]
        )
    )
    (tmp_path / "code.json").write_text(json.dumps([{"query": "q", "category": "semantic", "relevant": ["a.py"]}]))
    (tmp_path / "units.json").write_text(json.dumps({"code": {"q": [["a.py", "", "f"]]}}))
    [source] = sources(tmp_path / "list.json", tmp_path, tmp_path, (), tmp_path / "units.json")
    assert source.examples[0].wanted == {"src/a.py"}
    assert source.examples[0].units == {("a.py", "", "f")}


def test_the_shipped_ranker_fits_the_features() -> None:
    ranker = rank.shipped()
    assert len(ranker.weights) == len(NAMES)
    assert 0.0 < ranker.least_score < 0.5
