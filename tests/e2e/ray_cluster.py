"""A real Ray cluster on this machine: a head and two nodes as separate processes on ports of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from tests.e2e.raw import wait_until

MARK = "SEXTANT_TEST_CLUSTER"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def marked(name: str, value: str) -> set[int]:
    """The processes whose environment has a variable of this value."""
    found, wanted = set(), f"{name}={value}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(int(entry.name))
    return found


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


class Network:
    """A network of its own, joined to this machine by one cable; OSError where it cannot be made (needs root)."""

    def __init__(self) -> None:
        self.name = f"sxt{os.getpid()}"
        number = os.getpid() % 250
        self._here, self.address = f"10.213.{number}.1", f"10.213.{number}.2"
        try:
            self._ip(f"netns add {self.name}")
            self._ip(f"link add {self.name} type veth peer name cluster netns {self.name}")
            self._ip(f"addr add {self._here}/24 dev {self.name}")
            self._ip(f"link set {self.name} up")
            for command in (f"addr add {self.address}/24 dev cluster", "link set cluster up", "link set lo up"):
                self._ip(f"-n {self.name} {command}")
        except OSError:
            self.close()
            raise

    @staticmethod
    def _ip(command: str) -> None:
        done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())

    def cut(self) -> None:
        """Cut the cable."""
        self._ip(f"-n {self.name} link set cluster down")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._ip(f"netns del {self.name}")


class RayCluster:
    """The head computes nothing unless told to, each node has one processor."""

    def __init__(self, ray: Path = Path(sys.executable).parent / "ray", network: Network | None = None) -> None:
        self._ray = ray
        self._network = network
        self._host = network.address if network else "127.0.0.1"
        self._home = Path(tempfile.mkdtemp(prefix="sxt-", dir="/tmp"))
        self.token = self._home / "token"
        self.token.touch(0o600)
        self.token.write_text(secrets.token_hex(32))
        self.port = free_port()
        self.client_port = free_port()
        self._parts: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        return f"{self._host}:{self.port}"

    @property
    def client_address(self) -> str:
        """For drivers on machines that do not belong to the cluster."""
        return f"ray://{self._host}:{self.client_port}"

    def environment(self, part: str) -> dict[str, str]:
        return {
            **os.environ,
            MARK: f"{self._home.name}-{part}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def _start(self, part: str, *options: str) -> None:
        inside = ["ip", "netns", "exec", self._network.name] if self._network else []
        command = [*inside, self._ray, "start", "--block", "--object-store-memory=100000000", *options]
        log = (self._home / f"{part}.log").open("wb")
        self._parts[part] = subprocess.Popen(
            command,
            env=self.environment(part),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()

    def start_head(self, processors: int = 0) -> None:
        """Start a head; it answers a few seconds later."""
        port = f"--port={self.port}"
        folder = f"--temp-dir={self._home}/ray"
        where = [f"--node-ip-address={self._host}"] if self._network else []
        ports = (port, f"--ray-client-server-port={self.client_port}", f"--num-cpus={processors}")
        self._start("head", "--head", *ports, *where, folder, "--include-dashboard=false")
        wait_until(self.is_up, 90)

    def is_up(self) -> bool:
        with contextlib.suppress(OSError):
            for port in (self.port, self.client_port):  # the latter opens a while after the former
                socket.create_connection((self._host, port), 1).close()
            return "Ray runtime started" in (self._home / "head.log").read_text()
        return False

    def start_nodes(self, *names: str) -> None:
        for name in names:  # one after another: two at once on one machine choose the same ports
            self._start(name, f"--address={self.address}", "--num-cpus=1")
            wait_until(lambda name=name: "Ray runtime started" in (self._home / f"{name}.log").read_text(), 90)  # type: ignore[misc]

    def pids(self, part: str) -> set[int]:
        return marked(MARK, f"{self._home.name}-{part}")

    def workers(self) -> set[int]:
        """The processes that run tasks."""
        return {pid for name in self._parts for pid in self.pids(name) if title(pid).startswith("ray::work")}

    def kill(self, part: str) -> None:
        """Kill a part at once, as a machine that loses power."""
        self._parts.pop(part).kill()
        for _ in range(3):
            for pid in self.pids(part):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.pids(part))

    def stop(self, part: str) -> None:
        """Let a part be silent, as one behind a cut cable."""
        for pid in self.pids(part):
            os.kill(pid, signal.SIGSTOP)

    def go_on(self, part: str) -> None:
        for pid in self.pids(part):
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        for part in list(self._parts):
            self.kill(part)
        shutil.rmtree(self._home, ignore_errors=True)
        if self._network:
            self._network.close()


class Recorder:
    """A port that leads to another one, and keeps what is sent there."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.sent = bytearray()

    def __enter__(self) -> Recorder:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                threading.Thread(target=self._pump, args=(near, far, self.sent), daemon=True).start()
                threading.Thread(target=self._pump, args=(far, near, bytearray()), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket, kept: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                kept += data
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
