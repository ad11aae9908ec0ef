"""What a user sees: search, similar code, the index's state, while files and buffers change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from pygls.protocol import default_converter

from tests.e2e.conftest import SOURCES, Start, environment_of, write
from tests.e2e.raw import Message, RawClient, server_command

REQUEST_FAILED = -32803


def recorded(name: str) -> Message:
    """Return the capabilities that were recorded from an editor."""
    found: Message = default_converter().unstructure(pytest_lsp.client_capabilities(name))
    return found


EDITORS = {"vscode": recorded("visual_studio_code"), "neovim": recorded("neovim")}
ENCODINGS = {"vscode": "utf-16", "neovim": "utf-8"}


@pytest.fixture(params=EDITORS, scope="module")
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawClient]:
    """One server for each editor; starting one for each test would take most of the tests' time."""
    home = tmp_path_factory.mktemp(request.param)
    client = RawClient(server_command(), environment_of(home), home / "server.log")
    result = client.initialize(capabilities=EDITORS[request.param])
    client.encoding = ENCODINGS[request.param]
    assert result["capabilities"]["positionEncoding"] == client.encoding
    yield client
    assert client.shutdown() == 0
    assert "Traceback" not in client.log()
    client.kill()


def folder_event(added: list[Path], removed: list[Path]) -> Message:
    def names(folders: list[Path]) -> list[Message]:
        return [{"uri": folder.as_uri(), "name": folder.name} for folder in folders]

    return {"event": {"added": names(added), "removed": names(removed)}}


@pytest.fixture
def editor(servers: RawClient, workspace: Path) -> Iterator[RawClient]:
    """Each editor with a workspace of its own, indexed, for one test."""
    servers.notify("workspace/didChangeWorkspaceFolders", folder_event([workspace], []))
    servers.wait_ready()
    yield servers
    servers.notify("workspace/didChangeWorkspaceFolders", folder_event([], [workspace]))
    servers.received.clear()


