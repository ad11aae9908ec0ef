"""Extraction: parse a source file and find its functions and types with the query of its language.

The queries beside this file (queries/*.scm, in the manner of tags.scm) say what a unit is. Their captures mean:

@definition.KIND    a unit. Several matches may speak of one name: its span is the widest of their nodes, its kind that
                    of the last pattern. A plain @definition only widens it (decorators, `export`, templates).
@declaration.KIND   the same for what is of use to others only (a C prototype, an associated type): it counts for
                    nothing inside a function, and a type inside a type neither.
@scope.KIND         names what it encloses but is no unit itself (namespaces, Rust's impl blocks, object literals).
@name               the identifier; @declarator instead where C and C++ wrap it in pointers, arrays and parameters.
@name.module        a place only: the unit is called like its module (`export default () => {}`).
@container          what a unit itself says it belongs to (Go receivers, `Thing.prototype.method`).
@body, @doc         what follows the signature; the docstring in it. A match without @name finds its unit by @body.
@doc.module         the docstring of the file.
@doc.before         the docstring in a @prefix.
@parameters         how many there are is part of what a function is called.
@comment, @prefix   comments; decorators, annotations and attributes: part of the span, not of the signature.
@comment.inner      a comment about what it stands in, not about what follows (Rust's //!).
@import             what alone does not make the remainder of a module worth a unit.

@keyword            a word that decides whether the match counts: it must be among those of `(#set! keyword "one two")`.

`(#set! joined)` says that a unit goes on in the next one of its name: equations, clauses, overloads.
Queries use no predicates (#eq? and the like): the binding would fetch their texts through the parse callback.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import numpy as np
from tree_sitter import Node, Parser, Point, QueryCursor, Tree
from tree_sitter import Range as ParsedRange

from server.index.languages import LANGUAGES, NOTEBOOK, Language, Rule, grammar_of, has_grammar, query_of, rules_of
from server.index.notebook import in_notebook, read
from server.index.outline import headed, outline
from server.index.recover import accept, pieces, touches, without
from server.index.units import Found, Lead, Matches, Range, shown_name, write
from server.types import Kind, Unit

_BUDGET = 2.0
"""Seconds of this thread's processor time a file may take; a real one of a megabyte takes a fifth of one.

Not seconds of the clock: a busy machine must not change what is found.
"""
_STEPS_PER_BYTE = 0.03
"""Reports of progress the parser may make for a byte; of 1,500 files the densest, a table in Python, took .023.

