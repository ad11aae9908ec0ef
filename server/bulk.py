"""Bulk: the commands that compute vectors for many folders, elsewhere if wanted, and that move them."""

from __future__ import annotations

import argparse
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from server import config, reindex, report, tuning
from server.cluster.client import EncoderService, RemoteEncoder
from server.config import Settings, data_dir
from server.engine import Engine
from server.folder import settings_of
from server.index import exchange
from server.index.exchange import ExchangeError
from server.index.spaces import Space, open_space
from server.jobs import Course, JobError, Request, sentence
from server.model import choice
from server.model.encoder import ModelError
from server.types import CancelToken, Encoder

_GLANCE = 0.1
_WAIT_FOR_ENCODER = 120.0
"""Seconds for an encoder to load; large ones take a minute from a slow disk."""


def settings_for(root: str | None = None) -> Settings:
    """Return the user's settings; what they leave open about an index stays as an editor set it."""
    user, problems = config.user_settings()
    for problem in problems:
        report.note(problem)
    if root is None:
        return user
    shaped = settings_of(data_dir(), root)
    default = Settings()
    user = replace(
        user,
        exclude=user.exclude or shaped.exclude,
        max_file_bytes=shaped.max_file_bytes if user.max_file_bytes == default.max_file_bytes else user.max_file_bytes,
    )
    return tuning.tuned(user, data_dir(), (root,))


@contextlib.contextmanager
def second_encoder(engine: Engine, settings: Settings) -> Iterator[None]:
    """Let the encoder that the settings name answer, if it can."""
    if not reindex.needs_second(settings):
        yield
        return
    if settings.encoder.startswith(choice.FOLDER):
        engine.change_spaces(lambda spaces: spaces.offer_model(settings.encoder, settings.strip_comments_and_strings))
        engine.wait_idle()
        yield
        return
    with _service(settings) as encoder:
        engine.change_spaces(lambda spaces: spaces.offer(encoder, settings.strip_comments_and_strings))
        engine.wait_idle()
        yield


def run_reindex(arguments: argparse.Namespace, root: str) -> int:
    """Bring the index of a folder up to date, its vectors computed where the user says."""
    settings = settings_for(root)
    on = _place(arguments.on)
    engine = Engine(settings, choice.load(reindex.BASE), data_dir())
    engine.add_folder(root)
    engine.start()
    try:
        with second_encoder(engine, settings), _course() as course:
            while not engine.wait_idle(_GLANCE):
                course.token.check()
            request = Request("reindex", (root,), on, arguments.all)
            outcome = reindex.reindex(engine, settings, data_dir(), request, course)
    except JobError as problem:
        report.complain(str(problem))
        return 2
    finally:
        engine.close()
    report.outcome(outcome.ok, outcome.message, as_json=arguments.json)
    return 0 if outcome.ok else 1


def run_tune(arguments: argparse.Namespace, root: str) -> int:
    """Train the model of a folder, or let the base model answer again."""
    if arguments.rollback:
        had_one = tuning.roll_back(data_dir(), root)
        message = (
            "The base model answers again." if had_one else f"{root} has no model of its own; the base model answers."
        )
        report.outcome(True, message, as_json=arguments.json)
        return 0
    settings = replace(settings_for(root), encoder=config.user_settings()[0].encoder)
    with _course() as course:
        outcome = tuning.tune(settings, data_dir(), Request("tune", (root,), _place(arguments.on)), course)
    figures = {"before": outcome.before, "after": outcome.after, "accepted": outcome.accepted}
    report.outcome(outcome.ok, outcome.message, arguments.json, **figures)
    if outcome.accepted:
        arguments.all, arguments.on = False, "auto"
        return run_reindex(arguments, root)
    return 0


def run_fill(arguments: argparse.Namespace, roots: list[str]) -> int:
    """Compute the vectors of many folders into the shared store; their first index is then a matter of parsing."""
    settings = settings_for()
    on = _place(arguments.on or "inline")
    where = reindex.choose(on, 1 << 62, settings)
    try:
        with _course() as course:
            export = str(Path(arguments.export).absolute()) if arguments.export else ""
            done = reindex.compute(roots, where, settings, data_dir(), course, on == "auto", export)
    except JobError as problem:
        report.complain(str(problem))
        return 2
    message = f"{len(roots):,} folders, {done.files:,} files: {done.computed:,} functions encoded on {done.where}"
    report.outcome(True, f"{message}, {done.known:,} known ({done.seconds:.1f} s)", as_json=arguments.json)
    if arguments.export:
        _exported(done.exported_to, done.exported, as_json=arguments.json)
    return 0


def run_vectors(arguments: argparse.Namespace) -> int:
    """Write the vectors of the encoder in the settings to a file that others can import, or take such a file."""
    settings = settings_for()
    if arguments.action == "export":
        with _space(settings) as space:
            try:
                path, count = exchange.export(
                    space.vectors, space.name, space.encoder.dimensions, Path(arguments.place)
                )
            except OSError as problem:
                report.complain(f"{problem.filename or arguments.place} cannot be written: {problem.strerror}.")
                return 2
        _exported(str(path), count, as_json=arguments.json)
        return 0
    with _space(settings) as space:
        place = Path(arguments.place)
        path = place / f"{space.name}{exchange.ENDING}" if place.is_dir() else place
        try:
            added = exchange.import_(space.vectors, space.name, space.encoder.dimensions, path)
        except ExchangeError as problem:
            report.complain(sentence(str(problem)))
            return 2
    report.outcome(True, f"{added:,} new vectors were taken from {path}", as_json=arguments.json)
    return 0


def _exported(path: str, count: int, as_json: bool) -> None:
    report.outcome(True, f"{count:,} vectors were written to {path}", as_json=as_json)


@contextlib.contextmanager
def _space(settings: Settings) -> Iterator[Space]:
    """Open the vectors of the encoder in the settings."""
    with contextlib.ExitStack() as stack:
        is_heavy = settings.encoder.startswith(choice.TRANSFORMER)
        encoder: Encoder = stack.enter_context(_service(settings)) if is_heavy else choice.load(settings.encoder)
        space = open_space(data_dir(), encoder, settings.strip_comments_and_strings)
        stack.callback(space.vectors.close)
        yield space


@contextlib.contextmanager
def _service(settings: Settings) -> Iterator[RemoteEncoder]:
    """Start the encoder in the settings in a process of its own; raises ModelError."""
    told = threading.Event()
    ready: list[RemoteEncoder] = []
    trouble: list[str] = []

    def on_ready(encoder: RemoteEncoder) -> None:
        ready.append(encoder)
        told.set()

    def on_lost(reason: str) -> None:
        trouble.append(reason)
        told.set()

    service = EncoderService(settings.encoder, on_ready, on_lost)
    try:
        if not told.wait(_WAIT_FOR_ENCODER) or not ready:
            raise ModelError(trouble[0] if trouble else f"{settings.encoder} does not load")
        yield ready[0]
    finally:
        service.close()


def _place(on: str) -> str:
    if on not in ("auto", "inline", "local") and config.address(on) is None:
        raise JobError(f"--on is auto, inline, local, host:port or ray://host:port, not {on!r}")
    return on


@contextlib.contextmanager
def _course() -> Iterator[Course]:
    """Show progress; Ctrl-C ends the job in order."""
    token = CancelToken()
    with report.job() as show:
        try:
            yield Course(lambda state: show(state.message, state.share), report.note, token)
        except KeyboardInterrupt:
            token.cancel()
            raise
