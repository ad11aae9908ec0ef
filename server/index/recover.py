"""Recovery: where to start again in a file with errors, so that a half-typed line costs its neighbours nothing."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from server.index.units import Found, Matches, Range

_START = re.compile(
    rb"^([ \t]*)(?!(?:end|else|elif|elsif|except|rescue|ensure|finally|catch|when|case|default|and|or)\b|\w+:\s*$)"
    rb"(?:(@|#\[|\[.*\][ \t\r]*$)|[A-Za-z_$~\x80-\xff])",
    re.M,
)
"""A line that may begin a definition: not one that goes on with a statement, nor a label.

Group 2 tells annotations, which belong to the line after them.
"""
_EMPTY = re.compile(rb"\n[ \t\r]*\n")
_CLOSING = re.compile(rb"^([ \t]*)(?:[})\]]|end\b)", re.M)


def pieces(text: bytes, within: Range, level: int = 0) -> Iterator[Range]:
    """Yield the runs of lines that may stand alone: each begins at the left margin and goes to the next that does.

    The margin is column 0, or at a deeper level the least indentation below the first line of the range.
    """
    begin, end = within
    start = (text.find(b"\n", begin, end) + 1 or end) if level else begin
    starts = [(_indent(line[1]), line) for line in _START.finditer(text, start, end)]
    margin = min((indent for indent, _ in starts), default=0) if level else 0
    begins: list[int] = []
    annotation: int | None = None
    for indent, line in starts:
        if indent == margin:
            if annotation is None or _EMPTY.search(text, annotation, line.start()):
                begins.append(line.start())
            annotation = line.start() if line[2] else None
    if begins and level:
        # What closes the whole is no part of the last of its pieces.
        closings = (line for line in _CLOSING.finditer(text, begins[-1], end) if _indent(line[1]) < margin)
        end = next((line.start() for line in closings), end)
    yield from zip(begins, [*begins[1:], end], strict=False)  # none begins: none ends


def without(extent: Range, holes: Iterable[Range]) -> Iterator[Range]:
    """Yield what some holes, in order, leave of a range."""
    begin, end = extent
    for hole in holes:
        if hole[0] > begin:
            yield begin, hole[0]
        begin = hole[1]
    if begin < end:
        yield begin, end


def touches(piece: Range, ranges: Sequence[Range]) -> bool:
    """Tell whether a piece and one of some ranges, in order, have something in common."""
    at = bisect_right(ranges, piece[1], key=lambda each: each[0]) - 1
    return at >= 0 and ranges[at][1] > piece[0]


def accept(
    text: bytes, known: Matches, piece: Matches, extent: Range, outermost: bool, holes: Sequence[Range] = ()
) -> None:
    """Add what was found in a piece that parses by itself without error to what the whole file said.

    What reaches into the piece from the same margin was not closed, and ends before it. At column 0 the piece is
    right where both disagree about what it holds. It says nothing of what is in its holes.
    """
    begin, end = extent
    new = {found.name[0]: found for found in piece.found}
    if not any(found.is_unit for found in piece.found):
        return
    margin = min(_column(text, found.start) for found in piece.found)
    kept: list[Found] = []
    starts = [hole[0] for hole in holes]
    for found in known.found:
        if (hole := _around(found.name[0], holes, starts)) is not None:
            if found.name[1] > hole[1]:
                continue
            found.start, found.end = max(found.start, hole[0]), min(found.end, hole[1])
            found.body = (min(found.body[0], found.end), min(found.body[1], found.end)) if found.body else None
        elif begin <= found.name[0] < end:
            if outermost:
                continue
            new.pop(found.name[0], None)
        elif found.is_unit and _column(text, found.start) >= margin:
            _yield_to(found, extent)
        kept.append(found)
    known.found = [*kept, *new.values()]
    stood = {lead.start for lead in known.leads}
    known.leads = [
        *(lead for lead in known.leads if lead.end <= begin or lead.start >= begin),
        *(lead for lead in piece.leads if lead.start not in stood),
    ]


def _yield_to(found: Found, extent: Range) -> None:
    """Cut a unit that reaches into a piece which does not belong to it."""
    begin, end = extent
    if found.start < end <= found.name[0]:
        found.start = end
    elif found.name[0] < begin < found.end:
        found.end = begin
        found.name = (found.name[0], min(found.name[1], begin))
        found.body = (min(found.body[0], begin), min(found.body[1], begin)) if found.body else None


def _around(offset: int, ranges: Sequence[Range], starts: Sequence[int]) -> Range | None:
    """Return the range that an offset is in; they are in order."""
    at = bisect_right(starts, offset) - 1
    return ranges[at] if at >= 0 and offset < ranges[at][1] else None


def _indent(white: bytes) -> int:
    """Return how wide the white space before a line is."""
    return len(white.expandtabs(4))


def _column(text: bytes, offset: int) -> int:
    """Return the column of an offset."""
    return offset - text.rfind(b"\n", 0, offset) - 1
