"""Diversity: scored candidates into a list whose every hit says something new; nothing relevant is hidden by it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from server.index.features import Candidates, Column
from server.index.layers import Layer
from server.index.lexical import FIELDS

NEAR = 0.98
"""The cosine from which units of one name and kind in two files count as copies that somebody has changed a little."""
_LEAST_WORDS = 8
"""Shorter bodies are alike by chance: `return self._name`."""
_SIZES = 0.85
"""What the shorter of two copies has of the longer one's words, at least."""
_MOST_DEMOTED = 3
"""Hits before it in the same file that tell against a hit; one more is no news."""
_SPARE = 4
"""Candidates looked at for each hit wanted; the others could not come so far up."""
_LEAST_SPARE = 100
_BODY = FIELDS.index("body")


class Scored(NamedTuple):
    """A candidate with its score and what it is made of."""

    layer: Layer
    row: int
    score: float
    similarity: float
    lexical: float
    at: int = -1
    """Its place among the candidates, if it is one of them."""
    copies: int = 0
    """Other candidates that are copies of it and are not shown."""

    @property
    def path(self) -> str:
        """Return the path of its file."""
        segment = self.layer.segment
        return segment.paths[int(segment.file_of[self.row])]


def ordered(found: Candidates, scores: Column, limit: int) -> list[Scored]:
    """Return candidates best first, equal ones by folder, path and position: enough of them for so many hits."""
    room = max(_LEAST_SPARE, _SPARE * limit)
    chosen = np.arange(len(scores))
    if len(chosen) > room:
        chosen = np.flatnonzero(scores >= np.partition(scores, len(scores) - room)[len(scores) - room])
    columns = (found.layer_of, found.rows, scores, found.cosines, found.words, np.arange(len(scores)))
    scored = [
        Scored(found.layers[layer], *rest)
        for layer, *rest in zip(*(column[chosen].tolist() for column in columns), strict=True)
    ]
    # Paths are looked up for equal scores alone.
    has_equals = len(np.unique(scores[chosen])) < len(chosen)
    return sorted(scored, key=_order if has_equals else _score)


def collapsed(found: Candidates, best: list[Scored]) -> list[Scored]:
    """Let the best of several copies stand for them all, and count the others."""
    segments = [layer.segment for layer in found.layers]
    chosen = np.array([one.at for one in best], dtype=np.int64)
    names = found.gather([segment.names for segment in segments])[chosen]
    kinds = found.gather([segment.kinds for segment in segments])[chosen]
    sizes = found.gather([segment.lengths[:, _BODY] for segment in segments])[chosen]
    kept: list[Scored] = []
    copies: list[int] = []
    by_name: dict[int, list[tuple[int, int]]] = {}
    for one, called, size in zip(best, (names ^ kinds).tolist(), sizes.tolist(), strict=True):
        alike = by_name.setdefault(called, [])
        copied = next((number for number, other in alike if _are_copies(kept[number], other, one, size)), None)
        if copied is None:
            alike.append((len(kept), size))
            kept.append(one)
            copies.append(0)
        else:
            copies[copied] += 1
    if len(kept) == len(best):
        return best
    return [one._replace(copies=count) if count else one for one, count in zip(kept, copies, strict=True)]


def spread(found: Candidates, best: list[Scored], demotion: float, limit: int) -> list[Scored]:
    """Return so many hits, those of a file a little lower for each better one, by `demotion` on the logistic scale."""
    seen: dict[int, int] = {}
    factors = [math.exp(-demotion * before) for before in range(_MOST_DEMOTED + 1)]
    lowered: list[tuple[float, int]] = []
    home_of = found.files.of[[one.at for one in best]].tolist() if best else ()
    for number, (one, home) in enumerate(zip(best, home_of, strict=True)):
        before = seen.get(home, 0)
        seen[home] = min(before + 1, _MOST_DEMOTED)
        if not before:
            lowered.append((-one.score, number))
            continue
        odds = one.score / max(1.0 - one.score, 1e-9) * factors[before]
        lowered.append((-round(odds / (1.0 + odds), 9), number))
    # Equal scores keep the order they had.
    return [best[number]._replace(score=-score) for score, number in sorted(lowered)[:limit]]


def _are_copies(one: Scored, size: int, other: Scored, other_size: int) -> bool:
    """Tell whether two units of one name and kind, with bodies of so many words, are copies."""
    low, high = (size, other_size) if size < other_size else (other_size, size)
    if low < _LEAST_WORDS or low < _SIZES * high:
        return False
    first, second = one.layer.segment, other.layer.segment
    if first.digests[one.row] == second.digests[other.row]:
        return True
    if (one.layer.folder, one.path) == (other.layer.folder, other.path):
        return False
    # Equal in any history: float16 values multiply exactly in float64 (invariant 11).
    cosine = (first.vectors[one.row].astype(np.float64) * second.vectors[other.row]).sum()
    return bool(cosine >= NEAR)


def _score(scored: Scored) -> float:
    return -scored.score


def _order(scored: Scored) -> tuple[float, str, str, int]:
    return -scored.score, scored.layer.folder, scored.path, int(scored.layer.segment.spans[scored.row, 6])
