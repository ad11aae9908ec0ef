"""The architecture's arrows, read from the imports."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[2] / "server"
MODULES = sorted(SERVER.rglob("*.py"))
RANKS = (
    {"server.types", "server.process", "server.globs"},
    {"server.config", "server.model.tokens"},
    {"server.model"},
    {"server.index"},
    {"server.cluster"},
    {"server.folder", "server.snapshot"},
    {"server.spaces"},
    {"server.background"},
    {"server.engine", "server.jobs"},
    {"server.reindex", "server.tuning"},
    {"server.doctor"},
    {"server.report"},
    {"server.bulk"},
    {
        "server.lsp",
        "server.commands",
        "server.model.compare",
        "server.model.evaluate",
        "server.model.fields",
        "server.model.judged",
        "server.model.ranker",
        "server.model.repositories",
    },
    {"server.__main__"},
)
"""From the bottom up; a module imports only from its own rank and below."""
ONLY_IN = {
    "pygls": ("server/lsp/",),
    "lsprotocol": ("server/lsp/",),
    "annoy": ("server/index/generation.py",),
    "tree_sitter": (
        "server/index/extract.py",
        "server/index/languages.py",
        "server/index/strip.py",
        "server/model/clones.py",
    ),
    "torch": (
        "server/model/adapt.py",
        "server/model/network.py",
        "server/model/train.py",
        "server/model/distill.py",
        "server/model/negatives.py",
        "server/model/transformer.py",
        "server/model/tune.py",
    ),
    "watchdog": ("server/index/watch.py",),
    "ray": ("server/cluster/driver.py", "server/cluster/tasks.py"),
    "sentence_transformers": ("server/model/transformer.py",),
    "pickle": (),
}
UPWARD = {
    ("server.model.benchmarks", "server.index"),
    ("server.model.clones", "server.index"),
    ("server.model.corpus", "server.index"),
    ("server.model.measures", "server.index"),
    ("server.model.workspace", "server.index"),
}
"""Training reads units as the index cuts them; nothing that serves does."""


def imports(module: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def name_of(module: Path) -> str:
    return ".".join(module.relative_to(SERVER.parent).with_suffix("").parts).removesuffix(".__init__")


def rank_of(name: str) -> int:
    """The rank of the longest prefix that has one."""
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        prefix = ".".join(parts[:end])
        for rank, members in enumerate(RANKS):
            if prefix in members:
                return rank
    return -1


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_point_down(module: Path) -> None:
    own = name_of(module)
    for imported in imports(module):
        if imported.startswith("server.") and (own, ".".join(imported.split(".")[:2])) not in UPWARD:
            assert rank_of(imported) <= rank_of(own), f"{own} imports {imported}"


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_heavy_packages_have_one_door(package: str) -> None:
    for module in MODULES:
        if any(name.split(".")[0].startswith(package) for name in imports(module)):
            path = module.relative_to(SERVER.parent).as_posix()
            assert path.startswith(ONLY_IN[package] or ("nowhere",)), f"{path} imports {package}"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_are_small_and_say_what_they_are(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 500
    assert ast.get_docstring(ast.parse(text))
