"""Extraction: source files in, units out."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.index.extract import extract
from server.index.languages import LANGUAGES, grammar_of, language_of, query_of
from server.process import release_memory, resident_bytes
from server.types import Kind, Unit

SAMPLES = Path(__file__).parent.parent / "data" / "languages"

PARSED = [language for language in LANGUAGES if LANGUAGES[language].query]

# kind, container (- for none), name (with _ for a space), row:column of the name, first words of the documentation
UNITS = {
    "Sample.java": """
        class - Sample 10:22 A thing to send.
        constructor Sample Sample 16:11 Makes one.
        constructor Sample Sample 18:4
        method Sample send 23:23 Not Javadoc, but above.
        method Sample.send run 25:34
        method Sample send 30:19
        method Sample close 32:28
        method Sample weigh 34:15
        interface Sample Visitor 36:14
        method Sample.Visitor visit 36:29
        method Sample.Visitor done 36:67
        enum Sample Size 38:9
        method Sample.Size.SMALL limit 39:30
        method Sample.Size limit 42:12
        class Sample Point 45:11
        constructor Sample.Point Point 46:8
        method Sample.Point origin 47:21
        interface Sample Marker 50:15
        method Sample.Marker value 50:31
    """,
    "sample.c": """
        module - sample 0:0
        struct - parcel_s 3:7 A thing to send.
        enum - size_kind 8:30
        struct - bits 10:6
        function - label_of 15:13 Declared before use.
        function - parcel_new 20:0 Makes one. In two
        function - label_of 27:13
        function - parcel_hook 35:6
        function - old_style 37:4
        function - parcel_open 40:4
        function - parcel_open 42:4
    """,
    "sample.cpp": """
        module - sample 0:0 Parcels in C++.
        class post::office Parcel 8:6 A thing to send.
        constructor post::office.Parcel Parcel 12:11
        constructor post::office.Parcel Parcel 13:2
        method post::office.Parcel ~Parcel 14:10
        method post::office.Parcel weigh 17:33 Weighs it.
        method post::office.Parcel operator== 18:7
        method post::office.Parcel operator_bool 19:11
        method post::office.Parcel make 20:33
        struct post::office.Parcel Label 22:9
        method post::office.Parcel weigh 30:23
        class post::office Parcel 33:6
        method post::office.Parcel nothing 33:26
        constructor post::office.Office Office 35:8
        method post::office.Office ~Office 40:8
        function post::office operator<< 42:14
        enum post::office Size 44:11
        type post::office Shared 45:6
        function post::office hidden 48:4
        function post::office hidden 49:4
        function - square 54:5
    """,
    "sample.cs": """
        class Post.Office Parcel 8:34 A thing to send.
        constructor Post.Office.Parcel Parcel 13:15 Makes one.
        method Post.Office.Parcel Heavy 16:20
        method Post.Office.Parcel Weight 17:17
        method Post.Office.Parcel this 18:17
        method Post.Office.Parcel Send 21:31
        function Post.Office.Parcel.Send Local 23:16
        method Post.Office.Parcel Send 27:19
        method Post.Office.Parcel Close 28:32
        method Post.Office.Parcel Dispose 29:25
        method Post.Office.Parcel Parcel 30:9
        method Post.Office.Parcel + 31:41
        method Post.Office.Parcel int 32:40
        type Post.Office.Parcel Handler 33:29
        enum Post.Office.Parcel Size 37:21
        interface Post.Office ISender 40:21
        method Post.Office.ISender Send 40:35
        class Post.Office Point 41:18
        struct Post.Office Pair 42:34
        method Post.Office.Pair Sum 42:59
        struct Post.Office Meters 43:18
    """,
    "sample.go": """
        module - sample 0:0 Package parcels sends parcels.
        struct - Parcel 11:5 Parcel is a thing
        interface - Sender 17:1 Sender sends.
        method Sender Send 20:2 Send sends one.
        type - ID 22:1
        type - Stack 23:1
        type - HandlerFunc 27:5 HandlerFunc adapts.
        method Parcel Weigh 30:17 Weigh returns the weight.
        function Parcel.Weigh round 31:1
        method Stack Push 35:18
        method Stack Pop 36:19
        function - Map 38:5
        function - Default 40:4
        function - init 42:5
        function - assembly 44:5
    """,
    "sample.h": """
        module - sample 0:0 Parcels in C.
        function - MAX 13:8 The larger of two.
        function - parcel_new 19:17 Makes one.
        function - parcel_free 20:5
        function - parcel_clear 20:36
        function - parcel_hook 21:6
        function - parcel_count 22:5
        function - parcel_empty 24:18
    """,
    "sample.js": """
        module - sample 0:0 Routes for parcels.
        function - send 19:8 Send a parcel. @param
        function - createServer 23:26
        method Parcel weigh 25:17
        method app use 27:4
        function - add 29:6
        function - curry 30:13
        function - first 31:4
        function - second 31:28
        function - walk 34:17 Walks.
        function walk inner 35:8
        class - sample 39:7
        method sample of 41:9
        method sample handle 43:2 Arrow in a field.
        constructor sample constructor 44:2
        method sample size 45:6
        method sample [Symbol.asyncIterator] 46:9
        method sample #secret 47:2
        method api list 51:2
        method api get-one 52:2
        method api remove 53:2
        method api.nested deep 54:12
        function - Panel 58:13
    """,
    "sample.php": """
        module - sample 0:0
        class - Sender 19:12 Sends. @template T of
        constructor Sender __construct 25:20
        method Sender send 29:28 Sends one.
        function Sender.send log 31:9
        method Sender count 35:32
        interface - Closeable 38:10
        method Closeable close 38:38
        class - Loggable 40:6
        method Loggable log 40:36
        enum - Size 42:5
        method Size label 46:20
        function - parcel_weight 50:9 Old-fashioned.
        function - polyfill 53:13
        function - handler 56:1
        method - run 57:41
        function - after_markup 60:15
    """,
    "sample.py": """
        module - sample 0:0 Tools for parcels.
        function - plain 14:4
        function - fetch 20:10 Kept above the decorator.
        function fetch attempt 25:8 Try once.
        class - Parcel 32:6 A thing to send.
        constructor Parcel __init__ 40:8 Weigh it.
        method Parcel heavy 45:8
        method Parcel heavy 49:8
        class Parcel Label 51:10
        method Parcel.Label print 52:12
        function - conditional 60:8
        type - Pair 64:5
    """,
    "sample.rb": """
        module - sample 0:0 Parcels and how to
        namespace - Post 6:7
        class Post Parcel 8:8 A thing to send.
        constructor Post.Parcel initialize 13:8 Weighs it.
        method Post.Parcel <=> 17:8
        method Post.Parcel heavy? 19:8
        method Post.Parcel weight= 23:8
        method Post.Parcel [] 27:8
        method Post.Parcel load 29:13
        method Post.Parcel many 35:10 Makes many.
        method Post.Parcel secret 40:16
        class Post Error 45:8
        class Post Office 48:12
        method Post.Office open 49:6
        method Point norm 53:6
        function - helper 58:4
        function helper nested 59:6
    """,
    "sample.rs": """
        module - sample 0:0 Sends parcels.
        struct - Parcel 7:11 A thing to send.
        struct - Meters 12:11
        method Parcel weigh 26:17 Weighs it. # Errors
        function Parcel.weigh round 27:11
        method Parcel raw 31:36
        method Wrapper fmt 35:7
        method Cursor next 40:7
        interface - Sender 43:10
        method Sender send 45:7
        method Sender close 46:7
        enum - Size 49:9
        type - Shared 51:9
        function - parcels 55:13 Builds parcels.
        struct - Bits 59:6
        function - external 61:16
        function inner helper 65:11
        function tests works 71:7
    """,
    "sample.ts": """
        module - sample 0:0
        interface - Route 3:17 A route.
        method Route match 5:2
        type - Handler 9:12
        method Handler handle 11:6
        enum - Method 13:18
        function - parse 16:9 Overloaded.
        class - Server 24:13 Serves.
        constructor Server constructor 27:2
        method Server add 33:15 Adds a route.
        method Server onError 35:2
        method Server create 37:17
        class - Base 40:22
        method Base close 41:21
        function Util.Text trim 45:18
        function express static 49:18
        function - external 52:17
        function - identity 54:13
        function - isRoute 55:13
    """,
    "sample.tsx": """
        function - Greeting 0:13
        function - Counter 3:24 Counts.
        function Counter reset 6:11
    """,
    "sample.sh": """
        module - sample 0:0 Sends parcels from the
        function - send 11:0 Send one parcel. send
        function - retry 17:9
        function - parcel::weigh 25:9 Both spellings at once.
        function - in_subshell 29:0
        function - say-hello 33:0
        function - outer 35:0
        function outer inner 36:2
        function - conditional 43:2
        function - main 50:0
    """,
    "sample.ex": """
        namespace Post Parcel 2:15 A thing to send.
        function Post.Parcel deliver 19:12
        namespace Post.Parcel Error 24:12
        function Post.Parcel send_parcel 38:6 Sends one. ## Examples
        function Post.Parcel weigh 53:6 Weighs it.
        function Post.Parcel hidden? 56:6
        function Post.Parcel round_up 59:7 Not documented for users.
        function Post.Parcel unless_again 64:11 Unless, again.
        function Post.Parcel is_heavy 70:11
        function Post.Parcel size 71:14
        function Post.Parcel <~> 72:11
        function Post.Parcel.sending sends_one 80:9
        interface Post Sized 86:17
        function Post.Sized size 88:6 How large.
        namespace Post Sized 91:13
        function Post.Sized size 92:6
    """,
    "Sample.hs": """
        module - Sample 0:0 Module: Sample Sends parcels.
        struct - Parcel 14:5 A thing to send.
        struct - Meters 20:8
        type - Route 24:5 A way to send.
        struct - Shape 26:5
        interface - Sendable 31:6 Things that can be
        method Sendable post 33:2 Sends it.
        method Sendable cost 35:2
        method Sendable price 35:8
        class - Sendable_Parcel 39:9
        method Sendable Parcel post 40:2
        method Sendable Parcel cost 42:2
        method Sendable Parcel cost' 43:2
        class - Show_(Shape_a) 46:9
        method Show (Shape a) show 47:2
        function - send 55:0 Sends many. In order.
        function send twice 65:4
        function - heavy 68:0
        function - <+> 73:1 Next to.
        function - isNear 77:3
        function - limit 79:0
        function - noSignature 82:0
        function - first 85:0
        function - second 86:0
        type - Elem 90:12
        function - c_sin 93:34
        function - Pair 95:8
        function - main 98:0
        function main go 100:6
    """,
    "Sample.kt": """
        module - Sample 0:0
        class - Parcel 12:11 A thing to send.
        constructor Parcel constructor 13:4
        constructor Parcel init 15:4
        method Parcel heavy 20:8 Whether it is heavy.
        method Parcel label 23:8
        method Parcel close 31:17
        function Parcel.close local 32:12
        method Parcel plus 36:17
        method Parcel near 38:14
        class Parcel Label 40:16
        method Parcel.Label print 41:12
        method Parcel of 47:12 Makes one.
        class Parcel Factory 50:21
        method Parcel.Factory make 51:21
        interface - Sender 60:10 Sends. @param T what
        method Sender send 61:8
        method Sender name 62:8
        interface - Handler 65:14
        method Handler handle 66:8
        class - Result 69:13
        class Result Ok 70:10
        class Result Missing 71:16
        enum - Size 74:11
        method Size.SMALL label 76:21
        method Size label 80:13
        class - Registry 83:7
        method Registry add 85:8
        class - Marker 88:17
        class - Meters 91:12
        type - Route 93:10
        method Parcel describe 96:11 An extension.
        method List largest 98:33
        method Parcel doubled 102:11
        function - fetch 107:31 Suspends.
        function - square 112:4
        function - shout 114:4
        method String with_spaces 116:11
        function - anonymous 118:4
        method anonymous handle 119:17
    """,
    "sample.lua": """
        module - sample 0:0 Sends parcels.
        function Parcel new 16:16 Makes one. @param weight
        method Parcel weigh 21:16 Weighs it.
        function Parcel.weigh round 22:17
        function M send 31:2 Sends one. Block.
        function - helper 35:15
        function - recursive 40:0
        function - shout 44:6
        function - global_one 46:9
        function M.a.b deep 48:15
        function M.handlers open 52:2 Opens.
        function M.handlers close-all 53:3
        function M.handlers.nested inner 55:4
        function config setup 61:2
        function M quoted 66:2
    """,
    "Sample.scala": """
        module - Sample 0:0
        class - Parcel 12:17 A thing to send.
        constructor Parcel this 13:6
        method Parcel heavy 16:6 Whether it is heavy.
        method Parcel toString 18:15
        function Parcel.toString inner 19:8
        method Parcel + 23:6
        method Parcel unary_- 24:6
        method Parcel apply 25:6
        class - Parcel 29:7
        method Parcel ordering 34:15 Makes one.
        method Parcel handler 35:6
        method Parcel partial 36:6
        constant Parcel anon 37:15
        method Parcel.anon show 38:8
        interface - Sendable 43:13 Things that can be
        method Sendable send 44:6
        method Sendable both 45:6
        enum - Size 48:5
        method Size label 51:6
        method Parcel describe 55:6
        method Parcel twice 56:6
        constant - Ordering[Size] 58:6
        method Ordering[Size] compare 59:6
        constant - named 61:6
        type - Meters 63:12
        class - util 65:15
        method util helper 66:6
        function - run 69:10
        function - overloaded 72:4
        function - overloaded 73:4
        function - macroed 75:11
        class - Base 77:15
        method Base hook 78:16
    """,
    "Sample.swift": """
        module - Sample 0:0
        struct - Parcel 7:14 A thing to send.
        constructor Parcel init 12:11 Makes one.
        constructor Parcel init 17:4
        method Parcel deinit 19:4
        method Parcel heavy 22:15 Whether it is heavy.
        method Parcel doubled 26:8
        method Parcel observed 31:8
        method Parcel subscript 37:4
        method Parcel send 46:25 Sends it. - Parameter
        function Parcel.send local 47:13
        method Parcel == 51:16
        struct Parcel Label 53:11
        method Parcel.Label print 54:13
        method Parcel description 60:15
        method Parcel describe 61:9
        method Parcel make 62:15
        method Array.Index next 66:9
        interface - Sender 70:16 Sends.
        method Sender send 73:9
        constructor Sender init 74:4
        method Sender subscript 75:4
        enum - Size 78:12
        method Size limit 81:8
        class - Office 86:12
        class Office Desk 87:10
        method Office hidden 88:24
        class - Counter 91:6
        method Counter count 92:21
        type - Route 95:10
        function - + 97:5
        function - +++ 99:12
        function - generic 101:5
        function - generic 102:5
        function - square 104:4
        function - conditional 108:5
        struct - Clamped 111:24
        function - stringify 113:6
    """,
    "sample.zig": """
        module - sample 0:0 Sends parcels. In Zig.
        struct - Parcel 7:10 A thing to send.
        method Parcel init 15:11 Makes one.
        method Parcel weigh 20:11 Weighs it.
        struct Parcel.weigh Local 21:14
        method Parcel.weigh.Local round 22:15
        enum Parcel Label 29:10
        method Parcel.Label text 33:11
        method Parcel weighs 38:9
        struct - Shape 43:10
        enum - SendError 48:6
        struct - Opaque 50:6
        method Opaque close 51:11
        function - List 55:7 A list of anything.
        method List append 61:15
        function - external 67:18
        function - exported 68:10
        function - inlined 69:10
        method callback call 74:7
        function - Parcel 85:5
        function - test 89:0
        function - @"with_spaces" 93:3
        function - main 95:7
    """,
}


def units_of(source: str | bytes, language: str = "python", path: str = "sample.x") -> tuple[Unit, ...]:
    return extract(source.encode() if isinstance(source, str) else source, language, path)


def only(source: str, name: str, language: str = "python") -> Unit:
    (found,) = [unit for unit in units_of(source, language) if unit.passage.name == name]
    return found


def sample(name: str) -> tuple[bytes, str]:
    data = (SAMPLES / name).read_bytes()
    language = language_of(name, data)
    assert language is not None
    return data, language


def row(unit: Unit) -> str:
    passage = unit.passage
    words = " ".join(passage.documentation.split()[:4])
    name = passage.name.replace(" ", "_")
    place = f"{unit.name_span.start_row}:{unit.name_span.start_column}"
    return f"{unit.kind.name.lower()} {passage.container or '-'} {name} {place} {words}".strip()


@pytest.mark.parametrize("name", UNITS)
def test_units_of_a_language(name: str) -> None:
    data, language = sample(name)
    expected = [line.strip() for line in UNITS[name].strip().splitlines()]
    assert [row(unit) for unit in extract(data, language, f"tests/{name}")] == expected


def test_every_language_has_a_sample() -> None:
    assert {sample(name)[1] for name in UNITS} | {"javascriptreact"} == set(PARSED)


@pytest.mark.parametrize("language", PARSED)
def test_grammar_and_query_load_once(language: str) -> None:
    assert grammar_of(language) is grammar_of(language)
    assert query_of(language) is query_of(language)


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_line_ends_change_nothing_but_offsets(name: str, line_end: bytes) -> None:
    data, language = sample(name)
    assert b"\r" not in data
    before = extract(data, language, name)
    other = data.replace(b"\n", line_end)
    after = extract(other, language, name)
    assert [row(unit) for unit in after] == [row(unit) for unit in before]
    for old, new in zip(before, after, strict=True):
        assert new.span.end_row == old.span.end_row
        assert new.span.end_column == old.span.end_column
        old_text = data[old.name_span.start : old.name_span.end]
        assert other[new.name_span.start : new.name_span.end] == old_text.replace(b"\n", line_end)
        assert new.passage == old.passage


@pytest.mark.parametrize("name", UNITS)
def test_a_byte_order_mark_moves_offsets_but_neither_rows_nor_columns(name: str) -> None:
    data, language = sample(name)
    before = extract(data, language, name)
    after = extract(b"\xef\xbb\xbf" + data, language, name)
    assert [unit.passage for unit in after] == [unit.passage for unit in before]
    for old, new in zip(before, after, strict=True):
        assert (new.span.start, new.span.end) == (old.span.start + 3, old.span.end + 3)
        assert (new.span.start_row, new.span.start_column) == (old.span.start_row, old.span.start_column)
        assert (new.name_span.start_row, new.name_span.start_column) == (
            old.name_span.start_row,
            old.name_span.start_column,
        )


@pytest.mark.parametrize("name", UNITS)
def test_the_name_stands_where_its_span_says(name: str) -> None:
    data, language = sample(name)
    lines = data.split(b"\n")
    for unit in extract(data, language, name):
        if unit.kind is Kind.MODULE:
            continue
        place = unit.name_span
        text = data[place.start : place.end]
        if unit.passage.name != Path(name).stem:
            assert unit.passage.name in {text.decode(), text.decode()[1:-1]}
        assert lines[place.start_row][place.start_column :].startswith(text)


@pytest.mark.parametrize(
    ("path", "head", "language"),
    [
        ("a/b.py", b"", "python"),
        ("B.PYI", b"", "python"),
        ("a.mjs", b"", "javascript"),
        ("a.cjs", b"", "javascript"),
        ("a.jsx", b"", "javascriptreact"),
        ("a.d.ts", b"", "typescript"),
        ("a.mts", b"", "typescript"),
        ("a.cts", b"", "typescript"),
        ("a.tsx", b"", "typescriptreact"),
        ("a.go", b"", "go"),
        ("A.java", b"", "java"),
        ("a.rake", b"", "ruby"),
        ("x.gemspec", b"", "ruby"),
        ("x/Rakefile", b"", "ruby"),
        ("x\\Gemfile", b"", "ruby"),
        ("a.php", b"", "php"),
        ("a.rs", b"", "rust"),
        ("a.c", b"", "c"),
        ("a.h", b"int f(void);\n", "c"),
        ("a.h", b"// class of its own\nstruct s { int public; };\n", "c"),
        ("a.h", b"#include <stdio.h>\nint f(void);\n", "c"),
        ("a.h", b"#pragma once\nclass Foo {\n", "cpp"),
        ("a.h", b"struct Foo {\n public:\n", "cpp"),
        ("a.h", b"template <typename T>\n", "cpp"),
        ("a.h", b"namespace a {\n", "cpp"),
        ("a.h", b"#include <string>\n", "cpp"),
        ("a.HPP", b"", "cpp"),
        ("a.cc", b"", "cpp"),
        ("a.hxx", b"", "cpp"),
        ("a.cs", b"", "csharp"),
        ("bin/tool", b"#!/usr/bin/env python3.11\n", "python"),
        ("bin/tool", b"#!/usr/bin/python -u\n", "python"),
        ("bin/tool", b"#!/usr/bin/env -S node --harmony\n", "javascript"),
        ("bin/tool", b"\xef\xbb\xbf#!/usr/bin/env ruby\n", "ruby"),
        ("bin/tool", b"#! /usr/local/bin/php\n", "php"),
        ("bin/tool", b"#!/bin/sh\npython x\n", "shellscript"),
        ("bin/tool", b"#!/usr/bin/make -f\n", None),
        ("a.kts", b"", "kotlin"),
        ("a.exs", b"", "elixir"),
        ("x/.bashrc", b"", "shellscript"),
        ("bin/tool", b"#!/usr/bin/env -S bash -eu\n", "shellscript"),
        ("bin/tool", b"#!/usr/bin/env luajit\n", "lua"),
        ("bin/tool", b"#!/usr/bin/env Rscript\n", "r"),
        ("a.ipynb", b"", "jupyter"),
        ("a.vue", b"", "vue"),
        ("Dockerfile", b"", "dockerfile"),
        ("a.json", b"", None),
        ("a.yaml", b"", None),
        ("a.md", b"", None),
        ("bin/tool", b"", None),
        ("a.txt", b"#!/usr/bin/env python\n", None),
        (".py", b"", None),
        ("py", b"", None),
        ("", b"", None),
    ],
)
def test_language_of_a_file(path: str, head: bytes, language: str | None) -> None:
    assert language_of(path, head) == language


def test_an_unknown_language_has_no_units() -> None:
    assert units_of("def f(): pass", "cobol") == ()


@pytest.mark.parametrize("source", ["", "\n \n", "\ufeff", "\r"])
def test_an_empty_file_has_no_units(source: str) -> None:
    assert units_of(source) == ()


# --- the fields of a passage


def test_decorators_and_comments_are_in_the_span_and_not_in_the_signature() -> None:
    source = "x = 1\n\n# Says.\n@one(1)\n# More.\n@two\nasync def f(\n    a: int,  # first\n) -> str:\n    return a\n"
    unit = only(source, "f")
    assert unit.passage.signature == "async def f( a: int, ) -> str"
    assert unit.passage.documentation == "Says.\nMore."
    assert (unit.span.start_row, unit.span.end_row) == (2, 9)
    assert unit.passage.body == "return a"


def test_an_empty_line_or_code_parts_a_comment_from_a_function() -> None:
    assert only("# Far.\n\ndef f(): pass\n", "f").passage.documentation == ""
    assert only("x = 1  # Beside.\ndef f(): pass\n", "f").passage.documentation == ""


def test_a_docstring_is_not_in_the_body() -> None:
    passage = only('def f():\n    """Do it.\n\n    Well.\n    """\n    # how\n    return 1\n', "f").passage
    assert passage.documentation == "Do it.\n\nWell."
    assert passage.body == "# how\n    return 1"


def test_comments_before_the_first_statement_are_in_the_body() -> None:
    assert only("def f():\n    # why\n    return 1\n", "f").passage.body == "# why\n    return 1"


def test_a_class_keeps_fields_and_the_names_of_its_methods() -> None:
    source = (
        "class C:\n    'Doc.'\n    limit = 3\n\n    # Says.\n"
        "    def f(self):\n        return secret\n    class D:\n        x = 1\n"
    )
    passage = only(source, "C").passage
    assert passage.documentation == "Doc."
    assert passage.body.split() == ["limit", "=", "3", "f", "D"]


def test_a_function_keeps_the_functions_in_it() -> None:
    passage = only("def f():\n    def g():\n        return 1\n    return g\n", "f").passage
    assert passage.body == "def g():\n        return 1\n    return g"


@pytest.mark.parametrize(
    ("language", "comment", "expected"),
    [
        ("javascript", "/**\n * Says.\n *\n *   Indented.\n * @param {x} a\n */", "Says.\n\n  Indented.\n@param {x} a"),
        ("javascript", "/** One line. */", "One line."),
        ("javascript", "/* * list\n   * item\n */", "list\nitem"),
        ("javascript", "// One.\n// Two.", "One.\nTwo."),
        ("javascript", "//////////\n// Ruled.\n//////////", "Ruled."),
        ("javascript", "// eslint-disable-next-line no-x", ""),
    ],
)
def test_the_marks_of_comments_are_removed(language: str, comment: str, expected: str) -> None:
    assert only(f"{comment}\nfunction f() {{}}\n", "f", language).passage.documentation == expected


def test_texts_have_limits() -> None:
    comment = "# " + "word " * 2_000
    source = f"{comment}\ndef f({', '.join(f'argument{n}' for n in range(500))}):\n" + "    x = 'äöü'\n" * 5_000
    passage = only(source, "f").passage
    assert len(passage.signature) == 300
    assert 1_900 < len(passage.documentation) <= 2_000
    assert len(passage.body) == 20_000
    module = units_of("value = compute(1, 2)\n" * 5_000)[0].passage
    assert len(module.body) == 20_000


# --- the remainder of a module


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("pkg/tool.py", "tool"),
        ("pkg/__init__.py", "pkg"),
        ("axum/src/lib.rs", "axum"),
        ("src/main.rs", "main"),
        ("a\\pkg\\__init__.py", "pkg"),
        ("pkg/index.js", "pkg"),
        ("src/mod.rs", "mod"),
        ("cmd/main.go", "cmd"),
        ("__init__.py", "__init__"),
        ("./index.js", "index"),
        ("bin/tool", "tool"),
    ],
)
def test_the_name_of_a_module(path: str, name: str) -> None:
    unit = units_of("first = second + third\n", path=path)[0]
    assert (unit.kind, unit.passage.name) == (Kind.MODULE, name)
    assert (unit.name_span.start, unit.name_span.end) == (0, 0)
    assert (unit.span.start, unit.span.end, unit.span.end_row) == (0, 23, 1)


def test_a_module_is_what_its_units_leave() -> None:
    source = (
        '"""Doc."""\nimport os\nLIMIT = os.environ\n\n# Says.\ndef f():\n    return 1\n\nif LIMIT:\n    def g(): pass\n'
    )
    module = units_of(source)[0].passage
    assert module.documentation == "Doc."
    assert module.body.split() == ["import", "os", "LIMIT", "=", "os.environ", "if", "LIMIT:"]


@pytest.mark.parametrize(
    ("source", "has_module"),
    [
        ("import os\nfrom a import b, c, d\n# one two three four\n\ndef f(): pass\n", False),
        ("import os\none = two\n\ndef f(): pass\n", False),
        ("import os\none = two + three\n\ndef f(): pass\n", True),
        ('"""Says."""\n\ndef f(): pass\n', True),
        ("import os\nfrom a import b, c, d\n", False),
        ('"""Says."""\nimport os\n', True),
    ],
)
def test_a_remainder_without_content_is_left_out(source: str, has_module: bool) -> None:
    assert any(unit.kind is Kind.MODULE for unit in units_of(source)) == has_module


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("python", "# Copyright X\n\n# Says.\n\nx = 1\n", "Says."),
        ("python", "#!/usr/bin/python\n# -*- coding: utf-8 -*-\n# Says.\nx = 1\n", "Says."),
        ("python", "# Licensed under X\nx = 1\n", ""),
        ("python", "x = 1\n# Late.\n", ""),
        ("javascript", "/*! SPDX-License-Identifier: MIT */\n/* Says. */\nx = 1\n", "Says."),
        ("php", "<?php\n/** Says. */\n\nnamespace A;\n$x = 1;\n", "Says."),
        ("rust", "//! Says.\n//! More.\nuse x;\n", "Says.\nMore."),
        ("go", "// Package x says.\npackage x\n", "Package x says."),
        ("python", "# Of the function.\ndef f(): pass\n\nx = y + z\n", ""),
    ],
)
def test_the_documentation_of_a_module(language: str, source: str, expected: str) -> None:
    module = units_of(source, language)[0]
    assert module.kind is Kind.MODULE
    assert module.passage.documentation == expected
    assert "Licensed" not in module.passage.body
    assert "Copyright" not in module.passage.body


# --- parts of one function


def span_text(source: str, unit: Unit) -> str:
    return source.encode()[unit.span.start : unit.span.end].decode()


def test_the_equations_of_a_function_and_its_signature_are_one_unit() -> None:
    source = (
        "module M where\n\n-- | Says.\nf :: Int -> Int\nf 0 = 1\n-- between\nf n = n * g (n - 1)\n"
        "  where\n    g = f\n\nh x = f x\n"
    )
    unit = only(source, "f", "haskell")
    assert unit.passage.signature == "f :: Int -> Int"
    assert unit.passage.documentation == "Says."
    assert span_text(source, unit).startswith("-- | Says.\nf ::")
    assert span_text(source, unit).endswith("g = f")
    assert unit.passage.body.startswith("f 0 = 1")


def test_clauses_of_one_arity_are_one_function() -> None:
    source = (
        'defmodule M do\n  @doc "Gets."\n  def get(x), do: get(x, 1)\n\n  @doc """\n  Gets more.\n  """\n'
        "  @spec get(integer, integer) :: integer\n  def get(0, _), do: 0\n"
        "  def get(x, y) when x > y do\n    x\n  end\nend\n"
    )
    first, second = [unit for unit in units_of(source, "elixir") if unit.passage.name == "get"]
    assert (first.passage.documentation, second.passage.documentation) == ("Gets.", "Gets more.")
    assert first.passage.signature == "def get(x)"
    assert span_text(source, first) == '@doc "Gets."\n  def get(x), do: get(x, 1)'
    assert span_text(source, second).startswith('@doc """')
    assert span_text(source, second).endswith("x\n  end")
    assert first.passage.container == "M"


