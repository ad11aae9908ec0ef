"""Similar: how alike the best answer of find-similar is, to functions of the same repository and of others.

usage: python -m tests.bench.similar FOLDER FOLDER [FOLDER ...] [--functions N]

From each repository some functions are drawn. Asked where they stand, most have a relative there; asked as text in
another repository, they have none. An answer is a guess below `LEAST_LIKENESS`; printed is how often that is said.
"""

from __future__ import annotations

import argparse
import random
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from server.index.lexical import FIELDS
from server.model import encoder
from server.model.judged import indexed
from server.snapshot import LEAST_LIKENESS, Snapshot
from server.types import CancelToken, Kind, Similar

KINDS = (Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR)
LEAST_WORDS = 12
BODY = FIELDS.index("body")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--functions", type=int, default=25, help="drawn from each folder")
    options = parser.parse_args()
    chance, token, model = random.Random(1), CancelToken(), encoder.load()
    own, other = list[float](), list[float]()
    with ExitStack() as stack:
        snapshots = [stack.enter_context(indexed(folder, model)) for folder in options.folders]
        drawn = [draw(snapshot, chance, options.functions) for snapshot in snapshots]
        for number, snapshot in enumerate(snapshots):
            own += [best(snapshot, place, token) for place, _ in drawn[number]]
            strangers = [text for at, found in enumerate(drawn) if at != number for _, text in found]
            asked = chance.sample(strangers, min(options.functions, len(strangers)))
            other += [best(snapshot, text, token) for text in asked]
    for title, values in (("its own repository", own), ("another one", other)):
        quantiles = np.quantile(values, [0.05, 0.1, 0.5, 0.9, 0.95]).round(2).tolist()
        guesses = np.mean(np.array(values) < LEAST_LIKENESS)
        print(
            f"{title:20} {len(values)} functions, likeness at 5, 10, 50, 90, 95 %: {quantiles}, a guess {guesses:.3f}"
        )


def draw(snapshot: Snapshot, chance: random.Random, count: int) -> list[tuple[Similar, Similar]]:
    """Return some functions, each by its place and as text."""
    found = []
    for layer in snapshot.layers:
        segment = layer.segment
        is_drawn = layer.live & np.isin(segment.kinds, KINDS) & (segment.lengths[:, BODY] > LEAST_WORDS)
        found += [(layer, row) for row in np.flatnonzero(is_drawn).tolist()]
    places = []
    for layer, row in chance.sample(found, min(count, len(found))):
        segment = layer.segment
        path, (_, span) = segment.paths[segment.file_of[row]], segment.row_spans(row)
        text = (snapshot.text(layer.folder, path) or b"")[span.start : span.end].decode("utf-8", "replace")
        language = segment.languages[segment.language_of[row]]
        place = Similar(f"{layer.folder}/{path}", span.start, span.end, limit=1)
        places.append((place, Similar(text=text, language=language, limit=1)))
    return places


def best(snapshot: Snapshot, asked: Similar, token: CancelToken) -> float:
    hits = snapshot.similar(asked, token).hits
    return hits[0].score if hits else 0.0


if __name__ == "__main__":
    main()
