"""What holds for the plugin's text: style, size, help."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.clients.neovim import tools
from tests.clients.neovim.conftest import Open, have
from tests.clients.neovim.editor import PLUGIN
from tests.e2e.raw import RawClient

SOURCES = sorted(PLUGIN.rglob("*.lua"))
CHECK = Path(__file__).with_name("stylua.cjs")


def test_luacheck() -> None:
    luacheck = have(tools.luacheck)
    assert isinstance(luacheck, tools.Program)
    done = luacheck.run("--config", str(PLUGIN / ".luacheckrc"), "--no-color", "-q", *map(str, SOURCES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_stylua() -> None:
    package = have(tools.stylua)
    done = subprocess.run(
        ["node", CHECK, str(package), *map(str, SOURCES)], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_annotations(tmp_path: Path) -> None:
    """What the annotations say is so, as far as a checker can tell from them and Neovim's own."""
    checker = have(tools.emmylua)
    neovim = have(tools.neovim, tools.editors()[-1])
    assert isinstance(neovim, tools.Program)
    folder = tmp_path / "plugin"
    shutil.copytree(PLUGIN, folder)
    (folder / "wrong.lua").write_text("---@param count integer\nlocal function f(count) return count end\nf('one')\n")
    runtime = Path(neovim.run("--headless", "--clean", "+echo $VIMRUNTIME", "+qall").stderr.strip()) / "lua"
    settings = {
        "runtime": {"version": "LuaJIT", "requirePattern": ["lua/?.lua", "lua/?/init.lua", "?.lua", "?/init.lua"]},
        "workspace": {"library": [str(runtime)]},
        "diagnostics": {"disable": ["unresolved-require", "preferred-local-alias"]},  # other plugins; taste
    }
    (folder / ".emmyrc.json").write_text(json.dumps(settings))
    client = RawClient([str(checker)], os.environ, tmp_path / "log")
    try:
        client.initialize(folder, capabilities={"workspace": {"diagnostics": {}}, "textDocument": {"diagnostic": {}}})
        files = client.result("workspace/diagnostic", {"previousResultIds": []})["items"]
    finally:
        client.kill()
    assert len(files) == len(SOURCES) + 1
    found = {
        f"{file['uri'].removeprefix(folder.as_uri())}:{item['range']['start']['line'] + 1}: {item['message']}"
        for file in files
        for item in file["items"]
    }
    assert len([each for each in found if each.startswith("/wrong.lua:3")]) == 1
    assert not [each for each in sorted(found) if not each.startswith("/wrong.lua")]


def test_it_stays_small() -> None:
    """Lines of code; annotations and comments do not count."""
    lines = [line for path in SOURCES for line in path.read_text().splitlines()]
    assert len([line for line in lines if line.strip() and not line.strip().startswith("--")]) < 700


def test_help(edit: Open, library: Path, tmp_path: Path) -> None:
    """Every tag is found, and every reference in the help leads somewhere."""
    doc = tmp_path / "plugin" / "doc"
    doc.mkdir(parents=True)
    text = (PLUGIN / "doc" / "sextant.txt").read_text()
    (doc / "sextant.txt").write_text(text)
    # Debian's Neovim comes without the parser that the help's filetype plugin asks for.
    editor = edit(library, init=f"vim.cmd('filetype plugin off') vim.opt.rtp:append({str(doc.parent)!r})")
    editor.nvim.command(f"helptags {doc}")
    for tag in {*re.findall(r"\*([^*\s]+)\*", text), *re.findall(r"\|([^|\s]+)\|", text)}:
        editor.nvim.command(f"help {tag}")
        assert editor.lua("return vim.bo.buftype") == "help", tag
    editor.nvim.command("help sextant")
    assert editor.lua("return vim.fn.expand('%:t')") == "sextant.txt"
    assert max(len(line) for line in text.splitlines()) <= 78