def width(text: str, encoding: str) -> int:
    return {"utf-8": len(text.encode()), "utf-16": len(text.encode("utf-16-le")) // 2, "utf-32": len(text)}[encoding]


def position(text: str, index: int, encoding: str) -> Message:
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return {"line": len(before) - 1, "character": width(before[-1], encoding)}


def spot(text: str, part: str, encoding: str) -> Message:
    """Return the range of a part of a text."""
    start = text.index(part)
    return {"start": position(text, start, encoding), "end": position(text, start + len(part), encoding)}


def test_a_function_is_found_by_meaning(editor: RawClient, workspace: Path) -> None:
    result = editor.result("sextant/search", {"query": "call again when it fails, waiting exponentially longer"})
    best = result["hits"][0]
    text = SOURCES["retry.py"]
    assert best["name"] == "retry_with_backoff"
    assert best["location"]["uri"] == (workspace / "retry.py").as_uri()
    assert best["location"]["range"] == spot(text, "retry_with_backoff", editor.encoding)
    body = text[text.index("def retry_with_backoff") : text.index("\n\n\ndef retry_fixed")]
    assert best["targetRange"] == spot(text, body, editor.encoding)
    assert best["kind"] == 12
    assert best["languageId"] == "python"
    assert best["detail"].startswith("Call a function again")
    assert "why" not in best
    assert 0 <= best["score"] <= 1
    assert -1 <= best["similarity"] <= 1
    assert result["isIncomplete"] is False
    assert result["lowConfidence"] in (True, False)
    assert result["generation"] > 0
    assert "origin" not in result


ODD_LINE = "/* 🙂e\u0301漢 */ function {name}(warp) {{ return warp * 3; }} /* 🙂 */\n"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_an_unsaved_edit_is_found_where_it_stands(editor: RawClient, workspace: Path, line_end: str) -> None:
    path = workspace / "odd.js"
    on_disk = ("// 🙂\n" + ODD_LINE.format(name="steadyCourse")).replace("\n", line_end)
    path.write_bytes(on_disk.encode())
    uri = path.as_uri()
    editor.open(uri, on_disk, "javascript")
    edited = on_disk.replace("steadyCourse", "fluxCapacitor")
    editor.change(uri, {"range": spot(on_disk, "steadyCourse", editor.encoding), "text": "fluxCapacitor"})
    hit = editor.wait_hit("fluxCapacitor", "fluxCapacitor")
    assert hit is not None
    assert hit["location"] == {"uri": uri, "range": spot(edited, "fluxCapacitor", editor.encoding)}
    assert hit["targetRange"]["end"] == position(edited, edited.index(" /* 🙂 */"), editor.encoding)

    more = "/* 🙂🙂 */ "
    start = position(edited, edited.index("/* 🙂e"), editor.encoding)
    editor.change(uri, {"range": {"start": start, "end": start}, "text": more}, version=3)
    edited = edited.replace("/* 🙂e", more + "/* 🙂e")
    moved = spot(edited, "fluxCapacitor", editor.encoding)
    editor.until(lambda: editor.search("fluxCapacitor")[0], lambda each: each["location"]["range"] == moved)

    editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    editor.wait_hit("fluxCapacitor", "fluxCapacitor", present=False)
    hit = editor.wait_hit("steadyCourse", "steadyCourse")
    assert hit is not None
    assert hit["location"]["range"] == spot(on_disk, "steadyCourse", editor.encoding)


def test_a_saved_edit_stays(editor: RawClient, workspace: Path) -> None:
    path = workspace / "retry.py"
    uri, text = path.as_uri(), SOURCES["retry.py"] + '\n\ndef tidal_wave():\n    """Rise and fall."""\n'
    editor.open(uri, SOURCES["retry.py"])
    editor.change(uri, {"text": text})
    path.write_text(text)
    editor.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
    editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    hit = editor.wait_hit("tidal_wave", "tidal_wave")
    assert hit is not None
    assert hit["location"]["range"] == spot(text, "tidal_wave", editor.encoding)
    assert editor.search("tidal_wave")[0]["name"] == "tidal_wave"


def test_similar_code_by_place(editor: RawClient, workspace: Path) -> None:
    text, uri = SOURCES["retry.py"], (workspace / "retry.py").as_uri()
    inside = spot(text, "base_delay * 2", editor.encoding)["start"]
    result = editor.result(
        "sextant/findSimilar",
        {"textDocument": {"uri": uri}, "range": {"start": inside, "end": inside}, "explain": True},
    )
    assert result["origin"]["name"] == "retry_with_backoff"
    assert result["origin"]["location"]["range"] == spot(text, "retry_with_backoff", editor.encoding)
    assert result["hits"][0]["name"] == "retry_fixed"
    assert "retry_with_backoff" not in [hit["name"] for hit in result["hits"]]
    assert result["hits"][0]["why"]["terms"]


def test_similar_code_by_selection_and_text(editor: RawClient, workspace: Path) -> None:
    text, uri = SOURCES["shapes.py"], (workspace / "shapes.py").as_uri()
    selection = 'year, month, day = text.split("-")'
    params = {"textDocument": {"uri": uri}, "range": spot(text, selection, editor.encoding)}
    assert editor.result("sextant/findSimilar", params)["hits"]
    snippet = "def again(f):\n    try:\n        return f()\n    except OSError:\n        time.sleep(delay)\n"
    found = editor.result("sextant/findSimilar", {"text": snippet, "languageId": "python", "limit": 2})
    assert {hit["name"] for hit in found["hits"]} == {"retry_with_backoff", "retry_fixed"}
    assert "origin" not in found


def test_similar_code_of_an_untitled_document(editor: RawClient) -> None:
    snippet = "# 🙂\ndef again(f):\n    try:\n        return f()\n    except OSError:\n        time.sleep(delay)\n"
    editor.open("untitled:Untitled-1", snippet)
    nowhere = {"line": 0, "character": 0}
    for where in ({"start": nowhere, "end": nowhere}, spot(snippet, snippet[4:], editor.encoding)):
        params = {"textDocument": {"uri": "untitled:Untitled-1"}, "range": where}
        assert editor.result("sextant/findSimilar", params)["hits"][0]["name"].startswith("retry")
    assert not any(hit["name"] == "again" for hit in editor.search("again"))


def test_places_without_an_answer_say_why(session: RawClient, tmp_path: Path) -> None:
    nowhere = {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}}
    for uri in ("untitled:not-open", (tmp_path / "missing.py").as_uri(), "git:/x.py", "rubbish"):
        assert session.code("sextant/findSimilar", {"textDocument": {"uri": uri}, "range": nowhere}) == REQUEST_FAILED


