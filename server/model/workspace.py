"""Workspace: the training data that one workspace holds, and general code to practise beside it."""

from __future__ import annotations

import hashlib
import shutil
import sysconfig
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from server.config import Settings
from server.index.apart import Died
from server.index.files import Skip, read, walk
from server.index.ignore import IgnoreRules
from server.index.parser import ParserApart
from server.model import asked, snapshots
from server.model.corpus import Record, records
from server.model.corpus import Settings as Cut
from server.model.data import Corpus
from server.model.snapshots import Change
from server.types import CancelToken

_HELD_OUT = 5
"""One file in so many is held out, by a hash of its path."""
_GENERAL_UNITS = 4_000
_HISTORY_SECONDS = 60.0
"""For reading the history: the newest commits say most."""


def cut(root: Path, settings: Settings, token: CancelToken) -> Corpus:
    """Return the units of the files that the index counts (invariant 8), each with its path; raises Cancelled."""
    return _corpus(_cut(root, settings, token))


def general(token: CancelToken) -> Corpus:
    """Return documented functions of Python's own library, which is wherever this runs."""
    root = Path(sysconfig.get_path("stdlib"))
    settings = Settings(exclude=("site-packages", "dist-packages", "test", "idlelib"))
    documented: list[tuple[Record, str]] = []
    for record, path in _cut(root, settings, token):
        if record.question:
            documented.append((record, path))
            if len(documented) == _GENERAL_UNITS:
                break
    return _corpus(documented)


def with_history(corpus: Corpus, root: Path, token: CancelToken) -> Corpus:
    """Add to the units of a git repository the subjects of commits that changed them."""
    if not (root / ".git").exists() or shutil.which("git") is None:
        return corpus
    pairs = zip(corpus.records, corpus.repositories, strict=True)
    texts = [(path, f"{record.signature}\n{record.body}") for record, path in pairs]
    others: dict[int, dict[str, None]] = defaultdict(dict)
    for number, question in asked.by_commits(_history(root, token), texts):
        others[number][question] = None
    told = [replace(one, asked=tuple(others[number])) for number, one in enumerate(corpus.records)]
    return Corpus(told, corpus.repositories)


def split(corpus: Corpus) -> tuple[Corpus, Corpus]:
    """Return what is trained on and what is held out, by file."""

    def part(is_held: bool) -> Corpus:
        pairs = zip(corpus.records, corpus.repositories, strict=True)
        return _corpus((record, path) for record, path in pairs if _is_held_out(path) == is_held)

    return part(False), part(True)


def _history(root: Path, token: CancelToken) -> Iterator[Change]:
    end = time.monotonic() + _HISTORY_SECONDS
    for change in snapshots.changes(root, "HEAD"):
        token.check()
        yield change
        if time.monotonic() > end:
            return


def _is_held_out(path: str) -> bool:
    return hashlib.blake2b(path.encode("utf-8", "replace"), digest_size=4).digest()[0] % _HELD_OUT == 0


def _cut(root: Path, settings: Settings, token: CancelToken) -> Iterator[tuple[Record, str]]:
    seen: set[str] = set()
    parser = ParserApart(settings.worker_bytes)
    try:
        for found in walk(root, IgnoreRules(root, settings.exclude), settings, token):
            if found.reason is not None:
                continue
            try:
                content, _ = read(root, found.path, settings)
                own = records([(found.path, content)], Cut(test_share=1.0), parser)
            except (Skip, Died):
                continue
            for record in own:
                if record.digest not in seen:
                    seen.add(record.digest)
                    yield record, found.path
    finally:
        parser.close()


def _corpus(pairs: Iterable[tuple[Record, str]]) -> Corpus:
    found = list(pairs)
    return Corpus([record for record, _ in found], [path for _, path in found])
