"""The languages Sextant reads: which file is in which language, and what cuts it into units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language as Grammar
    from tree_sitter import Query

NAMED_LIKE_CLASS = "<class>"
"""Stands for the name of the class itself where a language's constructors are called so."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language: how its files are recognised and parsed."""

    id: str
    """LSP language id."""
    extensions: tuple[str, ...]
    """Lower case, with the dot."""
    module: str = ""
    """Python module of the grammar, imported on first use; without one, first lines tell the definitions."""
    query: str = ""
    """Name of the query file, without its ending."""
    function: str = "language"
    """Function of the module that returns the grammar."""
    names: tuple[str, ...] = ()
    """Whole file names, lower case."""
    constructor: str = ""
    """What a method must be called to be a constructor, where the name decides it."""
    opening: bytes = b""
    """What must stand before code in a file that is more than code."""
    scripts: re.Pattern[bytes] | None = None
    """Finds the parts of a file that are `code`, and `typed` if it is TypeScript."""
    has_methods: bool = True
    """Whether a function in a type is its method also where the query does not say so."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a pattern of a query says beyond its nodes, by `#set!`."""

    keywords: frozenset[bytes]
    """The words of which its @keyword must be one, if it has any."""
    joined: bool
    """Whether what it finds goes on in the next unit of the same name."""


NOTEBOOK = "jupyter"
_SCRIPTS = re.compile(
    rb"""<script\b(?:[^>]*?\blang=["']?(?P<typed>tsx?|typescript)\b)?[^>]*>(?P<code>.*?)(?:</script>|\Z)""", re.S | re.I
)


_ALL = (
    Language("python", (".py", ".pyi", ".pyw"), "tree_sitter_python", "python", constructor="__init__"),
    Language("javascript", (".js", ".mjs", ".cjs"), "tree_sitter_javascript", "javascript", constructor="constructor"),
    Language("javascriptreact", (".jsx",), "tree_sitter_javascript", "javascript", constructor="constructor"),
    Language(
        "typescript",
        (".ts", ".mts", ".cts"),
        "tree_sitter_typescript",
        "typescript",
        "language_typescript",
        constructor="constructor",
    ),
    Language(
        "typescriptreact",
        (".tsx",),
        "tree_sitter_typescript",
        "typescript",
        "language_tsx",
        constructor="constructor",
    ),
    Language("go", (".go",), "tree_sitter_go", "go"),
    Language("java", (".java",), "tree_sitter_java", "java"),
    Language(
        "ruby",
        (".rb", ".rake", ".gemspec", ".ru"),
        "tree_sitter_ruby",
        "ruby",
        names=("rakefile", "gemfile"),
        constructor="initialize",
    ),
    Language(
        "php", (".php", ".phtml"), "tree_sitter_php", "php", "language_php", constructor="__construct", opening=b"<?php"
    ),
    Language("rust", (".rs",), "tree_sitter_rust", "rust"),
    Language("c", (".c", ".h"), "tree_sitter_c", "c"),
    Language(
        "cpp", (".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"), "tree_sitter_cpp", "cpp", constructor=NAMED_LIKE_CLASS
    ),
    Language("csharp", (".cs",), "tree_sitter_c_sharp", "csharp"),
    Language(
        "shellscript",
        (".sh", ".bash", ".zsh", ".ksh", ".bats"),
        "tree_sitter_bash",
        "bash",
        names=(".bashrc", ".bash_profile", ".bash_aliases", ".profile", ".zshrc", ".zshenv", "pkgbuild"),
    ),
    Language("elixir", (".ex", ".exs"), "tree_sitter_elixir", "elixir", has_methods=False),
    Language("haskell", (".hs",), "tree_sitter_haskell", "haskell", has_methods=False),
    Language("kotlin", (".kt", ".kts"), "tree_sitter_kotlin", "kotlin"),
    Language("lua", (".lua",), "tree_sitter_lua", "lua", has_methods=False),
    Language("scala", (".scala", ".sc", ".sbt"), "tree_sitter_scala", "scala", constructor="this"),
    Language("swift", (".swift",), "tree_sitter_swift", "swift"),
    Language("zig", (".zig",), "tree_sitter_zig", "zig"),
    Language("vue", (".vue",), "tree_sitter_typescript", "", scripts=_SCRIPTS),
    Language("svelte", (".svelte",), "tree_sitter_typescript", "", scripts=_SCRIPTS),
    # The language of its kernel: server/index/notebook.py
    Language(NOTEBOOK, (".ipynb",)),
    # No grammar: server/index/outline.py
    Language("clojure", (".clj", ".cljs", ".cljc")),
    Language("coffeescript", (".coffee",)),
    Language("crystal", (".cr",)),
    Language("d", (".d",)),
    Language("dart", (".dart",)),
    Language("dockerfile", (".dockerfile",), names=("dockerfile", "containerfile")),
    Language("elm", (".elm",)),
    Language("emacs-lisp", (".el",)),
    Language("erlang", (".erl", ".hrl")),
    Language("fish", (".fish",)),
    Language("fortran-modern", (".f90", ".f95", ".f03", ".f08")),
    Language("fsharp", (".fs", ".fsx", ".fsi")),
    Language("graphql", (".graphql", ".gql")),
    Language("groovy", (".groovy", ".gradle"), names=("jenkinsfile",)),
    Language("julia", (".jl",)),
    Language("lisp", (".lisp", ".cl")),
    Language("makefile", (".mk",), names=("makefile", "gnumakefile")),
    Language("nim", (".nim",)),
    Language("nix", (".nix",)),
    Language("objective-c", (".m",)),
    Language("objective-cpp", (".mm",)),
    Language("ocaml", (".ml", ".mli")),
    Language("pascal", (".pas", ".pp")),
    Language("perl", (".pl", ".pm")),
    Language("powershell", (".ps1", ".psm1")),
    Language("proto3", (".proto",)),
    Language("r", (".r",)),
    Language("scheme", (".scm", ".ss", ".rkt")),
    Language("solidity", (".sol",)),
    Language("sql", (".sql",)),
    Language("tcl", (".tcl",)),
    Language("terraform", (".tf", ".hcl")),
    Language("vb", (".vb",)),
    Language("viml", (".vim",)),
)

