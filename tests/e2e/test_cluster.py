"""Work on a real Ray cluster, and every way in which that goes wrong: the index is the same, nothing stays behind."""

from __future__ import annotations

import importlib.util
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from server.cluster import client, tasks
from server.cluster.protocol import Done, Failed, Fill, Progress
from server.model import encoder
from server.types import CancelToken
from tests.e2e.conftest import Start
from tests.e2e.leftovers import OWNERS, leftovers
from tests.e2e.raw import REPOSITORY, RawClient, wait_until
from tests.e2e.ray_cluster import Network, RayCluster, Recorder, free_port, title
from tests.e2e.test_jobs import finished

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or not Path("/proc/self/environ").exists(), reason="needs Ray and /proc"
)

FILES, FUNCTIONS = 160, 30
WORDS = "read write open close parse render send fetch token cache index store query user date path file".split()


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some thousand different functions: seconds of work, so that there is a middle in which to kill something."""
    folder = tmp_path_factory.mktemp("code")
    for file in range(FILES):
        parts = []
        for number in range(FUNCTIONS):
            first, second = WORDS[(file + number) % len(WORDS)], WORDS[(file * 7 + number * 3) % len(WORDS)]
            body = "\n".join(f"    {first}_{each} = {second}({first}, {each * file}, {number})" for each in range(12))
            parts.append(f'def {first}_{second}_{file}_{number}({first}):\n    """{first} the {second}."""\n{body}\n')
        (folder / f"part{file}.py").write_text("\n\n".join(parts))
    return folder


@pytest.fixture(scope="module")
def expected(code: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, bytes]:
    data = tmp_path_factory.mktemp("expected")
    assert run(code, data, "inline").done.computed == FILES * FUNCTIONS
    return stored(data)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    found = RayCluster()
    try:
        found.start_head()
        found.start_nodes("one", "two")
        yield found
    finally:
        found.close()


@pytest.fixture(autouse=True)
def leaves_nothing() -> Iterator[None]:
    """No test may leave a process or a folder of a job behind."""
    yield
    wait_until(lambda: not leftovers(), 15, leftovers)
    assert not list(Path("/tmp").glob(f"sx-*/{os.getpid()}"))


@dataclass
class Ran:
    done: Done
    warnings: list[str] = field(default_factory=list)
    moved: list[Progress] = field(default_factory=list)


def run(
    code: Path,
    data: Path,
    on: str,
    token_file: Path | str = "",
    at: Callable[[Progress], bool] = lambda _: False,
    act: Callable[[], object] = lambda: None,
    **others: object,
) -> Ran:
    """Run a job; do something once at a moment of its course."""
    found = Ran(Done(0, 0, 0, 0, ""))
    acted = threading.Event()

    def report(moved: Progress) -> None:
        found.moved.append(moved)
        if at(moved) and not acted.is_set():
            acted.set()
            act()

    job = Fill([str(code)], str(data), on, token_file=str(token_file), max_file_bytes=1_000_000, workers=1)
    found.done = client.run("base", replace(job, **others), report, found.warnings.append, CancelToken())  # type: ignore[arg-type]
    assert at is run.__defaults__[1] or acted.is_set(), "the moment never came"  # type: ignore[index]
    return found


def stored(data: Path) -> dict[bytes, bytes]:
    with sqlite3.connect(data / "vectors" / f"{encoder.load().fingerprint}.db") as db:
        return dict(db.execute("SELECT key, vector FROM vectors"))


def midway(moved: Progress) -> bool:
    return 0 < moved.computed < FILES * FUNCTIONS // 2


def children() -> set[int]:
    """The children of this process that run jobs."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for file in tasks for pid in file.read_text().split() if "server.cluster.child" in title(int(pid))}


def test_a_cluster_computes_the_same_bytes(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], tmp_path: Path
) -> None:
    ran = run(code, tmp_path, cluster.address, cluster.token)
    assert (ran.done.computed, ran.warnings) == (FILES * FUNCTIONS, [])
    assert stored(tmp_path) == expected
    again = run(code, tmp_path, "inline")
    assert (again.done.computed, again.done.known) == (0, FILES * FUNCTIONS)


