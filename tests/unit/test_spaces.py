"""Another encoder: what it invalidates, when it answers, and that vectors of two encoders never meet."""

from __future__ import annotations

import importlib.util
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server import reindex
from server.cluster import client
from server.cluster.client import EncoderService
from server.cluster.protocol import Done, Fill
from server.config import Settings
from server.engine import Engine
from server.index.languages import LANGUAGES
from server.index.parser import HERE
from server.index.strip import stripped
from server.model import encoder
from server.model.encoder import Weights
from server.spaces import Spaces
from server.types import CancelToken, Passage, Query, SearchResult, space_name
from tests.e2e.raw import wait_until

FILES = {
    "mail.py": 'def send(to):\n    """Send an email."""\n    return smtp(to)\n\n\ndef same(x):\n    return x\n',
    "copy/mail.py": 'def send(to):\n    """Send an email."""\n    return smtp(to)\n',
    "dates.py": 'def convert(zone):\n    """Convert a time to another zone."""\n    return at(zone)\n',
    "web/auth.js": "/** Log a user in with a password. */\nfunction login(user, word) { return check(user, word); }\n",
}
QUERIES = ("send an email", "convert time zone", "log in with password", "parse a date")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = (tmp_path / "work").resolve()
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that differs from the base model in its dimensions and in every vector."""
    base = encoder.load()
    folder = tmp_path_factory.mktemp("model")
    encoder.save(
        folder, base.vocabulary, Weights(base.weights.rows[:, :96], base.weights.importance, base.weights.fields)
    )
    return folder


@pytest.fixture
def engine(root: Path, tmp_path: Path) -> Iterator[Engine]:
    yield from run(root, tmp_path / "data")


def run(root: Path, data: Path, model: Path | None = None) -> Iterator[Engine]:
    engine = Engine(Settings(workers=1), encoder.load(model), data, parser=HERE)
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(60)
    yield engine
    engine.close()


def answers(engine: Engine) -> list[SearchResult]:
    snapshot = engine.snapshot
    for layer in snapshot.layers:
        assert layer.segment.vectors.shape[1] == snapshot.encoder.dimensions  # spaces never meet
    found = [snapshot.search(Query(text), CancelToken()) for text in QUERIES]
    return [replace(one, generation=0) for one in found]


def scratch(root: Path, tmp_path: Path, model: Path | None) -> list[SearchResult]:
    """What an index answers that was built with an encoder from the start."""
    engines = run(root, tmp_path / "fresh" / (model.name if model else "base"), model)
    found = answers(next(engines))
    next(engines, None)
    return found


def fill(root: Path, data: Path, model: Path, **others: object) -> Done:
    job = replace(Fill([str(root)], str(data), max_file_bytes=1_000_000, workers=1), **others)  # type: ignore[arg-type]
    return client.run(f"folder:{model}", job, lambda _: None, pytest.fail, CancelToken())


def uses(engine: Engine, name: str) -> Callable[[], bool]:
    return lambda: engine.status().encoder == name and engine.wait_idle(1)


def test_the_old_space_answers_until_the_new_one_is_complete(
    engine: Engine, root: Path, other: Path, tmp_path: Path
) -> None:
    base, model = encoder.load(), encoder.load(other)
    expected = answers(engine)
    assert expected == scratch(root, tmp_path, None)
    service = EncoderService(
        f"folder:{other}",
        lambda ready: engine.change_spaces(lambda spaces: spaces.offer(ready)),
        lambda _: engine.change_spaces(Spaces.withdraw),
    )
    try:
        wait_until(lambda: engine.status().missing_vectors > 0)
        assert engine.status().encoder == base.fingerprint
        assert answers(engine) == expected
        assert fill(root, tmp_path / "data", other).computed == engine.status().missing_vectors
        engine.change_spaces(Spaces.choose)
        wait_until(uses(engine, model.fingerprint))
        assert engine.status().missing_vectors == 0
        assert without_why(answers(engine)) == without_why(scratch(root, tmp_path, other))

        # What is edited is encoded on the side.
        (root / "dates.py").write_text('def parse(text):\n    """Parse a date from text."""\n    return text\n')
        engine.touch([str(root / "dates.py")])
        engine.set_buffer(str(root / "new.py"), None, "def log_in(password):\n    return check(password)\n")
        (root / "new.py").write_text("def log_in(password):\n    return check(password)\n")
        expected = without_why(scratch(root, tmp_path / "again", other))
        wait_until(lambda: engine.wait_idle(1) and without_why(answers(engine)) == expected)
        engine.compact()
        assert engine.wait_idle(30)
        assert without_why(answers(engine)) == expected

        # The process dies: the old space answers at once, the new one again when it is back.
        assert service._child is not None
        os.kill(service._child._process.pid, signal.SIGTERM)
        wait_until(uses(engine, base.fingerprint))
        assert answers(engine) == scratch(root, tmp_path / "third", None)
        wait_until(uses(engine, model.fingerprint))
        assert without_why(answers(engine)) == expected
    finally:
        service.close()
    engine.change_spaces(Spaces.withdraw)
    wait_until(uses(engine, base.fingerprint))


def without_why(results: list[SearchResult]) -> list[SearchResult]:
    return [replace(one, hits=tuple(replace(hit, why=None) for hit in one.hits)) for one in results]


def test_a_second_start_with_another_encoder_computes_nothing(root: Path, other: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(2):
        engines = run(root, data)
        engine = next(engines)
        engine.change_spaces(lambda spaces: spaces.offer(encoder.load(other)))
        assert fill(root, data, other).computed == (4 if number == 0 else 0)  # equal functions once
        engine.change_spaces(Spaces.choose)
        wait_until(uses(engine, encoder.load(other).fingerprint))
        next(engines, None)


def test_another_base_model_reads_again_but_keeps_the_units(root: Path, other: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    next(run(root, data)).compact()
    engines = run(root, data, other)
    assert answers(next(engines)) == scratch(root, tmp_path, other)
    next(engines, None)


def test_more_than_a_handful_of_edits_is_a_jobs_work(engine: Engine, root: Path, other: Path, tmp_path: Path) -> None:
    engine.change_spaces(lambda spaces: spaces.offer(encoder.load(other)))
    fill(root, tmp_path / "data", other)
    engine.change_spaces(Spaces.choose)
    wait_until(uses(engine, encoder.load(other).fingerprint))
    for number in range(60):
        text = "".join(f"def part_{number}_{each}():\n    return {each}\n\n\n" for each in range(10))
        (root / f"part{number}.py").write_text(text)
    engine.rescan()
    assert engine.wait_idle(60)
    if engine.status().missing_vectors:
        assert engine.status().encoder == encoder.load().fingerprint
        fill(root, tmp_path / "data", other)
        engine.change_spaces(Spaces.choose)
    wait_until(uses(engine, encoder.load(other).fingerprint))
    assert without_why(answers(engine)) == without_why(scratch(root, tmp_path, other))


def test_a_job_fills_what_is_stripped_into_a_space_of_its_own(root: Path, other: Path, tmp_path: Path) -> None:
    model = encoder.load(other)
    assert fill(root, tmp_path / "data", other, strips=True).computed == 4
    name = space_name(model.fingerprint, True)
    assert name != model.fingerprint
    with sqlite3.connect(tmp_path / "data" / "vectors" / f"{name}.db") as db:
        stored = {blob[:-4] for (blob,) in db.execute("SELECT vector FROM vectors")}  # without its checksum
    bare = Passage("send", "", "def send(to)", "", "return smtp(to)")
    assert model.encode([bare])[0].astype(np.float16).tobytes() in stored


@pytest.mark.parametrize(
    ("language", "body"),
    [
        ("python", 'x = "SECRET" # SECRET\n    y = f"SECRET {a}"\n    """SECRET\nSECRET"""\n    keep()'),
        (
            "javascript",
            "const a = `SECRET ${b}`; /* SECRET\nSECRET */ let r = /SECRET\"/; foo('SECRET') // SECRET\nkeep()",
        ),
        ("typescript", 'keep(); class A { x = `SECRET`; }\n } } ) "SECRET\n'),
        ("rust", "fn f<'a>(x: &'a str) { let y = r#\"SECRET \" SECRET\"#; let c = 'S'; keep() /* SECRET */ }"),
        ("ruby", "x = <<~EOS\n SECRET\n EOS\n y = 'SECRET' # SECRET\n keep"),
        ("php", '$x = "SECRET"; # SECRET\n echo <<<EOT\nSECRET\nEOT;\nkeep();'),
        ("go", "x := `SECRET\nSECRET`; y := 'S' // SECRET\nkeep()"),
        ("cpp", 'auto x = R"(SECRET " SECRET)"; char c = \'S\'; // SECRET\n keep();'),
        ("cpp", 'template <class T> T twice(T x) { return keep(x, "SECRET"); }'),
        ("c", 'char *x = "SECRET" "SECRET"; keep();'),
        ("csharp", 'var x = @"SECRET\nSECRET"; var y = $"SECRET {z}"; keep();'),
        ("java", 'String x = """\nSECRET\n"""; /** SECRET */ keep();'),
        ("lua", 'local x = [[SECRET\nSECRET]] -- SECRET\nlocal y = "SECRET" keep()'),
        ("haskell", 'f = keep "SECRET" -- SECRET\n {- SECRET\nSECRET -}'),
        ("kotlin", 'val x = """SECRET\nSECRET"""; val y = "SECRET" // SECRET\nkeep()'),
        ("swift", 'let x = """\nSECRET\n"""; let y = "SECRET" // SECRET\nkeep()'),
        ("scala", 'val x = """SECRET\nSECRET"""; val y = s"SECRET" // SECRET\nkeep()'),
        ("shellscript", "x=\"SECRET\"; y='SECRET' # SECRET\nkeep <<EOS\nSECRET\nEOS\n"),
        ("elixir", 'x = """\nSECRET\n"""\ny = "SECRET" # SECRET\nkeep()\nz = ~s(SECRET)'),
        ("zig", 'const x = "SECRET"; // SECRET\nconst y =\n    \\\\SECRET\n;\nkeep();'),
        ("python", 'keep()\nreturn """SECRET\n SECRET'),
        ("klingon", "SECRET"),
    ],
)
def test_comments_and_strings_are_stripped(language: str, body: str) -> None:
    found = stripped(Passage("name", "Container", 'def f(a="SECRET")', "SECRET", body), language)
    assert "SECRET" not in str(found)
    assert found.name == "name" and ("keep" in found.body or language == "klingon")


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_strings_are_stripped_in_every_language(language: str) -> None:
    found = stripped(Passage("name", "", "", "SECRET", 'x = "SECRET one";\ny = "SECRET";\n'), language)
    assert "SECRET" not in str(found)


def test_a_cluster_is_chosen_only_where_it_saves_much_time() -> None:
    other = Settings(encoder="sentence-transformers:/a/model")
    named = replace(other, cluster_address="head:6379")
    assert reindex.choose("local", 1, Settings()) == "local"  # who names a place gets it
    assert reindex.choose("auto", 10_000_000, replace(Settings(), cluster_address="head:6379")) == "inline"
    assert reindex.choose("auto", 10, named) == "inline"
    assert reindex.choose("auto", 10_000_000, named) == "head:6379"
    has_ray = importlib.util.find_spec("ray") is not None and (os.cpu_count() or 1) > 1
    assert reindex.choose("auto", 10_000_000, other) == ("local" if has_ray else "inline")
