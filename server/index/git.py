"""Git: where git keeps the rules that stand in no folder of a worktree, and the two settings they depend on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

_LONGEST_CONFIG = 1_000_000
"""Bytes; no real one has a hundredth of it."""
_MOST_CONFIGS = 100
"""Files; each is read once, however they include each other."""
_PLACES = ("include.path", "core.excludesfile")
_SECTION = re.compile(r'\[\s*([\w.-]+)\s*("(?:[^"\\]|\\.)*")?\s*\]')
_NAME = re.compile(r"([A-Za-z][\w-]*)\s*(=?)\s*")
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b"}
_FALSE = ("", "false", "no", "off", "0")


class Git:
    """What git's settings say of a repository, or of what lies in none."""

    def __init__(self, top: Path | None, note: Callable[[Path], None]) -> None:
        """`top`: the folder with `.git`; `note` takes each file before it is looked for."""
        self.top = top
        self._note = note
        if top is not None:
            note(top / ".git")
        self._home = None if top is None else git_folder(top)
        values: dict[str, str] = {}
        self._taken: set[Path] = set()
        for file in _config_files():
            self._take(file, values)
        if self._home is not None:
            self._take(self._home / "config", values, is_mine=False)
        self.folds = values.get("core.ignorecase", "").lower() not in _FALSE
        """Whether rules match without case."""
        self._excludes = values.get("core.excludesfile")

    @property
    def rule_files(self) -> list[Path]:
        """The files with rules for all of the repository; the later one has the last word."""
        found = []
        if self._excludes is None:
            found.append(_config_home() / "git" / "ignore")
        elif self._excludes:
            found.append((self.top or Path()) / _expanded(self._excludes))
        if self._home is not None:
            found.append(self._home / "info" / "exclude")
        return found

    def _take(self, file: Path, values: dict[str, str], is_mine: bool = True) -> None:
        """Add the settings of a file and of those it includes without a condition.

        What came with a repository (not `is_mine`) cannot make another machine be asked.
        """
        if file in self._taken or len(self._taken) >= _MOST_CONFIGS:
            return
        self._taken.add(file)
        self._note(file)
        try:
            if not file.is_file():  # to open a pipe would be to wait for ever
                return
            with file.open("rb") as stream:
                text = stream.read(_LONGEST_CONFIG).decode("utf-8-sig", "surrogateescape")
        except OSError:
            return
        for key, value in _settings(text):
            if key in _PLACES and not is_mine and value.replace("\\", "/").startswith("//"):
                continue
            if key == "include.path":
                self._take(file.parent / _expanded(value), values, is_mine)
            values[key] = value


def _config_files() -> list[Path]:
    """Return the files of settings for all repositories; the later one has the last word."""
    system = Path(os.environ.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig")
    only = os.environ.get("GIT_CONFIG_GLOBAL")
    mine = [Path(only)] if only else [_config_home() / "git" / "config", _expanded("~/.gitconfig")]
    return mine if os.environ.get("GIT_CONFIG_NOSYSTEM") else [system, *mine]


def _config_home() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or _expanded("~/.config"))


def _expanded(path: str) -> Path:
    """Return a path with the home folder in place of `~`."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return Path(path)


def git_folder(top: Path) -> Path:
    """Return the folder with info/exclude: in a linked worktree `.git` is a file that leads there."""
    git = top / ".git"
    if git.is_file():
        try:
            git = (top / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
            git = (git / (git / "commondir").read_text(encoding="utf-8").strip()).resolve()
        except (OSError, ValueError):
            return git
    return git


def _settings(text: str) -> list[tuple[str, str]]:
    """Return what a file in git's config syntax sets, as `section.key`; lines that make no sense set nothing."""
    found, section = [], ""
    lines = iter(text.replace("\r\n", "\n").split("\n"))
    for raw in lines:
        line = raw.strip()
        if heading := _SECTION.match(line):
            section = heading[1].lower() + (f".{heading[2]}" if heading[2] else "")
        setting = line[heading.end() :].strip() if heading else line
        if (name := _NAME.match(setting)) is None:
            continue
        rest = setting[name.end() :]
        while (len(rest) - len(rest.rstrip("\\"))) % 2 and (more := next(lines, None)) is not None:
            rest = rest[:-1] + more
        found.append((f"{section}.{name[1].lower()}", _value(rest) if name[2] else "true"))
    return found


def _value(text: str) -> str:
    """Return a value without its quotes, escapes and comment."""
    found, kept, is_quoted = "", 0, False
    chars = iter(text)
    for char in chars:
        if char == '"':
            is_quoted = not is_quoted
            kept = len(found)
        elif char in "#;" and not is_quoted:
            break
        elif char == "\\":
            following = next(chars, "")
            found += _ESCAPES.get(following, following)
            kept = len(found)
        else:
            found += char
            kept = len(found) if is_quoted or not char.isspace() else kept
    return found[:kept]
