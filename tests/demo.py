"""Demo: the real language server on a real codebase, asked as an editor would ask it.

usage: python -m tests.demo [--workspace DIR] [--query TEXT]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import sysconfig
import textwrap
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

QUERIES = (
    "parse command line arguments",
    "create a temporary directory and remove it afterwards",
    "send an email",
)
SHOWN = 5
TIMEOUT = 600.0
"""Seconds for a first index; the standard library takes a few."""


async def main() -> int:
    """Index, ask three questions and one find-similar, and show the answers."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--workspace", type=Path, default=Path(sysconfig.get_paths()["stdlib"]))
    parser.add_argument("--query", action="append")
    options = parser.parse_args()
    root = options.workspace.expanduser().resolve()
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
    if not root.is_dir():
        console.print(f"{root} is not a folder")
        return 2

    client = LanguageClient("sextant-demo", "1")
    begun = time.monotonic()
    progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[detail]}"), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    _follow_progress(client, progress)

    console.print(f"[bold]Sextant[/bold] on {root}")
    await client.start_io(sys.executable, "-m", "server", "serve")
    await client.initialize_async(
        lsp.InitializeParams(
            capabilities=lsp.ClientCapabilities(window=lsp.WindowClientCapabilities(work_done_progress=True)),
            process_id=os.getpid(),
            workspace_folders=[lsp.WorkspaceFolder(uri=root.as_uri(), name=root.name)],
        )
    )
    console.print(f"server started in {time.monotonic() - begun:.2f} s")
    client.initialized(lsp.InitializedParams())
    with progress:
        status = await _wait_until_ready(client)
    took = time.monotonic() - begun
    console.print(
        f"ready after {took:.2f} s: {status.folders[0].files:,} files, "
        f"{status.folders[0].units:,} functions and types, {status.residentBytes / 1e6:.0f} MB resident\n"
    )

    best: Any = None
    for query in options.query or QUERIES:
        asked = time.monotonic()
        result = await client.protocol.send_request_async("sextant/search", {"query": query, "limit": SHOWN})
        _show(console, root, f"“{query}”", result, time.monotonic() - asked)
        best = best or next(iter(result.hits), None)
    if best is not None:
        place = {"textDocument": {"uri": best.location.uri}, "range": _as_json(best.location.range), "limit": SHOWN}
        place["range"]["end"] = place["range"]["start"]
        asked = time.monotonic()
        result = await client.protocol.send_request_async("sextant/findSimilar", place)
        _show(console, root, f"similar to {best.name} ({_place(root, best)})", result, time.monotonic() - asked)

    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    console.print("[bold]Next[/bold]  ask your own code, here or in the editor (README: In the editor):")
    console.print('  make demo WORKSPACE=/path/to/your/code QUERY="authenticate user"')
    console.print(f'  {_command()} search "authenticate user" -C /path/to/your/code')
    return 0


def _follow_progress(client: LanguageClient, progress: Progress) -> None:
    """Show the server's own work-done progress."""
    tasks: dict[str | int, TaskID] = {}

    @client.feature(lsp.WINDOW_WORK_DONE_PROGRESS_CREATE)
    def create(_: lsp.WorkDoneProgressCreateParams) -> None:
        return None

    @client.feature(lsp.PROGRESS)
    def report(params: lsp.ProgressParams) -> None:
        value: Any = params.value
        fields = value if isinstance(value, dict) else getattr(value, "__dict__", None) or value._asdict()
        if fields["kind"] == "begin":
            tasks[params.token] = progress.add_task(str(fields.get("title", "")), total=100, detail="")
        elif fields["kind"] == "report" and params.token in tasks:
            detail = str(fields.get("message") or "")
            progress.update(tasks[params.token], completed=fields.get("percentage") or 0, detail=detail)


async def _wait_until_ready(client: LanguageClient) -> Any:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        status = await client.protocol.send_request_async("sextant/indexStatus", None)
        if status.folders and all(folder.state in ("ready", "degraded") for folder in status.folders):
            return status
        await asyncio.sleep(0.02)
    raise TimeoutError("the index did not become ready")


def _show(console: Console, root: Path, title: str, result: Any, seconds: float) -> None:
    table = Table(
        show_header=bool(result.hits),
        pad_edge=False,
        title=f"{title}  [dim]{seconds * 1000:.1f} ms[/dim]",
        title_justify="left",
        box=None,
        expand=False,
    )
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("file:line", overflow="fold")
    table.add_column("", no_wrap=True)
    for hit in result.hits:
        container = getattr(hit, "containerName", None)
        name = f"{container}.{hit.name}" if container else hit.name
        detail = textwrap.shorten(getattr(hit, "detail", None) or "", 60, placeholder=" …")
        table.add_row(
            f"{hit.score:.2f}", f"[bold]{name}[/bold]", f"[blue]{_place(root, hit)}[/blue]", f"[dim]{detail}[/dim]"
        )
    console.print(table)
    if not result.hits:
        console.print("nothing found")
    elif result.lowConfidence:
        console.print("[yellow]nothing matches well; these are guesses[/yellow]")
    console.print()


def _command() -> str:
    """Return how `sextant` is called from here."""
    command = Path(sys.executable).with_name("sextant")
    return os.path.relpath(command) if command.is_relative_to(Path.cwd()) else str(command)


def _place(root: Path, hit: Any) -> str:
    path = Path(url2pathname(unquote(urlparse(hit.location.uri).path)))
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"{shown}:{hit.location.range.start.line + 1}"


def _as_json(range_: Any) -> dict[str, Any]:
    return {
        end: {"line": getattr(range_, end).line, "character": getattr(range_, end).character}
        for end in ("start", "end")
    }


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
