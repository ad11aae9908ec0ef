"""Folder: one workspace folder, from its files and open buffers to its layers."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from server import config
from server.config import Settings
from server.index.apart import Died
from server.index.columns import FileEntry
from server.index.crew import CRASHED, ingest_all, ingest_one, ingest_suspects
from server.index.draft import Draft
from server.index.files import Found, look, walk
from server.index.ignore import IgnoreRules, is_rule_file
from server.index.ingest import Ingested, ingest_buffer
from server.index.languages import LANGUAGES, language_of
from server.index.layers import Folded, FolderLayers, Layer
from server.index.parser import Parser
from server.index.spaces import Second, Space
from server.index.store import NONSENSE, discard, is_environment, peek
from server.types import CancelToken, FileStamp, FolderStatus, State

_log = logging.getLogger(__name__)

_COMMIT_SECONDS = 0.5
"""A crash in a first index costs at most the work of this time."""
_WALK_SLICE = 500
"""Files looked at between two glances at the engine's queue."""
_GRAIN_NS = 50_000_000
"""File systems date changes by a clock that ticks every few milliseconds."""
_HEAD = 8000
"""Bytes of a text that tell its language."""
_SETTINGS = "settings"
"""Where the store remembers the settings that shaped the index."""


class Folder:
    """The index of one workspace folder; used by the engine's thread alone (invariant 2)."""

    def __init__(self, root: str, data_dir: Path, space: Space, settings: Settings, parser: Parser) -> None:
        self.root = root
        self.texts: dict[str, bytes] = {}
        """The text of each open buffer that counts, by path."""
        self._documents: dict[str, tuple[str, bytes]] = {}
        self._drafts: dict[str, Draft] = {}
        self.is_changed = True
        """Whether `layers` would return something new."""
        self.is_scanning = False
        """Whether files are still waiting to be looked at."""
        self._path = Path(root)
        self._settings = settings
        self._parser = parser
        self._home = home_of(data_dir, root)
        self._layers = FolderLayers(root, self._home, space)
        self._rules = IgnoreRules(self._path, settings.exclude)
        self._pending = 0
        self._touched: set[str] = set()
        self._fresh: set[str] = set()
        """Files read so soon after they were written that another write may have left their stamp as it was."""
        self._failure: str | None = None
        """What the last scan failed of."""
        self._is_gone = False
        self.notice: str | None = None
        """What the user should know although nothing has failed."""
        self.tries_again = True
        """Whether the next scan parses again what ended its parsers in an earlier run: others may have ended them."""
        self._unwritten: str | None = None
        """Why the disk lacks what is known here."""
        self._space = space.name
        try:
            self._remember(settings)
        except BaseException:
            self.close()
            raise
        self._counts = self._layers.counts()

    @classmethod
    def open(cls, root: str, data_dir: Path, space: Space, settings: Settings, parser: Parser) -> Folder:
        """Open a folder, and begin its index anew where that makes no sense; OSError and sqlite3.Error otherwise."""
        try:
            return cls(root, data_dir, space, settings, parser)
        except (*NONSENSE, sqlite3.DatabaseError) as problem:
            if is_environment(problem):
                raise
            _log.warning("%s: the index is damaged (%s) and is made anew", root, problem)
            discard(home_of(data_dir, root))
            return cls(root, data_dir, space, settings, parser)

    def configure(self, settings: Settings) -> bool:
        """Obey other settings from the next scan on; tell whether one is due."""
        self._settings = settings
        return self._remember(settings)

    def _remember(self, settings: Settings) -> bool:
        """Note what shapes this index; forget the files that other settings saw differently. Tell whether they did."""
        store = self._layers.store
        self._put("root", self.root)
        self._put("encoder", self._space)
        remembered = config.remembered(store.get(_SETTINGS))
        if remembered == config.shaping(settings):
            return False
        before = config.parse(remembered)[0].max_file_bytes
        # A scan compares stamps, and those of these files do not change.
        smaller, larger = sorted((before, settings.max_file_bytes))
        if decided := [path for path, stamp in self._layers.stamps.items() if smaller < stamp.size <= larger]:
            self._commit([], decided)
        self._put(_SETTINGS, json.dumps(config.shaping(settings)))
        return True

    def _put(self, key: str, value: str) -> None:
        """Keep a value in the store, if this process writes it."""
        store = self._layers.store
        if store.is_writer and store.get(key) != value:
            self._write(lambda: store.put(key, value))

    def _write(self, write: Callable[[], None]) -> None:
        """Do what the disk may refuse; then it is tried again later, and answers go on from memory."""
        try:
            write()
            self._unwritten = None
        except (OSError, sqlite3.Error) as problem:
            if not is_environment(problem):
                raise
            if self._unwritten is None:
                _log.warning("%s: the index cannot be written: %s", self.root, problem)
            self._unwritten = str(problem)

    def close(self) -> None:
        """Close the database."""
        self._layers.close()

    def discard(self) -> None:
        """Delete the database, which is damaged."""
        self._layers.store.replace()

    def layers(self) -> tuple[Layer, ...]:
        """Return the current layers; of a folder that is gone nothing can be shown."""
        self.is_changed = False
        return () if self._is_gone else self._layers.layers()

    def accompany(self, second: Second | None) -> None:
        """Let another space know, too, what is indexed from now on."""
        self._layers.second = second

    def use(self, space: Space) -> None:
        """Answer from the vectors of another space."""
        self._layers.use(space)
        self._space = space.name
        self._put("encoder", space.name)
        self.is_changed = True

    def missing(self, space: Space) -> int:
        """Return how many of the live passages a space has no vectors for."""
        return self._layers.missing(space)

    def refresh(self) -> None:
        """Look again for vectors that were unknown."""
        self._layers.refresh()
        self.is_changed = True

    def degrade(self, message: str, is_damage: bool = False) -> None:
        """Note a failure; the next scan that succeeds clears it. `is_damage`: a database may be what is damaged."""
        self._failure = message
        self._pending = 0
        self.is_scanning = False
        if is_damage and not self._layers.store.is_sound():
            self.discard()
        self._layers.rewind()

    def status(self) -> FolderStatus:
        """Return what is known of this folder."""
        languages, skipped, units = self._counts
        state: State = "indexing" if self.is_scanning else "degraded" if self.is_degraded else "ready"
        message = self._failure or self._trouble() or self.notice
        return FolderStatus(
            root=self.root,
            state=state,
            files=sum(languages.values()),
            units=units,
            pending_files=self._pending,
            skipped=skipped,
            languages=languages,
            message=message,
            encoded=self._layers.encoded,
        )

    def _trouble(self) -> str | None:
        problem = self._unwritten or self._layers.store.trouble
        return problem and (
            f"the index cannot be written to {self._home} ({problem}); until it can, changes are kept in memory. Make "
            "room there or set SEXTANT_DATA_DIR to another folder"
        )

    # Beside other processes, and after failures.

    @property
    def is_follower(self) -> bool:
        """Tell whether another process writes this index."""
        return not self._layers.store.is_writer and not self._layers.store.trouble

    @property
    def is_waiting(self) -> bool:
        """Tell whether the process that writes this index still has to read the workspace for the first time."""
        return self.is_follower and self._layers.store.get("pending") != "0"

    def follow(self) -> bool:
        """Take over what another process committed, or its role if it has ended; tell whether a scan is due."""
        if self._layers.lead():
            self._remember(self._settings)
            self._save()
            return True
        waited = self.is_scanning
        differing = self._layers.follow()
        if differing is not None:
            self.is_changed = True
            for path in differing:
                self._look_again(path)
            self._counts = self._layers.counts()
            self._pending = int(self._layers.store.get("pending") or 0)
        return waited and not self.is_waiting

    def mend(self) -> bool:
        """Try again what failed; tell whether a scan is due."""
        leads = self._layers.lead()
        self._save()
        return leads or (self._failure is not None and (not self._is_gone or self._path.is_dir()))

    def _save(self) -> None:
        self._write(lambda: self._layers.save(self._pending))

    def distrust(self) -> None:
        """Let the next scan read every file, changed or not."""
        self._layers.distrust()

    def scan(self, token: CancelToken) -> Generator[None, None, None]:
        """Bring the index up to date with the disk, a slice at each step; only stamps decide what is read again."""
        self.is_scanning = True
        return self._scan(token)

    def _scan(self, token: CancelToken) -> Generator[None, None, None]:
        is_gone = not self._path.is_dir()
        if is_gone != self._is_gone:
            self._is_gone, self.is_changed = is_gone, True
        if is_gone:
            self._failure = f"{self.root} is not a folder that can be read; its index is kept for when it is back"
            self.is_scanning = False
            return
        if self.is_waiting:
            return  # nothing is read twice; `follow` says when to look
        self._layers.has_lost = False
        self._rules = IgnoreRules(self._path, self._settings.exclude)
        for path in self._documents:
            if (path in self.texts) == self._rules.ignores_below(path):
                self._cover(path)
        changed: list[Found] = []
        suspects: list[Found] = []
        seen: set[str] = set()
        self._touched.clear()
        for number, found in enumerate(walk(self._path, self._rules, self._settings, token)):
            seen.add(found.path)
            is_suspect, differs = self._is_suspect(found.path), self._layers.stamps.get(found.path) != found.stamp
            if is_suspect and (differs or (self.tries_again and not self.is_follower)):
                suspects.append(found)
            elif differs:
                changed.append(found)
                self._pending = len(changed)
            if number % _WALK_SLICE == 0:
                yield
        # What lies in a folder that could not be read is unknown, not gone; but it cannot be shown either.
        deleted = [path for path in self._layers.stamps if path not in seen and path not in self._touched]
        if deleted:
            self._commit([], deleted)
        yield from self._ingest(changed, token)
        yield from self._ingest_suspects(suspects, token)
        self.tries_again &= self.is_follower
        self._layers.finish()
        self._failure = None
        self.is_scanning = False

    @property
    def has_lost(self) -> bool:
        """Tell whether a scan has to bring back vectors that the shared store lost."""
        return self._layers.has_lost

    @property
    def is_degraded(self) -> bool:
        """Tell whether something failed that a later scan may mend."""
        return bool(self._failure or self._unwritten or self._layers.store.trouble)

    def heed_rules(self) -> bool:
        """Obey at once what changed in rules that no watch sees; tell whether they did, so that a scan is due."""
        if not self._rules.is_outdated():
            return False
        self._rules = IgnoreRules(self._path, self._settings.exclude)
        return True

    def needs_scan(self, path: str) -> bool:
        """Tell whether a change of this path may change which other files count, or may mend what failed."""
        return (
            self._failure is not None
            or is_rule_file(path)
            or (self._path / path).is_dir()
            or self._is_known_folder(path)
        )

    def touch(self, path: str) -> None:
        """Look again at one file."""
        if not path or self._rules.ignores_below(path):
            return
        self._touched.add(path)
        found = look(self._path, path, self._settings)
        if found is None:
            if path in self._layers.stamps:
                self._commit([], [path])
        elif self._layers.stamps.get(path) != found.stamp or path in self._fresh:
            self._commit([self._read(found)])

    def _look_again(self, path: str) -> None:
        """Read a file although its stamp may be the known one."""
        self._fresh.add(path)
        self.touch(path)

    def _read(self, found: Found) -> Ingested:
        """Read a file, and remember it if its stamp may be that of the next change, too: times have a coarse grain."""
        if abs(time.time_ns() - found.stamp.mtime_ns) < _GRAIN_NS:
            self._fresh.add(found.path)
        else:
            self._fresh.discard(found.path)
        return ingest_one(self._path, found, self._settings, self._parser)

    @property
    def wants_compaction(self) -> bool:
        """Tell whether so much was saved that it should be folded away."""
        return self._layers.wants_compaction(is_bulk=self.is_scanning)

    def set_buffer(self, path: str, language: str | None, text: str) -> None:
        """Let an open document stand above its file; one that is ignored stays out (invariant 8)."""
        data = text.encode("utf-8", "replace")
        self._documents[path] = (language_of(path, data[:_HEAD]) or language or "", data)
        self._cover(path)

    def drop_buffer(self, path: str) -> None:
        """Let the file stand for itself again."""
        self._documents.pop(path, None)
        self._uncover(path)
        self.touch(path)

    def _cover(self, path: str) -> None:
        """Put an open document above its file, unless the rules keep it out by now."""
        language, data = self._documents[path]
        if language not in LANGUAGES or self._rules.ignores_below(path):
            self._uncover(path)
            return
        self.texts[path] = data
        given = data, language, path, self._settings, self._drafts.get(path)
        try:
            ingested = ingest_buffer(*given, self._parser)
        except Died:
            _log.warning("the open text of %s ended the processes that parsed it", path)
            ingested = Ingested(FileEntry(path, FileStamp(len(data), 0, 0), language, None, CRASHED))
        if ingested.draft is not None:
            self._drafts[path] = ingested.draft
        self._layers.set_buffer(ingested)
        self.is_changed = True

    def _uncover(self, path: str) -> None:
        self.texts.pop(path, None)
        self._drafts.pop(path, None)
        if self._layers.drop_buffer(path):
            self.is_changed = True

    @property
    def wants_tree(self) -> bool:
        """Tell whether neighbours could be found faster, once nothing else is to be done."""
        return not self.is_scanning and self._layers.wants_tree

    def generation_writer(self, with_tree: bool) -> Callable[[], str | Folded]:
        """Return a function for another thread that folds the saved changes into a new generation; see `adopt`."""
        return self._layers.generation_writer(with_tree)

    def adopt(self, made: str | Folded) -> None:
        """Answer from a new generation."""
        self._layers.adopt(made)
        self.is_changed = True

    def _ingest(self, changed: list[Found], token: CancelToken) -> Iterator[None]:
        """Read the changed files and commit them as they come: open ones first, then those changed recently."""
        changed.sort(key=lambda found: (found.path not in self._documents, -found.stamp.mtime_ns, found.path))
        self._pending = len(changed)
        batch: list[Ingested] = []
        committed_at = time.monotonic()
        try:
            for part in ingest_all(self._path, changed, self._settings, self._parser, self._layers.kit):
                token.check()
                # A file that was touched meanwhile was read later than here: the newer state stays.
                self._pending -= len(part)
                batch += [ingested for ingested in part if ingested.entry.path not in self._touched]
                if batch and time.monotonic() - committed_at > _COMMIT_SECONDS:
                    self._commit(batch)
                    batch = []
                    committed_at = time.monotonic()
                yield
        finally:
            if batch and not token.cancelled:
                self._commit(batch)
            self._pending = 0

    def _is_suspect(self, path: str) -> bool:
        """Tell whether a file ended its parsers when it was last read."""
        return self._layers.reason(path) == CRASHED

    def _ingest_suspects(self, suspects: list[Found], token: CancelToken) -> Iterator[None]:
        for part in ingest_suspects(self._path, suspects, self._settings):
            token.check()
            for ingested in part:
                path, stamp = ingested.entry.path, ingested.entry.stamp
                is_known = self._is_suspect(path) and ingested.entry.reason == CRASHED
                if path not in self._touched and not (is_known and self._layers.stamps.get(path) == stamp):
                    self._commit([ingested])
            yield

    def _commit(self, batch: list[Ingested], deleted: list[str] | None = None) -> None:
        self.is_changed = True
        self._write(lambda: self._layers.commit(batch, deleted or (), self._pending))
        self._counts = self._layers.counts()

    def _is_known_folder(self, path: str) -> bool:
        return any(known.startswith(path + "/") for known in self._layers.stamps)


def home_of(data_dir: Path, root: str) -> Path:
    """Return where the index of a folder lies."""
    name = Path(root).name or "root"
    digest = hashlib.blake2b(root.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return data_dir / "folders" / f"{''.join(c if c.isalnum() else '-' for c in name)[:40]}-{digest}"


def settings_of(data_dir: Path, root: str) -> Settings:
    """Return the settings that shaped the index of a folder (an editor's); the defaults if there is no index."""
    try:
        remembered = peek(home_of(data_dir, root))["settings"]
    except OSError:
        remembered = {}
    return config.parse(remembered)[0]
