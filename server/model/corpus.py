"""The corpus: git snapshots in, units with and without documentation out, one file of JSON lines a repository."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import logging
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from server.index.languages import language_of
from server.index.parser import HERE, Parser
from server.model import asked, prose, snapshots, tokens
from server.types import Kind, Unit

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What is taken from a repository."""

    file_bytes: int = 200_000
    """Larger files are data or generated."""
    units: int = 8_000
    """Units taken from one repository at most, so that none dominates."""
    test_share: float = 0.15
    """How many of them may come from tests."""
    tokens: tuple[int, int] = (8, 2_000)
    """A body has this many subtokens, else it says nothing or everything."""


@dataclass(frozen=True, slots=True)
class Source:
    """An entry of the manifest."""

    repository: str
    commit: str
    licence: str
    language: str
    excluded: tuple[str, ...] = ()
    """Paths left out, such as copies of code that models are evaluated on; one that ends in `/` is a folder."""


@dataclass(frozen=True, slots=True)
class Record:
    """A unit as training sees it."""

    language: str
    kind: int
    name: str
    container: str
    signature: str
    documentation: str
    """The documentation as it is encoded."""
    question: str
    """Its first paragraph as plain prose, or empty where that cannot stand for a question."""
    body: str
    digest: str
    """Equal for near duplicates."""
    asked: tuple[str, ...] = ()
    """Other questions that it answers: subjects of commits that changed it, names of tests that test it."""


_SKIPPED = re.compile(
    r"(^|/)(vendor|node_modules|third[_-]?party|external|extern|dist|generated|gen|\.\w+)/"
    r"|\.min\.|\.pb\.|_pb2|\.g\.|\.generated\.|\.designer\.|_generated|zz_generated|bundle\.js$",
    re.IGNORECASE,
)
_TEST = re.compile(r"(^|/|_|\.)(tests?|specs?|testing|testdata|fixtures|examples?)(/|_|\.|$)|Tests?\.", re.IGNORECASE)
_GENERATED = re.compile(rb"generated (by|from)|auto-?generated|@generated|do not edit", re.IGNORECASE)
_HEAD = 2_000
"""Bytes at the start of a file where its generator names itself."""
_LINE = 300
"""Bytes of an average line: more is minified."""
_HELD_OUT = 20
"""One repository in so many is held out, by a hash of its name: always the same ones."""
_ALSO_HELD_OUT = frozenset(
    "FakerPHP/Faker autofac/Autofac lunarmodules/Penlight mitchellh/libxev ruby-concurrency/concurrent-ruby"
    " thephpleague/commonmark twitter/util zigimg/zigimg apple/swift-argument-parser".lower().split()
)
"""Held out besides, because the hash leaves their languages too few questions to be measured by."""
_KINDS = frozenset({Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR, Kind.CLASS, Kind.STRUCT, Kind.INTERFACE, Kind.ENUM})


def main(argv: Sequence[str] | None = None) -> int:
    """Cut the repositories of a manifest into records."""
    parser = argparse.ArgumentParser(prog="python -m server.model.corpus", description=main.__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="JSON list: repository, commit, licence, language")
    parser.add_argument("--snapshots", type=Path, required=True, help="folder of OWNER+NAME/repo git directories")
    parser.add_argument("--out", type=Path, required=True, help="folder for OWNER+NAME.jsonl.gz; done ones are kept")
    parser.add_argument("--held-out", action="store_true", help="only what is not trained on, to evaluate a model")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        listed = manifest(options.manifest)
        options.out.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError, TypeError) as problem:
        parser.error(f"--manifest {options.manifest}: {problem}")
    wanted = [source for source in listed if held_out(source.repository) or not options.held_out]
    todo = [source for source in wanted if not _target(options.out, source).exists()]
    there = [source for source in todo if _is_there(options.snapshots, source)]
    tasks = [(source, options.snapshots, options.out) for source in there]
    with ProcessPoolExecutor(options.processes) as pool:
        for number, (repository, units, questions, others) in enumerate(pool.map(_cut, tasks), 1):
            counts = (units, questions, others)
            _log.info("%d of %d, %s: %d units, %d questions, %d others", number, len(tasks), repository, *counts)
    missing = [source for source in todo if source not in there]
    for source in missing:
        folder = snapshots.folder_of(options.snapshots, source.repository)
        _log.info("%s is not in %s at commit %s", source.repository, folder, source.commit)
    if missing:
        _log.info("get them with git clone --bare and run this again: what is done is kept")
    return 1 if missing else 0


