"""Ignore: which paths a workspace keeps out, by git's rules and our own."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pathspec import GitIgnoreSpec

from server.config import is_pattern

RULE_FILES = (".gitignore", ".sextantignore")
"""Read in every folder; the later one has the last word."""

_NEVER_FOLDERS = frozenset(
    {
        ".git", ".hg", ".svn", ".jj", "node_modules", "bower_components", "__pycache__", "site-packages",
        "dist-packages", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".gradle", ".terraform",
    }
)  # fmt: skip
"""Folders that hold no source of the workspace's own, also where no ignore file says so."""

_FOREIGN_MARKS = ("pyvenv.cfg", "CACHEDIR.TAG")
"""A folder with one of these is a virtual environment or a cache."""

MOST_STARS = 3
"""In one part of a path. Against a name of 120 characters four take .3 s, six two minutes, and nothing can stop it."""
_LONGEST_RULES = 1_000_000
"""Bytes of an ignore file."""

_SECRETS = GitIgnoreSpec.from_lines(
    [".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "id_rsa*", "id_dsa*",
     "id_ecdsa*", "id_ed25519*", ".netrc", ".npmrc", ".pypirc", "credentials", "*.ppk"]
)  # fmt: skip
"""Files that hold secrets are never read, whatever the ignore files say (invariant 8)."""


class IgnoreRules:
    """The ignore files of one workspace folder, read once each; make a new value when one of them changed."""

    def __init__(self, root: Path, extra: tuple[str, ...] = ()) -> None:
        self._root = root
        self._extra = GitIgnoreSpec.from_lines(extra)
        self._above = _rules_above(root)
        self._specs: dict[str, tuple[GitIgnoreSpec, ...]] = {}

    def ignores(self, path: str, is_folder: bool) -> bool:
        """Tell whether a path, relative to the root, is kept out itself (its parents are not looked at)."""
        folder, _, name = path.rpartition("/")
        if is_folder and (name in _NEVER_FOLDERS or self._is_foreign(path)):
            return True
        if not is_folder and _SECRETS.match_file(name):
            return True
        mark = "/" if is_folder else ""
        if self._extra.match_file(path + mark):
            return True
        return self._verdict(folder, path, mark)

    def ignores_below(self, path: str) -> bool:
        """Tell whether a file is kept out, itself or by one of the folders it stands in."""
        parts = path.split("/")
        folders = ("/".join(parts[:end]) for end in range(1, len(parts)))
        return any(self.ignores(folder, is_folder=True) for folder in folders) or self.ignores(path, is_folder=False)

    def _verdict(self, folder: str, path: str, mark: str) -> bool:
        """Ask the nearest ignore file first: the deepest rule that names the path decides."""
        while True:
            inner = path[len(folder) + 1 :] if folder else path
            for spec in reversed(self._specs_of(folder)):
                include = _decides(spec, inner + mark)
                if include is not None:
                    return include
            if not folder:
                break
            folder = folder.rpartition("/")[0]
        for spec, prefix in self._above:
            include = _decides(spec, prefix + path + mark)
            if include is not None:
                return include
        return False

    def _specs_of(self, folder: str) -> tuple[GitIgnoreSpec, ...]:
        specs = self._specs.get(folder)
        if specs is None:
            own = _read_specs(self._root / folder)
            if folder and (self._root / folder / ".git").exists():  # a repository inside the workspace
                exclude = _read_spec(_git_folder(self._root / folder) / "info" / "exclude")
                own = own if exclude is None else (exclude, *own)
            specs = self._specs[folder] = own
        return specs

    def _is_foreign(self, path: str) -> bool:
        try:
            return any((self._root / path / mark).exists() for mark in _FOREIGN_MARKS)
        except OSError:  # not readable; the walk reports that
            return False


def is_rule_file(path: str) -> bool:
    """Tell whether a change of this file changes which other files count."""
    return path.rpartition("/")[2] in RULE_FILES


def _decides(spec: GitIgnoreSpec, path: str) -> bool | None:
    """Tell what the last rule that names the path itself says of it; None when there is none.

    `spec.match_file` would let a rule for a folder decide about everything below it. To git it decides about the
    folder alone: `*.py` keeps `src/a.py` out although `!src/` takes `src` in. pathspec marks the end of the part of
    a path that a rule names by the group `ps_d`.
    """
    for pattern in reversed(spec.patterns):
        if pattern.include is None or pattern.regex is None:
            continue
        match = pattern.regex.search(path)
        if match is None:
            continue
        end = match.end("ps_d") if "ps_d" in pattern.regex.groupindex else -1
        # Without that group the rule is `folder/**`: everything below the folder, not the folder.
        names_it = end in (-1, len(path)) if pattern.regex.groupindex else match.end() < len(path) or path[-1] != "/"
        if names_it:
            return bool(pattern.include)
    return None


def _read_specs(folder: Path) -> tuple[GitIgnoreSpec, ...]:
    return tuple(spec for name in RULE_FILES if (spec := _read_spec(folder / name)) is not None)


def _read_spec(file: Path) -> GitIgnoreSpec | None:
    """Read one ignore file; a missing or unreadable one has no rules, a line that makes no sense is left out."""
    try:
        if not file.is_file():  # to open a pipe would be to wait for ever
            return None
        text = file.read_bytes()[:_LONGEST_RULES].decode("utf-8-sig", "replace")
    except OSError:
        return None
    lines = [_tame(line.rstrip("\r")) for line in text.split("\n")]
    try:
        return GitIgnoreSpec.from_lines(lines)
    except (ValueError, re.error):
        return GitIgnoreSpec.from_lines(line for line in lines if is_pattern(line))


def _tame(rule: str) -> str:
    """Cut a rule with many stars short: the time a regular expression takes for them grows with each.

    What is left keeps out more, never less; a rule that takes back in is dropped.
    """
    if not is_wild(rule):
        return rule
    if rule.startswith("!"):
        return ""
    head = ""
    for segment in re.split(r"(?<=/)", rule):
        if is_wild(segment):
            parts = segment.split("*")
            return head + "*".join(parts[:MOST_STARS]) + "*"
        if segment == "**/" and head.split("/").count("**") == MOST_STARS:
            return head + "**"
        head += segment
    return rule


def is_wild(glob: str) -> bool:
    """Tell whether a part of a glob has more stars than can be matched in good time."""
    segments = glob.split("/")
    return segments.count("**") > MOST_STARS or any(
        segment != "**" and segment.count("*") > MOST_STARS for segment in segments
    )


def _rules_above(root: Path) -> list[tuple[GitIgnoreSpec, str]]:
    """Return the rules of the enclosing git repository, nearest first, with what to put before a path for each."""
    chain = [root, *root.parents]
    top = next((folder for folder in chain if (folder / ".git").exists()), None)
    if top is None:
        return []
    found = []
    for folder in chain[1 : chain.index(top) + 1]:
        prefix = os.path.relpath(root, folder).replace(os.sep, "/") + "/"
        found += [(spec, prefix) for spec in reversed(_read_specs(folder))]
    exclude = _read_spec(_git_folder(top) / "info" / "exclude")
    if exclude is not None:
        relative = os.path.relpath(root, top).replace(os.sep, "/")
        found.append((exclude, "" if relative == "." else relative + "/"))
    return found


def _git_folder(top: Path) -> Path:
    """Return the folder with info/exclude: in a linked worktree `.git` is a file that leads there."""
    git = top / ".git"
    if git.is_file():
        try:
            git = (top / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
            git = (git / (git / "commondir").read_text(encoding="utf-8").strip()).resolve()
        except (OSError, ValueError):
            return git
    return git
