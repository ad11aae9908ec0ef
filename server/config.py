"""Settings: one frozen value, every field defaulted, parsed once with a list of problems.

The fields below are the one place where settings are declared: the schema of VS Code's settings, the documents' tables
and the checks of `parse` all come from them (`python -m tests.mirror` writes what other files repeat).
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from server.globs import GlobError
from server.globs import parse as parse_glob

_T = TypeVar("_T")
_ADDRESS = re.compile(r"(?:ray://)?(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+):([0-9]{1,5})")

_LARGEST_FILE = 1_000_000
"""Bytes of a file of settings; no real one has a hundredth of it."""
LEAST_WORKER_MEGABYTES = 200
"""A parsing process with less could not do its work: it takes 60 to begin with."""


def _setting(
    default: _T,
    description: str,
    *,
    least: int | None = None,
    most: int | None = None,
    choices: tuple[str, ...] = (),
    shapes_index: bool = False,
    scope: str = "window",
) -> _T:
    """Declare a setting.

    `shapes_index`: an index remembers the value it was built with. `scope`: VS Code's; "machine" is for what a
    workspace must not choose (an address, a command).
    """
    facts = {
        "description": description,
        "least": least,
        "most": most,
        "choices": choices,
        "shapes_index": shapes_index,
        "scope": scope,
    }
    found: _T = field(default=default, metadata=facts)
    return found


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user can set."""

    exclude: tuple[str, ...] = _setting(
        (), "Further files and folders that are not indexed, as patterns in `.gitignore` syntax.", shapes_index=True
    )
    max_file_bytes: int = _setting(
        1_000_000,
        "Larger files are skipped. Editors themselves stop highlighting near this size.",
        least=1,
        most=100_000_000,
        shapes_index=True,
    )
    workers: int = _setting(
        0,
        "Processes that parse in parallel during a first index; 0 chooses by the number of processors, at most 4.",
        least=0,
        most=64,
    )
    keep_days: int = _setting(
        60, "Days after which the index of a folder that nobody opened, and vectors that nobody used, are deleted.",
        least=1, most=3650, scope="machine",
    )  # fmt: skip
    max_cache_megabytes: int = _setting(
        10_000,
        "Megabytes that all indexes may take together; beyond it those that were not opened for longest are deleted.",
        least=100, most=1_000_000, scope="machine",
    )  # fmt: skip
    memory_megabytes: int = _setting(
        1_000,
        "Megabytes that the processes of a first index may take together. A file that needs more is left out.",
        least=200, most=100_000, scope="machine",
    )  # fmt: skip
    duplicates: bool = _setting(
        False, "Show a hint at a function that nearly equals another one of the workspace (“You already wrote this”)."
    )

    encoder: str = _setting(
        "base",
        "What gives code its meaning: `base`, or `sentence-transformers:FOLDER` (or the name of a model that was "
        "downloaded), which needs `pip install 'sextant-ls[transformers]'`. The base encoder answers until all vectors "
        "of another one are there.",
        scope="machine",
    )
    strip_comments_and_strings: bool = _setting(
        False,
        "Leave comments and strings out of what the encoder is given, and so out of what a cluster gets.",
        scope="machine",
    )
    cluster_address: str = _setting(
        "",
        "A Ray cluster that may be used for large jobs: `host:port` or `ray://host:port`. Without one, nothing leaves "
        "this machine.",
        scope="machine",
    )
    cluster_token_file: str = _setting(
        "", "The file with the authentication token of that cluster, readable by you alone.", scope="machine"
    )
    cluster_processors: int = _setting(
        0,
        "How many tasks run on a cluster at once; 0 takes all of its processors.",
        least=0,
        most=10_000,
        scope="machine",
    )

    @property
    def worker_count(self) -> int:
        """Return how many parsing processes to use; more than 4 wait for the one writer."""
        return self.workers or max(1, min(4, os.cpu_count() or 1, self.memory_megabytes // LEAST_WORKER_MEGABYTES))

    @property
    def worker_bytes(self) -> int:
        """Return what one parsing process may take."""
        return max(LEAST_WORKER_MEGABYTES, self.memory_megabytes // self.worker_count) * 1_000_000


def parse(raw: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return the settings of a JSON object and, by name, what in it was unknown or wrong (those keep their default)."""
    chosen: dict[str, Any] = {}
    problems: list[str] = []
    known = {camel(each.name): each for each in fields(Settings)}
    for key, value in raw.items():
        setting = known.get(key)
        if setting is None:
            problems.append(f"unknown setting {key!r}")
        elif value is None:
            continue  # how editors say that nothing is set
        elif (objection := _objection(setting, value)) is None:
            chosen[setting.name] = tuple(value) if isinstance(value, list) else value
        else:
            problems.append(f"setting {key!r} keeps its default: the value {objection}")
    return replace(Settings(), **chosen), problems


def schema() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each setting by its full name, as VS Code's `contributes.configuration` takes it."""
    found: dict[str, dict[str, Any]] = {}
    for each in fields(Settings):
        facts = each.metadata
        entry: dict[str, Any] = {"type": _json_type(each.default)}
        if isinstance(each.default, tuple):
            entry["items"] = {"type": "string"}
        if facts["least"] is not None:
            entry["minimum"] = facts["least"]
        if facts["most"] is not None:
            entry["maximum"] = facts["most"]
        if facts["choices"]:
            entry["enum"] = list(facts["choices"])
        entry["default"] = list(each.default) if isinstance(each.default, tuple) else each.default
        found[f"sextant.{camel(each.name)}"] = entry | {
            "scope": facts["scope"],
            "markdownDescription": facts["description"],
        }
    return found


def shaping(settings: Settings) -> dict[str, Any]:
    """Return those settings, by their outside names, that an index remembers because they shape it."""
    found = {
        camel(each.name): getattr(settings, each.name) for each in fields(Settings) if each.metadata["shapes_index"]
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def remembered(text: str | None) -> dict[str, Any]:
    """Return what an index remembers as JSON; nothing where that is damaged."""
    try:
        raw = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


def data_dir() -> Path:
    """Return the folder that holds all indexes: SEXTANT_DATA_DIR, else the user's cache directory."""
    chosen = os.environ.get("SEXTANT_DATA_DIR")
    return (
        Path(chosen).expanduser().absolute()
        if chosen
        else Path(platformdirs.user_cache_dir("sextant", appauthor=False))
    )


def settings_file() -> Path:
    """Return the user's own file of settings: SEXTANT_SETTINGS, else the one in the user's configuration directory."""
    chosen = os.environ.get("SEXTANT_SETTINGS")
    return (
        Path(chosen).expanduser()
        if chosen
        else Path(platformdirs.user_config_dir("sextant", appauthor=False)) / "settings.json"
    )


def user_settings() -> tuple[Settings, list[str]]:
    """Return what the user's own file sets, for commands, and what in it is wrong.

    An editor tells the server its settings itself. No file in a workspace is ever read for settings.
    """
    path = settings_file()
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_FILE:
            return Settings(), [f"{path} cannot be read: it is no file, or larger than {_LARGEST_FILE // 1_000} kB"]
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings(), [f"there is no file {path}"] if os.environ.get("SEXTANT_SETTINGS") else []
    except RecursionError:
        return Settings(), [f"{path} cannot be read: it is nested too deeply"]
    except (OSError, ValueError) as problem:
        return Settings(), [f"{path} cannot be read: {problem}"]
    if not isinstance(raw, dict):
        return Settings(), [f"{path} is not a JSON object"]
    settings, problems = parse(raw)
    return settings, [f"{path}: {problem}" for problem in problems]


def address(text: str) -> tuple[str, int] | None:
    """Return host and port of a cluster's address, host:port or ray://host:port; None for anything else."""
    found = _ADDRESS.fullmatch(text)
    return (found[1].strip("[]"), int(found[2])) if found is not None and 0 < int(found[2]) < 65536 else None


def is_pattern(pattern: str) -> bool:
    """Tell whether a pattern in .gitignore syntax makes sense."""
    try:
        parse_glob(pattern)
    except GlobError:
        return False
    return True


def camel(name: str) -> str:
    """Return the name that a setting has outside."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _json_type(default: object) -> str:
    # bool is an int, so it goes first.
    types = ((bool, "boolean"), (int, "integer"), (tuple, "array"), (str, "string"))
    return next(name for kind, name in types if isinstance(default, kind))


def _objection(setting: Field[Any], value: object) -> str | None:
    """Return why a value cannot be taken."""
    facts, kind = setting.metadata, _json_type(setting.default)
    if kind == "boolean":
        return None if isinstance(value, bool) else "is not true or false"
    if kind == "string":
        if not isinstance(value, str):
            return "is not a string"
        if setting.name == "cluster_address" and value and address(value) is None:
            return "is not host:port or ray://host:port"
        return (
            None if not facts["choices"] or value in facts["choices"] else f"is none of {', '.join(facts['choices'])}"
        )
    if kind == "integer":
        least, most = facts["least"], facts["most"]
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return None if is_number and least <= value <= most else f"is not a whole number from {least} to {most}"
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return "is not a list of strings"
    return None if setting.name != "exclude" or all(map(is_pattern, value)) else "has a pattern that makes no sense"
