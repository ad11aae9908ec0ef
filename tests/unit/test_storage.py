"""What is on disk survives damage, foreign versions and kills, or is rebuilt; it is never wrong in silence."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server.config import Settings
from server.doctor import examine
from server.engine import Engine
from server.folder import home_of
from server.index import exchange, generation, layers, search
from server.index.parser import HERE
from server.index.store import FORMAT_VERSION
from server.index.vectors import VectorStore
from server.model import encoder
from server.tuning import tuned
from server.types import CancelToken, Passage, Query, SearchResult
from tests.bench.neighbours import ALL, ask, layer_of, recall

FILES = {
    "mail.py": 'def send(to):\n    """Send an email."""\n    return smtp(to)\n',
    "dates.py": 'def convert(zone):\n    """Convert a time to another zone."""\n    return at(zone)\n',
    "web/auth.js": "/** Log a user in with a password. */\nfunction login(user, word) { return check(user, word); }\n",
}
QUERIES = ("send an email", "convert time zone", "log in with password")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def run(root: Path, data: Path, after: Callable[[Engine], None] = lambda _: None) -> list[SearchResult]:
    engine = Engine(Settings(workers=1), encoder.load(), data, parser=HERE)
    engine.add_folder(str(root))
    engine.start()
    try:
        assert engine.wait_idle(60)
        after(engine)
        assert engine.wait_idle(60)
        return [engine.snapshot.search(Query(text), CancelToken()) for text in QUERIES]
    finally:
        engine.close()


def names(results: list[SearchResult]) -> list[list[tuple[str, float]]]:
    return [[(hit.name, hit.score) for hit in result.hits] for result in results]


def compacted(root: Path, data: Path) -> list[list[tuple[str, float]]]:
    found = names(run(root, data, Engine.compact))
    assert [one[0][0] for one in found] == ["send", "convert", "login"]
    return found


def test_a_second_start_encodes_and_reads_nothing(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    for path, text in FILES.items():
        stamp = (root / path).stat()
        # Another text under the same stamp: whoever read it again would answer differently.
        (root / path).write_text("x" * len(text))
        os.utime(root / path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert names(run(root, data)) == expected


@pytest.mark.parametrize("damage", ["truncate", "overwrite", "empty", "remove"])
@pytest.mark.parametrize("victim", ["index.db", "vectors", "meta.json", "posting_rows", "text"])
def test_damaged_files_are_rebuilt(root: Path, tmp_path: Path, victim: str, damage: str) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    home = home_of(data, str(root))
    current = next(home.glob("generation-*"))
    file = {"index.db": home / "index.db", "vectors": next((data / "vectors").glob("*.db"))}.get(
        victim, current / victim
    )
    for side in (f"{file}-wal", f"{file}-shm"):
        Path(side).unlink(missing_ok=True)
    content = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(
            {"truncate": content[: len(content) // 2], "overwrite": b"\xa5" * len(content)}.get(damage, b"")
        )
    assert names(run(root, data, lambda engine: engine.rescan())) == expected


@pytest.mark.parametrize("seed", range(24))
def test_a_flipped_bit_anywhere_changes_no_answer(root: Path, tmp_path: Path, seed: int) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    home = home_of(data, str(root))
    current = next(home.glob("generation-*"))
    rng = random.Random(seed)
    file = rng.choice([home / "index.db", *(data / "vectors").glob("*.db"), *sorted(current.iterdir())])
    if file.suffix == ".db":
        shutil.rmtree(current)  # so that everything is read from the databases
    content = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 1, 30))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    assert names(run(root, data, lambda engine: engine.rescan())) == expected


def test_a_flipped_bit_of_any_stored_vector_is_a_miss_and_is_computed_again(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    model = encoder.load()
    store = VectorStore(data / "vectors", model.fingerprint, model.dimensions)
    keys, rows = store.keys(), store.rows(store.keys())
    file = next((data / "vectors").glob("*.db"))
    for number, key in enumerate(keys):
        with contextlib.closing(sqlite3.connect(file)) as db, db:
            sealed = bytearray(db.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()[0])
            sealed[2 * number + 1] ^= 0x40  # the highest bit of an exponent: a norm of thousands
            db.execute("UPDATE vectors SET vector = ? WHERE key = ?", (bytes(sealed), key))
    assert store.known(keys) == set()
    assert not store.rows(keys).any()
    assert exchange.export(store, model.fingerprint, model.dimensions, tmp_path / "shared")[1] == 0
    (check,) = (check for check in examine(str(root), data) if check.name == "vectors")
    assert (check.state, "3 damaged" in check.message) == ("warning", True)
    shutil.rmtree(next(home_of(data, str(root)).glob("generation-*")))
    assert names(run(root, data)) == expected
    assert (store.rows(keys) == rows).all()
    store.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
@pytest.mark.parametrize("victim", ["used", "writer.lock", "model.json", "meta.json", "text"])
def test_nothing_waits_for_a_pipe_in_place_of_another_file(root: Path, tmp_path: Path, victim: str) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    home = home_of(data, str(root))
    file = (next(home.glob("generation-*")) if victim in ("meta.json", "text") else home) / victim
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    assert tuned(Settings(), data, (str(root),)) == Settings()
    assert not [check for check in examine(str(root), data) if check.state == "error"]
    assert names(run(root, data)) == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
@pytest.mark.parametrize("victim", ["index.db", "index.db-wal", "vectors"])
@pytest.mark.parametrize("special", ["pipe", "device"])
def test_a_database_that_is_no_regular_file_is_replaced(root: Path, tmp_path: Path, victim: str, special: str) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    home = home_of(data, str(root))
    file = next((data / "vectors").glob("*.db")) if victim == "vectors" else home / victim
    file.unlink(missing_ok=True)
    if special == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    environment = {**os.environ, "SEXTANT_DATA_DIR": str(data), "PYTHONPATH": os.pathsep.join(sys.path)}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "server", *words, "-C", str(root)]
        return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)

    if victim.startswith("index"):
        status = command("status")
        assert status.returncode == 2 and "not a regular file" in status.stderr, status
    assert "Traceback" not in (doctor := command("doctor")).stderr, doctor
    assert "not a regular file" in doctor.stdout and "Report this" not in doctor.stdout, doctor
    assert names(run(root, data)) == expected
    assert file.is_file() or victim == "index.db-wal"
    assert command("status").returncode == 0


def test_a_generation_whose_files_have_other_names_is_left_aside(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    described = next(home_of(data, str(root)).glob("generation-*")) / "meta.json"
    text = described.read_text()
    assert '"mail.py"' in text
    swapped = {'"mail.py"': '"dates.py"', '"dates.py"': '"mail.py"'}
    described.write_text(re.sub("|".join(swapped), lambda found: swapped[found[0]], text))
    found = run(root, data)
    assert names(found) == expected
    assert found[0].hits[0].path == "mail.py"


def test_a_generation_with_codes_of_another_shape_is_left_aside(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    folder = next(home_of(data, str(root)).glob("generation-*"))
    meta = json.loads((folder / "meta.json").read_text().partition("\n")[0])
    meta["files"]["codes"][0].reverse()
    text = json.dumps(meta)
    (folder / "meta.json").write_text(f"{text}\n{generation._own_digest(text)}\n")
    assert generation.read(folder.parent, folder.name, encoder.load().fingerprint) is None
    assert names(run(root, data)) == expected


def test_what_was_deleted_does_not_stay_in_the_generation(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "COMPACT_MIN_UNITS", 1)
    engine = Engine(Settings(workers=1), encoder.load(), tmp_path / "data", parser=HERE)
    engine.add_folder(str(root))
    engine.start()
    try:
        engine.compact()
        assert engine.wait_idle(60)
        assert len(engine.snapshot.layers[-1].segment) == 3
        for path in ("mail.py", "dates.py"):
            (root / path).unlink()
            engine.touch([str(root / path)])
        assert engine.wait_idle(60)
        assert len(engine.snapshot.layers[-1].segment) == 1
    finally:
        engine.close()


def test_an_index_of_another_format_is_rebuilt(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    for key, value in (("format", str(FORMAT_VERSION + 1)), ("lexical", "0"), ("units", "0")):
        with sqlite3.connect(home_of(data, str(root)) / "index.db") as db:
            db.execute("UPDATE meta SET value = ? WHERE key = ?", (value, key))
        db.close()
        assert names(run(root, data)) == expected


def test_a_generation_of_another_platform_is_left_aside(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    expected = compacted(root, data)
    monkeypatch.setattr(generation, "_PLATFORM", "big-elsewhere")
    assert names(run(root, data)) == expected


def test_annoy_answers_like_the_exact_scan(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = compacted(root, tmp_path / "exact")
    monkeypatch.setattr(generation, "ANNOY_MIN_ROWS", 1)
    data = tmp_path / "annoy"
    assert compacted(root, data) == expected
    engine = Engine(Settings(workers=1), encoder.load(), data, parser=HERE)
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(60)
    assert engine.status().backend == "annoy"
    engine.close()
    tree = next(home_of(data, str(root)).glob("generation-*/tree.ann"))
    tree.write_bytes(tree.read_bytes()[:-100])  # Annoy would crash the process on it
    assert names(run(root, data)) == expected


def test_codes_and_trees_find_what_a_scan_finds(tmp_path: Path) -> None:
    model, chance = encoder.load(), random.Random(1)
    words = [word for word in model.vocabulary.dump().decode().split() if word.isalpha() and len(word) > 3][:4_000]
    texts = [" ".join(chance.choices(words, k=6)) for _ in range(20_000)]
    rows = model.encode([Passage(name=text[:20], body=text) for text in texts])
    questions = np.stack([model.encode_query(text[:24]) for text in texts[:60]])
    layer = layer_of(rows)
    generation.grow(tmp_path / "tree.ann", rows)
    near = generation.opened(tmp_path / "tree.ann", rows.shape[1], len(rows))
    assert near is not None
    treed = replace(layer, segment=replace(layer.segment, near=near))
    (exact, _), (by_codes, _), (by_trees, _) = ask([(layer, ALL), (layer, search.FEW), (treed, 0)], questions)
    assert recall(by_codes, exact) >= 0.99
    assert recall(by_trees, exact) >= 0.99


BUILD = """
import sys
from pathlib import Path
from server.config import Settings
from server.engine import Engine
from server.index import layers
from server.index.vectors import VectorStore
from server.model import encoder

