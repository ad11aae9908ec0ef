"""Vectors: the content-addressed store that all workspaces, worktrees and editors of a user share."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from server.index.store import connect, remove_database
from server.types import Passage, Vectors

_BATCH = 500
"""Keys a query; SQLite's oldest limit on variables is 999."""


def passage_key(passage: Passage) -> bytes:
    """Return the content address of a passage (invariant 3): the same text has the same key everywhere.

    It names one vector in each encoder's store, so that another encoder invalidates vectors and nothing else.
    """
    text = "\x1f".join(passage.fields())
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class VectorStore:
    """Vectors by key for one encoder; kept as float16, which encoders promise to be exact.

    A damaged database is deleted: everything in it can be computed again.
    """

    def __init__(self, folder: Path, fingerprint: str, dimensions: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{fingerprint[:32]}.db"
        self._dimensions = dimensions
        try:
            self._db = self._open()
        except sqlite3.DatabaseError as problem:
            if isinstance(problem, sqlite3.OperationalError):
                raise
            remove_database(self._path)
            self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = connect(self._path)
        try:
            with db:
                db.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID"
                )
            db.execute("SELECT key FROM vectors LIMIT 1").fetchone()
        except BaseException:
            db.close()
            raise
        self._inode = _inode(self._path)
        return db

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def reopen(self) -> VectorStore:
        """Return a store of the same vectors with a connection of its own, for another thread."""
        return VectorStore(self._path.parent, self._path.stem, self._dimensions)

    def known(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return which of some keys have a vector."""
        return {key for key, _ in self._select(keys)}

    def rows(self, keys: Sequence[bytes]) -> Vectors:
        """Return an (n, dimensions) array; the rows of unknown keys are zeros."""
        places: dict[bytes, list[int]] = {}
        for number, key in enumerate(keys):
            places.setdefault(key, []).append(number)
        rows = np.zeros((len(keys), self._dimensions), dtype=np.float32)
        for key, blob in self._select(list(places)):
            rows[places[key]] = np.frombuffer(blob, np.float16)
        return rows

    def _select(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        for attempt in range(2):
            if _inode(self._path) != self._inode:  # somebody deleted it: ours would be seen by nobody else
                self._renew(damaged=False)
            try:
                return [
                    row for start in range(0, len(keys), _BATCH) for row in self._batch(keys[start : start + _BATCH])
                ]
            except sqlite3.DatabaseError as problem:
                if isinstance(problem, sqlite3.OperationalError) or attempt:
                    raise
                self._renew(damaged=True)
        return []

    def _batch(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        query = f"SELECT key, vector FROM vectors WHERE key IN ({','.join('?' * len(keys))})"
        for key, blob in self._db.execute(query, keys):
            if len(blob) == 2 * self._dimensions:  # anything else is a miss, not an error
                yield key, blob

    def _renew(self, damaged: bool) -> None:
        """Open the database again, a new and empty one if it was damaged; what is lost is computed again."""
        self._db.close()
        if damaged:
            remove_database(self._path)
        self._db = self._open()

    def put(self, vectors: Mapping[bytes, Vectors]) -> None:
        """Keep some vectors; a key that is there already stays as it is."""
        rows = [(key, vector.astype(np.float16).tobytes()) for key, vector in vectors.items()]
        try:
            self._insert(rows)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._renew(damaged=True)
            self._insert(rows)

    def _insert(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        with self._db:
            self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
