"""Commands: index, search, similar and status on the command line."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from server import bulk, doctor, reindex, report, tuning
from server.config import data_dir, user_settings
from server.engine import Engine
from server.folder import home_of
from server.index import question as questions
from server.index.question import kinds_named, languages_named
from server.index.store import peek
from server.jobs import JobError
from server.model import choice
from server.model.encoder import ModelError
from server.model.encoder import load as load_encoder
from server.snapshot import Snapshot
from server.spaces import instead
from server.types import CancelToken, Filter, FolderStatus, Query, QuestionError, Similar

_PLACE = re.compile(r"(.+?):([0-9]+)(?::[0-9]+)?")
"""FILE:LINE, also with a column as compilers print it."""
_EXIT_INTERRUPTED = 130
_SHUTDOWN_WAIT = 0.1
"""Seconds between two looks at the progress."""


class CommandError(Exception):
    """Something the user can mend, in a sentence."""


def run(arguments: argparse.Namespace) -> int:
    """Run a command; return its exit code."""
    actions = {
        "index": _index,
        "search": _search,
        "similar": _similar,
        "status": _status,
        "reindex": _reindex,
        "tune": _tune,
        "doctor": _doctor,
        "vectors": bulk.run_vectors,
    }
    action = actions[arguments.command]
    try:
        return action(arguments)
    except (CommandError, QuestionError, ModelError, JobError, OSError, UnicodeError) as problem:
        report.complain(str(problem))
        return 2
    except KeyboardInterrupt:
        report.complain("interrupted; what was indexed so far is kept, and the next run goes on from there")
        return _EXIT_INTERRUPTED


def _index(arguments: argparse.Namespace) -> int:
    named = [*arguments.folders, *(_lines(arguments.list) if arguments.list else ())]
    roots = list(dict.fromkeys(_existing_folder(name) for name in named or ["."] if name))
    if arguments.on or arguments.export:
        return bulk.run_fill(arguments, roots)
    failed = False
    for root in roots:
        started = time.monotonic()
        with _Index(root, tries_again=True) as index:
            status = index.status
            report.indexed(status, time.monotonic() - started, as_json=arguments.json)
            failed |= status.state == "degraded"
    return 1 if failed else 0


def _reindex(arguments: argparse.Namespace) -> int:
    root, _ = _workspace(arguments.folder)
    return bulk.run_reindex(arguments, root)


def _tune(arguments: argparse.Namespace) -> int:
    root, _ = _workspace(arguments.folder)
    return bulk.run_tune(arguments, root)


def _search(arguments: argparse.Namespace) -> int:
    if bool(arguments.query) == bool(arguments.queries):
        raise CommandError("give either a query or --queries FILE")
    kinds = frozenset(one for name in arguments.kind for one in kinds_named(name))
    root, scope = _workspace(arguments.folder)
    wanted = _filter(arguments, Filter(kinds=kinds, scope=scope), root)
    queries = _lines(arguments.queries) if arguments.queries else [" ".join(arguments.query)]
    failed = has_hits = False
    with _Index(root, scope) as index:
        for number, text in enumerate(queries, 1):
            query = Query(text, arguments.limit, wanted, arguments.explain)
            try:
                if not arguments.queries and not questions.parse(query).text:
                    raise CommandError("there is nothing to search for: the query has no words")
                result = index.snapshot.search(query, CancelToken())
            except QuestionError as problem:
                if not arguments.queries:
                    raise
                # A line for each query, whatever becomes of it: programs count them.
                report.complain(f"line {number}, {text!r}: {problem}")
                report.failure(str(problem))
                failed = True
                continue
            has_hits |= bool(result.hits)
            if arguments.json or arguments.queries:
                report.as_json(result)
            else:
                report.hits(result)
            if arguments.json or arguments.queries:
                for notice in result.notices:
                    report.note(notice)
                if result.low_confidence and result.hits:
                    report.note(f"nothing matches {text!r} well; its hits are guesses")
    return 2 if failed else int(not has_hits)


def _similar(arguments: argparse.Namespace) -> int:
    if arguments.place == "-":
        root, scope = _workspace(arguments.folder)
        wanted = _filter(arguments, Filter(scope=scope), root)
        language = next(iter(sorted(wanted.languages)), "") if len(wanted.languages) == 1 else ""
        asked = Similar(text=sys.stdin.read(), language=language)
        if not asked.text.strip():
            raise CommandError("there is nothing to compare: the snippet on standard input is empty")
    else:
        place = _PLACE.fullmatch(arguments.place)
        if place is None or int(place[2]) < 1:
            raise CommandError(f"{arguments.place!r} is not FILE:LINE, as in src/app.py:42")
        path = Path(place[1]).resolve()
        root, scope = _workspace(arguments.folder, path.parent)
        if not path.exists() and Path(root, place[1]).exists():
            path = Path(root, place[1])  # as a search from another folder prints it
        if not path.is_file():
            raise CommandError(f"{place[1]} is not a file here, nor in {root}")
        wanted = _filter(arguments, Filter(scope=scope), root)
        offset = _offset(path, int(place[2]))
        asked = Similar(path=str(path), start=offset, end=offset)
    asked = replace(asked, limit=arguments.limit, filter=wanted, explain=arguments.explain)
    with _Index(root, scope) as index:
        if asked.path and not index.has(asked.path):
            shown = shlex.quote(arguments.place.partition(":")[0])
            raise CommandError(f"{asked.path} is not indexed; to compare its text: sextant similar - < {shown}")
        result = index.snapshot.similar(asked, CancelToken())
        if arguments.json:
            report.as_json(result)
        else:
            report.hits(result)
    return int(not result.hits)


def _status(arguments: argparse.Namespace) -> int:
    root, _ = _workspace(arguments.folder or arguments.named, is_read=False)
    home = home_of(data_dir(), root)
    if not (home / "index.db").exists():
        raise CommandError(f"{root} is not indexed yet; run: sextant index {root}")
    settings = bulk.settings_for(root)  # tells what is wrong with them
    problem = None
    try:
        choice.check(settings.encoder)
    except ModelError as found:
        problem = instead(found)
        report.note(problem)
    else:
        if reindex.needs_second(settings) and peek(home)["encoder"] == load_encoder().fingerprint:
            problem = "The base encoder answers until all vectors of this one are there; run: sextant reindex"
            report.note(problem)
    model = tuning.described(user_settings()[0].encoder, data_dir(), root)
    report.status(root, home, {"model": model, "modelProblem": problem}, as_json=arguments.json)
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    root, _ = _workspace(arguments.folder or arguments.named, is_read=False)
    return report.checks(doctor.examine(root, data_dir()), as_json=arguments.json)


class _Index:
    """An engine for one folder, brought up to date with the disk while a progress bar shows."""

    def __init__(self, root: str, scope: tuple[str, str] | None = None, tries_again: bool = False) -> None:
        """`scope`: the part of it that is asked, as `Filter` has it. `tries_again`: see `Engine`."""
        self._root = root
        part = scope[1] if scope else None
        if not (home_of(data_dir(), root) / "index.db").exists():
            report.note(f"{root} is indexed for the first time")
        elif part is not None:
            report.note(f"in {Path(root, part)}, a part of the index of {root}")
        elif not Path.cwd().samefile(root):
            report.note(f"in {root}")
        # An editor's choice of what is indexed stands: other defaults here would index the folder anew, to and fro.
        self._settings = bulk.settings_for(root)
        self._engine = Engine(self._settings, load_encoder(), data_dir(), tries_again=tries_again)
        self._second = contextlib.ExitStack()

    def __enter__(self) -> _Index:
        self._engine.add_folder(self._root)
        self._engine.start()
        try:
            with report.progress() as show:
                while not self._engine.wait_idle(_SHUTDOWN_WAIT):
                    for folder in self._engine.status().folders:
                        show(folder)
            if self.status.state == "degraded" and not self.snapshot.layers:
                raise CommandError(self.status.message or "the index cannot be used")
            if self.status.state == "degraded":
                report.note(self.status.message or "the index is incomplete")
            try:
                self._second.enter_context(bulk.second_encoder(self._engine, self._settings))
            except ModelError as problem:  # an editor goes on with the base encoder, too
                report.note(instead(problem))
            if missing := self._engine.status().missing_vectors:
                report.note(f"the base encoder answers: {missing:,} functions wait for the other; run: sextant reindex")
        except BaseException:
            self._second.close()
            self._engine.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._second.close()
        self._engine.close()

    @property
    def snapshot(self) -> Snapshot:
        return self._engine.snapshot

    def has(self, path: str) -> bool:
        """Tell whether a file is indexed."""
        place = self.snapshot.locate(os.path.realpath(path))
        return place is not None and self.snapshot.text(*place) is not None

    @property
    def status(self) -> FolderStatus:
        return self._engine.status().folders[0]


def _filter(arguments: argparse.Namespace, wanted: Filter, root: str) -> Filter:
    languages = frozenset(one for name in arguments.lang for one in languages_named(name))
    include = tuple(_glob(glob, root) for glob in arguments.path if not glob.startswith("-"))
    exclude = tuple(_glob(glob[1:], root) for glob in arguments.path if glob.startswith("-"))
    return replace(wanted, languages=languages, include=include, exclude=exclude)


def _glob(typed: str, root: str) -> str:
    """Return a glob that counts from the workspace folder for one that counts from the current folder, as hits do.

    A bare name (`tests`, `*.py`) fits at any depth, wherever one is.
    """
    glob = typed.replace(os.sep, "/")
    if "/" not in glob.rstrip("/") and glob not in (".", "..") and not Path(typed).is_absolute():
        return glob
    here = Path.cwd().resolve()
    place = os.path.realpath((here if here.is_relative_to(root) else Path(root)) / typed)
    inner = os.path.relpath(place, root).replace(os.sep, "/")
    if inner == ".." or inner.startswith("../"):
        raise CommandError(f"--path {typed}: that is not in {root}")
    if inner == ".":
        return "**"
    return f"/{inner}/" if glob.endswith("/") else f"/{inner}"


def _lines(file: str) -> Iterable[str]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except FileNotFoundError as problem:
        raise CommandError(f"there is no file {file}") from problem
    except OSError as problem:
        raise CommandError(f"{file} cannot be read: {problem.strerror or problem}") from problem
    except UnicodeDecodeError as problem:
        raise CommandError(f"{file} is not a text in UTF-8") from problem
    return [line.strip() for line in text.splitlines()]


def _existing_folder(folder: str) -> str:
    path = os.path.realpath(folder)
    if not Path(path).is_dir():
        raise CommandError(f"{folder} is not a folder")
    return path


def _workspace(
    chosen: str | None, near: Path | None = None, is_read: bool = True
) -> tuple[str, tuple[str, str] | None]:
    """Return the folder whose index is asked, and the part of it that was chosen.

    That is the nearest folder around that has an index or is the root of a git repository, so that an index further
    up does not answer for the repositories below it; without either the chosen folder, else the current one.
    `is_read`: its files will be read, which nobody wants of a whole home folder.
    """
    here = Path(_existing_folder(chosen)) if chosen is not None else Path(os.path.realpath(near or "."))
    around = (here, *here.parents)
    nearest = next((folder for folder in around if _has_index(folder) or (folder / ".git").exists()), None)
    if chosen is not None:
        # A part of a repository that has no index yet is indexed alone: it was named.
        root = nearest if nearest and _has_index(nearest) else here
        return str(root), (str(root), here.relative_to(root).as_posix()) if root != here else None
    current = Path.cwd().resolve()
    if is_read and nearest is None and Path.home().resolve().is_relative_to(current):
        raise CommandError(f"{current} is no project; go to one, or name a folder with -C")
    return str(nearest or current), None


def _has_index(folder: Path) -> bool:
    """Tell whether a folder was indexed; a first run that was broken off before it found anything does not count."""
    home = home_of(data_dir(), str(folder))
    try:
        return (home / "index.db").exists() and bool(peek(home)["languages"])
    except OSError:
        return True  # damaged: it is rebuilt


def _offset(path: Path, line: int) -> int:
    """Return where a line of a file starts, past its indentation."""
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    if line > len(lines):
        raise CommandError(f"{path} has {len(lines)} lines, no line {line}")
    text = lines[line - 1]
    return sum(map(len, lines[: line - 1])) + len(text) - len(text.lstrip())