def test_the_status_of_the_index(editor: RawClient, workspace: Path) -> None:
    status = editor.wait_ready()
    (folder,) = status["folders"]
    assert folder["uri"] == workspace.as_uri()
    assert folder["state"] == "ready"
    assert folder["languages"] == {"python": 2, "typescript": 1}
    assert (folder["files"], folder["pendingFiles"]) == (3, 0)
    assert folder["units"] >= 6
    assert status["protocolVersion"] == 1
    assert status["encoder"]
    assert status["backend"] in ("exact", "annoy")
    assert status["residentBytes"] > 1_000_000
    # A compaction may be published between two requests.
    assert 0 < status["generation"] <= editor.result("sextant/search", {"query": "x"})["generation"]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"languages": ["typescript"]}, {"evictOldest"}),
        ({"kinds": [5]}, {"Circle"}),
        ({"kinds": [6, 13]}, {"area"}),
        ({"include": ["src/**"]}, {"evictOldest"}),
        ({"exclude": ["*.py"], "kinds": [12]}, {"evictOldest"}),
        ({"scope": "src"}, {"evictOldest"}),
        ({"scope": "src/cache.ts"}, {"evictOldest"}),
        ({"scope": "shapes.py", "kinds": [12]}, {"parse_date"}),
        ({"scope": "", "kinds": [5]}, {"Circle"}),
    ],
)
def test_filters(session: RawClient, filters: dict[str, Any], names: set[str]) -> None:
    root = session.result("sextant/indexStatus")["folders"][0]["uri"]
    if "scope" in filters:
        filters = {**filters, "scope": f"{root}/{filters['scope']}"}
    hits = session.search("the date, circle, area, cache and evict oldest of a delay", **filters)
    assert names <= {hit["name"] for hit in hits}
    kinds = {hit["kind"] for hit in hits if hit["kind"] != 2}
    if "kinds" in filters:
        assert kinds <= set(filters["kinds"])
    else:
        assert {hit["location"]["uri"] for hit in hits} == {f"{root}/src/cache.ts"}


def test_filters_that_cannot_be_met_say_why(session: RawClient, tmp_path: Path) -> None:
    assert session.code("sextant/search", {"query": "x", "kinds": [13]}) == REQUEST_FAILED
    assert session.code("sextant/search", {"query": "x", "scope": tmp_path.as_uri()}) == REQUEST_FAILED


def test_limit_and_explain(session: RawClient) -> None:
    hits = session.search("call a function again after a delay", limit=2, explain=True)
    assert len(hits) == 2
    why = hits[0]["why"]
    assert set(why) == {"dense", "lexical", "terms"}
    assert any(each["term"] for each in why["terms"])


def test_progress_of_a_request(session: RawClient) -> None:
    session.search("delay", workDoneToken="my token")
    session.code("sextant/findSimilar", {"text": "x = 1", "scope": "file:///nowhere", "workDoneToken": 17})
    seen = [(each["token"], each["value"]["kind"]) for each in session.notifications("$/progress")]
    assert seen == [("my token", "begin"), ("my token", "end"), (17, "begin"), (17, "end")]


