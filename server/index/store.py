"""Store: the single truth on disk, one SQLite database a workspace folder."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from server import config
from server.index.columns import FileEntry, unpack
from server.index.lexical import LEXICAL_VERSION
from server.types import FileStamp

FORMAT_VERSION = 2
"""See FORMAT.md; an index of another version is rebuilt."""

_GENERATION = "generation:"
"""Before the fingerprint of the encoder whose vectors a generation holds."""

_REPLACE = (
    "INSERT OR REPLACE INTO files(path, size, mtime_ns, inode, language, reason, units, columns, sequence)"
    " VALUES (?,?,?,?,?,?,?,?,?)"
)
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    path TEXT PRIMARY KEY,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode TEXT NOT NULL,
    language TEXT NOT NULL,
    reason TEXT,
    units INTEGER NOT NULL,
    columns BLOB,
    sequence INTEGER NOT NULL
);
"""


class Store:
    """One workspace folder's files and units; used by the engine's thread alone (invariant 2).

    A database that is damaged, foreign, or of another format is a miss: it is deleted and begun anew.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "index.db"
        self._expected = {"format": str(FORMAT_VERSION), "lexical": str(LEXICAL_VERSION)}
        try:
            self._db = self._open()
        except (sqlite3.DatabaseError, ValueError) as problem:
            if is_environment(problem):
                raise
            remove_database(self._path)
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        db = connect(self._path)
        try:
            with db:
                db.execute("BEGIN IMMEDIATE")  # two processes must not both create the tables
                if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                    db.executemany("INSERT INTO meta VALUES (?, ?)", self._expected.items())
            found = dict(db.execute("SELECT key, value FROM meta"))
            if any(found.get(key) != value for key, value in self._expected.items()):
                raise ValueError("another format")
            db.execute("SELECT count(*) FROM files").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def get(self, key: str) -> str | None:
        """Return a value kept beside the files, such as the folder it is of."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def put(self, key: str, value: str) -> None:
        """Keep a value beside the files."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def generation(self, fingerprint: str) -> str | None:
        """Return the name of the current generation of an encoder's space."""
        return self.get(_GENERATION + fingerprint)

    def point(self, fingerprint: str, name: str) -> None:
        """Make a generation the current one of an encoder's space (invariant 6)."""
        self.put(_GENERATION + fingerprint, name)

    def generations(self) -> set[str]:
        """Return the names of the current generations of all spaces."""
        rows = self._db.execute("SELECT value FROM meta WHERE substr(key, 1, ?) = ?", (len(_GENERATION), _GENERATION))
        return {name for (name,) in rows}

    def stamps(self) -> dict[str, FileStamp]:
        """Return the stamp of each known file, skipped ones included."""
        rows = self._db.execute("SELECT path, size, mtime_ns, inode FROM files")
        return {path: FileStamp(size, mtime, int(inode)) for path, size, mtime, inode in rows}

    def commit(self, entries: Iterable[FileEntry], deleted: Iterable[str] = ()) -> int:
        """Replace some files and forget others, all or nothing; return the sequence number of this change."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            sequence = self.sequence() + 1
            self._db.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in deleted])
            self._db.executemany(_REPLACE, [_row(entry, sequence) for entry in entries])
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('sequence', ?)", (str(sequence),))
        return sequence

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """See one state of the database for the time of the block, whatever is committed meanwhile."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.rollback()

    def sequence(self) -> int:
        """Return the number of the last change."""
        return int(self.get("sequence") or 0)

    def entries(self, after: int = 0) -> Iterator[FileEntry]:
        """Yield the files that changed after a sequence number, by path."""
        files = self._db.execute(
            "SELECT path, size, mtime_ns, inode, language, columns, reason FROM files WHERE sequence > ? ORDER BY path",
            (after,),
        )
        for path, size, mtime, inode, language, columns, reason in files:
            stamp = FileStamp(size, mtime, int(inode))
            yield FileEntry(path, stamp, language, unpack(columns) if columns is not None else None, reason)

    def counts(self) -> tuple[dict[str, int], dict[str, int], int]:
        """Return indexed files by language, skipped files by reason, and the number of units."""
        languages = dict(
            self._db.execute("SELECT language, count(*) FROM files WHERE reason IS NULL GROUP BY language ORDER BY 1")
        )
        reasons = dict(
            self._db.execute("SELECT reason, count(*) FROM files WHERE reason != '' GROUP BY reason ORDER BY 1")
        )
        units: int = self._db.execute("SELECT coalesce(sum(units), 0) FROM files").fetchone()[0]
        return languages, reasons, units


def peek(folder: Path) -> dict[str, Any]:
    """Return what a folder's database says of itself, without changing it; raises OSError where it cannot be read."""
    try:
        db = sqlite3.connect(f"{(folder / 'index.db').absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)
        with contextlib.closing(db):
            meta = dict(db.execute("SELECT key, value FROM meta"))
            languages = dict(
                db.execute("SELECT language, count(*) FROM files WHERE reason IS NULL GROUP BY language ORDER BY 1")
            )
            units = db.execute("SELECT coalesce(sum(units), 0) FROM files").fetchone()[0]
            skipped: dict[str, list[str]] = {}
            for path, reason in db.execute("SELECT path, reason FROM files WHERE reason != '' ORDER BY reason, path"):
                skipped.setdefault(reason, []).append(path)
    except sqlite3.Error as problem:
        raise OSError(f"the index in {folder} cannot be read ({problem}); `sextant index` rebuilds it") from problem
    found = {"format": meta.get("format"), "encoder": meta.get("encoder", ""), "languages": languages, "units": units}
    return {**found, "settings": config.remembered(meta.get("settings")), "skippedPaths": skipped}


def connect(path: Path) -> sqlite3.Connection:
    """Open a database in WAL mode."""
    db = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # NORMAL: a power cut may lose the last changes, which the next scan finds again; it never damages the file.
        db.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def remove_database(path: Path) -> None:
    """Delete a database with its side files."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def is_environment(problem: Exception) -> bool:
    """Tell a full disk, a read-only folder or a busy peer from damage: only damage is mended by beginning anew."""
    code = getattr(problem, "sqlite_errorcode", None)  # Python 3.11
    if code is not None:
        primary: int = code & 0xFF
        return primary in (5, 6, 8, 10, 13, 14)  # BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN
    return any(word in str(problem) for word in ("locked", "readonly", "disk I/O", "full", "unable to open"))


def _row(entry: FileEntry, sequence: int) -> tuple[object, ...]:
    size, mtime, inode = entry.stamp.size, entry.stamp.mtime_ns, entry.stamp.inode
    columns = entry.columns.pack() if entry.columns is not None else None
    # The inode as text: Windows has some that do not fit SQLite's signed 64 bits.
    return entry.path, size, mtime, str(inode), entry.language, entry.reason, len(entry), columns, sequence
