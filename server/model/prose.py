"""Prose: the first paragraph of a documentation comment as plain English, or nothing."""

from __future__ import annotations

import re

_WORDS = (3, 60)
"""A question has this many words."""
_MARKUP = (
    (re.compile(r"\{@\w+\s+([^}]*)\}"), r"\1"),  # javadoc inline tags
    (re.compile(r":[\w:.-]+:`~?([^`<]*)(?:<[^`]*>)?`"), r"\1"),  # reStructuredText roles
    (re.compile(r"\[([^\]]+)\](\([^)]*\)|\[[^\]]*\])?"), r"\1"),  # links
    (re.compile(r"<(?:see|paramref|typeparamref)\s+\w+=\"([^\"]*)\"\s*/?>"), r"\1"),  # C# references
    (re.compile(r"</?[a-zA-Z][^<>]{0,200}>"), " "),
    (re.compile(r"https?://\S+"), " "),
    (re.compile(r"[`*|]+|__+|&\w+;"), " "),
    (re.compile(r"\s+"), " "),
)
_BREAK = re.compile(
    r"^\s*([@\\]\w+|:\w+[^:]*:|\.\. |>>>|\$ |```|~~~|[-=~*#]{3,}|[-*+] |\d+[.)] "
    r"|#* *(args|arguments|parameters?|params|returns?|raises|throws|examples?|usage|notes?|yields|attributes|see also"
    r"|options|inputs?|outputs?|errors|panics|safety|keyword arguments|type parameters)\s*:?\s*$)"
    r"|<(p|pre|ul|ol|table|param|returns|remarks|example|exception)\b",
    re.IGNORECASE,
)
_BRIEF = re.compile(r"^\s*[@\\](brief|summary|short|description|desc)\s+", re.IGNORECASE)
_NOISE = re.compile(
    r"\b(todo|fixme|xxx|hack|noqa|nolint|nosec|eslint|tslint|jshint|pylint|istanbul|type: ignore|copyright|licen[cs]ed?"
    r"|generated|inheritdoc|non-javadoc|see (the )?(super|parent|base)\b|deprecated|pragma|@ts-)",
    re.IGNORECASE,
)
_FOREIGN = frozenset(
    [
        "der",
        "die",
        "das",
        "und",
        "nicht",
        "eine",
        "für",
        "le",
        "les",
        "des",
        "une",
        "est",
        "pour",
        "dans",
        "el",
        "los",
        "una",
        "para",
        "que",
        "del",
        "il",
        "per",
        "che",
        "non",
    ]
)
_ENGLISH = frozenset(
    [
        "the",
        "a",
        "an",
        "of",
        "to",
        "and",
        "in",
        "is",
        "for",
        "with",
        "by",
        "from",
        "if",
        "on",
        "that",
        "this",
        "it",
        "as",
        "be",
        "or",
        "not",
        "are",
        "when",
        "which",
        "at",
        "into",
        "all",
    ]
)
_WORD = re.compile(r"[^\W\d_]+")


def question(documentation: str) -> str:
    """Return the first paragraph without markup, or "" where it is no English prose of 3 to 60 words."""
    text = _first_paragraph(documentation)
    if _NOISE.search(text):
        return ""
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    text = text.strip(" :.-")
    found = text.split(" ")
    if len(found) > _WORDS[1]:
        text = " ".join(found[: _WORDS[1]])
        text = text[: text.rfind(". ") + 1] or text
    return text if len(found) >= _WORDS[0] and _english(text) else ""


def _first_paragraph(documentation: str) -> str:
    lines: list[str] = []
    for line in documentation.splitlines():
        brief = _BRIEF.match(line)
        if brief:
            lines = [line[brief.end() :]]
        elif not line.strip() or _BREAK.search(line):
            if lines:
                break
        else:
            lines.append(line.strip())
    return " ".join(lines)


def _english(text: str) -> bool:
    """Tell prose from code, tables and other languages by its letters and its commonest words."""
    letters = sum(char.isalpha() for char in text)
    ascii_letters = sum(char.isascii() and char.isalpha() for char in text)
    if letters < 0.65 * len(text) or ascii_letters < 0.95 * letters:
        return False
    found = [word.lower() for word in _WORD.findall(text)]
    foreign, english = (sum(word in common for word in found) for common in (_FOREIGN, _ENGLISH))
    return len(found) >= _WORDS[0] and foreign <= english
