"""Store: the single truth on disk, one SQLite database a workspace folder."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from server.index.lexical import LEXICAL_VERSION, Bag
from server.index.segment import FileEntry, Record, span_numbers
from server.types import FileStamp, Kind, Span

FORMAT_VERSION = 1
"""See FORMAT.md; an index of another version is rebuilt."""

_SPANS = struct.Struct("<12I")
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode TEXT NOT NULL,
    language TEXT NOT NULL,
    reason TEXT,
    units INTEGER NOT NULL,
    sequence INTEGER NOT NULL
);
CREATE TABLE units (
    file INTEGER NOT NULL REFERENCES files(id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    strings TEXT NOT NULL,
    spans BLOB NOT NULL, key BLOB NOT NULL, hashes BLOB NOT NULL, weights BLOB NOT NULL,
    PRIMARY KEY (file, position)
) WITHOUT ROWID;
"""


class Store:
    """One workspace folder's files and units; used by the engine's thread alone (invariant 2).

    A database that is damaged, foreign, or of another format or encoder is a miss: it is deleted and begun anew.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "index.db"
        self._expected = {"format": str(FORMAT_VERSION), "lexical": str(LEXICAL_VERSION), "encoder": fingerprint}
        try:
            self._db = self._open()
        except (sqlite3.DatabaseError, ValueError) as problem:
            if _is_environment(problem):
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
        """Return a value kept beside the files, such as the name of the current generation."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def put(self, key: str, value: str) -> None:
        """Keep a value beside the files."""
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def stamps(self) -> dict[str, FileStamp]:
        """Return the stamp of each known file, skipped ones included."""
        rows = self._db.execute("SELECT path, size, mtime_ns, inode FROM files")
        return {path: FileStamp(size, mtime, int(inode)) for path, size, mtime, inode in rows}

    def commit(self, entries: Iterable[FileEntry], deleted: Iterable[str] = ()) -> int:
        """Replace some files and forget others, all or nothing; return the sequence number of this change."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            sequence = self.sequence() + 1
            for path in deleted:
                self._db.execute("DELETE FROM files WHERE path = ?", (path,))
            for entry in entries:
                self._db.execute("DELETE FROM files WHERE path = ?", (entry.path,))
                stamp = entry.stamp
                cursor = self._db.execute(
                    "INSERT INTO files(path, size, mtime_ns, inode, language, reason, units, sequence)"
                    " VALUES (?,?,?,?,?,?,?,?)",
                    (
                        entry.path,
                        stamp.size,
                        stamp.mtime_ns,
                        str(stamp.inode),
                        entry.language,
                        entry.reason,
                        len(entry.records),
                        sequence,
                    ),
                )
                self._db.executemany(
                    "INSERT INTO units VALUES (?,?,?,?,?,?,?,?)",
                    [_row(cursor.lastrowid, number, record) for number, record in enumerate(entry.records)],
                )
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
            "SELECT id, path, size, mtime_ns, inode, language, reason FROM files WHERE sequence > ? ORDER BY path",
            (after,),
        ).fetchall()
        for number, path, size, mtime, inode, language, reason in files:
            units = self._db.execute("SELECT * FROM units WHERE file = ? ORDER BY position", (number,))
            records = tuple(_record(language, unit) for unit in units)
            yield FileEntry(path, FileStamp(size, mtime, int(inode)), language, records, reason)

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
    return {**found, "skippedPaths": skipped}


def connect(path: Path) -> sqlite3.Connection:
    """Open a database in WAL mode, with cascading deletes."""
    db = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # NORMAL: a power cut may lose the last changes, which the next scan finds again; it never damages the file.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error:
        db.close()
        raise
    return db


def remove_database(path: Path) -> None:
    """Delete a database with its side files."""
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def _is_environment(problem: Exception) -> bool:
    """Tell a full disk, a read-only folder or a busy peer from damage: only damage is mended by beginning anew."""
    code = getattr(problem, "sqlite_errorcode", None)  # Python 3.11
    if code is not None:
        primary: int = code & 0xFF
        return primary in (5, 6, 8, 10, 13, 14)  # BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN
    return any(word in str(problem) for word in ("locked", "readonly", "disk I/O", "full", "unable to open"))


def _row(file: int | None, position: int, record: Record) -> tuple[object, ...]:
    return (
        file,
        position,
        int(record.kind),
        json.dumps((record.name, record.container, record.signature, record.detail)),
        _SPANS.pack(*span_numbers(record.name_span), *span_numbers(record.span)),
        record.key,
        record.bag.hashes.tobytes(),
        record.bag.weights.tobytes(),
    )


def _record(language: str, row: Sequence[object]) -> Record:
    _, _, kind, strings, spans, key, hashes, weights = row
    assert isinstance(kind, int) and isinstance(strings, str)
    assert isinstance(spans, bytes) and isinstance(key, bytes)
    assert isinstance(hashes, bytes) and isinstance(weights, bytes)
    name, container, signature, detail = json.loads(strings)
    numbers = _SPANS.unpack(spans)
    return Record(
        Kind(kind),
        language,
        name,
        container,
        signature,
        detail,
        Span(*numbers[:6]),
        Span(*numbers[6:]),
        key,
        Bag(np.frombuffer(hashes, np.uint64), np.frombuffer(weights, np.float32)),
    )
