"""The real server with a few more methods, which do what a server's code should not, or show its inside."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs

from server.lsp.stdio import take_stdio

STREAMS = take_stdio()

from server.lsp import handlers, protocol, server  # noqa: E402
from server.types import Cancelled, CancelToken  # noqa: E402

register = handlers.register


@attrs.frozen
class Spin:
    """What test/spin takes, so that it can be a command, too."""

    folder: str
    name: str


protocol.PARAMS = {**protocol.PARAMS, "test/spin": Spin}
protocol.COMMANDS = {**protocol.COMMANDS, "test.spin": "test/spin"}


def add(ls: server.SextantServer) -> None:
    register(ls)

    @ls.feature("test/print")
    async def _print(params: Any) -> Any:
        print("from print")
        sys.__stdout__.write("from the first stdout\n")
        os.write(1, b"from the descriptor\n")
        libc = ctypes.CDLL(None)
        libc.puts(b"from C")
        libc.fflush(None)
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        subprocess.run("echo from a shell", shell=True, check=True)
        reader = [sys.executable, "-c", "import sys; sys.exit(len(sys.stdin.buffer.read()))"]
        return [len(sys.stdin.read()), subprocess.run(reader, check=False).returncode]

    @ls.feature("test/spin")
    async def _spin(params: Any) -> Any:
        def work(token: CancelToken) -> None:
            Path(params.folder, f"started-{params.name}").touch()
            try:
                while True:
                    token.check()
                    time.sleep(0.005)
            except Cancelled:
                Path(params.folder, f"cancelled-{params.name}").touch()
                raise

        return await ls.session.tasks.run(work)

    @ls.feature("test/stuck")
    async def _stuck(params: Any) -> Any:
        def work(_: CancelToken) -> None:
            Path(params.folder, "started-stuck").touch()
            time.sleep(60)

        return await ls.session.tasks.run(work)

    @ls.feature("test/busyLoop")
    async def _busy_loop(params: Any) -> None:
        Path(params.folder, "started-busy").touch()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pass

    @ls.feature("$/setTrace")
    async def _slow_notification(params: Any) -> None:
        await asyncio.sleep(60)

    @ls.feature("test/bug")
    async def _bug(params: Any) -> Any:
        raise KeyError(params.text)

    @ls.feature("test/plainBug")
    def _plain_bug(params: Any) -> Any:
        raise KeyError(params.text)

    @ls.feature("test/documents")
    async def _documents(params: Any) -> int:
        return len(ls.workspace.text_documents)

    @ls.feature("test/unwritable")
    async def _unwritable(params: Any) -> Any:
        return float("nan") if params.nan else {"a": object()}

    @ls.feature("test/inFlight")
    async def _in_flight(params: Any) -> int:
        await asyncio.sleep(0)
        return len(ls.protocol._request_futures)


handlers.register = add
sys.exit(server.serve(STREAMS))
