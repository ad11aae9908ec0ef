"""Units: cut a source file into functions, types and the remainder of the module.

The queries beside this file (queries/*.scm, in the manner of tags.scm) say what a unit is; their captures mean:

@definition.KIND   a unit; of several patterns for one name the widest node is its span, the last pattern its kind
@scope.KIND        gives its name to what it encloses but is no unit (namespaces, Rust's impl blocks)
@name              the identifier; @declarator instead where C and C++ bury it in pointers, arrays and parameters
@container         a name that the unit itself says it belongs to (Go receivers, `Foo.prototype.bar`)
@body @doc         what follows the signature; the docstring within it (a match without @name finds its unit by @body)
@comment @prefix   comments; decorators, annotations and attributes: part of the span, not of the signature
@import            not worth a module unit by itself

Query predicates (#eq? and the like) are not used: the binding fetches their text through the parse callback.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from tree_sitter import Node, Parser, QueryCursor

from server.index.comments import comment_text, docstring_text, is_licence
from server.index.languages import LANGUAGES, NAMED_LIKE_CLASS, Language, grammar_of, query_of
from server.types import Kind, Passage, Span, Unit

_BUDGET = 2.0
"""Seconds a file may take to parse; real files of a megabyte take a fifth of one."""
_CHUNK = 1 << 16
_LONGEST_SIGNATURE = 300
_LONGEST_BODY = 20_000
_DEEPEST = 12
"""Units nested deeper stay in the body of what encloses them, so text and containers cannot grow with depth squared."""
_FEWEST_WORDS = 3
"""A remainder with fewer words than this beside its imports says nothing."""
_COSTLIEST = 500_000_000
"""Steps of the query cursor in error nodes, about a second: it is quadratic in the children of a flat one."""

_BOM = b"\xef\xbb\xbf"
_LONE_CR = re.compile(rb"\r(?!\n)")
_WORD = re.compile(rb"[^\W\d]\w+|[\x80-\xff]{2,}")
_FILE_START = re.compile(rb"\A(?:#![^\n]*\n)?\s*(?:<\?(?:php)?)?\s*\Z")
_UNNAMED_STEMS = frozenset({"__init__", "__main__", "index", "mod", "main", "lib", "doc"})
_SELF = frozenset({"exports", "module.exports", "module", "this", "self", "window", "globalThis", "global"})
"""Objects whose functions belong to the module or to the function around them, not to a thing of that name."""
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
}
_CLASS_LIKE = frozenset({Kind.CLASS, Kind.STRUCT, Kind.INTERFACE, Kind.ENUM, Kind.TYPE, Kind.NAMESPACE})

Range = tuple[int, int]
"""Start and end as byte offsets into the text that was parsed."""


@dataclass(slots=True)
class _Found:
    """A unit or a scope while it is put together from the matches that speak of it."""

    start: int
    end: int
    name: Range
    kind: Kind
    is_unit: bool
    pattern: int
    container: tuple[str, ...] = ()
    body: Range | None = None
    doc: Range | None = None
    parent: _Found | None = None
    children: list[_Found] = field(default_factory=list)
    """Units directly inside, in order; scopes between are passed over."""
    depth: int = 0


@dataclass(slots=True)
class _Matches:
    """What the query found in a file."""

    found: list[_Found]
    leads: list[tuple[int, int, bool]]
    """Comments (True) and decorators (False) in order: what may stand above a definition and belong to it."""
    imports: list[Range]
    doc: Range | None
    """The docstring of the module."""


def extract(data: bytes, language: str, path: str) -> tuple[Unit, ...]:
    """Return the units of a file in file order; none for a language that is not known. Raises nothing."""
    chosen = LANGUAGES.get(language)
    if chosen is None:
        return ()
    # The text that is parsed is the file without its byte order mark and with every lone \r as \n, because the
    # grammars know \n only. Offsets of a Span count from the real start of the file; column 0 is after the mark.
    shift = len(_BOM) if data.startswith(_BOM) else 0
    text = data[shift:]
    if b"\r" in text:
        text = _LONE_CR.sub(b"\n", text)
    matches = _match(text, chosen)
    return _Writer(text, shift, chosen, matches).units(path)


def _match(text: bytes, language: Language) -> _Matches:
    """Parse a file and run its language's query; empty if that would take too long."""
    deadline = time.monotonic() + _BUDGET
    parser = Parser(grammar_of(language.id))
    try:
        # Only the form with a read callback takes a progress callback.
        tree = parser.parse(
            lambda offset, _: text[offset : offset + _CHUNK],
            progress_callback=lambda _offset, _error: time.monotonic() > deadline,
        )
    except ValueError:  # stopped
        return _Matches([], [], [], None)
    # The query cannot be stopped: its progress callback crashes the process (tree-sitter 0.26.1), so ask beforehand.
    if tree.root_node.has_error and _is_costly(tree.root_node, deadline):
        return _Matches([], [], [], None)
    return _gather(text, language, QueryCursor(query_of(language.id)).matches(tree.root_node))


