"""The byte streams of the protocol: taken away from everybody else, cut into messages."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from io import RawIOBase, TextIOWrapper

Streams = tuple[RawIOBase, RawIOBase]
"""What the client sends, and what it reads."""

MAX_BODY = 256 * 1024 * 1024
"""Bytes of one message; a longer one is a broken header, and waiting for its end would be waiting for ever."""

MOST_HELD = 32 * 1024 * 1024
"""Bytes held for the client beyond which nothing of it is read: its own writes then wait for it to read."""

_CHUNK = 64 * 1024
GROWTH = 50
"""Times its size that input may take once it is handled: short messages make many requests."""
_LOOK = 0.1
"""Seconds between two looks whether a client that is not listened to is still there."""
_CAN_POLL = hasattr(select, "poll")
"""Whether the system says of a pipe that somebody is there, and that there is room for `PIPE_BUF` bytes."""
_LENGTH = re.compile(rb"Content-Length:[ \t]*(\d{1,18})[ \t]*$", re.IGNORECASE)


def take_stdio() -> Streams:
    """Return the process's real input and output, and point the standard ones elsewhere.

    Whatever prints (a library, a child, C code) then reaches stderr, and a child that reads gets nothing:
    a single foreign byte would break the protocol. Call it before any import that may print.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # flushes what is there, and keeps nothing back from now on
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    if sys.platform != "win32":
        # A parent may have left them otherwise, and then nothing to read would look like the end.
        os.set_blocking(incoming, True)
        os.set_blocking(outgoing, True)
    # FileIO sets binary mode on Windows. Both are unbuffered so that no lock is held by a blocked thread at exit.
    return os.fdopen(incoming, "rb", buffering=0), os.fdopen(outgoing, "wb", buffering=0)


class Framer:
    """Cuts a byte stream into message bodies; finds its way back after a broken header."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._length: int | None = None
        self._in_body = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the bodies that the chunk completes."""
        self._buffer += chunk
        while True:
            if self._in_body:
                if len(self._buffer) < (self._length or 0):
                    return
                body = bytes(self._buffer[: self._length])
                del self._buffer[: self._length]
                self._length, self._in_body = None, False
                yield body
                continue
            end = self._buffer.find(b"\n")
            if end < 0:
                # Garbage without a line end must not pile up; a header line is short.
                del self._buffer[:-_CHUNK]
                return
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            # Searched, not matched: after a body with a wrong length the header follows on the rest of that body.
            if found := _LENGTH.search(line):
                length = int(found[1])
                self._length = length if length <= MAX_BODY else None
            elif not line and self._length is not None:
                self._in_body = True


class Burden:
    """What is held for the client, in bytes: input to be handled, requests in work, answers it has not read.

    A client that only writes would otherwise fill the memory; for any thread.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._held = 0

    def add(self, count: int) -> None:
        """Hold more; less, if negative."""
        with self._changed:
            self._held += count
            if count < 0:
                self._changed.notify_all()

    @property
    def is_heavy(self) -> bool:
        """Whether to take nothing more."""
        return self._held > MOST_HELD

    def wait_light(self, seconds: float) -> bool:
        """Wait until more can be taken, for so long at most; return whether it can."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.is_heavy, seconds)


def pump(
    stream: RawIOBase, feed: Callable[[bytes], object], done: Callable[[], object], burden: Burden
) -> threading.Thread:
    """Start a daemon thread that passes on what the stream brings, and says when it has ended.

    A thread of our own: a reader in a pool would wait behind slow work, and would be waited for at exit. What it
    passes on is a burden until it is taken away again, and while that is heavy nothing is read.
    """

    def run() -> None:
        try:
            while chunk := stream.read(_CHUNK):
                burden.add(GROWTH * len(chunk))
                feed(chunk)
                while burden.is_heavy and not _is_gone(stream) and not burden.wait_light(_LOOK):
                    pass
        except OSError:
            pass  # a reset connection is an end
        except RuntimeError:
            return  # the loop has closed: nobody listens
        done()

    thread = threading.Thread(target=run, name="sextant-stdin", daemon=True)
    thread.start()
    return thread


def _is_gone(stream: RawIOBase) -> bool:
    """Tell whether nobody writes to a stream any more, as far as that is known before it has been read to its end."""
    return bool(_poll(stream, getattr(select, "POLLRDHUP", 0)))


def _poll(stream: RawIOBase, events: int) -> int:
    """Return which of these events a stream has, or that nobody is at its other end, without waiting."""
    if not _CAN_POLL:
        return 0
    poll = select.poll()
    poll.register(stream, events)
    return next((found for _, found in poll.poll(0)), 0)


class Writer:
    """Sends whole messages without ever waiting for their reader; one that is gone is reported once.

    What the reader has no room for is sent by a thread, in the same order, and is a burden until then.
    """

    def __init__(self, stream: RawIOBase, lost: Callable[[], object], burden: Burden) -> None:
        """`lost` is called in any thread."""
        self._stream = stream
        self._lost = lost
        self._burden = burden
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        """The first one is being sent."""
        self._thread: threading.Thread | None = None
        self._is_lost = False

    def write(self, data: bytes) -> None:
        """Send a message, now or as soon as there is room for it; for one thread."""
        try:
            rest = data if self._waiting else self._write_now(memoryview(data))
        except (OSError, ValueError):
            self._give_up()
            return
        if not rest or self._is_lost:
            return
        self._burden.add(len(rest))
        with self._changed:
            self._waiting.append(bytes(rest))
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sextant-stdout", daemon=True)
            self._thread.start()

    def close(self, seconds: float = 0.0) -> None:
        """Wait so long at most for what is still to be sent; the process's end closes the stream."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self._is_lost, seconds)

    def _write_now(self, rest: memoryview) -> memoryview:
        """Send what there is room for and return the rest."""
        while rest and _CAN_POLL and _poll(self._stream, select.POLLOUT) & select.POLLOUT:
            rest = rest[self._stream.write(rest[: select.PIPE_BUF]) or 0 :]
        return rest

    def _run(self) -> None:
        while not self._is_lost:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
            data = self._waiting[0]
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[self._stream.write(rest) or 0 :]
            except (OSError, ValueError):
                self._give_up()
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()
            self._burden.add(-len(data))

    def _give_up(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._lost()
