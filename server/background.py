"""Background: what the engine lets others do beside it, and takes back when it is done."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from server.config import Settings
from server.folder import Folder
from server.index.collect import collect, is_due
from server.index.layers import Folded
from server.process import in_process

_log = logging.getLogger(__name__)

_RETRY = 60.0
"""Seconds after which a generation that could not be made is tried again; until then the delta answers."""

_WAY = 3.0
"""Times what a slice of background work took of the interpreter that is then left to questions, if there are any."""
_MOST_WAY = 0.1
"""Seconds of that at most, so that a first index ends however much is asked."""

Made = str | Folded | Exception


class Courtesy:
    """Has the engine's background work step back while somebody waits for an answer: both share one interpreter."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._questions = 0
        self._cost = 0.0
        """Seconds of the processor that the last slices took."""

    @contextlib.contextmanager
    def question(self) -> Iterator[None]:
        """Answer something; for any thread."""
        with self._guard:
            self._questions += 1
        try:
            yield
        finally:
            with self._guard:
                self._questions -= 1

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """Do a slice of background work, in the engine's thread."""
        begun = time.thread_time()
        try:
            yield
        finally:
            self._cost = time.thread_time() - begun

    @property
    def way(self) -> float:
        """Return the seconds that the next slice should wait for something more urgent."""
        return min(_MOST_WAY, _WAY * self._cost) if self._questions else 0.0


class Background:
    """Owns the threads that write generations and collect what nobody uses; used by the engine's thread alone.

    They are daemons: the process may end in the middle, and what they leave behind is never pointed to.
    """

    def __init__(
        self, post: Callable[[Callable[[], None]], None], done: Callable[[Folder, Made], None], builds_trees: bool
    ) -> None:
        """`post` runs something in the engine's thread; there `done` gets what became of a folder's generation.

        `builds_trees`: this process lives long enough for the trees of large folders, which take many times as long
        as all else and make answers faster, not better.
        """
        self._post = post
        self._done = done
        self._builds_trees = builds_trees
        self._busy: dict[str, bool] = {}
        """Folders whose generation is being written, and whether anybody waits for it."""
        self._after: dict[str, float] = {}
        self._collected = False

    @property
    def is_busy(self) -> bool:
        """Tell whether a generation is being written for more than its tree."""
        return any(self._busy.values())

    def compact_if_due(self, folder: Folder) -> None:
        """Write a new generation if so much was saved, unless that has just failed."""
        if time.monotonic() > self._after.get(folder.root, 0.0):
            if folder.wants_compaction:
                self.compact(folder, with_tree=False)
            elif self._builds_trees and folder.wants_tree:
                self.compact(folder, with_tree=True, is_awaited=False)

    def compact(self, folder: Folder, with_tree: bool, is_awaited: bool = True) -> None:
        """Write a new generation, unless one is being written."""
        root = folder.root
        if root in self._busy:
            return
        self._busy[root] = is_awaited
        write = folder.generation_writer(with_tree)

        def run() -> None:
            made: Made
            try:
                made = write()
            except Exception as problem:
                made = problem
            self._post(lambda: self._compacted(folder, made))

        threading.Thread(target=run, name="sextant-compact", daemon=True).start()

    def _compacted(self, folder: Folder, made: Made) -> None:
        del self._busy[folder.root]
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
