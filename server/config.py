"""Settings: one frozen value, every field defaulted, parsed once with a list of problems."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs
from pathspec import GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user can set."""

    max_file_bytes: int = 1_000_000
    """Larger files are skipped; editors themselves stop highlighting near this size."""
    exclude: tuple[str, ...] = ()
    """Further patterns in .gitignore syntax that are not indexed."""
    workers: int = 0
    """Processes that parse in parallel during a first index; 0 chooses by the number of processors, at most 4."""

    @property
    def worker_count(self) -> int:
        """Return how many parsing processes to use; more than 4 wait for the one writer."""
        return self.workers or max(1, min(4, os.cpu_count() or 1))


def parse(raw: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return the settings of a JSON object and, by name, what in it was unknown or wrong (those keep their default)."""
    settings = Settings()
    chosen: dict[str, Any] = {}
    problems: list[str] = []
    known = {_camel(field.name): field.name for field in fields(Settings)}
    for key, value in raw.items():
        name = known.get(key)
        if name is None:
            problems.append(f"unknown setting {key!r}")
            continue
        default = getattr(settings, name)
        if isinstance(default, tuple):
            good = isinstance(value, list) and all(isinstance(item, str) for item in value)
        else:
            good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if name == "exclude" and good and not all(map(is_pattern, value)):
            problems.append(f"setting {key!r} keeps its default: {value!r} has a pattern that makes no sense")
        elif good:
            chosen[name] = tuple(value) if isinstance(default, tuple) else value
        else:
            problems.append(f"setting {key!r} keeps its default: {value!r} is not {_expected(default)}")
    return replace(settings, **chosen), problems


def data_dir() -> Path:
    """Return the folder that holds all indexes: SEXTANT_DATA_DIR, else the user's cache directory."""
    chosen = os.environ.get("SEXTANT_DATA_DIR")
    return (
        Path(chosen).expanduser().absolute()
        if chosen
        else Path(platformdirs.user_cache_dir("sextant", appauthor=False))
    )


def is_pattern(pattern: str) -> bool:
    """Tell whether a pattern in .gitignore syntax makes sense."""
    try:
        GitIgnoreSpec.from_lines([pattern])
    except (ValueError, re.error):
        return False
    return True


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _expected(default: object) -> str:
    return "a list of strings" if isinstance(default, tuple) else "a whole number of at least 0"
