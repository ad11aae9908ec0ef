"""Negatives: for each question a wrong answer that looks right, by its words (BM25) or by the model itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from server.model import data
from server.model.data import Counted
from server.model.encoder import Bags
from server.model.network import BagNetwork, Batch

_POOL = 4096
"""Records of one language that are looked through for each other's wrong answers."""
_NEAREST = 8
"""One of so many is drawn: the very nearest is too often right as well."""
_K1, _B = 1.2, 0.75


def by_words(counted: Counted, rows: npt.NDArray[np.int64], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return a wrong record (-1: none) for each of all records, for `rows` by BM25 among some thousand others."""
    found = np.full(len(counted), -1, dtype=np.int64)
    for pool in data.batches(counted.languages, rows, _POOL, random):
        found[pool] = _drawn(_bm25(data.take(counted.questions, pool), _bare(counted, pool)), pool, random)
    return found


@torch.no_grad()
def by_model(
    network: BagNetwork, counted: Counted, rows: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return a wrong record (-1: none) for each of all records, for `rows` by what the network finds nearest."""
    found = np.full(len(counted), -1, dtype=np.int64)
    device = network.rows.device
    for pool in data.batches(counted.languages, rows, _POOL, random):
        questions = network(Batch.of(data.take(counted.questions, pool), device))
        found[pool] = _drawn(questions @ network(Batch.of(_bare(counted, pool), device)).T, pool, random)
    return found


def _bare(counted: Counted, pool: npt.NDArray[np.int64]) -> Bags:
    return data.take(counted.passages, pool, np.full(len(pool), True))


def _drawn(scores: Tensor, pool: npt.NDArray[np.int64], random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw one of the nearest records of a pool for each, never itself. scores: (pool, pool)"""
    if len(pool) < 2:
        return np.full(len(pool), -1, dtype=np.int64)
    scores.fill_diagonal_(-np.inf)
    nearest = scores.topk(min(_NEAREST, len(pool) - 1), dim=1).indices.cpu().numpy()
    drawn: npt.NDArray[np.int64] = pool[
        nearest[np.arange(len(pool)), random.integers(nearest.shape[1], size=len(pool))]
    ]
    return drawn


def _bm25(questions: Bags, passages: Bags) -> Tensor:
    """Return the (questions, passages) BM25 scores."""
    asked, columns = np.unique(questions.tokens, return_inverse=True)
    places = np.searchsorted(asked, passages.tokens).clip(max=max(0, len(asked) - 1))
    known = asked[places] == passages.tokens if len(asked) else np.zeros(len(places), dtype=np.bool_)
    holders = np.repeat(np.arange(len(passages.starts) - 1), np.diff(passages.starts))
    lengths = np.bincount(holders, passages.counts, minlength=len(passages.starts) - 1)
    times = np.zeros((len(asked), len(lengths)), dtype=np.float32)
    np.add.at(times, (places[known], holders[known]), passages.counts[known])
    holding = (times > 0).sum(axis=1, keepdims=True)
    rarity = np.log1p((len(lengths) - holding + 0.5) / (holding + 0.5))
    times *= rarity / (times + _K1 * (1 - _B + _B * lengths / max(1.0, lengths.mean())))
    rows = np.repeat(np.arange(len(questions.starts) - 1), np.diff(questions.starts))
    cells = torch.from_numpy(np.stack((rows, columns.reshape(-1))))
    shape = (len(questions.starts) - 1, len(asked))
    words = torch.sparse_coo_tensor(cells, torch.ones(len(rows)), shape, check_invariants=False)
    scores: Tensor = torch.sparse.mm(words, torch.from_numpy(times))
    return scores
