"""The editors' own way through a session, by an independent client with their recorded capabilities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_lsp
from lsprotocol import types

from tests.e2e.conftest import SOURCES
from tests.e2e.raw import TIMEOUT, server_command

Client = pytest_lsp.LanguageClient


@asynccontextmanager
async def session(editor: str, folder: Path, environment: dict[str, str]) -> AsyncIterator[Client]:
    client = pytest_lsp.make_test_lsp_client()
    command, *arguments = server_command()
    await client.start_io(command, *arguments, env=environment)
    folders = [types.WorkspaceFolder(uri=folder.as_uri(), name=folder.name)]
    able = pytest_lsp.client_capabilities(editor)
    await asyncio.wait_for(
        client.initialize_session(types.InitializeParams(capabilities=able, workspace_folders=folders)), TIMEOUT
    )
    try:
        yield client
    finally:
        await asyncio.wait_for(client.shutdown_session(), TIMEOUT)
        await asyncio.wait_for(client.stop(), TIMEOUT)


async def ask(client: Client, method: str, params: Any = None) -> Any:
    return await asyncio.wait_for(client.protocol.send_request_async(method, params), TIMEOUT)


async def ready(client: Client) -> None:
    for _ in range(2000):
        status = await ask(client, "sextant/indexStatus")
        if all(folder.state == "ready" for folder in status.folders):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not ready")


@pytest.mark.asyncio
@pytest.mark.parametrize("editor", ["visual_studio_code", "neovim"])
async def test_a_session(editor: str, workspace: Path, environment: dict[str, str]) -> None:
    uri = (workspace / "retry.py").as_uri()
    async with session(editor, workspace, environment) as client:
        for number in range(20):  # typing: each question takes back the one before
            client.protocol.send_request("sextant/search", {"query": f"delay {number}"}, msg_id=f"search-{number}")
            client.cancel_request(types.CancelParams(id=f"search-{number}"))
        await ready(client)
        found = await ask(client, "sextant/search", {"query": "exponentially growing delay", "limit": 3})
        assert found.hits[0].name == "retry_with_backoff"
        assert found.hits[0].location.uri == uri

        text = SOURCES["retry.py"].replace("retry_fixed", "retry_steadily")
        item = types.TextDocumentItem(uri=uri, language_id="python", version=1, text=text)
        client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        found = await ask(client, "sextant/search", {"query": "retry_steadily"})
        assert found.hits[0].name == "retry_steadily"

        where = found.hits[0].location.range.start
        place = {"line": where.line, "character": where.character}
        params = {"textDocument": {"uri": uri}, "range": {"start": place, "end": place}}
        found = await ask(client, "sextant/findSimilar", params)
        assert found.origin.name == "retry_steadily"
        assert found.hits[0].name == "retry_with_backoff"
    assert client.error is None
    assert not client.messages