def manifest(path: Path) -> list[Source]:
    """Read a manifest."""
    return [Source(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def held_out(repository: str) -> bool:
    """Tell whether a repository is kept from training."""
    name = repository.lower()
    return name in _ALSO_HELD_OUT or hashlib.blake2b(name.encode(), digest_size=4).digest()[0] % _HELD_OUT == 0


def read(path: Path) -> list[Record]:
    """Read one repository's records."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [Record(**{**fields, "asked": tuple(fields["asked"])}) for fields in map(json.loads, lines)]


def write(path: Path, records: Iterable[Record]) -> None:
    """Write one repository's records; the file appears whole or not at all."""
    beside = path.with_suffix(".tmp")
    with gzip.open(beside, "wt", encoding="utf-8", compresslevel=4) as lines:
        lines.writelines(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)
    beside.replace(path)


def records(files: Iterable[tuple[str, bytes]], settings: Settings = Settings(), parser: Parser = HERE) -> list[Record]:
    """Return the records of one repository's (path, content) pairs, without near duplicates."""
    return [record for _, record in _located(files, settings, parser)]


def _located(
    files: Iterable[tuple[str, bytes]], settings: Settings, parser: Parser = HERE
) -> Iterator[tuple[str, Record]]:
    seen: set[str] = set()
    taken = tests = 0
    for path, data in files:
        language = language_of(path, data[:_HEAD])
        testing = bool(_TEST.search(path))
        if not language or _unfit(data) or (testing and tests >= settings.test_share * settings.units):
            continue
        for unit in parser.units(data, language, path):
            bag = tokens.subtokens(unit.passage.body)
            if unit.kind not in _KINDS or not settings.tokens[0] <= len(bag) <= settings.tokens[1]:
                continue
            record = _record(unit, _digest(bag))
            if record.digest in seen:
                continue
            seen.add(record.digest)
            yield path, record
            taken, tests = taken + 1, tests + testing
            if taken >= settings.units:
                return


def _digest(bag: Sequence[str]) -> str:
    """Name a multiset of tokens: equal for bodies that differ in layout, punctuation or order only."""
    return hashlib.blake2b(" ".join(sorted(bag)).encode(), digest_size=8).hexdigest()


def _cut(task: tuple[Source, Path, Path]) -> tuple[str, int, int, int]:
    """Write one repository's records; return its name, how many they are, and its questions of both kinds."""
    source, folders, out = task
    settings = Settings()
    folder = snapshots.folder_of(folders, source.repository)
    files = snapshots.blobs(folder, source.commit, settings.file_bytes, lambda path: _wanted(path, source))
    located = list(_located(files, settings))
    others: dict[int, dict[str, None]] = defaultdict(dict)
    # A test that was changed along with what it tests is not what the subject is about.
    texts = [("" if _TEST.search(path) else path, f"{record.signature}\n{record.body}") for path, record in located]
    for number, question in asked.by_commits(snapshots.changes(folder, source.commit), texts):
        others[number][question] = None
    for number, question in asked.by_tests([(one.name, one.body, bool(_TEST.search(path))) for path, one in located]):
        others[number][question] = None
    found = [replace(record, asked=tuple(others[number])) for number, (_, record) in enumerate(located)]
    write(_target(out, source), found)
    return source.repository, len(found), sum(bool(record.question) for record in found), sum(map(len, others.values()))


def _is_there(folders: Path, source: Source) -> bool:
    return snapshots.has(snapshots.folder_of(folders, source.repository), source.commit)


def _target(out: Path, source: Source) -> Path:
    return out / f"{source.repository.replace('/', '+')}.jsonl.gz"


def _wanted(path: str, source: Source) -> bool:
    left_out = any(path == one or (one.endswith("/") and path.startswith(one)) for one in source.excluded)
    return bool(language_of(path)) and not _SKIPPED.search(path) and not left_out


def _unfit(data: bytes) -> bool:
    lines = data.count(b"\n") + 1
    return b"\0" in data or len(data) / lines > _LINE or bool(_GENERATED.search(data, 0, _HEAD))


def _record(unit: Unit, digest: str) -> Record:
    passage = unit.passage
    return Record(
        language=unit.language,
        kind=int(unit.kind),
        name=passage.name,
        container=PurePosixPath(passage.container).name if "/" in passage.container else passage.container,
        signature=passage.signature,
        documentation=passage.documentation,
        question=prose.question(passage.documentation.removeprefix(f"{passage.name} ")),  # Go: "Foo returns ..."
        body=passage.body,
        digest=digest,
    )


if __name__ == "__main__":
    raise SystemExit(main())