layers.COMPACT_MIN_UNITS = 20
if __name__ == "__main__":
    engine = Engine(Settings(workers=1), encoder.load(), Path(sys.argv[2]))
    engine.add_folder(sys.argv[1])
    engine.start()
    print("begun", flush=True)
    engine.wait_idle()
    engine.compact()
    engine.wait_idle()
    engine.close()
"""


def test_a_kill_at_any_moment_loses_nothing(root: Path, tmp_path: Path) -> None:
    for number in range(400):
        (root / f"part{number}.py").write_text(
            f"def part_{number}():\n    '''Do part {number}.'''\n    return {number}\n"
        )
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    expected = names(run(root, tmp_path / "scratch"))
    for delay in (0.0, 0.05, 0.2, 0.4, 0.8):
        data = tmp_path / f"data{delay}"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen([sys.executable, script, root, data], stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None and process.stdout.readline() == b"begun\n"
            time.sleep(delay)  # not a wait for anything: the moment of the kill
            process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        assert names(run(root, data)) == expected


def test_vectors_are_exported_and_imported(root: Path, tmp_path: Path) -> None:
    compacted(root, tmp_path / "data")
    model = encoder.load()
    space, size = model.fingerprint, model.dimensions
    store = VectorStore(tmp_path / "data" / "vectors", space, size)
    path, count = exchange.export(store, space, size, tmp_path / "shared")
    assert count == len(store.keys()) == 3
    other = VectorStore(tmp_path / "other" / "vectors", space, size)
    damaged = path.with_name("damaged.vectors")
    content = path.read_bytes()
    for broken in (content[:-1], content + b"x", content[:200] + b"\xff" + content[201:], b"", b"x" * 300):
        damaged.write_bytes(broken)
        with pytest.raises(exchange.ExchangeError):
            exchange.import_(other, space, size, damaged)
    body = bytearray(content[:-64])
    body[-1] ^= 0x40  # damaged before it was exported: the checksum fits
    damaged.write_bytes(body + hashlib.blake2b(body).digest())
    with pytest.raises(exchange.ExchangeError, match="holds 1 vectors that no encoder returns"):
        exchange.import_(other, space, size, damaged)
    with pytest.raises(exchange.ExchangeError, match="another encoder"):
        exchange.import_(other, "other", size, path)
    assert other.keys() == []
    assert exchange.import_(other, space, size, path) == 3
    assert exchange.import_(other, space, size, path) == 0
    assert (other.rows(store.keys()) == store.rows(store.keys())).all()
    assert [each.name for each in (tmp_path / "shared").iterdir() if each.suffix == ".tmp"] == []
