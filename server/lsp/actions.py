"""Actions: what Sextant offers at a place of a document, and its requests as commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from lsprotocol import types
from pygls.protocol import default_converter

from server.lsp import convert, duplicates, protocol
from server.types import CancelToken

if TYPE_CHECKING:
    from server.lsp.server import SextantServer
    from server.snapshot import Snapshot

FIND_KIND, SEARCH_KIND = "source.sextant.findSimilar", "source.sextant.search"
KINDS = (FIND_KIND, SEARCH_KIND, types.CodeActionKind.QuickFix)
LONGEST_SELECTION = 200
"""Characters of a selected text that are searched for as words; a longer one is code to compare."""
MOST_DIAGNOSTICS = 3
_FILTER = re.compile(r"\b(lang|kind|path):")
_CONVERTER = default_converter()  # type: ignore[no-untyped-call]


async def code_actions(ls: SextantServer, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
    """Offer to find similar code, to search for what is selected or complained about, and to deal with our hints."""
    session = ls.session
    uri, where = params.text_document.uri, params.range
    document = session.documents.get(uri)
    shown = document.shown() if document else None
    roots, encoding = session.roots, session.encoding

    def look(snapshot: Snapshot, _: CancelToken) -> tuple[str, str | None]:
        (path, start, _end), selected = convert.place(uri, where, shown, snapshot.text, encoding, roots)
        unit = snapshot.unit_at(path, start) if path else None
        return selected if where.start != where.end else "", unit.name if unit else None

    # An editor asks at every move of the cursor: while the index opens, it is not kept waiting.
    selected, name = await session.look(look) if session.is_open else ("", None)
    offered = [*_for_place(uri, where, selected.strip(), name), *_for_diagnostics(params.context)]
    offered += [
        action
        for each in params.context.diagnostics
        if each.source == duplicates.SOURCE
        for action in duplicates.actions(each, uri, document, ls.client_capabilities)
    ]
    only = params.context.only
    wanted = [each for each in offered if only is None or any(_is_kind(str(each.kind), str(kind)) for kind in only)]
    able = ls.client_capabilities.text_document
    if able is None or able.code_action is None or able.code_action.code_action_literal_support is None:
        return [each.command for each in wanted if each.command is not None]
    return list(wanted)


async def execute(ls: SextantServer, params: types.ExecuteCommandParams) -> Any:
    """Answer a command as the request of the same name; `show` in its second argument presents the hits, too."""
    arguments = list(params.arguments or ())
    if params.command == duplicates.SHOW_BOTH:
        try:
            places = _CONVERTER.structure(arguments, list[types.Location])
        except Exception as error:  # whatever the converter raises about the client's argument
            raise protocol.InvalidParams("The arguments must be locations.") from error
        ls.session.presenter.open(places, ls.client_capabilities)
        return None
    method = protocol.COMMANDS.get(params.command)
    handler = ls.protocol.fm.features.get(method or "")
    if method is None or handler is None:
        raise protocol.InvalidParams(f"Sextant has no command {params.command!r}.")
    asked = protocol.parse_params(method, arguments[0] if arguments else None)
    if asked is not None and getattr(asked, "work_done_token", 0) is None:
        asked = attrs.evolve(asked, work_done_token=params.work_done_token)
    result = await handler(asked)
    if isinstance(result, protocol.Written):
        result = result.result
    how = arguments[1] if len(arguments) > 1 else None
    if isinstance(how, Mapping) and how.get("show") is True and isinstance(result, protocol.SearchResult):
        ls.session.presenter.show(result, ls.client_capabilities)
    return result


def _for_place(uri: str, where: types.Range, selected: str, name: str | None) -> Iterator[types.CodeAction]:
    place: dict[str, Any] = {"textDocument": {"uri": uri}, "range": _CONVERTER.unstructure(where)}
    is_word = len(selected.split()) == 1  # some editors select the word at the cursor by themselves
    if selected and not is_word:
        yield _action("Find code similar to the selection", FIND_KIND, "sextant.findSimilar", place)
    elif name is not None:
        place["range"]["end"] = place["range"]["start"]
        yield _action(f"Find code similar to {name}", FIND_KIND, "sextant.findSimilar", place)
    if selected and len(selected) <= LONGEST_SELECTION and "\n" not in selected:
        yield _search(selected, SEARCH_KIND)


def _for_diagnostics(context: types.CodeActionContext) -> Iterator[types.CodeAction]:
    for diagnostic in context.diagnostics[:MOST_DIAGNOSTICS]:
        if diagnostic.source != duplicates.SOURCE and diagnostic.message.strip():
            action = _search(" ".join(diagnostic.message.split())[:LONGEST_SELECTION], types.CodeActionKind.QuickFix)
            action.diagnostics = [diagnostic]
            yield action


def _search(text: str, kind: str) -> types.CodeAction:
    text = protocol.well_formed(text)
    shown = text if len(text) <= 50 else f"{text[:49]}…"
    return _action(f"Search for “{shown}”", kind, "sextant.search", {"query": _FILTER.sub(r"\1 ", text)})


def _action(title: str, kind: str, command: str, asked: Any) -> types.CodeAction:
    return types.CodeAction(title, kind=kind, command=types.Command(title, command, arguments=[asked, {"show": True}]))


def _is_kind(kind: str, wanted: str) -> bool:
    return not wanted or kind == wanted or kind.startswith(wanted + ".")
