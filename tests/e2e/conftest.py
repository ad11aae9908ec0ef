from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.raw import REPOSITORY, RawClient, server_command

SOURCES = {
    "retry.py": '''"""Network helpers."""

import time


def retry_with_backoff(call, attempts=5, base_delay=0.1):
    """Call a function again after an exponentially growing delay when it fails."""
    for attempt in range(attempts):
        try:
            return call()
        except OSError:
            time.sleep(base_delay * 2**attempt)
    raise TimeoutError("all attempts failed")


def retry_fixed(call, attempts=5, delay=0.1):
    """Call a function again after a fixed delay when it fails."""
    for _ in range(attempts):
        try:
            return call()
        except OSError:
            time.sleep(delay)
    raise TimeoutError("all attempts failed")
''',
    "shapes.py": '''class Circle:
    """A round shape."""

    def area(self):
        """Return the surface of the circle."""
        return 3.14159 * self.radius**2


def parse_date(text):
    """Read a calendar date such as 2024-02-29 from a string."""
    year, month, day = text.split("-")
    return int(year), int(month), int(day)
''',
    "src/cache.ts": """/** Remove the least recently used entry when the cache is full. */
export function evictOldest(cache: Map<string, string>, limit: number): void {
    while (cache.size > limit) {
        const oldest = cache.keys().next().value;
        cache.delete(oldest);
    }
}
""",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return write(tmp_path / "work space", SOURCES)


def environment_of(home: Path) -> dict[str, str]:
    return {**os.environ, "SEXTANT_DATA_DIR": str(home / "data"), "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return environment_of(tmp_path)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawClient]:
    """One ready server for the tests of a module that leave no trace in it."""
    home = tmp_path_factory.mktemp("session")
    client = RawClient(server_command(), environment_of(home), home / "server.log")
    client.initialize(write(home / "workspace", SOURCES))
    client.wait_ready()
    yield client
    client.kill()


Start = Callable[..., RawClient]


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Start servers and end them with the test."""
    clients: list[RawClient] = []

    def run(command: list[str] | None = None) -> RawClient:
        client = RawClient(command or server_command(), environment, tmp_path / f"server{len(clients)}.log")
        clients.append(client)
        return client

    yield run
    for client in clients:
        client.kill()


@pytest.fixture
def client(start: Start) -> RawClient:
    return start()