def many_files(folder: Path, count: int = 300) -> Path:
    for number in range(count):
        name = folder / f"part{number % 7}" / f"module{number}.py"
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text("".join(f'def f{number}_{k}(a):\n    """Add {k}."""\n    return a + {k}\n' for k in range(20)))
    return folder


def test_progress_of_indexing(client: RawClient, tmp_path: Path) -> None:
    client.initialize(many_files(tmp_path / "many"), capabilities=EDITORS["vscode"])
    client.wait_ready()
    client.wait(lambda each: each.get("method") == "$/progress" and each["params"]["value"]["kind"] == "end")
    (create,) = client.notifications("window/workDoneProgress/create")
    values = [each["value"] for each in client.notifications("$/progress")]
    assert {each["token"] for each in client.notifications("$/progress")} == {create["token"]}
    kinds = [value["kind"] for value in values]
    assert kinds == ["begin", *["report"] * (len(kinds) - 2), "end"]
    assert values[0]["title"]
    reports = values[1:-1]
    assert reports
    percentages = [value["percentage"] for value in reports]
    assert percentages == sorted(percentages)
    assert all(0 <= percentage <= 100 for percentage in percentages)
    assert all(value["message"].endswith("/300 files") or "files" in value["message"] for value in reports)
    assert client.shutdown() == 0


def test_no_progress_for_a_client_without(client: RawClient, tmp_path: Path) -> None:
    client.initialize(many_files(tmp_path / "many"))
    client.wait_ready()
    assert client.shutdown() == 0
    assert not client.notifications("window/workDoneProgress/create")
    assert not client.notifications("$/progress")


def test_shutdown_ends_the_progress(client: RawClient, tmp_path: Path) -> None:
    client.initialize(many_files(tmp_path / "many", 800), capabilities=EDITORS["vscode"])
    client.wait(lambda each: each.get("method") == "$/progress")
    assert client.shutdown() == 0
    kinds = [each["value"]["kind"] for each in client.notifications("$/progress")]
    assert (kinds[0], kinds.count("begin"), kinds.count("end"), kinds[-1]) == ("begin", 1, 1, "end")


