from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.neovim import tools
from tests.clients.neovim.editor import Editor
from tests.e2e.raw import server_command

T = Callable[[], object]


def have(tool: Callable[..., object], *arguments: str) -> object:
    """Return a tool, or skip the test with the reason why it cannot be had."""
    try:
        return tool(*arguments)
    except tools.Missing as missing:
        pytest.skip(f"{arguments[0] if arguments else tool.__name__}: {missing}")


@pytest.fixture(scope="session", params=tools.editors())
def neovim(request: pytest.FixtureRequest) -> tools.Program:
    program = have(tools.neovim, request.param)
    assert isinstance(program, tools.Program)
    if program.version < (0, 10):
        pytest.skip(f"Neovim {program.version} is older than what the plugin supports")
    return program


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real code: some packages of Python's standard library, as a project of their own."""
    folder = tmp_path_factory.mktemp("library")
    for name in ("email", "http", "json", "urllib"):
        shutil.copytree(
            Path(sysconfig.get_path("stdlib")) / name, folder / name, ignore=shutil.ignore_patterns("*.pyc")
        )
    (folder / ".git").mkdir()
    return folder


SETUP = "vim.g.mapleader = ' ' require('sextant').setup({ cmd = { %s } })"


def setup(*command: str) -> str:
    """Lua that sets the plugin up with this command, the real server's without one."""
    return SETUP % ", ".join(f"'{word}'" for word in (command or server_command()))


Open = Callable[..., Editor]


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One place for all indexes, so that the library is indexed once."""
    return {"SEXTANT_DATA_DIR": str(tmp_path_factory.mktemp("index"))}


@pytest.fixture(scope="module")
def shared(
    neovim: tools.Program, library: Path, index: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Editor]:
    home = tmp_path_factory.mktemp("shared")
    editor = Editor(neovim, home, library, setup(), "email/utils.py", environment=index)
    editor.wait_ready()
    yield editor
    editor.close()


@pytest.fixture
def editor(shared: Editor) -> Iterator[Editor]:
    """An editor in the library with a ready server, shared by tests that leave both as they were."""
    shared.nvim.command(f"edit! {shared.folder / 'email/utils.py'}")
    yield shared
    shared.reset()


@pytest.fixture
def edit(neovim: tools.Program, tmp_path: Path, index: dict[str, str]) -> Iterator[Open]:
    """Start editors in a folder and end them with the test."""
    editors: list[Editor] = []

    def start(folder: Path, *files: str, init: str | None = None, **options: object) -> Editor:
        home = tmp_path / f"home{len(editors)}"
        options.setdefault("environment", index)
        editors.append(Editor(neovim, home, folder, setup() if init is None else init, *files, **options))  # type: ignore[arg-type]
        return editors[-1]

    yield start
    for each in editors:
        each.close()
