"""Outline: definitions told by their first lines, where there is no grammar or the grammar finds only an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from server.index.units import Found, Lead, Matches, Range
from server.types import Kind

_KINDS = {
    Kind.CLASS: "class object actor contract library mixin extension impl implementation service role defrecord "
    "deftype",
    Kind.INTERFACE: "interface protocol trait defprotocol",
    Kind.STRUCT: "struct union record message table",
    Kind.ENUM: "enum",
    Kind.NAMESPACE: "module namespace package defmodule",
    Kind.TYPE: "type typealias newtype scalar view",
    Kind.FUNCTION: "function func fun fn def sub proc procedure subroutine method macro iterator template modifier rpc "
    "trigger defn defn- defun defmacro defmethod defgeneric define define-syntax",
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_MODIFIER = (
    "pub|public|private|protected|internal|fileprivate|open|override|static|final|abstract|sealed|data|inner|inline|async"
    "|export|default|extern|external|virtual|const|unsafe|suspend|operator|infix|local|case|implicit|partial|native|pure"
    "|elemental|recursive|enum(?=[ ]class)"
)
_STATEMENT = (
    "return|if|else|for|foreach|while|switch|new|throw|case|do|await|yield|assert|when|catch|unless|until|print|my"
)
_NAME = r"[A-Za-z_$][\w$:!?'-]*"
_HEAD = re.compile(
    rf"""^(?P<indent>[ \t]*)(?:
      (?:@\w+(?:\([^)\n]*\))?[ \t]+)*(?:(?:{_MODIFIER})[ \t]+)*
        (?P<word>(?i:function|sub|procedure|subroutine)|class|object|actor|contract|library|mixin|extension|impl
          |service|role|@?interface|@?protocol|@implementation|trait|struct|union|record|message|enum|module
          |namespace|package|type|typealias|newtype|scalar|func|fun|fn|def(?![ \t]+\w+[ \t]*=[^>=])|proc|method
          |macro|iterator|template|modifier|rpc)!?
        (?:[ \t]+class\b)?[ \t]+(?:<[^>\n]*>[ \t]*)?(?:[\w<>?*]+\.)*(?P<name>{_NAME})
    | \((?P<lisp>defn-?|defun|defmacro|defmethod|defgeneric|define(?:-syntax)?|defprotocol|defrecord|deftype)[ \t]+\(?
        (?P<lisp_name>[^\s()\[\]]+)
    | (?i:create)\s+(?:(?i:or\s+replace|temp|temporary|materialized|unique|external)\s+)*
        (?P<sql>(?i:table|view|function|procedure|trigger|type))\s+(?:(?i:if\s+not\s+exists)\s+)?
        (?:[\w"`\[\]]+\.)*(?P<sql_name>["`\[]?\w+["`\]]?)
    | (?:resource|data|module|variable|output|provider)[ \t]+(?:"[^"\n]*"[ \t]+)?(?P<block>"[^"\n]*")[ \t]*\{{
    | (?:let|and)[ \t]+(?:rec[ \t]+|inline[ \t]+|private[ \t]+)*(?P<let>[a-z_]\w*'*)(?=[ \t]+[^=:\s]|[ \t]*=[ \t]*fun)
    | (?P<shell>[A-Za-z_][\w:.-]*)[ \t]*\(\)\s*[{{(]
    | (?P<assigned>[A-Za-z_][\w.]*)[ \t]*(?:<-|=)[ \t]*function\b
    | (?P<clause>[a-z]\w*)\([^\n]*\)(?:[ \t]+when[ \t][^\n]*)?[ \t]*->
    | (?P<equation>[A-Za-z_]\w*!?)\([^=\n]*\)[ \t]*=[ \t]*(?![=>])
    | [-+][ \t]*\([^)\n]+\)[ \t]*(?P<message>\w+)
    | (?!(?:{_STATEMENT})\b)(?:[\w:<>,*&\[\]?.]+[ \t]+){{1,6}}[*&]*(?P<typed>[A-Za-z_]\w*)\([^;\n]*\)[^;{{}}()=\n]*\{{
    )""".encode(),
    re.M | re.X,
)
_NAMES = (
    "name",
    "lisp_name",
    "sql_name",
    "block",
    "let",
    "shell",
    "assigned",
    "clause",
    "equation",
    "message",
    "typed",
)
_LINE_COMMENT = re.compile(
    rb"^[ \t]*((?://|--|;|%|#(?!>|(?:include|define|if|endif|else|pragma|import)\b))[^\n]*)", re.M
)
_COMMENT_END = {b"/*": b"*/", b"(*": b"*)", b"<#": b"#>"}
_COMMENT_START = re.compile(b"|".join(map(re.escape, _COMMENT_END)))
_CLOSES = re.compile(rb"[ \t]*(?:[})\]]|end\b|done\b|fi\b|esac\b|\$\$|go\b)", re.I)
_BLOCK = 40
"""Lines after which the next empty one ends a block of a text without definitions."""


def outline(text: bytes) -> Matches:
    """Return the definitions of a text, or blocks of its lines if it has none."""
    heads = {head.start(): head for head in _HEAD.finditer(text)}
    found: list[Found] = []
    pending: list[tuple[int, Found]] = []
    last, was_empty = 0, False
    for begin, end in _lines(text):
        line = text[begin:end]
        if not line.strip():
            was_empty = True
            continue
        indent = len(line) - len(line.lstrip())
        head = heads.get(begin)
        while pending and indent <= pending[-1][0]:
            if indent == pending[-1][0] and head is None and _CLOSES.match(line):
                last = end
            elif indent == pending[-1][0] and head is None and not was_empty:
                break  # `{` in a line of its own, or a body at the margin
            pending.pop()[1].end = last
        if head is not None:
            found.append(_found(head, end))
            if _is_whole(line):
                found[-1].end = end
            else:
                pending.append((indent, found[-1]))
        last, was_empty = end, False
    for _, each in pending:
        each.end = last
    for each in found:
        # `create or replace` may stand in a line above its name.
        each.end = max(each.end, each.name[1])
        each.body = (min(each.body[0], each.end), each.end) if each.body else None
    leads = [Lead(*match.span(1), True) for match in _LINE_COMMENT.finditer(text)]
    leads += [Lead(begin, end, True) for begin, end in _block_comments(text)]
    return Matches(found or list(_blocks(text)), leads)


def headed(text: bytes, extent: Range) -> Found | None:
    """Return the definition that a piece of code begins with, all of it."""
    head = _HEAD.match(text, *extent)
    if head is None:
        return None
    end = extent[0] + len(text[slice(*extent)].rstrip())
    found = _found(head, text.find(b"\n", head.end(), end))
    found.end, found.body = end, (min(found.body[0], end), end) if found.body else None
    return found


def _found(head: re.Match[bytes], line_end: int) -> Found:
    """Return what a first line begins; its end is not known yet."""
    group = next(name for name in _NAMES if head[name] is not None)
    word = (head["word"] or head["lisp"] or head["sql"] or b"function").decode().lower().lstrip("@")
    kind = _KIND_OF.get(word, Kind.FUNCTION)
    start = head.end("indent")
    return Found(
        start,
        max(line_end, head.end(group)),
        head.span(group),
        kind,
        body=(max(line_end, head.end(group)), line_end),
        joins=group in {"clause", "equation"},
    )


def _is_whole(line: bytes) -> bool:
    """Tell whether a definition ends in its first line."""
    opened = line.count(b"{") + line.count(b"("), line.count(b"}") + line.count(b")")
    return opened[0] == opened[1] and line.rstrip().endswith((b"}", b";")) and b" {" in line


def _blocks(text: bytes) -> Iterator[Found]:
    """Yield a text in blocks of lines, none if it is short enough to be one."""
    borders, count = [0], 0
    for begin, end in _lines(text):
        count += 1
        if count > _BLOCK and not text[begin:end].strip():
            borders.append(end)
            count = 0
    if len(borders) > 1:
        for begin, end in pairwise([*borders, len(text)]):
            if text[begin:end].strip():
                yield Found(begin, end, (begin, begin), Kind.MODULE, named_by_module=True, body=(begin, end))


def _block_comments(text: bytes) -> Iterator[Range]:
    """Yield the comments that are closed; the end of each kind is looked for in vain once, not at every start."""
    unclosed: set[bytes] = set()
    at = 0
    while (start := _COMMENT_START.search(text, at)) is not None:
        end = -1 if start[0] in unclosed else text.find(_COMMENT_END[start[0]], start.end())
        if end < 0:
            unclosed.add(start[0])
            at = start.end()
        else:
            at = end + 2
            yield start.start(), at


def _lines(text: bytes) -> Iterator[Range]:
    """Yield the lines of a text without their ends."""
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin)
        end = len(text) if end < 0 else end
        yield begin, end
        begin = end + 1
