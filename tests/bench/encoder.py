"""Encoder bench: how long the base model takes to load, to encode functions and to embed questions.

usage: python -m tests.bench.encoder

Processor time of one thread, so that other work on the machine does not count; run it with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from server.model import benchmarks, encoder
from server.model.encoder import QUERY

LOADS, QUESTIONS = 9, 200


def main() -> int:
    """Print the figures."""
    loads = [_processor(encoder.load) for _ in range(LOADS)]
    model = encoder.load()
    passages = benchmarks.library_passages()
    model.encode(passages[::10])
    spent = _processor(lambda: model.encode(passages))
    fresh = encoder.load()
    cold = _processor(lambda: fresh.encode(passages))
    questions = [passage.documentation.split("\n")[0] for passage in passages if passage.documentation][:QUESTIONS]
    asked = _processor(lambda: [model.encode_query(question) for question in questions]) / len(questions)
    print(f"load: {statistics.median(loads) * 1e3:.0f} ms (best {min(loads) * 1e3:.0f} ms) of one processor")
    print(
        f"encode: {len(passages) / spent:,.0f} functions a second, {len(passages) / cold:,.0f} with no word seen before"
    )
    print(f"question: {asked * 1e3:.2f} ms; {len(passages):,} functions of Python's library")
    print(f"numpy and torch differ by {_difference(model, questions)} at most")
    return 0


def _processor(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def _difference(model: encoder.BagEncoder, questions: list[str]) -> str:
    try:
        import torch

        from server.model.network import BagNetwork, Batch
    except ImportError:
        return "(no torch here)"
    texts = [*(list(enumerate(one.fields())) for one in benchmarks.library_passages()[:1000])]
    texts += [[(QUERY, question)] for question in questions]
    bags = encoder.count(model.vocabulary, texts)
    with torch.no_grad():
        expected = BagNetwork(model.weights, 0.1)(Batch.of(bags, torch.device("cpu"))).numpy()
    return f"{np.abs(model.sums(texts) - expected).max():.1e}"


if __name__ == "__main__":
    sys.exit(main())
