"""Vectors: the content-addressed store that all workspaces, worktrees and editors of a user share."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.index.store import (
    connect,
    connect_immutable,
    connect_readonly,
    inode_of,
    is_environment,
    primary_code,
    remove_database,
)
from server.types import Passage, Vectors

_BATCH = 500
"""Keys a query; SQLite's oldest limit on variables is 999."""
_VERSION = 2
"""Of the table, in the database's `user_version`."""
_TABLE = "CREATE TABLE vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL, day INTEGER NOT NULL)"
"""With row numbers, so that vectors are appended: among keys, which are random, each would rewrite a page of others."""
_MOST_FRESH = 1 << 14
"""Rows, of 600 bytes."""
_SEAL = 4
"""Bytes of a row's checksum."""
_NORM_ERROR = 0.01
"""How far a row's norm may be from 1: float16 rounds each value by less than a thousandth."""
_READ_ONLY = 8
"""SQLite's code for an attempt to write what was opened for reading."""


def passage_key(passage: Passage) -> bytes:
    """Return the content address of a passage (invariant 3): the same text has the same key everywhere.

    It names one vector in each encoder's store, so that another encoder invalidates vectors and nothing else.
    """
    text = "\x1f".join(passage.fields())
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class VectorStore:
    """Vectors by key for one encoder; kept as float16, which encoders promise to be exact.

    A damaged database is deleted: everything in it can be computed again. What cannot be written is kept in memory
    until `save` succeeds.
    """

    def __init__(self, folder: Path, fingerprint: str, dimensions: int) -> None:
        self._path = folder / f"{fingerprint[:32]}.db"
        self._dimensions = dimensions
        self._unsaved: dict[bytes, bytes] = {}
        self._fresh: dict[bytes, bytes] = {}
        """Rows that were saved and that nobody asked for yet, as somebody soon does, and most of them once."""
        self._inode = 0
        self._db: sqlite3.Connection | None = None
        try:
            self._db = self._open()
        except (OSError, sqlite3.Error):
            self._db = self._open_to_read()

    def _open(self) -> sqlite3.Connection:
        """Open the database for writing; one that makes no sense is replaced by an empty one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db = self._connect()
        except sqlite3.DatabaseError as problem:
            if is_environment(problem):
                raise
            remove_database(self._path)
            db = self._connect()
        self._inode = inode_of(self._path)
        self._path.touch()  # its time tells when these vectors were last used
        return db

    def _connect(self) -> sqlite3.Connection:
        db = connect(self._path)
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] < _VERSION:
                _bring_up_to_date(db)
            db.execute("SELECT key, day FROM vectors LIMIT 1").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def _open_to_read(self) -> sqlite3.Connection | None:
        for open_ in (connect_readonly, connect_immutable):
            with contextlib.suppress(sqlite3.Error, OSError):
                db = open_(self._path)
                self._inode = inode_of(self._path)
                return db
        return None

    def close(self) -> None:
        """Close the database."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def reopen(self) -> VectorStore:
        """Return a store of the same vectors with a connection of its own, for another thread."""
        again = VectorStore(self._path.parent, self._path.stem, self._dimensions)
        again._unsaved = dict(self._unsaved)
        return again

    @property
    def place(self) -> tuple[Path, str, int]:
        """Return what opens this store in another process: folder, fingerprint, dimensions."""
        return self._path.parent, self._path.stem, self._dimensions

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return which of some keys have a vector."""
        return {key for key, _ in self._select(sorted(keys))}

    def keys(self) -> list[bytes]:
        """Return the keys of all vectors on disk, in order."""
        if self._db is None:
            return []
        return [key for (key,) in self._db.execute("SELECT key FROM vectors ORDER BY key")]

    def rows(self, keys: Sequence[bytes]) -> Vectors:
        """Return an (n, dimensions) array; the rows of unknown keys are zeros."""
        asked = set(keys)
        found = {key: self._fresh.pop(key) for key in asked & self._fresh.keys()}
        found.update(self._select(sorted(asked - found.keys())))  # neighbours share pages
        nothing = bytes(2 * self._dimensions)
        packed = b"".join([found.get(key, nothing) for key in keys])
        rows: Vectors = np.frombuffer(packed, np.float16).reshape(-1, self._dimensions).astype(np.float32)
        return rows

    def _select(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        if self._unsaved:
            yield from ((key, self._unsaved[key]) for key in keys if key in self._unsaved)
            keys = [key for key in keys if key not in self._unsaved]
        for start in range(0, len(keys), _BATCH):
            yield from self._batch(keys[start : start + _BATCH])

    def _batch(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        for attempt in range(2):
            if self._db is None or inode_of(self._path) != self._inode:  # deleted: ours would be seen by nobody else
                self._renew()
            if self._db is None:
                return []
            try:
                query = f"SELECT key, vector FROM vectors WHERE key IN ({_marks(keys)})"
                size = 2 * self._dimensions
                # Damaged, or of another length: a miss, not an error.
                return [
                    (key, sealed[:size])
                    for key, sealed in self._db.execute(query, keys)
                    if len(sealed) == size + _SEAL and _sealed(key, sealed[:size]) == sealed
                ]
            except sqlite3.DatabaseError as problem:
                if attempt or is_environment(problem):
                    raise
                self._renew(damaged=True)
        return []

    def _renew(self, damaged: bool = False) -> None:
        """Open the database again, a new and empty one if it was damaged; what is lost is computed again."""
        self.close()
        try:
            if damaged:
                remove_database(self._path)
            self._db = self._open()
        except (OSError, sqlite3.Error):
            self._db = self._open_to_read()

    def put(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Take some vectors; those that cannot be written now stay in memory until `save` succeeds."""
        self.take({key: vector.astype(np.float16).tobytes() for key, vector in vectors.items()})

    def take(self, packed: Mapping[bytes, bytes]) -> None:
        """Take some rows of float16, as `put` does."""
        self._unsaved.update(packed)
        with contextlib.suppress(OSError, sqlite3.Error):
            self.save()

    def save(self) -> None:
        """Make all vectors durable; raises OSError or sqlite3.Error where that cannot be done now."""
        if not self._unsaved:
            return
        if self._db is None:
            self._db = self._open()
        try:
            self._insert(self._db)
        except sqlite3.DatabaseError as problem:
            if is_environment(problem) and primary_code(problem) != _READ_ONLY:
                raise
            self.close()  # opened when only reading was possible, or damaged
            if not is_environment(problem):
                remove_database(self._path)
            self._db = self._open()
            self._insert(self._db)
        if len(self._fresh) > _MOST_FRESH:
            self._fresh.clear()
        self._fresh |= self._unsaved
        self._unsaved.clear()

    def _insert(self, db: sqlite3.Connection) -> None:
        day = today()
        with db:
            db.executemany(
                "INSERT OR REPLACE INTO vectors(key, vector, day) VALUES (?, ?, ?)",
                [(key, _sealed(key, row), day) for key, row in sorted(self._unsaved.items())],
            )


