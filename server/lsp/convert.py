"""The edge of the protocol: client positions, URIs and wire types on one side, bytes, paths and our types on the other.

Nothing inside knows UTF-16, and nothing outside knows byte offsets.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from lsprotocol import types

from server import types as ours
from server.lsp import protocol

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_WINDOWS = os.name == "nt"
_FILES = 1_000
"""Files whose names are remembered: each answer spells those of its hits, and the next key asks for much the same."""

Read = Callable[[str, str], bytes | None]
"""(workspace folder, relative path) → the text that spans refer to."""
Known = dict[ours.Span, types.Range]


@dataclass(frozen=True, slots=True)
class Root:
    """A workspace folder."""

    uri: str
    """As the client spells it."""
    path: str
    real: str
    """The path without symbolic links: the engine's name for the folder, and the one that editors may also use."""


@dataclass(frozen=True, slots=True)
class View:
    """What the client shows, as of one moment; safe to read in any thread."""

    encoding: str
    """utf-8, utf-16 or utf-32: what a column counts."""
    roots: tuple[Root, ...]
    open: Mapping[str, tuple[str, bool]]
    """Path of an open file, as the engine names it → the client's URI of it, and whether a byte order mark shows."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An open document, as of one moment; safe to read in any thread."""

    text: str
    language: str | None
    shows_bom: bool


# Positions.


def units(text: str, encoding: str) -> int:
    """Return the length of a text in the client's units."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogateescape"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def points(line: str, character: int, encoding: str) -> int:
    """Return how many code points of a line lie before a column, which is clamped and never splits a character."""
    if encoding == "utf-32" or line[:character].isascii():
        return min(character, len(line))
    if encoding == "utf-8":
        return len(line.encode("utf-8")[:character].decode("utf-8", "ignore"))
    cut = line.encode("utf-16-le", "surrogatepass")[: 2 * character]
    if 0xD8 <= cut[-1] <= 0xDB:
        cut = cut[:-2]  # the first half of a pair
    return len(cut.decode("utf-16-le", "surrogatepass"))


def offset_at(text: bytes, position: types.Position, encoding: str, shows_bom: bool = False) -> int:
    """Return the byte offset of a client's position, clamped to the text."""
    start = 0
    if position.line > 0:
        ends = (end.end() for row, end in enumerate(_LINE_END.finditer(text), 1) if row == position.line)
        if (found := next(ends, None)) is None:
            return len(text)
        start = found
    elif text.startswith(_BOM) and not shows_bom:
        start = len(_BOM)
    end = _LINE_END.search(text, start)
    line = text[start : end.start() if end else len(text)]
    if encoding == "utf-8" or line.isascii():
        column = min(position.character, len(line))
        while 0 < column < len(line) and line[column] & 0xC0 == 0x80:
            column -= 1
    else:
        known = _decode(line)
        column = len(known[: points(known, position.character, encoding)].encode("utf-8", "surrogateescape"))
    return start + column


def to_range(span: ours.Span, text: bytes | None, encoding: str, shows_bom: bool = False) -> types.Range:
    """Return the client's range of a span; where the file has changed since, a range inside it.

    Without a text (the file is gone), columns stay bytes.
    """
    if text is None:
        start, end = types.Position(span.start_row, span.start_column), types.Position(span.end_row, span.end_column)
    else:
        start = _position(text, span.start, span.start_row, span.start_column, encoding, shows_bom)
        end = _position(text, span.end, span.end_row, span.end_column, encoding, shows_bom)
    return types.Range(start, end)


def _position(text: bytes, offset: int, row: int, column: int, encoding: str, shows_bom: bool) -> types.Position:
    start = offset - column
    first = len(_BOM) if text.startswith(_BOM) else 0
    line = text[max(start, 0) : offset]
    begins = start == first if row == 0 else text[max(start - 1, 0) : start] in (b"\n", b"\r")
    if not begins or offset > len(text) or b"\n" in line or b"\r" in line:
        offset = max(first, min(offset, len(text)))
        row, start = 0, first
        for end in _LINE_END.finditer(text):
            if end.end() > offset:
                break
            row, start = row + 1, end.end()
        line = text[start:offset].rstrip(b"\r")  # never between \r and \n
    shown = len(line) if line.isascii() else units(_decode(line), encoding)
    return types.Position(row, shown + units("\ufeff", encoding) if row == 0 and first and shows_bom else shown)


