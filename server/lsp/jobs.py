"""Jobs of a session: sextant/reindex with progress, cancel and outcome, and the encoder that the settings name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from server import config
from server.jobs import Course, Jobs, Listener, Outcome, Request, State, sentence
from server.lsp import convert, protocol

if TYPE_CHECKING:
    from server.cluster.client import EncoderService
    from server.config import Settings
    from server.engine import Engine
    from server.lsp.server import SextantServer
    from server.types import Status

AGAIN = 60.0
"""Seconds after a job that nobody asked for and that did not succeed before it is tried again."""
CREATE_TIMEOUT = 5.0
"""Seconds a client may take to accept a progress."""
_HANDOVER = 3.0
"""Seconds that an encoder which was put aside goes on: questions that it was asked would be left to their words."""
_PREFIX = "sextant-job-"

Notify = Callable[[str, Any], None]
Ask = Callable[[str, Any], "asyncio.Future[Any]"]

logger = logging.getLogger(__name__)


class SessionJobs:
    """Owns the jobs of a session and the process of its second encoder; lives on the event loop."""

    def __init__(self, notify: Notify, request: Ask, warn: Callable[[str], None]) -> None:
        self._notify = notify
        self._request = request
        self._warn = warn
        self.has_progress = False
        """Whether the client shows progress that we begin."""
        self._engine: Engine | None = None
        self._user_settings: Settings | None = None
        self._settings: Settings | None = None
        """The user's, with the repository model for the encoder where there is one."""
        self._roots: tuple[str, ...] = ()
        self._jobs: Jobs | None = None
        self._service: EncoderService | None = None
        self._named: tuple[str, bool] | None = None
        self._shown: dict[str, asyncio.Task[bool]] = {}
        self._own: str | None = None
        self._own_after = 0.0
        self._loop = asyncio.get_running_loop()

    def open(self, engine: Engine, settings: Settings, roots: tuple[str, ...]) -> None:
        """Begin to take jobs; called once, when the index is open."""
        from server import reindex, tuning  # noqa: PLC0415  (heavy imports, made in a thread before)

        def work(request: Request, course: Course) -> Outcome:
            assert self._settings is not None
            return reindex.reindex(engine, self._settings, config.data_dir(), request, course)

        def tune(request: Request, course: Course) -> Outcome:
            assert self._user_settings is not None
            return tuning.tune(self._user_settings, config.data_dir(), request, course)

        self._engine = engine
        listener = Listener(
            lambda name, request: self._post(self._begun, name, request),
            lambda name, state: self._post(self._moved, name, state),
            lambda text: self._post(self._warn, f"Sextant: {sentence(text)}"),
            lambda name, request, outcome: self._post(self._ended, name, request, outcome),
        )
        self._jobs = Jobs({"reindex": work, "tune": tune}, listener)
        self.configure(settings, roots)

    def follow(self, roots: tuple[str, ...]) -> None:
        """Take the folders of the workspace: one alone may have a model of its own."""
        if self._user_settings is not None:
            self.configure(self._user_settings, roots)

    def configure(self, settings: Settings, roots: tuple[str, ...]) -> None:
        """Use the encoder that the settings name, or the repository model where there is one."""
        from server import reindex, tuning  # noqa: PLC0415
        from server.cluster.client import EncoderService  # noqa: PLC0415
        from server.model.choice import FOLDER  # noqa: PLC0415

        self._user_settings, self._roots = settings, roots
        settings = self._settings = tuning.tuned(settings, config.data_dir(), roots)
        named = (settings.encoder, settings.strip_comments_and_strings) if reindex.needs_second(settings) else None
        engine = self._engine
        if engine is None or named == self._named:
            return
        self._named, self._own_after = named, 0.0
        if self._own is not None and self._jobs is not None:
            self._jobs.cancel(self._own)  # it computes what nobody wants any more
            self._own = None
        old, self._service = self._service, None
        if old is not None:
            self._loop.call_later(_HANDOVER, self._loop.run_in_executor, None, old.close)
        if old is not None or named is None:
            engine.change_spaces(lambda spaces: spaces.withdraw())
        if named is None:
            return
        name, strips = named
        if name.startswith(FOLDER):
            engine.change_spaces(lambda spaces: spaces.offer_model(name, strips))
            return
        self._service = EncoderService(
            name,
            lambda encoder: engine.change_spaces(lambda spaces: spaces.offer(encoder, strips)),
            lambda reason: engine.change_spaces(lambda spaces: spaces.withdraw(reason)),
        )

    @property
    def wants_tuned(self) -> bool:
        """Whether the repository has a model of its own, which answers as soon as its vectors are there."""
        return self._settings != self._user_settings

    def update(self, status: Status) -> None:
        """Take the newest state of the index; compute unasked what the encoder in the settings lacks."""
        if self._jobs is None or not status.missing_vectors or self._own is not None:
            return
        if time.monotonic() > self._own_after:
            roots = tuple(folder.root for folder in status.folders)
            self._own = self._jobs.start(Request("reindex", roots))

    def start(self, request: Request) -> str:
        """Ask for a job and return its id."""
        if self._jobs is None:
            raise protocol.RequestFailed("The index is not open yet; ask again in a moment.")
        return self._jobs.start(request)

    def cancel(self, token: protocol.Token) -> None:
        """End the job whose progress the user cancelled."""
        if self._jobs is not None and isinstance(token, str) and token.startswith(_PREFIX):
            self._jobs.cancel(token.removeprefix(_PREFIX))

    def close(self) -> None:
        """End everything; blocks for a moment."""
        if self._service is not None:
            self._service.close()
        if self._jobs is not None:
            self._jobs.close(timeout=0.3)  # children that are left clean up by themselves

    # What the jobs' thread says.

    def _post(self, action: Callable[..., None], *given: object) -> None:
        try:
            self._loop.call_soon_threadsafe(action, *given)
        except RuntimeError:
            logger.debug("a job outlived the session")

    def _begun(self, name: str, request: Request) -> None:
        if self.has_progress:
            title = {"reindex": "Reindexing", "tune": "Tuning the model"}[request.kind]
            self._shown[name] = asyncio.create_task(self._show(_PREFIX + name, title), name=name)

    async def _show(self, token: str, title: str) -> bool:
        wish = types.WorkDoneProgressCreateParams(token)
        try:
            await asyncio.wait_for(self._request(types.WINDOW_WORK_DONE_PROGRESS_CREATE, wish), CREATE_TIMEOUT)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever the client answered: progress is decoration
            logger.warning("the client accepts no progress: %s", type(error).__name__)
            return False
        if token.removeprefix(_PREFIX) not in self._shown:  # it ended, and `wait_for` swallowed the cancellation
            return False
        self._send(token, types.WorkDoneProgressBegin(title, cancellable=True, percentage=0))
        return True

    def _moved(self, name: str, state: State) -> None:
        if self._is_shown(name):
            percentage = round(100 * state.share) if state.share is not None else None
            self._send(
                _PREFIX + name,
                types.WorkDoneProgressReport(cancellable=True, message=state.message, percentage=percentage),
            )

    def _ended(self, name: str, request: Request, outcome: Outcome) -> None:
        shown = self._is_shown(name)
        task = self._shown.pop(name, None)
        if shown:
            self._send(_PREFIX + name, types.WorkDoneProgressEnd(message=outcome.message))
        elif task is not None:
            task.cancel()
        if outcome.accepted:
            self.follow(self._roots)
        if name == self._own:
            self._own = None
            self._own_after = 0.0 if outcome.ok else time.monotonic() + AGAIN
        kind: Any = request.kind
        self._notify(
            protocol.JOB_FINISHED,
            protocol.JobFinished(
                name, kind, outcome.ok, outcome.message, outcome.before, outcome.after, outcome.accepted
            ),
        )

    def _is_shown(self, name: str) -> bool:
        task = self._shown.get(name)
        return task is not None and task.done() and not task.cancelled() and task.result()

    def _send(self, token: str, value: object) -> None:
        self._notify(types.PROGRESS, types.ProgressParams(token, value))


