"""The server's life as a Neovim user sees it: none, crashed, busy, described."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.clients.neovim.conftest import Open, setup
from tests.clients.neovim.editor import PLUGIN, Editor, until
from tests.clients.neovim.test_search import QUICKFIX, found, notices, server
from tests.e2e.raw import server_command

ID = "local c = vim.lsp.get_clients({ bufnr = 0 })[1] return c and c.id or 0"


def health(editor: Editor) -> str:
    editor.nvim.command("checkhealth sextant")
    until(lambda: "running servers" in "\n".join(editor.nvim.current.buffer[:]))
    return "\n".join(editor.nvim.current.buffer[:])


def test_a_crash_and_the_restart(edit: Open, library: Path) -> None:
    editor = edit(library, "email/utils.py")
    editor.wait_ready()
    first = editor.lua(ID)
    pid = server(editor)
    os.kill(pid, signal.SIGSTOP)
    editor.nvim.command("Sextant search decode a json document")
    until(lambda: editor.lua("return #vim.tbl_keys(vim.lsp.get_clients()[1].requests)") > 0)
    os.kill(pid, signal.SIGKILL)
    until(lambda: "server ended" in notices(editor), "the open question is answered")
    until(lambda: editor.lua("return #vim.lsp.get_clients()") == 1, "a new server")
    assert first != until(lambda: editor.lua("return (vim.lsp.get_clients()[1] or { id = false }).id"))
    editor.keys("s")
    until(lambda: any("JSONDecoder" in line for line in found(editor)), "hits of the new server")
    editor.keys("<Esc>")
    until(lambda: editor.lua(ID) not in (0, first), "the buffer is attached again")


def test_it_stays_down_when_it_keeps_dying(edit: Open, library: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    editor = edit(library, "email/utils.py", init=setup(str(broken)))
    until(lambda: "stays down" in editor.messages(), "giving up")


def test_stopping_is_no_crash(edit: Open, library: Path) -> None:
    editor = edit(library, "email/utils.py")
    editor.wait_ready()
    editor.lua("local c = vim.lsp.get_clients()[1] require('sextant.client').call(c, 'stop')")
    until(lambda: editor.lua("return #vim.lsp.get_clients()") == 0)
    assert not editor.lua("return vim.wait(1500, function() return #vim.lsp.get_clients() > 0 end)")


def test_a_missing_server(edit: Open, library: Path) -> None:
    editor = edit(library, "email/utils.py", "http/client.py", init=setup("/nowhere/sextant"))
    editor.nvim.command("next")
    until(lambda: editor.messages().count("not executable") == 1, "said once, not for every file")
    editor.run("Sextant search ++quickfix decode")
    until(lambda: editor.messages().count("not executable") == 2)
    editor.run("<CR>:Sextant search decode")
    until(lambda: "not executable" in notices(editor), "the picker says so")
    editor.keys("<Esc>")
    assert "ERROR" in health(editor)


def test_a_server_of_another_version(edit: Open, library: Path) -> None:
    newer = "from server.lsp import protocol; protocol.PROTOCOL_VERSION = 2; from server.__main__ import main; main()"
    editor = edit(library, "email/utils.py", init=setup(sys.executable, "-c", newer, "serve"))
    editor.nvim.command("Sextant search decode")
    until(lambda: "not the Sextant that this plugin knows" in notices(editor), "the picker says so")
    editor.keys("<Esc>")
    editor.run("Sextant status")
    until(lambda: "not the Sextant" in editor.messages())
    assert "not the Sextant" in health(editor)


def test_a_program_that_is_no_server(edit: Open, library: Path, tmp_path: Path) -> None:
    """The picker shows that it waits, and can be left; what the program prints is no good health."""
    silent = tmp_path / "silent"
    silent.write_text('#!/bin/sh\n[ "$1" = doctor ] || exec sleep 600\n')
    silent.chmod(0o755)
    editor = edit(library, "email/utils.py", init=setup(str(silent), "serve"))
    editor.nvim.command("Sextant search decode")
    until(lambda: "…" in editor.floats(), "a sign of waiting")
    editor.keys("<Esc>")
    until(lambda: not editor.floats())
    assert "WARNING" in health(editor)


def test_health(editor: Editor) -> None:
    text = health(editor)
    assert "protocol 1, positions in utf-" in text
    assert "Sextant 0." in text, "the version of the program"
    assert re.search(r"ok +index: [\d,]+ files", text)


def test_status_and_progress(edit: Open, tmp_path: Path) -> None:
    """While a project is indexed for the first time, the statusline counts and the picker tells and asks again.

    What is found by words alone comes before the rest.
    """
    folder, source = tmp_path / "large", Path(sysconfig.get_path("stdlib"))
    (folder / ".git").mkdir(parents=True)
    for path in [*source.glob("*.py"), *source.glob("asyncio/*.py"), *source.glob("multiprocessing/*.py")]:
        (folder / path.relative_to(source)).parent.mkdir(exist_ok=True)
        shutil.copy(path, folder / path.relative_to(source))
    own = {"SEXTANT_DATA_DIR": str(tmp_path / "fresh")}
    watch = """
        _G.statuses = {}
        vim.api.nvim_create_autocmd('LspProgress', { callback = function()
          vim.schedule(function() table.insert(_G.statuses, require('sextant').status()) end)
        end })
        _G.early = 0
        local client = require('sextant.client')
        local request = client.request
        client.request = function(buf, method, params, done, early)
          return request(buf, method, params, done, early and function(...)
            _G.early = _G.early + 1
            early(...)
          end)
        end
    """
    editor = edit(folder, "shlex.py", init=setup() + watch, environment=own)
    editor.nvim.command("Sextant search split a string as a shell does")
    until(lambda: "indexing" in notices(editor), "the picker says that answers may be missing")
    until(lambda: found(editor) and "indexing" not in notices(editor), "all hits, without a key", 120)
    assert any("shlex" in line for line in found(editor))
    assert editor.lua("return _G.early") > 0
    statuses = until(lambda: editor.lua("return _G.statuses"))
    assert any(re.fullmatch(r"sextant: indexing \d+ %%", status) for status in statuses), statuses
    editor.keys("<Esc>")
    until(lambda: editor.lua("return require('sextant').status()") == "sextant", "quiet")
    editor.lua("_G.told = '' vim.api.nvim_echo = function(chunks) _G.told = chunks[1][1] end")
    editor.nvim.command("Sextant status")
    text = until(lambda: editor.lua("return _G.told"))
    assert re.search(r"large: ready, [\d,]+ functions and types in [\d,]+ files", text)


@pytest.mark.parametrize("name", ["reindex", "tune"])
def test_jobs(editor: Editor, name: str) -> None:
    """The server says how it went."""
    editor.lua("_G.done = {} vim.notify = function(text) table.insert(_G.done, text) end")
    editor.nvim.command(f"Sextant {name}")
    first = until(lambda: editor.lua("return _G.done"))[0]
    assert "started" in first
    if name == "reindex":
        assert len(until(lambda: editor.lua("return #_G.done > 1 and _G.done or nil"), "the end")) == 2
    else:
        editor.nvim.command("Sextant cancel")
        until(lambda: editor.lua("return #_G.done > 2"), "what was asked, and how the job ended")


def test_commands(editor: Editor) -> None:
    complete = "return vim.fn.getcompletion(..., 'cmdline')"
    names = ["cancel", "log", "reindex", "search", "similar", "status", "tune"]
    assert editor.lua(complete, "Sextant ") == names
    assert editor.lua(complete, "Sextant se") == ["search"]
    assert editor.lua(complete, "Sextant search ++q") == ["++quickfix"]
    assert editor.lua(complete, "Sextant reindex a") == ["all", "auto"]
    editor.run("Sextant nonsense")
    until(lambda: "there is no" in editor.messages())
    editor.keys("<CR>")
    editor.nvim.command("Sextant log")
    assert editor.lua("return vim.fn.expand('%:t')") == "lsp.log"
    assert all(f":Sextant-{name}" in (PLUGIN / "doc/sextant.txt").read_text() for name in names)


def test_enable_without_setup(edit: Open, library: Path) -> None:
    command = ", ".join(f"'{word}'" for word in server_command())
    init = (
        f"if vim.lsp.config then vim.lsp.config('sextant', {{ cmd = {{ {command} }} }}) vim.lsp.enable('sextant') end"
    )
    editor = edit(library, "email/utils.py", init=init)
    if editor.version < (0, 11):
        pytest.skip("vim.lsp.enable() came with Neovim 0.11")
    editor.wait_ready()
    editor.nvim.command("Sextant search ++quickfix decode a json document")
    assert until(lambda: editor.lua(QUICKFIX), "quickfix items")


def test_code_actions_open_the_picker(editor: Editor) -> None:
    editor.nvim.command("edit json/decoder.py")
    editor.nvim.command("/def decode(")
    editor.lua("vim.lsp.buf.code_action({ apply = true, filter = function(a) return a.title:find('similar') end })")
    assert until(lambda: found(editor), "hits")


def test_nothing_is_loaded_at_start_up(edit: Open, library: Path) -> None:
    editor = edit(library, init="")
    loaded = "return vim.tbl_filter(function(name) return name:find('^sextant') end, vim.tbl_keys(package.loaded))"
    assert editor.lua(loaded) == []
    assert editor.lua("return vim.fn.exists(':Sextant')") == 2
    assert editor.lua("return vim.fn.maparg('<Plug>(sextant-similar)', 'x')") or editor.version
    assert editor.lua("return require('sextant').status()") == ""
    assert editor.lua(loaded) == ["sextant"]


def test_highlights_follow_a_colorscheme(editor: Editor) -> None:
    link = "return vim.api.nvim_get_hl(0, { name = 'SextantMatch' }).link"
    editor.lua("require('sextant.hit')")
    assert editor.lua(link) == "Search"
    editor.nvim.command("colorscheme habamax")
    assert editor.lua(link) == "Search"


def test_an_unknown_option(edit: Open, library: Path) -> None:
    editor = edit(library, init="")
    assert "unknown option" in editor.lua("return select(2, pcall(require('sextant').setup, { colour = 1 }))")
