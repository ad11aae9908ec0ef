"""Snapshot: an immutable reader; a request takes the current one and finishes on it."""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from server.index import diversity, features, flags, hints, names, rank, reasons, search
from server.index import question as questions
from server.index.apart import Died
from server.index.comments import plain
from server.index.diversity import Scored
from server.index.languages import LANGUAGES
from server.index.layers import Layer
from server.index.lexical import FieldWeights
from server.index.parser import HERE, Parser
from server.index.question import Question
from server.index.rank import Ranker
from server.index.search import Mask
from server.index.terms import Terms, look_up
from server.types import (
    CancelToken,
    Encoder,
    EncoderUnavailable,
    Filter,
    Hit,
    Kind,
    Passage,
    Query,
    QuestionError,
    SearchResult,
    Similar,
    Unit,
    Vectors,
    Why,
)

_log = logging.getLogger(__name__)

LEAST_LIKENESS = 0.38
"""A best hit below it is presented as a guess by find-similar: so alike are strangers (RESULTS.md)."""
_SETTLED = 2_000_000_000
"""Nanoseconds after a change in which a file may change again within the same tick of its file system's clock."""
_NAMED = re.compile(r"\b(?:def|function|func|fn|fun|sub|class|struct|interface|trait|enum|type)\s+(\w+)")


class Asked(NamedTuple):
    """What hits are explained by."""

    text: str | Passage
    vector: Vectors
    terms: Terms
    fields: FieldWeights


