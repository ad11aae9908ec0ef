"""Other questions: what commits say of the units they changed, and tests of the units they test."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from server.model import prose, tokens
from server.model.snapshots import Change

Asked = tuple[int, str]
"""The place of a unit, and a question that it answers."""

_MOST = 1_500
"""Questions of one kind taken from one repository."""
_FILES = 4
"""A commit that changed more source files is about more than its subject says."""
_UNITS = 3
"""Likewise for units."""
_LINE = 12
"""Characters of a line that can tell where it stands: shorter ones stand everywhere."""
_WORDS = (4, 20)
_BOT = re.compile(r"\bbot\b|\[bot\]|dependabot|renovate|greenkeeper|pre-commit|github-actions", re.IGNORECASE)
_PREFIX = re.compile(r"^(\[[^\]]{1,30}\]\s*|[\w./*,&-]{1,40}(\([^)]{1,40}\))?!?:\s+)+")
_NUMBER = re.compile(r"\s*\(?(\b(gh-|fix(es|ed)?|closes?|refs?|issue|pr)\s*)?#\d+\)?", re.IGNORECASE)
_IDLE = re.compile(
    r"^((docs?|chore|tests?|ci|build|style|release|deps|wip|revert|merge|bump|version|prepare|backport|update|cleanup"
    r"|clean up|lint|format|typo|spelling|rename|refactor|minor|misc|ran|run|apply|review|address|more|oops)\b)"
    r"|\b(typos?|spelling|changelog|copyright|licen[cs]e|lint(er|ing)?|whitespace|indentation|formatting|rubocop|eslint"
    r"|prettier|clippy|warnings?|mypy|flake8|black|ruff|pep ?8|type (hints?|annotations?)|docstrings?|comments?|readme"
    r"|docs?|documentation|tests?|deprecated|travis|appveyor|workflow|coverage|code style|review|feedback|suggestions?"
    r"|version"
    r"|release|merge|revert|wip|upgrade|dependenc(y|ies))\b",
    re.IGNORECASE,
)
_TEST_WORDS = frozenset({"test", "tests", "should", "spec"})


def by_commits(changes: Iterable[Change], units: Sequence[tuple[str, str]]) -> Iterator[Asked]:
    """Yield commit subjects for the units, given as (path, text), that still have the lines the commits added."""
    places: dict[tuple[str, str], set[int]] = defaultdict(set)
    paths: set[str] = set()
    for number, (path, text) in enumerate(units):
        paths.add(path)
        for line in text.splitlines():
            if len(line.strip()) >= _LINE:
                places[path, line.strip()].add(number)
    taken = 0
    asked: set[Asked] = set()
    for change in changes:
        subject = question(change)
        if not subject:
            continue
        touched = {path: lines for path, lines in change.added.items() if path in paths}
        if not touched or len(touched) > _FILES:
            continue
        votes: Counter[int] = Counter()
        for path, lines in touched.items():
            for line in lines:
                holders = places.get((path, line), ())
                if len(holders) == 1:
                    votes.update(holders)
        if not 0 < len(votes) <= _UNITS:
            continue
        for number, _ in votes.most_common():
            if (number, subject) not in asked:
                asked.add((number, subject))
                yield number, subject
                taken += 1
        if taken >= _MOST:
            return


def question(change: Change) -> str:
    """Return a commit's subject as a question, or "" where it is idle, a machine's or no English."""
    if _BOT.search(change.author) or _IDLE.search(change.subject):
        return ""
    text = _NUMBER.sub("", _PREFIX.sub("", change.subject)).strip(" .")
    return prose.question(text) if _WORDS[0] <= len(text.split()) <= _WORDS[1] and not _IDLE.search(text) else ""


def by_tests(units: Sequence[tuple[str, str, bool]]) -> Iterator[Asked]:
    """Yield what tests are called for the one unit that they name first and call; units are (name, body, is a test)."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, (name, _, testing) in enumerate(units):
        if name and not testing:
            places[tuple(tokens.subtokens(name))].append(number)
    taken = 0
    for name, body, testing in units:
        parts = tuple(tokens.subtokens(name))
        if not testing or not _TEST_WORDS.intersection(parts):
            continue
        words = tuple(part for part in parts if part not in _TEST_WORDS)
        for size in range(len(words) - 1, 0, -1):
            holders = places.get(words[:size], [])
            if len(holders) == 1 and re.search(rf"\b{re.escape(units[holders[0]][0])}\b", body):
                if len(words) >= _WORDS[0] - 1:
                    yield holders[0], " ".join(words)
                    taken += 1
                break
        if taken >= _MOST:
            return
