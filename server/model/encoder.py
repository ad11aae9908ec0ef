"""The numpy encoder that serves: a weighted bag of tokens, one space for questions and code.

vector = normalise( sum over fields f and tokens t of  fields[f] * importance[t] * (1 + log tf) * rows[t] )

A bag has no order; so that "int to string" is not "string to int", the words beside a connective stand in it twice: as
they are, and with their row turned by a fixed permutation that tells what comes from what (Sahlgren et al. 2008).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from server.model import tokens
from server.model.vocabulary import Vocabulary
from server.types import FIELDS, CancelToken, Passage, Vectors

WEIGHTS_FILE = "model.safetensors"
VOCABULARY_FILE = "vocabulary.txt"
ORDERS, ORDER = 3, 0.5
"""A token as it is, as what something is made from, and as what it is made into; and the weight of the latter two,
chosen on development questions (base/card.md)."""
QUERY = len(FIELDS)
"""The field number of a question; a passage's fields have the numbers of their place in FIELDS."""
_BASE = Path(__file__).parent / "base"
_BODY = FIELDS.index("body")
"""Code has no connectives but those in names."""
_BATCH = 256
"""Passages counted at once: enough to spread numpy's call costs, few enough to stay in the caches."""


class ModelError(Exception):
    """Says why a model folder cannot be used and what to do about it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What training found."""

    rows: npt.NDArray[np.float32] | npt.NDArray[np.int8]
    """(tokens, dimensions): where each token points; as int8 if there are scales."""
    importance: npt.NDArray[np.float32]
    """(tokens,): how much each token matters, above 0."""
    fields: npt.NDArray[np.float32]
    """(len(FIELDS) + 1,): how much each field matters, the question last, above 0."""
    scales: npt.NDArray[np.float32] | None = None
    """(tokens,): what the numbers of a row are to be multiplied by."""

    def check(self, size: int) -> None:
        """Raise ValueError unless the arrays belong together and to a vocabulary of `size` tokens."""
        if self.rows.ndim != 2 or self.rows.shape[0] != size or self.importance.shape != (size,):
            raise ValueError(f"rows {self.rows.shape} and importance {self.importance.shape} for {size} tokens")
        if self.fields.shape != (len(FIELDS) + 1,):
            raise ValueError(f"{self.fields.shape} field weights for {len(FIELDS) + 1} fields")
        if not all(np.isfinite(array).all() for array in (self.rows, self.importance, self.fields)):
            raise ValueError("weights that are not finite")


@dataclass(frozen=True, slots=True)
class Bags:
    """Texts as counted tokens: entry i of `tokens` stands `counts[i]` times in field `fields[i]` of its text."""

    starts: npt.NDArray[np.int64]
    """(n + 1,): the entries of text i are starts[i]:starts[i + 1], ordered by field, then token."""
    tokens: npt.NDArray[np.int32]
    """A token's id, or that plus once or twice the size of the vocabulary (`Vocabulary.ordered`)."""
    fields: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.int32]

    def saturated(self) -> npt.NDArray[np.float32]:
        """Return 1 + log(count): the tenth repetition of a word says less than the first."""
        return (1.0 + np.log(self.counts)).astype(np.float32)


def count(vocabulary: Vocabulary, texts: Sequence[Iterable[tuple[int, str]]]) -> Bags:
    """Count the tokens of texts that are given as (field number, text) parts; training and serving share it."""
    numbers: list[list[int]] = []
    segments: list[int] = []
    width = len(FIELDS) + 1
    for row, parts in enumerate(texts):
        for number, text in parts:
            if text:
                ids = vocabulary.ids(text)
                numbers.append(ids + vocabulary.ordered(ids) if number != _BODY else ids)
                segments.append(row * width + number)
    sizes = np.fromiter(map(len, numbers), dtype=np.int64, count=len(numbers))
    flat = np.fromiter(chain.from_iterable(numbers), dtype=np.int64, count=int(sizes.sum()))
    size = ORDERS * max(1, len(vocabulary))
    keys = np.repeat(np.asarray(segments, dtype=np.int64), sizes) * size + flat
    keys, counts = np.unique(keys, return_counts=True)
    segment, token = np.divmod(keys, size)
    row_of, number_of = np.divmod(segment, width)
    starts = np.searchsorted(row_of, np.arange(len(texts) + 1))
    return Bags(starts, token.astype(np.int32), number_of.astype(np.uint8), counts.astype(np.int32))


