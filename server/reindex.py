"""Reindex: bring folders up to date, their vectors computed where that is best."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from server.cluster import client
from server.cluster.protocol import Done, Fill, Progress
from server.config import Settings
from server.engine import Engine
from server.jobs import Course, JobError, Outcome, Request, State, sentence
from server.spaces import Spaces
from server.types import CancelToken

BASE = "base"
_WORTH_A_CLUSTER = 60.0
"""Seconds of work; a cluster takes five to ten to start or to send the model to."""
_RATE = 50.0
"""Passages a second and processor that a small transformer encodes; the base encoder's 5,000 are never worth it."""
_GLANCE = 0.1


def reindex(engine: Engine, settings: Settings, data_dir: Path, request: Request, course: Course) -> Outcome:
    """Compute what the encoder in the settings lacks, then look at the files again; raises JobError and Cancelled."""
    started = time.monotonic()
    done: Done | None = None
    on = choose(request.on, engine.status().missing_vectors, settings)
    if needs_second(settings) or on != "inline":
        done = compute(request.roots, on, settings, data_dir, course, may_fail=request.on == "auto")
    for root in request.roots:
        engine.rescan(root, everything=request.everything)
    _wait(engine, course.token, lambda: course.report(State("looking at files")))
    engine.change_spaces(Spaces.choose)
    _wait(engine, course.token, lambda: None)
    missing = engine.status().missing_vectors
    if missing:
        return Outcome(False, f"{missing:,} functions changed meanwhile; reindex once more.")
    units = sum(folder.units for folder in engine.status().folders if folder.root in request.roots)
    how = f"{done.computed:,} encoded on {done.where}, the rest known" if done and done.computed else "up to date"
    return Outcome(True, f"{units:,} functions: {how} ({time.monotonic() - started:.0f} s).")


def compute(
    roots: Iterable[str],
    on: str,
    settings: Settings,
    data_dir: Path,
    course: Course,
    may_fail: bool = False,
    export: str = "",
) -> Done:
    """Fill the store of the encoder in the settings; raises JobError and Cancelled.

    `may_fail`: a cluster that cannot be used is no failure, since nobody asked for just this one. `export`: a folder
    into which the vectors of these folders are written.
    """
    job = Fill(
        roots=list(roots),
        data_dir=str(data_dir),
        on=on,
        token_file=settings.cluster_token_file,
        strips=settings.strip_comments_and_strings,
        max_file_bytes=settings.max_file_bytes,
        exclude=settings.exclude,
        workers=settings.workers,
        processors=settings.cluster_processors,
        export=export,
    )
    try:
        try:
            done = client.run(
                settings.encoder, job, lambda moved: course.report(_state(moved)), course.warn, course.token
            )
        except client.JobFailed as problem:
            if not may_fail or on == "inline":
                raise
            course.warn(f"{sentence(str(problem))} The work is done on this machine")
            done = compute(roots, "inline", settings, data_dir, course, export=export)
    except client.JobFailed as problem:
        raise JobError(sentence(str(problem))) from problem
    course.token.check()
    return done


def choose(on: str, missing: int, settings: Settings) -> str:
    """Return where so many passages are encoded: what was asked for, else what is soonest done.

    That is never a cluster for what takes seconds, and another machine only if the user's settings name it.
    """
    if on != "auto":
        return on
    processors = os.cpu_count() or 1
    if settings.encoder == BASE or missing / _RATE < _WORTH_A_CLUSTER:
        return "inline"
    if settings.cluster_address:
        return settings.cluster_address
    return "local" if processors > 1 and importlib.util.find_spec("ray") is not None else "inline"


def needs_second(settings: Settings) -> bool:
    """Tell whether the settings name another encoder than the engine's own."""
    return settings.encoder != BASE or settings.strip_comments_and_strings


def _state(moved: Progress) -> State:
    if moved.message:
        return State(moved.message)
    share = moved.files / moved.total_files if moved.total_files else None
    return State(f"{moved.computed:,} encoded, {moved.files:,}/{moved.total_files:,} files", share)


def _wait(engine: Engine, token: CancelToken, show: Callable[[], None]) -> None:
    show()
    while not engine.wait_idle(_GLANCE):
        token.check()
