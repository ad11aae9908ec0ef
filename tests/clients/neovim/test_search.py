"""Searching in a real Neovim, with the real server, in real code."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.clients.neovim.conftest import Open, setup
from tests.clients.neovim.editor import Editor, until

QUERY = "convert a date string of a mail header to a time tuple"
QUICKFIX = "return vim.tbl_map(function(i) i.name = vim.fn.bufname(i.bufnr) return i end, vim.fn.getqflist())"


def found(editor: Editor) -> list[str]:
    """The lines of the built-in picker's list."""
    for title, lines in editor.floats().items():
        if title.endswith(" found") or title.startswith("Nothing matches well"):
            return lines
    return []


def notices(editor: Editor) -> str:
    return " ".join(editor.floats())


def server(editor: Editor) -> int:
    """The process of the only server."""
    [pid] = until(
        lambda: editor.lua("""
            return vim.tbl_map(function(p) return p.pid end, vim.tbl_filter(function(p)
              return p.name:find('python')
            end, vim.tbl_map(vim.api.nvim_get_proc, vim.api.nvim_get_proc_children(vim.fn.getpid()))))
        """),
        "the server's process",
    )
    return int(pid)


def test_quickfix(editor: Editor) -> None:
    editor.nvim.command(f"Sextant search ++quickfix {QUERY}")
    items = until(lambda: editor.lua(QUICKFIX), "quickfix items")
    assert any("parsedate" in item["text"] for item in items[:8]), items[:8]
    for item in items:
        if item["lnum"] == 1:  # a module has no name to stand at
            continue
        line = Path(editor.folder, item["name"]).read_text().splitlines()[item["lnum"] - 1]
        assert line[item["col"] - 1 :].startswith(item["text"].split()[1]), item
    assert editor.lua("return vim.fn.getqflist({ title = 0 }).title") == f"Sextant: {QUERY}"
    assert editor.lua("return vim.bo.buftype") == "quickfix"


def test_location_list(editor: Editor) -> None:
    editor.nvim.command(f"Sextant search ++loclist {QUERY}")
    assert until(lambda: editor.lua("return vim.fn.getloclist(0)"), "location list")
    assert editor.lua("return #vim.fn.getqflist()") == 0
    editor.nvim.command("lclose")


def test_picker(editor: Editor) -> None:
    """Keys open it, it lists as the user types, previews, and goes to the name."""
    editor.keys(" ss")
    until(lambda: "Sextant" in editor.floats())
    editor.keys("decode a json document")
    lines = until(lambda: found(editor), "hits")
    row = lines[0].split()
    assert row[0] in "ƒ◆⊕▤", row
    assert 0 < float(next(word for word in row if word.startswith("0."))) <= 1
    assert any("json/decoder.py:" in line and "JSONDecoder" in line for line in lines[:6]), lines[:6]
    editor.keys("<C-n><C-p>")
    title = until(lambda: [title for title in editor.floats() if title.endswith(".py")], "a preview")[0]
    assert title in lines[0].replace("…", "")
    editor.keys("<CR>")
    until(lambda: not editor.floats())
    name = next(word for word in row[1:])
    until(lambda: editor.lua("return vim.fn.expand('<cword>')") == name, name)
    assert editor.lua("return vim.fn.expand('%:p')").endswith(title)
    assert editor.lua("return vim.api.nvim_get_mode().mode") == "n"
    editor.keys("<C-o>")
    until(lambda: editor.lua("return vim.fn.expand('%:t')") == "utils.py", "the jump list")


def test_picker_to_quickfix(editor: Editor) -> None:
    editor.nvim.command(f"Sextant search {QUERY}")
    until(lambda: found(editor), "hits")
    editor.keys("<C-q>")
    assert len(until(lambda: editor.lua(QUICKFIX), "quickfix items")) > 3
    assert not editor.floats()


def test_keystrokes_cancel(editor: Editor) -> None:
    """While the server sleeps, every key takes the question before it back; only the last is answered."""
    editor.lua("""
        _G.seen = {}
        vim.api.nvim_create_autocmd('LspRequest', { callback = function(event)
          local request = event.data.request
          if request.method == 'sextant/search' then table.insert(_G.seen, request.type) end
        end })
    """)
    pid = server(editor)
    editor.keys(" ss")
    os.kill(pid, signal.SIGSTOP)
    try:
        for number, word in enumerate(["decode", " a", " json", " document"]):
            editor.keys(word)
            until(lambda wanted=number + 1: editor.lua("return _G.seen").count("pending") == wanted)  # type: ignore[misc]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert any("JSONDecoder" in line for line in until(lambda: found(editor), "hits"))
    assert editor.lua("return _G.seen").count("cancel") == 3
    editor.keys("<Esc>")
    assert until(lambda: not editor.floats())


