"""Adapt: the base weights trained on one repository; as bytes to bytes, so that another machine can do it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from server.model import data
from server.model.corpus import Record
from server.model.data import Corpus
from server.model.encoder import Weights
from server.model.network import BagNetwork, Batch, pair_loss
from server.model.vocabulary import Vocabulary

_MASKED, _UNDOCUMENTED = 0.2, 0.5
"""Shares of the units that lose their name or their documentation, so that neither alone is relied on."""
_SPEED = {"rows": 1.0, "importance": 5.0, "fields": 0.0, "scale": 5.0}
"""Relative learning rates. The fields keep what the base model learned from more code than one workspace has."""
_TEXT = "text"
"""What of the material is no array: JSON, as bytes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a tuning run depends on, besides the workspace."""

    epochs: int = 12
    batch: int = 512
    rate: float = 4e-3
    temperature: float = 0.1
    names: float = 0.5
    """Questions by name for each question by documentation."""
    general: float = 1.0
    """General pairs for each pair of the workspace: practice against forgetting."""
    words: int = 4_000
    """Rows added for words of the workspace that the base model only knows in pieces."""
    seed: int = 1
    threads: int = 2


@dataclass(frozen=True, slots=True)
class Material:
    """Where training begins, and its examples."""

    vocabulary: Vocabulary
    weights: Weights
    corpus: Corpus
    """The repository."""
    practice: Corpus
    """General code."""
    settings: Settings


def train(material: Material, step: Callable[[float], None] = lambda done: None) -> Weights:
    """Return the weights after training on a corpus and some general pairs; the same for the same input."""
    settings, corpus, practice, vocabulary = material.settings, material.corpus, material.practice, material.vocabulary
    torch.set_num_threads(settings.threads)
    random = np.random.default_rng(settings.seed)
    mixed = Corpus(corpus.records + practice.records, corpus.repositories + practice.repositories)
    counted = data.counted(mixed, vocabulary)
    own = counted.asked[counted.asked < len(corpus.records)]
    other = counted.asked[counted.asked >= len(corpus.records)]
    named = np.flatnonzero(np.diff(counted.names.starts)[: len(corpus.records)])
    network = BagNetwork(material.weights, settings.temperature)
    groups = [{"params": [parameter], "speed": _SPEED[name]} for name, parameter in network.named_parameters()]
    optimizer = torch.optim.Adam(groups, lr=settings.rate)
    for epoch in range(settings.epochs):
        share = random.permutation(other)[: round(len(own) * settings.general)]
        by_name = random.permutation(named)[: round(len(own) * settings.names)]
        plan = [(counted.questions, rows, rows) for rows in _batches(np.concatenate((own, share)), settings, random)]
        plan += [(counted.names, rows, rows) for rows in _batches(by_name, settings, random)]
        others = np.arange(len(counted.about))
        plan += [(counted.others, rows, counted.about[rows]) for rows in _batches(others, settings, random)]
        for number, place in enumerate(random.permutation(len(plan))):
            done = (epoch + number / len(plan)) / settings.epochs
            step(done)
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * group["speed"] * min(1.0, 10 * done + 0.1, 1.0 - done)
            source, questions, rows = plan[place]
            # A name must not be found by itself, nor documentation by itself.
            masked = np.full(len(rows), True) if source is counted.names else random.random(len(rows)) < _MASKED
            is_shown = source is not counted.questions
            undocumented = random.random(len(rows)) < _UNDOCUMENTED if is_shown else np.full(len(rows), True)
            asked = data.take(source, questions)
            answers = data.take(counted.passages, rows + masked * len(counted), undocumented)
            vectors = network(Batch.of(data.joined(asked, answers), network.rows.device))
            loss = pair_loss(vectors[: len(rows)], vectors[len(rows) :], network.scale)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network.weights()


def learn(packed: bytes) -> bytes:
    """Return the packed weights that packed material teaches."""
    tensors = load_tensors(packed)
    text = json.loads(tensors.pop(_TEXT).tobytes())
    corpus, practice = (Corpus([_record(each) for each in one["records"]], one["places"]) for one in text["corpora"])
    given = Material(Vocabulary(text["vocabulary"]), Weights(**tensors), corpus, practice, Settings(**text["settings"]))
    return save_tensors(_arrays(train(given)))


def pack(material: Material) -> bytes:
    """Return material as bytes; of its files that has the units, not the paths."""
    corpora = [
        {"records": [asdict(each) for each in one.records], "places": [""] * len(one.records)}
        for one in (material.corpus, material.practice)
    ]
    text = {"vocabulary": list(material.vocabulary.entries), "corpora": corpora, "settings": asdict(material.settings)}
    return save_tensors(
        {**_arrays(material.weights), _TEXT: np.frombuffer(json.dumps(text).encode("ascii"), np.uint8).copy()}
    )


def unpack(packed: bytes) -> Weights:
    """Return the weights that `learn` packed."""
    return Weights(**load_tensors(packed))


def _arrays(weights: Weights) -> dict[str, npt.NDArray[np.float32]]:
    arrays = {"rows": weights.rows, "importance": weights.importance, "fields": weights.fields}
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}


def _record(fields: dict[str, object]) -> Record:
    return Record(**{**fields, "asked": tuple(fields["asked"])})  # type: ignore[arg-type]


def _batches(
    rows: npt.NDArray[np.int64], settings: Settings, random: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    if len(rows):
        yield from np.array_split(random.permutation(rows), max(1, round(len(rows) / settings.batch)))