def _decode(line: bytes) -> str:
    # One code point for each byte that is no UTF-8, so that the way back has the same length.
    return line.decode("utf-8", "surrogateescape")


# URIs and paths: the only door.


def to_path(uri: str, windows: bool = _WINDOWS) -> str | None:
    """Return the normalised absolute path of a file URI, or None for anything else."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    path = unquote(parts.path, errors="surrogateescape")
    if parts.scheme != "file" or not path.startswith("/") or "\0" in path:
        return None
    if parts.netloc not in ("", "localhost"):
        path = f"//{parts.netloc}{path}"
    elif windows and re.match(r"/[A-Za-z]:", path):
        # Editors disagree about the case of the drive letter (and about its colon: c%3A).
        path = path[1].lower() + path[2:]
    try:
        os.fsencode(path)
    except UnicodeEncodeError:  # half a surrogate pair names no file
        return None
    return ntpath.normpath(path) if windows else posixpath.normpath(path)


@lru_cache(_FILES)
def to_uri(path: str, windows: bool = _WINDOWS) -> str:
    """Return the file URI of an absolute path."""
    if not windows:
        return "file://" + quote(os.fsencode(path))
    path = path.replace("\\", "/")
    if path.startswith("//"):
        return "file:" + quote(path)
    return "file:///" + quote(path[:1].lower() + path[1:], safe="/:")


def root(uri: str) -> Root | None:
    """Return the workspace folder of a URI, or None if it is no folder of files."""
    path = to_path(uri)
    return None if path is None else Root(uri, path, os.path.realpath(path))


def locate(path: str, roots: Sequence[Root]) -> tuple[Root, str] | None:
    """Return the innermost folder around a path and the path inside it, with forward slashes."""
    real = None
    inner = sorted(roots, key=lambda each: len(each.path), reverse=True)
    for each in inner:
        if (relative := _inside(path, each.path)) is not None:
            return each, relative
    for each in inner:
        real = real or os.path.realpath(path)
        if (relative := _inside(real, each.real)) is not None:
            return each, relative
    return None


def in_workspace(uri: str, roots: Sequence[Root]) -> str | None:
    """Return the path of a file in a workspace folder as the engine names it; None for any other document."""
    path = to_path(uri)
    found = None if path is None else locate(path, roots)
    return None if found is None else join(found[0].real, found[1])


@lru_cache(_FILES)
def join(folder: str, relative: str) -> str:
    """Return the absolute path of a path inside a folder."""
    return os.path.normpath(os.path.join(folder, relative)) if relative else folder  # noqa: PTH118  (for each hit)


def _inside(path: str, folder: str) -> str | None:
    path_key, folder_key = os.path.normcase(path), os.path.normcase(folder)
    if path_key == folder_key:
        return ""
    prefix = folder_key if folder_key.endswith(os.sep) else folder_key + os.sep
    return path[len(prefix) :].replace(os.sep, "/") if path_key.startswith(prefix) else None


# Questions.


def query(params: protocol.SearchParams, roots: Sequence[Root]) -> ours.Query:
    """Return the question of sextant/search; raises RequestFailed for a scope or kinds that nothing can have."""
    return ours.Query(
        text=params.query,
        limit=params.limit or protocol.DEFAULT_LIMIT,
        filter=_filter(params, roots, _kinds(params.kinds or ())),
        explain=bool(params.explain),
    )


def similar(
    params: protocol.FindSimilarParams, shown: Shown | None, read: Read, encoding: str, roots: Sequence[Root]
) -> ours.Similar:
    """Return the question of sextant/findSimilar; may read a file, so it belongs off the event loop.

    Raises InvalidParams for an empty text and RequestFailed for a document that nobody can read.
    """
    found, text = ("", 0, 0), params.text or ""
    if params.text_document is not None and params.range is not None:
        found, own = place(params.text_document.uri, params.range, shown, read, encoding, roots)
        text = text or own
        if not found[0] and not text.strip():
            raise protocol.RequestFailed("This document is empty, or neither open nor in a workspace folder.")
    elif not text.strip():
        raise protocol.InvalidParams("params.text is empty: there is nothing to compare.")
    path, start, end = found
    return ours.Similar(
        path=path,
        start=start,
        end=end,
        text=text,
        language=params.language_id or (shown.language if shown else None) or "",
        limit=params.limit or protocol.DEFAULT_LIMIT,
        filter=_filter(params, roots, frozenset()),
        explain=bool(params.explain),
    )


def place(
    uri: str, where: types.Range, shown: Shown | None, read: Read, encoding: str, roots: Sequence[Root]
) -> tuple[tuple[str, int, int], str]:
    """Return (path, start, end) and the text selected.

    The path is "" where the index does not have the text that is shown (an untitled or ignored document); the text is
    then all of it if nothing is selected.
    """
    path = to_path(uri)
    found = None if path is None else locate(path, roots)
    indexed = read(found[0].real, found[1]) if found else None
    seen = indexed if shown is None else shown.text.encode("utf-8")
    if seen is None:
        return ("", 0, 0), ""
    shows_bom = shown is not None and shown.shows_bom
    start, end = sorted(offset_at(seen, edge, encoding, shows_bom) for edge in (where.start, where.end))
    selected = seen[start:end].decode("utf-8", "replace")
    if found and indexed is not None and (seen == indexed or not selected.strip()):
        return (join(found[0].real, found[1]), start, end), selected
    return ("", 0, 0), selected if selected.strip() else seen.decode("utf-8", "replace")


def _filter(
    params: protocol.SearchParams | protocol.FindSimilarParams, roots: Sequence[Root], kinds: frozenset[ours.Kind]
) -> ours.Filter:
    return ours.Filter(
        languages=frozenset(params.languages or ()),
        kinds=kinds,
        include=tuple(params.include or ()),
        exclude=tuple(params.exclude or ()),
        scope=None if params.scope is None else _scope(params.scope, roots),
    )


def _scope(uri: str, roots: Sequence[Root]) -> tuple[str, str] | None:
    path = to_path(uri)
    if path is None:
        raise protocol.InvalidParams("params.scope must be the URI of a file or folder (file://...).")
    if found := locate(path, roots):
        return found[0].real, found[1]
    within = [each for each in roots if _inside(each.path, path) is not None]
    if within and len(within) == len(roots):
        return None  # around the whole workspace: no limit
    if len(within) == 1:
        return within[0].real, ""
    raise protocol.RequestFailed(
        "The scope is not inside a workspace folder. Open its folder, or search without scope."
    )


def _kinds(wanted: Iterable[types.SymbolKind]) -> frozenset[ours.Kind]:
    numbers = {int(kind) for kind in wanted}
    known = frozenset(kind for kind in ours.Kind if int(kind) in numbers)
    if numbers and not known:
        names = ", ".join(types.SymbolKind(kind).name for kind in ours.Kind)
        raise protocol.RequestFailed(f"None of these kinds is indexed. Indexed are: {names}.")
    return known


# Answers.


class Places:
    """Remembers where definitions stand for the client while their files stay as they are; for any thread.

    The answers to a question that is being typed have much the same hits; to read their files and count columns takes a
    tenth of the time of an answer.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], tuple[object, Known]] = {}

    def of(self, folder: str, path: str, stamp: object | None) -> Known:
        """Return what is known of a file, to add to; `stamp` changes when the file does, None: nothing is kept."""
        if stamp is None:
            return {}
        kept = self._files.get((folder, path))
        if kept is None or kept[0] != stamp:
            if len(self._files) >= _FILES:
                self._files.clear()
            kept = self._files[folder, path] = stamp, {}
        return kept[1]


