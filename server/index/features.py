"""Features: what is known of each candidate, as the columns of a matrix that the ranker weighs.

All of them are functions of the question, the live rows and their statistics, so that any history of changes gives the
same numbers (invariant 1): sums run in an order that the question alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from server.index import flags
from server.index.columns import name_hash
from server.index.layers import Layer
from server.index.lexical import FIELDS, field_counts
from server.index.question import Question
from server.index.terms import Terms
from server.types import Kind

Column = npt.NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)
_KINDS = {
    "function": (Kind.FUNCTION,),
    "method": (Kind.METHOD,),
    "constructor": (Kind.CONSTRUCTOR,),
    "class": (Kind.CLASS, Kind.STRUCT),
    "interface": (Kind.INTERFACE,),
    "enum": (Kind.ENUM,),
    "type": (Kind.TYPE,),
    "module": (Kind.MODULE,),
    "namespace": (Kind.NAMESPACE,),
    "constant": (Kind.CONSTANT,),
}
_TYPES = (Kind.CLASS, Kind.STRUCT, Kind.INTERFACE, Kind.ENUM, Kind.TYPE, Kind.NAMESPACE)
_CALLABLE = (Kind.FUNCTION, Kind.METHOD, Kind.CONSTRUCTOR)
_KIND_TABLE = np.array(
    [[kind in members for kind in range(max(Kind) + 1)] for members in (*_KINDS.values(), _CALLABLE, _TYPES)],
    dtype=np.float64,
)
"""(len(_KINDS) + 2, kinds): to which of the columns a kind belongs, and whether it is a callable's or a type's."""
GROUPS: dict[str, tuple[str, ...]] = {
    "meaning": ("cosine", "cosine_share", "file_cosine", "file_cosine_mean"),
    "words": ("bm25", "bm25_share", "coverage", "file_bm25", "file_coverage"),
    "fields": tuple(f"in_{field}" for field in FIELDS),
    "name": ("name_precision", "name_fit", "name_is_question", "container_fit", "name_phrase", "name_prefix",
             "name_prefix_fit", "container_prefix", "own_fit"),
    "file name": ("file_precision", "file_fit", "file_phrase", "file_prefix", "file_prefix_fit"),
    "exact name": ("exact_name", "folded_name", "foreign_name", "exact_type", "named_type", "asked_name",
                   "asked_type", "asked_file", "qualified_name"),
    "text phrase": ("text_phrase",),
    "kind": (*_KINDS, "action_callable", "action_type", "action_module",
             "action_named_type"),
    "prior": ("is_test", "is_example", "is_foreign", "is_declaration", "is_stub", "is_private", "is_deprecated",
              "not_test", "not_example"),
    "size": ("body_words", "doc_words", "name_words", "file_rows", "depth", "candidates_in_file"),
}  # fmt: skip
"""Columns by what they look at; the bench leaves out one group after another."""
NAMES = tuple(name for group in GROUPS.values() for name in group)
_FIELD = {name: number for number, name in enumerate(FIELDS)}
_TEXT = ("signature", "documentation", "body")
_NAMING = ("name", "file", "container")
_LITTLE = 1e-9


class Files(NamedTuple):
    """The files that have candidates, ascending by layer and number."""

    layer_of: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    """Of the file in its layer's segment."""
    of: npt.NDArray[np.int64]
    """(n,) the index of each candidate's file among these."""


