"""From what the query found in a file to its units: nesting, texts by field, and spans."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from server.index.comments import comment_text, docstring_text, is_licence
from server.index.languages import NAMED_LIKE_CLASS, Language
from server.types import Kind, Passage, Span, Unit

UNITS_VERSION = 4
"""Counts what changes the units of a file, so that an index of other units is made anew."""
_LONGEST_NAME = 200
_LONGEST_SIGNATURE = 300
LONGEST_BODY = 20_000
_DEEPEST = 12
"""Units nested deeper stay in the body of what encloses them, so text and containers cannot grow with depth squared."""
FEWEST_WORDS = 3
"""A remainder with fewer words than this beside its imports and comments says nothing."""

_OPENS = re.compile(r"(?:[\s:;={,]|\s=>|\swhere|\swith)+\Z")
"""What stands between a header and its body."""
_OPENING = (":", ";", "=", "{", ",", "=>", "where", "with")
"""What that ends with; to look there first is ten times faster."""
_BLANK = re.compile(r"\n{3,}")
WORD = re.compile(r"[^\W\d]\w*")
_TOP = re.compile(
    rb"""(?:\#![^\n]*\n)?(?:\s|<\?php\b|<\?(?!\w)|declare\s*\([^)]*\)\s*;|\{-\#[^}]*\#-\}|['"]use\ strict['"];?)*\Z""",
    re.X,
)
"""What may stand above the comment that describes a file."""
_MOST_COMMENTS = 500
"""Comments in a row that are read as documentation; longer runs are code that somebody switched off."""
_COMMON_STEMS = frozenset({"__init__", "__main__", "index", "mod", "main", "lib", "doc"})
_NAMELESS = frozenset({"", ".", "..", "src"})
"""Folders that tell nothing of what is in them."""
_CLASS_LIKE = frozenset({Kind.CLASS, Kind.STRUCT, Kind.INTERFACE, Kind.ENUM, Kind.TYPE})

Range = tuple[int, int]
"""Start and end as byte offsets into the text that was parsed."""


@dataclass(slots=True)
class Found:
    """A unit or a scope, put together from the matches that speak of it."""

    start: int
    end: int
    name: Range
    kind: Kind | None = None
    """None while only what wraps the definition is known."""
    is_unit: bool = True
    is_declaration: bool = False
    """Whether it counts only where others can see it, such as a C prototype."""
    named_by_module: bool = False
    """Whether `name` marks a place only, and the unit is called like its module."""
    container: tuple[str, ...] = ()
    """What the unit itself says it belongs to."""
    body: Range | None = None
    doc: Range | None = None
    pattern: int = -1
    joins: bool = False
    """Whether it goes on in the next one of its name and arity."""
    arity: int = 0
    lead: int = 0
    """Where the comments and decorators above it begin."""
    parent: Found | None = None
    owner: Found | None = None
    """The nearest unit around it."""
    children: list[Found] = field(default_factory=list)
    """Units that it owns, in order."""
    depth: int = 0
    shown: str = ""
    """Its name, once that was asked for: it is part of the containers of all inside."""

    def join(self, other: Found) -> None:
        """Go on in another one: what was before is the signature."""
        self.body = (self.body[0] if self.body else self.end, other.end)
        self.end, self.joins, self.doc = other.end, other.joins, self.doc or other.doc
        if self.kind is Kind.FUNCTION:
            self.kind = other.kind

    @property
    def is_type(self) -> bool:
        """Whether functions inside are its methods (a namespace that is a unit is a Ruby module)."""
        return self.kind in _CLASS_LIKE or (self.kind is Kind.NAMESPACE and self.is_unit)


@dataclass(slots=True)
class Lead:
    """A comment or a decorator: what may stand above a definition and belong to it."""

    start: int
    end: int
    is_comment: bool
    is_inner: bool = False
    """Whether it speaks of what it stands in, or of what is before it."""
    doc: Range | None = None
    """The docstring in it."""


