"""Storm: too much at once; nothing may be lost or doubled, and the memory comes back.

usage: python -m tests.bench.storm [--edits N] [--files N] [--largest N]

The real server over stdio on a generated workspace: rapid edits of an open file, a burst of files created and deleted,
the root's largest folder renamed, files dated hours back and years ahead (what a clock that jumps leaves behind).
Nobody tells the server what happens on the disk. After each storm the answers and the counts are compared with what the
workspace holds, and the resident memory is printed. Any difference ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.live import cpu_seconds, memory, settle, start, status
from tests.e2e.raw import RawClient

PATIENCE = 600.0


def source(name: str) -> str:
    first = f'def {name}(value):\n    """Do {name}."""\n    return value + 1\n'
    return f"{first}\n\ndef {name}_again(value):\n    return {name}(value)\n"


def write(folder: Path, count: int, word: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Path(folder, f"{word}{number}.py").write_text(source(f"{word}_{number}"), encoding="utf-8")


def folder_status(client: RawClient) -> dict[str, Any]:
    found: dict[str, Any] = status(client)["folders"][0]
    return found


def until(holds: Callable[[], object], what: str) -> None:
    end = time.perf_counter() + PATIENCE
    while not holds():
        if time.perf_counter() > end:
            raise SystemExit(f"it does not come true that {what}")
        time.sleep(0.1)


def named(client: RawClient, name: str) -> list[str]:
    """Return the files in which a function of exactly this name is found."""
    return [hit["location"]["uri"] for hit in client.search(name, limit=50) if hit["name"] == name]


def expect(found: object, wanted: object, what: str) -> int:
    if found == wanted:
        return 0
    print(f"  WRONG: {what}: {found!r} instead of {wanted!r}")
    return 1


def edits(client: RawClient, root: Path, count: int) -> int:
    """Type without rest into one function of a file of 100."""
    path = root / "typed.py"
    client.open(path.as_uri(), "".join(source(f"typed_{number}") for number in range(100)))
    for number in range(count):
        text = "x" if number % 2 == 0 else ""
        place = {"start": {"line": 2, "character": 17}, "end": {"line": 2, "character": 17 + number % 2}}
        client.change(path.as_uri(), {"range": place, "text": text}, version=number + 2)
    name = {"start": {"line": 0, "character": 4}, "end": {"line": 0, "character": 11}}
    client.change(path.as_uri(), {"range": name, "text": "hurricane"}, version=count + 2)
    until(lambda: named(client, "hurricane"), "the last edit is found")
    wrong = expect(named(client, "hurricane"), [path.as_uri()], "the edited function")
    wrong += expect(named(client, "typed_0"), [], "its old name")
    wrong += expect(named(client, "typed_99"), [path.as_uri()], "another function of the file")
    client.notify("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}})
    until(lambda: not named(client, "hurricane"), "a file that was never saved is gone")
    return wrong


def burst(client: RawClient, root: Path, count: int) -> int:
    before = folder_status(client)
    write(root / "burst", count, "burst")
    until(lambda: folder_status(client)["files"] == before["files"] + count, "all new files are indexed")
    middle = folder_status(client)
    wrong = expect(middle["units"], before["units"] + 3 * count - count, "units with the new files")
    some = [f"burst_{number}" for number in (0, count // 2, count - 1)]
    wrong += expect([len(named(client, name)) for name in some], [1, 1, 1], "new functions")
    for path in (root / "burst").iterdir():
        path.unlink()
    (root / "burst").rmdir()
    until(lambda: folder_status(client)["files"] == before["files"], "all deleted files are gone")
    wrong += expect(folder_status(client)["units"], before["units"], "units without them")
    wrong += expect([len(named(client, name)) for name in some], [0, 0, 0], "deleted functions")
    return wrong


def rename(client: RawClient, root: Path) -> int:
    before = folder_status(client)
    new = (root / "renamed" / "large12.py").as_uri()
    (root / "large").rename(root / "renamed")
    until(lambda: named(client, "large_12") == [new], "the renamed folder is indexed under its new name")
    until(lambda: folder_status(client)["state"] == "ready", "the folder is ready")
    after = folder_status(client)
    wrong = expect((after["files"], after["units"]), (before["files"], before["units"]), "files and units")
    # The remainder of a module is called like its file, which did not change.
    wrong += expect(after["encodedUnits"] - before["encodedUnits"], 0, "passages that were encoded again")
    return wrong


def clock(client: RawClient, root: Path) -> int:
    """Save files under other times than now, one of them in the same size."""
    wrong = 0
    for number, shift in enumerate((-7_200, 315_000_000, -315_000_000, 0)):
        path = root / "rest" / f"rest{number}.py"
        path.write_text(source(f"tide_{number}"), encoding="utf-8")
        at = time.time() + shift
        os.utime(path, (at, at))
        until(lambda number=number: named(client, f"tide_{number}"), f"what was saved {shift} s from now is found")  # type: ignore[misc]
        wrong += expect(named(client, f"tide_{number}"), [path.as_uri()], "the changed function")
        wrong += expect(named(client, f"rest_{number}"), [], "what it was before")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--largest", type=int, default=3_000)
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as work:
        root = Path(work).resolve()
        write(root / "large", options.largest, "large")
        write(root / "rest", 500, "rest")
        client = start(Path(data), root)
        settle(client)
        named(client, "large_12")
        for title, storm in (
            (f"{options.edits:,} edits of an open file", lambda: edits(client, root, options.edits)),
            (f"{options.files:,} files created and deleted", lambda: burst(client, root, options.files)),
            (f"a folder of {options.largest:,} files renamed", lambda: rename(client, root)),
            ("files dated by other clocks", lambda: clock(client, root)),
        ):
            before, cpu, begun = memory(client), cpu_seconds(client.process.pid), time.perf_counter()
            found = storm()
            took, used = time.perf_counter() - begun, cpu_seconds(client.process.pid) - cpu
            settle(client)
            wrong += found
            print(
                f"{title}: {found} wrong; {took:.1f} s, {used:.1f} s of the server's processor time; "
                f"resident {before:.0f} MB before, {memory(client):.0f} after",
                flush=True,
            )
        client.shutdown()
    print(f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
