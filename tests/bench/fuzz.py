"""Fuzz: any messages and any edits; the server answers each request once, keeps its text right, and lives.

usage: python -m tests.bench.fuzz [--cases N] [--seed N]

Half of the cases are protocol messages (well-formed, bent and broken) and half are document edits. They go to a real
server over stdio, in sessions of some thousand cases. Every 50 cases a line of the server's text is compared with the
text as Python has it. Prints cases, answers by code, and the memory; exits with 1
when a server ended, left a request unanswered, answered one twice, logged a bug or lost track of a text.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.e2e.conftest import SOURCES, environment_of, write
from tests.e2e.raw import RawClient, frame, server_command

SESSION = 2_000
"""Cases for one server; then its memory is looked at and another is started."""
BATCH = 50
"""Cases sent before the server is waited for."""
INTERNAL = -32603

SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
URIS = st.sampled_from(
    ["file:///w/retry.py", "untitled:a", "file:///c%3A/x.py", "git:/x?y", "", "file://", "file:///w/%FF%00.py"]
) | st.text(max_size=20)
NUMBERS = st.integers(0, 40) | st.sampled_from([2**31 - 1, 2**31, -1, 1.5, None, "3"])
POSITION = st.fixed_dictionaries({"line": NUMBERS, "character": NUMBERS})
RANGE = st.fixed_dictionaries({"start": POSITION, "end": POSITION})
DOCUMENT = st.fixed_dictionaries({"uri": URIS})
CONTENT = st.text(st.sampled_from("ab(){}:=\"'#/*\n\r\t é\u0301漢🙂\f\u2028\x00\ufeff"), max_size=40) | st.sampled_from(
    [*SOURCES.values(), "/* a " * 300, "a<b<" * 500]  # the last ones are hard to parse
)
FIELDS = {
    "query": CONTENT | st.sampled_from(["retry", "lang:python x", "kind:", "-path:**", "path:" + "*" * 9]),
    "text": CONTENT,
    "languageId": st.sampled_from(["python", "typescript", "rubbish", ""]),
    "limit": NUMBERS | st.integers(1, 200),
    "languages": st.lists(st.text(max_size=8), max_size=3),
    "kinds": st.lists(st.integers(-1, 40), max_size=3),
    "include": st.lists(CONTENT, max_size=2),
    "exclude": st.lists(CONTENT, max_size=2),
    "scope": URIS,
    "explain": st.booleans(),
    "range": RANGE,
    "textDocument": DOCUMENT,
    "workDoneToken": st.integers(0, 9) | st.text(max_size=4),
    "partialResultToken": st.integers(0, 9) | st.text(max_size=4),
    "previousResultId": st.text(max_size=8),
    "context": st.fixed_dictionaries(
        {
            "diagnostics": st.lists(
                st.fixed_dictionaries(
                    {"range": RANGE, "message": CONTENT, "source": st.sampled_from(["sextant", "x"])}
                ),
                max_size=2,
            )
        }
    ),
    "command": st.sampled_from(["sextant.search", "sextant.findSimilar", "sextant.status", "sextant.showBoth", "x"]),
    "arguments": st.lists(JSON | st.fixed_dictionaries({"query": CONTENT}), max_size=2),
    "settings": JSON | st.fixed_dictionaries({"sextant": JSON}),
    "value": st.sampled_from(["off", "messages", "verbose", "rubbish"]),
    "changes": st.lists(st.fixed_dictionaries({"uri": URIS, "type": st.integers(0, 4)}), max_size=2),
    "event": st.fixed_dictionaries({"added": st.just([]), "removed": st.just([])}) | JSON,
    "files": st.lists(st.fixed_dictionaries({"oldUri": URIS, "newUri": URIS}), max_size=2),
    "id": st.integers(0, 5000),
}
REQUESTS = [
    "sextant/search", "sextant/findSimilar", "sextant/indexStatus", "workspace/symbol", "textDocument/codeAction",
    "textDocument/diagnostic", "workspace/executeCommand", "sextant/nothing", "textDocument/hover", "initialize",
]  # fmt: skip
NOTIFICATIONS = [
    "textDocument/didOpen", "textDocument/didChange", "textDocument/didSave", "textDocument/didClose",
    "workspace/didChangeConfiguration", "workspace/didChangeWatchedFiles", "workspace/didChangeWorkspaceFolders",
    "workspace/didRenameFiles", "$/setTrace", "$/cancelRequest", "$/progress", "initialized", "rubbish",
]  # fmt: skip
SOUND = st.fixed_dictionaries(
    {
        "query": CONTENT,
        "textDocument": st.fixed_dictionaries(
            {"uri": URIS, "version": st.integers(0, 9), "languageId": st.just("python"), "text": CONTENT}
        ),
        "range": st.just({"start": {"line": 0, "character": 0}, "end": {"line": 2, "character": 1}}),
        "context": st.just({"diagnostics": []}),
        "command": FIELDS["command"],
        "arguments": st.lists(st.fixed_dictionaries({"query": CONTENT, "text": CONTENT}), min_size=1, max_size=2),
        "contentChanges": st.lists(st.fixed_dictionaries({"text": CONTENT}, optional={"range": RANGE}), max_size=2),
    }
)
PARAMS = st.one_of(SOUND, SOUND, st.fixed_dictionaries({}, optional=FIELDS), JSON)
MESSAGES = (
    st.tuples(st.just("request"), st.sampled_from(REQUESTS), PARAMS)
    | st.tuples(st.just("notification"), st.sampled_from(NOTIFICATIONS), PARAMS)
    | st.tuples(
        st.just("raw"), st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), st.just(None)
    )
    | st.tuples(st.just("response"), st.integers(0, 99) | st.text(max_size=5), JSON)
)
EDIT = st.tuples(st.integers(0, 400), st.integers(0, 400), CONTENT)


class Fuzzed:
    """Servers that are fuzzed, one after another."""

    def __init__(self) -> None:
        self.codes: Counter[Any] = Counter()
        self.cases = 0
        self.largest = 0
        self.failures: list[str] = []
        self._client: RawClient | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._open: dict[int, str] = {}
        self._since = 0
        self._seen = 0
        self._text = ""
        self._version = 0
        self._dice = random.Random(0)

    @property
    def client(self) -> RawClient:
        if self._client is None:
            self._home = tempfile.TemporaryDirectory()
            home = Path(self._home.name)
            self._client = RawClient(server_command(), environment_of(home), home / "log")
            self._client.initialize(write(home / "w", SOURCES), initializationOptions={"duplicates": True})
            self._client.wait_ready()
            self._uri = (home / "w" / "edited.py").as_uri()
            self._client.open(self._uri, "")
            self._text, self._version, self._since, self._seen = "", 1, 0, 0
            self._open = {}
        return self._client

    def case(self, message: tuple[str, Any, Any]) -> None:
        """Send one message."""
        kind, what, params = message
        client = self.client
        if kind == "request":
            self._open[client.post(what, params)] = what
        elif kind == "notification":
            if not (what == "textDocument/didClose" and isinstance(params, dict)):
                client.notify(what, params)
        elif kind == "raw":
            client.send_bytes(frame(what))
        else:
            client.send({"jsonrpc": "2.0", "id": what, "result": params})
        self._count()

    def edit(self, edit: tuple[int, int, str]) -> None:
        """Change the document there and here."""
        one, other, new = edit
        start, end = sorted((one % (len(self._text) + 1), other % (len(self._text) + 1)))
        client = self.client
        start -= self._text[start - 1 : start + 1] == "\r\n"
        end -= self._text[end - 1 : end + 1] == "\r\n"
        end = max(start, end)
        spot = {"start": _position(self._text, start), "end": _position(self._text, end)}
        self._version += 1
        client.change(self._uri, {"range": spot, "text": new}, version=self._version)
        self._text = self._text[:start] + new + self._text[end:]
        if len(self._text) > 3000:
            self._text = "x = 1\n"
            client.change(self._uri, {"text": self._text}, version=self._version)
        self._count()

    def _count(self) -> None:
        self.cases += 1
        self._since += 1
        if self._since % BATCH == 0:
            self._settle()
        if self._since >= SESSION:
            self.finish()

    def _settle(self) -> None:
        client = self.client
        number = client.post("sextant/indexStatus")
        status = client.answer(number, 60)["result"]
        self.largest = max(self.largest, status["residentBytes"])
        end = time.monotonic() + 60
        while self._open and time.monotonic() < end:
            fresh, self._seen = client.received[self._seen :], len(client.received)
            for message in fresh:
                method = self._open.pop(message.get("id"), None) if "method" not in message else None
                if method is not None:
                    code = message["error"]["code"] if "error" in message else "result"
                    self.codes[code] += 1
                    if code == INTERNAL:
                        self.failures.append(f"{method}: {message['error']['message']}")
            if self._open:
                client.answer(client.post("sextant/indexStatus"), 60)
        if self._open:
            self.failures.append(f"not answered: {sorted(set(self._open.values()))}")
            self._open = {}
        self._compare()
        client.received.clear()
        self._seen = 0

    def _compare(self) -> None:
        """Compare a line of the edited text: the server quotes what is selected in the title of a code action."""
        lines = re.split(r"\r\n|\r|\n", self._text)
        number = self._dice.randrange(len(lines))
        whole = {
            "start": {"line": number, "character": 0},
            "end": {"line": number, "character": len(lines[number].encode("utf-16-le", "surrogatepass")) // 2},
        }
        asked = {"textDocument": {"uri": self._uri}, "range": whole, "context": {"diagnostics": []}}
        found = self.client.request("textDocument/codeAction", asked, 60).get("result", [])
        titles = [each["title"] for each in found if each["title"].startswith("Search for")]
        text = lines[number].strip()
        shown = text if len(text) <= 50 else f"{text[:49]}…"
        if titles != ([f"Search for “{shown}”"] if text and len(text) <= 200 else []):
            self.failures.append(f"line {number} is {lines[number]!r} here and {titles} there")

    def finish(self) -> None:
        """End the server in the proper way and look at its log."""
        if self._client is None:
            return
        self._settle()
        client = self._client
        if client.shutdown() != 0:
            self.failures.append("the exit code is not 0")
        for bug in {line for line in client.log().splitlines() if "a bug" in line or "unexpected" in line}:
            self.failures.append(bug)
        client.kill()
        if self._home is not None:
            self._home.cleanup()
        self._client = None


def _position(text: str, index: int) -> dict[str, int]:
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return {"line": len(before) - 1, "character": len(before[-1].encode("utf-16-le", "surrogatepass")) // 2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    fuzzed = Fuzzed()
    begun = time.monotonic()
    kept = settings(
        max_examples=10_000_000,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    class Enough(BaseException):
        pass

    @kept
    @seed(options.seed)
    @given(st.lists(MESSAGES | EDIT, min_size=20, max_size=60))
    def run(cases: list[Any]) -> None:
        for case in cases:
            if len(case) == 3 and isinstance(case[0], str):
                fuzzed.case(case)
            else:
                fuzzed.edit(case)
            if fuzzed.cases >= options.cases or len(fuzzed.failures) > 20:
                raise Enough

    try:
        run()
    except Enough:
        pass
    except AssertionError as error:
        fuzzed.failures.append(f"the server ended or does not answer: {str(error)[:2000]}")
    else:
        print("fewer cases than asked for")
    if not fuzzed.failures:
        fuzzed.finish()
    print(f"{fuzzed.cases:,} cases in {time.monotonic() - begun:.0f} s, seed {options.seed}")
    print("answers:", ", ".join(f"{count:,} {code}" for code, count in fuzzed.codes.most_common()))
    print(f"largest resident: {fuzzed.largest / 1e6:.0f} MB")
    for failure in fuzzed.failures:
        print("FAILED:", failure)
    return 1 if fuzzed.failures else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
