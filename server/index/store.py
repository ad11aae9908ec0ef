"""Store: the single truth on disk, one SQLite database a workspace folder."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from server import config
from server.index.columns import FileEntry, unpack
from server.index.lexical import LEXICAL_VERSION
from server.index.units import UNITS_VERSION
from server.types import FileStamp

FORMAT_VERSION = 4
"""See FORMAT.md; an index of another version is rebuilt."""

LOCK_FILE = "writer.lock"
"""Locked by the process that writes an index, for as long as it lives."""
USED_FILE = "used"
"""Its time tells when an index was last opened."""
_SIDES = ("-wal", "-shm", "-journal")
"""Ends of the names of the files that SQLite keeps beside a database."""
_GENERATION = "generation:"
"""Before the fingerprint of the encoder whose vectors a generation holds."""

NONSENSE = (ValueError, TypeError, LookupError, ArithmeticError)
"""What is raised where a database holds other values than were written."""

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

    Of several processes the first to open a store writes it; the others read what it commits, until it ends and one
    of them takes over (`lead`). Where nothing can be written, what is there is read; where nothing can be read either,
    the store is empty. A database that is damaged, foreign, or of another format is a miss: its writer deletes it and
    begins anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "index.db"
        self._expected = {
            "format": str(FORMAT_VERSION),
            "lexical": str(LEXICAL_VERSION),
            "units": str(UNITS_VERSION),
        }
        self._lock = FileLock(folder / LOCK_FILE, thread_local=False)
        self._version = self._inode = 0
        self.trouble: str | None = None
        """Why nothing can be written although no other process writes."""
        self._db: sqlite3.Connection | None = None
        if not self.lead():
            self._follow()

    @property
    def is_writer(self) -> bool:
        """Tell whether commits go to the disk."""
        return self._lock.is_locked

    @property
    def is_behind(self) -> bool:
        """Tell whether the database cannot be read, so that it has to be looked for again."""
        return self._db is None

    def lead(self) -> bool:
        """Try to become the writer; False while another process is, or nothing can be written (see `trouble`)."""
        if self.is_writer:
            return True
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
            self._probe()
            db = self._open_or_replace()
        except Timeout:
            self.trouble = None
            return False
        except (OSError, sqlite3.Error, NotImplementedError) as problem:
            self._lock.release()
            self.trouble = str(problem)
            return False
        self.trouble = None
        self._close_db()
        self._db = db
        return True

    def _probe(self) -> None:
        """Raise OSError where nothing can be written: an old lock file may be opened all the same."""
        used = self._folder / USED_FILE
        if used.exists() and not used.is_file():
            used.unlink()  # a pipe would be waited for
        used.write_bytes(b"")

    def _open_or_replace(self) -> sqlite3.Connection:
        try:
            return self._open()
        except (sqlite3.DatabaseError, *NONSENSE) as problem:
            if is_environment(problem):
                raise
            remove_database(self._path)
            return self._open()

    def _follow(self) -> None:
        """Open the database for reading only, if there is one that fits."""
        self._close_db()
        for open_ in (connect_readonly, connect_immutable) if self.trouble else (connect_readonly,):
            try:
                db = open_(self._path)
                try:
                    self._check(db)
                except BaseException:
                    db.close()
                    raise
            except (OSError, sqlite3.Error, *NONSENSE):
                continue
            self._db, self._inode = db, inode_of(self._path)
            self._version = self._data_version()
            return

    def _open(self) -> sqlite3.Connection:
        db = connect(self._path)
        try:
            with db:
                db.execute("BEGIN IMMEDIATE")  # two processes must not both create the tables
                if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                    for statement in _SCHEMA.split(";"):
                        db.execute(statement)
                    db.executemany("INSERT INTO meta VALUES (?, ?)", self._expected.items())
            self._check(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        found = dict(db.execute("SELECT key, value FROM meta"))
        if any(found.get(key) != value for key, value in self._expected.items()):
            raise ValueError("another format")
        db.execute("SELECT count(*) FROM files").fetchone()

    def replace(self) -> None:
        """Begin anew after damage; who only reads forgets what cannot be read until the writer has mended it."""
        self._close_db()
        if self.is_writer:
            remove_database(self._path)
            self._db = self._open()

    def is_sound(self) -> bool:
        """Tell whether SQLite finds no damage; this reads the whole database."""
        try:
            return self._rows("PRAGMA quick_check(1)") == [("ok",)]
        except sqlite3.Error as problem:
            return is_environment(problem)

    def close(self) -> None:
        """Close the database; another process may write it now."""
        self._close_db()
        self._lock.release()

    def _close_db(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def changed(self) -> bool:
        """Tell whether another process committed something since this was last asked."""
        if self._db is None or inode_of(self._path) != self._inode:  # its writer began it anew
            self._follow()
            return self._db is not None
        version = self._data_version()
        changed, self._version = version != self._version, version
        return changed

    def _data_version(self) -> int:
        version: int = self._rows("PRAGMA data_version")[0][0]
        return version

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        return self._db.execute(query, values).fetchall() if self._db is not None else []

    def get(self, key: str) -> str | None:
        """Return a value kept beside the files, such as the folder it is of."""
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    def put(self, key: str, value: str) -> None:
        """Keep a value beside the files; the writer's alone."""
        db = self._writable()
        with db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def generation(self, fingerprint: str) -> str | None:
        """Return the name of the current generation of an encoder's space."""
        return self.get(_GENERATION + fingerprint)

    def point(self, fingerprint: str, name: str) -> None:
        """Make a generation the current one of an encoder's space (invariant 6)."""
        self.put(_GENERATION + fingerprint, name)

    def generations(self) -> set[str]:
        """Return the names of the current generations of all spaces."""
        rows = self._rows("SELECT value FROM meta WHERE substr(key, 1, ?) = ?", (len(_GENERATION), _GENERATION))
        return {name for (name,) in rows}

    def _writable(self) -> sqlite3.Connection:
        if self._db is None or not self.is_writer:
            raise RuntimeError("only the writer of an index changes it")
        return self._db

    def known(self) -> Iterator[tuple[str, FileStamp, str, str | None, int]]:
        """Yield path, stamp, language, reason and number of units of each file, skipped ones included."""
        for path, size, mtime, inode, language, reason, units in self._rows(
            "SELECT path, size, mtime_ns, inode, language, reason, units FROM files"
        ):
            if not (isinstance(path, str) and isinstance(language, str) and isinstance(units, int)):
                raise ValueError("a row of the index makes no sense")
            yield path, FileStamp(int(size), int(mtime), int(inode)), language, reason, units

    def paths(self) -> set[str]:
        """Return the path of each known file."""
        return {path for (path,) in self._rows("SELECT path FROM files")}

    def commit(self, entries: Iterable[FileEntry], deleted: Iterable[str] = (), pending: int = 0) -> int:
        """Replace some files and forget others, all or nothing; return the sequence number of this change.

        `pending` tells other processes how many files are still to come.
        """
        db = self._writable()
        with db:
            db.execute("BEGIN IMMEDIATE")
            sequence = self.sequence() + 1
            db.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in deleted])
            db.executemany(_REPLACE, [_row(entry, sequence) for entry in entries])
            facts = {"sequence": str(sequence)}
            if pending or self.get("pending") is not None:  # absent until the first scan is complete: see `finish`
                facts["pending"] = str(pending)
            db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())
        return sequence

    def sequence(self) -> int:
        """Return the number of the last change."""
        return int(self.get("sequence") or 0)

    def entries(self, after: int = 0) -> Iterator[FileEntry]:
        """Yield the files that changed after a sequence number, by path."""
        if self._db is not None:
            yield from read_entries(self._db, after)


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[tuple[int, Iterator[FileEntry], dict[str, str]]]:
    """Give (sequence, files, meta) of one state of a folder's database for the time of the block."""
    with contextlib.closing(connect_to_read(folder / "index.db")) as db:
        db.execute("BEGIN")
        meta = dict(db.execute("SELECT key, value FROM meta"))
        yield int(meta.get("sequence", 0)), read_entries(db), meta


