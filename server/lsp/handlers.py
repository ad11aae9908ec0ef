"""What the server does for each message: one short coroutine each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from lsprotocol import types

from server.lsp import actions, complete, convert, duplicates, jobs, progress, protocol, symbols
from server.lsp.documents import Document
from server.lsp.settings import SECTION
from server.process import release_memory
from server.types import CancelToken, Kind, QuestionError, SearchResult

if TYPE_CHECKING:
    from server.lsp.server import SextantServer
    from server.snapshot import Snapshot


def register(server: SextantServer) -> None:
    """Put every handler of this module on a server."""
    for method, handler in _HANDLERS.items():
        server.feature(method)(handler)


# pygls passes the server to the parameter that is called `ls`; it cannot see the annotation.


async def search(ls: SextantServer, params: protocol.SearchParams) -> protocol.Written:
    """Answer the code nearest in meaning to a query."""
    session = ls.session
    query = convert.query(params, session.roots)
    if params.complete:
        engine = await session.engine()
        languages = {language for folder in engine.status().folders for language in folder.languages}
        segments = [layer.segment for layer in engine.snapshot.layers]
        kinds = (Kind(number) for segment in segments for number in set(segment.kinds.tolist()))
        paths = (path for segment in segments for path in segment.paths)
        if (found := complete.completions(params.query, languages, kinds, paths)) is not None:
            nothing = protocol.SearchResult([], False, engine.snapshot.generation, False, completions=found)
            return protocol.write(nothing)

    def ask(snapshot: Snapshot, token: CancelToken, by_words: bool = False) -> SearchResult:
        try:
            return snapshot.search(query, token, by_words)
        except QuestionError as error:
            raise protocol.RequestFailed(str(error)) from error

    def finish(found: protocol.SearchResult) -> protocol.Written:
        return protocol.write(attrs.evolve(found, completions=begun) if begun else found)

    begun = complete.filters(params.query) if params.complete else None
    async with progress.of_request(session.notify, params.work_done_token, "Searching"):
        return await session.answer(ask, finish, partial(ask, by_words=True), params.partial_result_token)


async def find_similar(ls: SextantServer, params: protocol.FindSimilarParams) -> protocol.Written:
    """Answer the code nearest in meaning to a place or a text."""
    session = ls.session
    roots, encoding = session.roots, session.encoding
    document = session.documents.get(params.text_document.uri) if params.text_document else None
    shown = document.shown() if document else None

    def ask(snapshot: Snapshot, token: CancelToken, by_words: bool = False) -> SearchResult:
        try:
            return snapshot.similar(convert.similar(params, shown, snapshot.text, encoding, roots), token, by_words)
        except QuestionError as error:
            raise protocol.RequestFailed(str(error)) from error

    async with progress.of_request(session.notify, params.work_done_token, "Searching"):
        return await session.answer(ask, protocol.write, partial(ask, by_words=True), params.partial_result_token)


async def index_status(ls: SextantServer, _: None) -> protocol.IndexStatus:
    """Answer what is known of the index."""
    engine = await ls.session.engine()
    return convert.index_status(engine.status(), ls.session.roots)


async def initialized(ls: SextantServer, _: types.InitializedParams) -> None:
    """Begin to talk to the client of our own accord."""
    able = ls.client_capabilities
    if able.window is not None and able.window.work_done_progress:
        ls.session.show_progress()
    if wishes := list(_registrations(able)):
        answer = ls.session.request(types.CLIENT_REGISTER_CAPABILITY, types.RegistrationParams(wishes))
        # A client that refuses has told us all the same: nothing depends on it.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    await ls.session.configuration.ask()


def _registrations(able: types.ClientCapabilities) -> Iterator[types.Registration]:
    workspace = able.workspace or types.WorkspaceClientCapabilities()
    if workspace.did_change_watched_files and workspace.did_change_watched_files.dynamic_registration:
        watch = types.DidChangeWatchedFilesRegistrationOptions([types.FileSystemWatcher(glob_pattern="**/*")])
        yield types.Registration("sextant-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, watch)
    if workspace.did_change_configuration and workspace.did_change_configuration.dynamic_registration:
        section = types.DidChangeConfigurationRegistrationOptions(section=SECTION)
        yield types.Registration("sextant-settings", types.WORKSPACE_DID_CHANGE_CONFIGURATION, section)


async def shutdown(ls: SextantServer, _: None) -> None:
    """End what the client sees; the rest ends with the process."""
    await ls.session.quiet()


async def did_open(ls: SextantServer, params: types.DidOpenTextDocumentParams) -> None:
    """Index the editor's text instead of the file's."""
    item = params.text_document
    ls.session.documents.open(Document(item, ls.session.path(item.uri)))


async def did_change(ls: SextantServer, params: types.DidChangeTextDocumentParams) -> None:
    """Apply edits; the result is indexed after a pause. Nothing may be awaited here: edits come in order."""
    ls.session.documents.change(params.text_document.uri, params.content_changes, ls.session.encoding)


async def did_save(ls: SextantServer, params: types.DidSaveTextDocumentParams) -> None:
    """Index at once what was saved."""
    ls.session.documents.flush(params.text_document.uri)
    ls.session.touch([params.text_document.uri])


async def did_close(ls: SextantServer, params: types.DidCloseTextDocumentParams) -> None:
    """Index the file again instead of the editor's text."""
    document = ls.session.documents.get(params.text_document.uri)
    ls.session.documents.close(params.text_document.uri)
    if document is not None and document.is_large:
        # Once the engine has let go of it, too. Nothing else would make the C library give so much back.
        asyncio.get_running_loop().call_later(1.0, release_memory)