@cache
def turns(dimensions: int) -> tuple[tuple[npt.NDArray[np.int64], Vectors], ...]:
    """Return for what something is made from, and for what it is made into, a fixed turn: row[places] * signs.

    Dimensions move far, because neighbours may vary alike, and change their sign at random, so that nothing common is
    left; each half keeps to itself, which the shipped weights were chosen with.
    """
    drawn = np.frombuffer(hashlib.shake_256(b"order").digest(2 * dimensions), dtype=np.uint8)
    signs = np.where(drawn < 128, np.float32(-1), np.float32(1)).reshape(2, dimensions)
    halves = np.array_split(np.arange(dimensions), 2)
    return tuple(
        (np.concatenate([np.roll(half, part * len(half) // 3) for half in halves]), sign)
        for part, sign in zip((1, 2), signs, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A question or a passage taken apart, to share its cosines among its words."""

    rows: npt.NDArray[np.float64]
    """(entries, dimensions): what each entry adds to the unit vector."""
    entries: list[tuple[int, int]]
    """The field and the token of each, whatever its order."""
    words: list[tuple[str, list[tuple[tuple[int, int], float]]]]
    """Each word with its share in the entries of its tokens."""
    own: npt.NDArray[np.float64]
    """The vector as it is stored."""


class BagEncoder:
    """Encodes passages and questions with a table of token vectors; immutable, so any thread may use it."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        weights: Weights,
        fingerprint: str,
        opener: Callable[[], BagEncoder] | None = None,
    ) -> None:
        weights.check(len(vocabulary))
        self.opener = opener
        """Opens the same encoder in another process, if it lies in a folder."""
        self.vocabulary = vocabulary
        self._rows, self._scales = weights.rows, weights.scales
        self._importance, self._fields = weights.importance, weights.fields
        self._fingerprint = fingerprint
        self._weighed = lru_cache(maxsize=4)(self._weigh)  # each hit of an answer is explained by the same question

    @property
    def weights(self) -> Weights:
        """Return what training found, up to rounding."""
        return Weights(_unscaled(self._rows, self._scales), self._importance, self._fields)

    @property
    def fingerprint(self) -> str:
        """Name the space: a digest of weights, vocabulary and tokenizer version."""
        return self._fingerprint

    @property
    def dimensions(self) -> int:
        """Return the length of a vector."""
        return int(self._rows.shape[1])

    def _total(self, numbers: npt.NDArray[np.int64], orders: npt.NDArray[np.int64], factors: Vectors) -> Vectors:
        """Return the (dimensions,) sum of the rows of some tokens, each times its factor and turned as its order says.

        The table stays as int8: a server would need 21 MB more for float32 rows, to use few of them.
        """
        if not orders.any():
            total: Vectors = factors @ self._rows[numbers].astype(np.float32, copy=False)
            return total
        total = np.zeros(self.dimensions, dtype=np.float32)
        for kind in range(ORDERS):
            chosen = np.flatnonzero(orders == kind)
            if not len(chosen):
                continue
            part = factors[chosen] @ self._rows[numbers[chosen]].astype(np.float32, copy=False)
            if kind:
                places, signs = turns(self.dimensions)[kind - 1]
                part = part[places] * (signs * np.float32(ORDER))
            total += part
        return total

    def encode(self, passages: Sequence[Passage]) -> Vectors:
        """Return (n, dimensions) unit rows; a zero row where no token is known.

        The values are float16 numbers in float32 arrays, so that storing them as float16 loses nothing, and a
        passage's row does not depend on the passages beside it.
        """
        vectors = np.empty((len(passages), self.dimensions), dtype=np.float32)
        for start in range(0, len(passages), _BATCH):
            batch = passages[start : start + _BATCH]
            vectors[start : start + len(batch)] = self.sums([enumerate(passage.fields()) for passage in batch])
        return _stored(vectors)

    def encode_query(self, text: str, token: CancelToken | None = None) -> Vectors:
        """Return a unit vector (dimensions,), or zeros where no token is known; float16 values as `encode` has them."""
        vector: Vectors = _stored(self.sums([[(QUERY, text)]]))[0]
        return vector

    def explain(self, asked: str | Passage, vector: Vectors) -> list[tuple[str, float]]:
        """Return the words of a question or a passage with what each adds to its cosine with a unit vector.

        Greatest first. The contributions add up to `encode_query(asked) @ vector` (or `encode([asked])[0] @ vector`); a
        token that several words share is divided between them by their counts, and what rounding to float16 changed
        in proportion to the contributions.
        """
        weighed = self._weighed(asked)
        values: dict[tuple[int, int], float] = defaultdict(float)
        """By field and token, wherever the token stands."""
        for entry, value in zip(weighed.entries, (weighed.rows @ vector.astype(np.float64)).tolist(), strict=True):
            values[entry] += value
        found: dict[str, float] = {}
        for word, shares in weighed.words:
            found[word] = found.get(word, 0.0) + sum(share * values[entry] for entry, share in shares)
        extent = sum(map(abs, found.values())) or 1.0
        rounding = float(weighed.own @ vector.astype(np.float64)) - sum(found.values())
        explained = [(word, value + rounding * abs(value) / extent) for word, value in found.items()]
        return sorted(explained, key=lambda item: -item[1])

    def _weigh(self, asked: str | Passage) -> _Weighed:
        """Return what all explanations of a question or passage have in common."""
        parts = [(QUERY, asked)] if isinstance(asked, str) else list(enumerate(asked.fields()))
        own = self.encode_query(asked) if isinstance(asked, str) else self.encode([asked])[0]
        bags = count(self.vocabulary, [parts])
        numbers, orders, factors = self._factors(bags)
        every = [slice(place, place + 1) for place in range(len(numbers))]
        parts_of = [self._total(numbers[one], orders[one], factors[one]) for one in every]
        rows = np.array(parts_of, dtype=np.float64).reshape(len(numbers), self.dimensions)
        rows /= float(np.linalg.norm(rows.sum(axis=0))) or 1.0
        entries = list(zip(bags.fields.tolist(), numbers.tolist(), strict=True))
        plain = zip(entries, orders.tolist(), bags.counts.tolist(), strict=True)
        counts = {entry: times for entry, order, times in plain if order == 0}
        words = []
        for field, text in parts:
            for word, times in Counter(tokens.words(text)).items():
                own_tokens = [(field, token) for token in self.vocabulary.ids(word)]
                words.append((word, [(entry, times / counts[entry]) for entry in own_tokens]))
        return _Weighed(rows, entries, words, own.astype(np.float64))

    def sums(self, texts: Sequence[Iterable[tuple[int, str]]]) -> Vectors:
        """Return (n, dimensions) unit rows of full precision for texts in (field number, text) parts."""
        bags = count(self.vocabulary, texts)
        numbers, orders, factors = self._factors(bags)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, (start, end) in enumerate(zip(bags.starts[:-1].tolist(), bags.starts[1:].tolist(), strict=True)):
            # One small product a row, not one large one: its result cannot depend on the other rows of the batch.
            total = self._total(numbers[start:end], orders[start:end], factors[start:end])
            length = np.sqrt(total @ total)
            if length > 0:
                vectors[row] = total / length
        return vectors

    def _factors(self, bags: Bags) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Vectors]:
        """Return of each entry its token, its order, and what the token's row is to be multiplied by."""
        orders, numbers = np.divmod(bags.tokens.astype(np.int64), len(self._importance))
        factors = self._fields[bags.fields] * bags.saturated() * self._importance[numbers]
        return numbers, orders, factors * self._scales[numbers] if self._scales is not None else factors


def base_folder() -> Path:
    """Return the folder of the base model."""
    return _BASE


def load(folder: Path | None = None) -> BagEncoder:
    """Open a model folder, or the base model that the package carries; ModelError where that cannot be done."""
    folder = folder or _BASE
    try:
        packed, listed = (folder / WEIGHTS_FILE).read_bytes(), (folder / VOCABULARY_FILE).read_bytes()
    except OSError as error:
        hint = "give a folder that training wrote" if folder != _BASE else "reinstall Sextant"
        raise ModelError(f"No model can be read from {folder} ({error.strerror}): {hint}.") from error
    try:
        vocabulary, weights = Vocabulary.parse(listed), unpack(packed)
        return BagEncoder(vocabulary, weights, _fingerprint(packed, listed), partial(load, folder))
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"The model in {folder} is damaged ({error}): reinstall Sextant or train it again.") from error


def save(folder: Path, vocabulary: Vocabulary, weights: Weights) -> None:
    """Write a model folder; each file appears whole or not at all."""
    weights.check(len(vocabulary))
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in ((VOCABULARY_FILE, vocabulary.dump()), (WEIGHTS_FILE, pack(weights))):
        beside = folder / f"{name}.tmp"
        beside.write_bytes(data)
        beside.replace(folder / name)


def pack(weights: Weights) -> bytes:
    """Return the bytes of a weights file: rows as int8 with a scale each, which costs no quality (base/card.md)."""
    scales = np.abs(weights.rows).max(axis=1) / 127.0
    scales[scales == 0] = 1.0
    rows = np.rint(weights.rows / scales[:, None]).astype(np.int8)
    return save_tensors(
        {
            "rows": rows,
            "scales": scales,
            "importance": weights.importance,
            "fields": weights.fields,
            "tokenizer": np.array([tokens.TOKENIZER_VERSION], dtype=np.int32),
        }
    )


def unpack(data: bytes) -> Weights:
    """Read what `pack` wrote; SafetensorError, KeyError or ValueError where it is something else."""
    tensors = load_tensors(data)
    rows, scales = tensors["rows"], tensors["scales"]
    if tensors["tokenizer"].tolist() != [tokens.TOKENIZER_VERSION]:
        raise ValueError(f"made for tokenizer version {tensors['tokenizer'].tolist()}, not {tokens.TOKENIZER_VERSION}")
    if rows.dtype != np.int8 or scales.shape != rows.shape[:1]:
        raise ValueError(f"rows of {rows.dtype} with scales {scales.shape}")
    return Weights(rows, tensors["importance"], tensors["fields"], scales.astype(np.float32))


def _unscaled(rows: npt.NDArray[Any], scales: npt.NDArray[np.float32] | None) -> Vectors:
    return rows if scales is None else rows * scales[:, None]


def _fingerprint(*parts: bytes) -> str:
    digest = hashlib.blake2b(f"bag 3 order {ORDER} tokens {tokens.TOKENIZER_VERSION}".encode(), digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _stored(vectors: Vectors) -> Vectors:
    return vectors.astype(np.float16).astype(np.float32)
