"""Snapshots: git directories without a work tree; their files at a commit, and what their history changed."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_COMMITS = 6_000
"""Looked at in one repository: older lines have mostly been rewritten."""
_PATCH = 100_000
"""Characters of one commit's patch; larger ones are imports and sweeping changes."""
_FILE = re.compile(r"^\+\+\+ b/(.*)$")


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit says and the lines it added, by path."""

    author: str
    subject: str
    added: dict[str, list[str]]


def folder_of(snapshots: Path, repository: str) -> Path:
    """Return the git directory of a repository below a folder of OWNER+NAME/repo."""
    folder = snapshots / repository.replace("/", "+") / "repo"
    return folder / ".git" if (folder / ".git").is_dir() else folder


def has(folder: Path, commit: str) -> bool:
    """Tell whether a git directory has a commit."""
    command = ["git", "-C", str(folder), "cat-file", "-e", f"{commit}^{{commit}}"]
    return folder.is_dir() and subprocess.run(command, check=False, capture_output=True).returncode == 0


def blobs(folder: Path, commit: str, most: int, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield the (path, content) of wanted files of at most `most` bytes, in a random order that is always the same."""
    listed = subprocess.run(
        ["git", "-C", folder, "ls-tree", "-r", "-l", "-z", commit], check=True, capture_output=True
    ).stdout.decode("utf-8", "replace")
    found: list[tuple[bytes, str, str]] = []
    for entry in filter(None, listed.split("\0")):
        meta, path = entry.split("\t", 1)
        _, kind, name, size = meta.split()
        small = size.isdigit() and int(size) <= most  # a snapshot may lack its largest files
        if kind == "blob" and small and wanted(path):
            found.append((hashlib.blake2b(path.encode(), digest_size=8).digest(), path, name))
    command = ["git", "-C", str(folder), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as git:
        assert git.stdin is not None and git.stdout is not None
        for _, path, name in sorted(found):
            git.stdin.write(name.encode() + b"\n")
            git.stdin.flush()
            header = git.stdout.readline().split()
            if len(header) == 3:
                yield path, git.stdout.read(int(header[2]) + 1)[:-1]
        git.stdin.close()


def changes(folder: Path, commit: str) -> Iterator[Change]:
    """Yield the commits before a commit, newest first, without merges; as far as the snapshot has their files."""
    command = ["git", "-C", str(folder), "log", commit, "--no-merges", f"--max-count={_COMMITS}", "--diff-filter=M"]
    command += ["--patch", "--unified=0", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv"]
    with subprocess.Popen(
        [*command, "--format=%x00%an%x01%s"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as git:
        assert git.stdout is not None
        entry: list[str] = []
        size = 0
        for line in git.stdout:
            if line.startswith(b"\0"):
                yield from _change(entry, size)
                entry, size = [line[1:].decode("utf-8", "replace")], 0
            elif size <= _PATCH:
                size += len(line)
                entry.append(line.decode("utf-8", "replace"))
        yield from _change(entry, size)


def _change(entry: list[str], size: int) -> Iterator[Change]:
    """Read a commit's lines of the log."""
    if not entry or size > _PATCH:
        return
    author, _, subject = entry[0].rstrip("\n").partition("\1")
    added: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in entry[1:]:
        file = _FILE.match(line)
        if file:
            lines = added.setdefault(file.group(1), [])
        elif line.startswith("+") and not line.startswith("+++ "):
            lines.append(line[1:].strip())
    yield Change(author, subject, added)
