"""Benchmarks: questions with known answers, from CoSQA and from repositories that are held out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from server.index.extract import extract
from server.model import data, tokens
from server.model.clones import renamed
from server.model.corpus import Record
from server.types import Kind, Passage

CANDIDATES = 1000
"""A question's own passage and 999 others, as CodeSearchNet has it: MRR over other pools is another thing."""
FEWEST = 200
"""Languages with fewer questions are not reported."""
_MOST = 3_000
"""Questions of one language: enough for a standard error below .01."""
_PAIRS = 500
"""Questions of one kind of likeness for each language."""
_NAME = (2, 8)
"""A name that tells what a function does has so many subtokens and letters at least."""
_FUNCTIONS = frozenset({Kind.FUNCTION, Kind.METHOD})


@dataclass(frozen=True, slots=True)
class Task:
    """Questions, or passages that others are to be like; the answer to question i is passage own[i]."""

    languages: Sequence[str]
    """Of each question."""
    questions: Sequence[str | Passage]
    passages: Sequence[Passage]
    own: npt.NDArray[np.int64]


def cosqa(folder: Path) -> Task:
    """Return web questions with all codes of the set."""
    asked = json.loads((folder / "cosqa-dev-500.json").read_text(encoding="utf-8"))
    codes = json.loads((folder / "cosqa-codes.json").read_text(encoding="utf-8"))
    own = np.array([entry["code_index"] for entry in asked])
    return Task(
        ["python"] * len(asked), [entry["query"] for entry in asked], [_python_passage(code) for code in codes], own
    )


def held_out(folder: Path) -> data.Corpus:
    """Read what is not trained on; FileNotFoundError where that is nothing."""
    corpus = data.load(folder, only_held_out=True)
    if not corpus.records:
        raise FileNotFoundError(f"{folder} holds nothing that is held out; server.model.corpus --held-out writes it")
    return corpus


def documentation(corpus: data.Corpus) -> Iterator[Task]:
    """Yield documentation with its own undocumented unit among 999 others of the language."""
    for language, records in _by_language(corpus).items():
        asked = [record for record in records if record.question]
        rest = [record for record in records if not record.question]
        if len(asked) < FEWEST or len(records) < CANDIDATES:
            continue
        asked = [asked[number] for number in np.random.default_rng(0).permutation(len(asked))[:_MOST]]
        for start in range(0, len(asked), CANDIDATES):
            part = asked[start : start + CANDIDATES]
            others = [*asked[:start], *rest][: CANDIDATES - len(part)]
            passages = [_bare(one) for one in (*part, *others)]
            yield Task([language] * len(part), [one.question for one in part], passages, np.arange(len(part)))


