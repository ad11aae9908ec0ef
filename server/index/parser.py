"""Parser: turns texts into units, in this process or in one apart; no text can end the server (invariant 14)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from server.index.apart import Apart, Died
from server.types import CancelToken, Kind, Passage, Span, Unit

if TYPE_CHECKING:
    from server.index.units import Range

KEPT = 300.0
"""Seconds for which the process that parses is kept for the next text; it takes 30 MB, and a third of one to start."""

# The grammars are imported where they are used: the server's process has none of them.


class Parser:
    """Parses where it is called: in processes that may die of a text, and for those who know their texts."""

    @property
    def is_running(self) -> bool:
        """Tell whether a process is kept for more."""
        return False

    def close(self, unless_used_for: float | None = None) -> None:
        """End the process for good; or for now, if it rested for so many seconds."""

    def units(self, data: bytes, language: str, path: str, token: CancelToken | None = None) -> tuple[Unit, ...]:
        """Return the units of a file."""
        return _units(data, language, path)

    def errors(self, data: bytes, language: str) -> list[Range]:
        """Return the ranges of a file in which errors may have hidden units."""
        return _errors(data, language)

    def stripped(self, passage: Passage, language: str) -> Passage:
        """Return a passage without documentation, comments and strings."""
        return _stripped(passage, language)


class ParserApart(Parser):
    """Parses in a process of its own; Died is raised for a text that ends it.

    Grammars are C code, and for some texts of a few kilobytes they take gigabytes in a single step, between two
    questions whether to go on.
    """

    def __init__(self, most_bytes: int) -> None:
        self._process = Apart(most_bytes)

    @property
    def is_running(self) -> bool:
        """Tell whether the process is kept for more."""
        return self._process.is_running

    def close(self, unless_used_for: float | None = None) -> None:
        """End the process for good; or for now, if it rested for so many seconds."""
        self._process.close(unless_used_for)

    def units(self, data: bytes, language: str, path: str, token: CancelToken | None = None) -> tuple[Unit, ...]:
        """Return the units of a file; raises Cancelled."""
        return _unpacked(self._process.run(_packed_units, data, language, path, token=token))

    def errors(self, data: bytes, language: str) -> list[Range]:
        """Return the ranges of a file in which errors may have hidden units."""
        return self._process.run(_errors, data, language)

    def stripped(self, passage: Passage, language: str) -> Passage:
        """Return a passage without documentation, comments and strings; only its name where that cannot be told."""
        try:
            return self._process.run(_stripped, passage, language)
        except Died:
            return replace(passage, documentation="", signature="", body="")


def _units(data: bytes, language: str, path: str) -> tuple[Unit, ...]:
    from server.index.extract import extract  # noqa: PLC0415

    return extract(data, language, path)


_Place = tuple[int, int, int, int, int, int]
_Packed = tuple[int, str, tuple[str, str, str, str, str], _Place, _Place]
"""A unit as plain tuples: frozen classes take five times as long from one process to another."""


def _packed_units(data: bytes, language: str, path: str) -> list[_Packed]:
    return [
        (int(unit.kind), unit.language, unit.passage.fields(), unit.name_span[:], unit.span[:])
        for unit in _units(data, language, path)
    ]


def _unpacked(packed: list[_Packed]) -> tuple[Unit, ...]:
    return tuple(
        Unit(Kind(kind), language, Passage(*passage), Span(*name_span), Span(*span))
        for kind, language, passage, name_span, span in packed
    )


def _errors(data: bytes, language: str) -> list[Range]:
    from server.index.extract import spoiled  # noqa: PLC0415

    return spoiled(data, language)


def _stripped(passage: Passage, language: str) -> Passage:
    from server.index.strip import stripped  # noqa: PLC0415

    return stripped(passage, language)


HERE = Parser()
