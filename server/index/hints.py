"""Hints: which filter lets nothing pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from server.index.layers import Layer
from server.index.question import spoken
from server.index.search import mask_of
from server.types import Filter

_MOST = 3
"""Of what is wrong, all that is said at once."""


def unmet(layers: Sequence[Layer], wanted: Filter) -> tuple[str, ...]:
    """Say which filter lets nothing pass; nothing where some code passes them all."""

    def passes(part: Filter) -> bool:
        return any(mask_of(layer, part).any() for layer in layers)

    if not passes(Filter()):
        return ("no code is indexed here",)
    parts = replace(wanted, fields=frozenset())
    if parts == Filter() or passes(parts):
        return ()
    around = Filter(scope=wanted.scope)
    if wanted.scope is not None and not passes(around):
        return (f"nothing is indexed in {wanted.scope[1] or wanted.scope[0]}",)
    said = []
    if wanted.languages and not passes(replace(around, languages=wanted.languages)):
        there = ", ".join(_languages(layers, around)) or "nothing"
        said.append(f"there is no {' or '.join(spoken(wanted.languages))} here, only {there}")
    if wanted.kinds and not passes(replace(around, kinds=wanted.kinds)):
        said.append(f"there is no {' or '.join(sorted(kind.name.lower() for kind in wanted.kinds))} here")
    for glob in wanted.include:
        if not passes(replace(around, include=(glob,))):
            said.append(f"no file here matches path:{glob[:40]}")
    return tuple(said[:_MOST]) or ("no code here passes all of the filters",)


def _languages(layers: Sequence[Layer], around: Filter) -> list[str]:
    """Return the languages of some code."""
    found = set()
    for layer in layers:
        segment = layer.segment
        found |= {segment.languages[number] for number in set(segment.language_of[mask_of(layer, around)].tolist())}
    return sorted(found)
