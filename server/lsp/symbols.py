"""Symbols: `workspace/symbol`, by which every editor can search by name and by meaning without a plugin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lsprotocol import types

from server.lsp import progress, protocol
from server.types import CancelToken, Query, QuestionError, SearchResult

if TYPE_CHECKING:
    from server.lsp.server import SextantServer
    from server.snapshot import Snapshot

BY_NAME, BY_MEANING = 60, 60
"""Most symbols of each kind; editors show a list to choose from."""

SHARE = 0.6
"""Of the best score by meaning: editors show no scores, and some sort by file, so what is far behind stays out."""

_PLAIN_KINDS = frozenset(
    types.SymbolKind(number) for number in range(types.SymbolKind.File, types.SymbolKind.Array + 1)
)
"""What a client knows that does not say what it knows."""
_SIMPLER = {
    types.SymbolKind.Struct: types.SymbolKind.Class,
    types.SymbolKind.TypeParameter: types.SymbolKind.Interface,
}


async def symbols(ls: SextantServer, params: types.WorkspaceSymbolParams) -> list[types.WorkspaceSymbol]:
    """Answer what has a name like the query, the closest first, then what means the like."""
    session = ls.session
    known = _kinds(ls.client_capabilities)

    def ask(snapshot: Snapshot, token: CancelToken) -> SearchResult:
        try:
            named = snapshot.named(Query(params.query, BY_NAME), token)
            meant = snapshot.search(Query(params.query, BY_MEANING), token)
        except QuestionError:  # a filter that is typed by half; an error at each key would be a nuisance
            return SearchResult((), snapshot.is_incomplete, snapshot.generation, True)
        seen = {(hit.folder, hit.path, hit.span) for hit in named.hits}
        more = () if meant.low_confidence else meant.hits
        return replace(
            named, hits=(*named.hits, *(hit for hit in more if (hit.folder, hit.path, hit.span) not in seen))
        )

    async with progress.of_request(session.notify, params.work_done_token, "Searching"):
        # The answer cannot say that it is incomplete: at the very beginning it waits for something to find.
        await session.look(lambda *_: None, lambda snapshot: bool(snapshot.layers) or not snapshot.is_incomplete)
        return await session.answer(ask, lambda found: [_symbol(hit, known) for hit in found.hits])


def _symbol(hit: protocol.Hit, known: frozenset[types.SymbolKind]) -> types.WorkspaceSymbol:
    kind = hit.kind if hit.kind in known else _SIMPLER.get(hit.kind, types.SymbolKind.Function)
    return types.WorkspaceSymbol(
        location=hit.location, name=hit.name, kind=kind, container_name=hit.container_name or None
    )


def _kinds(able: types.ClientCapabilities) -> frozenset[types.SymbolKind]:
    symbol = able.workspace.symbol if able.workspace else None
    values = symbol.symbol_kind.value_set if symbol and symbol.symbol_kind else None
    return frozenset(values) if values else _PLAIN_KINDS
