"""Duplicates: how many copied functions are found, and how many others are taken for copies.

usage: python -m tests.bench.duplicates [--functions N] [--show] [FOLDER ...]

From each folder's functions some are drawn. A copy of each is made, with its variables renamed and then also lightly
edited (a line taken out, one put in, a number or an operator changed), and compared with the folder as if it were typed
anew: recall is the share whose original is found. Then the functions themselves are compared with the rest of their
folder. What is found there and does not have the same tokens but for names and values counts against precision.
The limits in server/index/clones.py and server/lsp/duplicates.py were chosen on Python's standard library.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from server.config import Settings
from server.engine import Engine
from server.index import clones, flags
from server.lsp import duplicates
from server.model import encoder
from server.snapshot import Snapshot
from server.types import CancelToken, Hit, Kind, Passage, Similar

WORD = re.compile(r"(?<![\w.\"'])([a-z_]\w{0,30})\b(?!\s*[(:\"'])")
RENAMED = 0.7
"""Share of the variables that get another name."""
Function = tuple[Hit, str, Passage]


def functions(snapshot: Snapshot, count: int, seed: random.Random) -> Iterator[Function]:
    """Yield some functions that are large enough, with their text."""
    places = [
        (layer, int(row))
        for layer in snapshot.layers
        for row in np.flatnonzero(layer.live)
        if int(layer.segment.kinds[row]) in (Kind.FUNCTION, Kind.METHOD)
    ]
    seed.shuffle(places)
    for layer, row in places:
        path = layer.segment.paths[layer.segment.file_of[row]]
        data = snapshot.text(layer.folder, path) or b""
        low, high = (int(number) for number in layer.segment.spans[row][6:8])
        text = data[low:high].decode("utf-8", "replace")
        hit = snapshot.unit_at(str(Path(layer.folder, path)), int(layer.segment.spans[row][0]))
        if hit is None or hit.span.start != low or flags.path_class(path)[0]:
            continue
        if clones.shape(text, hit.language).size < clones.LEAST_TOKENS:
            continue
        yield hit, text, Passage(name=hit.name, container=hit.container)
        count -= 1
        if not count:
            return


def renamed(text: str, hit: Hit, vocabulary: list[str], seed: random.Random) -> str:
    """Give the function and most of its variables other names, which the folder uses elsewhere."""
    head, _, tail = text.partition(hit.name)
    words = sorted(set(WORD.findall(tail)) - clones.KEYWORDS)
    chosen = {word: seed.choice(vocabulary) for word in words if seed.random() < RENAMED}
    tail = re.sub(r"(?<![\w.])([A-Za-z_]\w*)\b", lambda found: chosen.get(found[1], found[1]), tail)
    return f"{head}{seed.choice(vocabulary)}{tail}"


def edited(text: str, seed: random.Random) -> str:
    """Change up to three things, as somebody does who adapts a copy."""
    lines = text.split("\n")
    for _ in range(seed.randint(1, 3)):
        at = seed.randrange(1, len(lines)) if len(lines) > 1 else 0
        kind = seed.randrange(4)
        if kind == 0 and len(lines) > 6 and not lines[at].rstrip().endswith((":", "{", "(", ",")):
            del lines[at]
        elif kind == 1:
            indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
            lines.insert(at, f"{indent}log(step, {seed.randrange(9)})")
        elif kind == 2:
            lines[at] = re.sub(r"\b\d+\b", str(seed.randrange(100)), lines[at])
        else:
            lines[at] = lines[at].replace("==", "!=").replace(" < ", " <= ").replace(" + ", " - ")
    return "\n".join(lines)


def same_tokens(one: str, other: str, language: str) -> bool:
    return clones.structure(clones.shape(one, language), clones.shape(other, language)) > 0.99


def measure(folder: Path, count: int, show: bool) -> tuple[list[int], list[str]]:
    """Return (copies, found renamed, found edited, functions, natural, same tokens) and the natural ones in words."""
    seed = random.Random(1)
    with tempfile.TemporaryDirectory() as data:
        engine = Engine(Settings(), encoder.load(), Path(data))
        engine.add_folder(str(folder))
        engine.start()
        engine.wait_idle()
        snapshot, token = engine.snapshot, CancelToken()
        found = [0] * 6
        said: list[str] = []
        drawn = list(functions(snapshot, count, seed))
        vocabulary = sorted({word for _, text, _ in drawn for word in WORD.findall(text)} - clones.KEYWORDS)
        for hit, text, passage in drawn:
            copies = [renamed(text, hit, vocabulary, seed) for _ in range(2)]
            for number, copy in ((1, copies[0]), (2, edited(copies[1], seed))):
                shape = clones.shape(copy, hit.language)
                asked = Similar(text=copy, language=hit.language, limit=duplicates.CANDIDATES)
                twin = duplicates.nearest_twin(snapshot, asked, Passage(name="?"), shape, token)
                found[number] += twin is not None
                if show and number == 2 and twin is None:
                    near = {(each.path, each.span): each for each in snapshot.similar(asked, token).hits}
                    own = near.get((hit.path, hit.span))
                    original = clones.shape(text, hit.language)
                    said.append(
                        f"  missed {hit.path} {hit.name}: cosine {own.similarity if own else 0:.2f} structure "
                        f"{clones.structure(shape, original):.2f} names {clones.names(shape, original):.2f}"
                    )
            found[0] += 1
            start = hit.name_span.start
            asked = Similar(path=str(Path(hit.folder, hit.path)), start=start, end=start, limit=duplicates.CANDIDATES)
            shape = clones.shape(text, hit.language)
            twin = duplicates.nearest_twin(snapshot, asked, passage, shape, token)
            found[3] += 1
            if twin is not None:
                other = (snapshot.text(twin.folder, twin.path) or b"")[twin.span.start : twin.span.end].decode()
                same = same_tokens(text, other, hit.language)
                found[4] += 1
                found[5] += same
                alike = clones.structure(shape, clones.shape(other, twin.language))
                names = clones.names(shape, clones.shape(other, twin.language))
                said.append(
                    f"  {'same' if same else 'near'} {hit.path} {hit.name} = {twin.path} {twin.name}: cosine "
                    f"{twin.similarity:.2f} structure {alike:.2f} names {names:.2f}"
                )
        engine.close()
    return found, said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path(sysconfig.get_paths()["stdlib"])])
    parser.add_argument("--functions", type=int, default=300)
    parser.add_argument("--show", action="store_true", help="name every function that was taken for a copy, or missed")
    options = parser.parse_args()
    print(f"{'folder':40} recall: renamed  edited   found among the others  same tokens  precision")
    totals = np.zeros(6, int)
    for folder in options.folders:
        found, said = measure(folder.resolve(), options.functions, options.show)
        totals += found
        report(folder.name, found)
        if options.show:
            print("\n".join(said))
    report("all", totals.tolist())


def report(name: str, found: list[int]) -> None:
    copies, as_renamed, as_edited, others, natural, same = found
    true = as_renamed + as_edited + same
    false = natural - same
    print(
        f"{name[:40]:40} {as_renamed / copies:15.3f} {as_edited / copies:7.3f} {natural:12} of {others:5} {same:12}"
        f" {true / max(true + false, 1):10.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