1 MB of `a<b<` takes ever more, each with 20 kB of memory, until the process is killed. Counted, not measured in bytes:
that is the same on every platform and whatever was parsed before.
"""
_STEPS_LEAST = 1_000
_COSTLIEST = 500_000_000
"""Steps of the query cursor through error nodes, about a second: it is quadratic in the children of a flat one."""
_NARROW = 300
"""Descendants; error nodes of fewer cost nothing that matters."""
_DEEPEST_NESTING = 10_000
"""Brackets; each open one may cost the parser some kilobytes and microseconds, and no code has a hundredth of it."""
_BUFFER = 1 << 20
"""Bytes of a text that is parsed without asking for more memory."""
_buffers: list[memoryview] = []
"""Those that no thread uses now."""
_BRACKETS = np.zeros(256, np.int8)
_BRACKETS[list(b"([{")] = 1
_BRACKETS[list(b")]}")] = -1
_DEEPEST_TREE = 60_000
"""Levels; the query cursor counts them in 16 bits, and beyond that its time is quadratic."""
_LEVELS = 3
"""How deep recovery goes: a file, a class in it, a class or a namespace in that."""
_REACH = 3
"""Nodes in a row that an error spoils: `foo.` makes a property and a block of the function after it."""

_BOM = b"\xef\xbb\xbf"
_INK = re.compile(rb"[^\n]")
_LONE_CR = re.compile(rb"\r(?!\n)")
_OWN = frozenset({"exports", "module.exports", "module", "this", "self", "window", "globalThis", "global"})
"""Objects whose functions belong to the module or to the function around them, not to a thing of that name."""
_GENERIC = re.compile(r"[<\[?]")
"""What in the name of a type is not its name: `List<T>?`."""
_QUALIFIED = {"alias": b".", "scope_resolution": b"::"}
"""What parts the names in a node: `defmodule Plug.Conn` is called Conn, and belongs to Plug."""
_TRAILING = re.compile(rb"(?://[/!]|/\*[*!])<|(?:--|\{-)\s*\^")
"""Comments about what stands before them."""
_KINDS = {
    "function": Kind.FUNCTION,
    "method": Kind.METHOD,
    "constructor": Kind.CONSTRUCTOR,
    "class": Kind.CLASS,
    "struct": Kind.STRUCT,
    "interface": Kind.INTERFACE,
    "enum": Kind.ENUM,
    "type": Kind.TYPE,
    "namespace": Kind.NAMESPACE,
    "constant": Kind.CONSTANT,
    "": None,
}

_Captures = dict[str, list[Node]]


def extract(data: bytes, language: str, path: str) -> tuple[Unit, ...]:
    """Return the units of a file in file order, none if the language is not known; no bytes make it raise.

    A file that takes too long to parse has one unit, its module.
    """
    chosen = LANGUAGES.get(language)
    if chosen is None:
        return ()
    if language == NOTEBOOK:
        notebook = read(data)
        inner = LANGUAGES.get(notebook.language, LANGUAGES["python"])
        return in_notebook(notebook, write(notebook.text, _matches(notebook.code, inner.id), path, inner), data, path)
    # What is parsed is the file without its byte order mark and with each lone \r as \n, because the grammars know
    # \n only. Offsets of a Span count from the real start of the file; column 0 of row 0 is after the mark.
    shift = len(_BOM) if data.startswith(_BOM) else 0
    text = data[shift:]
    if b"\r" in text:
        text = _LONE_CR.sub(b"\n", text)
    return write(text, _matches(*_script(text, chosen)), path, chosen, shift)


def _script(text: bytes, language: Language) -> tuple[bytes, str]:
    """Return what of a file is code, in its place, and the language of that; all else becomes white space."""
    if language.scripts is None:
        return text, language.id
    kept, end, inner = list[bytes](), 0, "javascript"
    for script in language.scripts.finditer(text):
        kept += [_INK.sub(b" ", text[end : script.start("code")]), script["code"]]
        end = script.end("code")
        if script["typed"] is not None:
            inner = "typescript"
    return b"".join([*kept, _INK.sub(b" ", text[end:])]), inner


def spoiled(data: bytes, language: str) -> list[Range]:
    """Return the ranges of a file in which errors may have hidden units; none for one that takes too long to parse."""
    text = _LONE_CR.sub(b"\n", data)
    tree = None if _is_deep(text) else _parse(text, language, time.thread_time() + _BUDGET)
    return _spoiled(tree.root_node) if tree is not None and tree.root_node.has_error else []


def _matches(text: bytes, language: str) -> Matches:
    """Parse a text and run its language's query, and again on the parts of it that errors have spoiled."""
    if not has_grammar(language):
        return outline(text)
    if _is_deep(text) or _is_noise(text):
        return Matches()
    deadline = time.thread_time() + _BUDGET
    whole = (0, len(text))
    tree = _parse(text, language, deadline)
    if tree is None:
        return Matches()
    found = _query(text, language, tree, deadline) or Matches()
    spoiled = _spoiled(tree.root_node) if tree.root_node.has_error else []
    opening = LANGUAGES[language].opening
    prologue = [(at, at + len(opening))] if opening and (at := text.find(opening)) >= 0 else []
    around_errors, lost = [whole] if spoiled else [], list[Range]()
    for level in range(_LEVELS):
        broken: list[Range] = []
        for around in around_errors:
            holes: list[Range] = []
            for piece in pieces(text, around, level):
                # An error may begin in the middle of a class, and the rest of it look like something else.
                if level == 0 and not touches(piece, spoiled):
                    continue
                if time.thread_time() > deadline:
                    break
                # The whole was tried already.
                alone = _alone(text, language, prologue, [piece], deadline) if piece != whole else None
                if alone is None:
                    holes.append(piece)
                else:
                    accept(text, found, alone, piece, outermost=level == 0)
            # A class is whole again without the methods that spoil it.
            if level and holes and time.thread_time() < deadline:
                rest = _alone(text, language, prologue, list(without(around, holes)), deadline)
                if rest is not None:
                    accept(text, found, rest, around, outermost=level == 1, holes=holes)
            broken += holes
        around_errors = broken
        lost += broken
    names = {each.name[0] for each in found.found}
    for piece in lost:
        last_resort = headed(text, piece)
        if last_resort is not None and last_resort.name[0] not in names:
            found.found.append(last_resort)
    return found


