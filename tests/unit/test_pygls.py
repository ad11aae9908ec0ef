"""The repairs of pygls are still needed: each check holds with the repair and fails without it.

A check that holds without it says that pygls was mended and the repair can go (repair 36).
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.feature_manager import has_ls_param_or_annotation
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol

from server.lsp import handlers
from server.lsp.server import InFlight, SextantProtocol, SextantServer, create
from tests.e2e.raw import frame

REPOSITORY = Path(__file__).parents[2]
TURNS = 20
"""Of the event loop; nothing here waits for threads."""
Message = dict[str, Any]


class Inside:
    """A server in this process, spoken to in messages, with some methods that fail."""

    def __init__(self) -> None:
        self.server: SextantServer = create()
        self.sent: list[Message] = []
        self.server.protocol.set_writer(self)

        async def fail(params: Any) -> None:
            raise KeyError("SECRET")

        async def unwritable(params: Any) -> Any:
            return {"a": object()}

        async def wait(params: Any) -> None:
            await asyncio.sleep(60)

        for method, handler in (("test/fail", fail), ("test/unwritable", unwritable), ("$/setTrace", wait)):
            self.server.feature(method)(handler)

    def write(self, data: bytes) -> None:
        self.sent.append(json.loads(data.partition(b"\r\n\r\n")[2]))

    def close(self) -> None:
        pass

    async def say(self, **message: Any) -> None:
        self.server.feed(frame({"jsonrpc": "2.0", **message}))
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def begin(self) -> None:
        parameters = {"processId": None, "rootUri": None, "capabilities": {}}
        await self.say(id=1, method="initialize", params=parameters)

    def answers(self, msg_id: int) -> list[Message]:
        return [each for each in self.sent if each.get("id") == msg_id and "method" not in each]


async def wrong_parameters_are_answered(inside: Inside) -> None:
    await inside.say(id=2, method="textDocument/codeAction", params={"textDocument": 7})
    assert [each["error"]["code"] for each in inside.answers(2)] == [-32602]


async def notifications_leave_nothing(inside: Inside) -> None:
    for _ in range(10):
        await inside.say(method="test/fail", params={})
    assert len(inside.server.protocol._request_futures) == 0


async def shutdown_survives_running_notifications(inside: Inside) -> None:
    for _ in range(2):
        await inside.say(method="$/setTrace", params={"value": "off"})
    await inside.say(id=2, method="shutdown")
    assert [each.get("result", each) for each in inside.answers(2)] == [None]


async def what_cannot_be_written_is_answered(inside: Inside) -> None:
    await inside.say(id=2, method="test/unwritable", params={})
    assert [each["error"]["code"] for each in inside.answers(2)] == [-32603]


async def a_bug_shows_nothing_of_the_inside(inside: Inside) -> None:
    await inside.say(id=2, method="test/fail", params={})
    assert "SECRET" not in json.dumps(inside.answers(2))
    assert inside.answers(2)


async def a_bug_in_a_notification_is_not_shown(inside: Inside) -> None:
    await inside.say(method="test/fail", params={})
    assert not [each for each in inside.sent if each.get("method") == types.WINDOW_SHOW_MESSAGE]


async def what_pygls_reports_is_not_shown(inside: Inside) -> None:
    inside.server._report_server_error(KeyError("SECRET"), JsonRpcException)  # as pygls itself calls it
    assert not [each for each in inside.sent if each.get("method") == types.WINDOW_SHOW_MESSAGE]


async def answers_count_after_shutdown(inside: Inside) -> None:
    asked = inside.server.protocol.send_request_async(types.WORKSPACE_CONFIGURATION, types.ConfigurationParams([]))
    await inside.say(id=2, method="shutdown")
    later = inside.server.protocol.send_request_async(types.WORKSPACE_CONFIGURATION, types.ConfigurationParams([]))
    numbers = [each["id"] for each in inside.sent if each.get("method") == types.WORKSPACE_CONFIGURATION]
    for number in numbers:
        await inside.say(id=number, result=[])
    assert asked.done()
    assert later.done()


def _received_by_pygls(protocol: SextantProtocol, body: bytes) -> None:
    """What `pygls.io_.run_async` does with a message."""
    try:
        protocol.handle_message(json.loads(body, object_hook=protocol.structure_message))
    except Exception as error:  # as there
        protocol._server._report_server_error(error, JsonRpcException)


Check = Callable[[Inside], Awaitable[None]]
REPAIRS: dict[str, tuple[Check, type, str, Any]] = {
    "1": (wrong_parameters_are_answered, SextantProtocol, "receive", _received_by_pygls),
    "2": (
        notifications_leave_nothing,
        SextantProtocol,
        "_execute_handler",
        LanguageServerProtocol._execute_handler,
    ),
    "3": (shutdown_survives_running_notifications, InFlight, "items", dict.items),
    "5": (what_cannot_be_written_is_answered, SextantProtocol, "_send_data", LanguageServerProtocol._send_data),
    "14 request": (
        a_bug_shows_nothing_of_the_inside,
        SextantProtocol,
        "_send_handler_result",
        LanguageServerProtocol._send_handler_result,
    ),
    "14 notification": (
        a_bug_in_a_notification_is_not_shown,
        SextantProtocol,
        "_check_handler_result",
        LanguageServerProtocol._check_handler_result,
    ),
    "14 report": (
        what_pygls_reports_is_not_shown,
        SextantServer,
        "report_server_error",
        LanguageServer.report_server_error,
    ),
    "16": (answers_count_after_shutdown, SextantProtocol, "receive", _received_by_pygls),
}


@pytest.mark.parametrize("is_repaired", [True, False], ids=["with", "without"])
@pytest.mark.parametrize("repair", REPAIRS)
def test_a_repair_is_needed(repair: str, is_repaired: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEXTANT_DATA_DIR", str(tmp_path))
    check, owner, name, original = REPAIRS[repair]

    async def run() -> None:
        inside = Inside()
        await inside.begin()
        if not is_repaired:
            # The notification's bug would be kept from the user by the other repair of its kind as well.
            if repair == "14 notification":
                monkeypatch.setattr(SextantServer, "report_server_error", LanguageServer.report_server_error)
            monkeypatch.setattr(owner, name, original)
        try:
            if is_repaired:
                await check(inside)
            else:
                with pytest.raises((AssertionError, RuntimeError)):
                    await check(inside)
        finally:
            monkeypatch.undo()
            inside.server.session.close()

    asyncio.run(run())


@pytest.mark.parametrize("method", handlers._HANDLERS)
def test_handlers_are_coroutines_that_are_given_the_server(method: str) -> None:
    """Repairs 11 and 13: a plain function would hold the loop; the server is injected by the parameter's name only."""
    handler = handlers._HANDLERS[method]
    assert inspect.iscoroutinefunction(handler)
    assert next(iter(inspect.signature(handler).parameters)) == "ls"


