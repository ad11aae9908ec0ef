"""The byte streams of the protocol: taken away from everybody else, cut into messages."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from io import RawIOBase, TextIOWrapper
from typing import BinaryIO

Streams = tuple[RawIOBase, BinaryIO]
"""What the client sends, and what it reads."""

MAX_BODY = 256 * 1024 * 1024
"""Bytes of one message; a longer one is a broken header, and waiting for its end would be waiting for ever."""

_CHUNK = 64 * 1024
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
    # FileIO sets binary mode on Windows. Reads are unbuffered so that no lock is held by a blocked thread at exit.
    return os.fdopen(incoming, "rb", buffering=0), os.fdopen(outgoing, "wb")


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


def pump(stream: RawIOBase, feed: Callable[[bytes], object], done: Callable[[], object]) -> threading.Thread:
    """Start a daemon thread that passes on what the stream brings, and says when it has ended.

    A thread of our own: a reader in a pool would wait behind slow work, and would be waited for at exit.
    """

    def run() -> None:
        try:
            while chunk := stream.read(_CHUNK):
                feed(chunk)
        except OSError:
            pass  # a reset connection is an end
        except RuntimeError:
            return  # the loop has closed: nobody listens
        try:
            done()
        except RuntimeError:
            return

    thread = threading.Thread(target=run, name="sextant-stdin", daemon=True)
    thread.start()
    return thread


class Writer:
    """Sends whole messages; a peer that is gone is reported once, not raised at every sender."""

    def __init__(self, stream: BinaryIO, lost: Callable[[], object]) -> None:
        self._stream = stream
        self._lost = lost

    def write(self, data: bytes) -> None:
        """Write and flush."""
        try:
            self._stream.write(data)
            self._stream.flush()
        except (OSError, ValueError):
            self._lost()

    def close(self) -> None:
        """Do nothing: the process's end closes the stream."""
