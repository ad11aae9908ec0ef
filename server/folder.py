"""Folder: one workspace folder, from its files and open buffers to its layers."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from server import config
from server.config import Settings
from server.index.files import Found, look, walk
from server.index.ignore import IgnoreRules, is_rule_file
from server.index.ingest import Ingested, ingest_all, ingest_buffer, ingest_file
from server.index.languages import LANGUAGES, language_of
from server.index.layers import FolderLayers, Layer
from server.index.store import peek
from server.index.vectors import VectorStore
from server.types import CancelToken, Encoder, FolderStatus, State

_COMMIT_SECONDS = 0.5
"""A crash in a first index costs at most the work of this time."""
_WALK_SLICE = 500
"""Files looked at between two glances at the engine's queue."""
_HEAD = 8000
"""Bytes of a text that tell its language."""
_SETTINGS = "settings"
"""Where the store remembers the settings that shaped the index."""


class Folder:
    """The index of one workspace folder; used by the engine's thread alone (invariant 2)."""

    def __init__(self, root: str, data_dir: Path, vectors: VectorStore, encoder: Encoder, settings: Settings) -> None:
        self.root = root
        self.texts: dict[str, bytes] = {}
        """The text of each open buffer that counts, by path."""
        self._documents: dict[str, tuple[str, bytes]] = {}
        self.is_changed = True
        """Whether `layers` would return something new."""
        self.is_scanning = False
        """Whether files are still waiting to be looked at."""
        self._path = Path(root)
        self._settings = settings
        self._layers = FolderLayers(root, home_of(data_dir, root), vectors, encoder)
        self._layers.store.put("root", root)
        self._layers.store.put("encoder", encoder.fingerprint)
        self._rules = IgnoreRules(self._path, settings.exclude)
        self._pending = 0
        self._touched: set[str] = set()
        self._message: str | None = None
        self._remember(settings)
        self._counts = self._layers.counts()

    def configure(self, settings: Settings) -> bool:
        """Obey other settings from the next scan on; tell whether one is due."""
        self._settings = settings
        return self._remember(settings)

    def _remember(self, settings: Settings) -> bool:
        """Note what shapes this index; forget the files that other settings saw differently. Tell whether they did."""
        remembered = config.remembered(self._layers.store.get(_SETTINGS))
        if remembered == config.shaping(settings):
            return False
        before = config.parse(remembered)[0].max_file_bytes
        # A scan compares stamps, and those of these files do not change.
        smaller, larger = sorted((before, settings.max_file_bytes))
        if decided := [path for path, stamp in self._layers.stamps.items() if smaller < stamp.size <= larger]:
            self._layers.commit([], decided)
            self.is_changed = True
        self._layers.store.put(_SETTINGS, json.dumps(config.shaping(settings)))
        return True

    def close(self) -> None:
        """Close the database."""
        self._layers.close()

    def layers(self) -> tuple[Layer, ...]:
        """Return the current layers."""
        self.is_changed = False
        return self._layers.layers()

    def degrade(self, message: str) -> None:
        """Note a failure of the environment; the next scan that succeeds clears it."""
        self._message = message
        self._pending = 0
        self.is_scanning = False
        self._layers.rewind()

    def status(self) -> FolderStatus:
        """Return what is known of this folder."""
        languages, skipped, units = self._counts
        state: State = "indexing" if self.is_scanning else "degraded" if self._message else "ready"
        return FolderStatus(
            root=self.root,
            state=state,
            files=sum(languages.values()),
            units=units,
            pending_files=self._pending,
            skipped=skipped,
            languages=languages,
            message=self._message,
        )

    def scan(self, token: CancelToken) -> Generator[None, None, None]:
        """Bring the index up to date with the disk, a slice at each step; only stamps decide what is read again."""
        self.is_scanning = True
        return self._scan(token)

    def _scan(self, token: CancelToken) -> Generator[None, None, None]:
        if not self._path.is_dir():
            self._message = f"{self.root} is not a folder that can be read"
            self.is_scanning = False
            return
        self._layers.has_lost = False
        self._rules = IgnoreRules(self._path, self._settings.exclude)
        for path in self._documents:
            if (path in self.texts) == self._rules.ignores_below(path):
                self._cover(path)
        changed: list[Found] = []
        seen: set[str] = set()
        self._touched.clear()
        for number, found in enumerate(walk(self._path, self._rules, self._settings, token)):
            seen.add(found.path)
            if self._layers.stamps.get(found.path) != found.stamp:
                changed.append(found)
                self._pending = len(changed)
            if number % _WALK_SLICE == 0:
                yield
        # What lies in a folder that could not be read is unknown, not gone; but it cannot be shown either.
        deleted = [path for path in self._layers.stamps if path not in seen and path not in self._touched]
        if deleted:
            self._commit([], deleted)
        yield from self._ingest(changed, token)
        self._message = None
        self.is_scanning = False

    @property
    def has_lost(self) -> bool:
        """Tell whether a scan has to bring back vectors that the shared store lost."""
        return self._layers.has_lost

    @property
    def is_degraded(self) -> bool:
        """Tell whether something failed that a later scan may mend."""
        return self._message is not None

    def needs_scan(self, path: str) -> bool:
        """Tell whether a change of this path may change which other files count, or may mend what failed."""
        return self.is_degraded or is_rule_file(path) or (self._path / path).is_dir() or self._is_known_folder(path)

    def touch(self, path: str) -> None:
        """Look again at one file."""
        if not path or self._rules.ignores_below(path):
            return
        self._touched.add(path)
        found = look(self._path, path, self._settings)
        if found is None:
            if path in self._layers.stamps:
                self._commit([], [path])
        elif self._layers.stamps.get(path) != found.stamp:
            self._commit([ingest_file(self._path, found, self._settings)])

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
        self._layers.set_buffer(ingest_buffer(data, language, path, self._settings))
        self.is_changed = True

    def _uncover(self, path: str) -> None:
        self.texts.pop(path, None)
        if self._layers.drop_buffer(path):
            self.is_changed = True

    def generation_writer(self) -> Callable[[], str]:
        """Return a function for another thread that folds the saved changes into a new generation; see `adopt`."""
        return self._layers.generation_writer()

    def adopt(self, name: str) -> None:
        """Answer from a new generation."""
        self._layers.adopt(name)
        self.is_changed = True

    def _ingest(self, changed: list[Found], token: CancelToken) -> Iterator[None]:
        """Read the changed files, recently changed ones first, and commit them as they come."""
        changed.sort(key=lambda found: (-found.stamp.mtime_ns, found.path))
        self._pending = len(changed)
        batch: list[Ingested] = []
        committed_at = time.monotonic()
        try:
            for part in ingest_all(self._path, changed, self._settings):
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

    def _commit(self, batch: list[Ingested], deleted: list[str] | None = None) -> None:
        self._layers.commit(batch, deleted or ())
        self._counts = self._layers.counts()
        self.is_changed = True

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