def _sealed(key: bytes, row: bytes) -> bytes:
    """Return a row with a checksum of it and its key, as it is stored: SQLite has none of its own."""
    return row + zlib.crc32(row, zlib.crc32(key)).to_bytes(_SEAL, "little")


def _resealed(key: bytes, row: bytes) -> bytes | None:
    """Return a row that had no checksum with one, or None where damage shows without."""
    is_whole = len(row) % 2 == 0 and bool(are_sound(np.frombuffer(row, np.float16).reshape(1, -1)).all())
    return _sealed(key, row) if is_whole else None


def are_sound(rows: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Tell of each row whether an encoder can have returned it: its norm is 1, or 0 for a text without words."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    sound: NDArray[np.bool_] = (np.abs(norms - 1) < _NORM_ERROR) | (norms == 0)
    return sound


def survey(db: sqlite3.Connection, keys: Collection[bytes]) -> tuple[int, int]:
    """Return how many of some keys have a vector in a database, and how many have one that is damaged."""
    sound = damaged = 0
    ordered = sorted(keys)
    for start in range(0, len(ordered), _BATCH):
        some = ordered[start : start + _BATCH]
        for key, sealed in db.execute(f"SELECT key, vector FROM vectors WHERE key IN ({_marks(some)})", some):
            is_whole = _sealed(key, sealed[:-_SEAL]) == sealed
            sound, damaged = sound + is_whole, damaged + (not is_whole)
    return sound, damaged


def _marks(values: Sequence[object]) -> str:
    """Return the place holders of some values."""
    return ",".join("?" * len(values))


def today() -> int:
    """Return the day by which the use of a vector is dated."""
    return int(time.time() // 86_400)


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """Make the table, from an older one if there is one."""
    with db:
        db.execute("BEGIN IMMEDIATE")
        if db.execute("PRAGMA user_version").fetchone()[0] >= _VERSION:
            return  # another process did it meanwhile
        older = [column[1] for column in db.execute("PRAGMA table_info(vectors)")]
        if older:
            db.execute("ALTER TABLE vectors RENAME TO older")
        db.execute(_TABLE)
        if older:
            day = "day" if "day" in older else str(today())
            db.create_function("sealed", 2, _resealed, deterministic=True)
            db.execute(f"INSERT OR IGNORE INTO vectors SELECT key, sealed(key, vector), {day} FROM older")
            db.execute("DROP TABLE older")
        db.execute(f"PRAGMA user_version = {_VERSION}")
