"""Background: what the engine lets others do beside it, and takes back when it is done."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from server.config import Settings
from server.folder import Folder
from server.index.collect import collect, is_due
from server.index.layers import Folded
from server.process import in_process

_log = logging.getLogger(__name__)

_RETRY = 60.0
"""Seconds after which a generation that could not be made is tried again; until then the delta answers."""

Made = str | Folded | Exception


class Background:
    """Owns the threads that write generations and collect what nobody uses; used by the engine's thread alone.

    They are daemons: the process may end in the middle, and what they leave behind is never pointed to.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None], done: Callable[[Folder, Made], None]) -> None:
        """`post` runs something in the engine's thread; there `done` gets what became of a folder's generation."""
        self._post = post
        self._done = done
        self._busy: dict[str, Folder] = {}
        self._after: dict[str, float] = {}
        self._collected = False

    @property
    def is_busy(self) -> bool:
        """Tell whether a generation is being written."""
        return bool(self._busy)

    def compact_if_due(self, folder: Folder) -> None:
        """Write a new generation if so much was saved, unless that has just failed."""
        if folder.wants_compaction and time.monotonic() > self._after.get(folder.root, 0.0):
            self.compact(folder)

    def compact(self, folder: Folder) -> None:
        """Write a new generation, unless one is being written."""
        root = folder.root
        if root in self._busy:
            return
        self._busy[root] = folder
        write = folder.generation_writer()

        def run() -> None:
            made: Made
            try:
                made = write()
            except Exception as problem:
                made = problem
            self._post(lambda: self._compacted(folder, made))

        threading.Thread(target=run, name="sextant-compact", daemon=True).start()

    def _compacted(self, folder: Folder, made: Made) -> None:
        self._busy.pop(folder.root, None)
        if isinstance(made, Exception):
            _log.warning("%s: no new generation can be made: %s", folder.root, made)
            self._after[folder.root] = time.monotonic() + _RETRY
        self._done(folder, made)

    def collect_if_due(self, data_dir: Path, settings: Settings) -> None:
        """Delete what nobody uses, once a day, in another process."""
        if self._collected or not is_due(data_dir):
            return
        self._collected = True
        given = data_dir, settings.keep_days, settings.max_cache_megabytes * 1_000_000

        def run() -> None:
            try:
                in_process(collect, *given)
            except Exception as problem:
                _log.warning("unused indexes are not collected: %s", problem)

        threading.Thread(target=run, name="sextant-collect", daemon=True).start()
