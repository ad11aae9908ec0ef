"""Draw the picker of the README: a real Neovim in a real terminal, asked a real question, as an SVG.

`python -m tests.clients.neovim.capture FOLDER QUERY FILE.svg`
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.clients.neovim import tools
from tests.clients.neovim.editor import Editor, until
from tests.e2e.raw import server_command

COLUMNS, LINES = 132, 36


def draw(screen: str, path: Path) -> None:
    """Write a terminal's screen, with its colours, as a picture that refers to nothing outside itself."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(screen), no_wrap=True, crop=True, end="")
    dark = TerminalTheme((20, 22, 27), (224, 226, 234), [(0, 0, 0)] * 8)
    svg = console.export_svg(title="nvim", theme=dark)
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n")


def main(folder: str, query: str, picture: str) -> int:
    """Ask and draw."""
    command = ", ".join(f"'{word}'" for word in server_command())
    init = f"vim.o.termguicolors = true require('sextant').setup({{ cmd = {{ {command} }} }})"
    with tempfile.TemporaryDirectory() as home:
        editor = Editor(tools.neovim(tools.editors()[-1]), Path(home), Path(folder), init, screen=(COLUMNS, LINES))
        try:
            large = next(path for path in sorted(Path(folder).rglob("*.py")) if path.stat().st_size > 9000)
            editor.nvim.command(f"silent! edit {large.relative_to(folder)}")
            editor.wait_ready()
            editor.nvim.input(f":Sextant search {query}<CR>")
            until(lambda: "found" in editor.screen() and "def " in editor.screen(), "hits")
            draw(editor.screen(colored=True), Path(picture))
        finally:
            editor.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