LANGUAGES: Mapping[str, Language] = MappingProxyType({language.id: language for language in _ALL})

_BY_EXTENSION = {extension: language.id for language in _ALL for extension in language.extensions}
_BY_NAME = {name: language.id for language in _ALL for name in language.names}
_BY_INTERPRETER = {
    "python": "python",
    "node": "javascript",
    "nodejs": "javascript",
    "ruby": "ruby",
    "php": "php",
    **dict.fromkeys(("sh", "bash", "dash", "ksh", "zsh", "ash", "bats"), "shellscript"),
    "elixir": "elixir",
    "runghc": "haskell",
    "runhaskell": "haskell",
    "kotlin": "kotlin",
    "lua": "lua",
    "luajit": "lua",
    "scala": "scala",
    "swift": "swift",
    "perl": "perl",
    "rscript": "r",
    "julia": "julia",
    "fish": "fish",
    "tclsh": "tcl",
}
_SHEBANG = re.compile(rb"\A(?:\xef\xbb\xbf)?#![ \t]*(?:\S*/)?(?:env[ \t]+(?:-\S+[ \t]+|\w+=\S*[ \t]+)*)?([^\s/]+)")
_CPP_LINE = re.compile(
    rb"^[ \t]*(?:class[ \t]+\w|namespace\b|template[ \t]*<|(?:public|private|protected)[ \t]*:"
    rb"|#[ \t]*include[ \t]*<\w+>)",  # only the headers of C++ have names without an ending
    re.M,
)
_QUERIES = Path(__file__).parent / "queries"
_INHERITS = re.compile(r"\A; inherits: ([\w, ]+)$", re.M)


def language_of(path: str, head: bytes = b"") -> str | None:
    """Return the language id of a file by its name, or by the shebang in `head` if the name has no ending.

    A `.h` file is C unless its head holds lines that only C++ has.
    """
    name = re.split(r"[/\\]", path)[-1].lower()
    stem, dot, ending = name.rpartition(".")
    if name in _BY_NAME:
        return _BY_NAME[name]
    if dot and stem:
        found = _BY_EXTENSION.get(f".{ending}")
        return "cpp" if ending == "h" and _CPP_LINE.search(head) else found
    shebang = None if dot else _SHEBANG.match(head)
    return _BY_INTERPRETER.get(shebang[1].decode(errors="replace").lower().rstrip("0123456789.")) if shebang else None


@cache
def grammar_of(language: str) -> Grammar:
    """Load the grammar of a language, once."""
    from tree_sitter import Language as Grammar  # noqa: PLC0415  (the server's process has no grammars)

    chosen = LANGUAGES[language]
    return Grammar(getattr(import_module(chosen.module), chosen.function)())


@cache
def has_grammar(language: str) -> bool:
    """Tell whether there is a grammar of a language, and it can be loaded here."""
    if not LANGUAGES[language].module:
        return False
    try:
        grammar_of(language)
    except (ImportError, OSError, ValueError):  # not built for this platform
        return False
    return True


@cache
def query_of(language: str) -> Query:
    """Compile the query of a language, once."""
    from tree_sitter import Query  # noqa: PLC0415

    query: Query = Query(grammar_of(language), _query_text(LANGUAGES[language].query))
    return query


@cache
def rules_of(language: str) -> tuple[Rule, ...]:
    """Return what the query of a language says of each of its patterns."""
    query = query_of(language)
    settings = map(query.pattern_settings, range(query.pattern_count))
    return tuple(Rule(frozenset((each.get("keyword") or "").encode().split()), "joined" in each) for each in settings)


def _query_text(name: str) -> str:
    """Read a query file after those its first line names (`; inherits: c`), so a later pattern overrides theirs."""
    text = (_QUERIES / f"{name}.scm").read_text(encoding="utf-8")
    inherited = _INHERITS.match(text)
    names = inherited[1].replace(",", " ").split() if inherited else []
    return "\n".join([*map(_query_text, names), text])