def _alone(text: bytes, language: str, prologue: list[Range], extents: list[Range], deadline: float) -> Matches | None:
    """Return what some ranges of a text hold if they parse without error."""
    before = [each for each in prologue if each[1] <= extents[0][0]]
    tree = _parse_ranges(text, language, [*before, *extents])
    return None if tree.root_node.has_error else _query(text, language, tree, deadline)


def _is_deep(text: bytes) -> bool:
    """Tell whether more brackets are open at once than a parser should meet, those in strings and comments included."""
    if sum(map(text.count, (b"(", b"[", b"{"))) <= _DEEPEST_NESTING:
        return False
    return int(np.cumsum(_BRACKETS[np.frombuffer(text, np.uint8)], dtype=np.int32).max()) > _DEEPEST_NESTING


def _is_noise(text: bytes) -> bool:
    """Tell whether a text is none: some grammars look to its end from each byte that is no character."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode(errors="replace").count("\ufffd") * 5 > len(text)
    return False


def _parse(text: bytes, language: str, deadline: float) -> Tree | None:
    """Parse a text; None if that takes too long."""
    most = _STEPS_LEAST + _STEPS_PER_BYTE * len(text)
    steps = reads = 0

    def read(offset: int, _point: object) -> memoryview:
        nonlocal reads
        reads += 1
        return buffer[offset : len(text)] if reads < most else buffer[:0]

    def is_enough(_offset: int, _has_error: bool) -> bool:
        nonlocal steps
        steps += 1
        return max(steps, reads) > most or time.thread_time() > deadline

    # Only the form that reads through a callback can be stopped. It never lets go of what the callback returned but the
    # last (tree-sitter 0.26.1), and the scanners of Haskell, Kotlin and Scala go to the end of the file and back
    # hundreds of times: so that is a view of a buffer that is used again.
    buffer = _buffers.pop() if _buffers else memoryview(bytearray(_BUFFER))
    if len(buffer) < len(text):
        buffer = memoryview(bytearray(1 << len(text).bit_length()))
    buffer[: len(text)] = text
    try:
        tree = Parser(grammar_of(language)).parse(read, progress_callback=is_enough)
        return tree if reads < most else None
    except ValueError:  # stopped
        return None
    finally:
        _buffers.append(buffer)


def _parse_ranges(text: bytes, language: str, ranges: list[Range]) -> Tree:
    """Parse some ranges of a text as if nothing were between them; the whole of it was parsed in time before."""
    # Points are not read anywhere, so they need not be right.
    included = [ParsedRange(Point(0, 0), Point(0, 0), start, end) for start, end in ranges]
    return Parser(grammar_of(language), included_ranges=included).parse(text)


def _query(text: bytes, language: str, tree: Tree, deadline: float) -> Matches | None:
    """Run the query of a language over a tree; None if that would take too long."""
    # It cannot be stopped (its progress callback crashes the process, tree-sitter 0.26.1), so ask beforehand.
    if _is_costly(tree.root_node, deadline):
        return None
    return _gather(text, QueryCursor(query_of(language)).matches(tree.root_node), rules_of(language))


def _spoiled(root: Node) -> list[Range]:
    """Return the ranges of the outermost nodes of a tree that hold errors."""
    if root.is_error:
        return [root.byte_range]
    ranges: list[Range] = []
    reach = 0
    for child in root.children:
        joins = reach > 0
        reach = _REACH if child.has_error else reach - 1
        if reach > 0:
            ranges.append((ranges.pop()[0] if joins else child.start_byte, child.end_byte))
    return ranges


def _is_costly(root: Node, deadline: float) -> bool:
    """Tell whether a tree is so deep, or its error nodes so wide, that the query would not end in time."""
    cost, stack = 0, [(root, 0)]
    while stack:
        node, depth = stack.pop()
        cost += node.child_count**2 if node.is_error else 0
        if cost > _COSTLIEST or depth > _DEEPEST_TREE or time.thread_time() > deadline:
            return True
        size = node.descendant_count
        if (size > _NARROW and node.has_error) or depth + size > _DEEPEST_TREE:
            stack.extend((child, depth + 1) for child in node.children)
    return False


def _gather(text: bytes, matches: Iterable[tuple[int, _Captures]], rules: tuple[Rule, ...]) -> Matches:
    """Merge the matches that speak of the same name or the same body."""
    gathered = Matches()
    by_name: dict[int, Found] = {}
    docs: dict[int, Range] = {}
    prefixes: dict[int, Lead] = {}
    for pattern, captures in matches:
        keywords = rules[pattern].keywords
        if keywords and text[slice(*captures["keyword"][0].byte_range)] not in keywords:
            continue
        if "comment.inner" in captures:
            gathered.leads.append(Lead(*captures["comment.inner"][0].byte_range, True, is_inner=True))
        elif "comment" in captures:
            start, end = captures["comment"][0].byte_range
            # Some grammars count the line end to the comment.
            end -= text.endswith(b"\n", start, end)
            gathered.leads.append(Lead(start, end, True, is_inner=_TRAILING.match(text, start, end) is not None))
        elif "prefix" in captures:
            start, end = captures["prefix"][0].byte_range
            doc = captures["doc.before"][0].byte_range if "doc.before" in captures else None
            known_end, known_doc = (prefixes[start].end, prefixes[start].doc) if start in prefixes else (0, None)
            prefixes[start] = Lead(start, max(end, known_end), False, doc=doc or known_doc)
        elif "import" in captures:
            gathered.imports.append(captures["import"][0].byte_range)
        elif "doc.module" in captures:
            gathered.doc = captures["doc.module"][0].byte_range
        elif "doc" in captures:
            docs[captures["body"][0].start_byte] = captures["doc"][0].byte_range
        elif (found := _found(text, pattern, captures, rules[pattern])) is not None and found.name[1] > found.name[0]:
            known = by_name.setdefault(found.name[0], found)
            if known is not found:
                _merge(known, found)
    gathered.leads += prefixes.values()
    by_body: dict[Range | int, Found] = {}
    for found in by_name.values():
        if found.kind is None:
            continue
        found.doc = docs.get(found.body[0]) if found.body else None
        # `handler = function named() {}` is one function: the outer name is how others call it.
        known = by_body.setdefault(found.body or found.name[0], found)
        if known is not found:
            by_body[found.body or found.name[0]] = _outer(known, found)
    gathered.found = list(by_body.values())
    return gathered


def _found(text: bytes, pattern: int, captures: _Captures, rule: Rule) -> Found | None:
    """Read one match of a definition, a declaration or a scope."""
    container: list[str] = []
    if "declarator" in captures:
        name, scopes = _declared(captures["declarator"][0])
        container = [shown_name(text, scope.byte_range) for scope in scopes]
    else:
        name = _extent(captures.get("name", captures.get("name.module", [])))
    role, _, kind = next(key for key in captures if key.startswith(("definition", "declaration", "scope"))).partition(
        "."
    )
    if name is None:
        return None
    mark = _QUALIFIED.get(captures["name"][0].type) if "name" in captures else None
    if mark is not None and (last := text.rfind(mark, *name)) >= 0:
        container += map(str.strip, text[name[0] : last].decode(errors="replace").split(mark.decode()))
        name = last + len(mark), name[1]
    outer = captures[f"{role}.{kind}" if kind else role][0]
    owner = shown_name(text, captures["container"][0].byte_range) if "container" in captures else ""
    if owner not in _OWN:
        container.append(_GENERIC.split(owner, maxsplit=1)[0].removesuffix(".prototype"))
    return Found(
        *outer.byte_range,
        name,
        _KINDS[kind],
        is_unit=role != "scope",
        is_declaration=role == "declaration",
        named_by_module="name.module" in captures or (owner == "module" and text[slice(*name)] == b"exports"),
        container=tuple(filter(None, container)),
        body=_extent(captures["body"]) if "body" in captures else None,
        pattern=pattern if kind else -1,
        joins=rule.joined,
        arity=sum(not node.is_extra for node in captures["parameters"][0].named_children)
        if "parameters" in captures
        else 0,
    )


def _extent(nodes: list[Node]) -> Range:
    """Return the range from the first of some nodes to the last."""
    return nodes[0].start_byte, nodes[-1].end_byte


def _merge(known: Found, new: Found) -> None:
    """Add a match to what is known of its name."""
    known.start, known.end = min(known.start, new.start), max(known.end, new.end)
    if known.body and new.body:  # the rules of a macro
        known.body = min(known.body[0], new.body[0]), max(known.body[1], new.body[1])
    known.body = known.body or new.body
    known.container = known.container or new.container
    known.joins, known.arity = known.joins or new.joins, known.arity or new.arity
    known.is_declaration = known.is_declaration or new.is_declaration
    if new.kind is not None and new.pattern > known.pattern:
        known.kind, known.is_unit, known.name, known.pattern = new.kind, new.is_unit, new.name, new.pattern


def _outer(one: Found, other: Found) -> Found:
    """Choose between two names of one body: the outer, unless that is only `module.exports`."""
    outer, inner = (one, other) if one.end - one.start > other.end - other.start else (other, one)
    if outer.named_by_module:
        outer.name, outer.named_by_module = inner.name, False
    return outer


def _declared(node: Node) -> tuple[Range | None, list[Node]]:
    """Follow a C declarator to the name of the function it declares, and to the scopes that qualify the name.

    The name is None for what is no function: `int (*callback)(void)` declares a pointer.
    """
    is_function = False
    while True:
        if node.type == "function_declarator":
            is_function = True
        elif node.type in {"pointer_declarator", "array_declarator", "reference_declarator"}:
            is_function = False
        # The grammars name this field for some declarators and not for the others.
        inner = node.child_by_field_name("declarator")
        if inner is None and node.type.endswith("_declarator"):
            inner = next(
                (child for child in node.named_children if child.type.endswith(("declarator", "identifier"))), None
            )
        if inner is None or node.type == "operator_cast":
            break
        node = inner
    scopes: list[Node] = []
    while (inner := node.child_by_field_name("name")) is not None:
        scope = node.child_by_field_name("scope")
        while scope is not None and (bare := scope.child_by_field_name("name")) is not None:
            scope = bare
        scopes += [scope] if scope is not None else []
        node = inner
    if node.type == "operator_cast":
        converted = node.child_by_field_name("type")
        return (node.start_byte, converted.end_byte if converted is not None else node.end_byte), scopes
    return (node.byte_range if is_function else None), scopes
