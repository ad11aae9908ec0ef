"""A language client of our own framing, for what well-behaved clients cannot send; everything has a timeout."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

REPOSITORY = Path(__file__).resolve().parents[2]
TIMEOUT = 60.0
"""Seconds; generous, because many processes may share one slow processor."""
SOON = 3.0
"""Seconds in which a server ends that promises to end within one: so much slack has a machine that is busy."""

Message = dict[str, Any]
SILENCE = object()
Answer = TypeVar("Answer")


def frame(body: bytes | Message) -> bytes:
    """Return the bytes of one message."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def read_frames(stream: BinaryIO) -> Iterator[Message]:
    """Yield messages; any byte that is no message is an error."""
    while header := stream.readline():
        length = 0
        while header != b"\r\n":
            name, _, value = header.partition(b": ")
            assert name in (b"Content-Length", b"Content-Type"), f"not a header: {header!r}"
            if name == b"Content-Length":
                length = int(value)
            header = stream.readline()
        yield json.loads(stream.read(length))


class RawClient:
    """A server process and what it said."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.log_path = log
        self.received: list[Message] = []
        self.encoding = "utf-16"
        """What this client's columns count."""
        self.replies: dict[str, Any] = {}
        """What to answer to the server's requests, by method; None for all others, and `SILENCE` for nothing at all."""
        self.on_message: Callable[[Message], object] = lambda _: None
        """Called for each message in the thread that reads."""
        self.broken: Exception | None = None
        """What was wrong with the server's output."""
        self._news: queue.Queue[Message | None] = queue.Queue()
        self._next_id = 0
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=dict(environment)
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for message in read_frames(self._stdout):
                assert message.get("jsonrpc") == "2.0", message
                if "method" in message and "id" in message:  # agree to whatever the server asks
                    reply = self.replies.get(message["method"])
                    if reply is not SILENCE:
                        self.send({"jsonrpc": "2.0", "id": message["id"], "result": reply})
                self.on_message(message)
                self._news.put(message)
        except (AssertionError, ValueError) as error:
            self.broken = error
        self._news.put(None)

    # Sending.

    def send_bytes(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._stdin.write(data)
            self._stdin.flush()

    def send(self, message: Message) -> None:
        self.send_bytes(frame(message))

    def notify(self, method: str, params: Any = None) -> None:
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def post(self, method: str, params: Any = None) -> int:
        """Send a request and return its id."""
        self._next_id += 1
        self.send({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params})
        return self._next_id

    def request(self, method: str, params: Any = None, timeout: float = TIMEOUT) -> Message:
        """Send a request and return the whole response."""
        return self.answer(self.post(method, params), timeout)

    def result(self, method: str, params: Any = None) -> Any:
        """Send a request that must succeed and return its result."""
        response = self.request(method, params)
        assert "error" not in response, response
        return response["result"]

    def code(self, method: str, params: Any = None) -> int:
        """Send a request that must fail and return the error's code."""
        response = self.request(method, params)
        assert "result" not in response, response
        assert response["error"]["message"], response
        assert "data" not in response["error"], response
        code: int = response["error"]["code"]
        return code

    def close_input(self) -> None:
        with contextlib.suppress(OSError):
            self._stdin.close()

    # Receiving.

    def wait(self, wanted: Callable[[Message], bool], timeout: float = TIMEOUT) -> Message:
        """Return the first message, old or new, that is wanted."""
        for message in self.received:
            if wanted(message):
                return message
        end = time.monotonic() + timeout
        while True:
            try:
                message = self._news.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"nothing came in {timeout} s; log:\n{self.log()}") from None
            if message is None:
                self._news.put(None)
                raise AssertionError(f"the server ended or sent rubbish: {self.broken}; log:\n{self.log()}")
            self.received.append(message)
            if wanted(message):
                return message

    def answer(self, msg_id: int | str | None, timeout: float = TIMEOUT) -> Message:
        """Return the response to a request."""
        return self.wait(lambda each: "method" not in each and each.get("id") == msg_id, timeout)

    def answers(self, msg_id: int | str | None) -> list[Message]:
        """Return all responses with an id that have been read."""
        return [each for each in self.received if "method" not in each and each.get("id") == msg_id]

    def notifications(self, method: str) -> list[Any]:
        """Return the parameters of the notifications of a method that have been read."""
        return [each["params"] for each in self.received if each.get("method") == method]

    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace")

    # The usual course.

    def initialize(self, *folders: Path, capabilities: Message | None = None, **others: Any) -> Message:
        """Open folders and return the result of initialize."""
        params = {
            "processId": os.getpid(),
            "rootUri": None,
            "capabilities": capabilities or {},
            "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name} for folder in folders],
            **others,
        }
        result: Message = self.result("initialize", params)
        self.notify("initialized", {})
        return result

    def wait_ready(self, timeout: float = TIMEOUT) -> Message:
        """Wait until every folder is indexed, by asking again; return the status."""
        end = time.monotonic() + timeout
        while True:
            status: Message = self.result("sextant/indexStatus")
            if all(folder["state"] in ("ready", "degraded") for folder in status["folders"]):
                return status
            assert time.monotonic() < end, status
            self.wait_quietly()

    def until(self, ask: Callable[[], Answer], holds: Callable[[Answer], object], timeout: float = TIMEOUT) -> Answer:
        """Ask again until the answer is as wanted; return it."""
        end = time.monotonic() + timeout
        while not holds(answer := ask()):
            assert time.monotonic() < end, answer
            self.wait_quietly()
        return answer

    def wait_quietly(self) -> None:
        """Let the server work a moment between two questions."""
        threading.Event().wait(0.01)

    def search(self, query: str, **others: Any) -> list[Message]:
        """Return the hits of a query."""
        hits: list[Message] = self.result("sextant/search", {"query": query, **others})["hits"]
        return hits

    def wait_hit(self, query: str, name: str, present: bool = True, timeout: float = TIMEOUT) -> Message | None:
        """Search again until a name is among the hits (or is not); return its hit."""
        return self.until(
            lambda: next((hit for hit in self.search(query) if hit["name"] == name), None),
            lambda found: (found is not None) == present,
            timeout,
        )

    def open(self, uri: str, text: str, language: str = "python") -> None:
        item = {"uri": uri, "languageId": language, "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})

    def change(self, uri: str, *changes: Message, version: int = 2) -> None:
        document = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})

    def shutdown(self) -> int:
        """End the session in the proper way and return the exit code."""
        self.result("shutdown")
        self.notify("exit")
        return self.process.wait(TIMEOUT)

    def kill(self) -> None:
        self.close_input()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(TIMEOUT)
        self._stdout.close()


def server_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "server", "serve", *arguments]


def wait_until(
    holds: Callable[[], object], timeout: float = 60.0, instead: Callable[[], object] = lambda: "it never came true"
) -> None:
    """Wait until something holds; if it never does, say what was there instead."""
    end = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < end, instead()
        threading.Event().wait(0.02)
