"""Contact: the first words with a cluster, and what to tell the user where there are none."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator

from server import config

_PROBE_SECONDS = 3.0
"""For a TCP connection: Ray itself would try a dead address for two minutes."""
_CONNECT_SECONDS = 45.0
"""For Ray's own greeting once something listens."""
_FRAME_BYTES, _SETTINGS = 9, 4
"""The head of an HTTP/2 frame, and the kind of the first one."""
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0])
"""How HTTP/2 begins, which Ray's servers speak (gRPC); a head that hangs accepts connections, but does not answer."""


class ClusterError(Exception):
    """Says why a cluster cannot be used, and what to do about it."""


class ClusterLost(Exception):
    """Says that a cluster went away in the middle of a job."""


def address_of(text: str) -> tuple[str, int]:
    """Return host and port of an address; raises ClusterError."""
    found = config.address(text)
    if found is None:
        raise ClusterError(f"{text!r} is no address of a cluster; write host:port or ray://host:port")
    return found


def probe(host: str, port: int) -> None:
    """Raise ClusterError unless somebody there greets as Ray's servers do, within a few seconds."""
    try:
        with socket.create_connection((host, port), _PROBE_SECONDS) as one:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return  # what listens there would have to be greeted with a certificate
            one.settimeout(_PROBE_SECONDS)
            one.sendall(_GREETING)
            answer = one.recv(_FRAME_BYTES, socket.MSG_WAITALL)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ClusterError(f"nothing answers at {host}:{port} ({reason}); is the cluster up?") from error
    if len(answer) < _FRAME_BYTES or answer[3] != _SETTINGS:
        raise ClusterError(f"what answers at {host}:{port} is no Ray cluster; is the port right?")


def is_on_loopback(host: str, port: int) -> bool:
    """Tell whether a cluster is to be found on the loopback interface alone; Ray replaces that by the real one."""
    if host not in ("127.0.0.1", "localhost", "::1"):
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, contextlib.suppress(OSError):
        one.connect(("192.0.2.1", 9))  # sends nothing; tells which address we would have
        own = one.getsockname()[0]
        try:
            probe(own, port)
        except ClusterError:
            return True
        return False
    return True


@contextlib.contextmanager
def watched(refused: Callable[[str], None]) -> Iterator[None]:
    """Call `refused` with each line that reaches fd 2 during the block, and with "" when it takes too long."""
    reader, writer = os.pipe()
    real = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    timer = threading.Timer(_CONNECT_SECONDS, refused, [""])
    timer.daemon = True
    timer.start()

    def forward() -> None:
        with os.fdopen(reader, "rb") as lines, os.fdopen(real, "wb", buffering=0, closefd=False) as log:
            for line in lines:
                log.write(line)
                refused(line.decode("utf-8", "replace"))

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    try:
        yield
    finally:
        timer.cancel()
        os.dup2(real, 2)  # closes the pipe, so that the thread ends
        thread.join(1.0)
        os.close(real)


def explained(error: Exception, address: str) -> str:
    """Return why a connection failed, with what to install where versions differ."""
    text = str(error)
    ray = re.findall(r"Ray: ([\w.]+)", text)
    python = re.findall(r"Python: ([\d.]+)", text)
    if len(ray) == 2 and len(python) == 2:
        if python[0] == python[1]:
            advice = f"install here: pip install ray=={ray[0]}"
        else:
            advice = f"install Sextant under Python {python[0]}, with: pip install ray=={ray[0]}"
        return (
            f"the cluster at {address} runs Python {python[0]} with Ray {ray[0]}, this is Python {python[1]} with Ray "
            f"{ray[1]}; {advice}"
        )
    if "connection timeout" in text:
        return f"{address} does not answer; is it the port of Ray's client server, and is clusterTokenFile right?"
    if "raylet" in text or "node" in text.lower():
        return f"{first_line(error)}; is this machine a node of that cluster? From outside use ray://host:10001"
    return f"the cluster at {address} cannot be used: {first_line(error)}"


def first_line(error: BaseException) -> str:
    """Return the line of an error that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    has_trace = type(error).__name__ == "RayTaskError" or any(line.startswith("Traceback") for line in lines)
    return (lines[-1] if has_trace else lines[0])[:300]