def test_pygls_does_not_see_annotations_that_only_type_checkers_see() -> None:
    """Repair 13: what makes the name `ls` necessary."""

    async def named(ls: SextantServer) -> None: ...

    async def annotated(server: Unseen) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert has_ls_param_or_annotation(named, SextantServer)
    assert not has_ls_param_or_annotation(annotated, SextantServer)


def test_the_series_of_pygls_whose_inside_is_overridden_is_pinned() -> None:
    """Repair 36: private names may move in the next one."""
    wanted = re.search(r'"pygls>=(\d+\.\d+),<(\d+\.\d+)"', (REPOSITORY / "pyproject.toml").read_text("utf-8"))
    assert wanted is not None
    lowest, below = (tuple(map(int, each.split("."))) for each in wanted.groups())
    assert below == (lowest[0], lowest[1] + 1)
    assert lowest == tuple(map(int, version("pygls").split(".")[:2]))


@pytest.mark.parametrize(
    "name",
    [
        *(
            each
            for each, value in vars(SextantProtocol).items()
            if inspect.isfunction(value) and hasattr(LanguageServerProtocol, each)
        )
    ],
)
def test_what_is_overridden_is_still_there_and_takes_the_same(name: str) -> None:
    """Repair 36: an override of a name that has moved repairs nothing."""
    ours = inspect.signature(getattr(SextantProtocol, name)).parameters
    theirs = inspect.signature(getattr(LanguageServerProtocol, name)).parameters
    if not any(each.kind == each.VAR_KEYWORD for each in ours.values()):
        assert list(ours) == list(theirs)


def test_the_private_names_of_pygls_that_are_used_exist() -> None:
    """Repair 36."""
    overridden = {"_register_builtin_features", "_execute_handler", "_send_handler_result", "_check_handler_result"}
    for name in (*overridden, "_send_data", "_send_response", "_serialize_message", "structure_message"):
        assert callable(getattr(LanguageServerProtocol, name)), name
        assert name not in overridden or name in vars(SextantProtocol), name
    asyncio.run(_inside_names())


async def _inside_names() -> None:
    protocol = LanguageServer("x", "1").protocol
    for name in ("_request_futures", "_result_types", "_converter", "_shutdown", "writer", "trace", "fm"):
        assert hasattr(protocol, name), name


def test_what_changes_documents_awaits_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Repair 12: handlers of one document interleave at every await, and edits would be applied in another order."""
    monkeypatch.setenv("SEXTANT_DATA_DIR", str(tmp_path))
    item = types.TextDocumentItem("untitled:a", "python", 1, "x")
    edit = types.TextDocumentContentChangeWholeDocument("y")
    steps = (
        (handlers.did_open, types.DidOpenTextDocumentParams(item)),
        (
            handlers.did_change,
            types.DidChangeTextDocumentParams(types.VersionedTextDocumentIdentifier(2, item.uri), [edit]),
        ),
        (handlers.did_close, types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(item.uri))),
    )

    async def run() -> None:
        inside = Inside()
        await inside.begin()
        for handler, params in steps:
            with pytest.raises(StopIteration):  # it returns at its first step
                handler(inside.server, params).send(None)  # type: ignore[arg-type]
        inside.server.session.close()

    asyncio.run(run())
