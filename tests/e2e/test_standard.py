"""What any editor can do without a plugin: symbols, code actions, commands, hints; with what each one says it can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from pygls.protocol import default_converter

from tests.e2e.capabilities import find, violations
from tests.e2e.conftest import SOURCES, environment_of, write
from tests.e2e.raw import SILENCE, Message, RawClient, server_command


def recorded(name: str) -> Message:
    found: Message = default_converter().unstructure(pytest_lsp.client_capabilities(name))
    return found


BARE: Message = {}
EDITORS = {
    "vscode": recorded("visual_studio_code"),
    "neovim": recorded("neovim"),
    "emacs": recorded("emacs"),
    "bare": BARE,
}
SCHEDULE = '''def schedule_jobs(jobs, limit):
    """Run what is ready, the most urgent first."""
    pending = []
    for job in jobs:
        if job.ready and job.priority > limit:
            pending.append(job)
        elif job.failed:
            job.retry()
            pending.append(job)
    pending.sort(key=lambda job: job.priority)
    while pending:
        current = pending.pop()
        current.run()
        if current.failed and current.attempts < 3:
            pending.append(current)
    return len(pending)
'''
COPY = SCHEDULE.replace("schedule_jobs", "start_tasks").replace("job", "task").replace("pending", "waiting")
METHODS = f"""class Local:
{"".join("    " + line for line in SCHEDULE.replace("(jobs", "(self, jobs").splitlines(keepends=True))}
"""


class Editor(RawClient):
    """A client that checks what it is sent against what it said it can do."""

    def __init__(self, able: Message, home: Path) -> None:
        self.able = able
        self.asked: dict[Any, str] = {}
        self.tokens: set[Any] = set()
        super().__init__(server_command(), environment_of(home), home / "server.log")

    def post(self, method: str, params: Any = None) -> int:
        number = super().post(method, params)
        self.asked[number] = method
        if isinstance(params, dict):
            self.tokens |= {params[name] for name in ("workDoneToken", "partialResultToken") if name in params}
        return number

    def check(self) -> None:
        assert violations(self.received, self.asked, self.tokens, self.able) == []


@pytest.fixture(params=EDITORS, scope="module")
def editor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    home = tmp_path_factory.mktemp(request.param)
    client = Editor(EDITORS[request.param], home)
    client.replies["window/showDocument"] = {"success": True}
    client.replies["workspace/configuration"] = [{"duplicates": True}]
    files = {**SOURCES, "jobs.py": SCHEDULE, "local.py": METHODS}
    folder = write(home / "work space", files)
    client.initialize(folder, capabilities=client.able, initializationOptions={"duplicates": True})
    client.wait_ready()
    yield client
    client.check()
    assert client.shutdown() == 0
    client.check()
    assert "Traceback" not in client.log()
    client.kill()


def root(editor: Editor) -> str:
    uri: str = editor.result("sextant/indexStatus")["folders"][0]["uri"]
    return uri


def names(editor: Editor, query: str) -> list[str]:
    return [each["name"] for each in editor.result("workspace/symbol", {"query": query})]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("retry_fixed", ["retry_fixed"]),
        ("retry", ["retry", "retry_fixed", "retry_with_backoff"]),  # the module, then the shorter name
        ("RETRY_F", ["retry_fixed"]),
        ("rwb", ["retry_with_backoff"]),
        ("evictO", ["evictOldest"]),
        ("Circle.area", ["area"]),
        ("Circle::area", ["area"]),
        ("parse date", ["parse_date"]),
        ("area()", ["area"]),
        ("call again with an exponentially growing delay", ["retry_with_backoff"]),  # by meaning
        ("return the surface of the round shape", ["area"]),
    ],
)
def test_symbols_by_name_then_by_meaning(editor: Editor, query: str, first: list[str]) -> None:
    assert names(editor, query)[: len(first)] == first


def test_symbols_say_where_they_are(editor: Editor) -> None:
    (symbol, *_) = editor.result("workspace/symbol", {"query": "Circle.area", "workDoneToken": "w"})
    assert symbol["location"]["uri"] == f"{root(editor)}/shapes.py"
    assert symbol["location"]["range"]["start"] == {"line": 3, "character": 8}
    assert symbol["containerName"] == "Circle"
    assert symbol["kind"] == 6


@pytest.mark.parametrize(
    "query", ["", "  ", "lang:", "lang:klingon", "path:*****", "(", "🙂", "x" * 1000, "\ud800", "."]
)
def test_odd_symbol_queries_are_no_errors(editor: Editor, query: str) -> None:
    found = names(editor, query)
    assert query.strip() or found  # all there is, for a list that is narrowed down by typing


def test_symbols_take_filters(editor: Editor) -> None:
    assert names(editor, "lang:typescript e") == ["evictOldest"]


def actions(editor: Editor, path: str, start: Any, end: Any, **context: Any) -> Any:
    asked = {
        "textDocument": {"uri": f"{root(editor)}/{path}"},
        "range": {"start": start, "end": end},
        "context": {"diagnostics": [], **context},
    }
    return editor.result("textDocument/codeAction", asked)


def at(line: int, character: int = 0) -> Message:
    return {"line": line, "character": character}


def command_of(action: Any) -> Any:
    return action["command"] if isinstance(action["command"], dict) else action


def test_similar_code_is_offered_at_a_function(editor: Editor) -> None:
    (action,) = actions(editor, "retry.py", at(8), at(8))
    assert action["title"] == "Find code similar to retry_with_backoff"
    command = command_of(action)
    found = editor.result("workspace/executeCommand", {key: command[key] for key in ("command", "arguments")})
    assert found["origin"]["name"] == "retry_with_backoff"
    assert found["hits"][0]["name"] == "retry_fixed"

    said = editor.wait(lambda each: each.get("method") == "window/showMessageRequest")["params"]
    if find(editor.able, "window.showDocument.support"):
        assert said["actions"][0]["title"].startswith("retry_fixed  work space/retry.py:16")
    else:
        assert "retry_fixed  work space/retry.py:16" in said["message"]
        assert "actions" not in said
    editor.received.clear()


def test_the_chosen_hit_is_opened(editor: Editor) -> None:
    if not find(editor.able, "window.showDocument.support"):
        pytest.skip("this editor opens nothing for a server")
    title = "retry_fixed  work space/retry.py:16"
    editor.replies["window/showMessageRequest"] = {"title": title}
    arguments = [{"query": "retry_fixed"}, {"show": True}]
    editor.result("workspace/executeCommand", {"command": "sextant.search", "arguments": arguments})
    opened = editor.wait(lambda each: each.get("method") == "window/showDocument")["params"]
    assert opened["uri"] == f"{root(editor)}/retry.py"
    assert opened["selection"]["start"] == at(15, 4)
    assert opened["takeFocus"] is True
    del editor.replies["window/showMessageRequest"]
    editor.received.clear()


def test_a_selection_and_a_complaint_can_be_searched_for(editor: Editor) -> None:
    line = SOURCES["retry.py"].splitlines()[9]
    start, end = line.index("return"), line.index("call") + 4
    complaint = {"range": {"start": at(9), "end": at(9)}, "message": "no attribute\nlang:x", "source": "types"}
    found = actions(editor, "retry.py", at(9, start), at(9, end), diagnostics=[complaint])
    assert [each["title"] for each in found] == [
        "Find code similar to the selection",
        "Search for “return call”",
        "Search for “no attribute lang:x”",
    ]
    for each in found:
        command = command_of(each)
        arguments = [command["arguments"][0]]
        assert editor.result("workspace/executeCommand", {"command": command["command"], "arguments": arguments})[
            "hits"
        ]


def test_a_word_is_no_code_to_compare(editor: Editor) -> None:
    """Eglot selects the word at the cursor by itself."""
    found = actions(editor, "retry.py", at(5, 4), at(5, 22))
    assert [each["title"] for each in found] == [
        "Find code similar to retry_with_backoff",
        "Search for “retry_with_backoff”",
    ]
    assert command_of(found[0])["arguments"][0]["range"] == {"start": at(5, 4), "end": at(5, 4)}


def test_actions_keep_to_the_kinds_asked_for(editor: Editor) -> None:
    if not find(editor.able, "textDocument.codeAction.codeActionLiteralSupport"):
        pytest.skip("this client has no kinds")
    assert actions(editor, "retry.py", at(8), at(8), only=["refactor"]) == []
    assert len(actions(editor, "retry.py", at(8), at(8), only=["source"])) == 1
    assert len(actions(editor, "retry.py", at(8), at(8), only=[""])) == 1


def test_no_action_where_there_is_nothing(editor: Editor) -> None:
    assert actions(editor, "missing.py", at(3), at(3)) == []
    assert actions(editor, "retry.py", at(2), at(2)) == []
    assert actions(editor, "retry.py", at(9999, 7), at(9999, 9)) == []


def test_commands_are_the_requests(editor: Editor) -> None:
    def run(command: str, *arguments: Any) -> Message:
        return editor.request("workspace/executeCommand", {"command": command, "arguments": list(arguments)})

    assert run("sextant.search", {"query": "delay"})["result"] == editor.result("sextant/search", {"query": "delay"})
    assert run("sextant.status")["result"]["folders"] == editor.result("sextant/indexStatus")["folders"]
    assert run("sextant.findSimilar", {"text": "def f(): pass"})["result"]["hits"] is not None
    assert run("sextant.search")["error"]["code"] == -32602
    assert run("sextant.search", {"query": 7})["error"]["code"] == -32602
    assert run("sextant.search", {"query": "lang:x"})["error"]["code"] == -32803
    assert run("other.command")["error"]["code"] == -32602
    assert run("sextant.showBoth", 7)["error"]["code"] == -32602


def hints(editor: Editor, uri: str, **previous: Any) -> Any:
    return editor.result("textDocument/diagnostic", {"textDocument": {"uri": uri}, **previous})


def test_a_copy_is_hinted_at_while_it_is_typed(editor: Editor) -> None:
    uri = f"{root(editor)}/copy.py"
    editor.open(uri, "x = 1\r\n\r\n")
    assert hints(editor, uri)["items"] == []
    editor.change(uri, {"range": {"start": at(2), "end": at(2)}, "text": COPY.replace("\n", "\r\n")})
    report = editor.until(lambda: hints(editor, uri), lambda each: each["items"])
    (hint,) = report["items"]
    assert hint["message"] == "You already wrote this: schedule_jobs (jobs.py:1) is nearly the same."
    assert hint["severity"] == 4
    assert hint["range"] == {"start": at(2, 4), "end": at(2, 15)}
    if find(editor.able, "textDocument.publishDiagnostics.relatedInformation"):
        (related,) = hint["relatedInformation"]
        assert related["location"]["uri"] == f"{root(editor)}/jobs.py"
    assert hints(editor, uri, previousResultId=report["resultId"]) == {
        "kind": "unchanged",
        "resultId": report["resultId"],
    }

    found = actions(editor, "copy.py", at(2, 4), at(2, 4), diagnostics=[hint])
    if find(editor.able, "textDocument.codeAction.codeActionLiteralSupport"):
        titles = {each["title"]: each for each in found}
        assert ("Show both" in titles) == bool(find(editor.able, "window.showDocument.support"))
        (edit,) = titles["Ignore here"]["edit"]["changes"][uri]
        assert edit["newText"] == "# sextant: ignore\r\n"
        if "Show both" in titles:
            command = titles["Show both"]["command"]
            editor.result("workspace/executeCommand", {key: command[key] for key in ("command", "arguments")})
            editor.wait(lambda each: is_shown(each, f"{root(editor)}/jobs.py"))
            editor.wait(lambda each: is_shown(each, uri))
        editor.change(uri, {"range": edit["range"], "text": edit["newText"]}, version=3)
        editor.until(lambda: hints(editor, uri), lambda each: each["items"] == [])
    editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


def is_shown(message: Message, uri: str) -> bool:
    return message.get("method") == "window/showDocument" and message["params"]["uri"] == uri


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("jobs.py", SCHEDULE, SCHEDULE + "\n\ny = 2\n"),  # nothing about the function is new
        ("tests/test_jobs.py", "", COPY),
        ("small.py", "", "def f(a):\n    return a + 1\n"),
        ("remote.py", "", METHODS.replace("Local", "Remote")),  # another class with the same method
        ("other.py", "", COPY.replace("    waiting = []", "    waiting = []  # kept\n    # sextant: ignore", 1)[:40]),
    ],
)
def test_what_is_no_copy(editor: Editor, path: str, before: str, after: str) -> None:
    uri = f"{root(editor)}/{path}"
    editor.open(uri, before)
    editor.change(uri, {"text": after})
    assert hints(editor, uri)["items"] == []
    editor.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


def test_there_are_no_hints_by_default(session: RawClient) -> None:
    uri = session.result("sextant/indexStatus")["folders"][0]["uri"] + "/copy.py"
    session.open(uri, "")
    session.change(uri, {"text": SOURCES["retry.py"].replace("retry_fixed", "retry_again")})
    assert session.result("textDocument/diagnostic", {"textDocument": {"uri": uri}})["items"] == []
    for other in ("untitled:a", "rubbish", uri + "not-open"):
        assert session.result("textDocument/diagnostic", {"textDocument": {"uri": other}})["items"] == []
    session.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


def test_renamed_files_are_found_under_their_new_names(editor: Editor) -> None:
    folder = Path(json.loads(json.dumps(root(editor).removeprefix("file://"))).replace("%20", " "))
    (folder / "before.py").write_text("def walrus_dance():\n    pass\n")
    renamed = {"oldUri": f"{root(editor)}/before.py", "newUri": f"{root(editor)}/after.py"}
    editor.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": renamed["oldUri"], "type": 1}]})
    editor.wait_hit("walrus_dance", "walrus_dance")
    (folder / "before.py").rename(folder / "after.py")
    editor.notify("workspace/didRenameFiles", {"files": [renamed]})
    while (hit := editor.wait_hit("walrus_dance", "walrus_dance")) and hit["location"]["uri"] != renamed["newUri"]:
        editor.wait_quietly()
    (folder / "after.py").unlink()


def test_a_client_that_offers_no_choice_is_shown_a_line(session: RawClient, workspace: Path) -> None:
    """Helix answers window/showMessageRequest with -32601."""
    session.replies["window/showMessageRequest"] = SILENCE
    session.received.clear()
    session.result(
        "workspace/executeCommand",
        {"command": "sextant.search", "arguments": [{"query": "growing delay"}, {"show": True}]},
    )
    asked = session.wait(lambda each: each.get("method") == "window/showMessageRequest")
    session.send({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32601, "message": "Method not found"}})
    shown = session.wait(lambda each: each.get("method") == "window/showMessage")["params"]["message"]
    assert "\n" not in shown
    assert "retry_with_backoff" in shown
    del session.replies["window/showMessageRequest"]
