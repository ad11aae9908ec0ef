"""Invariant 1: any history of changes answers exactly like an index built from scratch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from server.config import Settings
from server.engine import Engine
from server.index import layers as layers_module
from server.index import search
from server.index.parser import HERE
from server.model import encoder
from server.types import CancelToken, Encoder, Query, QuestionError, SearchResult, Similar

PATHS = ("app.py", "web/client.py", "web/util.js", "core/store.go", "core/deep/er/date.py", "test_app.py")
FUNCTIONS = {
    "py": (
        'def send_mail(to, text):\n    """Send an email to somebody."""\n    return smtp.deliver(to, text)\n',
        "def retry(call, times):\n    for wait in backoff(times):\n        sleep(wait)\n        call()\n",
        'class Clock:\n    """Tell the time."""\n\n    def convert(self, zone):\n        return self.at(zone)\n',
        "def parse_date(text):\n    # day month year\n    return [int(p) for p in text.split('-')]\n",
        "LIMIT = 3\nNAMES = ['größe', '東京']\n",
        "def broken(:\n  return (((\n",
        "",
    ),
    "js": (
        "/** Send an email to somebody. */\nexport const sendMail = (to, text) => smtp.deliver(to, text);\n",
        "function retry(call, times) { while (times--) try { return call(); } catch (e) { wait(e); } }\n",
        "export default {",
    ),
    "go": (
        "package core\n\n// Save writes a record.\nfunc (s *Store) Save(r Record) error { return s.write(r) }\n",
        "package core\n\nfunc retry(n int) { for i := 0; i < n; i++ { call() } }\n",
    ),
}
QUERIES = ("send an email", "retry with backoff", "convert time zone", "parse_date", "Store.Save", "größe lang:python")


def texts_of(path: str) -> st.SearchStrategy[str]:
    """Any text for a path: some of the functions above, with any kind of line end."""
    parts = st.lists(st.sampled_from(FUNCTIONS[path.rpartition(".")[2]]), max_size=4)
    return st.builds(lambda chosen, end: "\n".join(chosen).replace("\n", end), parts, st.sampled_from(["\n", "\r\n"]))


BROKEN = ("def broken(", "export default {")
"""What an open document shows for the moment; it keeps units of the past then, see test_draft.py."""
CHANGES = st.sampled_from(PATHS).flatmap(lambda path: st.tuples(st.just(path), texts_of(path)))


EDITS = CHANGES.filter(lambda change: not any(broken in change[1] for broken in BROKEN))


@contextmanager
def engine_on(root: Path, data: Path, model: Encoder) -> Iterator[Engine]:
    engine = Engine(Settings(workers=1), model, data, parser=HERE)
    engine.start()
    engine.add_folder(str(root))
    try:
        assert engine.wait_idle(30)
        yield engine
    finally:
        engine.close()


def answers(engine: Engine, root: Path) -> list[SearchResult | str]:
    """All answers that a user could compare; the generation's number counts changes and so must differ."""
    snapshot, token = engine.snapshot, CancelToken()
    found: list[SearchResult | str] = []
    found += [snapshot.search(Query(text, limit=50, explain=True), token) for text in QUERIES]
    found.append(snapshot.similar(Similar(text="def mail(to):\n    smtp.deliver(to)\n", language="python"), token))
    for path in PATHS:
        data = snapshot.text(str(root), path)
        if data:
            place = Similar(path=str(root / path), start=len(data) // 2, end=len(data) // 2, explain=True)
            try:
                found.append(snapshot.similar(place, token))
            except QuestionError as problem:  # not indexed, or its middle lies between two functions
                found.append(str(problem))
    return [result if isinstance(result, str) else replace(result, generation=0) for result in found]


class History(RuleBasedStateMachine):
    """Edits, saves, deletes, closes, renames, rebuilds, restarts and a second editor in any order."""

    model: Encoder

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="sextant-history-"))
        self.root = Path(self.home, "work").resolve()
        self.root.mkdir()
        self.buffers: dict[str, str] = {}
        self.engine = self.start()
        self.second: Engine | None = None
        """Another editor on the same workspace and index."""

    def engines(self) -> list[Engine]:
        return [self.engine, *([self.second] if self.second else [])]

    def touch(self, *paths: Path) -> None:
        for engine in self.engines():
            engine.touch(map(str, paths))

    def start(self) -> Engine:
        engine = Engine(Settings(workers=1), self.model, self.home / "data", parser=HERE)
        engine.start()
        engine.add_folder(str(self.root))
        for path, text in self.buffers.items():
            engine.set_buffer(str(self.root / path), None, text)
        return engine

    def teardown(self) -> None:
        for engine in self.engines():
            engine.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())

    @rule(change=CHANGES)
    def save(self, change: tuple[str, str]) -> None:
        path, text = change
        self.write(path, text)
        self.touch(self.root / path)

    @rule(change=EDITS)
    def edit(self, change: tuple[str, str]) -> None:
        path, text = change
        self.buffers[path] = text
        for engine in self.engines():
            engine.set_buffer(str(self.root / path), None, text)

    @precondition(lambda self: self.buffers)
    @rule(data=st.data(), saved=st.booleans())
    def close(self, data: st.DataObject, saved: bool) -> None:
        path = data.draw(st.sampled_from(sorted(self.buffers)))
        text = self.buffers.pop(path)
        if saved:
            self.write(path, text)
        for engine in self.engines():
            engine.drop_buffer(str(self.root / path))

    @rule(path=st.sampled_from(PATHS))
    def delete(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)
        self.touch(self.root / path)

    @rule(old=st.sampled_from(PATHS), new=st.sampled_from(PATHS))
    def rename(self, old: str, new: str) -> None:
        if (self.root / old).exists() and old != new:
            (self.root / new).parent.mkdir(parents=True, exist_ok=True)
            (self.root / old).replace(self.root / new)
            self.touch(self.root / old, self.root / new)

    @rule(old=st.sampled_from(["web", "core", "core/deep"]), new=st.sampled_from(["web", "moved", "core/web"]))
    def rename_folder(self, old: str, new: str) -> None:
        source, target = self.root / old, self.root / new
        if source.is_dir() and not target.exists() and source not in target.parents:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            self.touch(source, target)

    @rule(folder=st.sampled_from(["", "core/"]), pattern=st.sampled_from(["*.py", "web/", "!app.py", "deep", ""]))
    def ignore(self, folder: str, pattern: str) -> None:
        self.write(f"{folder}.gitignore", pattern)
        self.touch(self.root / folder / ".gitignore")

    @rule(change=CHANGES)
    def save_unseen(self, change: tuple[str, str]) -> None:
        self.write(*change)
        for engine in self.engines():
            engine.rescan(str(self.root))

    @rule(path=st.sampled_from(PATHS), moment=st.sampled_from([0, 10**9, 4 * 10**9]))
    def jump_clock(self, path: str, moment: int) -> None:
        if (self.root / path).exists():
            os.utime(self.root / path, (moment, moment))
            self.touch(self.root / path)

    @rule(change=CHANGES)
    def lose_root(self, change: tuple[str, str]) -> None:
        self.root.rename(self.home / "away")
        for engine in self.engines():
            engine.rescan(str(self.root))
            assert engine.wait_idle(30)
            assert not engine.snapshot.layers
        (self.home / "away").rename(self.root)
        self.write(*change)
        for engine in self.engines():
            engine.rescan(str(self.root))

    @rule()
    def replace_folder(self) -> None:
        for engine in self.engines():
            engine.remove_folder(str(self.root))
            engine.add_folder(str(self.root))

    @precondition(lambda self: self.second is None)
    @rule()
    def open_second_editor(self) -> None:
        self.second = self.start()

    @precondition(lambda self: self.second is not None)
    @rule(first=st.booleans())
    def close_an_editor(self, first: bool) -> None:
        assert self.second is not None
        if first:
            self.engine.close()
            self.engine = self.second
        else:
            self.second.close()
        self.second = None

    @rule()
    def compact(self) -> None:
        self.engine.compact()

    @rule()
    def restart(self) -> None:
        self.engine.close()
        self.engine = self.start()

    @invariant()
    def answers_like_an_index_built_from_scratch(self) -> None:
        assert all(engine.wait_idle(30) for engine in self.engines())
        with engine_on(self.root, self.home / "fresh", self.model) as fresh:
            for path, text in self.buffers.items():
                fresh.set_buffer(str(self.root / path), None, text)
            assert fresh.wait_idle(30)
            expected = answers(fresh, self.root)
        shutil.rmtree(self.home / "fresh")
        for engine in self.engines():
            assert answers(engine, self.root) == expected


@pytest.mark.parametrize(("compact_at", "few"), [(0, search.FEW), (2_000, search.FEW), (4, 0)])
def test_any_history_answers_like_an_index_built_from_scratch(
    compact_at: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once with a compaction at nearly every change, once with everything in the delta, once by codes alone."""
    monkeypatch.setattr(layers_module, "COMPACT_MIN_UNITS", compact_at)
    monkeypatch.setattr(search, "FEW", few)
    if not few:
        monkeypatch.setattr(search, "SHORTLIST", 3)
    History.model = encoder.load()
    checked = settings(
        max_examples=int(os.environ.get("SEXTANT_HISTORIES", "12")),
        stateful_step_count=12,
        deadline=None,
        phases=[phase for phase in Phase if phase != Phase.shrink],  # each step runs two engines
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(History, settings=checked)
