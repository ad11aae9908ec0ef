"""Training data: records to counted tokens, split by repository, and the batches drawn from them."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from server.model import pieces, tokens
from server.model.corpus import Record, held_out, read, records
from server.model.encoder import QUERY, Bags, count
from server.model.vocabulary import Vocabulary
from server.types import FIELDS, Passage

_log = logging.getLogger(__name__)

Item = TypeVar("Item")

_SAME_QUESTION = 3
"""Units kept with one and the same question; the fourth "Returns the name" teaches nothing."""
_SILENT = 2
"""Of units that nothing but their name asks for, one in so many is kept: there are more than an epoch asks for."""
_PROSE = 3
"""A unit whose documentation has a word counts as so many for the word: questions are prose."""
_LOUDEST = 50
"""Units that a rare word counts for at most while pieces are chosen."""
_CHUNK = 4096
"""Texts counted at once."""
_RECORDS = 1 << 14
"""Records counted by one process at a time."""
_NAME, _DOCUMENTATION = FIELDS.index("name"), FIELDS.index("documentation")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Records with the repository each comes from."""

    records: list[Record]
    repositories: list[str]

    def split(self) -> tuple[Corpus, Corpus]:
        """Return what is trained on and what is held out."""
        held = [held_out(repository) for repository in self.repositories]
        return self._where([not one for one in held]), self._where(held)

    def _where(self, wanted: Sequence[bool]) -> Corpus:
        return Corpus(
            [record for record, one in zip(self.records, wanted, strict=True) if one],
            [repository for repository, one in zip(self.repositories, wanted, strict=True) if one],
        )


@dataclass(frozen=True, slots=True)
class Excluded:
    """What must not be trained on: bodies by digest, questions by text."""

    bodies: frozenset[str] = field(default_factory=frozenset)
    questions: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Counted:
    """A corpus as tokens: record i has question i, name i, and the passages i (whole) and i + n (without its name)."""

    questions: Bags
    names: Bags
    others: Bags
    """What commits and tests say of records."""
    passages: Bags
    languages: npt.NDArray[np.int32]
    asked: npt.NDArray[np.int64]
    """The records that have a question."""
    named: npt.NDArray[np.int64]
    """The records that have a name."""
    about: npt.NDArray[np.int64]
    """The record that each of `others` is about."""

    def __len__(self) -> int:
        return len(self.languages)


def load(folder: Path, excluded: Excluded = Excluded(), only_held_out: bool = False) -> Corpus:
    """Read the repositories of a folder; near duplicates, excluded units and repeated questions are dropped."""
    corpus = Corpus([], [])
    bodies, asked = set(excluded.bodies), Counter(dict.fromkeys(excluded.questions, _SAME_QUESTION))
    paths = {path.name.removesuffix(".jsonl.gz").replace("+", "/", 1): path for path in folder.glob("*.jsonl.gz")}
    # What is held out comes first, so that no copy of it is trained on.
    for repository in sorted(paths, key=lambda name: (not held_out(name), name)):
        if only_held_out and not held_out(repository):
            continue
        for record in read(paths[repository]):
            is_silent = not record.question and not record.asked
            if is_silent and not only_held_out and int(record.digest, 16) % _SILENT:
                continue
            asked[record.question] += bool(record.question)
            if record.digest not in bodies and asked[record.question] <= _SAME_QUESTION:
                bodies.add(record.digest)
                corpus.records.append(record)
                corpus.repositories.append(repository)
    _log.info("%d units of %d repositories", len(corpus.records), len(set(corpus.repositories)))
    return corpus


def excluded(path: Path) -> Excluded:
    """Read a JSON list of Python functions that must not be trained on, nor their near duplicates."""
    found = list(
        records((f"{number}.py", text.encode()) for number, text in enumerate(json.loads(path.read_text("utf-8"))))
    )
    bodies = frozenset(record.digest for record in found)
    return Excluded(bodies, frozenset(record.question for record in found if record.question))