@dataclass(slots=True)
class Matches:
    """What the query found in a file."""

    found: list[Found] = field(default_factory=list)
    leads: list[Lead] = field(default_factory=list)
    imports: list[Range] = field(default_factory=list)
    doc: Range | None = None
    """The docstring of the module."""


def write(text: bytes, matches: Matches, path: str, language: Language, shift: int = 0) -> tuple[Unit, ...]:
    """Return the units of a file in file order, the module's remainder first.

    `text` has no lone \\r. `shift` is what stood before it in the file and counts in offsets, not in columns.
    """
    return _Writer(text, matches, path, language, shift).units()


class _Writer:
    """Holds what all units of a file need: the text, its line table, and what was found."""

    def __init__(self, text: bytes, matches: Matches, path: str, language: Language, shift: int) -> None:
        self.module = module_name(path)
        self.text, self.language, self.shift = text, language, shift
        self.lines: list[int] = [0, *(np.flatnonzero(np.frombuffer(text, np.uint8) == 10) + 1).tolist()]
        self.leads = sorted(matches.leads, key=lambda lead: lead.start)
        self.lead_starts = [lead.start for lead in self.leads]
        self.imports, self.doc = matches.imports, matches.doc
        self.found = self.nested(matches.found)

    def nested(self, found: list[Found]) -> list[Found]:
        """Tell everything found what encloses it, and return the units among it."""
        units, stack = [], list[Found]()
        latest: dict[int | None, Found] = {}
        for each in sorted(found, key=lambda each: (each.start, -each.end, each.name)):
            # Two names of one declaration stand side by side.
            while stack and (stack[-1].end <= each.start or (stack[-1].start, stack[-1].end) == (each.start, each.end)):
                stack.pop()
            each.parent = stack[-1] if stack else None
            before = latest.get(id(each.parent))
            if before is not None and before.joins and self.is_same(before, each):
                before.join(each)
                stack.append(before)
                continue
            latest[id(each.parent)] = each
            each.depth = len(stack)
            stack.append(each)
            if each.parent is not None:
                each.owner = each.parent if each.parent.is_unit else each.parent.owner
            if each.is_unit and each.depth <= _DEEPEST and not _is_local(each):
                each.lead = self.lead(each.start)
                units.append(each)
                if each.owner is not None:
                    each.owner.children.append(each)
        return units

    def is_same(self, one: Found, other: Found) -> bool:
        """Tell whether two parts belong to one function."""
        names = self.text[slice(*one.name)], self.text[slice(*other.name)]
        return names[0] == names[1] and one.arity == other.arity and one.is_unit and other.is_unit

    def units(self) -> tuple[Unit, ...]:
        """Return all units."""
        own = [self.unit(found) for found in self.found]
        own.sort(key=lambda unit: (unit.span.start, -unit.span.end, unit.name_span.start))
        return (*self.remainder(), *own)

    def unit(self, found: Found) -> Unit:
        """Return one unit."""
        name = self.name(found)
        container = self.container(found)
        kind = found.kind or Kind.FUNCTION
        is_owned = found.container or (found.parent is not None and found.parent.is_type)
        if kind is Kind.FUNCTION and is_owned and self.language.has_methods:
            kind = Kind.METHOD
        named = self.language.constructor
        constructor = container[-1:] if named == NAMED_LIKE_CLASS else [named]
        if kind is Kind.METHOD and name in constructor:
            kind = Kind.CONSTRUCTOR
        passage = Passage(
            name,
            ".".join(container),
            self.signature(found),
            self.documentation(found),
            self.body(found),
        )
        return Unit(kind, self.language.id, passage, self.span(*found.name), self.span(found.lead, found.end))

    def remainder(self) -> tuple[Unit, ...]:
        """Return the remainder of the module as a unit, or nothing if it says nothing."""
        tops = [(found.lead, found.end) for found in self.found if found.owner is None]
        said, header = self.header(min((start for start, _ in tops), default=len(self.text)))
        body = _BLANK.sub("\n\n", self.without(0, len(self.text), [*tops, *header]).strip())
        if not body and not said:
            return ()
        if not said:
            comments = [(lead.start, lead.end) for lead in self.leads]
            code = self.without(0, len(self.text), [*tops, *self.imports, *comments])
            if len(WORD.findall(code)) < (FEWEST_WORDS if tops else 1):
                return ()
        passage = Passage(self.module, "", "", said, body)
        return (Unit(Kind.MODULE, self.language.id, passage, self.span(0, 0), self.span(0, len(self.text))),)

    def header(self, limit: int) -> tuple[str, list[Range]]:
        """Return the docstring or leading comment of the module, and the ranges of it and of a licence above it."""
        said = docstring_text(self.decoded(*self.doc)) if self.doc else ""
        ranges = [self.doc] if self.doc else []
        for block in self.blocks(limit):
            comment = self.said(block)
            # A licence is no documentation, and of no use in the body either; directives to tools likewise.
            if comment and not is_licence(comment):
                if said:
                    continue
                said = comment
            ranges += [(lead.start, lead.end) for lead in block]
        return said, ranges

    def blocks(self, limit: int) -> Iterator[list[Lead]]:
        """Yield the comments at the top of the file, by block: nothing but empty lines may part them."""
        block: list[Lead] = []
        before = 0
        for lead in self.leads[: bisect_left(self.lead_starts, limit)]:
            if len(block) > _MOST_COMMENTS or not lead.is_comment or not _TOP.match(self.text, before, lead.start):
                break
            # A `/* */` stands for itself, so a licence does not take the description below it along.
            if block and (self.text.startswith(b"/*", lead.start) or not self.touches(block[-1], lead.start)):
                yield block
                block = []
            block.append(lead)
            before = lead.end
        if block:
            yield block

    def container(self, found: Found) -> list[str]:
        """Return the names around a unit, the outermost first."""
        names = [*reversed(found.container)]
        outer = found.parent
        while outer is not None:
            names += [self.name(outer), *reversed(outer.container)]
            outer = outer.parent
        return names[::-1]

    def signature(self, found: Found) -> str:
        """Return the header of a definition on one line, without comments and decorators."""
        end = found.body[0] if found.body else found.end
        # No real header is longer, and reading one of a megabyte would be for nothing.
        end = min(end, found.start + 20 * _LONGEST_SIGNATURE)
        header = self.without(found.start, end, [(lead.start, lead.end) for lead in self.inside(found.start, end)])
        folded = " ".join(header.split())
        if found.body is None:
            folded = folded.removesuffix(" end")
        return (_OPENS.sub("", folded) if folded.endswith(_OPENING) else folded)[:_LONGEST_SIGNATURE]

    def documentation(self, found: Found) -> str:
        """Return the docstring of a unit, or else the comments above it and among its decorators."""
        if found.doc:
            return docstring_text(self.decoded(*found.doc))
        leads = self.inside(found.lead, found.name[0])
        for lead in reversed(leads):
            if lead.doc:
                return docstring_text(self.decoded(*lead.doc))
        return self.said(lead for lead in leads if lead.is_comment)

    def body(self, found: Found) -> str:
        """Return the body without its docstring; in that of a type, nested units leave only their names."""
        if found.body is None:
            return ""
        # Python's grammar leaves the comments that a body begins with outside of it.
        start = max(found.name[1], self.lead(found.body[0]))
        cuts = [found.doc] if found.doc else []
        names = {(child.lead, child.end): self.name(child) for child in found.children if found.is_type}
        return self.without(start, found.body[1], [*cuts, *names], names).strip()

    def lead(self, start: int) -> int:
        """Return where the comments and decorators right above a definition begin."""
        index = bisect_left(self.lead_starts, start) - 1
        while index >= 0 and not self.leads[index].is_inner and self.touches(self.leads[index], start):
            start = self.leads[index].start
            index -= 1
        return start

    def touches(self, lead: Lead, start: int) -> bool:
        """Tell whether a comment stands by itself with nothing and no empty line between it and `start`."""
        if lead.end > start or self.row(start) - self.row(lead.end) > 1:
            return False
        before = self.text[self.lines[self.row(lead.start)] : lead.start]
        return not self.text[lead.end : start].strip() and not before.strip()

    def inside(self, start: int, end: int) -> list[Lead]:
        """Return the comments and decorators in a range."""
        return self.leads[bisect_left(self.lead_starts, start) : bisect_left(self.lead_starts, end)]

    def said(self, comments: Iterable[Lead]) -> str:
        """Return what a run of comments says."""
        return comment_text(self.decoded(lead.start, lead.end) for lead in islice(comments, _MOST_COMMENTS))

    def name(self, found: Found) -> str:
        """Return the name of a unit or a scope."""
        if not found.shown:
            found.shown = self.module if found.named_by_module else shown_name(self.text, found.name)
        return found.shown

    def without(self, start: int, end: int, cuts: Iterable[Range], instead: dict[Range, str] | None = None) -> str:
        """Return the text of a range without some ranges, or with words in their stead, cut to the limit of a body."""
        ordered = sorted(cuts)
        if not ordered:
            return self.decoded(start, end)[:LONGEST_BODY]
        pieces, room = list[str](), LONGEST_BODY
        for cut in ordered:
            if start >= end or room <= 0:
                break
            pieces += [self.decoded(start, min(cut[0], end))] if cut[0] > start else []
            pieces += [instead[cut]] if instead and cut in instead else []
            start = max(start, cut[1])
            room -= sum(map(len, pieces[-2:]))
        if start < end and room > 0:
            pieces.append(self.decoded(start, end))
        return "".join(pieces)[:LONGEST_BODY]

    def decoded(self, start: int, end: int) -> str:
        """Return the text of a range with \\n at its line ends, hardly more of it than a body may be long."""
        part = self.text[start : min(end, start + 4 * LONGEST_BODY)].decode(errors="replace")
        return part.replace("\r\n", "\n") if "\r" in part else part

    def row(self, offset: int) -> int:
        """Return the row of an offset."""
        return bisect_right(self.lines, offset) - 1

    def span(self, start: int, end: int) -> Span:
        """Return a range of the text as a range of the file."""
        first, last = self.row(start), self.row(end)
        columns = start - self.lines[first], end - self.lines[last]
        return Span(start + self.shift, end + self.shift, first, columns[0], last, columns[1])


