"""Commands: index, search, similar and status on the command line."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from server import report
from server.config import Settings, data_dir
from server.engine import Engine
from server.folder import home_of
from server.index.question import kind_named, languages_named
from server.model.encoder import ModelError
from server.model.encoder import load as load_encoder
from server.snapshot import Snapshot
from server.types import CancelToken, Filter, FolderStatus, Query, QuestionError, SearchResult, Similar

_EXIT_INTERRUPTED = 130
_SHUTDOWN_WAIT = 0.1
"""Seconds between two looks at the progress."""


class CommandError(Exception):
    """Something the user can mend, in a sentence."""


def run(arguments: argparse.Namespace) -> int:
    """Run a command; return its exit code."""
    action = {"index": _index, "search": _search, "similar": _similar, "status": _status}[arguments.command]
    try:
        return action(arguments)
    except (CommandError, QuestionError, ModelError, OSError) as problem:
        report.complain(str(problem))
        return 2
    except KeyboardInterrupt:
        report.complain("interrupted; what was indexed so far is kept, and the next run goes on from there")
        return _EXIT_INTERRUPTED


def _index(arguments: argparse.Namespace) -> int:
    root = _existing_folder(arguments.folder or ".")
    started = time.monotonic()
    with _Index(root) as index:
        status = index.status
        report.indexed(status, time.monotonic() - started, as_json=arguments.json)
        return 1 if status.state == "degraded" else 0


def _search(arguments: argparse.Namespace) -> int:
    if bool(arguments.query) == bool(arguments.queries):
        raise CommandError("give either a query or --queries FILE")
    wanted = Filter(kinds=frozenset(kind_named(kind) for kind in arguments.kind))
    wanted = _filter(arguments, wanted)
    queries = _lines(arguments.queries) if arguments.queries else [" ".join(arguments.query)]
    with _Index(_workspace(arguments.folder)) as index:
        for text in queries:
            query = Query(text, arguments.limit, wanted, arguments.explain)
            result = index.snapshot.search(query, CancelToken())
            if arguments.json or arguments.queries:
                report.as_json(result)
            else:
                report.hits(result, index.snapshot)
    return 0


def _similar(arguments: argparse.Namespace) -> int:
    wanted = _filter(arguments, Filter())
    if arguments.place == "-":
        language = next(iter(sorted(wanted.languages)), "") if len(wanted.languages) == 1 else ""
        asked = Similar(text=sys.stdin.read(), language=language)
        root = _workspace(arguments.folder)
    else:
        file, _, line = arguments.place.rpartition(":")
        if not file or not line.isdecimal() or int(line) < 1:
            raise CommandError(f"{arguments.place!r} is not FILE:LINE, as in src/app.py:42")
        path = Path(file).resolve()
        asked = Similar(path=str(path), start=_offset(path, int(line)), end=_offset(path, int(line)))
        root = _workspace(arguments.folder, path.parent)
    asked = Similar(
        asked.path, asked.start, asked.end, asked.text, asked.language, arguments.limit, wanted, arguments.explain
    )
    with _Index(root) as index:
        result: SearchResult = index.snapshot.similar(asked, CancelToken())
        if arguments.json:
            report.as_json(result)
        else:
            report.hits(result, index.snapshot)
    return 0


def _status(arguments: argparse.Namespace) -> int:
    root = _workspace(arguments.folder)
    home = home_of(data_dir(), root)
    if not (home / "index.db").exists():
        raise CommandError(f"{root} is not indexed yet; run: sextant index {root}")
    report.status(root, home, as_json=arguments.json)
    return 0


class _Index:
    """An engine for one folder, brought up to date with the disk while a progress bar shows."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._engine = Engine(Settings(), load_encoder(), data_dir())

    def __enter__(self) -> _Index:
        self._engine.add_folder(self._root)
        self._engine.start()
        try:
            with report.progress() as show:
                while not self._engine.wait_idle(_SHUTDOWN_WAIT):
                    for folder in self._engine.status().folders:
                        show(folder)
            if self.status.state == "degraded":
                report.complain(self.status.message or "the index is incomplete")
        except BaseException:
            self._engine.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    @property
    def snapshot(self) -> Snapshot:
        return self._engine.snapshot

    @property
    def status(self) -> FolderStatus:
        return self._engine.status().folders[0]


def _filter(arguments: argparse.Namespace, wanted: Filter) -> Filter:
    languages = frozenset(one for name in arguments.lang for one in languages_named(name))
    include = tuple(glob for glob in arguments.path if not glob.startswith("-"))
    exclude = tuple(glob[1:] for glob in arguments.path if glob.startswith("-"))
    return Filter(languages, wanted.kinds, include, exclude)


def _lines(file: str) -> Iterable[str]:
    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _existing_folder(folder: str) -> str:
    path = os.path.realpath(folder)
    if not Path(path).is_dir():
        raise CommandError(f"{folder} is not a folder")
    return path


def _workspace(chosen: str | None, near: Path | None = None) -> str:
    """Return the folder to ask: the chosen one, else the nearest one around that has an index, else the current one."""
    if chosen is not None:
        return _existing_folder(chosen)
    here = Path(os.path.realpath(near or "."))
    indexed = (folder for folder in (here, *here.parents) if (home_of(data_dir(), str(folder)) / "index.db").exists())
    repository = (folder for folder in (here, *here.parents) if (folder / ".git").exists())
    return str(next(indexed, None) or next(repository, None) or Path.cwd().resolve())


def _offset(path: Path, line: int) -> int:
    """Return where a line of a file starts, past its indentation."""
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    if line > len(lines):
        raise CommandError(f"{path} has {len(lines)} lines, no line {line}")
    text = lines[line - 1]
    return sum(map(len, lines[: line - 1])) + len(text) - len(text.lstrip())