@pytest.mark.parametrize(
    ("language", "source", "signature"),
    [
        (
            "typescript",
            "function f(a: string): A;\nfunction f(a: B): A {\n  return a;\n}\n",
            "function f(a: string): A",
        ),
        (
            "python",
            "@overload\ndef f(a: str) -> A: ...\n@typing.overload\ndef f(a: B) -> A: ...\n"
            "def f(a):\n    'Says.'\n    return a\n",
            "def f(a: str) -> A",
        ),
    ],
)
def test_overloads_and_their_implementation_are_one_function(language: str, source: str, signature: str) -> None:
    unit = only(source, "f", language)
    assert unit.passage.signature == signature
    assert "return a" in unit.passage.body
    assert span_text(source, unit) == source.strip()
    assert unit.passage.documentation == ("Says." if language == "python" else "")


def test_a_property_and_its_setter_are_two() -> None:
    source = "class C:\n    @property\n    def f(self): return 1\n    @f.setter\n    def f(self, x): pass\n"
    assert [unit.passage.name for unit in units_of(source)] == ["C", "f", "f"]


# --- documentation of other languages


@pytest.mark.parametrize(
    ("language", "source", "expected"),
    [
        ("haskell", "{- | Says.\n   More.\n-}\nf x = x\n", "Says.\nMore."),
        ("haskell", "-- | Says.\n-- More.\nf x = x\n", "Says.\nMore."),
        ("haskell", "data T = T Int\n  -- ^ Of T.\nf x = x\n", ""),
        ("lua", "--[[\nSays.\nMore.\n]]\nfunction f() end\n", "Says.\nMore."),
        ("lua", "--[==[ Says. ]==]\nfunction f() end\n", "Says."),
        ("lua", "---Says.\n---@param x number\nlocal function f(x) end\n", "Says.\n@param x number"),
        ("shellscript", "# Says.\n#   f X\nf() { :; }\n", "Says.\nf X"),
        ("zig", "/// Says.\n/// More.\npub fn f() void {}\n", "Says.\nMore."),
        ("elixir", '@doc ~S"""\nSays \\n.\n"""\ndef f(x), do: x\n', "Says \\n."),
        ("elixir", "# Says.\n@doc false\ndef f(x), do: x\n", "Says."),
        ("swift", "/**\n Says.\n */\n@available(iOS 13, *)\nfunc f() {}\n", "Says."),
        ("kotlin", "/** Says. */\n@Test\nfun f() {}\n", "Says."),
        ("scala", "/** Says.\n  * More.\n  */\n@tailrec\ndef f(x: Int) = x\n", "Says.\nMore."),
        ("cpp", "int x; ///< Of x.\nint f() { return 1; }\n", ""),
    ],
)
def test_documentation_in_every_dress(language: str, source: str, expected: str) -> None:
    assert only(source, "f", language).passage.documentation == expected


