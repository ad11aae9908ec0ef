"""Engine: the one writer of the index; it publishes snapshots that anybody may read."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path

from server.background import Background, Courtesy, Made
from server.config import Settings
from server.folder import Folder
from server.index.count import forget
from server.index.ignore import IgnoreRules, is_rule_file
from server.index.parser import KEPT, Parser, ParserApart
from server.index.store import NONSENSE, is_environment
from server.index.watch import Watch
from server.process import release_memory, resident_bytes
from server.snapshot import Snapshot, locate
from server.spaces import Spaces
from server.types import Cancelled, CancelToken, Encoder, FolderStatus, Status

_log = logging.getLogger(__name__)

Work = Generator[None, None, None]
"""Background work, a slice at each step."""

_RETRY = 5.0
"""Seconds after which what failed is tried again: room on the disk, a folder that is back."""
_FOLLOW = 0.5
"""Seconds between two looks at what another process committed to an index."""
_BACKSTOP = 300.0
"""Seconds; who asks later than this after the last look at a folder causes another: no watch sees everything (network
file systems report nothing of what others do)."""
_HEED = 2.0
"""Seconds between two looks, while questions are asked, at the rules that no watch sees."""
_REST = 2.0
"""Seconds without a change after which the memory that changes took is given back to the system."""
_STATUS_INTERVAL = 0.1
"""Seconds between two reports of progress."""
_PUBLISH_SHARE = 0.05
"""Of the time spent on a first index that may go into publishing what is there already."""


class Engine:
    """Own the index of some workspace folders.

    Only the engine's thread touches folders (invariant 2); other threads post changes to it and read `snapshot`.
    `on_change` is called in that thread when `status()` has changed.
    """

    def __init__(
        self,
        settings: Settings,
        encoder: Encoder,
        data_dir: Path,
        on_change: Callable[[], None] = lambda: None,
        watches: bool = False,
        tries_again: bool = True,
        parser: Parser | None = None,
    ) -> None:
        """`watches`: follow changes on disk that nobody reports, until the engine closes. `tries_again`: parse again
        what ended its parsers before, for seconds a file. `parser`: one in a process apart by default.
        """
        self._tries_again = tries_again
        self._settings = settings
        self._encoder = encoder
        self._data_dir = data_dir
        self._on_change = on_change
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._token = CancelToken()
        self._idle = threading.Condition()
        self._open_posts = 0
        self.courtesy = Courtesy()
        self._is_working = False
        self._folders: dict[str, Folder] = {}
        self._documents: dict[str, tuple[str | None, str]] = {}
        """All open documents, also those that no folder holds yet."""
        self._failed: dict[str, FolderStatus] = {}
        self._work: dict[str, Work] = {}
        self._watches: dict[str, Watch] | None = {} if watches else None
        self._again: set[str] = set()
        """Folders whose scan is to be followed by another: something changed behind its back."""
        self._background = Background(self._post, self._compacted, builds_trees=watches)
        self._parser = parser or ParserApart(settings.worker_bytes)
        self._spaces = Spaces(data_dir, encoder, self._folders, self.change_spaces, self._parser)
        self._dirty = True
        self._publish_cost = self._published_at = self._reported_at = self._tended_at = 0.0
        self._snapshot = Snapshot(0, (), encoder, is_incomplete=True, parser=self._parser)
        self._status = Status((), 0, encoder.fingerprint, "exact", resident_bytes())
        self._wanted: dict[str, tuple[str | None, str] | None] = {}
        """The newest text of each document that has not been applied; None for one that was closed."""
        self._is_rested = True
        self._looked_at = self._heeded_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="sextant-engine", daemon=True)

    def start(self) -> None:
        """Start the writer; folders added before are in its first snapshot, which without any is empty and complete."""
        self._thread.start()

    def close(self) -> None:
        """Stop running work and the writer; what was committed stays, the rest is found again by the next scan."""
        self._token.cancel()
        self._parser.close()
        self._post(lambda: None)
        self._thread.join(timeout=1.0)

    @property
    def snapshot(self) -> Snapshot:
        """Return the current reader."""
        if time.monotonic() - self._looked_at > _BACKSTOP:
            self.rescan()
        self._ask_for_rules()
        snapshot = self._snapshot
        damaged = {layer.folder for layer in snapshot.layers if not layer.segment.is_intact()}
        if damaged:  # to read on would end this process: what is mapped is no longer there
            self._post(lambda: self._read_again(damaged))
            layers = tuple(layer for layer in snapshot.layers if layer.folder not in damaged)
            snapshot = replace(snapshot, layers=layers, is_incomplete=True)
        return snapshot

    def status(self) -> Status:
        """Return what was last reported, with the number of the snapshot that answers now."""
        self._ask_for_rules()
        return replace(self._status, generation=self._snapshot.generation)

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until every posted change is visible in `snapshot`; False when that took longer than `timeout`."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._open_posts and not self._is_working, timeout)

    def add_folder(self, root: str) -> None:
        """Index a folder and keep it indexed."""
        self._post(lambda: self._add_folder(os.path.realpath(root)))

    def remove_folder(self, root: str) -> None:
        """Stop answering from a folder; its index stays on disk."""
        self._post(lambda: self._remove_folder(os.path.realpath(root)))

    def set_buffer(self, path: str, language: str | None, text: str) -> None:
        """Let an open document stand above its file."""
        self._want(path, (language, text))

    def drop_buffer(self, path: str) -> None:
        """Let the file stand for itself again."""
        self._want(path, None)

    def touch(self, paths: Iterable[str]) -> None:
        """Look again at files or folders that may have been created, changed or deleted."""
        for path in tuple(paths):
            self._post(lambda path=path: self._in_folder(path, self._touch))  # type: ignore[misc]

    def rescan(self, root: str | None = None, everything: bool = False) -> None:
        """Look again at one folder, or at all; `everything`: also at files that did not change."""
        self._looked_at = time.monotonic()
        chosen = os.path.realpath(root) if root else None
        self._post(lambda: self._rescan(chosen, everything))

    def configure(self, settings: Settings) -> None:
        """Obey other settings; what they change in the index is found by a scan."""
        self._post(lambda: self._configure(settings))

    def change_spaces(self, change: Callable[[Spaces], None]) -> None:
        """Change whose vectors answer; see `Spaces`."""

        def changed() -> None:
            change(self._spaces)
            self._dirty = True

        self._post(changed)

    def compact(self) -> None:
        """Fold all saved changes into new generations now."""
        self._post(self._compact_all)

    def _want(self, path: str, document: tuple[str | None, str] | None) -> None:
        """Post the newest state of a document; older ones that still wait are passed over."""
        with self._idle:
            is_new = path not in self._wanted
            self._wanted[path] = document
        if is_new:
            self._post(lambda: self._apply(path))

    def _apply(self, path: str) -> None:
        with self._idle:
            document = self._wanted.pop(path)
        if document is None:
            self._documents.pop(path, None)
            self._in_folder(path, lambda folder, inner: folder.drop_buffer(inner))
        else:
            self._set_buffer(path, *document)

    def _post(self, change: Callable[[], None]) -> None:
        with self._idle:
            self._open_posts += 1
        self._posted.put(change)

    def _run(self) -> None:
        while not self._token.cancelled:
            self._turn()
        for root in list(self._work):
            self._drop_work(root)
        for watch in (self._watches or {}).values():
            watch.close()
        for folder in self._folders.values():
            folder.close()
        self._spaces.close()

    def _turn(self) -> None:
        """Apply one posted change, or else do a slice of background work; publish when it is time."""
        waits = not self._work and not self._dirty
        try:
            way = self._patience() if waits else self.courtesy.way
            change: Callable[[], None] | None = self._posted.get(way != 0.0, way)
        except queue.Empty:
            change = None
            if waits and not self._is_rested:
                forget()
                release_memory()
                self._is_rested = True
        self._tend()
        if change is not None:
            self._is_rested = False
            self._guard(change)
            if self._posted.empty():
                self._guard(self._publish)  # a burst of changes is published once
        else:
            with self.courtesy.work():
                for root in list(self._work):
                    self._guard(lambda root=root: self._slice(root))  # type: ignore[misc]
            if not self._work or time.monotonic() - self._published_at > self._publish_cost / _PUBLISH_SHARE:
                self._guard(self._publish)
        with self._idle:
            self._open_posts -= change is not None
            waiting = any(folder.is_scanning for folder in self._folders.values())
            self._is_working = bool(self._work or self._background.is_busy) or self._dirty or waiting
            self._idle.notify_all()

    def _patience(self) -> float | None:
        """Return how long the engine may rest while nothing is posted."""
        folders = self._folders.values()
        if any(folder.is_follower for folder in folders):
            return _FOLLOW
        if any(folder.is_degraded for folder in folders):
            return _RETRY
        if not self._is_rested:
            return _REST
        return KEPT if self._parser.is_running else None

    def _tend(self) -> None:
        """Look after what changes without being posted: other processes, and what failed."""
        since = time.monotonic() - self._tended_at
        if since < _FOLLOW or (patience := self._patience()) is None or since < patience:
            return  # the least patience first: to ask many folders takes long
        self._tended_at += since
        self._parser.close(unless_used_for=KEPT)
        for folder in list(self._folders.values()):
            if folder.is_follower or folder.is_degraded:
                self._guard(lambda folder=folder: self._tend_folder(folder))  # type: ignore[misc]

    def _tend_folder(self, folder: Folder) -> None:
        before = folder.status()
        if folder.follow() if folder.is_follower else folder.mend():
            self._scan(folder)
        if folder.is_changed or folder.status() != before:
            self._dirty = True

    def _slice(self, root: str) -> None:
        """Go one step on with the work of a folder."""
        self._dirty = True
        try:
            next(self._work[root])
        except BaseException as end:
            self._work.pop(root, None)
            if not isinstance(end, StopIteration):
                if isinstance(end, NONSENSE):
                    self._degrade(root, end)  # a scan that ended in the middle must not look like one that goes on
                raise
            if root in self._again:
                self._scan(self._folders[root])
            elif not self._work and self._watches is not None:
                release_memory()
                self._background.collect_if_due(self._data_dir, self._settings)
            self._spaces.choose()
        self._background.compact_if_due(self._folders[root])

    def _scan(self, folder: Folder, restart: bool = False) -> None:
        """Begin a scan, or another after the one under way; `restart` when that one obeys rules of the past."""
        self._dirty = True
        if folder.root in self._work and not restart:
            self._again.add(folder.root)
            return
        self._drop_work(folder.root)
        self._again.discard(folder.root)
        self._work[folder.root] = folder.scan(self._token)

    def _drop_work(self, root: str) -> None:
        work = self._work.pop(root, None)
        if work is not None:
            work.close()  # ends the parsing processes

    def _compact_all(self) -> None:
        for folder in self._folders.values():
            self._background.compact(folder, with_tree=True)

    def _compacted(self, folder: Folder, made: Made) -> None:
        self._dirty = True
        if self._folders.get(folder.root) is not folder:
            return
        if isinstance(made, Exception):
            if not is_environment(made):
                self._begin_anew(folder.root)  # the database is damaged where only this reads it
            return
        folder.adopt(made)
        self._publish()  # lets go of what the generation replaces
        release_memory()
        self._background.compact_if_due(folder)  # more may have come meanwhile

    def _guard(self, action: Callable[[], None]) -> None:
        """Run an action; whatever happens, the engine lives. The only broad catch outside the request handlers."""
        try:
            action()
        except Cancelled:
            pass
        except (OSError, sqlite3.Error) as problem:
            _log.warning("index: %s", problem)
            for root in list(self._folders):
                self._degrade(root, problem)
        except Exception:
            _log.exception("index: unexpected failure")

    def _degrade(self, root: str, problem: Exception) -> None:
        """Go on with what a folder's index still says, or else with a new one, or else without the folder."""
        self._dirty = True
        try:
            message = f"{problem or type(problem).__name__}; answers come from what is indexed already"
            self._folders[root].degrade(message, is_damage=not is_environment(problem))
        except (OSError, *NONSENSE, sqlite3.Error):
            try:
                self._begin_anew(root)
            except (OSError, *NONSENSE, sqlite3.Error) as worse:
                _log.warning("%s: the index can neither be read nor made anew: %s", root, worse)
                self._remove_folder(root)
                self._failed[root] = FolderStatus(root, "degraded", 0, 0, 0, {}, {}, str(worse))

    def _add_folder(self, root: str) -> None:
        if root in self._folders:
            return
        self._failed.pop(root, None)
        self._dirty = True
        try:
            root.encode("utf-8")
            folder = Folder.open(root, self._data_dir, self._spaces.first(), self._settings, self._parser)
            folder.tries_again = self._tries_again
            self._spaces.welcome(folder)
        except (OSError, sqlite3.Error, *NONSENSE) as problem:
            message = f"the index folder {self._data_dir} cannot be used: {problem}; set SEXTANT_DATA_DIR to another"
            if isinstance(problem, UnicodeEncodeError):
                message = "the path of this folder is not valid Unicode; rename it or open a folder below it"
            _log.warning("a folder cannot be opened: %s", message)
            self._failed[root] = FolderStatus(root, "degraded", 0, 0, 0, {}, {}, message)
            return
        self._folders[root] = folder
        for path, document in list(self._documents.items()):
            self._set_buffer(path, *document)
        self._scan(folder)
        if self._watches is not None:
            self._watches[root] = self._watch(root)

    def _watch(self, root: str) -> Watch:
        path, extra = Path(root), self._settings.exclude
        return Watch(
            root,
            lambda name: IgnoreRules(path, extra).ignores(name, True),
            self.touch,
            lambda: self.rescan(root),
            lambda text: self._post(lambda: self._notify(root, text)),
        )

    def _notify(self, root: str, text: str) -> None:
        """Show the user something about a folder."""
        if root in self._folders:
            self._folders[root].notice = text
            self._dirty = True

    def _begin_anew(self, root: str) -> None:
        """Make a folder's index again after damage."""
        self._folders[root].discard()
        self._remove_folder(root)
        self._add_folder(root)

    def _read_again(self, roots: set[str]) -> None:
        """Load the generations of some folders again: their files were changed behind our back."""
        for root in roots & self._folders.keys():
            self._folders[root].is_changed = self._dirty = True

    def _remove_folder(self, root: str) -> None:
        self._failed.pop(root, None)
        self._drop_work(root)
        self._again.discard(root)
        watch = (self._watches or {}).pop(root, None)
        if watch is not None:
            watch.close()
        folder = self._folders.pop(root, None)
        if folder is not None:
            folder.close()
        self._dirty = True

    def _set_buffer(self, path: str, language: str | None, text: str) -> None:
        self._documents[path] = (language, text)
        self._in_folder(path, lambda folder, inner: folder.set_buffer(inner, language, text))

    def _rescan(self, root: str | None, everything: bool) -> None:
        for one, folder in self._folders.items():
            if root in (None, one):
                if everything:
                    folder.distrust()
                self._scan(folder)

    def _configure(self, settings: Settings) -> None:
        if settings == self._settings:
            return
        self._settings = settings
        for root, folder in self._folders.items():
            if folder.configure(settings):
                self._scan(folder, restart=True)
            if self._watches is not None and (watch := self._watches.pop(root, None)) is not None:
                watch.close()
                self._watches[root] = self._watch(root)

    def _touch(self, folder: Folder, inner: str) -> None:
        if folder.needs_scan(inner):
            self._scan(folder, restart=is_rule_file(inner))
        else:
            folder.touch(inner)
            self._background.compact_if_due(folder)

    def _ask_for_rules(self) -> None:
        """Have changed rules found although no file changed."""
        if time.monotonic() - self._heeded_at > _HEED:
            self._heeded_at = time.monotonic()
            self._post(lambda: self._heed(self._folders))

    def _heed(self, roots: Iterable[str]) -> None:
        """Obey what changed in the rules around some folders and in git's own places."""
        for root in roots:
            if self._folders[root].heed_rules():
                self._scan(self._folders[root], restart=True)
                if watch := (self._watches or {}).get(root):
                    watch.look_again()  # what was ignored has none

    def _in_folder(self, path: str, action: Callable[[Folder, str], None]) -> None:
        """Do something with a path in the folder it belongs to; paths outside all folders are nobody's."""
        # Resolved first: a path through a symbolic link belongs to where it leads, be that outside or ignored.
        place = locate(set(self._folders), os.path.realpath(path))
        self._heed(self._folders if place is None else place[:1])  # before anything is read; outside may be rules
        if place is not None:
            action(self._folders[place[0]], place[1])
            self._dirty = True

    def _publish(self) -> None:
        """Replace the snapshot when something changed, and report."""
        if not self._dirty:
            return
        self._dirty = False
        started = time.monotonic()
        self._spaces.tend()
        folders = self._folders.values()
        shown = {layer.folder for layer in self._snapshot.layers}
        changed = any(folder.is_changed for folder in folders) or shown != self._folders.keys()
        incomplete = any(folder.is_scanning for folder in folders)
        if changed or incomplete != self._snapshot.is_incomplete:
            layers = tuple(layer for folder in folders for layer in folder.layers())
            buffers = {(folder.root, path): text for folder in folders for path, text in folder.texts.items()}
            number = self._snapshot.generation + 1
            self._snapshot = Snapshot(number, layers, self._spaces.encoder, incomplete, buffers, parser=self._parser)
        for folder in list(folders):
            if folder.has_lost and folder.root not in self._work:
                self._scan(folder)
        self._published_at = time.monotonic()
        self._publish_cost = self._published_at - started
        self._report(force=not self._work)

    def _report(self, force: bool) -> None:
        now = time.monotonic()
        if not force and now - self._reported_at < _STATUS_INTERVAL:
            return
        self._reported_at = now
        backend = "annoy" if any(layer.segment.near for layer in self._snapshot.layers) else "exact"
        folders = (*(folder.status() for folder in self._folders.values()), *self._failed.values())
        number, spaces = self._snapshot.generation, self._spaces
        self._status = Status(folders, number, spaces.name, backend, resident_bytes(), spaces.missing)
        with contextlib.suppress(RuntimeError):  # the listener's loop may be closed already
            self._on_change()