def test_a_local_cluster_computes_the_same_bytes(code: Path, expected: dict[bytes, bytes], tmp_path: Path) -> None:
    ran = run(code, tmp_path, "local", processors=2)
    assert (ran.done.computed, ran.done.where, ran.warnings) == (FILES * FUNCTIONS, "a local cluster", [])
    assert stored(tmp_path) == expected


def test_a_killed_worker_costs_nothing(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], tmp_path: Path
) -> None:
    def kill() -> None:
        wait_until(cluster.workers)
        for pid in cluster.workers():
            os.kill(pid, signal.SIGKILL)

    ran = run(code, tmp_path, cluster.address, cluster.token, midway, kill)
    assert (ran.done.computed, ran.warnings) == (FILES * FUNCTIONS, [])
    assert ran.done.where == cluster.address
    assert stored(tmp_path) == expected


def test_a_killed_node_costs_nothing(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], tmp_path: Path
) -> None:
    ran = run(code, tmp_path, cluster.address, cluster.token, midway, lambda: cluster.kill("two"))
    assert (ran.done.computed, ran.warnings) == (FILES * FUNCTIONS, [])
    assert stored(tmp_path) == expected
    cluster.start_nodes("two")


def test_a_node_that_dies_before_it_is_asked_costs_nothing(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], tmp_path: Path
) -> None:
    """Ray lists a dead node for a while: one that is stopped stands for it until it is killed."""
    cluster.stop("two")
    death = threading.Timer(4.0, lambda: cluster.kill("two"))
    try:
        ran = run(code, tmp_path, cluster.address, cluster.token, lambda moved: bool(moved.message), death.start)
    finally:
        death.join()
    assert (ran.done.computed, ran.done.where, ran.warnings) == (FILES * FUNCTIONS, cluster.address, [])
    assert stored(tmp_path) == expected


def test_a_killed_driver_is_replaced_by_this_machine(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], tmp_path: Path
) -> None:
    def kill() -> None:
        for pid in children():
            os.kill(pid, signal.SIGKILL)

    ran = run(code, tmp_path, cluster.address, cluster.token, midway, kill)
    check_replaced(ran, tmp_path, expected)


def check_replaced(ran: Ran, data: Path, expected: dict[bytes, bytes]) -> None:
    """Check that this machine did the rest, was said once to do so, and did nothing again that was committed."""
    assert len(ran.warnings) == 1 and "this machine" in ran.warnings[0]
    assert ran.done.where == "this machine"
    committed = max(moved.computed for moved in ran.moved if moved.known == 0)
    assert ran.done.known >= committed > 0
    assert ran.done.known + ran.done.computed == FILES * FUNCTIONS
    assert stored(data) == expected


def test_a_process_that_nobody_listens_to_leaves_nothing(code: Path, tmp_path: Path) -> None:
    """One of its threads learns that the parent is gone by what it sends, the other one by what it reads."""
    scratch = client._make_scratch()
    child = client.Child("base", 0, scratch)
    child.send(Fill([str(code)], str(tmp_path), scratch=str(scratch), max_file_bytes=1_000_000, workers=1))
    events = child.events()
    while not (isinstance(event := next(events), Progress) and event.computed):
        assert not isinstance(event, Done | Failed), event
    assert child._process.stdout is not None
    child._process.stdout.close()
    child._process.wait(30)
    assert not scratch.exists(), leftovers()


