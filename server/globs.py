"""Globs: rules in .gitignore syntax as git reads them, in a time that no rule can make long.

A regular expression that tries every place for one star with every place for the next takes minutes for some rules, and
nothing stops it: it holds the interpreter. Here all stars but the last take the first place that fits, for good.
That loses nothing, as what stands between two stars has a fixed length (Russ Cox, "Glob Matching Can Be Simple And Fast
Too"). Like git, all this compares bytes: `?` is one of them, half of an é.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

LONGEST = 4096
"""Bytes of a path; a rule that needs more names none."""

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "!-~", "lower": "a-z", "print": " -~", "punct": "!-/:-@\\[-`{-~", "space": " \\t\\n\\r", "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_SPECIAL = re.compile(r"[*?\[\\]")
_STAR = "*"
_ANY = "[^/]"
_FOLDERS = "(?:[^/]*/)*?"
_GAPS = {"**/": _FOLDERS, "**\\/": "(?:[^/]*/)+?"}
"""What crosses folders: a slash that is escaped has to be there."""
_LETTERS = (1 << 26) - 1


class GlobError(ValueError):
    """Says that a rule is broken off: git lets such a rule match nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    takes: bool
    """False for a rule that begins with `!`."""
    is_folder: bool
    """Whether it names folders only."""
    is_name: bool
    """Whether it names what lies in any folder."""
    literal: bytes | None
    """What it names, if that is one path or name."""
    expression: str
    """Fits the paths it names, without a last slash."""


class Rules:
    """Some rules, of which the last one that fits decides."""

    def __init__(self, lines: Iterable[str], folds: bool = False) -> None:
        """Rules that are broken off, blank ones and comments are passed over; `folds`: the case is of no matter."""
        found = (parsed(line, folds) for line in lines)
        self._rules = tuple(rule for rule in found if rule is not None)
        self._folds = folds
        self._literals = {
            (rule.literal, rule.is_name, rule.is_folder): number
            for number, rule in enumerate(self._rules)
            if rule.literal is not None
        }
        self._globs = [
            (number, _compiled(rule.expression + ("/" if rule.is_folder else "/?"), folds))
            for number, rule in enumerate(self._rules)
            if rule.literal is None
        ][::-1]

    def decide(self, path: str) -> bool | None:
        """Tell what the rules say of a path itself (a folder's ends with a slash); None when they do not name it."""
        if not self._rules:
            return None
        data = encoded(path)
        bare = data.rstrip(b"/")
        if self._folds:
            bare = bare.lower()
        name = bare.rpartition(b"/")[2]
        last = -1
        for is_folder in (False, True)[: 1 + data.endswith(b"/")]:
            last = max(
                last,
                self._literals.get((name, True, is_folder), -1),
                self._literals.get((bare, False, is_folder), -1),
            )
        for number, glob in self._globs:
            if number < last:
                break
            if glob.fullmatch(data):
                last = number
                break
        return None if last < 0 else self._rules[last].takes

    def take(self, path: str) -> bool:
        """Tell whether the rules take a file, by its own path or by a folder it lies in."""
        data = encoded(path)
        return next((takes for takes, within in self._within if within.fullmatch(data)), False)

    def taken(self, paths: Sequence[str]) -> list[bool]:
        """Tell the same of many files."""
        if len(self._within) == 1 and self._within[0][0]:
            fits = self._within[0][1].fullmatch
            return [fits(encoded(path)) is not None for path in paths]
        return [self.take(path) for path in paths]

    @cached_property
    def _within(self) -> list[tuple[bool, re.Pattern[bytes]]]:
        """The expressions of what the rules name and of all that lies in it, the last rule first."""
        return [
            (rule.takes, _compiled(rule.expression + ("/.*" if rule.is_folder else "(?:/.*)?"), self._folds))
            for rule in reversed(self._rules)
        ]


def encoded(text: str) -> bytes:
    """Return the bytes of a path as they stand on a disk."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # no path of a disk
        return text.encode("utf-8", "surrogatepass")


def parsed(line: str, folds: bool = False) -> Rule | None:
    """Return a line's rule, None where it has none or a broken one."""
    try:
        return parse(line, folds)
    except GlobError:
        return None


@lru_cache(1024)
def parse(line: str, folds: bool = False) -> Rule | None:
    """Return a line's rule; None for a comment, a blank line and what can name no path. Raises GlobError."""
    line = encoded(line).decode("latin-1").partition("\0")[0]
    text = line.rstrip(" ")
    if len(text) < len(line) and (len(text) - len(text.rstrip("\\"))) % 2:
        text += " "  # an escaped blank
    if text.startswith("#"):
        return None
    takes = not text.startswith("!")
    text = text if takes else text[1:]
    is_folder = text.endswith("/")
    text = text.removesuffix("/")
    is_name = "/" not in text
    text = text.removeprefix("/")
    if not _SPECIAL.search(text):
        literal = text.encode("latin-1")
        literal = literal.lower() if folds else literal
        named = _FOLDERS * is_name + re.escape(text)
        return Rule(takes, is_folder, is_name, literal, named) if 0 < len(text) <= LONGEST else None
    tokens = _tokens(text, is_name, folds)
    if sum(token not in (_STAR, "**", "**/") for token in tokens) > LONGEST:
        return None
    # The slash behind a folder's path is never part of what a star fits.
    return Rule(takes, is_folder, is_name, None, _path(["**/", *tokens] if is_name else tokens) + "(?<!/)")


