"""A disk that refuses to be written: searching goes on, the status says why, and nothing has to be restarted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.config import Settings
from server.engine import Engine
from server.model import encoder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="takes rights and sizes away the POSIX way")

BEGIN = """
import json, os, resource, sys, time
from pathlib import Path
from server.config import Settings
from server.engine import Engine
from server.model import encoder
from server.types import CancelToken, Query

root, data, later = map(Path, sys.argv[1:])
model = encoder.load()

def state():
    assert engine.wait_idle(60)
    hits = engine.snapshot.search(Query("send mail parse date retry work", limit=50), CancelToken()).hits
    status = engine.status().folders[0]
    return {"state": status.state, "message": status.message, "names": sorted(hit.name for hit in hits)}

def appear(name):
    (later / name).replace(root / name)
    engine.touch([str(root / name)])

def wait_ready():
    end = time.monotonic() + 60
    while engine.status().folders[0].state != "ready":
        assert time.monotonic() < end, engine.status()
        time.sleep(0.02)

def show(**found):
    print(json.dumps(found), flush=True)

engine = Engine(Settings(workers=1), model, data)
engine.add_folder(str(root))
"""

READ_ONLY = (
    BEGIN
    + """
for _ in range(2):  # loads everything while this process may still read it
    warm = Engine(Settings(workers=1), model, later / "data")
    warm.add_folder(str(root))
    warm.start()
    assert warm.wait_idle(60)
    warm.compact()
    assert warm.wait_idle(60)
    warm.close()
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write everywhere
engine.start()
before = state()
engine.set_buffer(str(root / "mail.py"), "python", "def send_letter(): pass\\n")
edited = state()
show(before=before, edited=edited)
sys.stdin.readline()
wait_ready()
show(after=state())
engine.close()
"""
)

COMMANDS = """
import json, os, sys
from pathlib import Path
from server.__main__ import main

root, data, later = map(Path, sys.argv[1:])

def show():
    print(json.dumps({name: main([name, "-C", str(root)]) for name in ("status", "doctor")}), flush=True)

os.environ["SEXTANT_DATA_DIR"] = str(data)
show()  # loads everything while this process may still read it
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write everywhere
for path in (data, *data.rglob("*")):
    assert not os.access(path, os.W_OK, effective_ids=True), path
print("read-only", flush=True)
show()
"""

FULL = (
    BEGIN
    + """
engine.start()
before = state()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
appear("retry.py")
(root / "dates.py").unlink()
engine.touch([str(root / "dates.py")])
engine.set_buffer(str(root / "mail.py"), "python", "def send_letter(): pass\\n")
full = state()
engine.compact()
compacted = state()
appear("work.py")
more = state()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
wait_ready()
after = state()
engine.drop_buffer(str(root / "mail.py"))
show(before=before, full=full, compacted=compacted, more=more, after=after, closed=state())
engine.close()
"""
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    later = tmp_path / "later"
    for place, file, name in (
        (folder, "mail.py", "send_mail"),
        (folder, "dates.py", "parse_date"),
        (later, "retry.py", "retry"),
        (later, "work.py", "work"),
    ):
        place.mkdir(exist_ok=True)
        (place / file).write_text(f"def {name}(value):\n    return value\n")
    for above in (*tmp_path.parents, tmp_path):
        if above.is_relative_to(tmp_path.parents[1]) and above.stat().st_uid == os.geteuid():
            above.chmod(0o755)  # another user has to get here
    return folder


def index(root: Path, data: Path) -> dict[str, Any]:
    """Bring the index up to date in this process and return what it encoded."""
    engine = Engine(Settings(workers=1), encoder.load(), data)
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(60)
    engine.compact()
    assert engine.wait_idle(60)
    status = engine.status().folders[0]
    engine.close()
    return {"state": status.state, "encoded": status.encoded, "files": status.files}


def start(script: str, root: Path, data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(root), str(data), str(root.parent / "later")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the process ended"
    found: dict[str, Any] = json.loads(line)
    return found


def set_modes(data: Path, folder: int, file: int) -> None:
    for path in [data, *data.rglob("*")]:
        path.chmod(folder if path.is_dir() else file)


@pytest.mark.parametrize("is_indexed", [True, False])
def test_a_folder_that_cannot_be_written(root: Path, tmp_path: Path, is_indexed: bool) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if is_indexed:
        index(root, data)
    set_modes(data, 0o555, 0o444)
    with start(READ_ONLY, root, data) as process:
        found = answer(process)
        assert found["before"]["state"] == found["edited"]["state"] == "degraded"
        assert str(data) in found["before"]["message"]
        assert found["before"]["names"] == ["parse_date", "send_mail"]
        assert found["edited"]["names"] == ["parse_date", "send_letter"]
        set_modes(data, 0o777, 0o666)
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        after = answer(process)["after"]
        assert (after["state"], after["message"]) == ("ready", None)
        assert after["names"] == ["parse_date", "send_letter"]
    assert process.returncode == 0
    assert index(root, data) == {"state": "ready", "encoded": 0, "files": 2}


def test_commands_read_an_index_that_cannot_be_written(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    index(root, data)
    for file in data.rglob("*.db-*"):
        file.unlink()  # as a disk that was unmounted in order has it: SQLite cannot make them again
    set_modes(data, 0o555, 0o444)
    with start(COMMANDS, root, data) as process:
        text, _ = process.communicate()
    warm, _, found = text.partition("read-only\n")
    assert "ok      index: 2 files" in warm, text
    assert "files      2\n" in found, text
    assert "ok      index: 2 files, 2 " in found and "ok      vectors: 2 of 2" in found, text
    assert f"error   data folder: {data} cannot be written" in found and "delete" not in found, text
    assert '{"status": 0, "doctor": 1}' in found, text
    set_modes(data, 0o777, 0o666)


def test_a_disk_that_is_full(root: Path, tmp_path: Path) -> None:
    with start(FULL, root, tmp_path / "data") as process:
        found = answer(process)
    assert process.returncode == 0
    assert found["before"]["state"] == "ready"
    for moment in ("full", "compacted", "more"):
        assert found[moment]["state"] == "degraded"
        assert "SEXTANT_DATA_DIR" in found[moment]["message"]
    assert found["full"]["names"] == found["compacted"]["names"] == ["retry", "send_letter"]
    assert found["more"]["names"] == ["retry", "send_letter", "work"]
    assert found["after"] == {"state": "ready", "message": None, "names": ["retry", "send_letter", "work"]}
    assert found["closed"]["names"] == ["retry", "send_mail", "work"]
    assert index(root, tmp_path / "data") == {"state": "ready", "encoded": 0, "files": 3}