# --- what is spoiled by an error stands in a class


def test_a_class_survives_a_method_that_does_not_parse() -> None:
    source = (
        "class Box {\n    @Test\n    void first() { run(); }\n\n    @Test\n    void broken() { int = ; } }\n\n"
        "    /** Says. */\n    @Test\n    void second() { go(); }\n}\n"
    )
    found = {unit.passage.name: unit for unit in units_of(source, "java")}
    assert {"Box", "first", "second"} <= set(found)
    assert found["second"].passage.documentation == "Says."
    assert found["second"].passage.container in {"Box", ""}


# --- code that is being typed: a and what follows are there whatever stands between

BROKEN = {
    "python": (
        "def a(x):\n    return 1\n\n",
        "\ndef b(x):\n    return 2\n\nclass C:\n    def c(self):\n        pass\n",
        [
            "def broken(x",
            "def broken(x):",
            "def broken(x):\n    y = foo(1,",
            "class Foo(",
            "def ",
            'x = """',
            "@",
            "for x in",
        ],
    ),
    "javascript": (
        "function a(x) { return 1; }\n",
        "function b(x) { return 2; }\nclass C { c() { return 1; } }\n",
        [
            "function broken(x",
            "function broken(x) {",
            "function broken(x) { foo(1,",
            "foo.",
            "class Foo {",
            "const s = `",
        ],
    ),
    "typescript": (
        "function a(x: X): Y { return 1; }\n",
        "export function b(x: X): Y { return 2; }\nclass C { c(): void {} }\n",
        ["function broken(x:", "function broken(x: X) {", "foo.", "interface Foo {", "type X ="],
    ),
    "go": (
        "package p\nfunc a(x int) int { return 1 }\n",
        "func b(x int) int { return 2 }\nfunc (r *R) c() {}\n",
        ["func broken(x", "func broken(x int) {", "func broken(x int) { foo(1,", "func ", "type T struct {"],
    ),
    "java": (
        "class K {\n    int a(int x) { return 1; }\n",
        "    int b(int x) { return 2; }\n    int c() { return 1; }\n}\n",
        ["    int broken(int x", "    int broken(int x) {", "    int broken() { foo.\n    }", "    @Override public"],
    ),
    "csharp": (
        "class K {\n    int a(int x) { return 1; }\n",
        "    int b(int x) { return 2; }\n    int c() { return 1; }\n}\n",
        ["    int broken(int x", "    int broken(int x) {", "    int broken() { foo.\n    }", "    [Test"],
    ),
    "ruby": (
        "def a(x)\n  1\nend\n",
        "def b(x)\n  2\nend\nclass C\n  def c\n    1\n  end\nend\n",
        ["def broken(x", "def broken(x)", "def broken\n  foo(1,\nend", "class Foo", "def broken\n  if x\nend"],
    ),
    "php": (
        "<?php\nfunction a($x) { return 1; }\n",
        "function b($x) { return 2; }\nclass C { function c() { return 1; } }\n",
        ["function broken($x", "function broken($x) {", "function broken() { foo(1,\n}", "$x->"],
    ),
    "rust": (
        "fn a(x: i32) -> i32 { 1 }\n",
        "fn b(x: i32) -> i32 { 2 }\nstruct C;\nimpl C { fn c(&self) {} }\n",
        ["fn broken(x", "fn broken(x: i32) {", "fn broken() { foo(1,\n}", "fn ", "let x =", "impl Foo {"],
    ),
    "c": (
        "int a(int x) { return 1; }\n",
        "int b(int x) { return 2; }\nstatic int c(void) { return 1; }\n",
        [
            "int broken(int x",
            "int broken(int x) {",
            "struct x {",
            "int broken(void) {\n#ifdef X\n  if (x) {\n#else\n  if (y) {\n#endif\n  }\n}",
        ],
    ),
    "cpp": (
        "int a(int x) { return 1; }\n",
        "int b(int x) { return 2; }\nint C::c() { return 1; }\n",
        ["int broken(int x", "int broken(int x) {", "class X {", "template <typename", "int broken() { x->\n}"],
    ),
    "shellscript": (
        "a() { echo 1; }\n",
        "b() { echo 2; }\nfunction c { echo 3; }\n",
        ["broken() {", "if true; then", "broken() { foo $(", "case x in"],
    ),
    "elixir": (
        "def a(x), do: 1\n",
        "def b(x) do\n  2\nend\ndefmodule C do\n  def c(x), do: x\nend\n",
        ["def broken(x", "def broken(x) do", "def broken do\n  foo(1,\nend", "defmodule Foo do", "x ="],
    ),
    "haskell": (
        "a :: Int -> Int\na x = 1\n",
        "b :: Int -> Int\nb x = 2\nclass C x where\n  c :: x -> Int\n",
        ["broken x = (", "broken ::", "broken x = do", "broken = case x of", "data Foo ="],
    ),
    "kotlin": (
        "fun a(x: Int) = 1\n",
        "fun b(x: Int): Int { return 2 }\nclass C {\n  fun c() {}\n}\n",
        ["fun broken(x", "fun broken(x: Int) {", "fun broken() { foo(1,\n}", "class Foo {", "val x ="],
    ),
    "lua": (
        "function a(x) return 1 end\n",
        "function b(x)\n  return 2\nend\nlocal function c() end\n",
        ["function broken(x", "function broken(x)", "function broken()\n  foo(1,\nend", "local x =", "x."],
    ),
    "scala": (
        "object K {\n  def a(x: Int) = 1\n",
        "  def b(x: Int): Int = { 2 }\n  def c(x: Int) = 1\n}\n",
        ["  def broken(x", "  def broken(x: Int) = {", "  def broken() = foo(1,", "  val x ="],
    ),
    "swift": (
        "func a(x: Int) -> Int { 1 }\n",
        "func b(x: Int) -> Int { return 2 }\nclass C { func c() {} }\n",
        ["func broken(x", "func broken(x: Int) {", "func broken() { foo(1,\n}", "struct Foo {", "let x ="],
    ),
    "zig": (
        "fn a(x: u8) u8 { return 1; }\n",
        "fn b(x: u8) u8 { return 2; }\nconst C = struct { fn c() void {} };\n",
        ["fn broken(x", "fn broken(x: u8) void {", "fn broken() void { foo(1,\n}", "const X = struct {", "const x ="],
    ),
}


