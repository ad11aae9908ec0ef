"""What clients should not send: each request is answered exactly once, and the server lives."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from server.lsp.protocol import COMMANDS
from tests.e2e.conftest import Start
from tests.e2e.raw import SOON, TIMEOUT, RawClient, frame, read_frames, server_command

INVALID_PARAMS, METHOD_NOT_FOUND, INVALID_REQUEST, PARSE_ERROR = -32602, -32601, -32600, -32700
NOT_INITIALIZED, CANCELLED, REQUEST_FAILED = -32002, -32800, -32803
PLACE = {"textDocument": {"uri": "untitled:x"}}


def alive(client: RawClient) -> None:
    assert client.result("sextant/indexStatus")["protocolVersion"] == 1


def test_initialize_says_what_there_is_and_no_more(client: RawClient) -> None:
    result = client.initialize()
    able = result["capabilities"]
    assert able["experimental"]["sextant"]["protocolVersion"] == 1
    assert able["textDocumentSync"]["change"] == 2
    assert able["textDocumentSync"]["openClose"] is True
    assert able["workspace"]["workspaceFolders"]["supported"] is True
    assert result["serverInfo"]["name"] == "sextant"
    assert able["workspaceSymbolProvider"] is not None
    assert able["codeActionProvider"]["codeActionKinds"]
    assert able["diagnosticProvider"]["workspaceDiagnostics"] is False
    commands = {name for name, method in COMMANDS.items() if method in able["experimental"]["sextant"]["methods"]}
    assert commands <= set(able["executeCommandProvider"]["commands"])
    assert {"sextant.search", "sextant.findSimilar", "sextant.status"} <= commands
    assert "notebookDocumentSync" not in able
    assert client.code("textDocument/hover", PLACE) == METHOD_NOT_FOUND


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("sextant/search", None, "params"),
        ("sextant/search", [], "params"),
        ("sextant/search", "text", "params"),
        ("sextant/search", {}, "query"),
        ("sextant/search", {"query": None}, "query"),
        ("sextant/search", {"query": 7}, "query"),
        ("sextant/search", {"query": ["a"]}, "query"),
        ("sextant/search", {"query": "a", "limit": "7"}, "limit"),
        ("sextant/search", {"query": "a", "limit": 0}, "limit"),
        ("sextant/search", {"query": "a", "limit": -1}, "limit"),
        ("sextant/search", {"query": "a", "limit": 201}, "limit"),
        ("sextant/search", {"query": "a", "limit": 1.5}, "limit"),
        ("sextant/search", {"query": "a", "limit": True}, "limit"),
        ("sextant/search", {"query": "a", "limit": 10**400}, "limit"),
        ("sextant/search", {"query": "a", "languages": "python"}, "languages"),
        ("sextant/search", {"query": "a", "languages": [1]}, "languages[0]"),
        ("sextant/search", {"query": "a", "kinds": [99]}, "kinds[0]"),
        ("sextant/search", {"query": "a", "kinds": ["function"]}, "kinds[0]"),
        ("sextant/search", {"query": "a", "include": {"0": "x"}}, "include"),
        ("sextant/search", {"query": "a", "exclude": [None]}, "exclude[0]"),
        ("sextant/search", {"query": "a", "scope": 3}, "scope"),
        ("sextant/search", {"query": "a", "scope": "untitled:a"}, "scope"),
        ("sextant/search", {"query": "a", "explain": "yes"}, "explain"),
        ("sextant/search", {"query": "a", "workDoneToken": [1]}, "workDoneToken"),
        ("sextant/findSimilar", {}, "textDocument"),
        ("sextant/findSimilar", {"text": 3}, "text"),
        ("sextant/findSimilar", {"text": ""}, "text"),
        ("sextant/findSimilar", PLACE, "range"),
        ("sextant/findSimilar", {"range": {"start": {"line": 0, "character": 0}}, "text": "x"}, "range.end"),
        ("sextant/findSimilar", {**PLACE, "range": {"start": {"line": 0}, "end": {}}}, "character"),
        ("sextant/findSimilar", {"textDocument": {"uri": None}, "text": "x"}, "uri"),
    ],
)
def test_malformed_parameters(session: RawClient, method: str, params: Any, field: str) -> None:
    response = session.request(method, params)
    assert response["error"]["code"] == INVALID_PARAMS, response
    assert field in response["error"]["message"]
    assert "data" not in response["error"]


def test_a_huge_query_is_an_error_not_a_crash(session: RawClient) -> None:
    assert session.code("sextant/search", {"query": "x " * 1_000_000}) == REQUEST_FAILED


@pytest.mark.parametrize("query", ["", " \t\n", "\x00", "\ud800", "🙂" * 1000, "(" * 10_000, "lang:python", "%s %d {}"])
def test_odd_queries_are_answered(session: RawClient, query: str) -> None:
    assert isinstance(session.search(query), list)


def test_a_bad_inline_filter_is_the_users_mistake(session: RawClient) -> None:
    assert session.code("sextant/search", {"query": "lang:klingon x"}) == REQUEST_FAILED


def test_unknown_methods(session: RawClient) -> None:
    for method in ("sextant/nothing", "textDocument/hover", "$/something", "x", ""):
        assert session.code(method, {"any": 1}) == METHOD_NOT_FOUND
    for method in ("textDocument/didOpen", "initialized", "exit", "$/cancelRequest"):  # notifications sent as requests
        assert session.code(method, {"id": 1}) == METHOD_NOT_FOUND
    alive(session)


def test_malformed_notifications_are_ignored(session: RawClient) -> None:
    session.notify("textDocument/didOpen", {"textDocument": {}})
    session.notify("textDocument/didChange", 7)
    session.notify(
        "textDocument/didChange", {"textDocument": {"uri": "file:///no", "version": 1}, "contentChanges": []}
    )
    session.notify("textDocument/didClose", {"textDocument": {"uri": "file:///never-opened"}})
    session.notify("$/cancelRequest", {"id": 999_999})
    session.notify("$/cancelRequest", {})
    session.notify("$/cancelRequest")
    session.notify("$/setTrace", {"value": "rubbish"})
    session.notify("window/workDoneProgress/cancel", {"token": {}})
    session.notify("window/workDoneProgress/cancel", {"token": "never-begun"})
    session.notify("sextant/search", {"query": "a request without id"})
    session.notify("no/such/thing", [1, 2])
    alive(session)
    assert not session.notifications("window/showMessage")
    assert "a bug" not in session.log()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", PARSE_ERROR),
        (b"", PARSE_ERROR),
        (b"\xff\xfe", PARSE_ERROR),
        (b"nonsense", PARSE_ERROR),
        (b"[" * 100_000, PARSE_ERROR),
        (b'{"a":' * 100_000, PARSE_ERROR),
        (b"9" * 10_000, PARSE_ERROR),
        (b"[]", INVALID_REQUEST),
        (b"7", INVALID_REQUEST),
        (b"null", INVALID_REQUEST),
        (b'"text"', INVALID_REQUEST),
        (b"{}", INVALID_REQUEST),
        (b'[{"jsonrpc":"2.0","id":1,"method":"sextant/indexStatus"}]', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":null,"method":"sextant/indexStatus"}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":[1],"method":"sextant/indexStatus"}', INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":true,"method":"sextant/indexStatus"}', INVALID_REQUEST),
    ],
)
def test_a_message_that_is_none(session: RawClient, body: bytes, code: int) -> None:
    seen = len(session.answers(None))
    session.send_bytes(frame(body))
    alive(session)
    (refusal,) = session.answers(None)[seen:]
    assert refusal["error"]["code"] == code


@pytest.mark.parametrize(
    "message", [{"jsonrpc": "1.0", "method": "sextant/indexStatus"}, {"jsonrpc": "2.0", "method": 7}]
)
def test_a_bad_envelope_with_an_id_is_answered_under_it(session: RawClient, message: dict[str, Any]) -> None:
    session.send({**message, "id": "odd"})
    assert session.answer("odd")["error"]["code"] == INVALID_REQUEST
    session.received.clear()


def test_answers_to_no_question_are_ignored(session: RawClient) -> None:
    number = session.post("sextant/search", {"query": "delay"})
    for msg_id in (number, 12345, "x", None, [1]):
        session.send({"jsonrpc": "2.0", "id": msg_id, "result": None})
        session.send({"jsonrpc": "2.0", "id": msg_id, "error": {"code": 1, "message": "no"}})
    assert session.answer(number)["result"]["hits"]
    alive(session)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"rubbish\r\n\r\n",
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"Content-Length: 99999999999\r\n\r\n",
        b"Content-Length: 3\r\n\r\n{}",  # a byte too many taken: the next header loses its first letter
        b'Content-Length: 1\r\n\r\n{"jsonrpc":"2.0"}',
        b"\r\n\r\n\r\n",
        b"\x00" * 200_000,
        b"x" * 200_000 + b"\r\n",
    ],
)
def test_broken_headers_cost_at_most_the_next_message(session: RawClient, rubbish: bytes) -> None:
    session.send_bytes(rubbish)
    session.post("sextant/indexStatus")  # may be swallowed by a wrong length
    alive(session)


def test_headers_in_any_case_and_order_in_pieces(session: RawClient) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": "é", "method": "sextant/indexStatus"}, ensure_ascii=False).encode()
    header = b"content-type: application/vscode-jsonrpc; charset=utf-8\r\nCONTENT-LENGTH:%d\r\n\r\n" % len(body)
    for byte in header + body:
        session.send_bytes(bytes([byte]))
    assert "result" in session.answer("é")


def test_requests_before_initialize(client: RawClient, workspace: Path) -> None:
    for method in ("sextant/search", "sextant/nothing", "shutdown", "textDocument/hover"):
        assert client.code(method, {}) == NOT_INITIALIZED
    client.notify("textDocument/didOpen", {"textDocument": {}})
    assert client.code("initialize", {"capabilities": 7}) == INVALID_PARAMS
    client.initialize(workspace)
    assert client.code("initialize", {"processId": None, "rootUri": None, "capabilities": {}}) == INVALID_REQUEST
    alive(client)


def test_after_shutdown_only_exit_counts(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    assert client.result("shutdown") is None
    for method in ("sextant/search", "sextant/indexStatus", "shutdown", "initialize", "sextant/nothing"):
        assert client.code(method, {"query": "x"}) == INVALID_REQUEST
    client.notify("textDocument/didOpen", {})
    client.notify("exit")
    assert client.process.wait(TIMEOUT) == 0


def test_exit_right_behind_shutdown_is_proper(client: RawClient, workspace: Path) -> None:
    """Repair 19: both in one piece with a request between them, while a progress has to be ended."""
    for number in range(400):
        (workspace / f"m{number}.py").write_text(f"def f{number}(a):\n    return a + {number}\n" * 40)
    client.initialize(workspace, capabilities={"window": {"workDoneProgress": True}})
    client.wait(lambda each: each.get("method") == "$/progress")
    last = [("shutdown", 7_001), ("sextant/indexStatus", 7_002)]
    pieces = [frame({"jsonrpc": "2.0", "id": number, "method": method}) for method, number in last]
    client.send_bytes(b"".join([*pieces, frame({"jsonrpc": "2.0", "method": "exit"})]))
    assert client.process.wait(TIMEOUT) == 0
    assert client.answer(7_001)["result"] is None
    assert client.answer(7_002)["error"]["code"] == INVALID_REQUEST


def test_exit_without_shutdown_is_a_failure(start: Start) -> None:
    client = start()
    client.initialize()
    client.notify("exit")
    assert client.process.wait(TIMEOUT) == 1
    client = start()
    client.notify("exit")
    assert client.process.wait(TIMEOUT) == 1


@pytest.mark.parametrize("last", [b"", b"Content-Length: 1000\r\n\r\n{", b"Content-Le"])
def test_the_end_of_input_ends_the_process(start: Start, workspace: Path, last: bytes) -> None:
    for number in range(400):
        (workspace / f"m{number}.py").write_text(f"def f{number}(a):\n    return a + {number}\n" * 40)
    client = start()
    client.initialize(workspace)
    client.result("sextant/indexStatus")  # the engine is there, and busy
    client.post("sextant/search", {"query": "delay"})
    client.send_bytes(last)
    started = time.monotonic()
    client.close_input()
    assert client.process.wait(TIMEOUT) == 1
    assert time.monotonic() - started < SOON


def test_requests_sent_at_once_are_answered_once_each(client: RawClient, workspace: Path) -> None:
    """Do not wait for initialize either: editors may not, and order is kept."""
    folder = {"uri": workspace.as_uri(), "name": "w"}
    start = {"processId": None, "rootUri": None, "capabilities": {}, "workspaceFolders": [folder]}
    ids = [client.post("initialize", start)]
    ids += [client.post("sextant/search", {"query": f"delay {number}"}) for number in range(100)]
    for number in ids[1::2]:
        client.notify("$/cancelRequest", {"id": number})
    ids.append(client.post("shutdown"))
    client.answer(ids[-1])
    client.notify("exit")
    client.process.wait(TIMEOUT)
    with pytest.raises(AssertionError, match="ended"):
        client.wait(lambda _: False)
    assert client.broken is None
    for number in ids:
        (answer,) = client.answers(number)
        assert "result" in answer or answer["error"]["code"] == CANCELLED, answer
    assert "result" in client.answers(ids[0])[0]


def test_nothing_of_the_users_text_is_logged(client: RawClient, workspace: Path) -> None:
    client.initialize(workspace)
    uri = (workspace / "a.py").as_uri()
    client.open(uri, "def SECRET(): pass\n")
    client.change(uri, {"text": "def SECRET(): return 1\n"})
    client.notify("textDocument/didChange", {"textDocument": {"uri": "x:SECRET"}, "contentChanges": "SECRET"})
    client.request("sextant/search", {"query": "SECRET", "limit": "SECRET"})
    client.request("sextant/search", {"query": "SECRET lang:SECRET"})
    client.request("initialize", {"SECRET": 1})
    client.search("SECRET")
    assert client.shutdown() == 0
    assert "SECRET" not in client.log()


def test_tcp(tmp_path: Path, environment: dict[str, str], workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        server_command("--tcp", str(port)), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    try:
        assert process.stderr is not None
        assert f"127.0.0.1:{port}".encode() in process.stderr.readline()
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
            stream = connection.makefile("rwb")
            params = {"processId": None, "rootUri": workspace.as_uri(), "capabilities": {}}
            for number, (method, value) in enumerate(
                [("initialize", params), ("sextant/search", {"query": "delay"}), ("shutdown", None)]
            ):
                stream.write(frame({"jsonrpc": "2.0", "id": number, "method": method, "params": value}))
            stream.flush()
            frames = read_frames(stream)
            answers = {answer["id"]: answer for answer in (next(frames) for _ in range(3))}
            assert "result" in answers[0]
            assert "result" in answers[1] or answers[1]["error"]["code"] == CANCELLED
            assert "result" in answers[2]
            stream.write(frame({"jsonrpc": "2.0", "method": "exit"}))
            stream.flush()
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.communicate()
