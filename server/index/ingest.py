"""Ingest: one file to what the index keeps of it; the only way in, for scans, saves and open buffers alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from server.config import Settings
from server.index import draft as drafts
from server.index.columns import FileEntry, from_units
from server.index.count import Bag, bags
from server.index.draft import Draft
from server.index.files import Found, Skip, check_text, read
from server.index.parser import HERE, Parser
from server.index.vectors import passage_key
from server.types import FileStamp, Passage, Unit


@dataclass(frozen=True, slots=True)
class Ingested:
    """A file's entry and the passages behind its columns' keys, in the same order."""

    entry: FileEntry
    passages: tuple[Passage, ...] = ()
    draft: Draft | None = None
    """Of an open buffer: what the next text of it is compared with."""
    vectors: Mapping[bytes, bytes] | None = None
    """Float16 rows by key of those passages that were unknown, where they were encoded on the way."""


def _ingested(units: tuple[Unit, ...], language: str, path: str, stamp: FileStamp, counted: Sequence[Bag]) -> Ingested:
    passages = tuple(unit.passage for unit in units)
    keys = [passage_key(passage) for passage in passages]
    return Ingested(FileEntry(path, stamp, language, from_units(units, keys, counted)), passages)


def ingest_buffer(
    data: bytes, language: str, path: str, settings: Settings, before: Draft | None = None, parser: Parser = HERE
) -> Ingested:
    """Return what the index keeps of an open buffer: what it would keep of a file with that text.

    What the text has lost for the moment is taken from the draft before it.
    """
    stamp = FileStamp(len(data), 0, 0)
    try:
        check_text(data, language, settings)
    except Skip as skip:
        return Ingested(FileEntry(path, stamp, language, None, str(skip)))
    draft = drafts.read(data, language, path, before, parser)
    known = before.bags if before is not None else {}
    passages = [unit.passage for unit in draft.units]
    fresh = [passage for passage in dict.fromkeys(passages) if passage not in known]
    counted = {**known, **dict(zip(fresh, bags([(passage, path) for passage in fresh]), strict=True))}
    own = {passage: counted[passage] for passage in passages}
    found = _ingested(draft.units, language, path, stamp, [own[passage] for passage in passages])
    return replace(found, draft=replace(draft, bags=own))


def ingest_file(root: Path, found: Found, settings: Settings, parser: Parser = HERE) -> Ingested:
    """Return what the index keeps of a file; one that is skipped keeps its stamp and the reason."""
    return ingest_files(root, [found], settings, parser)[0]


def ingest_files(root: Path, files: Sequence[Found], settings: Settings, parser: Parser = HERE) -> list[Ingested]:
    """Return what the index keeps of some files, whose words are counted together."""
    cut = [_cut(root, found, settings, parser) for found in files]
    counted = iter(
        bags([(unit.passage, found.path) for found, (_, units, _) in zip(files, cut, strict=True) for unit in units])
    )
    return [
        Ingested(FileEntry(found.path, found.stamp, "", None, reason))
        if reason is not None
        else _ingested(units, language, found.path, found.stamp, list(islice(counted, len(units))))
        for found, (language, units, reason) in zip(files, cut, strict=True)
    ]


def _cut(root: Path, found: Found, settings: Settings, parser: Parser) -> tuple[str, tuple[Unit, ...], str | None]:
    """Return a file's language and units, and the reason why it is skipped if it is."""
    if found.reason is not None:
        return "", (), found.reason
    try:
        data, language = read(root, found.path, settings)
    except Skip as skip:
        return "", (), str(skip)
    return language, parser.units(data, language, found.path), None
