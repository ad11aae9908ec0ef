"""Doctor: check the installation, the data folder and a workspace's index, and say what to do."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from server import __version__, config, tuning
from server.config import Settings
from server.folder import home_of, settings_of
from server.index import generation
from server.index.collect import size_of
from server.index.columns import split_keys
from server.index.ignore import IgnoreRules
from server.index.languages import LANGUAGES, grammar_of, query_of
from server.index.store import FORMAT_VERSION, LOCK_FILE, NONSENSE, connect_to_read, is_environment, reading
from server.index.vectors import survey
from server.model import choice, encoder
from server.process import in_process

_INOTIFY = Path("/proc/sys/fs/inotify")
_LEAST_FREE = 1_000_000_000

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and what to do if it is not well."""

    name: str
    state: State
    message: str
    advice: str = ""


def examine(root: str, data_dir: Path) -> Iterator[Check]:
    """Yield one check after another; none of them changes the index."""
    checks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("installation", _installation),
        ("settings", _settings),
        ("model", lambda: _model(root, data_dir)),
        ("grammars", _grammars),
        ("neighbours", _neighbours),
        ("processes", _processes),
        ("data folder", lambda: _data_folder(data_dir)),
        ("watching", lambda: _watching(root, settings_of(data_dir, root))),
        ("index", lambda: _index(root, data_dir)),
        ("vectors", lambda: _vectors(root, data_dir)),
        ("extras", _extras),
    )
    for name, look in checks:
        try:
            yield look()
        except Exception as problem:  # a doctor who faints helps nobody
            yield Check(name, "error", f"the check itself failed: {type(problem).__name__}: {problem}", "Report this.")


def _installation() -> Check:
    text = f"Sextant {__version__}, Python {platform.python_version()}, {platform.platform()}"
    return Check("installation", "ok", f"{text}, SQLite {sqlite3.sqlite_version}")


def _settings() -> Check:
    name, path = "settings", config.settings_file()
    _, problems = config.user_settings()
    if problems:
        advice = f"Mend {path}: " + ", ".join(config.camel(each.name) for each in fields(Settings)) + " can be set."
        return Check(name, "warning", "; ".join(problems), advice)
    return Check(name, "ok", f"{path if path.exists() else 'all have their default'}; an editor has its own")


def _model(root: str, data_dir: Path) -> Check:
    name, chosen = "model", config.user_settings()[0].encoder
    try:
        base = encoder.load()
    except encoder.ModelError as problem:
        return Check(name, "error", str(problem), "Install Sextant again.")
    told = tuning.described(chosen, data_dir, root)
    if chosen == choice.BASE:
        return Check(name, "ok", f"{told} ({base.fingerprint[:12]}, {base.dimensions} dimensions)")
    try:
        dimensions = in_process(_dimensions, chosen)
    except (encoder.ModelError, OSError) as problem:
        advice = f"Mend `encoder` in {config.settings_file()}; until then the base encoder answers."
        return Check(name, "error", f"{chosen} does not load: {problem}", advice)
    return Check(name, "ok", f"{told} ({dimensions} dimensions)")


def _dimensions(name: str) -> int:
    """Return the dimensions of an encoder; a transformer takes seconds and its libraries."""
    return choice.load(name).dimensions


def _grammars() -> Check:
    broken = []
    parsed = sorted(name for name, each in LANGUAGES.items() if each.module and each.scripts is None)
    for language in parsed:
        try:
            grammar_of(language)
            query_of(language)
        except Exception as problem:
            broken.append(f"{language} ({problem})")
    if broken:
        advice = "Install Sextant again, in its folder: pip install --force-reinstall --no-cache-dir ."
        return Check("grammars", "error", f"cannot be loaded: {', '.join(broken)}", advice)
    return Check("grammars", "ok", f"{len(parsed)} of {len(LANGUAGES)} languages have one, and all of those work")


def _neighbours() -> Check:
    problem = generation.tree_problem()
    if problem:
        advice = "Without Annoy search is slower from 8,000,000 units on; README says how to build it portably."
        return Check("neighbours", "warning", problem, advice)
    return Check("neighbours", "ok", "Annoy finds what an exact search finds")


def _processes() -> Check:
    try:
        in_process(os.getpid)
    except (OSError, RuntimeError) as problem:
        advice = "A first index is parsed in one process and takes longer; look for a sandbox that forbids processes."
        return Check("processes", "warning", f"no process can be started: {problem}", advice)
    return Check("processes", "ok", "parsing processes can be started")


def _data_folder(data_dir: Path) -> Check:
    name = "data folder"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix="doctor-") as folder:
            db = sqlite3.connect(Path(folder, "probe.db"))
            with contextlib.closing(db):
                mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                db.execute("CREATE TABLE probe (value)")
    except (OSError, sqlite3.Error) as problem:
        advice = "Mend its permissions, make room, or set SEXTANT_DATA_DIR to another folder."
        return Check(name, "error", f"{data_dir} cannot be written: {problem}", advice)
    free, size = shutil.disk_usage(data_dir).free, size_of(data_dir)
    text = f"{data_dir}: {size / 1e6:,.0f} MB, {free / 1e9:,.1f} GB free"
    if mode != "wal":
        advice = "Set SEXTANT_DATA_DIR to a folder on a local disk: network file systems cannot share a database."
        return Check(name, "error", f"{text}; SQLite cannot use its write-ahead log there", advice)
    if free < _LEAST_FREE:
        return Check(name, "warning", text, "Make room: a large workspace takes some hundred megabytes.")
    return Check(name, "ok", text)


