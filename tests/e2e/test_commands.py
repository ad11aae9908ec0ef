"""The command line, as a user runs it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.model import encoder

FILES = {
    "src/mail.py": (
        "import smtplib\n\n\ndef deliver(to, text):\n"
        '    """Send an email to somebody. Blocks until it is out."""\n    return smtplib.SMTP().sendmail(to, text)\n'
    ),
    "src/post.go": (
        "package post\n\n// Dispatch sends an email.\n"
        "func Dispatch(to string, text string) error {\n\treturn smtp.sendmail(to, text)\n}\n"
    ),
    "src/clock.py": (
        'class Clock:\n    """Tell the time."""\n\n    def to_zone(self, zone):\n'
        '        """Convert to another time zone."""\n        return self.now.astimezone(zone)\n'
    ),
    "tests/test_mail.py": "def test_deliver():\n    assert deliver('a@example.org', 'send an email')\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def sextant(
    root: Path,
    *arguments: str,
    stdin: str = "",
    code: int = 0,
    cwd: Path | None = None,
    extra: dict[str, str] | None = None,
) -> tuple[str, str]:
    environment = {**os.environ, **(extra or {}), "SEXTANT_DATA_DIR": str(root.parent / "data")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    run = subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        input=stdin, capture_output=True, text=True, env=environment, cwd=cwd or root, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == code, run.stderr
    return run.stdout, run.stderr


def hits(root: Path, *arguments: str, stdin: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(sextant(root, *arguments, "--json", stdin=stdin)[0])
    return found


def test_search_prints_hits_with_the_fields_of_the_protocol(root: Path) -> None:
    best, *_ = hits(root, "search", "send an email")
    assert {key: best[key] for key in ("path", "name", "kind", "languageId", "startLine", "endLine", "detail")} == {
        "path": "src/mail.py",
        "name": "deliver",
        "kind": 12,
        "languageId": "python",
        "startLine": 4,
        "endLine": 6,
        "detail": "Send an email to somebody.",
    }
    assert 0 < best["score"] <= 1 and -1 <= best["similarity"] <= 1


def test_search_shows_a_person_name_place_and_first_sentence(root: Path) -> None:
    shown, _ = sextant(root, "search", "convert", "time", "zone", "-n", "1")
    assert "Clock.to_zone" in shown and "src/clock.py:4" in shown and "Convert to another time zone." in shown
    explained, _ = sextant(root, "search", "convert time zone", "-n", "1", "--explain")
    assert "meaning" in explained and "zone" in explained


def test_filters_on_the_line_and_in_the_query_do_the_same(root: Path) -> None:
    for arguments in (("--lang", "go"), ("lang:go",), ("--path", "*.go"), ("path:*.go",)):
        assert {hit["path"] for hit in hits(root, "search", "send an email", *arguments)} == {"src/post.go"}
    left = {hit["path"] for hit in hits(root, "search", "send an email", "--path=-tests")}
    assert "tests/test_mail.py" not in left and "src/mail.py" in left
    assert {hit["name"] for hit in hits(root, "search", "tell the time", "--kind", "class")} == {"Clock"}


def test_many_queries_print_a_line_each(root: Path) -> None:
    (root.parent / "queries.txt").write_text("send an email\n\nconvert time zone\nkind:verb x\n")
    shown, complaint = sextant(root, "search", "--queries", "../queries.txt", code=2)
    answers = [json.loads(line) for line in shown.splitlines()]
    assert [answer[0]["name"] if answer else None for answer in answers[:3]] == ["deliver", None, "to_zone"]
    assert "verb" in answers[3]["error"] and answers[0][0]["isGuess"] is False
    assert "line 4" in complaint and "verb" in complaint


def test_similar_to_a_line_and_to_a_snippet(root: Path) -> None:
    found = hits(root, "similar", "src/mail.py:6")
    assert "Dispatch" in {hit["name"] for hit in found[:2]}, "in the other language, beside the test of the function"
    assert "deliver" not in {hit["name"] for hit in found}
    assert hits(root, "similar", "-", stdin="func Send(to string) error { return smtp(to) }")[0]["name"] == "Dispatch"


def test_index_then_status_from_a_folder_below(root: Path) -> None:
    (root / "src" / "data.py").write_bytes(b"x\0y")
    outcome = json.loads(sextant(root, "index", "--json")[0])
    assert (outcome["files"], outcome["skipped"], outcome["state"]) == (4, {"binary": 1}, "ready")
    shown, _ = sextant(root, "status", cwd=root / "src")
    assert "my project" in shown and "3 python" in shown and "binary" in shown and "src/data.py" in shown
    assert json.loads(sextant(root, "status", "--json")[0])["skippedPaths"] == {"binary": ["src/data.py"]}


def test_a_changed_file_is_found_at_once_and_a_deleted_one_is_gone(root: Path) -> None:
    hits(root, "search", "send an email")
    (root / "src" / "mail.py").unlink()
    (root / "src" / "new.py").write_text('def rotate(image):\n    """Turn a picture by ninety degrees."""\n')
    assert hits(root, "search", "turn a picture")[0]["name"] == "rotate"
    assert "src/mail.py" not in {hit["path"] for hit in hits(root, "search", "send an email")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "x", "-C", "nowhere"), "nowhere is not a folder"),
        (("search", "x", "-n", "0"), "limit must be from 1 to 200"),
        (("search", "x", "lang:klingon"), "klingon"),
        (("search", "x", "--kind", "verb"), "verb"),
        (("search",), "either a query or --queries"),
        (("search", "lang:go"), "no words"),
        (("similar", "src/mail.py"), "FILE:LINE"),
        (("similar", "src/mail.py:99"), "no line 99"),
        (("similar", "src/none.py:1"), "src/none.py"),
        (("similar", "-"), "nothing to compare"),
        (("status",), "sextant index"),
        (("search", "--queries", "nope.txt"), "sextant: there is no file nope.txt"),
        (("search", "--queries", "src"), "src cannot be read"),
        (("search", "x", "--path", "../elsewhere/**"), "that is not in"),
    ],
)
def test_mistakes_are_explained(root: Path, arguments: tuple[str, ...], message: str) -> None:
    shown, complaint = sextant(root, *arguments, code=2)
    assert shown == "" and message in complaint and "Traceback" not in complaint


def test_paths_can_be_typed_where_they_are_shown(root: Path) -> None:
    sextant(root, "index")
    shown, _ = sextant(root, "search", "send an email", "-n", "1", cwd=root / "tests")
    place = f"..{os.sep}src{os.sep}mail.py:4"
    assert place in shown
    assert "like deliver" in sextant(root, "similar", place, cwd=root / "tests")[0]
    assert "like deliver" in sextant(root, "similar", "src/mail.py:6:5", cwd=root / "tests")[0]


def test_a_path_option_counts_from_the_current_folder(root: Path) -> None:
    """As the paths printed do; `path:` in the query counts from the folder that is searched."""
    sextant(root, "index")
    source = root / "src"

    def paths(*options: str, code: int = 0) -> set[str]:
        shown, _ = sextant(root, "search", "send an email", *options, "--json", cwd=source, code=code)
        return {hit["path"] for hit in json.loads(shown)}

    inside = {"src/mail.py", "src/clock.py"}
    assert paths("--path", "./*.py") == paths("--path", str(source / "*.py")) == inside
    assert paths("--path", "../src/mail.py") == paths("--path", "./mail.py") == {"src/mail.py"}
    assert paths("--path", "../tests/") == paths("path:tests") == {"tests/test_mail.py"}
    assert paths("--path", ".") == {"src/mail.py", "src/clock.py", "src/post.go"}
    assert paths("--path", "..", "--path=-../tests/**", "--path=-*.go") == inside
    assert paths("--path", "src/**", code=1) == set()


def test_status_and_doctor_take_a_folder(root: Path) -> None:
    sextant(root, "index")
    assert json.loads(sextant(root, "status", str(root), "--json", cwd=root.parent)[0])["root"] == str(root)
    assert "index: 4 files, " in sextant(root, "doctor", "my project", cwd=root.parent)[0]


def test_a_folder_inside_an_index_is_a_part_of_it(root: Path) -> None:
    sextant(root, "index")
    found = hits(root, "search", "send an email", "-C", "tests")
    assert {hit["path"] for hit in found} == {"tests/test_mail.py"}
    assert len(list((root.parent / "data" / "folders").iterdir())) == 1


def test_an_index_further_up_does_not_answer_for_a_repository(root: Path) -> None:
    """The nearest folder with an index or a `.git` wins; the one named with -C, too."""
    sextant(root, "index")
    inner, worktree = root / "inner", root / "inner" / ".worktrees" / "f2"
    (inner / "src").mkdir(parents=True)
    (inner / "src" / "plane.py").write_text('def land(plane):\n    """Bring a plane down."""\n')
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "a"), ("worktree", "add", "-q", str(worktree))):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=inner, check=True)
    for folder in (inner / "src", worktree):
        shown, told = sextant(root, "search", "send an email", "-n", "9", cwd=folder)
        assert "deliver" not in shown and "land" in shown
        assert f"{inner if folder.name == 'src' else worktree} is indexed for the first time" in told
    status = json.loads(sextant(root, "status", "--json", cwd=inner / "src")[0])
    assert status["root"] == str(inner)
    assert status["skippedPaths"] == {"worktree of the same git repository (search inside it)": [".worktrees/f2"]}
    assert [hit["path"] for hit in hits(root, "search", "land", "-C", "inner/src")] == ["src/plane.py"]
    assert "deliver" in sextant(root, "search", "send an email", cwd=root / "src")[0]


def test_nobody_indexes_a_home_folder_by_accident(root: Path) -> None:
    home = {"HOME": str(root), "USERPROFILE": str(root)}
    for folder in (root, root.parent):
        assert "-C" in sextant(root, "search", "x", code=2, cwd=folder, extra=home)[1]
    assert not (root.parent / "data").exists()
    assert "installation" in sextant(root, "doctor", extra=home)[0]
    assert "deliver" in sextant(root, "search", "send an email", "-C", ".", extra=home)[0]


def test_without_a_command_there_is_help(root: Path) -> None:
    assert "find code by what it does" in sextant(root, code=2)[0]


def test_the_part_that_is_asked_is_named(root: Path) -> None:
    sextant(root, "index")
    assert f"in {root / 'src'}, a part of the index of {root}" in sextant(root, "search", "email", "-C", "src")[1]
    shown, _ = sextant(root, "search", "email lang:go", "-C", "tests", code=1)
    assert "there is no go here, only python" in shown
    (root / "docs").mkdir()
    assert "nothing is indexed in docs" in sextant(root, "search", "email", "-C", "docs", code=1)[0]
    assert "lang:go?" in sextant(root, "search", "email lnag:go", "--json")[1]


def test_a_file_that_is_not_indexed_can_be_compared_as_text(root: Path) -> None:
    (root / ".gitignore").write_text("my draft.py\n")
    (root / "my draft.py").write_text(FILES["src/mail.py"])
    _, complaint = sextant(root, "similar", "my draft.py:4", code=2)
    assert "sextant similar - < 'my draft.py'" in complaint
    found = hits(root, "similar", "-", stdin=(root / "my draft.py").read_text())
    assert found[0]["name"] == "deliver"


def test_an_encoder_that_does_not_load_leaves_the_base_encoder(root: Path) -> None:
    (root.parent / "settings.json").write_text('{"encoder": "sentence-transformers:/nowhere"}')
    extra = {"SEXTANT_SETTINGS": str(root.parent / "settings.json")}
    shown, complaint = sextant(root, "search", "send an email", extra=extra)
    assert "deliver" in shown
    assert "/nowhere" in complaint and "base encoder answers" in complaint
    assert "/nowhere" in sextant(root, "reindex", code=2, extra=extra)[1]


def test_status_and_doctor_know_the_settings(root: Path) -> None:
    sextant(root, "index")
    assert "model      base" in sextant(root, "status")[0]
    settings = root.parent / "settings.json"
    settings.write_text('{"encoder": "sentence-transformers:/nowhere", "encodr": "base", "workers": -1}')
    extra = {"SEXTANT_SETTINGS": str(settings)}
    shown, complaint = sextant(root, "status", extra=extra)
    assert "model      sentence-transformers:/nowhere" in shown
    assert "unknown setting 'encodr'" in complaint and "base encoder answers" in complaint
    found = json.loads(sextant(root, "doctor", "--json", code=1, extra=extra)[0])
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["settings"]["state"] == "warning" and "'encodr'" in checks["settings"]["message"]
    assert "'workers' keeps its default" in checks["settings"]["message"]
    assert checks["model"]["state"] == "error" and "/nowhere holds no model" in checks["model"]["message"]


def test_status_and_doctor_name_a_tuned_model(root: Path) -> None:
    sextant(root, "index")
    home = next((root.parent / "data" / "folders").iterdir())
    shutil.copytree(Path(encoder.__file__).parent / "base", home / "model-1")
    (home / "model.json").write_text('{"name": "model-1"}')
    for command in ("status", "doctor"):
        shown, _ = sextant(root, command)
        assert re.search(r"model:? .*of this repository, tuned [0-9-]{10}; `sextant tune --rollback` undoes it", shown)
    (home / "model-1" / "model.safetensors").write_bytes(b"")
    assert "the one of this repository is damaged" in sextant(root, "status")[0]
    sextant(root, "tune", "--rollback")
    assert "model      base\n" in sextant(root, "status")[0]


def test_a_folder_without_code_is_said_so(root: Path) -> None:
    (root / "empty").mkdir()
    assert "no code is indexed here" in sextant(root, "search", "x", "-C", "empty", code=1)[0]


def test_commands_count_the_same(root: Path) -> None:
    (root / "src" / "data.py").write_bytes(b"x\0y")
    (root / "empty.py").touch()
    (root / "twin.py").write_text(FILES["src/mail.py"])
    outcome = json.loads(sextant(root, "index", "--json")[0])
    shown, _ = sextant(root, "status")
    status = json.loads(sextant(root, "status", "--json")[0])
    checks = {check["name"]: check["message"] for check in json.loads(sextant(root, "doctor", "--json")[0])["checks"]}
    files, units = outcome["files"], outcome["units"]
    assert f"code       {units} functions and types\nfiles      {files}\n" in shown
    assert (sum(status["languages"].values()), status["units"]) == (files, units)
    assert checks["index"].startswith(f"{files} files, {units} functions and types")


def test_an_unusable_data_folder_is_said_and_searching_goes_on(root: Path) -> None:
    (root.parent / "data").write_text("a file")
    shown, complaint = sextant(root, "search", "send an email")
    assert "deliver" in shown
    assert "SEXTANT_DATA_DIR" in complaint and "Traceback" not in complaint
    _, complaint = sextant(root, "index", code=1)
    assert "SEXTANT_DATA_DIR" in complaint


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_a_terminal_shows_progress_and_hits(root: Path) -> None:
    import pty

    for number in range(400):  # enough to be seen
        (root / f"many{number}.py").write_text(f"def number_{number}():\n    return {number}\n")
    master, slave = pty.openpty()
    environment = {**os.environ, "SEXTANT_DATA_DIR": str(root.parent / "data"), "TERM": "xterm", "COLUMNS": "100"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-m", "server", "search", "send", "an", "email"],
        stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=root,
    ) as process:  # fmt: skip
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 65536):
                shown += piece
        except OSError:  # Linux says so when the other side is closed
            pass
        assert process.wait(60) == 0
    os.close(master)
    text = shown.decode()
    assert "Traceback" not in text
    assert "Indexing my project" in text and "/404 files" in text
    assert "deliver" in text and "mail.py:4" in text


def test_nothing_is_written_into_the_workspace(root: Path) -> None:
    before = sorted(root.rglob("*"))
    sextant(root, "index")
    assert sorted(root.rglob("*")) == before


def test_doctor_says_what_is_wrong_and_what_to_do(root: Path) -> None:
    sextant(root, "index")
    shown, _ = sextant(root, "doctor")
    assert "error" not in shown
    found = json.loads(sextant(root, "doctor", "--json")[0])
    assert found["ok"] is True
    assert {check["name"] for check in found["checks"]} >= {"grammars", "model", "data folder", "watching", "index"}
    database = next((root.parent / "data" / "folders").glob("*/index.db"))
    database.write_bytes(database.read_bytes()[:100] + b"\xa5" * 5_000)
    found = json.loads(sextant(root, "doctor", "--json", code=1)[0])
    broken = [check for check in found["checks"] if check["state"] == "error"]
    assert "index" in {check["name"] for check in broken}
    assert all(check["advice"] for check in broken)


def test_status_shows_sizes(root: Path) -> None:
    sextant(root, "index")
    found = json.loads(sextant(root, "status", "--json")[0])
    assert 0 < found["bytes"] < found["totalBytes"] and 0 < found["vectorBytes"] < found["totalBytes"]