def test_folders_come_and_go(editor: RawClient, workspace: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", {"moon.py": 'def lunar_phase(day):\n    """Say how full the moon is."""\n'})
    editor.notify("workspace/didChangeWorkspaceFolders", folder_event([other], []))
    assert [each["uri"] for each in editor.result("sextant/indexStatus")["folders"]] == [
        workspace.as_uri(),
        other.as_uri(),
    ]
    hit = editor.wait_hit("how full is the moon", "lunar_phase")
    assert hit is not None
    assert hit["location"]["uri"] == (other / "moon.py").as_uri()
    editor.notify("workspace/didChangeWorkspaceFolders", folder_event([], [other]))
    editor.wait_hit("lunar_phase", "lunar_phase", present=False)
    assert len(editor.result("sextant/indexStatus")["folders"]) == 1
    assert editor.search("retry_fixed")[0]["name"] == "retry_fixed"


def test_files_that_change_on_disk(editor: RawClient, workspace: Path) -> None:
    path = workspace / "new folder" / "100%.py"

    def changed(kind: int) -> None:
        changes = [{"uri": path.as_uri(), "type": kind}]
        editor.notify("workspace/didChangeWatchedFiles", {"changes": changes})

    write(workspace, {"new folder/100%.py": "def solar_wind():\n    return 400\n"})
    changed(1)
    hit = editor.wait_hit("solar_wind", "solar_wind")
    assert hit is not None
    assert hit["location"]["uri"] == path.as_uri()
    path.write_text("def stellar_wind_speed():\n    return 401\n")
    changed(2)
    editor.wait_hit("stellar_wind_speed", "stellar_wind_speed")
    path.unlink()
    changed(3)
    editor.wait_hit("stellar_wind_speed", "stellar_wind_speed", present=False)


def test_only_a_client_that_can_is_asked_to_watch_files(start: Start, workspace: Path) -> None:
    for name, expected in (("vscode", True), ("neovim", False)):
        client = start()
        client.initialize(workspace, capabilities=EDITORS[name])
        client.wait_ready()
        client.shutdown()
        wishes = [wish for each in client.notifications("client/registerCapability") for wish in each["registrations"]]
        assert ("workspace/didChangeWatchedFiles" in [wish["method"] for wish in wishes]) == expected


def test_a_linked_folder_keeps_the_clients_names(start: Start, workspace: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(workspace)
    client = start()
    client.initialize(link)
    client.wait_ready()
    assert client.result("sextant/indexStatus")["folders"][0]["uri"] == link.as_uri()
    assert client.search("retry_fixed")[0]["location"]["uri"] == (link / "retry.py").as_uri()
    # An editor that follows the link itself opens the same file under its real name.
    client.open((workspace / "retry.py").as_uri(), "def retry_never():\n    return None\n")
    hit = client.wait_hit("retry_never", "retry_never")
    assert hit is not None
    assert hit["location"]["uri"] == (workspace / "retry.py").as_uri()
    scoped = client.search("retry_never", scope=(link / "retry.py").as_uri())
    assert [each["name"] for each in scoped][:1] == ["retry_never"]


def test_a_document_open_under_two_names_stays_until_both_are_closed(editor: RawClient, workspace: Path) -> None:
    one = (workspace / "retry.py").as_uri()
    two = one.replace("retry.py", "%72etry.py")
    editor.open(one, "def first_name():\n    return 1\n")
    editor.open(two, "def second_name():\n    return 2\n")
    editor.wait_hit("second_name", "second_name")
    editor.notify("textDocument/didClose", {"textDocument": {"uri": two}})
    editor.wait_hit("first_name", "first_name")
    editor.notify("textDocument/didClose", {"textDocument": {"uri": one}})
    editor.wait_hit("retry_fixed", "retry_fixed")


@pytest.mark.parametrize("shown", ["", "\ufeff"])
def test_a_byte_order_mark(editor: RawClient, workspace: Path, shown: str) -> None:
    """Editors hide it; one that does not counts it."""
    path = workspace / "bom.js"
    text = 'function markedFile(é) { return "🙂"; } function secondMark() { return 2; }\n'
    path.write_bytes(("\ufeff" + text).encode())
    editor.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": path.as_uri(), "type": 1}]})
    hit = editor.wait_hit("secondMark", "secondMark")
    assert hit is not None
    assert hit["location"]["range"] == spot(text, "secondMark", editor.encoding)
    editor.open(path.as_uri(), shown + text, "javascript")
    hit = editor.wait_hit("secondMark", "secondMark")
    assert hit is not None
    assert hit["location"]["range"] == spot(shown + text, "secondMark", editor.encoding)
    where = hit["location"]["range"]["start"]
    result = editor.result(
        "sextant/findSimilar", {"textDocument": {"uri": path.as_uri()}, "range": {"start": where, "end": where}}
    )
    assert result["origin"]["name"] == "secondMark"


def test_a_search_before_anything_is_indexed_is_incomplete(client: RawClient, tmp_path: Path) -> None:
    client.initialize(many_files(tmp_path / "many"))
    result = client.result("sextant/search", {"query": "add"})
    assert result["isIncomplete"] is True
    client.wait_ready()
    assert client.result("sextant/search", {"query": "add"})["isIncomplete"] is False


def test_no_folder_at_all(client: RawClient) -> None:
    client.initialize()
    result = client.result("sextant/search", {"query": "anything"})
    assert (result["hits"], result["isIncomplete"], result["lowConfidence"]) == ([], False, True)
    assert client.result("sextant/indexStatus")["folders"] == []
    assert client.shutdown() == 0


def _symlink_loop(folder: Path) -> None:
    (folder / "loop").symlink_to(folder)


def _unreadable(folder: Path) -> None:
    (folder / "closed").mkdir()
    (folder / "closed" / "x.py").write_text("def x(): pass\n")
    (folder / "closed").chmod(0)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: (folder / "bad.py").write_bytes(b"def \xff\xfe(): pass\n\xc3"), id="no-utf8"),
        pytest.param(lambda folder: (folder / "empty.py").touch(), id="empty"),
        pytest.param(lambda folder: (folder / "nul.py").write_bytes(b"def a():\x00 pass\n" * 9), id="nul"),
        pytest.param(lambda folder: (folder / "deep.py").write_text("(" * 100_000), id="brackets"),
        pytest.param(lambda folder: (folder / "deep.js").write_text("{" * 100_000), id="braces"),
        pytest.param(lambda folder: (folder / "long.js").write_text("var a = 1;" * 90_000), id="one-line"),
        pytest.param(_symlink_loop, id="loop"),
        pytest.param(_unreadable, id="unreadable"),
    ],
)
def test_a_bad_workspace_still_answers(session: RawClient, workspace: Path, spoil: Callable[[Path], Any]) -> None:
    spoil(workspace)
    try:
        session.notify("workspace/didChangeWorkspaceFolders", folder_event([workspace], []))
        session.wait_ready()
        assert session.search("retry_fixed", scope=workspace.as_uri())[0]["name"] == "retry_fixed"
        assert "Traceback" not in session.log()
    finally:
        session.notify("workspace/didChangeWorkspaceFolders", folder_event([], [workspace]))
        if (workspace / "closed").exists():
            (workspace / "closed").chmod(0o700)


def test_a_bad_document_still_answers(session: RawClient) -> None:
    root = session.result("sextant/indexStatus")["folders"][0]["uri"]
    for number, text in enumerate(["(" * 100_000, "\x00" * 1000, "", "\ud800", "a\r\f\u2028\x85\n" * 100]):
        uri = f"{root}/odd{number}.py"
        session.open(uri, text)
        session.change(
            uri, {"range": {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 9}}, "text": "x"}
        )
        assert session.search("retry_fixed")[0]["name"] == "retry_fixed"
        session.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


def test_a_data_folder_that_cannot_be_used(
    start: Start, workspace: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    client = start()
    client.initialize(workspace)
    status = client.wait_ready()
    assert status["folders"][0]["state"] == "degraded"
    assert "SEXTANT_DATA_DIR" in status["folders"][0]["message"]
    assert client.search("retry_fixed")[0]["name"] == "retry_fixed"
    assert client.shutdown() == 0


def test_settings_with_mistakes_keep_the_others(client: RawClient, workspace: Path) -> None:
    client.initialize(
        workspace, initializationOptions={"maxFileBytes": "huge", "nothing": [1], "exclude": ["shapes.py"]}
    )
    assert client.wait_ready()["folders"][0]["files"] == 2
    assert "maxFileBytes" in client.log()


def test_root_uri_and_root_path(start: Start, workspace: Path) -> None:
    for place in ({"rootUri": workspace.as_uri()}, {"rootPath": os.fspath(workspace)}):
        client = start()
        client.initialize(**place, initializationOptions=["no", "settings"])
        assert [folder["uri"] for folder in client.result("sextant/indexStatus")["folders"]] == [workspace.as_uri()]


def test_a_filter_that_is_being_typed(session: RawClient) -> None:
    result = session.result("sextant/search", {"query": "delay lang:py", "complete": True})
    assert result["hits"] == []
    assert result["completions"] == [{"label": "python", "query": "delay lang:python "}]
    kinds = session.result("sextant/search", {"query": "delay kind:", "complete": True})["completions"]
    assert "function" in {each["label"] for each in kinds} and "namespace" not in {each["label"] for each in kinds}
    assert session.result("sextant/search", {"query": "delay lang:python", "complete": True})["hits"]
    assert session.code("sextant/search", {"query": "delay lang:py\u0000"}) == REQUEST_FAILED
