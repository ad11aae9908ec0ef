"""The state of one editor's session: its folders, documents, engine and running work."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from lsprotocol import types

from server.lsp import convert, protocol
from server.lsp.documents import Document, Documents
from server.lsp.jobs import SessionJobs
from server.lsp.present import Presenter
from server.lsp.progress import IndexProgress, Notify
from server.lsp.settings import Configuration, Request
from server.lsp.status import ServerStatus, is_wanted
from server.lsp.tasks import Tasks
from server.types import CancelToken, Encoder, SearchResult

if TYPE_CHECKING:
    from server.config import Settings
    from server.engine import Engine
    from server.snapshot import Snapshot

FRESH = 0.1
"""Seconds a search may wait for an edit made just before it; beyond that it answers on the older text."""

PATIENCE, POLL = 1.0, 0.01
"""Seconds that something may wait for an edit without which it makes no sense, and between two looks."""
SLOW = 0.02
"""Seconds that the last search took at least for a first answer by words alone to be worth sending."""

T = TypeVar("T")
Ask = Callable[["Snapshot", CancelToken], SearchResult]

logger = logging.getLogger(__name__)


class Session:
    """Owns everything between initialize and exit; lives on the event loop."""

    def __init__(self, notify: Notify, request: Request) -> None:
        self.notify = notify
        self.request = request
        self.tasks = Tasks()
        self.documents = Documents(self._post, self._drop)
        self.roots: tuple[convert.Root, ...] = ()
        self.encoding = "utf-16"
        self._engine: Engine | None = None
        self._ready: asyncio.Task[Engine] | None = None
        self._progress: IndexProgress | None = None
        self._status: ServerStatus | None = None
        self._base = ""
        """The name of the built-in encoder's vectors."""
        self._took = 0.0
        """Seconds of the last search."""
        self._places = convert.Places()
        self.presenter = Presenter(request, notify)
        self._hints = False
        """Whether hints at duplicates were on when the client last heard of it."""
        self._can_refresh = False
        self.configuration = Configuration(request, self._configure, self.warn)
        self.jobs = SessionJobs(notify, request, self.warn)
        self._posted = False
        self._closed = False

    # Beginning and end.

    def open(self, params: types.InitializeParams, encoding: str) -> None:
        """Take what initialize says and start the engine beside the loop; its imports must not delay the reply."""
        self.encoding = encoding
        uris = [folder.uri for folder in params.workspace_folders or ()]
        if not uris and params.root_uri:
            uris = [params.root_uri]
        elif not uris and params.root_path:
            uris = [convert.to_uri(params.root_path)]
        self._add(uris)
        self.configuration.open(params.initialization_options, params.capabilities)
        self._hints = self.configuration.settings.duplicates
        workspace = params.capabilities.workspace
        diagnostics = workspace.diagnostics if workspace else None
        self._can_refresh = diagnostics is not None and bool(diagnostics.refresh_support)
        if is_wanted(params.capabilities):
            self._status = ServerStatus(self.notify)
        self._ready = asyncio.create_task(self._start(), name="engine-start")
        self._ready.add_done_callback(_log_failed_start)

    def show_progress(self) -> None:
        """Show the client from now on what is being indexed."""

        def create(token: protocol.Token) -> asyncio.Future[Any]:
            return self.request(types.WINDOW_WORK_DONE_PROGRESS_CREATE, types.WorkDoneProgressCreateParams(token))

        self._progress = IndexProgress(self.notify, create)
        self.jobs.has_progress = True
        self._changed()

    def warn(self, sentence: str) -> None:
        """Show the user something that only the user can mend."""
        self.notify(types.WINDOW_SHOW_MESSAGE, types.ShowMessageParams(types.MessageType.Warning, sentence))

    async def quiet(self) -> None:
        """Send nothing more of our own accord."""
        self._status = None
        self.presenter.close()
        progress, self._progress = self._progress, None
        if progress is not None:
            await progress.close()

    def close(self) -> None:
        """Stop all work; blocks for as long as the engine needs to end."""
        self._closed = True
        self.tasks.close()
        self.jobs.close()
        if self._engine is not None:
            self._engine.close()

    async def _start(self) -> Engine:
        loop = asyncio.get_running_loop()

        def on_change() -> None:
            try:
                loop.call_soon_threadsafe(self._changed)
            except RuntimeError:
                logger.debug("the index changed after the session's end")

        try:
            # What needs no settings goes on while the client tells them.
            model = await self.tasks.run(_load_model)
            self._base = model.fingerprint
            settings = await self.configuration.first()
            engine = await self.tasks.run(lambda token: _make_engine(settings, model, on_change, token))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if self._status is not None:
                self._status.fail(_failure(error))
            raise
        if self._closed:
            return engine  # which was never started
        self._engine = engine
        for root in self.roots:
            engine.add_folder(root.real)
        self.documents.post_all()
        engine.start()
        self.jobs.open(engine, settings, self._real_roots())
        self._changed()
        return engine

    @property
    def is_open(self) -> bool:
        """Whether there is an index to ask without waiting."""
        return self._engine is not None

    async def engine(self) -> Engine:
        """Return the engine once it is there; raises RequestFailed if it cannot be."""
        if self._ready is None:
            raise RuntimeError("no session is open")
        if self._engine is not None:
            return self._engine
        try:
            return await asyncio.shield(self._ready)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            raise protocol.RequestFailed(_failure(error)) from error

    # Questions.

    async def answer(
        self,
        ask: Ask,
        finish: Callable[[protocol.SearchResult], T],
        ask_first: Ask | None = None,
        partial: protocol.Token | None = None,
    ) -> T:
        """Ask the newest snapshot, off the loop, and return what `finish` makes there of the wire form of its answer.

        Where that may take long, what `ask_first` finds at once is sent under the token `partial`.
        """
        engine = await self.engine()
        self.documents.flush()
        fresh, self._posted = self._posted, False
        view = self.view()
        loop = asyncio.get_running_loop()

        def wire(found: SearchResult, snapshot: Snapshot) -> protocol.SearchResult:
            def known(folder: str, path: str) -> convert.Known:
                return self._places.of(folder, path, snapshot.stamp(folder, path))

            return convert.search_result(found, snapshot.text, view, known)

        def send(found: SearchResult, snapshot: Snapshot) -> None:
            # Whether anything matches well is known at the end only.
            first = wire(replace(found, low_confidence=False), snapshot)
            loop.call_soon_threadsafe(self.notify, types.PROGRESS, types.ProgressParams(partial or "", first))

        def work(token: CancelToken) -> T:
            waits = fresh and not engine.wait_idle(0)
            if ask_first and partial is not None:
                snapshot = engine.snapshot
                if waits or snapshot.is_incomplete or self._took > SLOW:
                    first = ask_first(snapshot, token)
                    if first.hits:
                        send(first, snapshot)
            if waits:
                engine.wait_idle(FRESH)
                token.check()
            begun = time.monotonic()
            # Asked before the snapshot is taken: a folder the engine has not got to is in neither.
            known = {folder.root for folder in engine.status().folders}
            snapshot = engine.snapshot
            found = ask(snapshot, token)
            if any(root.real not in known for root in view.roots):
                found = replace(found, is_incomplete=True, low_confidence=bool(found.hits) and found.low_confidence)
            answer = finish(wire(found, snapshot))
            self._took = time.monotonic() - begun
            return answer

        with engine.courtesy.question():
            return await self.tasks.run(work)

    async def look(
        self, at: Callable[[Snapshot, CancelToken], T], when: Callable[[Snapshot], bool] = lambda _: True
    ) -> T:
        """Return what some code sees in the newest snapshot, off the loop; wait a while for one that will do."""
        engine = await self.engine()
        self.documents.flush()

        def work(token: CancelToken) -> T:
            end = time.monotonic() + PATIENCE
            while not when(engine.snapshot) and time.monotonic() < end:
                token.check()
                time.sleep(POLL)
            return at(engine.snapshot, token)

        return await self.tasks.run(work)

    def view(self) -> convert.View:
        """Return what the client shows now."""
        return convert.View(self.encoding, self.roots, self.documents.shown())

    # Changes.

    def path(self, uri: str) -> str | None:
        """Return the path of a file in a workspace folder as the engine names it; None for any other document."""
        return convert.in_workspace(uri, self.roots)

    def change_folders(self, added: Iterable[str], removed: Iterable[str]) -> None:
        """Index other folders from now on."""
        for uri in removed:
            path = convert.to_path(uri)
            gone = [root for root in self.roots if root.path == path]
            self.roots = tuple(root for root in self.roots if root not in gone)
            if self._engine is not None:
                for root in gone:
                    self._engine.remove_folder(root.real)
        new = self._add(added)
        for document in self.documents.all():
            document.path = self.path(document.uri)
        if self._engine is not None:
            for root in new:
                self._engine.add_folder(root.real)
            self.documents.post_all()
            self.jobs.follow(self._real_roots())

    def touch(self, uris: Iterable[str]) -> None:
        """Look at these files again: they may have changed on disk."""
        paths = [path for path in map(self.path, uris) if path is not None]
        if self._engine is not None and paths:
            self._posted = True
            self._engine.touch(paths)

    def _add(self, uris: Iterable[str]) -> list[convert.Root]:
        new = []
        for uri in uris:
            root = convert.root(uri)
            if root is None:
                logger.warning("a workspace folder that is no folder of files is not indexed")
            elif all(root.real != other.real for other in self.roots):
                self.roots = (*self.roots, root)
                new.append(root)
        return new

    def _real_roots(self) -> tuple[str, ...]:
        return tuple(root.real for root in self.roots)

    def _post(self, document: Document) -> None:
        if self._engine is not None and document.path is not None:
            self._posted = True
            self._engine.set_buffer(document.path, document.language, document.text)

    def _drop(self, path: str) -> None:
        if self._engine is not None:
            self._posted = True
            self._engine.drop_buffer(path)

    def _configure(self, settings: Settings) -> None:
        if self._engine is not None:
            self._engine.configure(settings)
            self.jobs.configure(settings, self._real_roots())
        if settings.duplicates != self._hints and self._can_refresh:
            answer = self.request(types.WORKSPACE_DIAGNOSTIC_REFRESH, None)
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._hints = settings.duplicates

    def _changed(self) -> None:
        if self._engine is None:
            return
        status = self._engine.status()
        self.jobs.update(status)
        if self._progress is not None:
            self._progress.update(status)
        if self._status is not None:
            is_tuned = self.jobs.wants_tuned and status.encoder != self._base
            self._status.update(convert.index_status(status, self.roots).folders, is_tuned)


def _load_model(_: CancelToken) -> Encoder:
    # Imported here, in a thread: the engine and the model are not needed to answer initialize.
    from server.model import encoder  # noqa: PLC0415

    import_module("server.engine")
    model = encoder.load()
    gc.freeze()  # what was imported stays, so no collection has to look at it: that would hold the event loop for 40 ms
    return model


def _make_engine(settings: Settings, model: Encoder, on_change: Callable[[], None], token: CancelToken) -> Engine:
    from server import config  # noqa: PLC0415
    from server.engine import Engine  # noqa: PLC0415

    token.check()
    return Engine(settings, model, config.data_dir(), on_change, watches=True)


def _failure(error: Exception) -> str:
    return f"The index cannot be opened: {error or type(error).__name__}. The server's log has the details."


def _log_failed_start(task: Future[Any] | asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the engine does not start", exc_info=error)