@pytest.mark.parametrize("moment", ["beginning", "connecting", "midway"])
@pytest.mark.parametrize("on", ["inline", "local", "remote"])
def test_a_cancel_ends_everything_soon_and_keeps_what_is_done(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], tmp_path: Path, on: str, moment: str
) -> None:
    token, cancelled_at, most = CancelToken(), [0.0], [0]

    def cancel() -> None:
        if not token.cancelled:
            cancelled_at[0] = time.monotonic()
            token.cancel()

    def report(moved: Progress) -> None:
        most[0] = max(most[0], moved.computed)
        if moment == "connecting" or (moment == "midway" and midway(moved)):
            cancel()

    address, token_file = (cluster.address, str(cluster.token)) if on == "remote" else (on, "")
    job = Fill([str(code)], str(tmp_path), address, token_file, max_file_bytes=1_000_000, workers=1, processors=1)
    if moment == "beginning":
        threading.Timer(0.2, cancel).start()
    done = client.run("base", job, report, pytest.fail, token)
    assert done.cancelled
    assert leftovers() == []
    assert time.monotonic() - cancelled_at[0] < 3 * slowness()
    if on == "remote":
        wait_until(lambda: not cluster.workers(), 10, cluster.workers)
    kept = stored(tmp_path) if moment == "midway" else {}
    assert len(kept) >= most[0] * (moment == "midway")
    assert kept.items() <= expected.items()


