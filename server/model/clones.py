"""Clones: a function with its variables renamed, found with the parser, to measure how well likeness is found."""

from __future__ import annotations

import re
from collections import Counter

from tree_sitter import Node, Parser

from server.index.languages import grammar_of, has_grammar

_VARIABLES = frozenset({"identifier", "variable_name", "simple_identifier", "variable"})
"""How grammars call a name that may be a variable."""
_OTHERS = ("function", "method", "macro", "type", "constructor")
"""Fields of a parent that hold something else by that kind: what is called or instantiated."""
_BINDINGS = re.compile("param|variable|declarator|let|binding|pattern")
"""Parents whose name is a variable's, not that of a function or type."""
_FEWEST = 2
"""Variables to rename, else the clone is the original; and times that one is named, else it comes from outside."""


def renamed(signature: str, body: str, language: str) -> str:
    """Return a function whose variables have names that say nothing, or "" without a grammar or such variables."""
    if not has_grammar(language):
        return ""
    text = f"{signature}\n{body}"
    source = f"<?php {text}" if language == "php" else text
    roles: dict[str, set[bool]] = {}
    counts: Counter[str] = Counter()
    open_nodes = [Parser(grammar_of(language)).parse(source.encode()).root_node]
    while open_nodes:
        node = open_nodes.pop()
        if node.type in _VARIABLES and not any(child.type in _VARIABLES for child in node.children):
            name = (node.text or b"").decode("utf-8", "replace").lstrip("$")
            counts[name] += 1
            roles.setdefault(name, set()).add(_is_called(node))
        else:
            open_nodes += reversed(node.children)
    found = [name for name, times in counts.items() if times >= _FEWEST and roles[name] == {False} and name]
    if len(found) < _FEWEST:
        return ""
    names = {name: f"v{number}" for number, name in enumerate(found)}
    return re.sub(rf"\b({'|'.join(map(re.escape, found))})\b", lambda match: names[match[1]], text)


def _is_called(node: Node) -> bool:
    parent = node.parent
    if parent is None or "call" in parent.type:
        return parent is not None
    if parent.child_by_field_name("name") == node and not _BINDINGS.search(parent.type):
        return True
    return any(parent.child_by_field_name(field) == node for field in _OTHERS)
