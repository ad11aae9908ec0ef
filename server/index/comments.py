"""Documentation: what comments and docstrings say, without the marks that make them comments."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterable

_LONGEST = 2_000
"""Characters of documentation that are kept: enough for its summary and its main points."""

_OPENING = re.compile(r"\A(?:/\*+!?<?|//+!?<?|#+:?|=begin\b.*|;+|%+|\(\*+|<#|--\[=*\[-?|\{-+\s*[|^]?)[ \t]?")
_CLOSING = re.compile(r"[ \t]*(?:\*+/|^=end|-*\]=*\]|-+\}|\*+\)|#>)[ \t]*\Z", re.M)
_DASHES = re.compile(r"^[ \t]*-{2,}(?:[ \t]+[|^](?=\s|\Z)|[|^])?[ \t]?", re.M)
"""Haskell's grammar counts all lines of a comment as one."""
_STAR = re.compile(r"\n[ \t]*\*+(?=\s|\Z)[ \t]?")
"""With the line end before it, which is found faster than `^`."""
_RULER = re.compile(r"^[ \t]*[-=*#/~_+]{3,}[ \t]*$", re.M)
_RULED = re.compile(r"[-=*#/~_+]{3}")
"""What a ruler has in it; to look for that is faster."""
_DIRECTIVE = re.compile(
    r"^(?:!.*|-\*-.*-\*-|\s*(?:vim?:|(?:en)?coding[:=]|frozen_string_literal:|eslint|go:(?:build|generate)|\+build).*)$",
    re.M,
)
_DIRECTED = ("!", "-*-", "vi:", "vim:", "coding", "frozen_string_literal:", "eslint", "go:", "+build")
"""One of these is in each directive."""
_XML_TAG = re.compile(r"</?(?:summary|remarks|para|returns|c|code|param|typeparam)\b[^>\n]*>")
_TAG = re.compile(
    r"</?(?:a|b|i|p|em|strong|tt|br|pre|ul|ol|li|sup|sub|span|see|seealso|kbd|var|h[1-6])(?:\s[^<>=]*=[^<>]*)?\s*/?>",
    re.I,
)
"""Tags of prose; `<T>` and `List<String>` are none."""
_INLINE = re.compile(r"\{@(?P<tag>\w+)\s*(?P<said>[^{}]*)\}")
"""Javadoc and TSDoc: `{@code x}`, `{@link place}`, `{@link place its name}`."""
_ROLE = re.compile(r":[a-z:]+:`~?([^`<>]+)(?:\s<[^`<>]+>)?`")
"""Of reStructuredText."""
_STRING = re.compile(r"\A~?[A-Za-z]{0,2}(\"\"\"|'''|\"|')(.*?)(?:\1)?\Z", re.S)
_LICENCE = re.compile(r"copyright|licen[sc]e|spdx-", re.I)


def comment_text(comments: Iterable[str]) -> str:
    """Return what a run of adjacent comments says; empty if all of it is rulers and directives to tools."""
    return _folded("\n".join(map(_bare, comments)))


def docstring_text(literal: str) -> str:
    """Return what a docstring says, from its literal in the source."""
    found = _STRING.match(literal.strip())
    return _folded((found[2] if found else literal).removeprefix("\\\n"))


def plain(said: str) -> str:
    """Return a sentence of documentation as it is meant to be read: without tags, entities and links."""
    if "{@" in said:
        said = _INLINE.sub(_inline, said)
    if "<" in said or "&" in said:
        said = html.unescape(_TAG.sub("", said))
    return _ROLE.sub(r"\1", said) if ":`" in said else said


def _inline(found: re.Match[str]) -> str:
    tag, said = found["tag"], found["said"].strip()
    if not tag.startswith("link"):
        return said
    place, _, name = said.replace("|", " ", 1).partition(" ")
    return name.strip() or place.lstrip("#").replace("#", ".")


def is_licence(text: str) -> bool:
    """Tell a licence header from documentation."""
    return _LICENCE.search(text) is not None


def _bare(comment: str) -> str:
    """Remove the markers of one comment; lines of a block keep their indentation relative to its stars."""
    comment = comment.strip()
    if comment.startswith("#!"):
        return ""
    if comment.startswith("--") and not comment.startswith(("--[[", "--[=")):
        return _DASHES.sub("", comment)
    bare = _OPENING.sub("", comment, count=1)
    if comment.startswith("/*"):
        # Most comments end so, and the expression tries at each space whether it is the last.
        is_usual = bare.endswith("*/")
        bare = bare[:-1].rstrip("*").rstrip(" \t") if is_usual else _CLOSING.sub("", bare)
        return _STAR.sub("\n", f"\n{bare}")[1:] if "*" in bare else bare
    return _CLOSING.sub("", bare) if comment.startswith(("=begin", "--[", "{-", "(*", "<#")) else bare


def _folded(text: str) -> str:
    """Remove rulers, directives, XML tags of documentation and common indentation, and cut to the limit."""
    text = _RULER.sub("", text) if _RULED.search(text) else text
    text = _DIRECTIVE.sub("", text) if any(mark in text for mark in _DIRECTED) else text
    text = _XML_TAG.sub("", text) if "<" in text else text
    return inspect.cleandoc(text)[:_LONGEST].strip()
