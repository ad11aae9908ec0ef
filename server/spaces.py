"""Spaces: which encoder answers, for all folders at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from server.folder import Folder
from server.index.parser import HERE, Parser
from server.index.spaces import Second, Space, open_space
from server.model import choice
from server.model.encoder import ModelError
from server.types import Encoder, space_name

_log = logging.getLogger(__name__)


class Spaces:
    """The first encoder's space, which is always complete, and a second one that answers while it is.

    Used by the engine's thread alone (invariant 2); `post` brings calls of other threads there. Vectors of two spaces
    never meet in a snapshot: all folders change together.
    """

    def __init__(
        self,
        data_dir: Path,
        encoder: Encoder,
        folders: Mapping[str, Folder],
        post: Callable[[Callable[[Spaces], None]], None],
        parser: Parser = HERE,
    ) -> None:
        self._data_dir = data_dir
        self._parser = parser
        self._folders = folders
        self._post = post
        self._first: Space | None = None
        self._second: Second | None = None
        self._current: Space | None = None
        self._trouble: str | None = None
        self.encoder = encoder
        """The encoder that answers."""
        self.name = encoder.fingerprint
        """The name of its space."""
        self.missing = 0
        """Passages that a job has to encode before the second encoder can answer."""

    def close(self) -> None:
        """Close the stores."""
        if self._second is not None:
            self._second.close()
        if self._first is not None:
            self._first.vectors.close()

    def first(self) -> Space:
        """Return the first space; OSError or sqlite3.Error where its vectors cannot be opened."""
        if self._first is None:
            self._first = self._current = open_space(self._data_dir, self.encoder)
        return self._first

    def welcome(self, folder: Folder) -> None:
        """Let a new folder answer as the others do."""
        folder.accompany(self._second)
        folder.notice = self._trouble
        if self._current is not None and self._current is not self._first:
            folder.use(self._current)

    def offer(self, encoder: Encoder, strips: bool = False) -> None:
        """Answer with another encoder as long as it has all vectors; `missing` says how many a job has to compute.

        What is edited is encoded on the side, so it may be slow and may fail. `strips`: it is given passages without
        comments and strings.
        """
        self.withdraw(None)
        if space_name(encoder.fingerprint, strips) == self.first().name:
            return
        second = Second(
            open_space(self._data_dir, encoder, strips),
            lambda: self._post(lambda _: self._arrived(second)),
            lambda problem: self._post(lambda _: self._failed(second, problem)),
            self._parser,
        )
        self._second = second
        for folder in self._folders.values():
            folder.accompany(second)
        self.choose()

    def offer_model(self, name: str, strips: bool = False) -> None:
        """Answer with a model folder, which this process can open itself."""
        try:
            encoder = choice.load(name)
        except ModelError as problem:
            self.withdraw(str(problem))
        else:
            self.offer(encoder, strips)

    def withdraw(self, reason: str | None = None) -> None:
        """Let the second encoder go; the reason is shown with the folders until there is one again."""
        self._trouble = reason and instead(reason)
        for folder in self._folders.values():
            folder.notice = self._trouble
        second, self._second, self.missing = self._second, None, 0
        if second is not None:
            for folder in self._folders.values():
                folder.accompany(None)
            self._use(self._first)
            second.close()

    def choose(self) -> None:
        """Answer in the second space if it lacks nothing but what is being encoded on the side."""
        second = self._second
        if second is None or any(folder.is_scanning for folder in self._folders.values()):
            return  # the end of the scan asks again
        pending, second.has_overflowed = second.pending, False
        missing = sum(folder.missing(second.space) for folder in self._folders.values())
        self.missing = missing if missing > pending else 0
        self._use(self._first if self.missing else second.space)

    def tend(self) -> None:
        """Answer in the first space when more was changed than is encoded on the side; a job is due then."""
        if self._second is not None and self._second.has_overflowed:
            self._use(self._first)
            self.choose()

    def _use(self, space: Space | None) -> None:
        if space is None or space is self._current:
            return
        for folder in self._folders.values():
            folder.use(space)
        self._current, self.encoder, self.name = space, space.encoder, space.name

    def _arrived(self, second: Second) -> None:
        """Show what was encoded on the side."""
        if self._current is second.space:
            for folder in self._folders.values():
                folder.refresh()

    def _failed(self, second: Second, problem: str) -> None:
        if self._second is second:
            _log.warning("the other encoder failed: %s", problem)
            self.withdraw(f"the encoder failed: {problem}")


def instead(problem: object) -> str:
    """Return why another encoder does not answer, and who does."""
    return f"{str(problem).rstrip('.')}; the base encoder answers"