def _is_costly(root: Node, deadline: float) -> bool:
    """Tell whether the error nodes of a tree are so wide that the query would not end in time."""
    cost, stack = 0, [root]
    while stack:
        node = stack.pop()
        if node.is_error:
            cost += node.child_count**2
        if cost > _COSTLIEST or time.monotonic() > deadline:
            return True
        # Narrow error nodes cost nothing that matters, and skipping them keeps this walk short.
        if node.descendant_count > 300:
            stack.extend(child for child in node.children if child.has_error)
    return False


def _gather(text: bytes, language: Language, matches: Iterable[tuple[int, dict[str, list[Node]]]]) -> _Matches:
    """Merge the matches that speak of the same name or the same body."""
    by_name: dict[int, _Found] = {}
    docs: dict[int, Range] = {}
    leads: list[tuple[int, int, bool]] = []
    imports: list[Range] = []
    module_doc = None
    for pattern, captures in matches:
        if "comment" in captures:
            start, end = captures["comment"][0].byte_range
            # Some grammars count the line end to the comment.
            leads.append((start, end - (text[end - 1 : end] == b"\n"), True))
        elif "prefix" in captures:
            leads.append((*captures["prefix"][0].byte_range, False))
        elif "import" in captures:
            imports.append(captures["import"][0].byte_range)
        elif "doc.module" in captures:
            module_doc = captures["doc.module"][0].byte_range
        elif "doc" in captures:
            docs[captures["body"][0].start_byte] = captures["doc"][0].byte_range
        else:
            found = _found(text, pattern, captures)
            if found is not None:
                _merge(by_name, found)
    by_body: dict[int, _Found] = {}
    rest = []
    for found in by_name.values():
        if found.body is None:
            rest.append(found)
            continue
        found.doc = docs.get(found.body[0])
        other = by_body.get(found.body[0])
        # `handler = function named() {}` is one function: the name outside is how others call it.
        if other is None or found.end - found.start > other.end - other.start:
            by_body[found.body[0]] = found
    ordered = sorted([*by_body.values(), *rest], key=lambda found: (found.start, -found.end, found.name))
    _nest(ordered)
    leads.sort()
    return _Matches([found for found in ordered if found.depth <= _DEEPEST], leads, imports, module_doc)


def _found(text: bytes, pattern: int, captures: dict[str, list[Node]]) -> _Found | None:
    """Read one match of a definition or a scope."""
    container: list[str] = []
    name: Node | None
    if "declarator" in captures:
        name, scopes = _declared(captures["declarator"][0])
        if name is None:
            return None
        container = [_name(text, scope.byte_range) for scope in scopes]
    else:
        name = captures["name"][0]
    for node in captures.get("container", ()):
        owner = _name(text, node.byte_range).removesuffix(".prototype")
        container += [owner] if owner not in _SELF else []
    for capture, nodes in captures.items():
        role, _, kind = capture.partition(".")
        if kind:
            body = captures["body"][0].byte_range if "body" in captures else None
            outer = nodes[0]
            return _Found(
                outer.start_byte,
                outer.end_byte,
                name.byte_range,
                _KINDS[kind],
                role == "definition",
                pattern,
                tuple(filter(None, container)),
                body,
            )
    return None


def _merge(by_name: dict[int, _Found], new: _Found) -> None:
    """Add a match to what is known of its name."""
    old = by_name.setdefault(new.name[0], new)
    if old is new:
        return
    old.start, old.end = min(old.start, new.start), max(old.end, new.end)
    old.body = old.body or new.body
    old.container = old.container or new.container
    if new.pattern > old.pattern:
        old.kind, old.is_unit, old.pattern = new.kind, new.is_unit, new.pattern


def _declared(node: Node) -> tuple[Node | None, list[Node]]:
    """Follow a C declarator to the name of the function it declares, and the scopes that qualify it.

    None for what is no function: `int (*callback)(void)` declares a pointer.
    """
    is_function = False
    while True:
        if node.type in {"pointer_declarator", "array_declarator", "reference_declarator"}:
            is_function = False
        elif node.type == "function_declarator":
            is_function = True
        inner = node.child_by_field_name("declarator")
        if inner is None and node.type in {"parenthesized_declarator", "reference_declarator"}:
            inner = next((child for child in node.named_children if child.type.endswith(("declarator", "identifier"))), None)
        if inner is None:
            break
        node = inner
    scopes = []
    while (inner := node.child_by_field_name("name")) is not None:
        scope = node.child_by_field_name("scope")
        while scope is not None and (bare := scope.child_by_field_name("name")) is not None:
            scope = bare
        scopes += [scope] if scope is not None else []
        node = inner
    return (node if is_function or node.type == "operator_cast" else None), scopes


