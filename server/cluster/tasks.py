"""Tasks: what a worker runs; pure functions, the same inline and on a cluster.

A node needs no more than what is imported here, so that is as little as can be: NEEDED says it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from server.model import choice
from server.model.choice import BASE, FOLDER, TRANSFORMER
from server.model.encoder import VOCABULARY_FILE, WEIGHTS_FILE, ModelError, base_folder
from server.types import Encoder, Passage

MARK = "SEXTANT_SCRATCH"
"""The variable by which every process of a job on this machine is known; its value is the job's scratch folder."""
NEEDED = ("numpy", "safetensors")
NEEDED_FOR_TUNING = (*NEEDED, "torch", "tree-sitter", "pathspec", "platformdirs")
NEEDED_FOR_TRANSFORMERS = (*NEEDED, "torch", "sentence-transformers")

_loaded: dict[str, Encoder] = {}
"""In a worker: the encoder it has loaded."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A model as bytes: what is sent to a cluster once."""

    kind: str
    """What stands before the folder in an encoder's name."""
    fingerprint: str
    files: Mapping[str, bytes]


def weights_of(name: str, fingerprint: str) -> Weights:
    """Read the model that an encoder's name stands for; raises ModelError."""
    try:
        if name.startswith(TRANSFORMER):
            from server.model import transformer  # noqa: PLC0415

            found = transformer.files(transformer.find(name.removeprefix(TRANSFORMER)))
            return Weights(TRANSFORMER, fingerprint, {part: path.read_bytes() for part, path in found})
        folder = base_folder() if name == BASE else Path(name.removeprefix(FOLDER))
        parts = (WEIGHTS_FILE, VOCABULARY_FILE)
        return Weights(FOLDER, fingerprint, {part: (folder / part).read_bytes() for part in parts})
    except OSError as error:
        raise ModelError(f"The model {name} cannot be read ({error.strerror}).") from error


def load(weights: Weights) -> Encoder:
    """Load a model from its bytes; raises ModelError, also when what is loaded is not what was sent."""
    with tempfile.TemporaryDirectory(prefix="sextant-model-", dir=os.environ.get(MARK)) as folder:
        for name, data in weights.files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        loaded = choice.load(f"{weights.kind}{folder}")
    if loaded.fingerprint != weights.fingerprint:
        raise ModelError("The cluster's Sextant makes another encoder of the same model: install the same version.")
    return loaded


def pack(passages: Sequence[Passage]) -> bytes:
    """Return passages as bytes: a cluster gets text, never objects."""
    return json.dumps([passage.fields() for passage in passages]).encode("ascii")


def encode(encoder: Encoder, packed: bytes) -> bytes:
    """Return the float16 rows of some passages as bytes."""
    rows = encoder.encode([Passage(*fields) for fields in json.loads(packed)])
    return rows.astype(np.float16).tobytes()


def work(weights: Sequence[Any], fingerprint: str, packed: bytes) -> bytes:
    """Encode a batch, in a worker of Ray's; the model comes once a worker from the object store."""
    encoder = _loaded.get(fingerprint)
    if encoder is None:
        import ray  # noqa: PLC0415

        _loaded.clear()
        encoder = _loaded[fingerprint] = load(ray.get(weights[0]))
    return encode(encoder, packed)


def train(material: bytes) -> bytes:
    """Train a repository model, in a worker of Ray's: bytes to bytes, no objects."""
    from server.model import adapt  # noqa: PLC0415

    return adapt.learn(material)


def versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of some packages; "" for what is not installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "present" if importlib.util.find_spec(name.replace("-", "_")) else ""
    return found
