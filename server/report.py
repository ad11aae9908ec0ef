"""Report: what the commands show a person, and the JSON they print for a program."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from server.doctor import Check
from server.index.collect import size_of
from server.index.store import peek
from server.types import FolderStatus, Hit, SearchResult

_LONGEST_LINE = 120
"""Characters about a hit; a signature may have hundreds."""
_SHOWN_PATHS = 5
"""Skipped files named a reason; --json has all."""


def complain(message: str) -> None:
    """Tell the user what went wrong, on stderr."""
    Console(stderr=True, highlight=False, markup=False).print(
        Text.assemble(("sextant: ", "bold red"), message), soft_wrap=True
    )


@contextlib.contextmanager
def progress() -> Iterator[Callable[[FolderStatus], None]]:
    """Show a progress bar on stderr where a person looks; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Looking for changes", total=None, detail="")
        most = 0

        def show(status: FolderStatus) -> None:
            nonlocal most
            most = max(most, status.pending_files)
            if most:
                done = most - status.pending_files
                title, detail = f"Indexing {Path(status.root).name}", f"{done:,}/{most:,} files"
                bar.update(task, description=title, total=most, completed=done, detail=detail)

        yield show


@contextlib.contextmanager
def job() -> Iterator[Callable[[str, float | None], None]]:
    """Show how far a job is, on stderr where a person looks; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _message, _share: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Beginning", total=None)

        def show(message: str, share: float | None) -> None:
            bar.update(task, description=message, total=None if share is None else 1.0, completed=share or 0.0)

        yield show


def outcome(ok: bool, message: str, as_json: bool, **figures: object) -> None:
    """Show how a job ended; figures are for programs, the message has what people want of them."""
    if as_json:
        _write({"ok": ok, "message": message, **figures})
    else:
        Console(highlight=False, soft_wrap=True, markup=False).print(message)


def note(message: str) -> None:
    """Tell the user on stderr what is going on."""
    Console(stderr=True, highlight=False, markup=False).print(Text(message, "dim"), soft_wrap=True)


def indexed(status: FolderStatus, seconds: float, as_json: bool) -> None:
    """Show what an index run did."""
    if as_json:
        _write(_folder_json(status) | {"seconds": round(seconds, 3)})
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{status.root}: {status.files:,} files, {status.units:,} functions and types, {seconds:.1f} s")
    _print_skipped(console, status.skipped)


def status(root: str, home: Path, model: dict[str, str | None], as_json: bool) -> None:
    """Show what is stored for a folder, without looking at its files; `model` says which one gives it its meaning."""
    found = peek(home)
    sizes = {
        "bytes": size_of(home),
        "vectorBytes": size_of(home.parents[1] / "vectors"),
        "totalBytes": size_of(home.parents[1]),
    }
    if as_json:
        _write({"root": root, "index": str(home), **model, **sizes, **found})
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"folder     {root}")
    console.print(f"index      {home} ({sizes['bytes'] / 1e6:.1f} MB)")
    console.print(f"vectors    {sizes['vectorBytes'] / 1e6:.1f} MB, shared by all folders")
    console.print(f"all        {sizes['totalBytes'] / 1e6:.1f} MB in {home.parents[1]}")
    console.print(f"format     {found['format']}, encoder {found['encoder'][:12]}")
    console.print(f"model      {model['model']}")
    console.print(f"code       {found['units']:,} functions and types")
    console.print(f"files      {sum(found['languages'].values()):,}")
    for language, count in found["languages"].items():
        console.print(f"           {count:,} {language}")
    paths: dict[str, list[str]] = found["skippedPaths"]
    _print_skipped(console, {reason: len(names) for reason, names in paths.items()}, paths)


def checks(found: Iterable[Check], as_json: bool) -> int:
    """Show checks as they come; return 1 if one of them found an error."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    marks = {"ok": ("ok      ", "green"), "warning": ("warning ", "yellow"), "error": ("error   ", "bold red")}
    listed, failed = [], False
    for check in found:
        failed = failed or check.state == "error"
        listed.append(asdict(check))
        if not as_json:
            console.print(Text.assemble(marks[check.state], f"{check.name}: {_plain(check.message)}"))
            if check.advice:
                console.print(Text(f"         {_plain(check.advice)}", "dim"))
    if as_json:
        _write({"ok": not failed, "checks": listed})
    return int(failed)