def test_closing_cancels(editor: Editor) -> None:
    pid = server(editor)
    os.kill(pid, signal.SIGSTOP)
    try:
        editor.nvim.command(f"Sextant search {QUERY}")
        pending = """
            return vim.tbl_map(function(request) return request.type end, vim.tbl_filter(function(request)
              return request.method == 'sextant/search'
            end, vim.tbl_values(vim.lsp.get_clients()[1].requests)))
        """
        until(lambda: editor.lua(pending) == ["pending"])
        editor.keys("<Esc>")
        until(lambda: editor.lua(pending) == ["cancel"])
    finally:
        os.kill(pid, signal.SIGCONT)


def test_guesses_are_called_so(editor: Editor) -> None:
    editor.nvim.command("Sextant search qqq zzz xxxxx wwwww vvvvv")
    until(lambda: "guesses" in notices(editor) or "nothing found" in notices(editor), "an honest title")


def test_a_bad_filter_says_what_is_wrong(editor: Editor) -> None:
    editor.nvim.command("Sextant search kind:nonsense parse")
    until(lambda: "kind" in notices(editor), "the server's sentence")
    editor.keys("<C-u>parse kind:function")
    assert until(lambda: found(editor), "hits")


def test_what_the_server_says_of_a_question_is_shown(editor: Editor) -> None:
    """A misspelt filter, a filter that lets nothing pass, and what may follow the name of one."""
    editor.nvim.command("Sextant search decode a json document lnag:python")
    until(lambda: "did you mean lang:python?" in notices(editor), "the notice beside the hits")
    editor.keys("<C-u>parse lang:go")
    until(lambda: "no go here" in notices(editor), "why there are no hits")
    editor.keys("<C-u>parse in:")
    until(lambda: " doc " in notices(editor), "the parts of code")
    editor.keys("<C-u>parse kind:me")
    until(lambda: "method" in notices(editor), "what begins so")
    editor.keys("<Tab>")
    until(lambda: editor.floats()["Sextant"] == ["parse kind:method "], "the filter in the question")
    assert until(lambda: found(editor), "methods")


def test_a_message_is_no_longer_than_a_line(editor: Editor) -> None:
    """Else the user would have to press Enter."""
    editor.lua("_G.told = {} vim.notify = function(text) table.insert(_G.told, text) end")
    editor.nvim.command(f"Sextant search ++quickfix lang:{'klingon' * 60} parse")
    [told] = until(lambda: editor.lua("return _G.told"), "the server's sentence")
    assert "klingon" in told and len(told) <= editor.lua("return vim.v.echospace")
    editor.nvim.command("Sextant search ++quickfix decode a json document lnag:python")
    told = until(lambda: editor.lua("return _G.told[2]"), "the notice")
    assert "lang:python?" in told
    editor.nvim.command("cclose")


def test_unsaved_text_is_found(editor: Editor) -> None:
    source = [
        "def weigh_anchor_of_galleon(ship):",
        '    """Lift the iron hook of a wooden vessel."""',
        "    return ship",
    ]
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, 0, false, ...)", source)
    editor.nvim.command("Sextant search lift the iron hook of a vessel")
    until(lambda: "weigh_anchor_of_galleon" in " ".join(found(editor)[:1]), "the unsaved function first")
    preview = editor.floats()["email/utils.py"]
    assert preview[:3] == source
    editor.keys("<Esc>")
    until(lambda: not editor.floats())
    editor.nvim.command("edit!")


def test_another_picker_takes_the_place_of_the_first(editor: Editor) -> None:
    editor.nvim.command(f"Sextant search {QUERY}")
    until(lambda: found(editor), "hits")
    editor.lua("require('sextant').search('decode a json document')")
    until(lambda: any("JSONDecoder" in line for line in found(editor)), "hits of the second")
    until(lambda: len(editor.floats()) == 3, "one picker")
    assert editor.lua("return vim.api.nvim_get_mode().mode") == "i"


def test_a_window_closed_by_others_ends_the_picker(editor: Editor) -> None:
    editor.nvim.command(f"Sextant search {QUERY}")
    until(lambda: found(editor), "hits")
    editor.nvim.command("fclose")
    until(lambda: not editor.floats(), "no window left")
    assert "stack traceback" not in editor.messages()


