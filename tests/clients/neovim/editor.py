"""A real Neovim with the plugin: headless, or in a real terminal that tmux draws."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pynvim

from tests.clients.neovim import tools
from tests.e2e.raw import REPOSITORY

PLUGIN = REPOSITORY / "clients" / "neovim"
PATIENCE = 60.0
T = TypeVar("T")


def until(ask: Callable[[], T], what: str = "", patience: float = PATIENCE) -> T:
    """Wait for a true answer and return it."""
    ends = time.monotonic() + patience
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > ends:
            raise AssertionError(f"waited {patience:.0f} s in vain{': ' + what if what else ''}; last: {answer!r}")
        time.sleep(0.05)


def _attach(socket: Path) -> pynvim.Nvim | None:
    try:
        return pynvim.attach("socket", path=str(socket))
    except OSError:  # it is there before Neovim listens
        return None


class Editor:
    """One running Neovim; `lua` and `keys` are what a user could do."""

    def __init__(
        self,
        program: tools.Program,
        home: Path,
        folder: Path,
        init: str,
        *files: str,
        plugins: tuple[Path, ...] = (),
        screen: tuple[int, int] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self.folder, self.version = home, folder, program.version
        (home / "init.lua").write_text(f"vim.opt.rtp:prepend({str(PLUGIN)!r})\n{init}\n")
        # Not below the test's folder: a socket's path has about a hundred bytes.
        self._sockets = Path(tempfile.mkdtemp(prefix="sx"))
        socket = self._sockets / "nvim"
        own = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
        own |= {"PYTHONPATH": str(REPOSITORY), "HOME": str(home)}
        own |= {**program.environment, **(environment or {})}
        runtime = [part for plugin in plugins for part in ("--cmd", f"set rtp^={plugin}")]
        command = [
            *program.command,
            "--headless",
            "--cmd",
            "set columns=160 lines=50",
            "-u",
            str(home / "init.lua"),
            *runtime,
        ]
        command += ["--listen", str(socket), *files]
        self._process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **own}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        until(socket.exists, "Neovim's socket")
        self._tmux: list[str] = []
        if screen is not None:
            # The terminal is a second process: Neovim cannot start its own through a foreign dynamic linker.
            shown = [*program.command, "--server", str(socket), "--remote-ui"]
            # A script, because tmux reads the semicolons of LUA_PATH as its own.
            exports = [
                f"export {name}={shlex.quote(value)}" for name, value in {**own, "COLORTERM": "truecolor"}.items()
            ]
            (home / "terminal.sh").write_text("\n".join([*exports, "exec " + shlex.join(shown)]))
            settings = ["default-terminal tmux-256color", "remain-on-exit on", "escape-time 0", "status off"]
            (home / "tmux.conf").write_text("".join(f"set -g {setting}\n" for setting in settings))
            terminal = tools.tmux()
            self._tmux = [*terminal.command, "-f", str(home / "tmux.conf"), "-S", str(self._sockets / "tmux")]
            self._environment = {**os.environ, **terminal.environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
            size = ["-x", str(screen[0]), "-y", str(screen[1])]
            self._terminal("new-session", "-d", *size, "sh", str(home / "terminal.sh"))
        self.nvim = until(lambda: _attach(socket), "Neovim")
        self.lua("_G.notify = vim.notify")  # tests may put something else there
        if screen is not None:
            until(lambda: self.lua("return #vim.api.nvim_list_uis()"), "the terminal")

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.nvim.exec_lua(code, *arguments)

    def keys(self, keys: str) -> None:
        """Type as a user would; in a terminal through the terminal."""
        self.nvim.input(keys)

    def run(self, command: str) -> None:
        """Type a command; unlike an API call this takes an error message for what it is."""
        self.nvim.input(f":{command}<CR>")

    def messages(self) -> str:
        return str(self.nvim.command_output("messages"))

    def wait_ready(self, folders: int = 1) -> None:
        """Wait until the current buffer's server has indexed this many folders."""
        ready = """
            local client = vim.lsp.get_clients({ name = 'sextant', bufnr = 0 })[1]
            if not client then return false end
            local answer = require('sextant.client').call(client, 'request_sync', 'sextant/indexStatus', nil, 20000, 0)
            if not answer or not answer.result then return false end
            for _, folder in ipairs(answer.result.folders) do
              if folder.state ~= 'ready' or folder.pendingFiles > 0 then return false end
            end
            return #answer.result.folders
        """
        until(lambda: self.lua(ready) == folders, "a ready index")

    def floats(self) -> dict[str, list[str]]:
        """The texts of the floating windows by their titles, the prompt's and the list's first."""
        return self.lua("""
            local found = vim.empty_dict()
            for _, win in ipairs(vim.api.nvim_list_wins()) do
              local config = vim.api.nvim_win_get_config(win)
              if config.relative ~= '' then
                local title = config.title and config.title[1] and config.title[1][1] or tostring(win)
                found[vim.trim(title)] = vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(win), 0, -1, false)
              end
            end
            return found
        """)  # type: ignore[no-any-return]

    def _terminal(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments],
            env=self._environment,
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, *keys: str) -> None:
        """Type into the terminal: words as they are, keys by tmux's names such as Enter and C-q."""
        for key in keys:
            named = key in {"Enter", "Escape", "Space", "Down", "Up", "BSpace"} or (len(key) == 3 and key[1] == "-")
            self._terminal("send-keys", *([] if named else ["-l"]), key)

    def resize(self, columns: int, lines: int) -> None:
        self._terminal("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self, *, colored: bool = False) -> str:
        return self._terminal("capture-pane", "-p", *(["-e"] if colored else []))

    def reset(self) -> None:
        """Take away what a test left: windows, buffers, lists, messages."""
        self.nvim.input("<C-\\><C-n><Esc>")
        until(lambda: self.lua("return vim.api.nvim_get_mode().mode") == "n" and not self.floats())
        self.nvim.command("silent! only | silent! tabonly | call setqflist([]) | messages clear")
        self.lua("vim.notify = _G.notify")

    def close(self) -> None:
        try:
            self.nvim.command("qall!", async_=True)
            self._process.wait(20)
        except (OSError, EOFError, subprocess.TimeoutExpired):
            self._process.kill()
        self.nvim.close()
        if self._tmux:
            subprocess.run(
                [*self._tmux, "kill-server"], env=self._environment, cwd=self.folder, check=False, capture_output=True
            )
        shutil.rmtree(self._sockets, ignore_errors=True)
