"""Spaces: whose vectors answer. The built-in encoder's always can; another one's do once they are complete."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from server.index.parser import HERE, Parser
from server.index.vectors import VectorStore
from server.types import Encoder, EncoderUnavailable, Passage, space_name

MOST_PENDING = 256
"""Passages that are encoded on the side, while their rows answer by words alone: a handful of edited files. More is
a job's work, and the built-in encoder answers until that is done."""
_BATCH = 8
"""Passages a call: a question waits for no more than these."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Space:
    """An encoder with the store of its vectors; vectors of different spaces never meet (`name` is never mixed)."""

    encoder: Encoder
    vectors: VectorStore
    strips: bool = False
    """Whether it is given passages without comments and strings."""

    @property
    def name(self) -> str:
        """Return what its stores and generations are called."""
        return space_name(self.encoder.fingerprint, self.strips)


def open_space(data_dir: Path, encoder: Encoder, strips: bool = False) -> Space:
    """Open the vectors of an encoder; OSError or sqlite3.Error where that cannot be done."""
    name = space_name(encoder.fingerprint, strips)
    return Space(encoder, VectorStore(data_dir / "vectors", name, encoder.dimensions), strips)


class Second:
    """A space beside the built-in encoder's, and the thread that encodes for it what is edited.

    Its encoder may be slow, may be another process and may fail at any time: nobody waits for it. `on_arrived` and
    `on_failed` are called in that thread.
    """

    def __init__(
        self,
        space: Space,
        on_arrived: Callable[[], None],
        on_failed: Callable[[str], None],
        parser: Parser = HERE,
    ) -> None:
        self.space = space
        self._parser = parser
        self.has_overflowed = False
        """Whether more was edited than is encoded on the side: a job has to look for it."""
        self._on_arrived = on_arrived
        self._on_failed = on_failed
        self._waiting: dict[bytes, Passage] = {}
        self._flying = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="sextant-second-space")
        self._thread.start()

    def close(self) -> None:
        """Stop; what waited is found missing again later."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(1.0)
        self.space.vectors.close()

    @property
    def pending(self) -> int:
        """Return how many passages wait to be encoded or are being encoded."""
        with self._changed:
            return len(self._waiting) + self._flying

    def ask(self, passages: Mapping[bytes, Passage], languages: Mapping[bytes, str]) -> None:
        """Encode soon those of some passages whose vectors are unknown."""
        known = self.space.vectors.known(list(passages))
        missing = {key: one for key, one in passages.items() if key not in known}
        if not missing:
            return
        with self._changed:
            if len(self._waiting) + len(missing) > MOST_PENDING:
                self.has_overflowed = True
                self._waiting.clear()
                return
            for key, passage in missing.items():
                self._waiting[key] = self._parser.stripped(passage, languages[key]) if self.space.strips else passage
            self._changed.notify()

    def _run(self) -> None:
        own = self.space.vectors.reopen()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: bool(self._waiting) or self._closed)
                    if self._closed:
                        return
                    keys = list(self._waiting)[:_BATCH]
                    passages = [self._waiting.pop(key) for key in keys]
                    self._flying = len(keys)
                try:
                    rows = self.space.encoder.encode(passages)
                    own.put(dict(zip(keys, rows, strict=True)))
                    own.save()
                finally:
                    with self._changed:
                        self._flying = 0
                self._on_arrived()
        except (EncoderUnavailable, sqlite3.Error, OSError) as problem:
            self._on_failed(str(problem))
        finally:
            own.close()
