"""Work-done progress: decoration that a client may lack, begun once and ended once."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from lsprotocol import types

from server.lsp.protocol import Token
from server.types import Status

CREATE_TIMEOUT = 5.0
"""Seconds a client may take to accept a progress; one that never answers costs nothing but this wait."""

NOTABLE = 10
"""Files waiting before an update is worth a progress; an edit or a save is not."""

Notify = Callable[[str, Any], None]

logger = logging.getLogger(__name__)


@asynccontextmanager
async def of_request(notify: Notify, token: Token | None, title: str) -> AsyncIterator[None]:
    """Show a request's work under the token the client gave with it, if it gave one."""
    if token is None:
        yield
        return
    # The client's own token needs no create.
    notify(types.PROGRESS, types.ProgressParams(token, types.WorkDoneProgressBegin(title)))
    try:
        yield
    finally:
        notify(types.PROGRESS, types.ProgressParams(token, types.WorkDoneProgressEnd()))


class IndexProgress:
    """Shows the client that files are being indexed, for as long as they are."""

    def __init__(self, notify: Notify, create: Callable[[Token], asyncio.Future[Any]]) -> None:
        self._notify = notify
        self._create = create
        self._status: Status | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def update(self, status: Status) -> None:
        """Take the newest state of the index; begin when it is worth it."""
        self._status = status
        self._changed.set()
        if self._task is None and _waiting(status) >= NOTABLE:
            self._task = asyncio.create_task(self._show(), name="index-progress")
            self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        """End what is shown."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("index progress failed: %s", type(error).__name__)

    async def _show(self) -> None:
        token = str(uuid.uuid4())
        try:
            await asyncio.wait_for(self._create(token), CREATE_TIMEOUT)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever the client answered: progress is decoration
            logger.warning("the client accepts no progress: %s", type(error).__name__)
            return
        self._send(token, types.WorkDoneProgressBegin("Indexing", cancellable=False, percentage=0))
        try:
            total = percentage = 0
            while waiting := _waiting(self._status):
                total = max(total, waiting)
                # Files found meanwhile may raise the total; a bar that runs backwards would irritate.
                percentage = max(percentage, 100 * (total - waiting) // total)
                message = f"{total - waiting}/{total} files"
                self._send(token, types.WorkDoneProgressReport(message=message, percentage=percentage))
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._send(token, types.WorkDoneProgressEnd())

    def _send(self, token: Token, value: object) -> None:
        self._notify(types.PROGRESS, types.ProgressParams(token, value))


def _waiting(status: Status | None) -> int:
    return 0 if status is None else sum(folder.pending_files for folder in status.folders)