def _watching(root: str, settings: Settings) -> Check:
    name = "watching"
    if not Path(root).is_dir():
        return Check(name, "error", f"{root} is not a folder", "Open a folder that exists.")
    if not _INOTIFY.is_dir():
        return Check(name, "ok", "this system has no limit on watches that could be read")
    limit = int((_INOTIFY / "max_user_watches").read_text(encoding="ascii"))
    instances = int((_INOTIFY / "max_user_instances").read_text(encoding="ascii"))
    rules, needed = IgnoreRules(Path(root), settings.exclude), 2
    for entry in os.scandir(root):
        if entry.is_dir(follow_symlinks=False) and not rules.ignores(entry.name, is_folder=True):
            needed += 1 + sum(len(folders) for _, folders, _ in os.walk(entry.path))
    text = f"{needed:,} of {limit:,} watches, {instances:,} instances"
    if needed > limit // 2:
        advice = f"Changes might go unnoticed: sudo sysctl fs.inotify.max_user_watches={max(524_288, 4 * needed)}"
        return Check(name, "warning" if needed < limit else "error", f"{text} are needed for {root}", advice)
    return Check(name, "ok", text)


def _index(root: str, data_dir: Path) -> Check:
    name, home = "index", home_of(data_dir, root)
    if not (home / "index.db").exists():
        return Check(name, "warning", f"{root} is not indexed yet", f"Open it in the editor, or: sextant index {root}")
    rebuild = f"Close the editors on this folder, delete {home}, and index again; nothing else is lost."
    try:
        with reading(home) as (sequence, entries, meta):
            if meta.get("format") != str(FORMAT_VERSION):
                text = f"format {meta.get('format')} instead of {FORMAT_VERSION}"
                return Check(name, "warning", text, f"It is rebuilt at the next start, or now: sextant index {root}")
            files = units = 0
            for entry in entries:
                files, units = files + (entry.reason is None), units + len(entry)
        with contextlib.closing(connect_to_read(home / "index.db")) as db:
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            return Check(name, "error", f"{home}: {found}", rebuild)
    except (OSError, *NONSENSE, sqlite3.Error) as problem:
        is_damaged = isinstance(problem, NONSENSE) or not is_environment(problem)
        advice = rebuild if is_damaged else f"Mend the permissions of {home} or its disk; the index may be sound."
        return Check(name, "error", f"{home}: {problem}", advice)
    text = f"{files:,} files, {units:,} functions and types, {size_of(home) / 1e6:,.0f} MB, {_user(home)}"
    space = meta.get("encoder", "")
    current = meta.get(f"generation:{space}")
    if current is not None:
        loaded = generation.read(home, current, space)
        if loaded is None:
            return Check(name, "warning", f"{text}; its generation {current} is damaged", "It is rebuilt by itself.")
        text += f", {sequence - loaded[1]:,} changes since its generation of {len(loaded[0]):,} units"
    return Check(name, "ok", text)


def _user(home: Path) -> str:
    lock = FileLock(home / LOCK_FILE, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return "open in an editor"
    except OSError as problem:
        return f"not writable ({problem})"
    lock.release()
    return "not open"


def _vectors(root: str, data_dir: Path) -> Check:
    name, home = "vectors", home_of(data_dir, root)
    if not (home / "index.db").exists():
        return Check(name, "ok", "none yet")
    keys: set[bytes] = set()
    try:
        with reading(home) as (_, entries, meta):
            for entry in entries:
                if entry.columns is not None:
                    keys.update(split_keys(entry.columns.keys))
    except (OSError, *NONSENSE, sqlite3.Error):
        return Check(name, "warning", "unknown: the index that refers to them cannot be read", "See above.")
    space = meta.get("encoder", "")
    path = data_dir / "vectors" / f"{space[:32]}.db"
    if not path.exists():
        return Check(name, "warning", f"{path} is missing", "They are computed again at the next start.")
    try:
        with contextlib.closing(connect_to_read(path)) as db:
            known, damaged = survey(db, keys)
    except sqlite3.Error as problem:
        advice = f"Mend the permissions of {path}." if is_environment(problem) else "It is made anew at the next start."
        return Check(name, "warning", f"{path} cannot be read: {problem}", advice)
    size = f"{path.stat().st_size / 1e6:,.0f} MB shared by all folders"
    text = f"{known:,} of {len(keys):,} different texts of units, {size}"
    if damaged:
        return Check(name, "warning", f"{text}, {damaged:,} damaged", "Those are computed again at the next start.")
    if known < len(keys):
        return Check(name, "warning", text, "The others are computed again at the next start.")
    return Check(name, "ok", text)


def _extras() -> Check:
    found = [package for package in ("torch", "ray", "sentence_transformers") if importlib.util.find_spec(package)]
    what = "needed to train, for a cluster, for encoders of others"
    return Check("extras", "ok", f"installed: {', '.join(found) or 'none'} ({what})")
