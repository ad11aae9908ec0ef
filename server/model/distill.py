"""Distillation: the vectors a sentence transformer gives to the corpus's texts, kept in a folder for the trainer."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from server.model import data, tokens
from server.model.encoder import ModelError
from server.model.lessons import cached, code_text, key
from server.model.transformer import text_of
from server.types import CancelToken, Passage

_log = logging.getLogger(__name__)

_HEADS, _LAYERS = 12, 6
_SHARD = 1024
"""Texts in one file: some ten seconds of work, or a minute of a busy machine's, which is what an interruption loses."""
_BATCH, _LETTERS = 64, 6_000
"""Texts encoded at once, or as many more as have so many letters together: words alone are short."""
_PIECES = 256
"""Word pieces the teacher was trained to read."""
_CHARACTERS = 16
"""More than any word piece needs of a text: it is cut before it is tokenized, not after."""
_WORDS = 60_000
"""The commonest subtokens are encoded alone, for the rows that training starts from."""


class Teacher:
    """A BERT of six layers with mean pooling, as all-MiniLM-L6-v2 is."""

    def __init__(self, folder: Path, pieces: int, is_coarse: bool = False, threads: int = 2) -> None:
        """`is_coarse` multiplies in bfloat16: twice as fast where the processor can, and two digits less exact.

        Raises ModelError.
        """
        torch.set_num_threads(threads)
        self._is_coarse = is_coarse
        try:
            self._weights = load_file(folder / "model.safetensors")
            self._tokenizer = Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
        except (OSError, ValueError, SafetensorError) as problem:
            raise ModelError(f"no teacher can be read from {folder} ({problem})") from problem
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(pieces)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return (n, 384) unit rows."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self._is_coarse):
            return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        encoded = [torch.tensor(one.ids) for one in self._tokenizer.encode_batch(list(texts))]
        ids = torch.nn.utils.rnn.pad_sequence(encoded, batch_first=True)
        real = torch.nn.utils.rnn.pad_sequence([torch.ones(len(one)) for one in encoded], batch_first=True)
        state = self._weights["embeddings.word_embeddings.weight"][ids]
        state = state + self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        state = self._norm(state + self._weights["embeddings.token_type_embeddings.weight"][0], "embeddings.")
        masked = ((1.0 - real) * -1e4)[:, None, None, :]
        for layer in range(_LAYERS):
            state = self._layer(state, masked, f"encoder.layer.{layer}.")
        pooled = (state * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        vectors: npt.NDArray[np.float32] = functional.normalize(pooled.float(), dim=1).numpy()
        return vectors

    def _layer(self, state: Tensor, masked: Tensor, name: str) -> Tensor:
        rows, length, width = state.shape
        query, key, value = (
            self._linear(state, f"{name}attention.self.{part}").view(rows, length, _HEADS, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=masked)
        mixed = self._linear(mixed.transpose(1, 2).reshape(rows, length, width), f"{name}attention.output.dense")
        state = self._norm(state + mixed, f"{name}attention.output.")
        inner = functional.gelu(self._linear(state, f"{name}intermediate.dense"))
        return self._norm(state + self._linear(inner, f"{name}output.dense"), f"{name}output.")

    def _linear(self, state: Tensor, name: str) -> Tensor:
        return functional.linear(state, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, state: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}LayerNorm.weight"], self._weights[f"{name}LayerNorm.bias"]
        return functional.layer_norm(state, weight.shape, weight, bias, 1e-12)


class SentenceEncoder:
    """The teacher as an encoder, to be measured beside what it taught; what it has read is kept in a folder."""

    dimensions = 384
    fingerprint = "teacher"

    def __init__(self, teacher: Teacher, folder: Path) -> None:
        """`folder`: vectors of this teacher, read to as many pieces and as coarsely."""
        self._teacher, self._folder = teacher, folder
        self._vectors: dict[int, npt.NDArray[np.float16]] = {}
        self._collect()

    def read(self, asked: Iterable[str | Passage]) -> None:
        """Encode what is asked for later, all together: one at a time it would take twice as long."""
        texts = [_readable(one) for one in asked]
        if any(key(text) not in self._vectors for text in texts):
            embed(self._teacher, texts, self._folder)
            self._collect()

    def encode(self, passages: Sequence[Passage]) -> npt.NDArray[np.float32]:
        """Return (n, 384) unit rows."""
        self.read(passages)
        rows = [self._vectors[key(_readable(passage))] for passage in passages]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.dimensions), np.float32)

    def encode_query(self, text: str, token: CancelToken | None = None) -> npt.NDArray[np.float32]:
        """Return a unit vector."""
        self.read([text])
        return self._vectors[key(_readable(text))].astype(np.float32)

    def explain(self, asked: str | Passage, vector: npt.NDArray[np.float32]) -> list[tuple[str, float]]:
        """Return nothing: its vectors are no sums."""
        return []

    def _collect(self) -> None:
        keys, vectors = cached(self._folder)
        self._vectors = dict(zip(keys.tolist(), vectors, strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Encode questions, names and bodies of the corpus with the teacher until all or enough are done."""
    parser = argparse.ArgumentParser(prog="python -m server.model.distill", description=main.__doc__)
    parser.add_argument("--teacher", type=Path, required=True, help="folder with model.safetensors and tokenizer.json")
    parser.add_argument("--pairs", type=Path, required=True, help="what server.model.corpus wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder for the vectors; what is there is kept")
    parser.add_argument("--exclude", type=Path, help="JSON list of Python functions that must not be trained on")
    parser.add_argument("--texts", type=int, default=1_000_000, help="stop after so many")
    parser.add_argument("--pieces", type=int, default=64, help="word pieces the teacher reads of a text")
    parser.add_argument("--coarse", action="store_true", help="bfloat16: twice as fast on processors that have it")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        excluded = data.excluded(options.exclude) if options.exclude else data.Excluded()
        teacher = Teacher(options.teacher, options.pieces, options.coarse, options.threads)
    except (OSError, ValueError, ModelError) as problem:
        parser.error(str(problem))
    corpus, _ = data.load(options.pairs, excluded).split()
    if not corpus.records:
        parser.error(f"--pairs {options.pairs} holds nothing to train on (some repositories are held out)")
    embed(teacher, list(_texts(corpus))[: options.texts], options.out)
    return 0


def embed(teacher: Teacher, texts: Sequence[str], out: Path) -> None:
    """Encode texts that the folder does not have yet, a file at a time."""
    out.mkdir(parents=True, exist_ok=True)
    done = set(cached(out)[0].tolist())
    todo = list({key(text): text for text in texts if key(text) not in done}.values())
    started = time.monotonic()
    for start in range(0, len(todo), _SHARD):
        shard = sorted(todo[start : start + _SHARD], key=len)  # texts of one length need no padding
        vectors = np.concatenate([teacher.encode(part) for part in _parts(shard)])
        keys = np.array([key(text) for text in shard], dtype=np.uint64)
        name = f"{int(keys.min()):016x}"
        save_arrays({"keys": keys, "vectors": vectors.astype(np.float16)}, out / f"{name}.tmp")
        (out / f"{name}.tmp").replace(out / f"{name}.safetensors")
        rate = (start + len(shard)) / (time.monotonic() - started)
        left = (len(todo) - start - len(shard)) / rate
        _log.info("%d of %d texts, %.0f a second, %.0f s left", start + len(shard), len(todo), rate, left)


def _readable(asked: str | Passage) -> str:
    """Return a question, or a passage as the product's own encoder of transformers reads it."""
    return (asked if isinstance(asked, str) else text_of(asked))[: _CHARACTERS * _PIECES]


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut texts, the shortest first, into batches."""
    start = 0
    while start < len(texts):
        size = max(_BATCH, _LETTERS // (1 + len(texts[start])))
        yield texts[start : start + size]
        start += size


def _texts(corpus: data.Corpus) -> Iterator[str]:
    """Yield the common words alone, then questions beside their code, then names and the other code."""
    words: Counter[str] = Counter()
    for record in corpus.records:
        words.update(set(tokens.subtokens(f"{record.name} {record.documentation} {record.body}")))
    yield from (word for word, _ in words.most_common(_WORDS))
    # Wherever this stops, the units it got to are a fair sample, and of each both sides are known.
    mixed = [corpus.records[number] for number in np.random.default_rng(0).permutation(len(corpus.records))]
    for record in mixed:
        if record.question:
            yield from (record.question, code_text(record))
    yield from (data.spoken(record.name) for record in mixed if record.name)
    yield from (code_text(record) for record in mixed if not record.question)


if __name__ == "__main__":
    raise SystemExit(main())
