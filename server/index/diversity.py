"""Diversity: scored candidates into a list whose every hit says something new; nothing relevant is hidden by it."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
_BODY = FIELDS.index("body")


@dataclass(frozen=True, slots=True)
class Scored:
    """A candidate with its score and what it is made of."""

    layer: Layer
    row: int
    score: float
    similarity: float
    lexical: float
    copies: int = 0
    """Other candidates that are copies of it and are not shown."""

    @property
    def path(self) -> str:
        """Return the path of its file."""
        segment = self.layer.segment
        return segment.paths[int(segment.file_of[self.row])]


def ordered(found: Candidates, scores: Column) -> list[Scored]:
    """Return candidates best first, equal ones by folder, path and position."""
    columns = (found.layer_of, found.rows, scores, found.cosines, found.words)
    scored = (
        Scored(found.layers[layer], row, score, cosine, words)
        for layer, row, score, cosine, words in zip(*(column.tolist() for column in columns), strict=True)
    )
    return sorted(scored, key=_order)


def collapsed(best: list[Scored]) -> list[Scored]:
    """Let the best of several copies stand for them all, and count the others."""
    kept: list[Scored] = []
    by_name: dict[tuple[int, int], list[int]] = {}
    for one in best:
        segment = one.layer.segment
        alike = by_name.setdefault((int(segment.names[one.row]), int(segment.kinds[one.row])), [])
        copied = next((number for number in alike if _are_copies(kept[number], one)), None)
        if copied is None:
            alike.append(len(kept))
            kept.append(one)
        else:
            kept[copied] = replace(kept[copied], copies=kept[copied].copies + 1)
    return kept


def spread(best: list[Scored], demotion: float) -> list[Scored]:
    """Put hits of one file that follow each other a little lower, each by `demotion` on the logistic scale."""
    seen: dict[tuple[str, str], int] = {}
    lowered = []
    for one in best:
        home = (one.layer.folder, one.path)
        before = min(seen.get(home, 0), _MOST_DEMOTED)
        seen[home] = before + 1
        odds = one.score / max(1.0 - one.score, 1e-9) * float(np.exp(-demotion * before))
        lowered.append(replace(one, score=round(odds / (1.0 + odds), 9)) if before else one)
    return sorted(lowered, key=_order)


def _are_copies(one: Scored, other: Scored) -> bool:
    first, second = one.layer.segment, other.layer.segment
    sizes = sorted((int(first.lengths[one.row][_BODY]), int(second.lengths[other.row][_BODY])))
    if sizes[0] < _LEAST_WORDS:
        return False
    if first.digests[one.row] == second.digests[other.row]:
        return True
    if (one.layer.folder, one.path) == (other.layer.folder, other.path) or sizes[0] < _SIZES * sizes[1]:
        return False
    # Equal in any history: float16 values multiply exactly in float64 (invariant 11).
    cosine = (first.vectors[one.row].astype(np.float64) * second.vectors[other.row]).sum()
    return bool(cosine >= NEAR)


def _order(scored: Scored) -> tuple[float, str, str, int]:
    return -scored.score, scored.layer.folder, scored.path, int(scored.layer.segment.spans[scored.row][6])