@dataclass(frozen=True)
class Candidates:
    """Rows that may answer, in the order of the layers."""

    layers: Sequence[Layer]
    layer_of: npt.NDArray[np.int64]
    """(n,) ascending."""
    rows: npt.NDArray[np.int64]
    cosines: Column
    words: Column
    """BM25 as a share of the most that the question's words could give."""
    file_words: Column
    """The best such share in the file of each."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def files(self) -> Files:
        """Return their files."""
        numbers = self.gather([layer.segment.file_of for layer in self.layers])
        found, of = np.unique(self.layer_of << 32 | numbers, return_inverse=True)
        return Files(found >> 32, found & 0xFFFFFFFF, of)

    def gather(self, of: Sequence[npt.NDArray[Number]]) -> npt.NDArray[Number]:
        """Return what arrays of the layers hold for each candidate."""
        return _gathered(of, self.layer_of, self.rows)

    def gather_files(self, of: Sequence[npt.NDArray[Number]]) -> npt.NDArray[Number]:
        """Return what arrays of the layers hold for each of the files."""
        return _gathered(of, self.files.layer_of, self.files.numbers)


def matrix(found: Candidates, terms: Terms, question: Question) -> Column:
    """Return (n, len(NAMES)) the features of candidates."""
    segments = [layer.segment for layer in found.layers]
    lengths = found.gather([segment.lengths for segment in segments]).astype(np.float64)
    columns = _scores(found, terms)
    columns |= _fields(found, terms, lengths)
    columns |= _short(found, terms, lengths)
    columns |= _named(found, question, columns)
    columns |= _priors(found, question)
    columns |= _sizes(found, lengths)
    return np.stack([columns[name] for name in NAMES], axis=1)


def _scores(found: Candidates, terms: Terms) -> dict[str, Column]:
    """Return meaning and words, of a unit and of its file."""
    cosines = np.maximum(found.cosines, 0.0)
    best, mean = _by_file(cosines, found.files)
    return {
        "cosine": cosines,
        "cosine_share": cosines / max(float(cosines.max(initial=0.0)), _LITTLE),
        "file_cosine": best,
        "file_cosine_mean": mean,
        "bm25": found.words,
        "bm25_share": found.words / max(float(found.words.max(initial=0.0)), _LITTLE),
        "file_bm25": found.file_words,
        "file_coverage": _file_coverage(found, terms)[found.files.of],
    }


def _fields(found: Candidates, terms: Terms, lengths: Column) -> dict[str, Column]:
    """Return how much of the question stands in each field, and how much of the names in the question."""
    packed = terms.words.packed(found)
    weights = terms.words.idf / terms.words.most
    within = {field: field_counts(packed, number) > 0 for field, number in _FIELD.items()}
    columns = {f"in_{field}": _weighed(weights, present) for field, present in within.items()}
    columns["coverage"] = _weighed(weights, packed > 0)
    for field in _NAMING:
        share = np.minimum(1.0, within[field].sum(axis=0) / np.maximum(lengths[:, _FIELD[field]], 1.0))
        columns[f"{field}_precision"] = share
        columns[f"{field}_fit"] = np.sqrt(share * columns[f"in_{field}"])
    columns["name_is_question"] = (columns["name_precision"] >= 1.0) * columns["in_name"]
    either = within["name"] | within["container"]
    size = lengths[:, _FIELD["name"]] + lengths[:, _FIELD["container"]]
    share = np.minimum(1.0, either.sum(axis=0) / np.maximum(size, 1.0))
    columns["own_fit"] = np.sqrt(share * _weighed(weights, either))
    return columns


def _short(found: Candidates, terms: Terms, lengths: Column) -> dict[str, Column]:
    """Return how much of the question stands in names as one word (`statuscode`) or abbreviated (`config`)."""
    columns: dict[str, Column] = {}
    phrases = terms.phrases.packed(found)
    weights = terms.phrases.idf / terms.phrases.most
    for field in ("name", "file"):
        columns[f"{field}_phrase"] = _weighed(weights, field_counts(phrases, _FIELD[field]) > 0)
    in_text = np.logical_or.reduce([field_counts(phrases, _FIELD[field]) > 0 for field in _TEXT])
    columns["text_phrase"] = _weighed(weights, in_text)
    prefixes = terms.prefixes.packed(found)
    weights = terms.prefixes.idf / terms.prefixes.most
    for field in _NAMING:
        within = field_counts(prefixes, _FIELD[field]) > 0
        share = np.minimum(1.0, within.sum(axis=0) / np.maximum(lengths[:, _FIELD[field]], 1.0))
        columns[f"{field}_prefix"] = _weighed(weights, within)
        columns[f"{field}_prefix_fit"] = np.sqrt(share * columns[f"{field}_prefix"])
    return columns


def _named(found: Candidates, question: Question, fields: dict[str, Column]) -> dict[str, Column]:
    """Return what is exactly what was named, and the kinds."""
    kinds = found.gather([layer.segment.kinds for layer in found.layers])
    *by_kind, is_callable, is_type = _KIND_TABLE[:, kinds]
    exact, folded, foreign, qualified, at_home = _exact(found, question)
    columns = {
        "exact_name": exact,
        "folded_name": folded,
        "foreign_name": foreign,
        "exact_type": exact * is_type,
        "named_type": fields["name_is_question"] * is_type,
        "asked_name": exact * question.is_name,
        "qualified_name": qualified * question.is_name,
        "asked_type": exact * is_type * question.is_name,
        "asked_file": at_home * question.is_name,
        "action_callable": is_callable * question.is_action,
        "action_type": is_type * question.is_action,
        "action_named_type": fields["name_is_question"] * is_type * question.is_action,
        "action_module": (kinds == Kind.MODULE) * float(question.is_action),
    }
    return columns | dict(zip(_KINDS, by_kind, strict=True))


def _priors(found: Candidates, question: Question) -> dict[str, Column]:
    """Return what usually goes behind the thing itself, unless it was asked for."""
    flagged = found.gather([layer.segment.flags for layer in found.layers])
    is_test, is_example, is_foreign, is_declaration = roles(found)
    told = {
        "is_test": is_test & (not question.allows_tests),
        "is_example": is_example & (not question.allows_examples),
        "not_test": ~is_test & question.wants_tests,
        "not_example": ~is_example & question.wants_examples,
        "is_foreign": is_foreign,
        "is_declaration": is_declaration,
        "is_stub": (flagged & flags.STUB) > 0,
        "is_private": (flagged & flags.PRIVATE) > 0,
        "is_deprecated": (flagged & flags.DEPRECATED) > 0,
    }
    return {name: column.astype(np.float64) for name, column in told.items()}


def _sizes(found: Candidates, lengths: Column) -> dict[str, Column]:
    """Return how large units and their files are, on scales that come to about 1."""
    segments = [layer.segment for layer in found.layers]
    rows = found.gather_files([np.diff(segment.file_bounds) for segment in segments])
    depths = found.gather_files([segment.depths for segment in segments])
    of = found.files.of
    return {
        "body_words": np.log1p(lengths[:, _FIELD["body"]]) / 8.0,
        "doc_words": np.log1p(lengths[:, _FIELD["documentation"]]) / 6.0,
        "name_words": np.log1p(lengths[:, _FIELD["name"]]) / 2.0,
        "file_rows": (np.log1p(rows) / 6.0)[of],
        "depth": (depths / 6.0)[of],
        "candidates_in_file": (np.log1p(np.bincount(of)) / 5.0)[of],
    }


def roles(found: Candidates) -> npt.NDArray[np.bool_]:
    """Return (4, n) whether each candidate tests other code, shows its use, comes from elsewhere, or only declares."""
    paths = [layer.segment.paths for layer in found.layers]
    layers, files, of = found.files
    told = [flags.path_class(paths[layer][file]) for layer, file in zip(layers.tolist(), files.tolist(), strict=True)]
    classes: npt.NDArray[np.bool_] = np.array(told, dtype=np.bool_).reshape(-1, 4).T[:, of]
    classes[0] |= (found.gather([layer.segment.flags for layer in found.layers]) & flags.TEST) > 0
    return classes


def _weighed(weights: Column, present: npt.NDArray[np.bool_]) -> Column:
    """Return the sum of the weights of the (t, n) terms that are present, term by term."""
    total = np.zeros(present.shape[1])
    for weight, row in zip(weights.tolist(), present, strict=True):
        total += weight * row
    return total


def _by_file(values: Column, files: Files) -> tuple[Column, Column]:
    """Return for each candidate the best value in its file, and the mean of the three best."""
    count = len(files.numbers)
    order = np.lexsort((-values, files.of))
    ordered, owner = values[order], files.of[order]
    starts = np.searchsorted(owner, np.arange(count))
    place = np.arange(len(order)) - starts[owner]
    best = np.zeros((3, count))
    for number in range(3):
        chosen = place == number
        best[number, owner[chosen]] = ordered[chosen]
    return best[0][files.of], ((best[0] + best[1] + best[2]) / 3.0)[files.of]


def _file_coverage(found: Candidates, terms: Terms) -> Column:
    """Return how much of the question stands anywhere in each file."""
    covered = []
    for number, layer in enumerate(found.layers):
        files = found.files.numbers[found.files.layer_of == number]
        # As int32, as postings are: for others numpy would convert a copy of all of them.
        first, end = (layer.segment.file_bounds[part].astype(np.int32) for part in (files, files + 1))
        share = np.zeros(len(files))
        for weight, (rows, _) in zip(terms.words.idf.tolist(), terms.words.postings[number], strict=True):
            share += weight / terms.words.most * (np.searchsorted(rows, first) < np.searchsorted(rows, end))
        covered.append(share)
    return np.concatenate(covered)


def _exact(found: Candidates, question: Question) -> Column:
    """Tell which candidates are what was named: as it is spelled, spelled otherwise, in another container, or in just
    the one that was named, too; and as it is spelled in a file of that name.
    """
    exact, folded, foreign, qualified, at_home = columns = np.zeros((5, len(found)))
    wanted = question.named
    if not wanted:
        return columns
    spelled = {name for _, name in question.names}
    names = found.gather([layer.segment.names for layer in found.layers])
    for at in np.flatnonzero(np.isin(names, list(wanted))).tolist():
        containers = wanted[int(names[at])]
        segment, row = found.layers[int(found.layer_of[at])].segment, int(found.rows[at])
        name, container, _, _ = segment.strings(row)
        if "" not in containers and container.rpartition(".")[2].casefold() not in containers:
            foreign[at] = 1.0
            continue
        (exact if name in spelled else folded)[at] = 1.0
        qualified[at] = float("" not in containers)
        file = segment.paths[int(segment.file_of[row])].rpartition("/")[2]
        at_home[at] = exact[at] * (name_hash(file.rpartition(".")[0]) == int(names[at]))
    return columns


def _gathered(
    of: Sequence[npt.NDArray[Number]], layer_of: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
) -> npt.NDArray[Number]:
    ends = np.searchsorted(layer_of, np.arange(len(of) + 1)).tolist()
    return np.concatenate([array[places[low:high]] for array, (low, high) in zip(of, pairwise(ends), strict=True)])