def read_entries(db: sqlite3.Connection, after: int = 0) -> Iterator[FileEntry]:
    """Yield the files that changed after a sequence number, by path."""
    files = db.execute(
        "SELECT path, size, mtime_ns, inode, language, columns, reason FROM files WHERE sequence > ? ORDER BY path",
        (after,),
    )
    for path, size, mtime, inode, language, columns, reason in files:
        stamp = FileStamp(size, mtime, int(inode))
        units = unpack(columns, _owner(path, language)) if columns is not None else None
        yield FileEntry(path, stamp, language, units, reason)


def peek(folder: Path) -> dict[str, Any]:
    """Return what a folder's database says of itself, without changing it; raises OSError where it cannot be read."""
    try:
        with contextlib.closing(connect_to_read(folder / "index.db")) as db:
            meta = dict(db.execute("SELECT key, value FROM meta"))
            languages = dict(
                db.execute("SELECT language, count(*) FROM files WHERE reason IS NULL GROUP BY language ORDER BY 1")
            )
            units = db.execute("SELECT coalesce(sum(units), 0) FROM files").fetchone()[0]
            skipped: dict[str, list[str]] = {}
            for path, reason in db.execute("SELECT path, reason FROM files WHERE reason != '' ORDER BY reason, path"):
                skipped.setdefault(reason, []).append(path)
    except sqlite3.Error as problem:
        advice = "`sextant doctor` says what to do" if is_environment(problem) else "`sextant index` rebuilds it"
        raise OSError(f"the index in {folder} cannot be read ({problem}); {advice}") from problem
    found = {"format": meta.get("format"), "encoder": meta.get("encoder", ""), "languages": languages, "units": units}
    return {**found, "settings": config.remembered(meta.get("settings")), "skippedPaths": skipped}


