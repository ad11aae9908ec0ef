"""Strip: take comments and strings out of a passage, for what leaves the machine."""

from __future__ import annotations

import re
from dataclasses import replace

from tree_sitter import Node, Parser

from server.index.languages import LANGUAGES, NOTEBOOK, grammar_of
from server.types import Passage

_LONGEST = 8_000
"""Bytes of a body that are kept: few functions are longer, and parsing the worst of 20,000 took five seconds."""
_WITHHELD = re.compile(
    r"comment|string|char(?:acter)?(?:_literal)?$|template_(?:literal|substitution)|heredoc|sigil|quoted|regex"
    r"|^text$|raw_text|jsx_text"
)
"""Node types of what is said in prose or is data, in all grammars."""
_QUOTED = re.compile(
    r"""(\"{3}|'{3}|`)(?:.*?\1|.*)|/\*(?:.*?\*/|.*)|"(?:\\.|[^"\\\n])*(?:"|$)|(?<!\w)'(?:\\.|[^'\\\n])*'""", re.S | re.M
)
"""What is quoted in most languages; for text that the parser cannot make sense of."""
_LEFT = {
    "python": r"\"\"\".*|'''.*|(?-s:[\"'#].*)",
    "shellscript": r"(?-s:[\"'`#].*)",
    "elixir": r"\"\"\".*|(?-s:[\"'#].*)",
    "haskell": r"\{-.*|(?-s:\".*|--.*)",
    "lua": r"\[=*\[.*|(?-s:[\"'].*|--.*)",
    "ruby": r"(?-s:[\"'`#].*)",
    "rust": r"(?-s:\".*|'(?![a-z_]\w*\b(?!')).*|/[/*].*)",
}
_LEFT_ELSE = r"`.*|/\*.*|(?-s:[\"'].*|//.*)"
"""What is still there where the parser lost its way: from the mark to the end of the line, or of the text."""


def stripped(passage: Passage, language: str) -> Passage:
    """Return the passage without documentation, comments and strings; rather too little than too much is left."""
    signature, body = (_bare(text, language) for text in (passage.signature, passage.body))
    return replace(passage, documentation="", signature=signature, body=body)


def _bare(text: str, language: str) -> str:
    chosen = LANGUAGES.get(language)
    if chosen is not None and (chosen.scripts is not None or language == NOTEBOOK):
        language = "python" if language == NOTEBOOK else "typescript"
        chosen = LANGUAGES[language]
    if chosen is None or not chosen.module or not text:
        return ""  # nothing tells comments and strings from the rest
    data = chosen.opening + b" " * bool(chosen.opening) + text.encode("utf-8", "replace")[:_LONGEST]
    parser = Parser(grammar_of(language))
    tree = parser.parse(data)
    if tree.root_node.has_error:
        data = _QUOTED.sub(" ", data.decode("utf-8", "ignore")).encode()
        tree = parser.parse(data)
    kept, end = [], len(chosen.opening)
    for start, stop in _withheld(tree.root_node):
        if start >= end:
            kept.append(data[end:start])
        end = max(end, stop)
    bare = b" ".join([*kept, data[end:]]).decode("utf-8", "replace")
    return re.sub(_LEFT.get(language, _LEFT_ELSE), "", bare, flags=re.S).strip()


def _withheld(root: Node) -> list[tuple[int, int]]:
    """Return the ranges of comments and strings, in order."""
    found: list[tuple[int, int]] = []
    cursor = root.walk()
    while True:
        node = cursor.node
        if node is not None and node.is_named and _WITHHELD.search(node.type):
            found.append((node.start_byte, node.end_byte))
        elif cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return found
