"""Ignored files stay out: held against git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.config import Settings
from server.globs import Rules
from server.index.files import walk
from server.index.ignore import IgnoreRules
from server.types import CancelToken

FILES = (
    "a.py", "b.js", "src/a.py", "src/gen/b.js", "src/gen/deep/c.go", "lib/a.py", "build/x.py", "docs/build/y.py",
    "[", "[a", "a]", "ab", "a-b", "lib/[b", "!a", "b ", "b/a", "-/b",
)  # fmt: skip
PATTERNS = (
    "*.py", "!a.py", "/a.py", "build/", "build", "/build", "src/gen/", "gen/*", "!gen/b.js", "**/deep", "deep/**",
    "*.js", "!src/", "src/**/c.go", "# comment", "", "\\!a.py", "a.p?", "[ab].*", "lib/*", "!lib/a.py", "doc*/",
    "[", "*[", "[a", "[]", "[]]*", "[!a", "[!a]*", "[^]a]b", "[a-]*", "[b-a]", "[[:alpha:]]*", "[[:nosuch:]]*",
    "a.py\\", "\\", "\\[a", "[\\]a]*", "src\\/a.py", "***", "a**", "**/", "/**", "src/**/", "**/a*/**/*y", "*a*p*",
    "[[:digit:]", "/", "//", "lib//a.py", "./a.py", "a.py ", "a.py\t", "b\\ ", "b\\  ", "?", "*/*", "*/", "-", "\\!a",
)  # fmt: skip


def kept_by_git(root: Path) -> set[str]:
    listing = subprocess.run(
        ["git", "-C", root, "ls-files", "--others", "--exclude-standard", "-z"], check=True, capture_output=True
    )
    return {path for path in listing.stdout.decode().split("\0") if path and not path.endswith(".gitignore")}


def kept_by_us(root: Path) -> set[str]:
    rules = IgnoreRules(root)
    return {file for file in FILES if (root / file).exists() and not rules.ignores_below(file)}


@given(
    rules=st.dictionaries(
        st.sampled_from(["", "src/", "src/gen/", "lib/"]), st.lists(st.sampled_from(PATTERNS), max_size=5), max_size=3
    ),
    excluded=st.lists(st.sampled_from(PATTERNS), max_size=2),
)
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_agrees_with_git(
    tmp_path_factory: pytest.TempPathFactory, rules: dict[str, list[str]], excluded: list[str]
) -> None:
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", root], check=True)
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x = 1\n")
    for folder, lines in rules.items():
        (root / folder / ".gitignore").write_text("\n".join(lines) + "\n")
    (root / ".git" / "info" / "exclude").write_text("\n".join(excluded) + "\n")
    assert kept_by_us(root) == kept_by_git(root)


@given(lines=st.lists(st.text("ab*?[]!^-\\\\/. ", min_size=1, max_size=9), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_agrees_with_git_on_any_rule(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "any rule"
    if not root.exists():
        subprocess.run(["git", "init", "-q", root], check=True)
        for file in FILES:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text("x = 1\n")
    (root / ".gitignore").write_text("\n".join(lines))
    assert kept_by_us(root) == kept_by_git(root)


def test_a_subfolder_of_a_repository_obeys_the_rules_above_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("/part/out\n*.gen.py\n")
    (tmp_path / ".git" / "info" / "exclude").write_text("/part/private.py\n")
    part = tmp_path / "part"
    part.mkdir()
    rules = IgnoreRules(part)
    ignored = {path for path in ("out/a.py", "x.gen.py", "private.py", "a.py") if rules.ignores_below(path)}
    assert ignored == {"out/a.py", "x.gen.py", "private.py"}


def test_a_linked_worktree_obeys_the_exclude_file_of_its_repository(tmp_path: Path) -> None:
    main, linked = tmp_path / "main", tmp_path / "linked"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q", main], check=True)
    subprocess.run(["git", "-C", main, *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run(["git", "-C", main, "worktree", "add", "-q", linked], check=True, capture_output=True)
    (main / ".git" / "info" / "exclude").write_text("secret.py\n")
    assert IgnoreRules(linked).ignores_below("secret.py")
    assert not IgnoreRules(linked).ignores_below("open.py")


def test_our_own_ignore_file_and_setting_have_the_last_word(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("vendor/\n")
    (tmp_path / ".sextantignore").write_text("!vendor/\n*.tmp.py\n")
    rules = IgnoreRules(tmp_path, ("legacy/",))
    assert not rules.ignores_below("vendor/a.py")
    assert rules.ignores_below("x.tmp.py")
    assert rules.ignores_below("legacy/a.py")


@pytest.mark.parametrize(
    "path",
    [".env", ".env.local", "deploy/server.pem", "id_rsa", "keys/id_ed25519", ".git/config", "node_modules/a/b.js"],
)
def test_secrets_and_foreign_folders_are_out_whatever_the_rules_say(tmp_path: Path, path: str) -> None:
    (tmp_path / ".sextantignore").write_text(f"!{path}\n!.env*\n!*\n")
    assert IgnoreRules(tmp_path).ignores_below(path)


def test_virtual_environments_are_out(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pyvenv.cfg").write_text("")
    assert IgnoreRules(tmp_path).ignores_below("mine/lib/a.py")


def test_rules_that_make_no_sense_are_left_out_alone(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xff\xfe!\n!\n/\nout/\n[\n")
    assert IgnoreRules(tmp_path).ignores_below("out/a.py")
    assert not IgnoreRules(tmp_path).ignores_below("in/a.py")


def test_a_byte_order_mark_does_not_hide_the_first_rule(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xef\xbb\xbfsecret.py\r\nother.py\r\n")
    assert IgnoreRules(tmp_path).ignores_below("secret.py")
    assert IgnoreRules(tmp_path).ignores_below("other.py")


def test_the_exclude_file_of_a_repository_inside_counts(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "inner"], check=True)
    (tmp_path / "inner" / ".git" / "info" / "exclude").write_text("hid.py\n")
    assert IgnoreRules(tmp_path).ignores_below("inner/hid.py")
    assert not IgnoreRules(tmp_path).ignores_below("hid.py")


@pytest.mark.parametrize(
    ("rule", "path", "other"),
    [
        ("*a" * 1000 + "b", "a" * 250, "a" * 1000 + "b"),
        ("/".join(["*a*a*a"] * 9) + "*b", "/".join(["a" * 100] * 9), "/".join(["aaa"] * 9) + "b"),
        ("**/a/" * 300 + "b", "a/" * 2000 + "c", "x/" + "a/" * 2000 + "b"),
        ("**/*a*a/*a*a/" * 9 + "b", ("a" * 50 + "/") * 80 + "c", ("a" * 50 + "/") * 80 + "b"),
        ("*" * 20 + "x", "y" * 250, "y" * 250 + "x"),
        ("*?" * 100 + "b", "a" * 250, "a" * 250 + "b"),
    ],
)
def test_no_rule_takes_long(rule: str, path: str, other: str) -> None:
    """Matched by trying everything, each of these would take minutes to ages; nothing could stop that."""
    rules = Rules([rule])
    assert not rules.take(path)
    assert rules.take(other)
    assert (rules.decide(path), rules.decide(other)) == (None, True)


def test_a_rule_longer_than_any_path_names_none(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("a*" * 5_000 + "\nb.py\n")
    assert IgnoreRules(tmp_path).ignores_below("b.py")
    assert not IgnoreRules(tmp_path).ignores_below("a.py")


def git(folder: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    subprocess.run(["git", "-C", folder, *settings, *arguments], check=True, capture_output=True)


def found(root: Path) -> dict[str, str | None]:
    return {found.path: found.reason for found in walk(root, IgnoreRules(root), Settings(), CancelToken())}


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("x = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "begin")
    return folder


def test_a_worktree_inside_its_own_repository_is_left_out_and_counted(tmp_path: Path) -> None:
    code = tmp_path / "code"
    root, module = repository(code / "project"), repository(tmp_path / "module")
    git(root, "worktree", "add", "-q", ".worktrees/f2")
    git(root, "worktree", "add", "-q", "../beside")
    git(root, "submodule", "add", "-q", str(module), "lib")
    repository(root / "nested")
    reason = "worktree of the same git repository (search inside it)"
    assert found(root) == {"a.py": None, "lib/a.py": None, "nested/a.py": None, ".worktrees/f2": reason}
    assert IgnoreRules(root).ignores_below(".worktrees/f2/a.py")
    assert found(root / ".worktrees" / "f2") == {"a.py": None}
    assert found(root / ".worktrees") == {"f2/a.py": None}, "the repository itself is not there"
    assert {path for path, why in found(code).items() if why is None} == {
        "beside/a.py", "project/a.py", "project/lib/a.py", "project/nested/a.py",
    }  # fmt: skip


def test_worktrees_of_a_bare_repository_are_all_there_is(tmp_path: Path) -> None:
    source, root = repository(tmp_path / "source"), tmp_path / "project"
    root.mkdir()
    git(tmp_path, "clone", "-q", "--bare", str(source), str(root / ".git"))
    git(root, "worktree", "add", "-q", "one")
    git(root, "worktree", "add", "-q", "two")
    assert found(root) == {"one/a.py": None, "two/a.py": None}
