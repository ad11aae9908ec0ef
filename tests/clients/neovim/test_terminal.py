"""The pickers in a real terminal, by keys that a user types and a screen that a user sees."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.clients.neovim import tools
from tests.clients.neovim.conftest import Open, have, setup
from tests.clients.neovim.editor import Editor, until
from tests.clients.neovim.test_search import QUICKFIX

QUERY = "decode a json document"
SIZE = (130, 40)
PREVIEWED = r"def decode\(self, s, _w"
"""The first hit's definition; its row in the list has a sentence instead."""


def shows(editor: Editor, *texts: str) -> str:
    def look() -> str:
        screen = editor.screen()
        return screen if all(re.search(text, screen) for text in texts) else ""

    try:
        return until(look)
    except AssertionError:
        raise AssertionError(f"not on the screen: {texts}\n{editor.screen()}") from None


def settled(editor: Editor, *texts: str) -> str:
    """The screen once it shows these and stays as it is: the last key's answer is there."""
    seen = [""]

    def look() -> str:
        seen.append(shows(editor, *texts))
        return seen[-1] if len(seen) > 10 and len(set(seen[-10:])) == 1 else ""

    return until(look)


@pytest.fixture
def terminal(edit: Open, neovim: tools.Program, library: Path, index: dict[str, str]):  # type: ignore[no-untyped-def]
    have(tools.tmux)

    def start(*plugins: str, init: str = "") -> Editor:
        folders = tuple(have(tools.plugin, name) for name in plugins)
        own = dict(index)
        if "fzf-lua" in plugins:
            fzf = Path(have(tools.fzf).command[0]).parent  # type: ignore[attr-defined]
            own["PATH"] = f"{fzf}:{os.environ['PATH']}"
            own["FZF_LUA_NVIM_BIN"] = str(tools.script(neovim, f"nvim-{neovim.version[1]}"))
        editor = edit(library, "email/utils.py", init=setup() + init, screen=SIZE, plugins=folders, environment=own)
        editor.wait_ready()
        return editor

    return start


def test_built_in(terminal) -> None:  # type: ignore[no-untyped-def]
    editor = terminal(init=" vim.o.termguicolors = true")
    editor.type(" ", "s", "s")
    shows(editor, "what does the code do")
    editor.type(*QUERY)
    screen = settled(editor, r"\d+ found", r"ƒ \w*decode", r"json/decoder\.py:\d+", r"0\.\d\d", PREVIEWED)
    assert screen.count("╭") == 3
    colored = editor.screen(colored=True)
    assert "48;2" in colored, "matching words have a background"
    for columns, lines in ((90, 30), (20, 14), (130, 40)):
        editor.resize(columns, lines)
        until(lambda: editor.lua("return { vim.o.columns, vim.o.lines }") == [columns, lines])  # noqa: B023
        screen = settled(editor, r"\d+ found", r"╭.*\.py", r"╭ Sextant ")
        assert screen.count("╭") == screen.count("╯") == 3, "all three windows, whole"
    editor.type("C-n", "C-q")
    shows(editor, r"\[Quickfix List\].*Sextant: decode a json document")


@pytest.mark.parametrize(
    ("name", "plugins", "list_key"),
    [
        ("telescope", ("plenary.nvim", "telescope.nvim"), "C-q"),
        ("fzf-lua", ("fzf-lua",), "C-q"),
        ("snacks", ("snacks.nvim",), "C-q"),
    ],
)
def test_other_pickers(terminal, name: str, plugins: tuple[str, ...], list_key: str) -> None:  # type: ignore[no-untyped-def]
    """Live hits, a preview of the definition, all hits to the quickfix list, and Enter goes to the name."""
    editor = terminal(*plugins)
    assert editor.lua("return require('sextant.config').options.picker") == "auto"
    editor.type(" ", "s", "s")
    shows(editor, "Sextant")
    editor.type(*QUERY)
    settled(editor, r"ƒ \w*decode", r"decoder\.py:\d+", r"0\.\d\d", PREVIEWED)
    if name == "telescope":
        shows(editor, "Preview|decoder.py")
    editor.type(list_key)
    items = until(lambda: editor.lua(QUICKFIX), "quickfix items")
    assert any("decode" in item["text"] for item in items)
    editor.nvim.command("cclose | only")
    editor.type(" ", "s", "s")
    shows(editor, "Sextant")
    editor.type(*QUERY)
    settled(editor, r"ƒ \w*decode", PREVIEWED)
    editor.type("Enter")
    until(lambda: "decode" in editor.lua("return vim.fn.expand('<cword>')"), "the name")
    assert editor.lua("return vim.fn.expand('%:p')").startswith(str(editor.folder))