def test_what_changed_since_it_was_found(edit: Open, tmp_path: Path) -> None:
    """A file that is no text any more, or gone: a sentence, never an error of Lua."""
    folder = tmp_path / "harbour"
    (folder / ".git").mkdir(parents=True)
    crane, winch = folder / "crane.py", folder / "winch.py"
    crane.write_text('"""Cranes."""\n\n\ndef lift_container(box):\n    """Lift a container."""\n    return box\n')
    winch.write_text('"""Winches."""\n\n\ndef pull_rope(rope):\n    """Pull a rope."""\n    return rope\n')
    (folder / "ship.py").write_text("def sail_away(ship):\n    return ship\n")
    editor = edit(folder, "ship.py")
    editor.wait_ready()
    changes = (("lift_container", lambda: crane.write_bytes(bytes(range(256)))), ("pull_rope", winch.unlink))
    for name, change in changes:
        editor.nvim.command(f"messages clear | Sextant search {name.replace('_', ' a ')}")
        until(lambda: found(editor) and name in found(editor)[0], "hits")  # noqa: B023
        change()
        editor.keys("<C-n><C-p><CR>")
        until(lambda: "is gone or has changed" in editor.messages(), "the sentence")
        assert "stack traceback" not in editor.messages()


def test_the_current_folder_is_gone(edit: Open, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    editor = edit(folder)
    folder.rmdir()
    editor.nvim.command("Sextant search anything")
    until(lambda: "belongs to no project" in notices(editor), "the sentence")
    assert "stack traceback" not in editor.messages()


def test_a_modified_buffer_that_cannot_be_hidden(editor: Editor) -> None:
    editor.nvim.command("set nohidden | call setline(1, '# changed')")
    editor.nvim.command("Sextant search decode a json document")
    until(lambda: found(editor), "hits")
    editor.keys("<CR>")
    until(lambda: "cannot go there" in editor.messages(), "a sentence")
    assert "stack traceback" not in editor.messages()
    editor.nvim.command("set hidden | edit!")


def test_starts_the_server_for_an_empty_buffer(edit: Open, library: Path) -> None:
    editor = edit(library)
    assert editor.lua("return #vim.lsp.get_clients()") == 0
    editor.nvim.command("Sextant search decode a json document")
    until(lambda: any("JSONDecoder" in line for line in found(editor)), "hits")


def test_two_projects(edit: Open, library: Path, tmp_path: Path) -> None:
    """Each project has its server; a folder that is added to one is searched, too, and hits name their folder."""
    other = tmp_path / "harbour"
    (other / ".git").mkdir(parents=True)
    (other / "crane.py").write_text('def lift_container(box):\n    """Lift a container."""\n    return box\n')
    editor = edit(library, "email/utils.py", str(other / "crane.py"))
    editor.nvim.command("tab ball")
    until(lambda: editor.lua("return #vim.lsp.get_clients()") == 2, "two servers")
    query = "Sextant search lift a container"
    for name, mine in (("utils.py", False), ("crane.py", True)):
        editor.nvim.command(f"tab drop {library / 'email' / name if not mine else other / name}")
        editor.nvim.command(query)
        lines = until(lambda: "indexing" not in notices(editor) and found(editor), "hits")
        assert ("lift_container" in " ".join(lines)) == mine
        editor.keys("<Esc>")
        until(lambda: not editor.floats())
    editor.nvim.command("tab drop " + str(library / "email/utils.py"))
    editor.lua("vim.lsp.buf.add_workspace_folder(...)", str(other))
    editor.wait_ready(folders=2)
    editor.nvim.command(query)
    until(lambda: any("lift_container" in line and "harbour/crane.py:1" in line for line in found(editor)), "both")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_columns_after_wide_characters(edit: Open, tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "wide"
    (folder / ".git").mkdir(parents=True)
    (folder / "a.js").write_text("/* 🎉 öß */ function renderInvoice(order) { return order.total }\n")
    init = f"""
        {setup()}
        local capabilities = require('sextant.client').lsp().capabilities
        capabilities.general.positionEncodings = {{ '{encoding}' }}
        if vim.lsp.config then
          vim.lsp.config('sextant', {{ capabilities = capabilities }})
        else
          vim.lsp.protocol.make_client_capabilities = function() return vim.deepcopy(capabilities) end
        end
    """
    editor = edit(folder, "a.js", init=init)
    editor.wait_ready()
    editor.nvim.command("Sextant search ++quickfix renderInvoice")
    [item, *_] = until(lambda: editor.lua(QUICKFIX), "quickfix items")
    assert editor.lua("return vim.lsp.get_clients()[1].offset_encoding") == encoding
    text = (folder / "a.js").read_bytes()
    assert item["col"] - 1 == text.index(b"renderInvoice")
    editor.nvim.command("cclose | Sextant search renderInvoice")
    until(lambda: found(editor), "hits")
    editor.keys("<CR>")
    until(lambda: editor.lua("return vim.api.nvim_win_get_cursor(0)") == [1, text.index(b"renderInvoice")], "the name")
