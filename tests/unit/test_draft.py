"""Half-typed code loses nothing: the rest of the file stays, and so does the unit that is being typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.config import Settings
from server.engine import Engine
from server.index.parser import HERE
from server.model import encoder
from server.types import CancelToken, Hit, Query

PYTHON = (
    "import smtp\r\n\r\n\r\ndef send_mail(to, text):\r\n    return smtp.deliver(to, text)\r\n\r\n\r\n"
    "class Clock:\r\n    def convert_zone(self, zone):\r\n        return self.at(zone)\r\n\r\n\r\n"
    "def parse_date(größe):\r\n    return [int(p) for p in größe.split('-')]\r\n"
)
NAMES = {"send_mail", "Clock", "convert_zone", "parse_date"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "a.py").write_bytes(PYTHON.encode())
    return folder


@pytest.fixture
def engine(root: Path, tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(Settings(workers=1), encoder.load(), tmp_path / "data", parser=HERE)
    engine.add_folder(str(root))
    engine.start()
    engine.set_buffer(str(root / "a.py"), "python", PYTHON)
    assert engine.wait_idle(30)
    yield engine
    engine.close()


def hits(engine: Engine, root: Path, text: str) -> dict[str, Hit]:
    """Show a text, and return what is found by name; each name stands in the text where its hit says."""
    engine.set_buffer(str(root / "a.py"), "python", text)
    assert engine.wait_idle(30)
    found = engine.snapshot.search(Query("send mail clock convert zone parse date other", limit=50), CancelToken()).hits
    data, lines = text.encode(), text.encode().splitlines(keepends=True)
    for hit in found:
        if hit.kind != 2:
            assert data[hit.name_span.start : hit.name_span.end].decode() == hit.name
            line = lines[hit.name_span.start_row]
            assert line[hit.name_span.start_column : hit.name_span.end_column].decode() == hit.name
            assert hit.span.start <= hit.name_span.start and hit.name_span.end <= hit.span.end <= len(data)
            assert sum(map(len, lines[: hit.span.end_row])) + hit.span.end_column == hit.span.end
    names = [hit.name for hit in found if hit.kind != 2]
    assert len(names) == len(set(names)), "nothing is found twice"
    return {hit.name: hit for hit in found if hit.kind != 2}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(to, text):", "(to, te"),
        ("def send_mail", "de send_mail"),
        ("def send_mail", "@ def send_mail"),
        ("    return smtp.deliver(to, text)", "    return smtp.deliver(to, [text, {"),
        ("    return smtp", '    """Half a docstring\r\n    return smtp'),
        ("class Clock:", "class Clock("),
        ("    def convert_zone(self, zone):", "    def convert_zone(self, zo"),
        ("    def convert_zone", "    if\r\n    def convert_zone"),
        ("import smtp", "import smtp\r\n\r\ndef fresh("),
        ("import smtp", "from ("),
        ("def parse_date(größe):", "def parse_date(größe, (((:"),
    ],
)
def test_nothing_is_lost_while_a_line_is_typed(engine: Engine, root: Path, old: str, new: str) -> None:
    broken = PYTHON.replace(old, new)
    assert broken != PYTHON
    for end in range(len(old) + 1):  # key by key: the old text goes, the new one comes
        assert hits(engine, root, PYTHON.replace(old, old[: len(old) - end])).keys() >= NAMES - named_in(old)
    for end in range(len(new) + 1):
        found = hits(engine, root, PYTHON.replace(old, new[:end]))
        assert found.keys() >= NAMES - named_in(old), (new[:end], found.keys())
    assert hits(engine, root, PYTHON).keys() == NAMES


def named_in(text: str) -> set[str]:
    return {name for name in NAMES if name in text}


def test_what_was_deleted_is_gone(engine: Engine, root: Path) -> None:
    broken = PYTHON.replace("(to, text):", "(to, te")
    assert hits(engine, root, broken).keys() >= NAMES
    renamed = broken.replace("send_mail", "post_letter")
    assert "send_mail" not in hits(engine, root, renamed)
    assert hits(engine, root, PYTHON).keys() == NAMES
    without = PYTHON.replace("convert_zone(self, zone)", "convert_zone(self, zo")
    assert hits(engine, root, without).keys() == NAMES
    without = without[without.index("class Clock") :]
    assert hits(engine, root, without).keys() == NAMES - {"send_mail"}
    assert hits(engine, root, PYTHON.replace("def parse_date", "def parse_time")).keys() == (
        NAMES - {"parse_date"} | {"parse_time"}
    )


def test_closing_without_saving_restores_the_file(engine: Engine, root: Path) -> None:
    assert hits(engine, root, "def other(): pass\n").keys() == {"other"}
    engine.drop_buffer(str(root / "a.py"))
    assert engine.wait_idle(30)
    found = engine.snapshot.search(Query("send mail clock convert zone parse date other", limit=50), CancelToken()).hits
    assert {hit.name for hit in found if hit.kind != 2} == NAMES
