"""Print what tuning to a repository brings: held-out documentation and questions with known answers, before and after.

usage: python -m tests.bench.tune REPOS_JSON ANNOTATIONS CHECKOUTS NAME...

Questions: NDCG@10 over files, by meaning alone and by the whole search with the shipped ranking. That ranking has
learned from such questions, so only the differences say something; tuning itself sees no question. One repository has
20 of them: differences below .03 are noise. A model that is declined is never used, so nothing changes there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from server.config import Settings
from server.index.features import NAMES
from server.index.rank import shipped
from server.model import encoder, tune
from server.model.encoder import BagEncoder
from server.model.judged import Source, indexed, ndcg, sources
from server.model.ranker import Examples
from server.types import CancelToken, Query

ASKED = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repos", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("names", nargs="+")
    options = parser.parse_args()
    print(f"{'':10} {'held-out MRR':>16} {'general':>15} {'meaning alone':>16} {'whole search':>16}  processor time")
    for source in sources(options.repos, options.annotations, options.checkouts, options.names):
        show(source, options.checkouts / source.name, encoder.load())


def show(source: Source, checkout: Path, base: BagEncoder) -> None:
    """Tune to a whole checkout, as a user opens it; the questions are about the part of it that they name."""
    started = sum(os.times()[:4])
    with tempfile.TemporaryDirectory(prefix="sextant-bench-") as home:
        out = Path(home, "model")
        try:
            found = tune.tune(base, checkout.resolve(), Settings(), out, CancelToken())
        except tune.TooLittle as problem:
            print(f"{source.name:10} {problem}")
            return
        took = sum(os.times()[:4]) - started
        before = asked(source, base)
        after = asked(source, encoder.load(out)) if found.accepted else before
    pairs = [
        (found.before, found.after),
        (found.general_before, found.general_after),
        *zip(before, after, strict=True),
    ]
    figures = " ".join(f"{first:8.3f} > {second:.3f}" for first, second in pairs)
    print(f"{source.name:10} {figures}  {took:.0f} s, {'accepted' if found.accepted else 'declined'}", flush=True)


def asked(source: Source, model: BagEncoder) -> tuple[float, float]:
    """Return the NDCG@10 of a repository's questions, by meaning alone and by the whole search."""
    examples, whole = Examples(shipped().fields), []
    with indexed(source.root, model) as snapshot:
        for example in source.examples:
            examples.add(example, snapshot, source.prefix)
            hits = snapshot.search(Query(example.text, ASKED), CancelToken()).hits
            whole.append(ndcg([source.prefix + hit.path for hit in hits], example.wanted))
    meaning = []
    for example, matrix, files in zip(examples.asked, examples.matrices, examples.files, strict=True):
        order = np.argsort(-matrix[:, NAMES.index("cosine")], kind="stable")
        meaning.append(ndcg([files[at] for at in order], example.wanted))
    return float(np.mean(meaning)), float(np.mean(whole))


if __name__ == "__main__":
    main()
