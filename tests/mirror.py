"""Write what other files repeat of the protocol and the settings: one declaration, several readers.

usage: python -m tests.mirror [--check]

From server/lsp/protocol.py come the types of both clients, from server/config.py the settings of VS Code and the tables
of the documents (between the markers `settings:begin` and `settings:end`). A test holds them equal.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from textwrap import fill
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from server import config
from server.lsp import protocol

ROOT = Path(__file__).resolve().parents[1]
TYPESCRIPT = ROOT / "clients/vscode/src/protocol.ts"
LUA = ROOT / "clients/neovim/lua/sextant/protocol.lua"
PACKAGE = ROOT / "clients/vscode/package.json"
TABLES = (ROOT / "README.md", ROOT / "clients/vscode/README.md", ROOT / "clients/neovim/README.md")
VIM_HELP = ROOT / "clients/neovim/doc/sextant.txt"

WIRE_TYPES = [each for each in vars(protocol).values() if isinstance(each, type) and attrs.has(each)]
URIS = {"uri", "scope", "folder"}
"""Strings of these names are URIs."""
_PLAIN: dict[Any, tuple[str, str]] = {
    str: ("string", "string"),
    bool: ("boolean", "boolean"),
    int: ("uinteger", "integer"),
    float: ("number", "number"),
    dict[str, int]: ("{ [languageId: string]: uinteger }", "table<string, integer>"),
    protocol.Token: ("ProgressToken", "integer|string"),
}


def fields(cls: type) -> list[tuple[str, Any, bool, str]]:
    """Return (name on the wire, type without None, whether it may be left out, Python's name) of each field."""
    found = []
    hints = get_type_hints(cls)
    for field in attrs.fields(cls):  # type: ignore[arg-type]
        kind = hints[field.name]
        plain = tuple(each for each in get_args(kind) if each is not type(None))
        if type(None) in get_args(kind):
            kind = protocol.Token if plain == get_args(protocol.Token) else plain[0]
        found.append((protocol.camel(field.name), kind, field.default is None, field.name))
    return found


def typescript(kind: Any, name: str = "") -> str:
    """Return a type as TypeScript has it."""
    if get_origin(kind) is list:
        return typescript(get_args(kind)[0]) + "[]"
    if get_origin(kind) is Literal:
        return " | ".join(json.dumps(each) for each in get_args(kind))
    if kind is str and name in URIS:
        return "URI"
    return _PLAIN[kind][0] if kind in _PLAIN else str(kind.__name__)


def interfaces() -> dict[str, dict[str, str]]:
    """Return the fields of each wire type as TypeScript."""
    return {
        cls.__name__: {
            name + ("?" if is_optional else ""): typescript(kind, own) for name, kind, is_optional, own in fields(cls)
        }
        for cls in WIRE_TYPES
    }


def as_typescript() -> str:
    """Return clients/vscode/src/protocol.ts."""
    lines = [
        "// Written by `python -m tests.mirror` from server/lsp/protocol.py; EXTENSIONS.md says what it means.",
        "import {",
        "    type Location,",
        "    NotificationType,",
        "    type ProgressToken,",
        "    type Range,",
        "    RequestType,",
        "    RequestType0,",
        "    type SymbolKind,",
        "    type TextDocumentIdentifier,",
        "    type URI,",
        "    type uinteger,",
        '} from "vscode-languageclient/node";',
        "",
        f"export const PROTOCOL_VERSION = {protocol.PROTOCOL_VERSION};",
    ]
    for cls in WIRE_TYPES:
        lines += ["", f"/** {cls.__doc__} */", f"export interface {cls.__name__} {{"]
        lines += [f"    {name}: {kind};" for name, kind in interfaces()[cls.__name__].items()]
        lines += ["}"]
    lines += [""]
    for method, params in protocol.PARAMS.items():
        result = protocol.RESULTS[method].__name__
        made = f"RequestType0<{result}, void>" if params is None else f"RequestType<{params.__name__}, {result}, void>"
        lines.append(f'export const {_constant(method)} = new {made}("{method}");')
    for method, params in protocol.NOTIFICATIONS.items():
        lines.append(f'export const {_constant(method)} = new NotificationType<{params.__name__}>("{method}");')
    return "\n".join(lines) + "\n"


def as_lua() -> str:
    """Return clients/neovim/lua/sextant/protocol.lua: types for LuaLS, never loaded."""
    lines = ["---@meta", "-- Written by `python -m tests.mirror` from server/lsp/protocol.py and server/config.py."]
    for cls in WIRE_TYPES:
        lines += ["", f"--- {cls.__doc__}", f"---@class sextant.{cls.__name__}"]
        for name, kind, is_optional, _ in fields(cls):
            lines.append(f"---@field {name}{'?' if is_optional else ''} {_lua(kind)}")
    lines += ["", "--- What a user can set, as `settings.sextant`.", "---@class sextant.Settings"]
    for name, entry in config.schema().items():
        kind = {"array": "string[]"}.get(entry["type"], entry["type"])
        lines.append(f"---@field {name.partition('.')[2]}? {kind} {entry['markdownDescription']}")
    return "\n".join(lines) + "\n"


def as_table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| setting | default | |", "|---|---|---|"]
    for name, entry in config.schema().items():
        rows.append(f"| `{name}` | `{json.dumps(entry['default'])}` | {entry['markdownDescription']} |")
    return "\n".join(rows)


def as_vim_help() -> str:
    """Return the settings as a part of a Vim help file."""
    blocks = []
    for name, entry in config.schema().items():
        own = name.partition(".")[2]
        tag = f"*sextant-settings-{own}*"
        text = re.sub(r"`([^`]*)`", r"\1", entry["markdownDescription"])
        text = fill(text, 76, initial_indent="    ", subsequent_indent="    ")
        blocks.append(f"{own:<{78 - len(tag)}}{tag}\n{text}\n    Default: {json.dumps(entry['default'])}")
    return "\n\n".join(blocks)


def package(text: str) -> str:
    """Return VS Code's manifest with the server's settings; settings of the client's own stay."""
    manifest = json.loads(text)
    groups = manifest["contributes"]["configuration"]
    group = groups[0] if isinstance(groups, list) else groups
    own = {name: entry for name, entry in group["properties"].items() if "." in name.removeprefix("sextant.")}
    group["properties"] = {**own, **config.schema()}
    indent = re.search(r"^(\s+)", text, re.MULTILINE)
    return json.dumps(manifest, indent=(indent[1].strip("\n") if indent else 4), ensure_ascii=False) + "\n"


def mirrored() -> dict[Path, str]:
    """Return the wanted text of each file that repeats something and whose folder exists."""
    found = {}
    if TYPESCRIPT.parent.is_dir():
        found[TYPESCRIPT] = as_typescript()
    if LUA.parent.is_dir():
        found[LUA] = as_lua()
    if PACKAGE.is_file():
        found[PACKAGE] = package(PACKAGE.read_text("utf-8"))
    for path in TABLES:
        if path.is_file():
            found[path] = _between(path.read_text("utf-8"), f"\n\n{as_table()}\n\n")
    if VIM_HELP.is_file():
        found[VIM_HELP] = _between(VIM_HELP.read_text("utf-8"), f"\n\n{as_vim_help()}\n\n")
    return found


def outdated() -> list[Path]:
    """Return the files that say something else."""
    return [path for path, text in mirrored().items() if not path.exists() or path.read_text("utf-8") != text]


def _between(text: str, part: str) -> str:
    return re.sub(
        r"(settings:begin[^\n]*)(.*?)(\n[^\n]*settings:end)",
        lambda found: found[1] + part.rstrip("\n") + "\n" + found[3],
        text,
        flags=re.DOTALL,
    )


def _constant(method: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", method.rpartition("/")[2]).upper()


def _lua(kind: Any) -> str:
    if get_origin(kind) is list:
        return _lua(get_args(kind)[0]) + "[]"
    if get_origin(kind) is Literal:
        return "|".join(json.dumps(each) for each in get_args(kind))
    if kind in _PLAIN:
        return _PLAIN[kind][1]
    return f"{'sextant' if kind in WIRE_TYPES else 'lsp'}.{kind.__name__}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something is out of date")
    options = parser.parse_args()
    stale = outdated()
    for path in stale:
        print(f"{'out of date' if options.check else 'written'}: {path.relative_to(ROOT)}")
        if not options.check:
            path.write_text(mirrored()[path], "utf-8")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