@pytest.mark.parametrize(
    ("language", "broken"), [(language, broken) for language, case in BROKEN.items() for broken in case[2]]
)
def test_half_typed_code_costs_its_neighbours_nothing(language: str, broken: str) -> None:
    before, after, _ = BROKEN[language]
    found = {unit.passage.name: unit for unit in units_of(f"{before}{broken}\n{after}", language)}
    assert {"a", "b", "c"} <= set(found)
    assert "2" in found["b"].passage.body
    # A class without its last brace is not a class to every grammar.
    assert found["b"].passage.container in (
        {"K", ""} if language in {"java", "csharp", "scala"} else {"", "Foo"} if language == "rust" else {""}
    )


def test_an_unclosed_function_ends_where_the_next_begins() -> None:
    found = {unit.passage.name: unit for unit in units_of("func f() {\n\tg(\n\nfunc h() {\n}\n", "go")}
    assert found["f"].span.end <= found["h"].span.start if "f" in found else True
    assert found["h"].passage.container == ""


# --- hostile input

HOSTILE = {
    "parentheses": b"(" * 100_000,
    "brackets": b"[" * 1_000_000,
    "braces": b"{" * 500_000 + b"}" * 500_000,
    "functions": b"function a(){" * 50_000,
    "namespaces": b"namespace a{" * 50_000,
    "indentation": b"".join(b" " * depth + b"def a():\n" for depth in range(1_000)),
    "calls": b"x(\n" * 300_000,
    "comments": b"/*" * 500_000,
    "lines": b"# a\n" * 200_000,
    "comparisons": b"a<b<" * 250_000,
    "zeros": b"\0" * 1_000_000,
    "no text": b"\xff\xfe" * 300_000,
    "carriage returns": b"\r" * 1_000_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("language", ["python", "typescriptreact", "cpp", "csharp", "kotlin", "lua", "perl"])
def test_hostile_input_ends(language: str) -> None:
    for name, data in HOSTILE.items():
        begun = time.thread_time()
        units = extract(data, language, "x")
        assert time.thread_time() - begun < 8, name
        assert len(units) <= 100_000
        assert sum(len(unit.passage.body) + len(unit.passage.container) for unit in units) < 30 * len(data)


def test_code_before_the_opening_of_php() -> None:
    units = extract(b"abc (\n<?php function f() {\nfoo(\nbar(\n", "php", "x.php")
    assert units[0].kind is Kind.MODULE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "good", "broken"),
    [
        (
            "cpp",
            "template <typename T> int f{0}(T a) {{ return g(a, {0}); }}\n",
            "FMT_BEGIN(x\nint h{0}( {{ ) return a<b<; }}\n",
        ),
        # Its scanner goes to the end of the file and back for each function.
        (
            "haskell",
            "f{0} :: Int -> Int\nf{0} x\n  | x > 1 = 2\n  where\n    g = id\n\n",
            "h{0} = case x of\n  1 -> 2\n\n",
        ),
    ],
)
def test_memory_does_not_grow_with_what_was_parsed(language: str, good: str, broken: str) -> None:
    """A server parses for days: what tree-sitter reads through a callback is lost, all but the last chunk."""
    data = "".join((good if number % 3 else broken).format(number) for number in range(2_000)).encode()
    extract(data, language, "x")
    release_memory()
    before = resident_bytes()
    for _ in range(5):
        extract(data, language, "x")
    release_memory()
    assert resident_bytes() - before < 20_000_000