def search_result(
    found: ours.SearchResult, read: Read, view: View, known: Callable[[str, str], Known]
) -> protocol.SearchResult:
    """Return the wire form of a result; reads the files of its hits, so it belongs off the event loop."""
    texts: dict[tuple[str, str], bytes | None] = {}

    def text(folder: str, path: str) -> bytes | None:
        if (folder, path) not in texts:
            texts[folder, path] = read(folder, path)
        return texts[folder, path]

    return protocol.SearchResult(
        hits=[hit(each, text, view, known) for each in found.hits],
        is_incomplete=found.is_incomplete,
        generation=found.generation,
        low_confidence=found.low_confidence,
        origin=None if found.origin is None else hit(found.origin, text, view),
        notices=_notices(found) or None,
    )


def _notices(found: ours.SearchResult) -> list[str]:
    """Return what a user must know about an answer."""
    notices = list(found.notices)
    if found.is_incomplete:
        notices.append("Still indexing: the list is incomplete.")
    if found.low_confidence and found.hits:
        notices.append("Nothing matches well, these are guesses: try a verb and a noun, or fewer filters.")
    if not (found.hits or notices):
        notices.append("Nothing found: try other words, or fewer filters.")
    return notices


def hit(found: ours.Hit, read: Read, view: View, known: Callable[[str, str], Known] = lambda *_: {}) -> protocol.Hit:
    """Return the wire form of a found."""
    spelled = next((root.path for root in view.roots if root.real == found.folder), found.folder)
    shown = view.open.get(join(found.folder, found.path))
    uri, shows_bom = shown or (to_uri(join(spelled, found.path)), False)
    places = known(found.folder, found.path) if shown is None else {}

    def place(span: ours.Span) -> types.Range:
        if (there := places.get(span)) is None:
            there = places[span] = to_range(span, read(found.folder, found.path), view.encoding, shows_bom)
        return there

    return protocol.Hit(
        location=types.Location(uri, place(found.name_span)),
        target_range=place(found.span),
        name=found.name,
        container_name=found.container or None,
        signature=found.signature or None,
        detail=found.detail or None,
        kind=types.SymbolKind(found.kind),
        language_id=found.language,
        score=float(found.score),
        similarity=float(found.similarity),
        why=None if found.why is None else _why(found.why, place),
        copies=found.copies or None,
    )


