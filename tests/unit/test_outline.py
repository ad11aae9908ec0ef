"""Extraction where a grammar is not all: other languages, scripts in templates, notebooks."""

from __future__ import annotations

import json

import pytest

from server.index.extract import extract
from server.index.languages import language_of
from server.index.outline import outline
from server.types import Kind
from tests.unit.test_extract import only, span_text, units_of

# --- languages without a grammar


OUTLINES = {
    "a.pl": ("# Sends.\nsub send_it {\n    my ($x) = @_;\n\n    return $x;\n}\n\nprint 1;\n", "send_it", "}", "Sends."),
    "a.jl": ("# Weighs.\nfunction weigh(p::Parcel)\n  p.weight\nend\n\nx = 1\n", "weigh", "end", "Weighs."),
    "a.sql": ("-- All.\nCREATE TABLE IF NOT EXISTS post.a (\n  id int\n);\n\nSELECT 1;\n", "a", ");", "All."),
    "a.tf": ('# Logs.\nresource "aws_s3_bucket" "logs" {\n  bucket = "x"\n}\n', "logs", "}", "Logs."),
    "a.dart": ("/// Weighs.\nFuture<int> weigh(int a, {int b = 1}) async {\n  return b;\n}\n", "weigh", "}", "Weighs."),
    "a.clj": ("; Sends.\n(defn send! [x]\n  (inc x))\n\n(def y 1)\n", "send!", "(inc x))", "Sends."),
    "a.proto": ("// A thing.\nmessage Parcel {\n  int32 weight = 1;\n}\n", "Parcel", "}", "A thing."),
    "a.ml": ("(* Weighs. *)\nlet rec weigh x =\n  x + 1\n\nlet () = main ()\n", "weigh", "x + 1", "Weighs."),
    "a.R": ("# Weighs.\nweigh <- function(x, y = 2) {\n  x + y\n}\n", "weigh", "}", "Weighs."),
    "a.ps1": ("<#\n Sends.\n#>\nfunction Send-Parcel {\n  param($x)\n}\n", "Send-Parcel", "}", "Sends."),
    "a.erl": ("%% Sends.\nsend([]) -> ok;\nsend([H|T]) ->\n    send(T).\n", "send", "send(T).", "Sends."),
    "a.m": ("// Weighs.\n- (double)weigh:(int)x {\n    return x;\n}\n", "weigh", "}", "Weighs."),
}


@pytest.mark.parametrize("path", OUTLINES)
def test_first_lines_tell_the_definitions_of_a_language_without_a_grammar(path: str) -> None:
    source, name, end, said = OUTLINES[path]
    language = language_of(path)
    assert language is not None
    unit = only(source, name, language)
    assert span_text(source, unit).endswith(end)
    assert unit.passage.documentation == said
    place = unit.name_span
    assert source.splitlines()[place.start_row][place.start_column :].lstrip('"').startswith(name)


def test_a_long_text_without_definitions_is_cut_into_blocks() -> None:
    source = "".join(f"step {number}:\n\tcc -o {number}\n\n" for number in range(60))
    units = units_of(source, "makefile")
    assert len(units) > 2
    assert all(unit.kind is Kind.MODULE for unit in units)
    assert "".join(span_text(source, unit) for unit in units).split() == source.split()


# --- code inside of other files


def test_the_scripts_of_a_vue_file_keep_their_places() -> None:
    source = (
        "<template>\n  <b @click='send'>ü</b>\n</template>\n<script setup lang=\"ts\">\n// Sends.\n"
        "async function send(x: number): Promise<void> {\n  await post(x)\n}\n</script>\n<style>b { }</style>\n"
    )
    unit = only(source, "send", "vue")
    assert span_text(source, unit).startswith("// Sends.\nasync function")
    assert span_text(source, unit).endswith("}")
    assert (unit.name_span.start_row, unit.name_span.start_column) == (5, 15)
    assert unit.passage.signature == "async function send(x: number): Promise<void>"


def notebook(*cells: tuple[str, object], language: str = "python", **options: object) -> bytes:
    content = {
        "cells": [
            {"cell_type": kind, "metadata": {"source": "no"}, "outputs": [], "source": source} for kind, source in cells
        ],
        "metadata": {"language_info": {"codemirror_mode": {"name": "x"}, "name": language}},
    }
    return json.dumps(content, **options).encode()  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"indent": 1}, {}, {"ensure_ascii": False, "indent": 2}])
def test_the_cells_of_a_notebook_are_where_the_file_has_them(options: dict[str, object]) -> None:
    code = [
        "%matplotlib inline\n",
        "def load(path):\n",
        '    """Reads "é\\t𝄞"."""\n',
        "    return 1\n",
        "\n",
        "frame = load('ü') + a + b",
    ]
    text = ("markdown", ["# Load\n", "all of it"])
    data = notebook(text, ("code", code), ("code", "class A:\n    x = 1\n"), ("code", []), **options)
    units = {unit.passage.name: unit for unit in extract(data, "jupyter", "x/study.ipynb")}
    assert set(units) == {"study", "load", "A"}
    assert {unit.language for unit in units.values()} == {"jupyter"}
    load, cell = units["load"], units["study"]
    assert data[load.name_span.start : load.name_span.end] == b"load"
    lines = data.split(b"\n")
    assert lines[load.name_span.start_row][load.name_span.start_column :].startswith(b"load(path)")
    assert load.passage.documentation == 'Reads "é\\t𝄞".'
    assert data[load.span.start : load.span.end].startswith(b"def load(path):\\n")
    assert data[load.span.start : load.span.end].endswith(b"return 1")
    assert cell.kind is Kind.MODULE
    assert cell.passage.documentation == "# Load\nall of it"
    assert cell.passage.body.endswith("frame = load('ü') + a + b")
    assert "return 1" not in cell.passage.body
    assert lines[cell.span.start_row][cell.span.start_column :].startswith(b"%matplotlib")


def test_a_notebook_in_another_language() -> None:
    data = notebook(("code", "# Weighs.\nweigh <- function(x) {\n  x\n}\n"), language="R")
    assert [unit.passage.name for unit in extract(data, "jupyter", "a.ipynb")] == ["weigh"]


@pytest.mark.parametrize("data", [b"", b"{}", b"[1, 2]", b'{"cells": 3}', b'{"cells": [{"source": ["x = 1', b"}}]]"])
def test_what_is_no_notebook_has_no_cells(data: bytes) -> None:
    assert extract(data, "jupyter", "a.ipynb") == ()


def test_a_cut_notebook_keeps_its_whole_cells() -> None:
    data = notebook(("code", "def load(path):\n    return 1\n"), ("code", "x = 1"))
    assert [unit.passage.name for unit in extract(data[:-60], "jupyter", "a.ipynb")] == ["load"]


def test_a_notebook_whose_strings_never_end_takes_no_time() -> None:
    broken = b'{"cells": [{"cell_type": "code", "source": ["' + b'\\"' * 400_000 + b"\\"
    assert extract(broken, "jupyter", "a.ipynb") is not None  # the square of its length would be minutes


def test_comments_that_nothing_closes_are_looked_for_once() -> None:
    """A regular expression would read the rest of the text again at each start: minutes for a file of 100 kB."""
    text = b"/* a" * 200_000 + b"(* b *)\nfunction f() {\n}\n"
    assert [lead for lead in outline(text).leads if text[lead.start : lead.end] == b"(* b *)"]
