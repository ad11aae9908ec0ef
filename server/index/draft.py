"""Draft: a text that is being typed; where it makes no sense at the moment, the units it had last are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from server.index.count import Bag
from server.index.parser import HERE, Parser
from server.types import Kind, Passage, Span, Unit

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of an open document with its units, those included that it has lost for the moment."""

    text: bytes
    language: str
    units: tuple[Unit, ...]
    bags: Mapping[Passage, Bag] = field(default_factory=dict)
    """The terms of its units: an edit changes one of them, and the others need not be counted again."""


def read(text: bytes, language: str, path: str, before: Draft | None, parser: Parser = HERE) -> Draft:
    """Return the units of a text and, of the text before it, those whose place it spoils with an error.

    A unit is kept while its name still stands there and nothing else is found at that name; a name that was edited or
    deleted takes its unit with it, and so does the end of the error.
    """
    units = parser.units(text, language, path)
    if before is None or before.language != language:
        return Draft(text, language, units)
    found = {unit.name_span.start for unit in units if unit.kind != Kind.MODULE}
    edit = _Edit.between(before.text, text)
    lost = [unit for unit in before.units if unit.kind != Kind.MODULE and _is_lost(edit.name_start(unit), found)]
    if lost:
        errors, lines = parser.errors(text, language), _line_starts(text)
        lost = [edit.moved(unit, text, lines) for unit in lost]
        lost = [unit for unit in lost if any(unit.span.start < end and begin < unit.span.end for begin, end in errors)]
    if lost:
        head = [unit for unit in units if unit.kind == Kind.MODULE]
        rest = [unit for unit in units if unit.kind != Kind.MODULE] + lost
        units = (*head, *sorted(rest, key=lambda unit: (unit.span.start, -unit.span.end)))
    return Draft(text, language, units)


@dataclass(frozen=True, slots=True)
class _Edit:
    """What happened between two texts: the bytes from `start` to `end` became others, and what follows moved."""

    start: int
    end: int
    shift: int

    @classmethod
    def between(cls, old: bytes, new: bytes) -> _Edit:
        start = _alike(old, new)
        most = min(len(old), len(new)) - start
        return cls(start, len(old) - min(most, _alike(old[::-1], new[::-1])), len(new) - len(old))

    def name_start(self, unit: Unit) -> int | None:
        """Return where the name of a unit stands now; None if the edit touched it."""
        name = unit.name_span
        return name.start if name.end <= self.start else name.start + self.shift if name.start >= self.end else None

    def moved(self, unit: Unit, text: bytes, lines: npt.NDArray[np.int64]) -> Unit:
        """Return a unit where it stands now."""
        name, name_start = unit.name_span, self.name_start(unit) or 0
        return replace(
            unit,
            name_span=_span(text, lines, name_start, name_start + name.end - name.start),
            span=_span(text, lines, self.place(unit.span.start), self.place(unit.span.end)),
        )

    def place(self, offset: int) -> int:
        """Return where an offset is now; one inside the edit stays inside."""
        if offset <= self.start:
            return offset
        return offset + self.shift if offset >= self.end else min(offset, self.end + self.shift)


def _is_lost(name_start: int | None, found: set[int]) -> bool:
    """Tell whether a name stands where nothing was found."""
    return name_start is not None and name_start not in found


def _alike(one: bytes, other: bytes) -> int:
    """Return how many bytes two texts have in common at their beginning."""
    most = min(len(one), len(other))
    differs = np.frombuffer(one, np.uint8, most) != np.frombuffer(other, np.uint8, most)
    return int(differs.argmax()) if differs.any() else most


def _line_starts(text: bytes) -> npt.NDArray[np.int64]:
    """Return where each line starts; lines end as the LSP has it."""
    codes = np.frombuffer(text, np.uint8)
    ends = codes == 10
    ends |= (codes == 13) & (np.append(codes[1:], 0) != 10)
    return np.concatenate(([0], np.flatnonzero(ends) + 1))


def _span(text: bytes, lines: npt.NDArray[np.int64], start: int, end: int) -> Span:
    rows = [int(np.searchsorted(lines, offset, "right")) - 1 for offset in (start, end)]
    mark = len(_BOM) if text.startswith(_BOM) else 0
    columns = [
        offset - int(lines[row]) - (mark if row == 0 else 0) for offset, row in zip((start, end), rows, strict=True)
    ]
    return Span(start, end, rows[0], max(0, columns[0]), rows[1], max(0, columns[1]))
