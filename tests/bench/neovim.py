"""Print what the Neovim plugin costs at start-up and how long a search takes to stand in the picker.

`python -m tests.bench.neovim`
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.clients.neovim import tools
from tests.clients.neovim.conftest import setup
from tests.clients.neovim.editor import PLUGIN, Editor, until
from tests.e2e.raw import REPOSITORY

RUNS = 30
QUERIES = ["decode a json document", "read a file line by line", "hash of a passage", "positions in utf-16"]


PROCESSOR = """
    local function used()
      local usage = vim.uv.getrusage()
      return (usage.utime.sec + usage.stime.sec) * 1000 + (usage.utime.usec + usage.stime.usec) / 1000
    end
    local began = used()
    vim.cmd.source(%r)
    io.stdout:write(used() - began)
"""


def processor(program: tools.Program) -> tuple[float, float]:
    """Milliseconds of processor time of sourcing plugin/sextant.lua, where other work does not count: median, worst."""
    measure = "lua " + " ".join((PROCESSOR % str(PLUGIN / "plugin/sextant.lua")).split())
    found = [
        float(program.run("--headless", "-u", "NORC", "-i", "NONE", "-c", measure, "+qall").stdout) for _ in range(RUNS)
    ]
    return statistics.median(found), max(found)


def start_up(program: tools.Program, home: Path) -> tuple[float, float]:
    """Milliseconds of sourcing plugin/sextant.lua: median and worst."""
    log, found = home / "startup.log", []
    for _ in range(RUNS):
        log.unlink(missing_ok=True)
        runtime = ["--cmd", f"set rtp^={PLUGIN}", "--startuptime", str(log)]
        program.run("--headless", "-u", "NORC", "-i", "NONE", *runtime, "+qall")
        line = next(line for line in log.read_text().splitlines() if "plugin/sextant.lua" in line)
        found.append(float(re.split(r"[\s:]+", line.strip())[2]))
    return statistics.median(found), max(found)


def search(program: tools.Program, home: Path) -> tuple[float, float]:
    """Milliseconds from :Sextant search to drawn hits, in this repository's server: median and worst."""
    found = []
    editor = Editor(program, home, REPOSITORY, setup(), "server/engine.py", environment={"SEXTANT_DATA_DIR": str(home)})
    try:
        editor.wait_ready()
        for query in QUERIES * 5:
            began = time.perf_counter()
            editor.lua("require('sextant').search(...)", query)
            until(lambda: any("found" in title or "guesses" in title for title in editor.floats()))
            found.append((time.perf_counter() - began) * 1000)
            editor.keys("<Esc>")
            until(lambda: not editor.floats())
    finally:
        editor.close()
    return statistics.median(found), max(found)


def main() -> int:
    """Measure with every Neovim there is."""
    for name in tools.editors():
        try:
            program = tools.neovim(name)
        except tools.Missing as missing:
            print(f"{name}: {missing.reason}")
            continue
        version = ".".join(map(str, program.version))
        with tempfile.TemporaryDirectory() as home:
            median, worst = start_up(program, Path(home))
            print(f"Neovim {version}: start-up {median:.2f} ms, worst of {RUNS} {worst:.2f} ms")
            median, worst = processor(program)
            print(f"Neovim {version}: start-up {median:.2f} ms of processor time, worst of {RUNS} {worst:.2f} ms")
            median, worst = search(program, Path(home))
            print(f"Neovim {version}: search to drawn hits {median:.0f} ms, worst {worst:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
