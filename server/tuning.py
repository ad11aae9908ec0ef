"""Tuning: the repository model of a folder, trained in a child process and named by a pointer."""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

from server.cluster import client
from server.cluster.protocol import Progress, Tune
from server.config import Settings
from server.folder import home_of
from server.jobs import Course, JobError, Outcome, Request, State, sentence
from server.model import encoder
from server.model.choice import BASE, FOLDER
from server.model.encoder import ModelError

_POINTER = "model.json"
"""In a folder's index: which model answers (`name`), and how good it was found to be."""


def tuned(settings: Settings, data_dir: Path, roots: tuple[str, ...]) -> Settings:
    """Return the settings with the repository model for the encoder, if the only folder of a workspace has one.

    A workspace of several folders is asked with one model, so it is the base model.
    """
    if settings.encoder != BASE or len(roots) != 1:
        return settings
    folder = current(data_dir, roots[0])
    return settings if folder is None else replace(settings, encoder=f"{FOLDER}{folder}")


def current(data_dir: Path, root: str) -> Path | None:
    """Return the model folder that a folder's pointer names; None without one that can be used."""
    home = home_of(data_dir, root)
    try:
        name = _pointed(home)
        encoder.load(home / name)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ModelError):
        return None  # the base model answers, as it did before there was one
    return home / name


def described(encoder_name: str, data_dir: Path, root: str) -> str:
    """Say which model answers for a folder; `encoder_name` is the encoder in the user's settings."""
    pointer = home_of(data_dir, root) / _POINTER
    if encoder_name != BASE or not pointer.exists():
        return encoder_name
    if current(data_dir, root) is None:
        return f"{BASE}; the one of this repository is damaged: `sextant tune` makes another"
    day = date.fromtimestamp(pointer.stat().st_mtime).isoformat()
    return f"of this repository, tuned {day}; `sextant tune --rollback` undoes it"


def tune(settings: Settings, data_dir: Path, request: Request, course: Course) -> Outcome:
    """Train the model of a folder and point to it if it is better; raises JobError and Cancelled."""
    if len(request.roots) != 1:
        raise JobError("A workspace of several folders has no model of its own; name one of the folders.")
    if settings.encoder != BASE:
        raise JobError("Only the built-in model can be tuned; set the encoder to base.")
    (root,) = request.roots
    home = home_of(data_dir, root)
    name = f"model-{uuid.uuid4().hex[:12]}"
    home.mkdir(parents=True, exist_ok=True)
    job = Tune(
        root,
        str(home / name),
        on="inline" if request.on == "auto" else request.on,  # what takes a minute is not worth a cluster
        token_file=settings.cluster_token_file,
        max_file_bytes=settings.max_file_bytes,
        exclude=settings.exclude,
        processors=settings.cluster_processors,
    )
    try:
        found = client.tune(BASE, job, lambda moved: course.report(_state(moved)), course.warn, course.token)
    except client.JobFailed as problem:
        raise JobError(sentence(str(problem))) from problem
    if found.accepted:
        _point(home, {"name": name, **asdict(found)})
    _collect(home)
    return Outcome(True, found.message, found.before, found.after, found.accepted)


def roll_back(data_dir: Path, root: str) -> bool:
    """Let the base model answer again; False where it does already."""
    home = home_of(data_dir, root)
    had_one = (home / _POINTER).exists()
    (home / _POINTER).unlink(missing_ok=True)
    _collect(home)
    return had_one


def _point(home: Path, content: dict[str, object]) -> None:
    beside = home / f"{_POINTER}.tmp"
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(home / _POINTER)


def _pointed(home: Path) -> str:
    """Return the name in a folder's pointer."""
    if not (home / _POINTER).is_file():
        raise FileNotFoundError(home / _POINTER)  # nothing, or a pipe, which would be waited for
    return str(json.loads((home / _POINTER).read_text(encoding="utf-8"))["name"])


def _collect(home: Path) -> None:
    """Remove models that nothing points to."""
    try:
        kept = _pointed(home)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        kept = ""
    for folder in home.glob("model-*"):
        if folder.name != kept:
            shutil.rmtree(folder, ignore_errors=True)


def _state(moved: Progress) -> State:
    return State(moved.message, moved.files / 100)