async def did_change_watched_files(ls: SextantServer, params: types.DidChangeWatchedFilesParams) -> None:
    """Index files that changed on disk."""
    ls.session.touch(change.uri for change in params.changes)


async def did_rename_files(ls: SextantServer, params: types.RenameFilesParams) -> None:
    """Index renamed files and folders under their new names."""
    ls.session.touch(uri for file in params.files for uri in (file.old_uri, file.new_uri))


async def did_change_folders(ls: SextantServer, params: types.DidChangeWorkspaceFoldersParams) -> None:
    """Index the workspace's new folders and forget the removed ones."""
    event = params.event
    ls.session.change_folders((each.uri for each in event.added), (each.uri for each in event.removed))


async def did_change_configuration(ls: SextantServer, params: types.DidChangeConfigurationParams) -> None:
    """Obey other settings."""
    await ls.session.configuration.changed(params.settings)


_HANDLERS: dict[str, Any] = {
    types.WORKSPACE_SYMBOL: symbols.symbols,
    types.TEXT_DOCUMENT_CODE_ACTION: actions.code_actions,
    types.TEXT_DOCUMENT_DIAGNOSTIC: duplicates.diagnose,
    types.WORKSPACE_EXECUTE_COMMAND: actions.execute,
    protocol.SEARCH: search,
    protocol.FIND_SIMILAR: find_similar,
    protocol.INDEX_STATUS: index_status,
    protocol.REINDEX: jobs.reindex,
    protocol.TUNE: jobs.tune,
    types.WINDOW_WORK_DONE_PROGRESS_CANCEL: jobs.cancel,
    types.INITIALIZED: initialized,
    types.SHUTDOWN: shutdown,
    types.TEXT_DOCUMENT_DID_OPEN: did_open,
    types.TEXT_DOCUMENT_DID_CHANGE: did_change,
    types.TEXT_DOCUMENT_DID_SAVE: did_save,
    types.TEXT_DOCUMENT_DID_CLOSE: did_close,
    types.WORKSPACE_DID_CHANGE_WATCHED_FILES: did_change_watched_files,
    types.WORKSPACE_DID_RENAME_FILES: did_rename_files,
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: did_change_folders,
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: did_change_configuration,
}
