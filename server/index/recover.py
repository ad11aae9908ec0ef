"""Recovery: where to start again in a file with errors, so that a half-typed line costs its neighbours nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from server.index.units import Found, Matches, Range

_START = re.compile(
    rb"^([ \t]*)(?!(?:end|else|elif|elsif|except|rescue|ensure|finally|catch|when|case|default|and|or)\b|\w+:\s*$)"
    rb"[A-Za-z_$~\x80-\xff]",
    re.M,
)
"""A line that may begin a definition: not one that goes on with a statement, nor a label."""


def pieces(text: bytes, within: Iterable[Range], level: int = 0) -> Iterator[Range]:
    """Yield the runs of lines that may stand alone: each begins at the left margin and goes to the next that does.

    The margin is column 0, or at a deeper level the least indentation below the first line of the range.
    """
    for begin, end in within:
        start = (text.find(b"\n", begin, end) + 1 or end) if level else begin
        starts = [(len(line[1].expandtabs(4)), line.start()) for line in _START.finditer(text, start, end)]
        margin = min((indent for indent, _ in starts), default=0) if level else 0
        begins = [begin for indent, begin in starts if indent == margin]
        yield from zip(begins, [*begins[1:], end], strict=False)  # none begins: none ends


def accept(text: bytes, known: Matches, piece: Matches, extent: Range, outermost: bool) -> None:
    """Add what was found in a piece that parses by itself without error to what the whole file said.

    What reaches into the piece from the same margin was not closed, and ends before it. At column 0 the piece is
    right also where both disagree about what it holds.
    """
    begin, end = extent
    new = {found.name[0]: found for found in piece.found}
    if not any(found.is_unit for found in piece.found):
        return
    margin = min(_column(text, found.start) for found in piece.found)
    kept: list[Found] = []
    for found in known.found:
        if begin <= found.name[0] < end:
            agrees = found.name[0] in new and found.end <= end
            if outermost and not agrees:
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
        found.body = (min(found.body[0], begin), min(found.body[1], begin)) if found.body else None


def _column(text: bytes, offset: int) -> int:
    """Return the column of an offset."""
    return offset - text.rfind(b"\n", 0, offset) - 1