def test_many_threads_extract_alike() -> None:
    data, language = sample("sample.py")
    expected = extract(data, language, "sample.py")
    results: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(all(extract(data, language, "sample.py") == expected for _ in range(20)))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def check(data: bytes, language: str) -> None:
    lines = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    units = extract(data, language, "folder/file.x")
    assert [unit.kind for unit in units].count(Kind.MODULE) <= 1 or language not in PARSED
    for number, unit in enumerate(units):
        span, name = unit.span, unit.name_span
        assert start <= span.start <= span.end <= len(data)
        assert (span.start_row, span.start_column) <= (span.end_row, span.end_column)
        assert span.end_row < len(lines)
        if unit.kind is Kind.MODULE:
            assert number == 0 or language not in PARSED
            assert name.start == name.end == span.start
        else:
            assert span.start <= name.start < name.end <= span.end
            assert unit.passage.name
        assert len(unit.passage.signature) <= 300
        assert len(unit.passage.documentation) <= 2_000
        assert len(unit.passage.body) <= 20_000
    begins = [unit.span.start for unit in units]
    assert begins == sorted(begins)


FRAGMENTS = {
    language: [
        piece for name in UNITS if sample(name)[1] == language for piece in sample(name)[0].splitlines(keepends=True)
    ]
    for language in LANGUAGES
}
FRAGMENTS["javascriptreact"] = FRAGMENTS["javascript"]
ANY = [piece for pieces in FRAGMENTS.values() for piece in pieces]
NOISE = [
    b"(",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"'",
    b"/*",
    b"*/",
    b"//",
    b"#",
    b"\r",
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b"<?php ",
    b"\xef\xbb\xbf",
]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(LANGUAGES)), st.binary(max_size=300))
def test_any_bytes(language: str, data: bytes) -> None:
    check(data, language)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(LANGUAGES)), st.data())
def test_any_mixture_of_code(language: str, draw: st.DataObject) -> None:
    pieces = st.lists(st.sampled_from(FRAGMENTS[language] or ANY) | st.sampled_from(NOISE), max_size=40)
    check(b"".join(draw.draw(pieces)), language)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(UNITS)), st.data())
def test_any_cut_of_a_file(name: str, draw: st.DataObject) -> None:
    data, language = sample(name)
    begin = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(0, len(data)))
    check(data[:begin] + data[end:], language)