def _why(why: ours.Why, to_wire: Callable[[ours.Span], types.Range]) -> protocol.Why:
    terms = [
        protocol.Term(
            each.term,
            float(each.weight),
            None if each.span is None else to_wire(each.span),
            float(each.dense),
            float(each.lexical),
        )
        for each in why.terms
    ]
    return protocol.Why(float(why.dense), float(why.lexical), terms)


def index_status(status: ours.Status, roots: Sequence[Root]) -> protocol.IndexStatus:
    """Return the wire form of the index's state, with the folders as the client spells them."""
    known = {folder.root: folder for folder in status.folders}
    # A folder the engine has not got to yet is there all the same: a client that waits must see it.
    folders = [known.get(root.real) or ours.FolderStatus(root.real, "opening", 0, 0, 0, {}, {}) for root in roots]
    return protocol.IndexStatus(
        protocol_version=protocol.PROTOCOL_VERSION,
        folders=[_folder_status(folder, root.uri) for folder, root in zip(folders, roots, strict=True)],
        generation=status.generation,
        encoder=status.encoder,
        backend=status.backend,
        resident_bytes=status.resident_bytes,
    )


def _folder_status(folder: ours.FolderStatus, uri: str) -> protocol.FolderStatus:
    return protocol.FolderStatus(
        uri=uri,
        state=folder.state,
        files=folder.files,
        units=folder.units,
        pending_files=folder.pending_files,
        skipped_files=sum(folder.skipped.values()),
        languages=dict(folder.languages),
        message=folder.message,
        encoded_units=folder.encoded,
        summary=_counts(folder),
    )


def _counts(folder: ours.FolderStatus) -> str:
    skipped = sum(folder.skipped.values())
    counts = [
        f"{folder.units:,} functions and types in {folder.files:,} files",
        f"{skipped:,} skipped" if skipped else "",
        f"{folder.pending_files:,} waiting" if folder.pending_files else "",
    ]
    return ", ".join(filter(None, counts))
