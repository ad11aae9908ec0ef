"""Open documents: their text under incremental edits, and when the index is told of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable

from lsprotocol import types

from server.lsp import convert
from server.lsp.protocol import well_formed

DEBOUNCE = 0.05
"""Seconds of rest before an edit is indexed: shorter than a pause in typing, longer than a key's repeat."""

LARGE = 1_000_000
"""Characters from which a document is no usual source file."""

_LINE_END = re.compile(r"\r\n|\r|\n")
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")


def split_lines(text: str) -> list[str]:
    """Return the lines with their ends; the last has none and may be empty."""
    lines = _LINES.findall(text)
    if not lines or lines[-1][-1] in "\r\n":
        lines.append("")
    return lines


class Document:
    """The text an editor shows.

    pygls' own TextDocument splits lines at form feeds and U+2028 too, and so applies edits behind one at the wrong
    place (openlawlibrary/pygls#550); it also splits the whole text for every edit.
    """

    def __init__(self, item: types.TextDocumentItem, path: str | None) -> None:
        self.uri = item.uri
        self.path = path
        """As the engine names it; None for what lies in no workspace folder (untitled:, a library's source, ...)."""
        self.language = item.language_id or None
        self._text: str | None = well_formed(item.text)
        self._lines: list[str] | None = None
        """Cut at the first edit: most documents are only looked at, and lines take twice the room."""
        self.opened = self._text if len(self._text) <= LARGE else None
        """The text as it was opened, from which an edited function is told; None for a large one."""

    @property
    def text(self) -> str:
        """Return the whole text."""
        if self._text is None:
            self._text = "".join(self._lines or ())
        return self._text

    @property
    def is_large(self) -> bool:
        """Whether its memory is worth giving back when it is closed."""
        return len(self.text) > LARGE

    @property
    def shows_bom(self) -> bool:
        """Whether the editor counts a byte order mark as a character of the first line (most take it away)."""
        return (self._lines[0] if self._lines else self.text).startswith("\ufeff")

    @property
    def line_end(self) -> str:
        """Return how the first line ends."""
        found = _LINE_END.search(self.text)
        return found[0] if found else "\n"

    def line(self, number: int) -> str:
        """Return a line without its end; empty behind the last one."""
        lines = self._cut()
        return lines[number].rstrip("\r\n") if number < len(lines) else ""

    def _cut(self) -> list[str]:
        if self._lines is None:
            self._lines = split_lines(self.text)
        return self._lines

    def shown(self) -> convert.Shown:
        """Return what the editor shows now."""
        return convert.Shown(self.text, self.language, self.shows_bom)

    def edit(self, change: types.TextDocumentContentChangeEvent, encoding: str) -> None:
        """Apply one change of a didChange notification."""
        new = well_formed(change.text)
        if not isinstance(change, types.TextDocumentContentChangePartial):
            self._lines, self._text = None, new
            return
        lines = self._cut()
        self._text = None
        first, head = _locate(lines, change.range.start, encoding)
        last, tail = _locate(lines, change.range.end, encoding)
        if (last, tail) < (first, head):
            first, head, last, tail = last, tail, first, head
        middle = lines[first][:head] + new + lines[last][tail:]
        if first > 0 and lines[first - 1].endswith("\r") and middle.startswith("\n"):
            first -= 1  # what were two line ends is now one
            middle = lines[first] + middle
        cut = split_lines(middle)
        if last + 1 < len(lines):
            cut.pop()  # the middle ends with a line end, behind which the next line follows
        lines[first : last + 1] = cut


def _locate(lines: list[str], position: types.Position, encoding: str) -> tuple[int, int]:
    """Return (line, code points into it), clamped to the text."""
    if position.line >= len(lines):
        return len(lines) - 1, len(lines[-1])
    line = lines[position.line].rstrip("\r\n")
    return position.line, convert.points(line, position.character, encoding)


class Documents:
    """Owns the open documents and posts their newest text, at most once per pause in typing."""

    def __init__(self, post: Callable[[Document], None], drop: Callable[[str], None]) -> None:
        self._post = post
        self._drop = drop
        self._open: dict[str, Document] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def get(self, uri: str) -> Document | None:
        """Return the open document of this URI."""
        return self._open.get(uri)

    def all(self) -> list[Document]:
        """Return the open documents."""
        return list(self._open.values())

    def shown(self) -> dict[str, tuple[str, bool]]:
        """Return by path the URI of each open file and whether its byte order mark shows."""
        return {each.path: (each.uri, each.shows_bom) for each in self._open.values() if each.path is not None}

    def of_path(self, path: str) -> Document | None:
        """Return an open document of this file, however its URI is spelled."""
        return next((document for document in self._open.values() if document.path == path), None)

    def open(self, document: Document) -> None:
        """Take a document and post it at once."""
        self._open[document.uri] = document
        self._settle(document.uri)
        self._post(document)

    def change(
        self, uri: str, changes: Iterable[types.TextDocumentContentChangeEvent], encoding: str
    ) -> Document | None:
        """Apply edits and post the result after a pause; return None for a document that is not open."""
        document = self._open.get(uri)
        if document is not None:
            for change in changes:
                document.edit(change, encoding)
            self._settle(uri)
            self._timers[uri] = asyncio.get_running_loop().call_later(DEBOUNCE, self.flush, uri)
        return document

    def close(self, uri: str) -> None:
        """Let the file on disk count again, unless it is also open under another URI."""
        self._settle(uri)
        document = self._open.pop(uri, None)
        if document is None or document.path is None:
            return
        other = self.of_path(document.path)
        if other is None:
            self._drop(document.path)
        else:
            self._post(other)

    def flush(self, uri: str | None = None) -> None:
        """Post now what waits for its pause: one document, or all."""
        for waiting in list(self._timers) if uri is None else [uri]:
            if self._settle(waiting):
                self._post(self._open[waiting])

    def post_all(self) -> None:
        """Post every open document (to an engine, or a folder, that is new)."""
        for uri, document in self._open.items():
            self._settle(uri)
            self._post(document)

    def _settle(self, uri: str) -> bool:
        timer = self._timers.pop(uri, None)
        if timer is not None:
            timer.cancel()
        return timer is not None
