"""Choice: the encoder that the settings name."""

from __future__ import annotations

from pathlib import Path

from server.model import encoder
from server.model.encoder import ModelError
from server.types import Encoder

BASE = "base"
FOLDER = "folder:"
TRANSFORMER = "sentence-transformers:"


def is_valid(name: str) -> bool:
    """Tell whether a name has the form of an encoder's."""
    return name == BASE or any(name.startswith(kind) and name != kind for kind in (FOLDER, TRANSFORMER))


def check(name: str) -> None:
    """Raise ModelError where an encoder is certain not to load; this is quick, and does not load a transformer."""
    if name.startswith(TRANSFORMER):
        from server.model import transformer  # noqa: PLC0415

        transformer.find(name.removeprefix(TRANSFORMER))
    else:
        load(name)


def load(name: str) -> Encoder:
    """Load an encoder into this process; raises ModelError. Transformers belong into a child process."""
    if name == BASE:
        return encoder.load()
    if name.startswith(FOLDER):
        return encoder.load(Path(name.removeprefix(FOLDER)))
    if name.startswith(TRANSFORMER):
        from server.model import transformer  # noqa: PLC0415  (its libraries take seconds)

        return transformer.TransformerEncoder(transformer.find(name.removeprefix(TRANSFORMER)))
    raise ModelError(f"{name!r} is no encoder: write base, {FOLDER}<model folder> or {TRANSFORMER}<folder or hub name>")
