"""Watch: tell which files of a workspace folder changed on disk, whoever changed them."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from server.index.store import inode_of

_log = logging.getLogger(__name__)
# Each watch that ends while its thread waits for events is an error to watchdog (7.1), and as it should be to us.
logging.getLogger("watchdog.observers.inotify").addFilter(
    lambda record: "called when the thread is inactive" not in record.getMessage()
)

_GATHER = 0.2
"""Seconds: an atomic save is several events, a branch switch thousands; only what lies on disk afterwards counts."""
_BURST = 500
"""Paths; looking at everything once costs less than more of them one by one, and covers events that were lost."""
_QUIET = 2.0
"""Seconds without a change after which a burst is over."""
_POLL = 30.0
"""Seconds between two looks where the system cannot watch so much."""
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
"""What changes something. Each answer and each first index opens files: to be told of that costs more than a search."""


class Watch:
    """Watches one folder from threads of its own; what it finds is only ever posted.

    The root is watched flat and each top folder that is not ignored as a whole: a recursive watch on the root would
    spend thousands of the system's watches on node_modules. The folder around the root is watched flat, too: it alone
    tells that the root was renamed, deleted or made again.
    """

    def __init__(
        self,
        root: str,
        is_ignored: Callable[[str], bool],
        touch: Callable[[list[str]], None],
        rescan: Callable[[], None],
        notice: Callable[[str], None],
    ) -> None:
        """`is_ignored` takes a top folder's name; `touch` absolute paths; `rescan` asks for a look at everything.

        `notice` takes a sentence for the user, when the system cannot watch so much.
        """
        self._root = root
        self._is_ignored = is_ignored
        self._touch = touch
        self._rescan = rescan
        self._notice = notice
        self._paths: set[str] = set()
        self._wake = threading.Condition()
        self._closed = False
        self._observer: BaseObserver | None = None
        self._inode = 0
        self._watched: dict[str, ObservedWatch] = {}
        self._gone: set[str] = set()
        """Top folders that were deleted or moved: one of that name that is there again needs a new watch."""
        self._polls = False
        self._settles = False
        """Whether a burst has to be followed by another look once it is over: events may have been lost in it."""
        self._thread = threading.Thread(target=self._run, name="sextant-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._stop()

    def look_again(self) -> None:
        """Look at everything, and watch the top folders that are no longer ignored."""
        self._note([self._root], None)

    def _stop(self) -> None:
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()

    def _run(self) -> None:
        self._begin()
        while True:
            patience = _QUIET if self._settles else _POLL if self._polls else None
            with self._wake:
                self._wake.wait_for(lambda: self._paths or self._closed, timeout=patience)
                if self._closed:
                    return
            if not self._paths:
                self._settles = False
                self._rescan()
                continue
            time.sleep(_GATHER)
            with self._wake:
                paths, self._paths = self._paths, set()
            if inode_of(Path(self._root)) not in (0, self._inode):
                self._stop()
                self._begin()  # another folder of that name: the watches have gone with the old one
                continue
            self._watch_new_folders()
            if len(paths) > _BURST or self._root in paths:
                self._settles = True
                self._rescan()
            else:
                self._touch(sorted(paths))

    def _begin(self) -> None:
        """Start watching; where the system cannot, look at everything from time to time."""
        self._observer, self._inode = None, inode_of(Path(self._root))
        self._watched.clear()
        try:
            self._observer = Observer()
            self._observer.start()
            around = str(Path(self._root).parent)
            if around != self._root:
                with contextlib.suppress(PermissionError, FileNotFoundError):
                    self._observer.schedule(_Handler(self._note_root), around, recursive=False, event_filter=_EVENTS)
            if self._inode:
                self._observer.schedule(_Handler(self._note), self._root, recursive=False, event_filter=_EVENTS)
            self._watch_new_folders()
        except FileNotFoundError:
            self._inode = 0  # gone again; the folder around it tells when it is back, and all begins anew
        except OSError as problem:
            self._fall_back(problem)
        # What changed between the first scan and the first watch would be missed; stamps make a second look cheap.
        self._rescan()

    def _watch_new_folders(self) -> None:
        if self._observer is None or self._polls:
            return
        try:
            with os.scandir(self._root) as entries:
                folders = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
            with self._wake:
                gone, self._gone = self._gone, set()
            for name in [name for name in self._watched if name in gone or name not in folders]:
                watch = self._watched.pop(name)
                with contextlib.suppress(KeyError, OSError):  # its end may have been noticed already
                    self._observer.unschedule(watch)
            for name in sorted(folders - self._watched.keys()):
                if not self._is_ignored(name):
                    path = str(Path(self._root, name))
                    handler = _Handler(self._note)
                    self._watched[name] = self._observer.schedule(handler, path, recursive=True, event_filter=_EVENTS)
                    self._touch([path])  # what came before the watch
        except FileNotFoundError:
            pass  # gone again; its parent's event tells
        except OSError as problem:
            self._fall_back(problem)

    def _fall_back(self, problem: OSError) -> None:
        """Look at everything from time to time instead, and say so."""
        self._polls = True
        notice = (
            f"{self._root} cannot be watched ({problem.strerror or problem}): changes that no editor reports are found"
            f" within {_POLL:g} s. {limit_hint(problem)}"
        )
        _log.warning("%s", notice)
        self._notice(notice)
        self._stop()

    def _note(self, paths: list[str], gone: str | None) -> None:
        with self._wake:
            self._paths.update(paths)
            if gone is not None and str(Path(gone).parent) == self._root:
                self._gone.add(Path(gone).name)
            self._wake.notify()

    def _note_root(self, paths: list[str], _: str | None) -> None:
        """Take from the folder around the root what concerns the root itself."""
        if self._root in paths:
            self._note([self._root], None)


def limit_hint(problem: OSError) -> str:
    """Say which limit of the system was reached and how to raise it; nothing for another problem."""
    name = {errno.ENOSPC: "max_user_watches", errno.EMFILE: "max_user_instances"}.get(problem.errno or 0)
    if name is None or not sys.platform.startswith("linux"):
        return ""
    try:
        now = Path("/proc/sys/fs/inotify", name).read_text(encoding="ascii").strip()
    except OSError:
        now = "unknown"
    return f"The limit is fs.inotify.{name} (now {now}); raise it with: sudo sysctl fs.inotify.{name}=524288"


class _Handler(FileSystemEventHandler):
    """Collects the paths of events."""

    def __init__(self, note: Callable[[list[str], str | None], None]) -> None:
        self._note = note

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note where something changed."""
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        ended = isinstance(event, DirDeletedEvent | DirMovedEvent)
        self._note(paths, os.fsdecode(event.src_path) if ended else None)