def _nest(ordered: list[_Found]) -> None:
    """Tell every found thing what encloses it."""
    stack: list[_Found] = []
    for found in ordered:
        while stack and stack[-1].end <= found.start:
            stack.pop()
        if stack:
            found.parent, found.depth = stack[-1], len(stack)
        stack.append(found)
        if found.is_unit and found.depth <= _DEEPEST:
            owner = next((outer for outer in reversed(stack[:-1]) if outer.is_unit), None)
            if owner is not None:
                owner.children.append(found)


def _name(text: bytes, span: Range) -> str:
    """Return an identifier as it is shown: without the quotes of a string and without line ends."""
    return " ".join(text[slice(*span)].decode(errors="replace").split()).strip("\"'`")[:_LONGEST_SIGNATURE]


class _Writer:
    """Turns what was found into units; holds the text and its line table."""

    def __init__(self, text: bytes, shift: int, language: Language, matches: _Matches) -> None:
        self.text, self.shift, self.language, self.matches = text, shift, language, matches
        self.lines: list[int] = [0, *(np.flatnonzero(np.frombuffer(text, np.uint8) == 10) + 1).tolist()]
        self.starts = {id(found): self.lead(found.start) for found in matches.found if found.is_unit}

    def units(self, path: str) -> tuple[Unit, ...]:
        """Return all units, the module's remainder first."""
        own = [self.unit(found) for found in self.matches.found if found.is_unit]
        own.sort(key=lambda unit: (unit.span.start, -unit.span.end, unit.name_span.start))
        return (*self.module(path, has_units=bool(own)), *own)

    def unit(self, found: _Found) -> Unit:
        """Write one unit."""
        name = _name(self.text, found.name)
        container = self.container(found)
        is_method = bool(found.container) or (found.parent is not None and found.parent.kind in _CLASS_LIKE)
        kind = Kind.METHOD if found.kind is Kind.FUNCTION and is_method else found.kind
        tail = container[-1] if container else ""
        constructor = tail if self.language.constructor == NAMED_LIKE_CLASS else self.language.constructor
        if kind is Kind.METHOD and name == constructor:
            kind = Kind.CONSTRUCTOR
        lead = self.starts[id(found)]
        header_end = found.body[0] if found.body else found.end
        passage = Passage(
            name,
            ".".join(container),
            self.signature(found.start, header_end),
            self.documentation(found, lead),
            self.body(found),
        )
        return Unit(kind, self.language.id, passage, self.span(*found.name), self.span(lead, found.end))

    def container(self, found: _Found) -> list[str]:
        """Return the names around a unit, from outside."""
        names = [*reversed(found.container)]
        outer = found.parent
        while outer is not None:
            names += [_name(self.text, outer.name), *reversed(outer.container)]
            outer = outer.parent
        return names[::-1]

    def lead(self, start: int) -> int:
        """Return where the comments and decorators right above a definition begin."""
        leads = self.matches.leads
        index = bisect_left(leads, (start,)) - 1
        while index >= 0 and self.touches(leads[index], start):
            start = leads[index][0]
            index -= 1
        return start

    def touches(self, lead: tuple[int, int, bool], start: int) -> bool:
        """Tell whether a comment stands by itself with nothing and no empty line between it and `start`."""
        begin, end, _ = lead
        row = bisect_right(self.lines, begin) - 1
        before = self.text[self.lines[row] : begin]
        gap = self.text[end:start]
        return end <= start and gap.count(b"\n") <= 1 and not gap.strip() and not before.strip()

    def inside(self, start: int, end: int) -> list[tuple[int, int, bool]]:
        """Return the comments and decorators in a range."""
        leads = self.matches.leads
        return [lead for lead in leads[bisect_left(leads, (start,)) : bisect_left(leads, (end,))] if lead[1] <= end]

    def signature(self, start: int, end: int) -> str:
        """Return the header of a definition on one line, without comments and decorators."""
        end = min(end, start + 8 * _LONGEST_SIGNATURE)
        header = self.without(start, end, [lead[:2] for lead in self.inside(start, end)])
        return " ".join(header.split()).rstrip(" \t:;={")[:_LONGEST_SIGNATURE]

    def documentation(self, found: _Found, lead: int) -> str:
        """Return the docstring of a unit, or else the comments above it and among its decorators."""
        if found.doc:
            return docstring_text(self.decoded(found.doc))
        end = found.name[0] if found.body is None else min(found.name[0], found.body[0])
        return comment_text(self.decoded(each[:2]) for each in self.inside(lead, end) if each[2])

    def body(self, found: _Found) -> str:
        """Return the body without its docstring; of a type, nested units leave only their names."""
        if found.body is None:
            return ""
        cuts = [found.doc] if found.doc else []
        if found.kind not in _CLASS_LIKE:
            return self.without(*found.body, cuts).strip()
        nested = {(self.starts[id(child)], child.end): _name(self.text, child.name) for child in found.children}
        return self.without(*found.body, [*cuts, *nested], nested).strip()

    def module(self, path: str, has_units: bool) -> tuple[Unit, ...]:
        """Write the remainder of the module, unless it says nothing."""
        tops = [
            (self.starts[id(found)], found.end)
            for found in self.matches.found
            if found.is_unit and not self.encloser(found)
        ]
        doc, header = self.module_documentation(tops[0][0] if tops else len(self.text))
        body = self.without(0, len(self.text), [*tops, *header]).strip()
        if not body and not doc:
            return ()
        code = self.without(
            0, len(self.text), [*tops, *header, *self.matches.imports, *(lead[:2] for lead in self.matches.leads)]
        )
        if has_units and not doc and len(_WORD.findall(code.encode())) < _FEWEST_WORDS:
            return ()
        passage = Passage(_module_name(path), "", "", doc, body)
        return (Unit(Kind.MODULE, self.language.id, passage, self.span(0, 0), self.span(0, len(self.text))),)

    def encloser(self, found: _Found) -> _Found | None:
        """Return the unit around a unit, if there is one."""
        outer = found.parent
        while outer is not None and not outer.is_unit:
            outer = outer.parent
        return outer

    def module_documentation(self, limit: int) -> tuple[str, list[Range]]:
        """Return the module's docstring or leading comment, and the ranges of these and of a licence header."""
        header: list[Range] = []
        doc = docstring_text(self.decoded(self.matches.doc)) if self.matches.doc else ""
        block: list[Range] = []
        comments = [lead for lead in self.matches.leads if lead[2] and lead[1] <= limit]
        before = 0
        for index, lead in enumerate(comments):
            if self.text[before : lead[0]].strip() and not _FILE_START.match(self.text[: lead[0]]):
                break
            block.append(lead[:2])
            before = lead[1]
            if index + 1 < len(comments) and self.touches(lead, comments[index + 1][0]):
                continue
            said = comment_text(map(self.decoded, block))
            if is_licence(said) or not said or not doc:
                header += block
                doc = doc or ("" if is_licence(said) else said)
            block = []
        return doc, [*header, *([self.matches.doc] if self.matches.doc else [])]

    def without(self, start: int, end: int, cuts: list[Range], instead: dict[Range, str] | None = None) -> str:
        """Return the text of a range without some ranges, or with words in their stead, cut to the limit of a body."""
        pieces, length = [], 0
        for cut in sorted(cuts):
            if cut[0] > start:
                pieces.append(self.decoded((start, min(cut[0], end))))
            if instead and cut in instead:
                pieces.append(instead[cut])
            start = max(start, cut[1])
            length += len(pieces[-1]) if pieces else 0
            if length > _LONGEST_BODY or start >= end:
                break
        if start < end:
            pieces.append(self.decoded((start, end)))
        return "".join(pieces)[:_LONGEST_BODY]

    def decoded(self, span: Range) -> str:
        """Return the text of a range, no more of it than a body may be long."""
        return self.text[span[0] : min(span[1], span[0] + 4 * _LONGEST_BODY)].decode(errors="replace")

    def span(self, start: int, end: int) -> Span:
        """Return a range of the text as a range of the file."""
        start_row, end_row = bisect_right(self.lines, start) - 1, bisect_right(self.lines, end) - 1
        return Span(
            start + self.shift,
            end + self.shift,
            start_row,
            start - self.lines[start_row],
            end_row,
            end - self.lines[end_row],
        )


def _module_name(path: str) -> str:
    """Return the stem of a file, or its folder's name where every folder has a file of that stem."""
    *folders, name = re.split(r"[/\\]", path)
    stem = name.rpartition(".")[0] or name
    return folders[-1] if stem.lower() in _UNNAMED_STEMS and folders and folders[-1] not in {"", ".", ".."} else stem
