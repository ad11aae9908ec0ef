"""Snapshot: an immutable reader; a request takes the current one and finishes on it."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from server.index import names, rank, search
from server.index import question as questions
from server.index.extract import extract
from server.index.languages import LANGUAGES
from server.index.layers import Layer
from server.index.lexical import query_terms
from server.index.search import Mask, Scored, Terms
from server.types import (
    CancelToken,
    Encoder,
    EncoderUnavailable,
    Hit,
    Kind,
    Passage,
    Query,
    QuestionError,
    SearchResult,
    Similar,
    Term,
    Vectors,
    Why,
)

_log = logging.getLogger(__name__)

LEAST_SCORE = 0.31
"""A best hit below it is presented as a guess. Of 241 questions about 12 repositories 1 % have none above it; of 240
about cooking, sports and nonsense words all but one."""
LEAST_LIKENESS = 0.25
"""The same for find-similar, whose scores are lower: the rarest words of a snippet are seldom shared."""
SIMILAR_TERMS = 40
"""The rarest words of a snippet stand for it; more of them are common ones that change nothing."""


@dataclass(frozen=True)
class Snapshot:
    """The index at one moment."""

    generation: int
    layers: tuple[Layer, ...]
    encoder: Encoder
    is_incomplete: bool
    buffers: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    """(folder, path) to the text of each open buffer."""

    def search(self, query: Query, token: CancelToken, by_words: bool = False) -> SearchResult:
        """Answer the units nearest in meaning and words; raises QuestionError and Cancelled.

        `by_words`: by words and names alone, which costs no encoding and no scan; a first answer for those who wait.
        """
        question = questions.parse(query)
        if not question.text:
            return self._result([], None, LEAST_SCORE)
        token.check()
        vector = self._nothing() if by_words else self._encoded(lambda: self.encoder.encode_query(question.text, token))
        terms = search.weigh(self.layers, query_terms(question.text))
        masks = [search.mask_of(layer, question.filter) for layer in self.layers]
        found = search.find(self.layers, masks, vector, terms, question, token)
        return self._result(found, (question.text, vector, terms) if query.explain else None, LEAST_SCORE)

    def named(self, query: Query, token: CancelToken) -> SearchResult:
        """Answer the units whose names are like the query, the closest first; the score says how close.

        A query without words answers the first units there are. Raises QuestionError and Cancelled.
        """
        question = questions.parse(query)
        token.check()
        masks = [search.mask_of(layer, question.filter) for layer in self.layers]
        if question.text:
            close = names.find(self.layers, masks, question.text, question.limit)
        else:
            rows = (
                (layer, row) for layer, mask in zip(self.layers, masks, strict=True) for row in np.flatnonzero(mask)
            )
            close = [(0.0, layer, int(row)) for layer, row in itertools.islice(rows, question.limit)]
        return self._result([Scored(layer, row, score, 0.0, 0.0) for score, layer, row in close], None, 0.0)

    def similar(self, asked: Similar, token: CancelToken, by_words: bool = False) -> SearchResult:
        """Answer the units nearest to a place or a text, never the place; raises QuestionError and Cancelled."""
        if not 1 <= asked.limit <= questions.LARGEST_LIMIT:
            raise QuestionError(f"limit must be from 1 to {questions.LARGEST_LIMIT}, not {asked.limit}")
        masks = [search.mask_of(layer, asked.filter) for layer in self.layers]
        origin: Scored | None = None
        vector: Vectors | None = None
        if asked.path:
            origin, passage, vector = self._place(asked, masks)
        else:
            passage = _snippet(asked.text, asked.language)
        if not any(field.strip() for field in passage.fields()):
            raise QuestionError("there is nothing to compare: the text is empty")
        token.check()
        if by_words:
            vector = self._nothing()
        elif vector is None:
            vector = self._encoded(lambda: self.encoder.encode([passage])[0])
        text = " ".join(passage.fields())
        terms = search.weigh(self.layers, query_terms(text), keep=SIMILAR_TERMS)
        is_test = origin is not None and rank.is_test_path(
            origin.layer.segment.paths[origin.layer.segment.file_of[origin.row]]
        )
        question = questions.Question(passage.name, (), is_test, False, asked.filter, asked.limit)
        found = search.find(self.layers, masks, vector, terms, question, token)
        explained = (text, vector, terms) if asked.explain else None
        return self._result(found, explained, LEAST_LIKENESS, self._hit(origin, None) if origin else None)

    def _encoded(self, encode: Callable[[], Vectors]) -> Vectors:
        """Return a question's vector; zeros, so that its words alone decide, while the encoder is not available."""
        try:
            return encode()
        except EncoderUnavailable as problem:
            _log.warning("a question is answered by its words alone: %s", problem)
            return np.zeros(self.encoder.dimensions, dtype=np.float32)

    def text(self, folder: str, path: str) -> bytes | None:
        """Return the text that the spans of a file's hits refer to: the open buffer, else the file."""
        buffer = self.buffers.get((folder, path))
        if buffer is not None:
            return buffer
        # Only what is indexed is read: not ignored files, not pipes, not what has no end.
        if not any(layer.live[row] for layer in self.layers if layer.folder == folder for row in _rows(layer, path)):
            return None
        try:
            return Path(folder, path).read_bytes()
        except OSError:
            return None

    def locate(self, path: str) -> tuple[str, str] | None:
        """Return (folder, relative path) of an absolute path; None outside all folders. The innermost folder counts."""
        folders = {layer.folder for layer in self.layers}
        return locate(folders, path)

    def unit_at(self, path: str, offset: int) -> Hit | None:
        """Return the innermost function or type around an offset of a file, by its absolute path."""
        place = self.locate(os.path.realpath(path))
        around = []
        for layer in self.layers if place else ():
            for row in layer.segment.rows_of(place[1]) if place and layer.folder == place[0] else ():
                low, high = (int(number) for number in layer.segment.spans[row][6:8])
                if layer.live[row] and low <= offset <= high and int(layer.segment.kinds[row]) != Kind.MODULE:
                    around.append((high - low, row, layer))
        if not around:
            return None
        _, row, layer = min(around, key=lambda each: each[:2])
        return self._hit(Scored(layer, row, 1.0, 1.0, 1.0), None)

    def _nothing(self) -> Vectors:
        return np.zeros(self.encoder.dimensions, np.float32)

    def _place(self, asked: Similar, masks: list[Mask]) -> tuple[Scored | None, Passage, Vectors | None]:
        """Return the unit at a place, what to compare and its vector if known; takes the place out of the masks."""
        place = self.locate(os.path.realpath(asked.path))
        data = self.text(*place) if place else None
        if place is None or data is None:
            if asked.text:
                return None, _snippet(asked.text, asked.language), None
            raise QuestionError(f"{asked.path} is not indexed; pass the text itself to compare it")
        start, end = max(0, min(asked.start, len(data))), max(0, min(asked.end, len(data)))
        selected = data[start:end]
        start += len(selected) - len(selected.lstrip())
        end = start + len(selected.strip())
        around: list[tuple[int, int, int, int]] = []
        for number, layer in enumerate(self.layers):
            rows = layer.segment.rows_of(place[1]) if layer.folder == place[0] else range(0)
            for row in rows:
                if not layer.live[row]:
                    continue
                low, high = int(layer.segment.spans[row][6]), int(layer.segment.spans[row][7])
                if low <= start and end <= high:
                    is_module = int(layer.segment.kinds[row]) == Kind.MODULE
                    around.append((int(is_module), high - low, number, row))
                if low <= end and start <= high:
                    masks[number] = masks[number].copy()
                    masks[number][row] = False
        if not around:
            if selected.strip():
                return None, _snippet(selected.decode("utf-8", "replace"), asked.language), None
            raise QuestionError("there is no function here, and nothing is selected")
        _, _, number, row = min(around)
        layer = self.layers[number]
        name_start, unit_start, unit_end = (int(layer.segment.spans[row][column]) for column in (0, 6, 7))
        for other in layer.segment.rows_of(place[1]):  # the units inside the place are it, too
            low, high = int(layer.segment.spans[other][6]), int(layer.segment.spans[other][7])
            if unit_start <= low and high <= unit_end:
                masks[number] = masks[number].copy()
                masks[number][other] = False
        origin = Scored(layer, row, 1.0, 1.0, 1.0)
        language = layer.segment.languages[layer.segment.language_of[row]]
        is_whole = not selected.strip() or (start <= name_start and end >= unit_end - 1)
        if not is_whole:
            return origin, _snippet(selected.decode("utf-8", "replace"), language), None
        passage = _unit_passage(data, language, place[1], unit_start)
        if passage is None:  # the file changed since it was indexed; the name and the vector still stand for it
            passage = Passage(name=layer.segment.strings(row)[0])
        return origin, passage, np.asarray(layer.segment.vectors[row])

    def _hit(self, scored: Scored, asked: tuple[str, Vectors, Terms] | None) -> Hit:
        segment = scored.layer.segment
        name, container, signature, detail = segment.strings(scored.row)
        name_span, span = segment.row_spans(scored.row)
        return Hit(
            folder=scored.layer.folder,
            path=segment.paths[segment.file_of[scored.row]],
            language=segment.languages[segment.language_of[scored.row]],
            kind=Kind(int(segment.kinds[scored.row])),
            name=name,
            container=container,
            signature=signature,
            detail=detail,
            name_span=name_span,
            span=span,
            score=round(scored.score, 6),
            similarity=round(scored.similarity, 6),
            why=self._why(scored, *asked) if asked else None,
        )

    def _why(self, scored: Scored, text: str, vector: Vectors, terms: Terms) -> Why:
        """Share the score among the words asked for; the dense shares sum to the cosine."""
        weights = {
            term: share * (1 - rank.DENSE_WEIGHT)
            for term, share in search.term_shares(scored.layer.segment, scored.row, terms).items()
        }
        for term, part in self.encoder.explain(text, scored.layer.segment.vectors[scored.row]):
            weights[term] = weights.get(term, 0.0) + part * rank.DENSE_WEIGHT
        ordered = sorted(weights.items(), key=lambda item: (-item[1], item[0]))
        return Why(scored.similarity, scored.lexical, tuple(Term(term, weight) for term, weight in ordered))

    def _result(
        self,
        found: Sequence[Scored],
        asked: tuple[str, Vectors, Terms] | None,
        least: float,
        origin: Hit | None = None,
    ) -> SearchResult:
        is_guess = not found or found[0].score < least
        hits = tuple(self._hit(one, asked) for one in found)
        return SearchResult(hits, self.is_incomplete, self.generation, is_guess, origin)


