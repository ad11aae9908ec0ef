"""The protocol between the server and its driver: JSON lines, commands on stdin and events on stdout."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import IO, Any

import numpy as np

from server.types import Passage, Vectors


@dataclass(frozen=True, slots=True)
class Open:
    """Load an encoder; answered by Ready or Failed. The first command."""

    encoder: str
    """As in the settings: "base", "folder:<model folder>" or "sentence-transformers:<folder or hub name>"."""
    nice: int = 0


@dataclass(frozen=True, slots=True)
class Encode:
    """Encode a question, or passages that are given by field; answered by Encoded or Failed with the same id."""

    id: int
    query: str | None = None
    passages: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True)
class Forget:
    """Nobody waits for the answer to an Encode any more."""

    id: int


@dataclass(frozen=True, slots=True)
class Fill:
    """Compute the vectors that a store lacks for the files of some folders; ends with Done, Failed or Lost."""

    roots: Sequence[str]
    data_dir: str
    on: str = "inline"
    """inline, local, host:port or ray://host:port."""
    token_file: str = ""
    """Ray's authentication token for a remote cluster."""
    scratch: str = ""
    """A folder of the caller's that is deleted after the driver's end, whatever that was."""
    strips: bool = False
    """Whether comments and strings are taken out of what is encoded."""
    max_file_bytes: int = 0
    exclude: Sequence[str] = ()
    workers: int = 0
    processors: int = 0
    """How many a local cluster gets; 0 chooses."""
    export: str = ""
    """A folder into which the vectors of all these files are written for others, at the end."""


@dataclass(frozen=True, slots=True)
class Tune:
    """Train the repository model of a folder from the open encoder; ends with Tuned, Failed or Lost."""

    root: str
    out: str
    """The model folder that is written if the model is better."""
    on: str = "inline"
    token_file: str = ""
    scratch: str = ""
    max_file_bytes: int = 0
    exclude: Sequence[str] = ()
    processors: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the job that runs; what it has finished stays."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The encoder is loaded."""

    fingerprint: str
    dimensions: int


@dataclass(frozen=True, slots=True)
class Encoded:
    """The rows asked for: float16, base64."""

    id: int
    rows: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a Fill is."""

    files: int
    total_files: int
    computed: int
    known: int
    message: str = ""
    """What goes on, where that is not the encoding itself."""


@dataclass(frozen=True, slots=True)
class Done:
    """A Fill is complete, or was cancelled: what it computed, and what the store knew already."""

    files: int
    computed: int
    known: int
    seconds: float
    where: str
    cancelled: bool = False
    exported: int = 0
    exported_to: str = ""
    """The file with so many vectors, where one was asked for."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A Tune is complete: mean reciprocal ranks on held-out files and on general code, before and after."""

    accepted: bool
    message: str
    before: float
    after: float
    general_before: float
    general_after: float
    questions: int


@dataclass(frozen=True, slots=True)
class Failed:
    """A command cannot be done, with a sentence the user can act on; id 0 is not about an Encode."""

    message: str
    id: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The cluster went away in the middle of a job; what arrived is committed."""

    message: str


Command = Open | Encode | Forget | Fill | Tune | Cancel
Event = Ready | Encoded | Progress | Done | Tuned | Failed | Lost
_COMMANDS: dict[str, type] = {each.__name__: each for each in (Open, Encode, Forget, Fill, Tune, Cancel)}
_EVENTS: dict[str, type] = {each.__name__: each for each in (Ready, Encoded, Progress, Done, Tuned, Failed, Lost)}


class Writer:
    """Writes messages to a pipe; any thread may."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Command | Event) -> None:
        """Write one line; OSError when the other side is gone."""
        line = json.dumps({"type": type(message).__name__, **asdict(message)}).encode("ascii") + b"\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def close(self) -> None:
        """Say that nothing follows."""
        with self._lock:
            self._stream.close()


def commands(stream: IO[bytes]) -> Iterator[Command]:
    """Yield the commands of a stream until it ends."""
    yield from _messages(stream, _COMMANDS)


def events(stream: IO[bytes]) -> Iterator[Event]:
    """Yield the events of a stream until it ends."""
    yield from _messages(stream, _EVENTS)


def pack_rows(rows: Vectors) -> str:
    """Return rows as text; encoders promise float16 values, so nothing is lost."""
    return base64.b64encode(rows.astype(np.float16).tobytes()).decode("ascii")


def unpack_rows(text: str, dimensions: int) -> Vectors:
    """Return the (n, dimensions) rows that `pack_rows` wrote."""
    return np.frombuffer(base64.b64decode(text), np.float16).reshape(-1, dimensions).astype(np.float32)


def passage(parts: Sequence[str]) -> Passage:
    """Return the passage of five fields."""
    return Passage(*parts)


def _messages(stream: IO[bytes], known: dict[str, type]) -> Iterator[Any]:
    for line in stream:
        try:
            raw = json.loads(line)
            kind = known[raw["type"]]
            yield kind(**{field.name: raw[field.name] for field in fields(kind) if field.name in raw})
        except (ValueError, KeyError, TypeError):
            # The end of a process that was killed while it wrote.
            continue
