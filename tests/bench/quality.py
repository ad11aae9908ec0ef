"""Quality: NDCG@10 over files of questions with known answers, cross-validated, beside honest baselines.

usage: python -m tests.bench.quality REPOS_JSON ANNOTATIONS CHECKOUTS [--only NAME ...] [--quick]

Each repository is indexed by the real engine and asked through the real search, ranked with weights that have not seen
it. Averaged by language, then over languages. "files": the rank of a file is its place among the files of the hits;
"hits": its place among all hits, where a second function of a file takes a place of its own; "no file rule": the same
without demoting later hits of one file. Then what is left without each group of features (five folds of repositories),
and how often an answer is called a guess. `--quick` leaves those out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from server.index.features import GROUPS, NAMES
from server.index.rank import Ranker
from server.model import encoder
from server.model.judged import Example, Source, foreign_questions, indexed, ndcg, shares, sources
from server.model.ranker import Examples, alienated, by_language, collected, cross_validated, doubting, fit, folded
from server.snapshot import Snapshot
from server.types import CancelToken, Query
from tests.bench.untrained import untrained

ASKED = 100
"""Hits asked for, so that ten different files are among them."""
FOREIGN = Path(__file__).parent / "foreign.txt"
UNITS = Path(__file__).parent / "units.json"
"""The units that answer best, chosen by hand among the first hits in the files that answer, in a random order."""
BASELINES = {"meaning alone": ("cosine",), "words alone (BM25)": ("bm25",), "both fused": ("cosine", "bm25")}


@dataclass
class Measured:
    """What was found, one entry a question, in the order in which they were asked."""

    asked: list[Example] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    units: list[float] = field(default_factory=list)
    """Reciprocal ranks of the best unit, of the questions whose best units are known."""

    def add(self, name: str, value: float) -> None:
        self.columns.setdefault(name, []).append(value)

    def mean(self, name: str, where: Callable[[Example], bool] = lambda _: True) -> float:
        chosen = [where(one) for one in self.asked]
        values = [value for value, one in zip(self.columns[name], chosen, strict=True) if one]
        return float(shares([one for one, is_chosen in zip(self.asked, chosen, strict=True) if is_chosen]) @ values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repos", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("--only", nargs="*", default=())
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    aliens = foreign_questions(FOREIGN)
    with ExitStack() as stack:
        asked = []
        for source in sources(options.repos, options.annotations, options.checkouts, options.only, UNITS):
            asked.append((source, stack.enter_context(indexed(source.root, encoder.load()))))
            sys.stderr.write(f"{source.name} ")
            sys.stderr.flush()
        sys.stderr.write("\n")
        made = folded(asked)
        found, caught = Measured(), list[bool]()
        for examples in made:
            caught += ask(asked, examples, alienated(asked, Examples(examples.fields), aliens), found)
    show(found, caught)
    if options.quick:
        return
    random = Examples(held=frozenset(source.name for source, _ in asked))
    for source, _ in asked:
        with indexed(source.root, untrained()) as snapshot:
            collected([(source, snapshot)], random)
    print(f"\n{'untrained vectors alone':30} {by_language(random, cross_validated([random], ('cosine',))):.3f}")
    ablate(made)


def ask(asked: Sequence[tuple[Source, Snapshot]], examples: Examples, foreign: Examples, found: Measured) -> list[bool]:
    """Ask each repository of a fold with a ranker that knows neither it nor the foreign questions that it is asked.

    Returns which of the latter were called guesses.
    """
    caught = []
    texts = list(dict.fromkeys(one.text for one in foreign.asked))
    halves = [set(texts[half::2]) for half in range(2)]
    for source, snapshot in asked:
        if source.name not in examples.held:
            continue
        others = examples.where([one.repository != source.name for one in examples.asked])
        ranker = fit(others)
        doubters = []
        for half in halves:
            known = foreign.where([one.repository != source.name and one.text in half for one in foreign.asked])
            doubters.append(doubting(ranker, others, known))
        for example in source.examples:
            found.asked.append(example)
            measure(found, example, source, snapshot, doubters)
        for text in (one.text for one in foreign.asked if one.repository == source.name):
            unseen = doubters[1 if text in halves[0] else 0]
            caught.append(result(snapshot, unseen, text).low_confidence)
    return caught


def measure(found: Measured, example: Example, source: Source, snapshot: Snapshot, doubters: list[Ranker]) -> None:
    answer = result(snapshot, doubters[0], example.text)
    paths = [source.prefix + hit.path for hit in answer.hits]
    flat = result(snapshot, replace(doubters[0], demotion=0.0), example.text)
    found.add("files", ndcg(paths, example.wanted))
    found.add("hits", ndcg(paths, example.wanted, by_file=False))
    found.add("no file rule", ndcg([source.prefix + hit.path for hit in flat.hits], example.wanted, by_file=False))
    if example.units:
        places = [
            number for number, hit in enumerate(answer.hits, 1) if (hit.path, hit.container, hit.name) in example.units
        ]
        found.units.append(1.0 / places[0] if places else 0.0)
    unsure = [answer.low_confidence, result(snapshot, doubters[1], example.text).low_confidence]
    found.add("unsure", sum(unsure) / 2)


def result(snapshot: Snapshot, ranker: Ranker, text: str):  # type: ignore[no-untyped-def]
    return replace(snapshot, ranker=lambda: ranker).search(Query(text, ASKED), CancelToken())


def show(found: Measured, caught: list[bool]) -> None:
    columns = ("files", "hits", "no file rule", "unsure")

    def line(title: str, where: Callable[[Example], bool] = lambda _: True) -> None:
        print(f"{title:30} " + " ".join(f"{found.mean(name, where):12.3f}" for name in columns))

    print(f"{'cross-validated NDCG@10':30} " + " ".join(f"{name:>12}" for name in columns))
    for language in dict.fromkeys(one.language for one in found.asked):
        line(language, lambda one, language=language: one.language == language)  # type: ignore[misc]
    for category in dict.fromkeys(one.category for one in found.asked):
        line(category, lambda one, category=category: one.category == category)  # type: ignore[misc]
    line("all")
    print(f"{'best unit, MRR':30} {sum(found.units) / max(len(found.units), 1):12.3f}, {len(found.units)} questions")
    print(f"{'foreign questions unsure':30} {'':38} {sum(caught) / len(caught):12.3f}")


def ablate(made: Sequence[Examples]) -> None:
    """Print what the baselines reach, and what is lost without each group of features."""

    def line(title: str, columns: Sequence[str]) -> None:
        print(f"{title:30} {by_language(made[0], cross_validated(made, columns, one_by_one=False)):.3f}")

    for title, columns in BASELINES.items():
        line(title, columns)
    line("everything", NAMES)
    for group, members in GROUPS.items():
        line(f"without {group}", [name for name in NAMES if name not in members])


if __name__ == "__main__":
    main()