def _is_local(found: Found) -> bool:
    """Tell whether a declaration is where nobody else can see it.

    `Lock guard(mutex);` in a function reads like a prototype.
    """
    if not found.is_declaration or found.parent is None:
        return False
    return found.parent.kind in {Kind.FUNCTION, Kind.METHOD} or (found.kind is Kind.TYPE and found.parent.is_type)


def shown_name(text: bytes, span: Range) -> str:
    """Return an identifier as it is shown: on one line, and without the quotes of a string."""
    name = text[span[0] : min(span[1], span[0] + 4 * _LONGEST_NAME)].decode(errors="replace")
    name = " ".join(name.split())
    # Haskell's names may end in one of these.
    is_quoted = len(name) > 2 and name[0] == name[-1] and name[0] in "\"'`"
    return (name[1:-1] if is_quoted else name)[:_LONGEST_NAME]


def module_name(path: str) -> str:
    """Return the stem of a file, or the name of the nearest folder that has one where many files are called so.

    `axum/src/lib.rs` is `axum`.
    """
    *folders, name = re.split(r"[/\\]", path)
    stem = name.rpartition(".")[0] or name
    if stem.lower() not in _COMMON_STEMS:
        return stem
    return next((folder for folder in reversed(folders) if folder not in _NAMELESS), stem)
