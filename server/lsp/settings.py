"""Configuration: the settings of a session, whichever way a client tells them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from lsprotocol import types

from server import config

SECTION = "sextant"
WAIT = 2.0
"""Seconds a client may take to tell its settings before the index opens without them."""

Request = Callable[[str, Any], "asyncio.Future[Any]"]

logger = logging.getLogger(__name__)


class Configuration:
    """Owns the settings: the options of initialize, and above them what the client says later."""

    def __init__(self, request: Request, apply: Callable[[config.Settings], None], warn: Callable[[str], None]) -> None:
        """`apply` takes each new state of the settings, `warn` a sentence for the user."""
        self.settings = config.Settings()
        self._request = request
        self._apply = apply
        self._warn = warn
        self._options: dict[str, Any] = {}
        self._told: dict[str, Any] = {}
        self._problems: list[str] = []
        self._reported: set[str] = set()
        self._can_ask = False
        self._known = asyncio.Event()

    def open(self, options: object, able: types.ClientCapabilities) -> None:
        """Take the options of initialize; a client that can be asked is asked once it is initialized."""
        self._options = _section(options)
        self._can_ask = able.workspace is not None and bool(able.workspace.configuration)
        self._parse()
        if not self._can_ask:
            self._known.set()

    async def first(self) -> config.Settings:
        """Return the settings once the client has told them, or after a while without."""
        try:
            await asyncio.wait_for(self._known.wait(), WAIT)
        except asyncio.TimeoutError:
            logger.warning("the client does not tell its settings")
        return self.settings

    async def ask(self) -> None:
        """Ask the client for its settings, if it can be asked."""
        if not self._can_ask:
            self.report()
            return
        wish = types.ConfigurationParams([types.ConfigurationItem(section=SECTION)])
        try:
            answer = await self._request(types.WORKSPACE_CONFIGURATION, wish)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever the client answered: the defaults stand
            logger.warning("the client does not tell its settings: %s", type(error).__name__)
            answer = None
        self.take(answer[0] if isinstance(answer, (list, tuple)) and answer else None)

    async def changed(self, settings: object) -> None:
        """Take a didChangeConfiguration: a client that can be asked often says only that something changed."""
        if self._can_ask:
            await self.ask()
        else:
            self.take(settings)

    def take(self, raw: object) -> None:
        """Take what the client says now; what it does not mention falls back to the options of initialize."""
        self._told = _section(raw)
        self._parse()
        self.report()
        if self._known.is_set():
            self._apply(self.settings)
        self._known.set()

    def report(self) -> None:
        """Tell the user what makes no sense, each setting once."""
        for problem in self._problems:
            if problem not in self._reported:
                self._reported.add(problem)
                logger.warning("%s", problem)
                self._warn(f"Sextant: {problem}.")

    def _parse(self) -> None:
        raw = {**self._options, **{name: value for name, value in self._told.items() if value is not None}}
        self.settings, self._problems = config.parse(raw)


def _section(raw: object) -> dict[str, Any]:
    """Return Sextant's part of an object of settings; it may be all of it.

    Objects in it are not ours: our settings are flat, and clients keep their own (server.path, trace.server) beside
    them.
    """
    if not isinstance(raw, dict):
        return {}
    own = raw.get(SECTION)
    if isinstance(own, dict):
        raw = own
    return {name: value for name, value in raw.items() if not isinstance(value, dict)}
