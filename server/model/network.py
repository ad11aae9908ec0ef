"""The network: what `encoder.py` computes, in torch, with its losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from server.model.encoder import ORDER, ORDERS, Bags, Weights, turns
from server.model.letters import spelled

Device = torch.device


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts as tensors; entry i says that token `tokens[i]` stands in `fields[i]` with weight `saturated[i]`."""

    tokens: Tensor
    """(entries,) int64"""
    offsets: Tensor
    """(n,) int64: where each text's entries start"""
    fields: Tensor
    """(entries,) int64"""
    saturated: Tensor
    """(entries,) float32: 1 + log(count)"""

    @classmethod
    def of(cls, bags: Bags, device: Device) -> Batch:
        """Copy counted texts to a device."""
        return cls(
            torch.from_numpy(bags.tokens.astype(np.int64)).to(device),
            torch.from_numpy(np.ascontiguousarray(bags.starts[:-1])).to(device),
            torch.from_numpy(bags.fields.astype(np.int64)).to(device),
            torch.from_numpy(bags.saturated()).to(device),
        )


class BagNetwork(nn.Module):
    """A weighted bag of tokens; weights are kept as logarithms so that they stay above 0.

    With `entries`, the vocabulary's, a token's row is its own plus those of the letters it shares with others
    (Bojanowski et al. 2017), so that what is learned of "parse" is learned of "parser" too: a rare token else learns
    little more than the repositories it stands in. The sum is what is saved; serving knows nothing of letters.
    """

    numbers: Tensor
    starts: Tensor
    shares: Tensor

    def __init__(self, weights: Weights, temperature: float, entries: Sequence[str] = ()) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.from_numpy(weights.rows.copy()))
        self._has_letters = bool(entries)
        if entries:
            own = spelled(entries)
            self.letters = nn.Parameter(torch.zeros(own.size, weights.rows.shape[1]))
            for name, array in (("numbers", own.numbers), ("starts", own.starts), ("shares", own.shares)):
                self.register_buffer(name, torch.from_numpy(array), persistent=False)
        self.importance = nn.Parameter(torch.from_numpy(np.log(weights.importance)))
        self.fields = nn.Parameter(torch.from_numpy(np.log(weights.fields)))
        self.scale = nn.Parameter(torch.tensor(float(np.log(1.0 / temperature))))

    def table(self) -> Tensor:
        """Return the (tokens, dimensions) rows as they serve."""
        if not self._has_letters:
            return self.rows
        return self.rows + functional.embedding_bag(
            self.numbers, self.letters, self.starts, mode="sum", per_sample_weights=self.shares
        )

    def forward(self, batch: Batch) -> Tensor:
        """Return (n, dimensions) unit rows; zeros for a text without tokens."""
        size, texts = len(self.rows), len(batch.offsets)
        order, tokens = batch.tokens // size, batch.tokens % size
        weights = (self.fields[batch.fields] + self.importance[tokens]).exp() * batch.saturated
        # Three bags for each text, so that the large gradient of the rows is still built once.
        lengths = torch.diff(batch.offsets, append=batch.offsets.new_tensor([len(tokens)]))
        own = torch.arange(texts, device=tokens.device)
        bags = torch.repeat_interleave(own, lengths, output_size=len(tokens)) * ORDERS + order
        bags, sorting = bags.sort(stable=True)
        offsets = torch.searchsorted(bags, torch.arange(texts * ORDERS, device=tokens.device))
        sums = functional.embedding_bag(
            tokens[sorting], self.table(), offsets, mode="sum", per_sample_weights=weights[sorting]
        ).view(texts, ORDERS, -1)
        total = sums[:, 0]
        for kind, (places, signs) in enumerate(turns(self.rows.shape[1]), 1):
            turned = sums[:, kind, torch.from_numpy(places).to(sums.device)]
            total = total + turned * (torch.from_numpy(signs).to(sums.device) * ORDER)
        return functional.normalize(total, dim=1)

    def weights(self) -> Weights:
        """Return a copy of the weights as numpy has them."""
        with torch.no_grad():
            return Weights(
                self.table().cpu().numpy().copy(),
                self.importance.exp().cpu().numpy(),
                self.fields.exp().cpu().numpy(),
            )


def pair_loss(questions: Tensor, passages: Tensor, scale: Tensor) -> Tensor:
    """Score how badly each question finds its own passage among the batch's, and each passage its question.

    questions: (n, dimensions) unit rows; passages: (n + wrong ones, dimensions); scale: logarithm of the inverse
    temperature.
    """
    logits = questions @ passages.T * scale.exp().clamp(max=100.0)
    own = torch.arange(len(logits), device=logits.device)
    back = logits[:, : len(questions)].T
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(back, own)) / 2


def teacher_loss(vectors: Tensor, teacher: Tensor, projection: Tensor, sharpness: float) -> Tensor:
    """Score how far vectors are from a teacher's, each alone and in whom they resemble within the batch.

    vectors: (n, dimensions) unit rows; teacher: (n, 384) unit rows; projection: (384, dimensions);
    sharpness: the inverse temperature of the similarity distribution.
    """
    apart = 1.0 - (vectors * functional.normalize(teacher @ projection, dim=1)).sum(dim=1).mean()
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    wanted = (teacher @ teacher.T * sharpness).masked_fill(itself, -1e4).softmax(dim=1)
    found = (vectors @ vectors.T * sharpness).masked_fill(itself, -1e4).log_softmax(dim=1)
    return apart + functional.kl_div(found, wanted, reduction="batchmean")
