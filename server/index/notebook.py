"""Notebooks: the code in the cells of a Jupyter notebook, and where each byte of it stands in the file."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from server.index.languages import NOTEBOOK
from server.index.units import FEWEST_WORDS, LONGEST_BODY, WORD, Range, module_name
from server.types import Kind, Passage, Span, Unit

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.?)*(?:"|\Z)|[{}\[\],:]', re.S)
"""A string that nothing closes reaches to the end: looked for again at each quote, it would take the time squared."""
_PIECE = re.compile(rb"[^\\]+|\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u\w{4}|\\.", re.S)
_MAGIC = re.compile(rb"^[ \t]*[%!?](?=[%\w])[^\n]*", re.M)
"""Commands to the notebook, which are no Python."""
_LANGUAGE = re.compile(rb'"language_info"\s*:\s*\{(?:[^{}]|\{[^{}]*\})*?"name"\s*:\s*"(\w+)"')
_BETWEEN = b"\n\n"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LONGEST_SAID = 2_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell."""

    extent: Range
    """Where its source is in the code of the notebook."""
    said: str
    """What the text above it says."""


@dataclass(slots=True)
class Notebook:
    """The code of a notebook as one text."""

    language: str
    text: bytes = b""
    cells: list[Cell] = field(default_factory=list)
    code: bytes = b""
    """The text without commands to the notebook."""
    _starts: list[int] = field(default_factory=list)
    """Where the runs of the text begin: bytes that stand in the file as they are, or one escape."""
    _places: list[Range] = field(default_factory=list)
    """Where those stand in the file."""

    def in_file(self, extent: Range) -> Range:
        """Return where a range of the text is in the file."""
        start = self._place(extent[0])[0]
        return start, max(start, self._place(extent[1] - 1)[1] if extent[1] > extent[0] else start)

    def _place(self, offset: int) -> Range:
        """Return where one byte of the text is in the file."""
        run = bisect_right(self._starts, offset) - 1
        if run < 0:
            return 0, 0
        start, end = self._places[run]
        length = (self._starts[run + 1] if run + 1 < len(self._starts) else len(self.text)) - self._starts[run]
        at = start + offset - self._starts[run]
        return (at, at + 1) if length == end - start else (start, end)


def read(data: bytes) -> Notebook:
    """Return the code of a notebook; what is no notebook has none."""
    found = _LANGUAGE.search(data)
    notebook = Notebook((found[1] if found else b"python").decode().lower())
    text, said = bytearray(), list[str]()
    for kind, literals in _cells(data):
        if kind != b'"code"':
            said += [
                "".join(piece.decode(errors="replace") for literal in literals for piece, *_ in _pieces(data, literal))
            ]
            continue
        begin = len(text)
        for literal in literals:
            for piece, start, end in _pieces(data, literal):
                notebook._starts.append(len(text))
                notebook._places.append((start, end))
                text += piece
        if len(text) > begin:
            notebook.cells.append(Cell((begin, len(text)), "\n\n".join(said)))
            notebook._starts.append(len(text))
            notebook._places.append((literals[-1][1], literals[-1][1]))
            text += _BETWEEN
        said = []
    notebook.text = notebook.code = bytes(text)
    if notebook.language == "python":
        notebook.code = _MAGIC.sub(lambda line: b" " * len(line[0]), notebook.text)
    return notebook


def _cells(data: bytes) -> Iterator[tuple[bytes, list[Range]]]:
    """Yield the type of each cell, and where the strings of its source are, without their quotes."""
    keys, opened = list[bytes](), list[bytes]()
    kind, literals, is_key = b"", list[Range](), False
    for token in _TOKEN.finditer(data):
        sign = token[0][:1]
        if sign in b"{[":
            opened.append(sign)
            keys.append(b"")
            is_key = sign == b"{"
            if len(opened) == 3:
                kind, literals = b"", []
        elif sign in b"}]":
            if len(opened) == 3 and keys[0] == b'"cells"' and kind:
                yield kind, literals
            if opened:
                opened.pop(), keys.pop()
        elif sign in b",:":
            is_key = sign == b"," and opened[-1:] == [b"{"]
        elif is_key and keys:
            keys[-1] = token[0]
        elif len(opened) in {3, 4} and keys[0] == b'"cells"':
            if keys[2] == b'"cell_type"' and len(opened) == 3:
                kind = token[0]
            elif keys[2] == b'"source"':
                literals.append((token.start() + 1, token.end() - 1))


def _pieces(data: bytes, literal: Range) -> Iterator[tuple[bytes, int, int]]:
    """Yield what a JSON string says, run by run, with where each run is."""
    for piece in _PIECE.finditer(data, *literal):
        said = piece[0]
        if said.startswith(b"\\"):
            try:
                said = json.loads(b'"' + said + b'"').encode(errors="replace")
            except ValueError:
                said = b"?"
        yield said, piece.start(), piece.end()


def in_notebook(notebook: Notebook, units: Sequence[Unit], data: bytes, path: str) -> tuple[Unit, ...]:
    """Return the definitions in a notebook's code, and each cell that is more, where they are in the file."""
    lines = [0, *(line.end() for line in _LINE_END.finditer(data))]

    def moved(extent: Range) -> Span:
        start, end = notebook.in_file(extent)
        first, last = bisect_right(lines, start) - 1, bisect_right(lines, end) - 1
        return Span(start, end, first, start - lines[first], last, end - lines[last])

    found = [
        replace(
            unit,
            language=NOTEBOOK,
            name_span=moved((unit.name_span.start, unit.name_span.end)),
            span=moved((unit.span.start, unit.span.end)),
        )
        for unit in units
        if unit.kind is not Kind.MODULE
    ]
    extents = sorted((unit.span.start, unit.span.end) for unit in units if unit.kind is not Kind.MODULE)
    for cell in notebook.cells:
        begin, end = cell.extent
        rest = bytearray()
        for extent in [*extents[bisect_left(extents, (begin, 0)) : bisect_left(extents, (end, 0))], (end, end)]:
            rest += notebook.text[begin : max(begin, extent[0])]
            begin = max(begin, extent[1])
        code = rest.decode(errors="replace").strip()
        if len(WORD.findall(code)) >= FEWEST_WORDS:
            passage = Passage(module_name(path), "", "", cell.said[:_LONGEST_SAID].strip(), code[:LONGEST_BODY])
            span = moved(cell.extent)
            found.append(
                Unit(
                    Kind.MODULE,
                    NOTEBOOK,
                    passage,
                    span._replace(end=span.start, end_row=span.start_row, end_column=span.start_column),
                    span,
                )
            )
    return tuple(sorted(found, key=lambda unit: (unit.span.start, -unit.span.end, unit.name_span.start)))