def learn_vocabulary(corpus: Corpus, size: int) -> Vocabulary:
    """Choose the tokens: half the subtokens of most units, half the pieces that cut the others best."""
    units: Counter[str] = Counter()
    homes: dict[str, str] = {}
    shared: set[str] = set()
    for record, repository in zip(corpus.records, corpus.repositories, strict=True):
        asked = set(tokens.subtokens(f"{record.question} {record.documentation}"))
        for token in asked.union(
            tokens.subtokens(f"{record.name} {record.container} {record.signature} {record.body}")
        ):
            units[token] += _PROSE if token in asked else 1
            if homes.setdefault(token, repository) != repository:
                shared.add(token)
    ordered = sorted(units, key=lambda token: (-units[token], token))
    whole = [token for token in ordered if token in shared and not token.isdigit()][: size // 2]
    known = set(whole)
    rare = {token: min(times, _LOUDEST) for token, times in units.items() if times > 1 and token not in known}
    return Vocabulary(list(dict.fromkeys([*whole, *pieces.learn(rare, size - len(whole))])))


def counted(corpus: Corpus, vocabulary: Vocabulary, processes: int = 1) -> Counted:
    """Count the tokens of a corpus."""
    numbers = {language: number for number, language in enumerate(sorted({r.language for r in corpus.records}))}
    starts = range(0, max(1, len(corpus.records)), _RECORDS)
    tasks = [(vocabulary, corpus.records[start : start + _RECORDS]) for start in starts]
    if min(processes, len(tasks)) > 1:
        with ProcessPoolExecutor(min(processes, len(tasks))) as pool:
            parts = list(pool.map(_count, *zip(*tasks, strict=True)))
    else:
        parts = list(starmap(_count, tasks))
    questions, names, others, whole, nameless = (joined(*column) for column in zip(*parts, strict=True))
    return Counted(
        questions=questions,
        names=names,
        others=others,
        passages=joined(whole, nameless),
        languages=np.array([numbers[record.language] for record in corpus.records], dtype=np.int32),
        asked=np.flatnonzero(np.diff(questions.starts)),
        named=np.flatnonzero(np.diff(names.starts)),
        about=np.repeat(np.arange(len(corpus.records)), [len(record.asked) for record in corpus.records]),
    )


def _count(vocabulary: Vocabulary, part: Sequence[Record]) -> tuple[Bags, ...]:
    """Return questions, names, other questions, passages, and passages without their name, of some records."""
    return (
        bags(vocabulary, part, lambda record: [(QUERY, record.question)]),
        bags(vocabulary, part, lambda record: [(QUERY, spoken(record.name))]),
        bags(vocabulary, [text for record in part for text in record.asked], lambda text: [(QUERY, text)]),
        bags(vocabulary, part, lambda record: enumerate(passage(record).fields())),
        bags(vocabulary, part, lambda record: enumerate(masked(record).fields())),
    )


def passage(record: Record) -> Passage:
    """Return a record as the index has it."""
    return Passage(record.name, record.container, record.signature, record.documentation, record.body)


def masked(record: Record) -> Passage:
    """Return a record that does not tell its own name."""
    name = re.compile(rf"\b{re.escape(record.name)}\b") if record.name else re.compile(r"(?!)")
    return Passage(
        "", record.container, name.sub(" ", record.signature), record.documentation, name.sub(" ", record.body)
    )


def spoken(name: str) -> str:
    """Return an identifier as words."""
    return " ".join(tokens.subtokens(name))


def bags(vocabulary: Vocabulary, items: Sequence[Item], parts: Callable[[Item], Iterable[tuple[int, str]]]) -> Bags:
    """Count one text of every item."""
    chunks = [
        count(vocabulary, [parts(item) for item in items[start : start + _CHUNK]])
        for start in range(0, max(1, len(items)), _CHUNK)
    ]
    return joined(*chunks)


def take(source: Bags, texts: npt.NDArray[np.int64], without: npt.NDArray[np.bool_] | None = None) -> Bags:
    """Pick texts; where `without` is true for a text, its documentation is left out."""
    sizes = source.starts[texts + 1] - source.starts[texts]
    starts = np.concatenate(([0], np.cumsum(sizes)))
    entries = np.arange(starts[-1]) + np.repeat(source.starts[texts] - starts[:-1], sizes)
    if without is not None:
        kept = ~((source.fields[entries] == _DOCUMENTATION) & np.repeat(without, sizes))
        entries = entries[kept]
        starts = np.concatenate(([0], np.cumsum(kept)))[starts]
    return Bags(starts, source.tokens[entries], source.fields[entries], source.counts[entries])


def sampled(
    languages: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], smoothing: float, random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw as many rows as there are, each language n ** smoothing times as often as another: 1 leaves all as it is."""
    numbers, sizes = np.unique(languages[rows], return_counts=True)
    shares = sizes.astype(np.float64) ** smoothing
    drawn = []
    for number, size, share in zip(numbers, sizes, shares / shares.sum(), strict=True):
        own = rows[languages[rows] == number]
        wanted = round(len(rows) * share)
        rounds = [random.permutation(own) for _ in range(-(-wanted // size))]
        drawn.append(np.concatenate([own[:0], *rounds])[:wanted])
    return np.concatenate([rows[:0], *drawn])


def batches(
    languages: npt.NDArray[np.int32], rows: npt.NDArray[np.int64], size: int, random: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield every row once, in batches of one language each as far as they fill: the hardest wrong answers."""
    shuffled = random.permutation(rows)
    ordered = shuffled[np.argsort(languages[shuffled], kind="stable")]
    chunks = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    for number in random.permutation(len(chunks)):
        yield chunks[number]


def joined(*parts: Bags) -> Bags:
    """Put texts after one another."""
    shifts = np.cumsum([0, *(part.starts[-1] for part in parts)])
    return Bags(
        np.concatenate([[0], *(part.starts[1:] + shift for part, shift in zip(parts, shifts[:-1], strict=True))]),
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.fields for part in parts]),
        np.concatenate([part.counts for part in parts]),
    )
