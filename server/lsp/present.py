"""Present: show hits with what any client has, for those without a view of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from server.lsp import protocol
from server.lsp.progress import Notify
from server.lsp.settings import Request

OFFERED = 8
"""Hits to choose from: buttons or lines in a message."""

RESPITE = 0.1
"""Seconds between the command's response and the message: a client that waits for the one may not show the other."""

logger = logging.getLogger(__name__)


class Presenter:
    """Offers hits to the user as a message, and opens the one that is chosen."""

    def __init__(self, request: Request, notify: Notify) -> None:
        self._request = request
        self._notify = notify
        self._tasks: set[asyncio.Task[None]] = set()

    def show(self, result: protocol.SearchResult, able: types.ClientCapabilities) -> None:
        """Begin to show; nobody waits for the user's choice."""
        self._start(self._offer(result, able))

    def open(self, locations: list[types.Location], able: types.ClientCapabilities) -> None:
        """Open some places, the last one in front."""
        if can_open(able):
            self._start(self._open(locations))

    def close(self) -> None:
        """Wait for no choice any more."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="present")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A client that refuses: the command's result says the same.
            logger.warning("the client does not show hits: %s", type(error).__name__)

    async def _offer(self, result: protocol.SearchResult, able: types.ClientCapabilities) -> None:
        await asyncio.sleep(RESPITE)
        message = _summary(result)
        choices: dict[str, protocol.Hit] = {}
        for hit in result.hits[:OFFERED] if not result.low_confidence else ():
            choices.setdefault(label(hit), hit)
        if not can_open(able) and choices:
            message, choices = "\n".join([message, *choices]), {}
        actions = [types.MessageActionItem(title) for title in choices] or None
        asked = types.ShowMessageRequestParams(types.MessageType.Info, message, actions)
        try:
            chosen = await self._request(types.WINDOW_SHOW_MESSAGE_REQUEST, asked)
        except JsonRpcException:  # Helix 25 has no such request; a message has one line there
            line = " · ".join([*message.split("\n"), *choices])
            self._notify(types.WINDOW_SHOW_MESSAGE, types.ShowMessageParams(types.MessageType.Info, line))
            return
        if (title := getattr(chosen, "title", None)) in choices:
            await self._open([choices[title].location])

    async def _open(self, locations: list[types.Location]) -> None:
        for place in locations:
            wanted = types.ShowDocumentParams(place.uri, external=False, take_focus=True, selection=place.range)
            await self._request(types.WINDOW_SHOW_DOCUMENT, wanted)


def can_open(able: types.ClientCapabilities) -> bool:
    """Tell whether the client opens documents for the server."""
    shown = able.window.show_document if able.window else None
    return shown is not None and shown.support


def label(hit: protocol.Hit) -> str:
    """Return a hit in a line."""
    name = f"{hit.container_name}.{hit.name}" if hit.container_name else hit.name
    file = PurePosixPath(unquote(urlsplit(hit.location.uri).path))
    return f"{name}  {'/'.join(file.parts[-2:]).lstrip('/')}:{hit.location.range.start.line + 1}"


def _summary(result: protocol.SearchResult) -> str:
    still = " The index is still being built." if result.is_incomplete else ""
    if not result.hits or result.low_confidence:
        return f"Sextant: nothing matches well.{still}"
    return f"Sextant: {len(result.hits)} matches, the best first.{still}"