async def reindex(ls: SextantServer, params: protocol.ReindexParams) -> protocol.ReindexResult:
    """Begin to bring the index up to date, computed where the user says."""
    session = ls.session
    await session.engine()
    roots = _chosen(session.roots, params.folder)
    asked = Request("reindex", roots, _place(params.on), params.scope == "all")
    return protocol.ReindexResult(session.jobs.start(asked))


async def tune(ls: SextantServer, params: protocol.TuneParams) -> protocol.ReindexResult:
    """Begin to train the model of a workspace folder."""
    session = ls.session
    await session.engine()
    roots = _chosen(session.roots, params.folder)
    return protocol.ReindexResult(session.jobs.start(Request("tune", roots, _place(params.on))))


def _place(on: str | None) -> str:
    place = on or "auto"
    if place not in ("auto", "inline", "local") and config.address(place) is None:
        raise protocol.InvalidParams(
            "params.on must be auto, inline, local or an address: host:port or ray://host:port."
        )
    return place


def _chosen(roots: tuple[convert.Root, ...], uri: str | None) -> tuple[str, ...]:
    """Return the workspace folder that is named, or all."""
    if uri is not None:
        path = convert.to_path(uri)
        roots = tuple(root for root in roots if root.path == path)
        if not roots:
            raise protocol.RequestFailed(f"{uri} is no folder of this workspace.")
    return tuple(root.real for root in roots)


async def cancel(ls: SextantServer, params: types.WorkDoneProgressCancelParams) -> None:
    """End what the user cancelled."""
    ls.session.jobs.cancel(params.token)
