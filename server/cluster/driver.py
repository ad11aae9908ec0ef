"""The Ray driver: connects to a cluster or starts one, and keeps a bounded number of batches in flight."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from server.cluster import tasks
from server.cluster.contact import (
    ClusterError,
    ClusterLost,
    address_of,
    explained,
    first_line,
    is_on_loopback,
    probe,
    watched,
)
from server.cluster.fill import Batch
from server.cluster.protocol import Failed, Fill, Lost, Progress, Tune
from server.model.encoder import ModelError
from server.process import install_command
from server.types import CancelToken

_NEEDS_RAY = "a cluster needs Ray; install it with: {}"
_COMPLAINTS = 3
"""Ray tries to greet about once a second; a cluster answers the first time."""
_NODES_SECONDS = 30.0
"""For nodes with processors to be there, at the start and in the middle."""
_LATE_SECONDS = 5.0
"""For further nodes to say what they have, once one has said it."""
_GLANCE = 0.2
_BEAT_SECONDS = 1.0
_BEATS = 3
"""Greetings in a row without an answer after which the head is taken for gone."""
_BEATS_STUCK = 5
"""The same for leaving without a word to Ray, whose calls may hang; its core would end this process after 60 s."""
_LOOK_SECONDS = 5.0
"""Between two looks at the nodes while nothing comes back."""
_TRIES = 5
"""A batch is handed out again when what computed it died; one that kills every worker must end some time."""
_AHEAD = 2
"""Batches in flight for each processor: one in work, one on its way."""
_STORE_BYTES = 200_000_000
"""Shared memory of a local cluster beside the model; batches and results are small."""


class Connection:
    """A cluster for the time of one job; `find` it, `open` it, `run` batches on it, `close` it."""

    def __init__(
        self, job: Fill | Tune, needed: Sequence[str], send: Callable[[Progress | Failed | Lost], None]
    ) -> None:
        """`needed`: the packages that each node must have."""
        self._job = job
        self._needed = needed
        self._send = send
        self._is_local = job.on == "local"
        self._head = ("", 0)
        self._slots = 1
        self._gone = threading.Event()
        self._closed = threading.Event()
        self._flying: dict[Any, tuple[Batch, int]] = {}
        self._task: Any = None
        self._weights: list[Any] = []
        self._fingerprint = ""
        self._complaints = 0
        self._looked_at = self._had_nodes_at = 0.0
        self.where = "a local cluster" if self._is_local else job.on

    def find(self) -> None:
        """Make sure that there is a cluster, without a word to it; raises ClusterError."""
        self._environment()
        if not self._is_local:
            self._head = address_of(self._job.on)
            probe(*self._head)
        if importlib.util.find_spec("ray") is None:
            raise ClusterError(_NEEDS_RAY.format(install_command("cluster")))

    def open(self, token: CancelToken, object_bytes: int = 0) -> None:
        """Connect and check what the nodes have; raises ClusterError, ClusterLost and Cancelled.

        `object_bytes`: the size of what is sent once for all tasks.
        """
        self._progress("starting a local cluster" if self._is_local else f"connecting to {self._job.on}")
        if self._is_local:
            ray = _ray()
            self._start(ray, object_bytes)
        else:
            ray = _ray()
            self._connect(ray)
        token.check()
        threading.Thread(target=self._watch, daemon=True, name="cluster-watch").start()
        self._slots = self._wait_for_nodes(ray, token)
        self._looked_at = self._had_nodes_at = time.monotonic()
        if not self._is_local:
            self._check_nodes(ray, token)

    def teach(self, weights: tasks.Weights, uses_gpu: bool) -> None:
        """Send the nodes the model that `run` uses."""
        ray = _ray()
        gpus = 1 if uses_gpu and ray.cluster_resources().get("GPU", 0) >= 1 else 0
        self._task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=_TRIES)(tasks.work)
        self._weights = [ray.put(weights)]
        self._fingerprint = weights.fingerprint
        if gpus:
            self._slots = int(ray.cluster_resources()["GPU"])
        if self._job.processors:
            self._slots = min(self._slots, self._job.processors)

    def run(self, batches: Iterator[Batch], token: CancelToken) -> Iterator[tuple[Batch, bytes]]:
        """Yield each batch with its float16 rows as they come; raises ClusterLost, ClusterError and Cancelled."""
        ray = _ray()
        is_last = False
        while True:
            token.check()
            while not is_last and len(self._flying) < self._slots * _AHEAD:
                batch = next(batches, None)
                if batch is None:
                    is_last = True
                else:
                    self._submit(batch, 1)
            if not self._flying:
                return
            with self._translated(ray):
                ready, _ = ray.wait(list(self._flying), num_returns=1, timeout=0.1)
            for ref in ready:
                batch, tries = self._flying.pop(ref)
                packed = self._result(ray, ref, batch, tries)
                if packed is not None:
                    yield batch, packed
            if not ready:
                self._check_alive(ray)

    def call(self, work: Callable[[bytes], bytes], packed: bytes, token: CancelToken) -> bytes:
        """Return what a function of ours returns, run on one processor; raises as `run` does."""
        ray = _ray()
        with self._translated(ray):
            ref = ray.remote(num_cpus=1, max_retries=_TRIES)(work).remote(packed)
        self._flying[ref] = Batch((), ()), _TRIES
        while True:
            token.check()
            with self._translated(ray):
                ready, _ = ray.wait([ref], timeout=0.1)
            if ready:
                found = self._result(ray, ref, *self._flying.pop(ref))
                assert found is not None  # it raises instead on the last try
                return found
            self._check_alive(ray)

    def close(self) -> None:
        """Let go of the cluster: end what still runs for us, and a local cluster itself."""
        self._closed.set()
        ray = sys.modules.get("ray")
        if ray is None or self._gone.is_set():
            return  # nobody is there to be told; the parent ends this process, and what is left of a local cluster
        with contextlib.suppress(Exception):  # whatever it says, it is over
            if not self._is_local:
                for ref in self._flying:
                    ray.cancel(ref, force=True)
        with contextlib.suppress(Exception):
            ray.shutdown()

    # The beginning.

    def _environment(self) -> None:
        """Set what Ray reads when it is imported."""
        package = str(Path(__file__).resolve().parents[2])
        os.environ.update(
            RAY_USAGE_STATS_ENABLED="0",  # it would report to its makers
            RAY_ENABLE_AUTO_CONNECT="0",  # a task without a connection would start a cluster of its own
            RAY_DEDUP_LOGS="0",
            OPENBLAS_NUM_THREADS="1",
            PYTHONPATH=os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
        )
        if self._is_local or is_on_loopback(*address_of(self._job.on)):
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # listen on the loopback interface only
        if self._is_local:
            token = Path(self._job.scratch, "token")
            with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token))
        elif self._job.token_file:
            path = Path(self._job.token_file).expanduser()
            if not path.is_file():
                raise ClusterError(f"the token file {path} does not exist; correct it in the settings")
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(path))

    def _start(self, ray: Any, model_bytes: int) -> None:
        try:
            context = ray.init(
                num_cpus=self._job.processors or os.cpu_count(),
                object_store_memory=_STORE_BYTES + 2 * model_bytes,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                _temp_dir=self._job.scratch,
                _node_ip_address="127.0.0.1",
            )
        except Exception as error:  # whatever Ray raises, it does not start
            raise ClusterError(f"Ray does not start on this machine: {first_line(error)}") from error
        self._head = address_of(context.address_info["gcs_address"])

    def _connect(self, ray: Any) -> None:
        """Connect to a cluster; what Ray would only say on stderr, and after 20 s, is read there."""
        for attempt in range(2):
            with watched(self._refused):
                try:
                    ray.init(
                        address=self._job.on,
                        log_to_driver=False,
                        configure_logging=False,
                        runtime_env={"py_modules": [str(self._package())], "env_vars": {"OPENBLAS_NUM_THREADS": "1"}},
                    )
                except ImportError as error:
                    command = install_command("cluster")
                    raise ClusterError(f"{self._job.on} needs {error.name}; install it with: {command}") from error
                except ConnectionAbortedError as error:
                    # A head forks for each driver, and that process at times does not come up (Ray 2.60).
                    if attempt:
                        raise ClusterError(explained(error, self._job.on)) from error
                except Exception as error:
                    raise ClusterError(explained(error, self._job.on)) from error
                else:
                    return

    def _refused(self, line: str) -> None:
        """Answer for Ray, which would go on trying."""
        self._complaints += "Failed to get cluster ID" in line
        if "InvalidAuthToken" in line:
            message = f"the cluster at {self._job.on} refuses this token; correct clusterTokenFile in the settings"
        elif not line or self._complaints >= _COMPLAINTS:
            message = f"{self._job.on} does not answer like a Ray cluster"
        else:
            return
        self._send(Failed(message))
        os._exit(0)

    def _package(self) -> Path:
        """Copy of our package what a worker needs; the model goes another way."""
        target = Path(self._job.scratch, "package", "server")
        source = Path(__file__).resolve().parents[1]
        shutil.copytree(
            source,
            target,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("base", "lsp", "queries", "corpus.json", "__pycache__", "*.md"),
        )
        return target

    def _wait_for_nodes(self, ray: Any, token: CancelToken) -> int:
        """Return how many processors there are, once there are some."""
        end = time.monotonic() + _NODES_SECONDS
        while True:
            token.check()
            with self._translated(ray):
                count = int(ray.cluster_resources().get("CPU", 0))
            if count:
                return count
            if time.monotonic() > end:
                raise ClusterError(f"the cluster at {self._job.on} has no node with a processor")
            time.sleep(_GLANCE)

    def _check_nodes(self, ray: Any, token: CancelToken) -> None:
        """Ask each living node for what the encoder needs; raises ClusterError with what to install where.

        A node that goes away before it answers, or keeps the others waiting, is left to the course of the job.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

        ask = ray.remote(num_cpus=0, max_retries=0)(tasks.versions)
        asked: dict[Any, str] = {}
        answered: set[str] = set()
        end, trouble = time.monotonic() + _NODES_SECONDS, f"no node of the cluster at {self._job.on} answers"
        while True:
            token.check()
            with self._translated(ray):
                # Ray lists a node that died for a moment more, and what is asked of it fails: so list again.
                nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")}
                for name in nodes.keys() - answered - set(asked.values()):
                    near = NodeAffinitySchedulingStrategy(name, soft=False)
                    asked[ask.options(scheduling_strategy=near).remote(self._needed)] = name
                asked = {ref: name for ref, name in asked.items() if name in nodes}
                ready, _ = ray.wait(list(asked), timeout=_GLANCE) if asked else ([], [])
            for ref in ready:
                name = asked.pop(ref)
                address = nodes[name]["NodeManagerAddress"]
                try:
                    self._check_versions(ray.get(ref, timeout=_NODES_SECONDS), address)
                except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
                    raise ClusterError(f"the node {address} cannot run Sextant: {first_line(error)}") from error
                except (ray.exceptions.RayError, OSError) as error:
                    trouble = f"the node {address} cannot run Sextant: {first_line(error)}"
                    time.sleep(_GLANCE)
                else:
                    answered.add(name)
                    end = min(end, time.monotonic() + _LATE_SECONDS)
            if answered >= nodes.keys() and nodes:
                return
            if time.monotonic() > end:
                if answered:
                    return
                raise ClusterError(trouble)

    def _check_versions(self, found: Mapping[str, str], address: str) -> None:
        lacking = [name for name in self._needed if not found[name]]
        if lacking:
            raise ClusterError(
                f"the node {address} (Python {found['python']}) lacks {', '.join(lacking)}; "
                f"install there: pip install {' '.join(lacking)}"
            )

    # The course.

    def _submit(self, batch: Batch, tries: int) -> None:
        ref = self._task.remote(self._weights, self._fingerprint, tasks.pack(batch.passages))
        self._flying[ref] = (batch, tries)

    def _result(self, ray: Any, ref: Any, batch: Batch, tries: int) -> bytes | None:
        """Return what a task returned; hands the batch out again where the task was lost with its worker or node."""
        try:
            packed: bytes = ray.get(ref, timeout=_NODES_SECONDS)
            return packed
        except ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, ModelError) else None
            raise ClusterError(str(cause) if cause else f"a worker failed: {first_line(error)}") from error
        except (ray.exceptions.RayError, OSError) as error:
            self._check_alive(ray)
            if tries == _TRIES:
                raise ClusterLost(f"work was lost {tries} times, at last: {first_line(error)}") from error
        with self._translated(ray):
            self._submit(batch, tries + 1)
        return None

    def _check_alive(self, ray: Any) -> None:
        """Raise ClusterLost when nobody is left to work for us."""
        if self._gone.is_set():
            raise ClusterLost(f"{self.where} is gone")
        now = time.monotonic()
        if now - self._looked_at < _LOOK_SECONDS:
            return
        self._looked_at = now
        with self._translated(ray):
            if ray.cluster_resources().get("CPU", 0):
                self._had_nodes_at = now
            elif now - self._had_nodes_at > _NODES_SECONDS:
                raise ClusterLost(f"{self.where} has no node with a processor any more")

    @contextlib.contextmanager
    def _translated(self, ray: Any) -> Iterator[None]:
        try:
            yield
        except (ray.exceptions.RayError, OSError) as error:
            raise ClusterLost(f"{self.where} is gone ({first_line(error)})") from error

    def _watch(self) -> None:
        """Note when the head is gone; if nothing came of that, leave before Ray's core ends the process."""
        failed = 0
        while not self._closed.wait(_BEAT_SECONDS):
            try:
                probe(*self._head)
                failed = 0
            except ClusterError:
                failed += 1
            if failed == _BEATS:
                self._gone.set()
            elif failed >= _BEATS_STUCK:
                self._send(Lost(f"{self.where} is gone"))
                os._exit(0)

    def _progress(self, message: str) -> None:
        self._send(Progress(0, 0, 0, 0, message))


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415
    except ImportError as error:
        raise ClusterError(_NEEDS_RAY.format(install_command("cluster"))) from error
    return ray
