"""Ignore: which paths a workspace keeps out, by git's rules and our own."""

from __future__ import annotations

import logging
import os
import stat
from functools import cached_property
from pathlib import Path

from server.globs import Rules
from server.index.git import Git, git_folder

_log = logging.getLogger(__name__)

RULE_FILES = (".gitignore", ".sextantignore")
"""Read in every folder; the later one has the last word."""

_NEVER_FOLDERS = frozenset(
    {
        ".git", ".hg", ".svn", ".jj", "node_modules", "bower_components", "__pycache__", "site-packages",
        "dist-packages", ".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".gradle", ".terraform",
    }
)  # fmt: skip
"""Folders that hold no source of the workspace's own, also where no ignore file says so."""

_SYSTEM_FOLDERS = frozenset({"proc", "sys", "dev", "run"})
"""At the root of a machine's files: what the system itself shows there, which has no end."""

_FOREIGN_MARKS = ("pyvenv.cfg", "CACHEDIR.TAG")
"""A folder with one of these is a virtual environment or a cache."""

_GIT_RULES = (".git/info/exclude", ".git/config")
"""Of a repository inside the workspace, or of the workspace itself."""

_LONGEST_RULES = 4_000_000
"""Bytes of an ignore file; where one is longer, all that it could name is kept out."""

Stamp = tuple[int, ...]
"""Tells whether a file is as it was; empty for one that is not there."""

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
        self._specs: dict[str, tuple[Rules, ...]] = {}
        self._gits: dict[str, Git] = {}
        """The repository of each folder."""
        self._stamps: dict[Path, Stamp] = {}
        """Of the files with rules that no watch on the root need see, as they were before they were read."""

    def is_outdated(self) -> bool:
        """Tell whether rules changed that stand around the root or in git's own places."""
        return any(_stamp(file) != stamp for file, stamp in self._stamps.items())

    def ignores(self, path: str, is_folder: bool) -> bool:
        """Tell whether a path, relative to the root, is kept out itself (its parents are not looked at)."""
        folder, _, name = path.rpartition("/")
        if is_folder and (name in _NEVER_FOLDERS or self._is_foreign(path) or self.is_worktree(path)):
            return True
        if is_folder and path in _SYSTEM_FOLDERS and os.fspath(self._root) == "/":
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
            shared = git_folder(folder)
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
            place, git = self._root / folder, self._git_of(folder)
            own = _read_specs(place, git.folds)
            is_top = folder and git.top == place  # a repository inside the workspace
            specs = self._specs[folder] = (*self._read_around(git), *own) if is_top else own
        return specs

    @cached_property
    def _above(self) -> list[tuple[Rules, str]]:
        """The rules around the root, nearest first, with what to put before a path for each."""
        git = self._git_of("")
        top = git.top or self._root
        found = []
        for folder in self._root.parents:
            if not folder.is_relative_to(top):
                break
            for name in RULE_FILES:
                self._note(folder / name)
            found += [(spec, _prefix(self._root, folder)) for spec in reversed(_read_specs(folder, git.folds))]
        return found + [(spec, _prefix(self._root, top)) for spec in reversed(self._read_around(git))]

    def _read_around(self, git: Git) -> tuple[Rules, ...]:
        """Return the rules for all of a repository that stand in no folder of its worktree."""
        for file in git.rule_files:
            self._note(file)
        return tuple(spec for file in git.rule_files if (spec := _read_spec(file, git.folds)) is not None)

    def _git_of(self, folder: str) -> Git:
        """Return the innermost repository that a folder lies in."""
        passed = []
        while folder not in self._gits:
            passed.append(folder)
            place = self._root / folder
            if not folder:
                chain = [place, *place.parents]
                top = next((around for around in chain if (around / ".git").exists()), None)
                for around in chain if top is None else chain[: chain.index(top)]:
                    self._note(around / ".git")
                self._gits[""] = Git(top, self._note)
            elif (place / ".git").exists():
                self._gits[folder] = Git(place, self._note)
            else:
                folder = folder.rpartition("/")[0]
        self._gits.update(dict.fromkeys(passed, self._gits[folder]))
        return self._gits[folder]

    def _note(self, file: Path) -> None:
        """Remember a file as it is, before it is read."""
        self._stamps.setdefault(file, _stamp(file))

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
    return path.rpartition("/")[2] in (*RULE_FILES, *_FOREIGN_MARKS) or path.endswith(_GIT_RULES)


def _stamp(file: Path) -> Stamp:
    """Return the stamp of a file; that of a folder changes only when another takes its place."""
    try:
        status = file.stat()
    except (OSError, ValueError):
        return ()
    if stat.S_ISDIR(status.st_mode):
        return (status.st_ino,)
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _prefix(root: Path, folder: Path) -> str:
    relative = os.path.relpath(root, folder).replace(os.sep, "/")
    return "" if relative == "." else relative + "/"


def _read_specs(folder: Path, folds: bool) -> tuple[Rules, ...]:
    return tuple(spec for name in RULE_FILES if (spec := _read_spec(folder / name, folds)) is not None)


def _read_spec(file: Path, folds: bool) -> Rules | None:
    """Read one ignore file; a missing or unreadable one has no rules, a line that makes no sense names nothing.

    Git obeys no .gitignore that is a symbolic link.
    """
    try:
        # To open a pipe would be to wait for ever.
        if not file.is_file() or (file.name == ".gitignore" and file.is_symlink()):
            return None
        with file.open("rb") as stream:
            data = stream.read(_LONGEST_RULES + 1)
    except (OSError, ValueError):
        return None
    if len(data) > _LONGEST_RULES:
        _log.warning(
            "%s has more than %d MB of rules: all that they could name is left out", file, _LONGEST_RULES // 10**6
        )
        return Rules(["*"])
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return Rules((line.removesuffix("\r") for line in text.split("\n")), folds)