def hits(result: SearchResult) -> None:
    """Show hits with a line about each."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if not result.hits:
        console.print("Nothing found." + (" The index is still being built." if result.is_incomplete else ""))
    for notice in result.notices:
        console.print(Text(_plain(notice), "yellow"))
    if not result.hits:
        return
    if result.origin is not None:
        origin = result.origin
        name = f"{origin.container}.{origin.name}" if origin.container else origin.name
        console.print(Text.assemble("like ", (_plain(name), "bold"), f"  {origin.kind.name.lower()}  {_place(origin)}"))
    if result.low_confidence:
        console.print(Text("Nothing matches well; these are guesses.", "yellow"))
    for number, hit in enumerate(result.hits, 1):
        name = f"{hit.container}.{hit.name}" if hit.container else hit.name
        console.print(
            Text.assemble(
                f"{number:3}  ", (f"{hit.score:.2f}  ", "cyan"), (_plain(name), "bold"), f"  {hit.kind.name.lower()}  ",
                (_place(hit), "blue"), (f"  and {hit.copies} more like it" if hit.copies else "", "dim"),
            )
        )  # fmt: skip
        line = _plain(hit.detail or hit.signature)
        if line:
            shown = textwrap.shorten(line, _LONGEST_LINE, placeholder=" …", break_on_hyphens=False)
            console.print(Text(f"           {shown}", "dim"))
        if hit.why:
            terms = ", ".join(f"{term.term} {term.weight:.2f}" for term in hit.why.terms[:8] if term.weight > 0.005)
            console.print(Text(f"           meaning {hit.why.dense:.2f}, words {hit.why.lexical:.2f}: {terms}", "dim"))


def as_json(result: SearchResult) -> None:
    """Print the hits as one line of JSON."""
    _write([hit_json(hit) | {"isGuess": result.low_confidence} for hit in result.hits])


def failure(message: str) -> None:
    """Print why one of many questions has no answer, as one line of JSON."""
    _write({"error": message})


def hit_json(hit: Hit) -> dict[str, Any]:
    """Return a hit with the protocol's fields; path and 1-based lines stand in place of the location."""
    found: dict[str, Any] = {
        "path": hit.path,
        "startLine": hit.span.start_row + 1,
        "endLine": hit.span.end_row + (1 if hit.span.end_column or hit.span.end == hit.span.start else 0),
        "name": hit.name,
        "containerName": hit.container,
        "signature": hit.signature,
        "detail": hit.detail,
        "kind": int(hit.kind),
        "languageId": hit.language,
        "score": hit.score,
        "similarity": hit.similarity,
    }
    if hit.copies:
        found["copies"] = hit.copies
    if hit.why:
        terms = [
            {"term": term.term, "weight": round(term.weight, 6)}
            | {"dense": round(term.dense, 6), "lexical": round(term.lexical, 6)}
            | ({"line": term.span.start_row + 1} if term.span else {})
            for term in hit.why.terms
        ]
        found["why"] = {"dense": hit.why.dense, "lexical": hit.why.lexical, "terms": terms}
    return found


def _plain(text: str) -> str:
    """Take out what would steer the terminal: names and documentation are somebody else's text."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _place(hit: Hit) -> str:
    path = Path(hit.folder, hit.path)
    here = Path.cwd()
    # As the user would have to type it: from here where that is inside the workspace.
    shown = os.path.relpath(path, here) if here.is_relative_to(hit.folder) else hit.path
    return f"{_plain(shown)}:{hit.name_span.start_row + 1}"


def _print_skipped(console: Console, skipped: dict[str, int], paths: dict[str, list[str]] | None = None) -> None:
    if skipped:
        console.print(f"skipped    {sum(skipped.values()):,}")
    for reason, count in skipped.items():
        console.print(f"           {count:,} {reason}")
        names = (paths or {}).get(reason, [])
        for name in names[:_SHOWN_PATHS]:
            console.print(Text(f"             {_plain(name)}", "dim"))
        if len(names) > _SHOWN_PATHS:
            console.print(Text(f"             and {len(names) - _SHOWN_PATHS:,} more (--json lists all)", "dim"))


def _folder_json(status: FolderStatus) -> dict[str, Any]:
    return {
        "root": status.root,
        "state": status.state,
        "files": status.files,
        "units": status.units,
        "languages": status.languages,
        "skipped": status.skipped,
        "message": status.message,
    }


def _write(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
