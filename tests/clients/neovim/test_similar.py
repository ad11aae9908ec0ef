"""Finding similar code from a function, a selection, a range of lines, and from text in no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.neovim.conftest import Open, setup
from tests.clients.neovim.editor import Editor, until
from tests.clients.neovim.test_search import found

SOURCE = '''"""Ä file."""

greeting = "🎉 grüße"; total = sum(line.price * line.count for line in order.lines) + shipping_cost(order) # é


def total_price(order):
    """Add up what the lines of an order cost."""
    return sum(line.price * line.count for line in order.lines)


def shipping_cost(order):
    """Return what it costs to send an order."""
    return max(5, order.weight * 2)


def total_weight(order):
    """Add up what the lines of an order weigh."""
    return sum(line.weight * line.count for line in order.lines)
'''
SELECTED = "sum(line.price * line.count for line in order.lines)"
ASKED = """
    _G.asked = {}
    local client = require('sextant.client')
    local call = client.call
    client.call = function(to, method, name, params, ...)
      if method == 'request' then table.insert(_G.asked, params) end
      return call(to, method, name, params, ...)
    end
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / ".git").mkdir(parents=True)
    (folder / "order.py").write_text(SOURCE)
    return folder


def answer(editor: Editor, params: dict[str, Any]) -> list[tuple[str, float]]:
    """What the server says to these parameters, without the plugin."""
    result = editor.lua(
        "return require('sextant.client').call(vim.lsp.get_clients()[1], 'request_sync',"
        " 'sextant/findSimilar', ..., 20000, 0).result",
        params,
    )
    return [(hit["name"], hit["score"]) for hit in result["hits"]]


def test_function_under_the_cursor(edit: Open, shop: Path) -> None:
    editor = edit(shop, "order.py")
    editor.wait_ready()
    editor.nvim.command("7")
    editor.keys(" sf")
    lines = until(lambda: found(editor), "hits")
    assert "total_weight" in lines[0]
    assert not any("total_price" in line.split() for line in lines)
    editor.keys("shipping")
    until(lambda: len(found(editor)) == 1 and "shipping_cost" in found(editor)[0], "what is typed filters")


def test_selection_after_wide_characters(edit: Open, shop: Path) -> None:
    """The server is asked for exactly the selected characters, counted in its own units."""
    editor = edit(shop, "order.py", init=setup() + ASKED)
    editor.wait_ready()
    for encoding, width in (("utf-8", 1), ("utf-16", 2), ("utf-32", 4)):
        editor.lua("vim.lsp.get_clients()[1].offset_encoding = ...", encoding)
        for selected in (SELECTED, "🎉 grüße", "é"):
            editor.lua("_G.asked = {} vim.fn.setreg('/', ...)", "\\V" + selected)
            editor.nvim.command("3 | normal! 0n")
            editor.keys("v" + "l" * (len(selected) - 1) + " sf")
            [params] = until(lambda: editor.lua("return _G.asked"), "a question")
            name = encoding if width == 1 else encoding + "-le"
            units = SOURCE.splitlines()[2].encode(name)
            start, end = (params["range"][at]["character"] * width for at in ("start", "end"))
            assert units[start:end].decode(name) == selected
            assert (params["text"], params["range"]["start"]["line"]) == (selected, 2)
            until(editor.floats)
            editor.keys("<Esc>")
            until(lambda: not editor.floats())


def test_selection_is_compared(edit: Open, shop: Path) -> None:
    """In the client's own encoding the server reads the text that was selected, wide characters before it or not."""
    draft = f'def draft(order):\n    name = "🎉 grüße"; total = {SELECTED}\n    return name, total\n'
    (shop / "draft.py").write_text(draft)
    editor = edit(shop, "draft.py", init=setup() + ASKED)
    editor.wait_ready()
    editor.lua("vim.fn.setreg('/', ...)", "\\V" + SELECTED)
    editor.nvim.command("1 | normal! 0n")
    editor.keys(f"v{len(SELECTED) - 1}l sf")
    assert "total_price" in until(lambda: found(editor), "hits")[0]
    [params] = editor.lua("return _G.asked")
    place = {key: value for key, value in params.items() if key != "text"}
    alone = {"text": SELECTED, "languageId": "python", "limit": params["limit"]}
    others = [hit for hit in answer(editor, alone) if hit[0] != "draft"]
    assert answer(editor, place) == others
    assert len(others) > 2


def test_command_ranges(edit: Open, shop: Path) -> None:
    editor = edit(shop, "order.py", init=setup() + ASKED)
    editor.wait_ready()
    editor.nvim.command("6,8Sextant similar ++quickfix")
    until(lambda: editor.lua("return #vim.fn.getqflist()"), "quickfix items")
    [params] = editor.lua("return _G.asked")
    assert params["text"] == "\n".join(SOURCE.splitlines()[5:8])
    editor.nvim.command("cclose | 6")
    editor.keys("V2j:Sextant similar<CR>")
    until(lambda: found(editor), "hits")
    assert editor.lua("return _G.asked")[1]["text"] == params["text"]


def test_text_in_no_file(edit: Open, shop: Path) -> None:
    editor = edit(shop)
    editor.nvim.command("set filetype=python")
    editor.lua(
        "vim.api.nvim_buf_set_lines(0, 0, -1, false, { 'sum(each.weight * each.count for each in order.lines)' })"
    )
    editor.nvim.command("Sextant similar")
    until(lambda: "total_weight" in " ".join(found(editor)[:2]), "hits")


def test_no_function_here(edit: Open, shop: Path) -> None:
    (shop / "empty.py").write_text("\n\n")
    editor = edit(shop, "empty.py")
    editor.wait_ready()
    editor.nvim.command("Sextant similar")
    until(lambda: "function" in " ".join(editor.floats()), "the server's sentence")
