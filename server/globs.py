"""Globs: rules in .gitignore syntax as git reads them, in a time that no rule can make long.

A regular expression that tries every place for one star with every place for the next takes minutes for some rules, and
nothing stops it: it holds the interpreter. Here all stars but the last take the first place that fits, for good.
That loses nothing, as what stands between two stars has a fixed length (Russ Cox, "Glob Matching Can Be Simple And Fast
Too").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 4096
"""Characters of a rule; no path is longer."""

_TOKEN = re.compile(r"\\.|\*+|.", re.DOTALL)
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": "\\s", "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_STAR = "*"
_ANY = "[^/]"


class GlobError(ValueError):
    """Says that a rule is broken off: git lets such a rule match nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    takes: bool
    """False for a rule that begins with `!`."""
    itself: re.Pattern[str]
    """Fits the paths that the rule names; that of a folder ends with a slash."""
    within: re.Pattern[str]
    """Fits these and all that lies in them."""


class Rules:
    """Some rules, of which the last one that fits decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Rules that are broken off, blank ones and comments are passed over."""
        found = (parsed(line) for line in lines)
        self._rules = tuple(rule for rule in found if rule is not None)[::-1]

    def decide(self, path: str) -> bool | None:
        """Tell what the rules say of a path itself (a folder's ends with a slash); None when they do not name it."""
        return next((rule.takes for rule in self._rules if rule.itself.fullmatch(path)), None)

    def take(self, path: str) -> bool:
        """Tell whether the rules take a file, by its own path or by a folder it lies in."""
        return next((rule.takes for rule in self._rules if rule.within.fullmatch(path)), False)


def parsed(line: str) -> Rule | None:
    """Return a line's rule, None where it has none or a broken one."""
    try:
        return parse(line)
    except GlobError:
        return None


@lru_cache(1024)
def parse(line: str) -> Rule | None:
    """Return a line's rule; None for a comment, a blank line and what can name no path. Raises GlobError."""
    text = line.rstrip(" ")
    if len(text) < len(line) and (len(text) - len(text.rstrip("\\"))) % 2:
        text += " "  # an escaped blank
    if not text or text.startswith("#") or len(text) > LONGEST:
        return None
    takes = not text.startswith("!")
    text = text if takes else text[1:]
    is_folder = text.endswith("/")
    text = text.removesuffix("/")
    segments = _cut(text.removeprefix("/"))
    if "" in segments:
        return None
    if "/" not in text:  # in any folder
        segments = ["**", _STAR if segments == ["**"] else segments[0]]
    named = _path(segments)
    ends = ("/", "/.*") if is_folder else ("/?", "(?:/.*)?")
    itself, within = (re.compile(named + end, re.DOTALL) for end in ends)
    return Rule(takes, itself, within)


def _cut(text: str) -> list[str]:
    """Return the parts of a path; a slash in brackets ends none."""
    segments, at = [""], 0
    while at < len(text):
        begun, at = at, at + (2 if text[at] == "\\" else 1)
        if text[begun] == "[":
            at = _members(text, at)[1]
        if text[begun:at] in ("/", "\\/"):
            segments.append("")
        else:
            segments[-1] += text[begun:at]
    return segments


def _path(segments: list[str]) -> str:
    """Return the expression of a path without its last slash."""
    names = (f"place{number}" for number in itertools.count())
    runs = [list(run) for is_gap, run in itertools.groupby(segments, "**".__eq__) if not is_gap]
    if not runs:
        return ".+?"
    texts = ["/".join(_segment(segment, names) for segment in run) for run in runs]
    *firsts, last = texts
    found = ""
    for number, text in enumerate(firsts):
        is_free = number > 0 or segments[0] == "**"
        found += _first(f"(?:[^/]+/)*?{text}/", names) if is_free else f"{text}/"
    if firsts or segments[0] == "**":
        found += "(?:[^/]+/)*?"
    return found + last + ("/.+?" if segments[-1] == "**" else "")


def _segment(glob: str, names: Iterator[str]) -> str:
    """Return the expression of one part of a path."""
    pieces = [""]
    at = 0
    while at < len(glob):
        token = _TOKEN.match(glob, at)
        assert token is not None
        at = token.end()
        if token[0] == "\\":
            raise GlobError("a backslash at the end escapes nothing")
        if token[0].startswith("*"):
            pieces.append("")
        elif token[0] == "?":
            pieces[-1] += _ANY
        elif token[0] == "[":
            members, at = _members(glob, at)
            pieces[-1] += f"(?!/){members}"
        else:
            pieces[-1] += re.escape(token[0][-1])
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    if not any(pieces):
        return f"{_ANY}+"
    return first + "".join(_first(f"{_ANY}*?{piece}", names) for piece in middle) + f"{_ANY}*" + last


def _first(expression: str, names: Iterator[str]) -> str:
    """Return an expression that takes the first place only (as `(?>...)` does from Python 3.11 on)."""
    name = next(names)
    return f"(?=(?P<{name}>{expression}))(?P={name})"


def _members(glob: str, at: int) -> tuple[str, int]:
    """Return the expression of what stands in brackets from a position on, and the position behind them."""
    negated = glob[at : at + 1] in ("!", "^")
    at += negated
    found, before, is_first = "", "", True
    while at < len(glob) and (is_first or glob[at] != "]"):
        is_first = False
        char, following = glob[at], glob[at + 1 : at + 2]
        named = re.compile(r"\[:([^\]]*):\]").match(glob, at)
        if char == "-" and before and following not in ("", "]"):
            at += 1 + (following == "\\")
            high = glob[at : at + 1]
            found += f"{re.escape(before)}-{re.escape(high)}" if before <= high else ""
            before = ""
        elif named is not None:
            if named[1] not in _CLASSES:
                raise GlobError(f"[:{named[1]}:] is no class")
            found, before, at = found + _CLASSES[named[1]], "", named.end() - 1
        else:
            at += char == "\\"
            before = glob[at : at + 1]
            found += re.escape(before)
        at += 1
    if at >= len(glob):
        raise GlobError("a bracket is not closed")
    return f"[{'^' * negated}{found}]", at + 1