def among_all(corpus: data.Corpus, most: int = _PAIRS, units: int | None = None) -> Task:
    """Return documentation, so many questions of each language, with its unit among those of all languages.

    `units`: as many of the corpus, drawn at random, with the answers among them.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for number, record in enumerate(corpus.records):
        if record.question:
            places[record.language].append(number)
    parts = [
        np.random.default_rng(0).permutation(numbers)[:most]
        for _, numbers in sorted(places.items())
        if len(numbers) >= FEWEST
    ]
    answers = np.concatenate([np.zeros(0, np.int64), *parts])
    pool = np.arange(len(corpus.records))
    if units is not None:
        others = np.random.default_rng(1).permutation(np.setdiff1d(pool, answers))
        pool = np.sort(np.concatenate([answers, others[: max(0, units - len(answers))]]))
    asked = [corpus.records[number] for number in answers]
    passages = [_bare(corpus.records[number]) for number in pool]
    own = np.searchsorted(pool, answers)
    return Task([record.language for record in asked], [record.question for record in asked], passages, own)


def clones(corpus: data.Corpus) -> Iterator[Task]:
    """Yield functions whose variables were renamed, and the originals among 999 others of the language."""
    for language, records in _by_language(corpus).items():
        functions = [record for record in records if record.kind in _FUNCTIONS]
        order = np.random.default_rng(0).permutation(len(functions))
        functions = [functions[number] for number in order[:CANDIDATES]]
        changed = [(number, renamed(one.signature, one.body, language)) for number, one in enumerate(functions)]
        asked = [(number, Passage(body=text)) for number, text in changed if text][:_PAIRS]
        if len(functions) == CANDIDATES and len(asked) >= FEWEST:
            originals = [Passage("", "", data.masked(one).signature, "", data.masked(one).body) for one in functions]
            own = np.array([number for number, _ in asked])
            yield Task([language] * len(asked), [clone for _, clone in asked], originals, own)


def namesakes(corpus: data.Corpus, across: bool) -> Iterator[Task]:
    """Yield functions with one of the same name in another repository, among 999 others of its language.

    Both are shown without name and documentation. `across`: the other is in another language too, which stands for
    the same algorithm in another language.
    """
    homes: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, record in enumerate(corpus.records):
        name = tuple(tokens.subtokens(record.name))
        if record.kind in _FUNCTIONS and len(name) >= _NAME[0] and sum(map(len, name)) >= _NAME[1]:
            homes[name].append(number)
    pairs: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for numbers in homes.values():
        for asked in numbers:
            others = [other for other in numbers if _is_other(corpus, asked, other, across)]
            if others:
                pairs[corpus.records[asked].language].append((asked, others[0]))
    for language, all_pairs in sorted(pairs.items()):
        if len(all_pairs) < FEWEST // 4:
            continue
        found = [all_pairs[number] for number in np.random.default_rng(0).permutation(len(all_pairs))[:_PAIRS]]
        for start in range(0, len(found), CANDIDATES // 4):
            part = found[start : start + CANDIDATES // 4]
            targets = list(dict.fromkeys(other for _, other in part))
            names = {tuple(tokens.subtokens(corpus.records[number].name)) for number, _ in part}
            into = {corpus.records[number].language for number in targets}
            fillers = [
                number
                for number in np.random.default_rng(1).permutation(len(corpus.records)).tolist()
                if corpus.records[number].language in into
                and corpus.records[number].kind in _FUNCTIONS
                and tuple(tokens.subtokens(corpus.records[number].name)) not in names
            ]
            pool = [*targets, *fillers][:CANDIDATES]
            if len(pool) == CANDIDATES:
                own = np.array([targets.index(other) for _, other in part])
                questions = [_nameless(corpus.records[number]) for number, _ in part]
                yield Task(
                    [language] * len(part), questions, [_nameless(corpus.records[number]) for number in pool], own
                )


def library_passages() -> list[Passage]:
    """Return the functions of the top modules of Python's own library: some thousand that differ."""
    files = sorted(Path(json.__file__).parents[1].glob("*.py"))
    units = [unit for path in files for unit in extract(path.read_bytes(), "python", path.name)]
    return [unit.passage for unit in units if unit.kind in _FUNCTIONS]


def _is_other(corpus: data.Corpus, asked: int, other: int, across: bool) -> bool:
    if corpus.repositories[asked] == corpus.repositories[other]:
        return False
    return (corpus.records[asked].language != corpus.records[other].language) == across


def _by_language(corpus: data.Corpus) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in corpus.records:
        found[record.language].append(record)
    return dict(sorted(found.items()))


def _bare(record: Record) -> Passage:
    return Passage(record.name, record.container, record.signature, "", record.body)


def _nameless(record: Record) -> Passage:
    masked = data.masked(record)
    return Passage("", "", masked.signature, "", masked.body)


def _python_passage(code: str) -> Passage:
    """Return the passage of the first unit of a Python text, or all of the text as a body."""
    units = [unit for unit in extract(code.encode(), "python", "code.py") if unit.kind != Kind.MODULE]
    return units[0].passage if units else Passage(body=code)
