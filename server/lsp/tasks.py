"""Runs the blocking work of requests beside the event loop, each with a token that a cancel sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pygls.exceptions import JsonRpcRequestCancelled

from server.types import Cancelled, CancelToken

WORKERS = 2
"""One search and one beside it; more would only share the same processor with the editor."""

T = TypeVar("T")


class Tasks:
    """Owns the request threads and the tokens of everything that runs on them."""

    def __init__(self) -> None:
        # Not pygls' pool: its few threads are shared with other work, and one slow search would hold it up.
        self._pool = ThreadPoolExecutor(WORKERS, "sextant-request")
        self._tokens: set[CancelToken] = set()

    async def run(self, work: Callable[[CancelToken], T]) -> T:
        """Return what the work returns; set its token when this coroutine is cancelled or the server closes."""
        token = CancelToken()
        self._tokens.add(token)

        def guarded() -> T:
            token.check()
            return work(token)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, guarded)
        except Cancelled:
            raise JsonRpcRequestCancelled("The request was cancelled.") from None
        except asyncio.CancelledError:
            token.cancel()
            raise
        finally:
            self._tokens.discard(token)

    def close(self) -> None:
        """Stop everything without waiting; running work sees its token within a batch."""
        for token in tuple(self._tokens):
            token.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)
