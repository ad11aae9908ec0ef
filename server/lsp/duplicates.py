"""Duplicates: hints at new or edited functions that nearly equal another one ("You already wrote this")."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from server.lsp import convert, present
from server.types import CancelToken, Hit, Kind, Passage, QuestionError, Similar, Unit

if TYPE_CHECKING:
    from server.index import clones
    from server.lsp.documents import Document
    from server.lsp.server import SextantServer
    from server.snapshot import Snapshot

SOURCE = "sextant"
CODE = "duplicate"
SHOW_BOTH = "sextant.showBoth"
IGNORE = "sextant: ignore"
"""A comment that says so above a function or on its first line keeps it from being hinted at."""
LEAST_SIMILARITY = 0.4
"""Cosine of two functions that can be clones: renaming costs much of it, and the text decides."""
CANDIDATES = 60
"""Functions compared with an edited one, the most similar first."""
MOST_FUNCTIONS = 30
"""Edited functions of one document that are looked at; after a paste of more, the first ones."""
_DASHES = frozenset({"lua", "haskell", "sql"})
_FUNCTIONS = (Kind.FUNCTION, Kind.METHOD)


async def diagnose(ls: SextantServer, params: types.DocumentDiagnosticParams) -> types.DocumentDiagnosticReport:
    """Answer the hints of a document; the same ones are not sent twice."""
    session = ls.session
    document = session.documents.get(params.text_document.uri)
    found: list[types.Diagnostic] = []
    if session.configuration.settings.duplicates and document and document.path and document.opened is not None:
        path, text, opened, language = document.path, document.text, document.opened, document.language
        view, shows_bom, related = session.view(), document.shows_bom, _shows_related(ls.client_capabilities)

        def look(snapshot: Snapshot, token: CancelToken) -> list[types.Diagnostic]:
            hints = twins(snapshot, path, language or "", data, opened.encode(), token)
            return [_diagnostic(unit, twin, data, snapshot, view, shows_bom, related) for unit, twin in hints]

        data, place = text.encode(), convert.locate(path, session.roots)
        buffer = (place[0].real, place[1]) if place else ("", "")
        found = await session.look(look, lambda snapshot: snapshot.buffers.get(buffer) == data)
    plain = json.dumps([[each.message, str(each.range), str(each.data)] for each in found])
    identity = hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()
    if params.previous_result_id == identity:
        return types.RelatedUnchangedDocumentDiagnosticReport(identity)
    return types.RelatedFullDocumentDiagnosticReport(found, result_id=identity)


def twins(
    snapshot: Snapshot, path: str, language: str, data: bytes, opened: bytes, token: CancelToken
) -> Iterator[tuple[Unit, Hit]]:
    """Yield the functions of a file (absolute path) that were not in it when it was opened, each with its twin."""
    from server.index import clones, flags  # noqa: PLC0415
    from server.index.languages import LANGUAGES, language_of  # noqa: PLC0415

    place = snapshot.locate(path)
    language = language_of(path, data[:8000]) or language
    if place is None or language not in LANGUAGES or flags.path_class(place[1])[0]:
        return
    before = {opened[unit.span.start : unit.span.end].strip() for unit in snapshot.units(opened, language, path, token)}
    looked_at = 0
    for unit in snapshot.units(data, language, path, token):
        token.check()
        own = data[unit.span.start : unit.span.end]
        if unit.kind not in _FUNCTIONS or own.strip() in before or _is_ignored(data, unit):
            continue
        shape = clones.shape(own.decode("utf-8", "replace"), language)
        if shape.size < clones.LEAST_TOKENS:
            continue
        looked_at += 1
        if looked_at > MOST_FUNCTIONS:
            return
        asked = Similar(path=path, start=unit.name_span.start, end=unit.name_span.start, limit=CANDIDATES)
        if (twin := nearest_twin(snapshot, asked, unit.passage, shape, token)) is not None:
            yield unit, twin


def nearest_twin(
    snapshot: Snapshot, asked: Similar, passage: Passage, shape: clones.Shape, token: CancelToken
) -> Hit | None:
    """Return the function that most nearly equals the one asked about, if any nearly does."""
    from server.index import clones, flags  # noqa: PLC0415

    try:
        near = snapshot.similar(asked, token).hits
    except QuestionError:
        return None  # not indexed yet: the next pull finds it
    best, closest = None, 0.0
    for hit in near:
        if hit.similarity < LEAST_SIMILARITY or hit.kind not in _FUNCTIONS or flags.path_class(hit.path)[0]:
            continue
        if hit.name == passage.name and hit.container != passage.container:
            continue  # several implementations of one interface are meant to be alike
        other = (snapshot.text(hit.folder, hit.path) or b"")[hit.span.start : hit.span.end].decode("utf-8", "replace")
        if (close := clones.closeness(shape, clones.shape(other, hit.language))) > closest:
            best, closest = hit, close
    return best


def actions(
    diagnostic: types.Diagnostic, uri: str, document: Document | None, able: types.ClientCapabilities
) -> Iterator[types.CodeAction]:
    """Yield what can be done about a hint of ours."""
    twin = diagnostic.data.get("twin") if isinstance(diagnostic.data, dict) else None
    if twin is not None and present.can_open(able):
        own = {"uri": uri, "range": _as_json(diagnostic.range)}
        command = types.Command("Show both", SHOW_BOTH, arguments=[own, twin])
        yield types.CodeAction("Show both", types.CodeActionKind.QuickFix, [diagnostic], command=command)
    if document is not None:
        line = diagnostic.range.start.line
        text = document.line(line)
        mark = _comment_mark(document.language or "")
        indent = text[: len(text) - len(text.lstrip())]
        edit = types.TextEdit(
            types.Range(types.Position(line, 0), types.Position(line, 0)), f"{indent}{mark} {IGNORE}{document.line_end}"
        )
        changed = types.WorkspaceEdit(changes={uri: [edit]})
        yield types.CodeAction("Ignore here", types.CodeActionKind.QuickFix, [diagnostic], edit=changed)


def _diagnostic(
    unit: Unit, twin: Hit, data: bytes, snapshot: Snapshot, view: convert.View, shows_bom: bool, related: bool
) -> types.Diagnostic:
    hit = convert.hit(twin, snapshot.text, view)
    name = f"{twin.container}.{twin.name}" if twin.container else twin.name
    file = PurePosixPath(twin.path).name
    where = types.Location(hit.location.uri, hit.location.range)
    return types.Diagnostic(
        range=convert.to_range(unit.name_span, data, view.encoding, shows_bom),
        message=f"You already wrote this: {name} ({file}:{hit.location.range.start.line + 1}) is nearly the same.",
        severity=types.DiagnosticSeverity.Hint,
        code=CODE,
        source=SOURCE,
        related_information=[types.DiagnosticRelatedInformation(where, name)] if related else None,
        data={"twin": {"uri": where.uri, "range": _as_json(where.range)}},
    )


def _is_ignored(data: bytes, unit: Unit) -> bool:
    """Tell whether a comment in the line above a function, or before its body, asks to leave it alone."""
    above = data[: unit.span.start].rstrip(b" \t").removesuffix(b"\n").rpartition(b"\n")[2]
    end_of_head = data.find(b"\n", unit.name_span.end)
    head = data[unit.span.start : end_of_head if end_of_head >= 0 else None]
    return IGNORE.encode() in above or IGNORE.encode() in head


def _comment_mark(language: str) -> str:
    from server.index.clones import HASH_LANGUAGES  # noqa: PLC0415

    return "#" if language in HASH_LANGUAGES else "--" if language in _DASHES else "//"


def _shows_related(able: types.ClientCapabilities) -> bool:
    document = able.text_document
    shown = document.publish_diagnostics if document else None
    return shown is not None and bool(shown.related_information)


def _as_json(where: types.Range) -> dict[str, Any]:
    def edge(position: types.Position) -> dict[str, int]:
        return {"line": position.line, "character": position.character}

    return {"start": edge(where.start), "end": edge(where.end)}
