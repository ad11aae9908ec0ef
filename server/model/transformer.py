"""Transformer: an encoder run by the sentence-transformers library; only child processes load it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from server.model.encoder import ModelError
from server.model.tokens import subtokens
from server.process import install_command
from server.types import CancelToken, Passage, Vectors

_VERSION = 1
"""Part of every fingerprint: raise it with any change of what text is encoded, or how."""
_CHARACTERS_A_TOKEN = 16
"""More than any tokenizer needs; a longer text is cut before it is tokenized, not after."""
_GPU_BATCH = 64
_FILES = (".json", ".safetensors", ".txt", ".model", ".py")
"""What decides a model's vectors."""

for _name, _value in (
    # Sextant itself never goes online: a model is a folder, or was downloaded by its user.
    ("HF_HUB_OFFLINE", "1"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
    ("TRANSFORMERS_VERBOSITY", "error"),
    ("TOKENIZERS_PARALLELISM", "false"),
    ("TQDM_DISABLE", "1"),
):
    os.environ.setdefault(_name, _value)


class TransformerEncoder:
    """Encodes with a sentence transformer, each text by itself and on one thread.

    So a text has the same vector whatever stands beside it (invariant 11), on processors of one kind; on a CPU batches
    are no faster, since they are padded. On a GPU, where they are, vectors agree to rounding only.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import torch  # noqa: PLC0415
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415
        except ImportError as error:
            raise _lacking(error.name) from error
        self._on_gpu = torch.cuda.is_available()
        torch.set_num_threads(1)
        try:
            self._model = SentenceTransformer(
                os.fspath(folder),
                device="cuda" if self._on_gpu else "cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},  # never a pickle
            )
        except Exception as error:  # four libraries read a folder that may be anything, each with errors of its own
            reason = str(error).strip().partition("\n")[0][:200]
            raise ModelError(f"{folder} is no sentence transformer that can be loaded: {reason}") from error
        self._fingerprint = fingerprint(folder)
        self._longest = _CHARACTERS_A_TOKEN * (self._model.max_seq_length or 512)

    @property
    def fingerprint(self) -> str:
        """Name the space: a digest of the model's files and of how texts are made of passages."""
        return self._fingerprint

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""
        return int(self._model.get_embedding_dimension() or 0)

    def encode(self, passages: Sequence[Passage]) -> Vectors:
        """Return (n, dimensions) unit rows of float16 values; a zero row for an empty passage."""
        texts = [text_of(passage)[: self._longest] for passage in passages]
        size = _GPU_BATCH if self._on_gpu else 1
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        filled = [number for number, text in enumerate(texts) if text]
        if filled:
            rows[filled] = self._model.encode_document(
                [texts[number] for number in filled],
                batch_size=size,
                show_progress_bar=False,
                normalize_embeddings=True,
            )
        return _stored(rows)

    def encode_query(self, text: str, token: CancelToken | None = None) -> Vectors:
        """Return a unit vector (dimensions,) of float16 values; zeros for an empty question."""
        if not text.strip():
            return np.zeros(self.dimensions, dtype=np.float32)
        return _stored(
            self._model.encode_query(text[: self._longest], show_progress_bar=False, normalize_embeddings=True)
        )

    def explain(self, asked: str | Passage, vector: Vectors) -> list[tuple[str, float]]:
        """Return nothing: a transformer's cosine is not a sum over words."""
        return []


def text_of(passage: Passage) -> str:
    """Return a passage as one text, what says most first: models cut what is too long."""
    name = " ".join(subtokens(f"{passage.container} {passage.name}"))
    return "\n".join(part for part in (name, passage.documentation, passage.signature, passage.body) if part.strip())


def find(name: str) -> Path:
    """Return the folder of a model: the folder that is named, else what the hub's local cache holds under the name."""
    folder = Path(name).expanduser()
    if (folder / "modules.json").is_file() or (folder / "config.json").is_file():
        if importlib.util.find_spec("sentence_transformers") is None:
            raise _lacking("sentence_transformers")
        return folder.resolve()
    if folder.is_absolute() or folder.exists() or name.count("/") > 1:
        raise ModelError(f"{folder} holds no model: it has neither modules.json nor config.json.")
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise _lacking(error.name) from error
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ModelError(
            f"{name} is neither a folder nor a model that was downloaded; download it once with: hf download {name}"
        ) from error


def _lacking(package: str | None) -> ModelError:
    return ModelError(f"This encoder needs {package}; install it with: {install_command('transformers')}")


def fingerprint(folder: Path) -> str:
    """Return the digest of the files that decide a model's vectors; raises ModelError where they cannot be read."""
    digest = hashlib.blake2b(f"sentence-transformers {_VERSION}".encode(), digest_size=16)
    try:
        for name, path in files(folder):
            digest.update(name.encode("utf-8", "surrogatepass") + b"\0")
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    except OSError as error:
        raise ModelError(f"The model in {folder} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()


def files(folder: Path) -> list[tuple[str, Path]]:
    """Return the files of a model with their names relative to its folder, in a fixed order."""
    found = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.suffix in _FILES]
    return sorted((name, path) for name, path in found if path.is_file() and not name.startswith((".", "onnx/")))


def _stored(vectors: Vectors) -> Vectors:
    return np.asarray(vectors).astype(np.float16).astype(np.float32)