def _rows(layer: Layer, path: str) -> range:
    return layer.segment.rows_of(path)[:1]  # a file's rows are live together


def locate(folders: set[str], path: str) -> tuple[str, str] | None:
    """Return (folder, relative path) of an absolute path among some folders, the innermost first."""
    for folder in sorted(folders, key=len, reverse=True):
        prefix = folder if folder.endswith(os.sep) else folder + os.sep
        if path.startswith(prefix):
            return folder, path[len(prefix) :].replace(os.sep, "/")
    return None


def _snippet(text: str, language: str) -> Passage:
    """Return what to compare of a text: the one function in it, if that is what it is, else all of it."""
    if len(text) > questions.LONGEST_QUERY:
        raise QuestionError(
            f"the text has {len(text):,} characters; at most {questions.LONGEST_QUERY:,} can be compared"
        )
    if language in LANGUAGES:
        units = [unit for unit in extract(text.encode("utf-8", "replace"), language, "") if unit.kind != Kind.MODULE]
        if len(units) == 1:
            return units[0].passage
    return Passage(body=text)


def _unit_passage(data: bytes, language: str, path: str, start: int) -> Passage | None:
    """Cut a unit from its file once more: the index does not keep bodies."""
    return next((unit.passage for unit in extract(data, language, path) if unit.span.start == start), None)