@dataclass(frozen=True)
class Snapshot:
    """The index at one moment."""

    generation: int
    layers: tuple[Layer, ...]
    encoder: Encoder
    is_incomplete: bool
    buffers: Mapping[tuple[str, str], bytes] = field(default_factory=dict)
    """(folder, path) to the text of each open buffer."""
    ranker: Callable[[], Ranker] = rank.shipped
    parser: Parser = HERE

    def units(self, data: bytes, language: str, path: str, token: CancelToken | None = None) -> tuple[Unit, ...]:
        """Cut a text into units, of which the index keeps no bodies; none where it ends its parsers."""
        try:
            return self.parser.units(data, language, path, token)
        except Died:
            return ()

    def search(self, query: Query, token: CancelToken, by_words: bool = False) -> SearchResult:
        """Answer the units nearest in meaning and words; raises QuestionError and Cancelled.

        `by_words`: by words and names alone, which costs no encoding and no scan; a first answer for those who wait.
        """
        question = questions.parse(query)
        if not question.text:
            why = ("the query has only filters; say what the code does as well",) if query.text.strip() else ()
            return replace(self._nothing_found(), notices=why)
        if not self.layers:
            return self._noted(self._nothing_found(), question.filter, question.notices)
        token.check()
        found = self._found(query, question, token, by_words)
        return self._noted(found, question.filter, question.notices)

    def _found(self, query: Query, question: Question, token: CancelToken, by_words: bool) -> SearchResult:
        if question.is_code:
            masks = [search.mask_of(layer, question.filter) for layer in self.layers]
            vector = self._nothing() if by_words else None
            return self._like(self._snippet(question.text, "", token), vector, masks, question, token, query.explain)
        found, matrix, terms, vector = self.candidates(question, token, by_words)
        scores = self.ranker().scores(matrix)
        best = diversity.collapsed(found, diversity.ordered(found, scores, question.limit))
        best = diversity.spread(found, best, self.ranker().demotion, question.limit)
        explained = Asked(question.text, vector, terms, self.ranker().fields) if query.explain else None
        return self._result(best, explained, self.ranker().is_guess(matrix))

    def candidates(
        self, question: Question, token: CancelToken, by_words: bool = False
    ) -> tuple[features.Candidates, features.Column, Terms, Vectors]:
        """Return what may answer a question, its features, the words looked up and the question's vector."""
        vector = self._nothing() if by_words else self._encoded(lambda: self.encoder.encode_query(question.text, token))
        terms = look_up(self.layers, question.text)
        masks = [search.mask_of(layer, question.filter) for layer in self.layers]
        if question.filter.fields:
            masks = search.within_fields(masks, terms, question.filter.fields)
        found = search.candidates(self.layers, masks, vector, terms, question, self.ranker().fields, token)
        token.check()
        return found, features.matrix(found, terms, question), terms, vector

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
        return self._result([Scored(layer, row, score, 0.0, 0.0) for score, layer, row in close], None, not close)

    def similar(self, asked: Similar, token: CancelToken, by_words: bool = False) -> SearchResult:
        """Answer the units nearest to a place or a text, never the place; raises QuestionError and Cancelled."""
        if not 1 <= asked.limit <= questions.LARGEST_LIMIT:
            raise QuestionError(f"limit must be from 1 to {questions.LARGEST_LIMIT}, not {asked.limit}")
        wanted = questions.checked(asked.filter)
        masks = [search.mask_of(layer, wanted) for layer in self.layers]
        origin: Scored | None = None
        vector: Vectors | None = None
        if asked.path:
            origin, passage, vector = self._place(asked, masks, token)
        else:
            passage = self._snippet(asked.text, asked.language, token)
        if not any(field.strip() for field in passage.fields()):
            raise QuestionError("there is nothing to compare: the text is empty")
        if not self.layers:
            return self._nothing_found()
        token.check()
        is_test = origin is not None and flags.path_class(origin.path)[0]
        question = Question(passage.name, (), wanted, asked.limit, allows_tests=is_test or origin is None)
        vector = self._nothing() if by_words else vector
        result = self._noted(self._like(passage, vector, masks, question, token, asked.explain), wanted)
        return replace(result, origin=self._hit(origin, None)) if origin else result

    def _like(
        self,
        passage: Passage,
        vector: Vectors | None,
        masks: list[Mask],
        question: Question,
        token: CancelToken,
        explain: bool,
    ) -> SearchResult:
        """Answer what is like a passage: clones first, then the same idea; every clone is a hit of its own."""
        if vector is None:
            vector = self._encoded(lambda: self.encoder.encode([passage])[0])
        terms, fields = look_up(self.layers, " ".join(passage.fields())), rank.fields_of_like()
        found = search.candidates(self.layers, masks, vector, terms, question, fields, token)
        tests = features.roles(found)[0] & (not question.allows_tests)
        best = diversity.ordered(found, rank.likeness(found, tests), question.limit)[: question.limit]
        is_guess = not best or best[0].score < LEAST_LIKENESS
        return self._result(best, Asked(passage, vector, terms, fields) if explain else None, is_guess)

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
            with open(f"{folder}/{path}", "rb", buffering=0) as file:  # noqa: PTH123  (for each hit: a third of the time)
                return file.read()
        except OSError:
            return None

    def stamp(self, folder: str, path: str) -> tuple[int, ...] | None:
        """Return what changes when the text of a file does; None where that cannot be told, as of an open buffer."""
        if (folder, path) in self.buffers:
            return None
        try:
            found = os.stat(f"{folder}/{path}")  # noqa: PTH116  (for each hit)
        except OSError:
            return None
        if time.time_ns() - found.st_ctime_ns < _SETTLED:
            return None  # it may change once more without showing another time
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino

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

    def _place(
        self, asked: Similar, masks: list[Mask], token: CancelToken
    ) -> tuple[Scored | None, Passage, Vectors | None]:
        """Return the unit at a place, what to compare and its vector if known; takes the place out of the masks."""
        place = self.locate(os.path.realpath(asked.path))
        data = self.text(*place) if place else None
        if place is None or data is None:
            if asked.text:
                return None, self._snippet(asked.text, asked.language, token), None
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
                return None, self._snippet(selected.decode("utf-8", "replace"), asked.language, token), None
            raise QuestionError("there is no function here, and nothing is selected")
        _, _, number, row = min(around)
        layer = self.layers[number]
        name_start, unit_start, unit_end = (int(layer.segment.spans[row][column]) for column in (0, 6, 7))
        language = layer.segment.languages[layer.segment.language_of[row]]
        is_whole = not selected.strip() or (start <= name_start and end >= unit_end - 1)
        is_module = int(layer.segment.kinds[row]) == Kind.MODULE
        # The units inside the place are it, too; but not those beside a selection, nor those a module's code is beside.
        for other in layer.segment.rows_of(place[1]) if is_whole and not is_module else ():
            low, high = int(layer.segment.spans[other][6]), int(layer.segment.spans[other][7])
            if unit_start <= low and high <= unit_end:
                masks[number] = masks[number].copy()
                masks[number][other] = False
        origin = Scored(layer, row, 1.0, 1.0, 1.0)
        if not is_whole:
            return origin, self._snippet(selected.decode("utf-8", "replace"), language, token), None
        units = self.units(data, language, place[1], token)
        passage = next((unit.passage for unit in units if unit.span.start == unit_start), None)
        if passage is None:  # the file changed since it was indexed; the name and the vector still stand for it
            passage = Passage(name=layer.segment.strings(row)[0])
        return origin, passage, np.asarray(layer.segment.vectors[row])

    def _hit(self, scored: Scored, asked: Asked | None) -> Hit:
        segment = scored.layer.segment
        name, container, signature, detail = segment.strings(scored.row)
        name_span, span = segment.row_spans(scored.row)
        return Hit(
            folder=scored.layer.folder,
            path=scored.path,
            language=segment.languages[segment.language_of[scored.row]],
            kind=Kind(int(segment.kinds[scored.row])),
            name=name,
            container=container,
            signature=signature,
            detail=plain(detail),
            name_span=name_span,
            span=span,
            score=round(scored.score, 6),
            similarity=round(scored.similarity, 6),
            why=self._why(scored, asked) if asked else None,
            copies=scored.copies,
        )

    def _why(self, scored: Scored, asked: Asked) -> Why:
        segment = scored.layer.segment
        own = self.encoder.explain(asked.text, segment.vectors[scored.row])
        words = asked.terms.shares(asked.fields, scored.layer, scored.row)
        text = self.text(scored.layer.folder, scored.path)
        return reasons.why(
            round(scored.similarity, 6), round(scored.lexical, 6), own, words, text, *segment.row_spans(scored.row)
        )

    def _result(self, best: Sequence[Scored], asked: Asked | None, is_guess: bool) -> SearchResult:
        hits = tuple(self._hit(one, asked) for one in best)
        return SearchResult(hits, self.is_incomplete, self.generation, is_guess) if hits else self._nothing_found()

    def _nothing_found(self) -> SearchResult:
        """Return an answer without hits; that nothing matches well is known only when everything is indexed."""
        return SearchResult((), self.is_incomplete, self.generation, low_confidence=not self.is_incomplete)

    def _snippet(self, text: str, language: str, token: CancelToken) -> Passage:
        """Return what to compare of a text: the one function in it, if that is what it is, else all of it."""
        if len(text) > questions.LONGEST_QUERY:
            raise QuestionError(
                f"the text has {len(text):,} characters; at most {questions.LONGEST_QUERY:,} can be compared"
            )
        language = questions.language_id(language)
        if language in LANGUAGES:
            found = self.units(text.encode("utf-8", "replace"), language, "", token)
            units = [unit for unit in found if unit.kind != Kind.MODULE]
            if len(units) == 1:
                return units[0].passage
        named = _NAMED.match(text.lstrip()) if not language else None
        return Passage(name=named[1] if named else "", body=text)

    def _noted(self, found: SearchResult, wanted: Filter, notices: tuple[str, ...] = ()) -> SearchResult:
        """Say what is odd about a question, and why there is no answer if a filter is the reason."""
        is_final = not found.hits and not self.is_incomplete
        return replace(found, notices=(*notices, *(hints.unmet(self.layers, wanted) if is_final else ())))


def _rows(layer: Layer, path: str) -> range:
    return layer.segment.rows_of(path)[:1]  # a file's rows are live together


def locate(folders: set[str], path: str) -> tuple[str, str] | None:
    """Return (folder, relative path) of an absolute path among some folders, the innermost first."""
    for folder in sorted(folders, key=len, reverse=True):
        prefix = folder if folder.endswith(os.sep) else folder + os.sep
        if path.startswith(prefix):
            return folder, path[len(prefix) :].replace(os.sep, "/")
    return None