def connect(path: Path) -> sqlite3.Connection:
    """Open a database in WAL mode."""
    _refuse_specials(path)
    is_new = not path.exists()
    db = sqlite3.connect(path, timeout=10.0, check_same_thread=False)
    try:
        if is_new:  # with nothing in it to lose; many folders are opened at once
            db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # has an effect on a new database only
        db.execute("PRAGMA journal_mode = WAL")
        # NORMAL: a power cut may lose the last changes, which the next scan finds again; it never damages the file.
        db.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a database to read it, wherever it lies; raises sqlite3.Error."""
    try:
        return connect_readonly(path)
    except sqlite3.Error:
        return connect_immutable(path)


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Open a database to read it, beside whoever writes it; raises sqlite3.Error where there is none."""
    return _connect_by_uri(path, "mode=ro")


def connect_immutable(path: Path) -> sqlite3.Connection:
    """Open a database that nobody can change, where SQLite cannot even make its side files (a read-only folder)."""
    return _connect_by_uri(path, "mode=ro&immutable=1")


def _refuse_specials(path: Path) -> None:
    """Call a pipe or a device damage: SQLite would wait for it for ever."""
    for suffix in ("", *_SIDES):
        with contextlib.suppress(OSError):
            mode = Path(f"{path}{suffix}").stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder SQLite says it itself
                raise sqlite3.DatabaseError(f"{path}{suffix} is not a regular file")


def _connect_by_uri(path: Path, mode: str) -> sqlite3.Connection:
    _refuse_specials(path)
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=10.0, check_same_thread=False)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db


def discard(folder: Path) -> None:
    """Delete the database of a folder; OSError where another process writes it or it cannot be deleted."""
    try:
        with FileLock(folder / LOCK_FILE, thread_local=False).acquire(blocking=False):
            remove_database(folder / "index.db")
    except Timeout as problem:
        raise OSError(f"{folder} is damaged, and another process writes it") from problem


def inode_of(path: Path) -> int:
    """Return what tells a file from another that takes its name; 0 where there is none."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def remove_database(path: Path) -> None:
    """Delete a database with its side files."""
    for suffix in ("", *_SIDES):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


def is_environment(problem: Exception) -> bool:
    """Tell a full disk, a read-only folder or a busy peer from damage: only damage is mended by beginning anew."""
    if isinstance(problem, OSError):
        return True
    return primary_code(problem) in (5, 6, 8, 10, 13, 14)  # BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN


def primary_code(problem: Exception) -> int:
    """Return SQLite's primary result code; on Python 3.10, which does not tell it, as far as the message does."""
    code: int | None = getattr(problem, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF
    words = {"locked": 5, "readonly": 8, "disk I/O": 10, "full": 13, "unable to open": 14}
    return next((code for word, code in words.items() if word in str(problem)), 1)


def _owner(path: str, language: str) -> str:
    """Return what the checksum of a file's units covers beside them: SQLite has none of its own."""
    return f"{path}\0{language}"


def _row(entry: FileEntry, sequence: int) -> tuple[object, ...]:
    size, mtime, inode = entry.stamp.size, entry.stamp.mtime_ns, entry.stamp.inode
    columns = entry.columns.pack(_owner(entry.path, entry.language)) if entry.columns is not None else None
    # The inode as text: Windows has some that do not fit SQLite's signed 64 bits.
    return entry.path, size, mtime, str(inode), entry.language, entry.reason, len(entry), columns, sequence
