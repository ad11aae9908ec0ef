"""Draft: a text that is being typed; where it makes no sense at the moment, the units it had last are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from server.index.extract import extract, spoiled
from server.types import Kind, Span, Unit

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of an open document with its units, those included that it has lost for the moment."""

    text: bytes
    language: str
    units: tuple[Unit, ...]


def read(text: bytes, language: str, path: str, before: Draft | None) -> Draft:
    """Return the units of a text and, of the text before it, those whose place it spoils with an error.

    A unit is kept while its name still stands there and nothing else is found at that name; a name that was edited or
    deleted takes its unit with it, and so does the end of the error.
    """
    units = extract(text, language, path)
    if before is None or before.language != language:
        return Draft(text, language, units)
    found = {unit.name_span.start for unit in units if unit.kind != Kind.MODULE}
    lost = [unit for unit in _moved(before, text) if unit.name_span.start not in found]
    if lost:
        errors = spoiled(text, language)
        lost = [unit for unit in lost if any(unit.span.start < end and begin < unit.span.end for begin, end in errors)]
    if lost:
        head = [unit for unit in units if unit.kind == Kind.MODULE]
        rest = [unit for unit in units if unit.kind != Kind.MODULE] + lost
        units = (*head, *sorted(rest, key=lambda unit: (unit.span.start, -unit.span.end)))
    return Draft(text, language, units)


def _moved(before: Draft, text: bytes) -> Iterator[Unit]:
    """Yield the units of a text where another has them, one edit later; not those whose name the edit touched."""
    old = before.text
    start = _alike(old, text)
    most = min(len(old), len(text)) - start
    same = min(most, _alike(old[::-1], text[::-1]))
    end, shift = len(old) - same, len(text) - len(old)
    lines = _line_starts(text)

    def place(offset: int) -> int:
        return offset if offset <= start else offset + shift if offset >= end else min(offset, end + shift)

    for unit in before.units:
        name = unit.name_span
        if unit.kind != Kind.MODULE and (name.end <= start or name.start >= end):
            low = name.start if name.end <= start else name.start + shift
            moved = _span(text, lines, low, low + name.end - name.start)
            whole = _span(text, lines, place(unit.span.start), place(unit.span.end))
            yield replace(unit, name_span=moved, span=whole)


def _alike(one: bytes, other: bytes) -> int:
    """Return how many bytes two texts have in common at their beginning."""
    most = min(len(one), len(other))
    differs = np.frombuffer(one, np.uint8, most) != np.frombuffer(other, np.uint8, most)
    return int(differs.argmax()) if differs.any() else most


def _line_starts(text: bytes) -> list[int]:
    """Return where each line starts; lines end as the LSP has it."""
    codes = np.frombuffer(text, np.uint8)
    ends = codes == 10
    ends |= (codes == 13) & (np.append(codes[1:], 0) != 10)
    return [0, *(np.flatnonzero(ends) + 1).tolist()]


def _span(text: bytes, lines: list[int], start: int, end: int) -> Span:
    rows = [int(np.searchsorted(lines, offset, "right")) - 1 for offset in (start, end)]
    mark = len(_BOM) if text.startswith(_BOM) else 0
    columns = [offset - lines[row] - (mark if row == 0 else 0) for offset, row in zip((start, end), rows, strict=True)]
    return Span(start, end, rows[0], max(0, columns[0]), rows[1], max(0, columns[1]))
