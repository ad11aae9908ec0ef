"""Positions, URIs and documents at the edge of the protocol."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from server import snapshot
from server.lsp import convert
from server.lsp.documents import Document, split_lines
from server.lsp.protocol import FindSimilarParams, InvalidParams, RequestFailed, SearchParams
from server.model import encoder
from server.snapshot import Snapshot
from server.types import FolderStatus, Hit, Kind, Span, Status

ENCODINGS = ["utf-8", "utf-16", "utf-32"]
LINE_ENDS = ["\n", "\r\n", "\r"]

# Letters of one, two, three and four bytes, a combining mark, every line end, and what only splitlines() splits at.
TEXT = st.text(st.sampled_from("ab é\u0301漢🙂\t\n\r\f\v\x1c\x85\u2028\ufeff\x00"), max_size=30)


def width(text: str, encoding: str) -> int:
    return {"utf-8": len(text.encode()), "utf-16": len(text.encode("utf-16-le")) // 2, "utf-32": len(text)}[encoding]


def naive_position(text: str, index: int, encoding: str) -> types.Position:
    """Say where a character is, by the letter of the LSP."""
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return types.Position(len(before) - 1, width(before[-1], encoding))


def is_inside_crlf(text: str, index: int) -> bool:
    return text[index - 1 : index + 1] == "\r\n"


def span(text: bytes, start: int, end: int) -> Span:
    """Return the span of two offsets as the index has it: columns of the first row count from behind a BOM."""

    def place(offset: int) -> tuple[int, int]:
        before = text[:offset].replace(b"\r\n", b"\n\n").replace(b"\r", b"\n")
        row = len(split_lines(text[:offset].decode("utf-8", "replace"))) - 1
        column = len(before) - before.rfind(b"\n") - 1
        return row, column - (3 if row == 0 and text.startswith(b"\xef\xbb\xbf") else 0)

    return Span(start, end, *place(start), *place(end))


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(TEXT, st.data())
def test_positions_there_and_back(encoding: str, text: str, data: st.DataObject) -> None:
    """Every position of a text, to the client and back, with the client showing the BOM if there is one."""
    index = data.draw(st.integers(0, len(text)))
    if is_inside_crlf(text, index):
        return
    raw = text.encode()
    offset = len(text[:index].encode())
    position = naive_position(text, index, encoding)
    assert convert.offset_at(raw, position, encoding, shows_bom=True) == offset
    if not text.startswith("\ufeff"):
        assert convert.to_range(span(raw, offset, offset), raw, encoding).start == position


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shows_bom", [False, True])
def test_a_byte_order_mark_is_counted_only_where_it_is_shown(encoding: str, shows_bom: bool) -> None:
    raw = "\ufeffdef é(): pass\ndef ü(): pass\n".encode()
    mark = width("\ufeff", encoding) if shows_bom else 0
    for offset, row, before in ((7, 0, "def "), (9, 0, "def é"), (22, 1, "def ")):
        where = types.Position(row, width(before, encoding) + (mark if row == 0 else 0))
        assert convert.to_range(span(raw, offset, offset), raw, encoding, shows_bom).start == where
        assert convert.offset_at(raw, where, encoding, shows_bom) == offset


@given(TEXT, st.sampled_from(ENCODINGS), st.integers(0, 40), st.integers(0, 40))
def test_any_position_of_a_client_lands_in_the_text(text: str, encoding: str, line: int, character: int) -> None:
    raw = text.encode()
    offset = convert.offset_at(raw, types.Position(line, character), encoding)
    raw[:offset].decode()  # never inside a character
    lines = split_lines(text)
    if line < len(lines):
        content = lines[line].rstrip("\r\n")
        start = len("".join(lines[:line]).encode())
        assert start <= offset <= start + len(content.encode())
    else:
        assert offset == len(raw)


@given(st.binary(max_size=30), st.sampled_from(ENCODINGS), st.data())
def test_spans_of_a_file_that_has_changed_stay_inside_it(raw: bytes, encoding: str, data: st.DataObject) -> None:
    numbers = st.integers(0, 60)
    start, end, *places = (data.draw(numbers) for _ in range(6))
    stale = Span(start, end, *places)
    found = convert.to_range(stale, raw, encoding)
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for edge in (found.start, found.end):
        assert edge.line < len(lines)
        assert edge.character <= len(lines[edge.line])


@given(st.binary(max_size=20))
def test_bytes_that_are_no_utf8_have_a_way_back(line: bytes) -> None:
    line = line.replace(b"\r", b"").replace(b"\n", b"")
    if line.startswith(b"\xef\xbb\xbf"):
        return
    for encoding in ENCODINGS:
        found = convert.to_range(Span(0, len(line), 0, 0, 0, len(line)), line, encoding)
        assert convert.offset_at(line, found.end, encoding) == len(line)


def test_a_file_that_is_gone_keeps_its_rows() -> None:
    found = convert.to_range(Span(10, 20, 3, 4, 5, 6), None, "utf-16")
    assert found == types.Range(types.Position(3, 4), types.Position(5, 6))


# Documents.


def document(text: str, uri: str = "file:///a.py") -> Document:
    return Document(types.TextDocumentItem(uri, "python", 1, text), None)


@given(TEXT, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), TEXT), max_size=5), st.sampled_from(ENCODINGS))
def test_any_history_of_edits_equals_the_text(text: str, edits: list[tuple[int, int, str]], encoding: str) -> None:
    shown = document(text)
    for one, other, new in edits:
        start, end = sorted((min(one, len(text)), min(other, len(text))))
        start -= is_inside_crlf(text, start)
        end -= is_inside_crlf(text, end)
        where = types.Range(naive_position(text, start, encoding), naive_position(text, end, encoding))
        shown.edit(types.TextDocumentContentChangePartial(range=where, text=new), encoding)
        text = text[:start] + new + text[end:]
        assert shown.text == text
    shown.edit(types.TextDocumentContentChangeWholeDocument(text="new\r\n"), encoding)
    assert shown.text == "new\r\n"


@pytest.mark.parametrize(
    ("text", "line", "character", "expected"),
    [
        ("abc", 0, 99, "abc!"),  # behind the end of a line is its end
        ("abc\ndef", 0, 99, "abc!\ndef"),
        ("abc\r\ndef", 0, 4, "abc!\r\ndef"),
        ("abc\n", 1, 0, "abc\n!"),
        ("abc\n", 7, 3, "abc\n!"),
        ("", 0, 0, "!"),
        ("a\fb\u2028c\nd", 1, 0, "a\fb\u2028c\n!d"),  # pygls' own documents take \f and U+2028 for line ends
        ("🙂x", 0, 1, "!🙂x"),  # inside a surrogate pair
    ],
)
def test_edits_at_odd_places(text: str, line: int, character: int, expected: str) -> None:
    shown = document(text)
    place = types.Position(line, character)
    shown.edit(types.TextDocumentContentChangePartial(range=types.Range(place, place), text="!"), "utf-16")
    assert shown.text == expected


def test_half_a_surrogate_pair_is_no_text() -> None:
    shown = document("a\ud800b")
    assert shown.text == "a\ufffdb"
    shown.edit(types.TextDocumentContentChangeWholeDocument(text="\udfff"), "utf-16")
    assert shown.text == "\ufffd"


# URIs.


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/a/b.py", "/home/a/b.py"),
        ("file:///home/a%20b/c%23d/%C3%A9.py", "/home/a b/c#d/é.py"),
        ("file:///home/a%25b/100%.py", "/home/a%b/100%.py"),
        ("file:///home/a;b/c;d.py", "/home/a;b/c;d.py"),
        ("file:///home/a/../b/./c/", "/home/b/c"),
        ("file:///home/%FF.py", "/home/\udcff.py"),
        ("file://localhost/home/a", "/home/a"),
        ("FILE:///home/a", "/home/a"),
        ("untitled:Untitled-1", None),
        ("git:/home/a.py?ref", None),
        ("vscode-notebook-cell:/home/a.ipynb#x", None),
        ("/home/a.py", None),
        ("file:", None),
        ("file:a.py", None),
        ("file:///home/a%00b", None),
        ("file:///home/\ud800.py", None),
        ("file://[broken", None),
        ("", None),
    ],
)
def test_uri_to_path(uri: str, path: str | None) -> None:
    assert convert.to_path(uri, windows=False) == path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///C:/Users/a.py", "c:\\Users\\a.py"),
        ("file:///c%3A/Users/a%20b.py", "c:\\Users\\a b.py"),
        ("file:///c:/Users/../a.py", "c:\\a.py"),
        ("file://server/share/a.py", "\\\\server\\share\\a.py"),
        ("untitled:C:/a.py", None),
    ],
)
def test_uri_to_path_on_windows(uri: str, path: str | None) -> None:
    assert convert.to_path(uri, windows=True) == path


@pytest.mark.parametrize("path", ["c:\\Users\\a b#.py", "\\\\server\\share\\é.py"])
def test_windows_paths_there_and_back(path: str) -> None:
    assert convert.to_path(convert.to_uri(path, windows=True), windows=True) == path


@pytest.mark.skipif(os.name == "nt", reason="paths of the other systems")
@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_paths_there_and_back(name: str) -> None:
    path = os.path.normpath("/" + name)
    assert convert.to_path(convert.to_uri(path)) == path


def roots(*paths: Path) -> tuple[convert.Root, ...]:
    found = [convert.root(path.as_uri()) for path in paths]
    return tuple(root for root in found if root is not None)


def test_the_innermost_folder_counts(tmp_path: Path) -> None:
    outer, inner = roots(tmp_path, tmp_path / "a")
    assert convert.locate(str(tmp_path / "a" / "b" / "c.py"), (outer, inner)) == (inner, "b/c.py")
    assert convert.locate(str(tmp_path / "ab" / "c.py"), (outer, inner)) == (outer, "ab/c.py")
    assert convert.locate(str(tmp_path / "a"), (outer, inner)) == (inner, "")
    assert convert.locate(str(tmp_path.parent / "x"), (outer, inner)) is None


def test_a_linked_folder_has_one_name_inside(tmp_path: Path) -> None:
    real = tmp_path.resolve() / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    (root,) = roots(tmp_path / "link")
    for spelled in (tmp_path / "link" / "a b.py", real / "a b.py"):
        assert convert.in_workspace(spelled.as_uri(), (root,)) == str(real / "a b.py")
    assert convert.in_workspace((tmp_path / "a.py").as_uri(), (root,)) is None
    assert convert.in_workspace("untitled:a.py", (root,)) is None


# Questions and answers.


def test_a_query_takes_its_defaults_and_filters(tmp_path: Path) -> None:
    known = roots(tmp_path)
    plain = convert.query(SearchParams("x"), known)
    assert (plain.limit, plain.explain, plain.filter.scope, plain.filter.kinds) == (20, False, None, frozenset())
    full = convert.query(
        SearchParams(
            "x",
            limit=3,
            languages=["go"],
            kinds=[types.SymbolKind.Function, types.SymbolKind.Variable],
            include=["a/**"],
            exclude=["b"],
            scope=(tmp_path / "src" / "x").as_uri(),
            explain=True,
        ),
        known,
    )
    assert full.filter.kinds == {Kind.FUNCTION}
    assert full.filter.languages == {"go"}
    assert (full.filter.include, full.filter.exclude) == (("a/**",), ("b",))
    assert full.filter.scope == (str(tmp_path.resolve()), "src/x")


def test_scopes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    known = roots(one, two)

    def scope(uri: str) -> tuple[str, str] | None:
        return convert.query(SearchParams("x", scope=uri), known).filter.scope

    assert scope(one.as_uri()) == (str(one.resolve()), "")
    assert scope(tmp_path.as_uri()) is None
    with pytest.raises(RequestFailed, match="workspace folder"):
        scope((tmp_path / "three").as_uri())
    with pytest.raises(InvalidParams, match="scope"):
        scope("untitled:x")


def test_kinds_that_nothing_has_are_said_so() -> None:
    with pytest.raises(RequestFailed, match="Function"):
        convert.query(SearchParams("x", kinds=[types.SymbolKind.Variable]), ())


def place(uri: str, start: int, end: int) -> FindSimilarParams:
    where = types.Range(types.Position(0, start), types.Position(0, end))
    return FindSimilarParams(text_document=types.TextDocumentIdentifier(uri), range=where)


def test_what_a_place_asks(tmp_path: Path) -> None:
    known = roots(tmp_path)
    uri, path = (tmp_path / "a.py").as_uri(), str(tmp_path.resolve() / "a.py")
    disk = "🙂 = f(x)".encode()

    def ask(params: FindSimilarParams, shown: convert.Shown | None, source: bytes | None) -> tuple[str, int, int, str]:
        found = convert.similar(params, shown, lambda _folder, _path: source, "utf-16", known)
        return found.path, found.start, found.end, found.text

    shown = convert.Shown("é = g(y)", "python", False)
    assert ask(place(uri, 2, 3), None, disk) == (path, 4, 5, " ")
    assert ask(place(uri, 3, 5), None, disk) == (path, 5, 7, "= ")
    assert ask(place(uri, 5, 3), None, disk) == (path, 5, 7, "= ")  # a selection made backwards
    assert ask(place(uri, 4, 8), shown, shown.text.encode()) == (path, 5, 9, "g(y)")
    # An ignored or untitled document is compared by what it shows.
    assert ask(place(uri, 4, 8), shown, disk) == ("", 0, 0, "g(y)")
    assert ask(place("untitled:a", 4, 8), shown, None) == ("", 0, 0, "g(y)")
    assert ask(place("untitled:a", 4, 4), shown, None) == ("", 0, 0, "é = g(y)")
    with pytest.raises(RequestFailed):
        ask(place("untitled:a", 4, 4), None, None)
    with pytest.raises(JsonRpcException):
        ask(FindSimilarParams(text=" "), None, None)


def test_places_are_remembered_while_the_file_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("# é\ndef f():\n    return 1\n")
    name, whole = Span(9, 10, 1, 4, 1, 5), Span(5, 26, 1, 0, 2, 12)
    found = Hit(str(tmp_path), "a.py", "python", Kind.FUNCTION, "f", "", "", "", name, whole, 0.5, 0.5)
    places, read = convert.Places(), []

    def text(folder: str, path: str) -> bytes:
        read.append(path)
        return (Path(folder) / path).read_bytes()

    def shown(stamp: object, shows: dict[str, tuple[str, bool]] | None = None) -> types.Range:
        view = convert.View("utf-16", (), shows or {})
        return convert.hit(found, text, view, lambda folder, path: places.of(folder, path, stamp)).location.range

    first = shown("one")
    assert first.start == types.Position(1, 4)
    read.clear()
    assert shown("one") == first
    assert not read
    file.write_text("# é\n\n\ndef f():\n    return 1\n")  # before it is indexed again
    assert shown("one", {str(file): (file.as_uri(), False)}) == shown(None) == shown("two") != first
    read.clear()
    assert shown("two") != first
    assert not read
    shown(None)
    assert read


def test_the_stamp_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = tmp_path / "a.py", str(tmp_path)
    file.write_text("x = 1\n")
    index = Snapshot(1, (), encoder.load(), is_incomplete=False)
    assert index.stamp(folder, "a.py") is None  # it may change again within the tick of the clock
    monkeypatch.setattr(snapshot, "_SETTLED", 0)
    before = index.stamp(folder, "a.py")
    assert before is not None
    assert index.stamp(folder, "a.py") == before
    assert replace(index, buffers={(folder, "a.py"): b"y"}).stamp(folder, "a.py") is None
    file.write_text("x = 12\n")
    assert index.stamp(folder, "a.py") not in (None, before)
    file.unlink()
    assert index.stamp(folder, "a.py") is None


def test_the_status_lists_every_folder_by_the_clients_name(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    known = roots(tmp_path / "link", tmp_path / "other")
    ready = FolderStatus(known[0].real, "ready", 3, 9, 0, {"large": 1, "link": 2}, {"python": 3})
    status = convert.index_status(Status((ready,), 4, "e", "exact", 5), known)
    assert [(each.uri, each.state) for each in status.folders] == [
        ((tmp_path / "link").as_uri(), "ready"),
        ((tmp_path / "other").as_uri(), "opening"),
    ]
    assert status.folders[0].skipped_files == 3