@lru_cache(2048)
def _compiled(expression: str, folds: bool) -> re.Pattern[bytes]:
    return re.compile(expression.encode("latin-1"), re.DOTALL | (re.IGNORECASE if folds else 0))


def _tokens(text: str, is_name: bool, folds: bool) -> list[str]:
    """Return the parts of a rule: stars, gaps, slashes, and expressions of one byte (a literal one is escaped).

    Git compares what stands before the first wildcard by itself and begins anew there: two stars or more cross folders
    between slashes (or the ends) of what is left.
    """
    found: list[str] = []
    at, close = 0, -1
    first = _SPECIAL.search(text)
    start = first.start() if first else len(text)
    while at < len(text):
        begun, char = at, text[at]
        at += 1
        if char == _STAR:
            while text[at : at + 1] == _STAR:
                at += 1
            behind = "/" if text.startswith("/", at) else "\\/" if text.startswith("\\/", at) else text[at : at + 1]
            is_open = not is_name and at > begun + 1 and (begun == start or text[begun - 1] == "/")
            token = "**" + behind if is_open and behind in ("", "/", "\\/") else _STAR
            at += len(token) - 2 if token != _STAR else 0
            if found[-1:] != [token] or token not in (_STAR, "**/"):
                found.append(token)
        elif char == "?":
            found.append(_ANY)
        elif char == "[":
            members, at, close = _members(text, at, close, folds)
            found.append(members)
        elif char == "/":
            found.append("/")
        else:
            if char == "\\":
                char, at = text[at : at + 1], at + 1
                if not char:
                    raise GlobError("a backslash at the end escapes nothing")
            found.append("/" if char == "/" else "\\" + char)
    return found


def _path(tokens: list[str]) -> str:
    """Return the expression of a path without its last slash."""
    names = (f"place{number}" for number in itertools.count())
    end = ".*" if tokens[-1] == "**" else ""
    blocks: list[tuple[str, list[str]]] = [("", [])]
    for token in tokens[: len(tokens) - bool(end)]:
        if token in _GAPS:
            blocks.append((_GAPS[token], []))
        else:
            blocks[-1][1].append(token)
    texts = [gap + _block(block, names) for gap, block in blocks]
    return texts[0] + "".join(_first(text, names) for text in texts[1:-1]) + "".join(texts[1:][-1:]) + end


def _block(tokens: list[str], names: Iterator[str]) -> str:
    """Return the expression of what stands between two gaps."""
    is_slash = "/".__eq__
    return "".join(
        "/" * len([*run]) if slash else _segment(run, names) for slash, run in itertools.groupby(tokens, is_slash)
    )


def _segment(tokens: Iterable[str], names: Iterator[str]) -> str:
    """Return the expression of one part of a path."""
    pieces = [""]
    for token in tokens:
        if token == _STAR:
            pieces.append("")
        else:
            pieces[-1] += re.escape(token[1]) if token[0] == "\\" else token
    if len(pieces) == 1:
        return pieces[0]
    first, *middle, last = pieces
    return first + "".join(_first(f"{_ANY}*?{piece}", names) for piece in middle) + f"{_ANY}*" + last


def _first(expression: str, names: Iterator[str]) -> str:
    """Return an expression that takes the first place only (as `(?>...)` does from Python 3.11 on)."""
    name = next(names)
    return f"(?=(?P<{name}>{expression}))(?P={name})"


def _members(text: str, at: int, close: int, folds: bool) -> tuple[str, int, int]:
    """Return the expression of what stands in brackets from a position on, the position behind them, and that of the
    last `]` looked up (so that no rule makes the search for it start again and again).
    """
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    found, before, is_first = 0, "", True
    while at < len(text) and (is_first or text[at] != "]"):
        is_first = False
        char, following = text[at], text[at + 1 : at + 2]
        if char == "[" and following == ":" and close < at + 2:
            close = text.find("]", at + 2)
            if close < 0:
                raise GlobError("a bracket is not closed")
        if char == "-" and before and following not in ("", "]"):
            at += 1 + (following == "\\")
            high = text[at : at + 1]
            if high and before <= high:
                found |= (2 << ord(high)) - (1 << ord(before))
            before = ""
        elif char == "[" and following == ":" and close > at + 2 and text[close - 1] == ":":
            name = text[at + 2 : close - 1]
            if name not in _CLASSES:
                raise GlobError(f"[:{name}:] is no class")
            found, before, at = found | _class(name), "", close
        else:
            at += char == "\\"
            before = text[at : at + 1]
            found |= 1 << ord(before) if before else 0
        at += 1
    if at >= len(text):
        raise GlobError("a bracket is not closed")
    if folds:
        letters = (found >> ord("a") | found >> ord("A")) & _LETTERS
        found |= letters << ord("a") | letters << ord("A")
    members = [chr(byte) for byte in range(256) if (found >> byte & 1) != negated and chr(byte) != "/"]
    return f"[{re.escape(''.join(members))}]" if members else "(?!)", at + 1, close


@lru_cache
def _class(name: str) -> int:
    members = re.compile(f"[{_CLASSES[name]}]")
    return sum(1 << byte for byte in range(256) if members.match(chr(byte)))