def slowness() -> float:
    """How much longer things take on this machine now: its load a processor, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_two_jobs_at_once_do_not_disturb_each_other(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(run, code, tmp_path, on, cluster.token) for on in (cluster.address, "inline")]
        ran = [each.result() for each in both]
    assert [each.warnings for each in ran] == [[], []]
    assert stored(tmp_path) == expected


@pytest.mark.parametrize("token", ["wrong", "none", "missing"])
def test_a_wrong_token_is_refused_soon(cluster: RayCluster, code: Path, tmp_path: Path, token: str) -> None:
    file = tmp_path / "token"
    if token == "wrong":
        file.write_text("0" * 64)
    started = time.monotonic()
    with pytest.raises(client.JobFailed, match="token"):
        run(code, tmp_path, cluster.address, "" if token == "none" else file)
    assert time.monotonic() - started < 5 * slowness()


@pytest.mark.parametrize("kind", ["refused", "silent", "foreign", "nonsense"])
def test_a_dead_address_is_told_soon(code: Path, tmp_path: Path, kind: str) -> None:
    import http.server
    import socket

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if kind == "silent":
        listener.listen()  # and never answers, like a head that hangs
    addresses = {
        "refused": f"127.0.0.1:{free_port()}",
        "silent": f"127.0.0.1:{listener.getsockname()[1]}",
        "foreign": f"127.0.0.1:{server.server_address[1]}",
        "nonsense": "nowhere",
    }
    started = time.monotonic()
    try:
        with pytest.raises(client.JobFailed):
            run(code, tmp_path, addresses[kind])
        assert time.monotonic() - started < 5 * slowness()
    finally:
        server.shutdown()
        server.server_close()
        listener.close()


def test_a_killed_server_takes_its_job_along_and_goes_on_later(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], start: Start, environment: dict[str, str]
) -> None:
    data = Path(environment["SEXTANT_DATA_DIR"])
    vectors = data / "vectors" / f"{encoder.load().fingerprint}.db"
    options = {"clusterTokenFile": str(cluster.token), "workers": 1}

    def begin() -> tuple[RawClient, str]:
        server = start()
        OWNERS.add(str(server.process.pid))
        server.initialize(initializationOptions=options, capabilities={"window": {"workDoneProgress": True}})
        return server, code.as_uri()

    server, uri = begin()
    server.notify(
        "workspace/didChangeWorkspaceFolders", {"event": {"added": [{"uri": uri, "name": "code"}], "removed": []}}
    )
    server.wait_ready()
    vectors.unlink()  # so that there is work for a job
    for side in ("-wal", "-shm"):
        Path(f"{vectors}{side}").unlink(missing_ok=True)
    server.result("sextant/reindex", {"on": cluster.address})
    wait_until(lambda: vectors.exists() and 0 < count(vectors) < len(expected))
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not leftovers(), 15, leftovers)
    wait_until(lambda: not cluster.workers(), 15, cluster.workers)

    server, uri = begin()
    server.notify(
        "workspace/didChangeWorkspaceFolders", {"event": {"added": [{"uri": uri, "name": "code"}], "removed": []}}
    )
    server.wait_ready()
    assert finished(server, server.result("sextant/reindex", {"on": cluster.address})["jobId"])["ok"]
    assert server.search("read the cache")
    assert stored(data) == expected
    assert server.broken is None


def count(database: Path) -> int:
    with sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True) as db:
        try:
            return int(db.execute("SELECT count(*) FROM vectors").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def test_what_leaves_this_machine_is_what_is_said(cluster: RayCluster, tmp_path: Path) -> None:
    """README: the text of functions (with `strips` only code), the model, our code; no paths, nothing ignored."""
    root = tmp_path / "zanzibarfolder"
    root.mkdir()
    (root / "quaggafile.py").write_text(
        'class Ocelot:\n    def wombat(self):\n        """Says numbat."""\n        return "kooka"  # echidna\n'
    )
    (root / ".gitignore").write_text("dugongfile.py\n")
    (root / "dugongfile.py").write_text("def platypus():\n    return 1\n")
    (root / ".env").write_text("KEY=tarsier\n")
    with Recorder("127.0.0.1", cluster.client_port) as recorder:
        ran = run(root, tmp_path, f"ray://127.0.0.1:{recorder.port}", cluster.token, strips=True)
    assert (ran.done.computed, ran.warnings) == (2, [])
    private = (
        b"numbat",
        b"kooka",
        b"echidna",
        b"zanzibar",
        b"quagga",
        b"dugong",
        b"platypus",
        b"tarsier",
        str(tmp_path).encode(),
        bytes(Path.cwd()),
    )
    sent = bytes(recorder.sent)
    assert [word for word in (b"Ocelot", b"wombat", *private) if word in sent] == [b"Ocelot", b"wombat"]


def test_a_node_is_asked_for_all_that_a_worker_imports() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, server.cluster.tasks; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    modules = {name.split(".")[0] for name in found.stdout.split()} - sys.stdlib_module_names
    assert {name for name in modules if not name.startswith("_")} == {"server", *tasks.NEEDED}


def test_a_cluster_of_another_python_says_what_to_install(code: Path, tmp_path: Path) -> None:
    """Set SEXTANT_OTHER_RAY to the `ray` of another Python version."""
    other = os.environ.get("SEXTANT_OTHER_RAY")
    if not other:
        pytest.skip("needs Ray under another version of Python")
    foreign = RayCluster(Path(other))
    try:
        foreign.start_head()
        with pytest.raises(client.JobFailed, match=r"runs Python .* with Ray .*pip install"):
            run(code, tmp_path, foreign.address, foreign.token)
    finally:
        foreign.close()


def test_a_cut_cable_leaves_the_rest_to_this_machine(code: Path, expected: dict[bytes, bytes], tmp_path: Path) -> None:
    """A cluster in a network of its own, and a driver that does not belong to it."""
    try:
        network = Network()
    except OSError as problem:
        pytest.skip(f"needs a network namespace: {problem}")
    remote = RayCluster(network=network)
    try:
        remote.start_head(processors=1)
        ran = run(code, tmp_path, remote.client_address, remote.token, midway, network.cut)
    finally:
        remote.close()
    check_replaced(ran, tmp_path, expected)


@pytest.mark.parametrize("how", ["cut off", "killed"])
def test_a_lost_head_leaves_the_rest_to_this_machine(
    cluster: RayCluster, code: Path, expected: dict[bytes, bytes], tmp_path: Path, how: str
) -> None:
    """The last test of this cluster. A head that is stopped is silent, as one behind a cut cable."""
    lost_at = [0.0]

    def lose() -> None:
        lost_at[0] = time.monotonic()
        if how == "killed":
            cluster.kill("head")
        else:
            cluster.stop("head")

    try:
        ran = run(code, tmp_path, cluster.address, cluster.token, midway, lose)
    finally:
        cluster.go_on("head")
    assert time.monotonic() - lost_at[0] < 60 * slowness()
    check_replaced(ran, tmp_path, expected)
