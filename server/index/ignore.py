"""Ignore: which paths a workspace keeps out, by git's rules and our own."""

from __future__ import annotations

import os
from pathlib import Path

from server.globs import Rules

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

_LONGEST_RULES = 1_000_000
"""Bytes of an ignore file."""

_SECRETS = Rules(
    [".env", ".env.*", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "id_rsa*", "id_dsa*",
     "id_ecdsa*", "id_ed25519*", ".netrc", ".npmrc", ".pypirc", "credentials", "*.ppk"]
)  # fmt: skip
"""Files that hold secrets are never read, whatever the ignore files say (invariant 8)."""


class IgnoreRules:
    """The ignore files of one workspace folder, read once each; make a new value when one of them changed."""

    def __init__(self, root: Path, extra: tuple[str, ...] = ()) -> None:
        self._root = root
        self._extra = Rules(extra)
        self._above = _rules_above(root)
        self._specs: dict[str, tuple[Rules, ...]] = {}

    def ignores(self, path: str, is_folder: bool) -> bool:
        """Tell whether a path, relative to the root, is kept out itself (its parents are not looked at)."""
        folder, _, name = path.rpartition("/")
        if is_folder and (name in _NEVER_FOLDERS or self._is_foreign(path) or self.is_worktree(path)):
            return True
        if not is_folder and _SECRETS.decide(name):
            return True
        mark = "/" if is_folder else ""
        if self._extra.decide(path + mark):
            return True
        return self._verdict(folder, path, mark)

    def ignores_below(self, path: str) -> bool:
        """Tell whether a file is kept out, itself or by one of the folders it stands in."""
        parts = path.split("/")
        folders = ("/".join(parts[:end]) for end in range(1, len(parts)))
        return any(self.ignores(folder, is_folder=True) for folder in folders) or self.ignores(path, is_folder=False)

    def is_worktree(self, path: str) -> bool:
        """Tell whether a folder is a linked git worktree inside the very repository that it is another checkout of.

        Its code is that repository's once more. Submodules, nested repositories, and worktrees whose repository is not
        checked out around them (as with a bare one) are not meant.
        """
        folder = self._root / path
        try:
            if not (folder / ".git").is_file():
                return False
            shared = _git_folder(folder)
            is_checked_out = shared.name == ".git" and (shared / "index").exists()
            return is_checked_out and _is_between(shared.parent, self._root, folder)
        except OSError:  # not readable; the walk reports that
            return False

    def _verdict(self, folder: str, path: str, mark: str) -> bool:
        """Ask the nearest ignore file first: the deepest rule that names the path decides."""
        while True:
            inner = path[len(folder) + 1 :] if folder else path
            for spec in reversed(self._specs_of(folder)):
                include = spec.decide(inner + mark)
                if include is not None:
                    return include
            if not folder:
                break
            folder = folder.rpartition("/")[0]
        for spec, prefix in self._above:
            include = spec.decide(prefix + path + mark)
            if include is not None:
                return include
        return False

    def _specs_of(self, folder: str) -> tuple[Rules, ...]:
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


def _is_between(middle: Path, upper: Path, lower: Path) -> bool:
    """Tell whether a folder lies at or below `upper` and above `lower`."""
    middle, upper, lower = middle.resolve(), upper.resolve(), lower.resolve()
    return middle.is_relative_to(upper) and middle != lower and lower.is_relative_to(middle)


def is_rule_file(path: str) -> bool:
    """Tell whether a change of this file changes which other files count."""
    return path.rpartition("/")[2] in RULE_FILES


def _read_specs(folder: Path) -> tuple[Rules, ...]:
    return tuple(spec for name in RULE_FILES if (spec := _read_spec(folder / name)) is not None)


def _read_spec(file: Path) -> Rules | None:
    """Read one ignore file; a missing or unreadable one has no rules, a line that makes no sense names nothing."""
    try:
        if not file.is_file():  # to open a pipe would be to wait for ever
            return None
        text = file.read_bytes()[:_LONGEST_RULES].decode("utf-8-sig", "replace")
    except OSError:
        return None
    return Rules(line.removesuffix("\r") for line in text.split("\n"))


def _rules_above(root: Path) -> list[tuple[Rules, str]]:
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
