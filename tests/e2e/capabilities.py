"""What a server may send to a client, by the client's capabilities: the letter of LSP 3.17."""

from __future__ import annotations

from typing import Any

from tests.e2e.raw import Message

ALWAYS = {
    "window/showMessage", "window/showMessageRequest", "window/logMessage", "$/progress", "$/logTrace",
    "sextant/jobFinished",
}  # fmt: skip
REGISTRATIONS = {
    "workspace/didChangeWatchedFiles": "workspace.didChangeWatchedFiles.dynamicRegistration",
    "workspace/didChangeConfiguration": "workspace.didChangeConfiguration.dynamicRegistration",
}
NEEDS = {
    "workspace/configuration": "workspace.configuration",
    "window/workDoneProgress/create": "window.workDoneProgress",
    "window/showDocument": "window.showDocument.support",
    "workspace/diagnostic/refresh": "workspace.diagnostics.refreshSupport",
    "experimental/serverStatus": "experimental.serverStatusNotification",
}


def find(able: Message, path: str) -> Any:
    found: Any = able
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def violations(received: list[Message], asked: dict[Any, str], tokens: set[Any], able: Message) -> list[str]:
    """Return what a server sent although it may not; `asked` has the methods of requests by id."""
    wrong: list[str] = []
    created: set[Any] = set()
    for message in received:
        method = message.get("method")
        params = message.get("params") or {}
        if method is None:
            if "result" in message:
                wrong += _result(asked.get(message["id"], ""), message["result"], able)
        elif method == "client/registerCapability":
            for wish in params["registrations"]:
                if not find(able, REGISTRATIONS.get(wish["method"], "unknown")):
                    wrong.append(f"registers {wish['method']}")
        elif method in NEEDS:
            if not find(able, NEEDS[method]):
                wrong.append(method)
            if method == "window/workDoneProgress/create":
                created.add(params["token"])
        elif method not in ALWAYS:
            wrong.append(f"unknown {method}")
        if method == "$/progress" and params["token"] not in created | tokens:
            wrong.append(f"progress under the token {params['token']!r} that nobody knows")
    return wrong


def _result(method: str, result: Any, able: Message) -> list[str]:
    if method == "workspace/symbol":
        kinds = find(able, "workspace.symbol.symbolKind.valueSet") or range(1, 19)
        return [f"symbol of kind {each['kind']}" for each in result if each["kind"] not in kinds]
    if method == "textDocument/codeAction":
        literals = find(able, "textDocument.codeAction.codeActionLiteralSupport")
        return [] if literals else ["a code action" for each in result if isinstance(each["command"], dict)]
    if method == "textDocument/diagnostic":
        related = find(able, "textDocument.publishDiagnostics.relatedInformation")
        return (
            []
            if related
            else ["related information" for each in result.get("items", ()) if "relatedInformation" in each]
        )
    return []
