"""Collect: delete indexes and vectors that nobody has used for long, and what is beyond the size that is allowed."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from server.index.columns import split_keys
from server.index.store import LOCK_FILE, USED_FILE, connect, reading
from server.index.vectors import today

_log = logging.getLogger(__name__)

_MARK = "collected"
"""A file whose time tells when this was done last."""
_INTERVAL = 86_400.0
_REFRESH_DAYS = 7
"""A vector's day is written again only after this: most are used every day."""
_BATCH = 500
_PAGES = 500
"""Pages given back at once, so that writers wait for milliseconds only."""


def is_due(data_dir: Path) -> bool:
    """Tell whether a day has passed since the last collection; a data folder that is new has nothing to collect."""
    mark = data_dir / _MARK
    try:
        age = time.time() - mark.stat().st_mtime
    except OSError:
        with contextlib.suppress(OSError):
            mark.touch()
        return False
    return not 0 <= age < _INTERVAL  # a clock that was set back has to be believed, too


def collect(data_dir: Path, keep_days: int, most_bytes: int) -> list[str]:
    """Delete what was not used for `keep_days`, then the least recently used until `most_bytes` are kept.

    Returns what was deleted, in words. Indexes that a process has open stay.
    """
    (data_dir / _MARK).touch()
    done = []
    homes = sorted((home for home in _folders(data_dir)), key=_used)
    for home in homes:
        if time.time() - _used(home) > keep_days * 86_400 and _remove(home):
            done.append(f"{home.name}: not used for {keep_days} days")
    for database in sorted((data_dir / "vectors").glob("*.db")):
        if time.time() - database.stat().st_mtime > keep_days * 86_400 and _is_unused(data_dir, database):
            for file in database.parent.glob(f"{database.name}*"):
                file.unlink()
            done.append(f"{database.name}: vectors not used for {keep_days} days")
    done += _sweep(data_dir, keep_days, _REFRESH_DAYS)
    if size_of(data_dir) > most_bytes:
        done += _sweep(data_dir, 1, 1)
    for home in homes:
        if size_of(data_dir) <= most_bytes:
            break
        if home.exists() and _remove(home):
            done.append(f"{home.name}: more than {most_bytes / 1e6:,.0f} MB in all")
            done += _sweep(data_dir, 1, 1)
    for line in done:
        _log.info("collected %s", line)
    return done


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, SQLite's shared memory left aside."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += file.stat().st_size if file.is_file() and not file.name.endswith("-shm") else 0
    return total


def _folders(data_dir: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from (home for home in (data_dir / "folders").iterdir() if home.is_dir())


def _used(home: Path) -> float:
    for name in (USED_FILE, "index.db"):
        with contextlib.suppress(OSError):
            return (home / name).stat().st_mtime
    return 0.0


def _remove(home: Path) -> bool:
    """Delete an index unless a process has it open."""
    lock = FileLock(home / LOCK_FILE, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return False
    try:
        shutil.rmtree(home, ignore_errors=True)
    finally:
        lock.release()
    return True


def _is_unused(data_dir: Path, database: Path) -> bool:
    """Tell whether no index that is left answers from these vectors."""
    return not any(_encoder(home) == database.stem for home in _folders(data_dir))


def _encoder(home: Path) -> str:
    with contextlib.suppress(sqlite3.Error, OSError), reading(home) as (_, _, meta):
        return meta.get("encoder", "")[:32]
    return ""


def _sweep(data_dir: Path, keep_days: int, refresh_days: int) -> list[str]:
    """Date the vectors that an index refers to, and delete those whose last date is `keep_days` ago."""
    keys = set[bytes]()
    for home in _folders(data_dir):
        with contextlib.suppress(sqlite3.Error, OSError, ValueError), reading(home) as (_, entries, _):
            for entry in entries:
                if entry.columns is not None:
                    keys.update(split_keys(entry.columns.keys))
    done = []
    for path in sorted((data_dir / "vectors").glob("*.db")):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(connect(path)) as db:
            _date(db, sorted(keys), today() - refresh_days)
            with db:
                gone = db.execute("DELETE FROM vectors WHERE day <= ?", (today() - keep_days,)).rowcount
            if gone:
                done.append(f"{path.name}: {gone:,} vectors that no index refers to")
                while db.execute("PRAGMA freelist_count").fetchone()[0]:
                    db.execute(f"PRAGMA incremental_vacuum({_PAGES})").fetchall()
                    if not db.execute("PRAGMA auto_vacuum").fetchone()[0]:
                        break
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return done


def _date(db: sqlite3.Connection, keys: list[bytes], before: int) -> None:
    for start in range(0, len(keys), _BATCH):
        some = keys[start : start + _BATCH]
        marks = ",".join("?" * len(some))
        with db:  # short transactions: writers need not wait
            db.execute(f"UPDATE vectors SET day = ? WHERE day <= ? AND key IN ({marks})", (today(), before, *some))
