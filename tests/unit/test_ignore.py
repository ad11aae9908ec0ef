"""Ignored files stay out: held against git itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
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
    "é.py", "src/é/ü.py", "src/gen_x/d.py", "src/gen_x/deep/e.py", "Build/Z.py", "z.py",
)  # fmt: skip
PATTERNS = (
    "*.py", "!a.py", "/a.py", "build/", "build", "/build", "src/gen/", "gen/*", "!gen/b.js", "**/deep", "deep/**",
    "*.js", "!src/", "src/**/c.go", "# comment", "", "\\!a.py", "a.p?", "[ab].*", "lib/*", "!lib/a.py", "doc*/",
    "[", "*[", "[a", "[]", "[]]*", "[!a", "[!a]*", "[^]a]b", "[a-]*", "[b-a]", "[[:alpha:]]*", "[[:nosuch:]]*",
    "a.py\\", "\\", "\\[a", "[\\]a]*", "src\\/a.py", "***", "a**", "**/", "/**", "src/**/", "**/a*/**/*y", "*a*p*",
    "[[:digit:]", "/", "//", "lib//a.py", "./a.py", "a.py ", "a.py\t", "b\\ ", "b\\  ", "?", "*/*", "*/", "-", "\\!a",
    "src/gen**/*.py", "src/gen**", "***/z.py", "src/***/c.go", "src/gen***/deep/*", "src**//a.py", "**\\/deep", "É.py",
    "??.py", "?.py", "é.*", "[é].py", "[!a][!b].py", "src/?/", "src/[[:alpha:]]*/", "/src/é/**", "a.py\0b", "\0",
    "/build/[Y-Z]*", "src/GEN*/**", "BUILD/", "Z.PY", "é.PY", "src/**\\/*.py",
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
    everywhere=st.lists(st.sampled_from(PATTERNS), max_size=2),
    folds=st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_agrees_with_git(
    tmp_path_factory: pytest.TempPathFactory,
    rules: dict[str, list[str]],
    excluded: list[str],
    everywhere: list[str],
    folds: bool,
) -> None:
    home = tmp_path_factory.mktemp("home")
    root = home / "repository"
    subprocess.run(["git", "init", "-q", root], check=True)
    (home / ".gitconfig").write_text(f"[core]\n\texcludesFile = ~/everywhere\n\tignoreCase = {str(folds).lower()}\n")
    (home / "everywhere").write_text("\n".join(everywhere) + "\n")
    for file in FILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x = 1\n")
    for folder, lines in rules.items():
        (root / folder / ".gitignore").write_text("\n".join(lines) + "\n")
    (root / ".git" / "info" / "exclude").write_text("\n".join(excluded) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
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


@pytest.mark.parametrize("folds", [False, True])
def test_agrees_with_git_on_each_pattern(tmp_path: Path, folds: bool) -> None:
    """Each by itself, so that none hides what another one decides."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "config", "core.ignorecase", str(folds)], check=True)
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x = 1\n")
    for pattern in PATTERNS:
        (tmp_path / ".gitignore").write_text(f"{pattern}\n")
        assert kept_by_us(tmp_path) == kept_by_git(tmp_path), pattern


@pytest.mark.parametrize(
    ("config", "file"),
    [
        (None, ".config/git/ignore"),
        ('[user]\n\tname = "a # b"\n[Core] ; comment\n\tExcludesFile = "~/my \\"rules\\"" # mine\n', 'my "rules"'),
        ("[core] excludesfile = ~/a\\\nb\n", "ab"),
        ("[include]\n\tpath = other\n", "included"),
    ],
)
def test_agrees_with_git_on_the_rules_for_all_repositories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str | None, file: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    root = tmp_path / "work"
    subprocess.run(["git", "init", "-q", root], check=True)
    (root / "a.py").write_text("")
    (root / "b.js").write_text("")
    if config is not None:
        (tmp_path / ".gitconfig").write_text(config)
    (tmp_path / "other").write_text("[core]\n\texcludesFile = ~/included\n")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("/a.py\n")
    assert kept_by_us(root) == kept_by_git(root) == {"b.js"}
    (root / ".gitignore").write_text("!a.py\n")
    assert kept_by_us(root) == kept_by_git(root) == {"a.py", "b.js"}


def test_settings_of_git_that_make_no_sense_do_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("a.py\n")
    again = "".join(f"\tpath = config\n\tpath = ./other{number}\n" for number in range(1_000))
    for number in range(1_000):
        (tmp_path / ".git" / f"other{number}").write_text(f"[include]\n{again}" if number < 3 else "")
    for text in (
        f"[include]\n{again}",
        '[core\n]\n= x\n[core]\nexcludesFile = "a\0\\\n',
        "[core]\nexcludesFile = ~nobody-\n",
    ):
        (tmp_path / ".git" / "config").write_text(text)
        rules = IgnoreRules(tmp_path)
        assert rules.ignores_below("a.py")
        assert not rules.ignores_below("b.py")
        assert not rules.is_outdated()


def test_an_ignore_file_that_is_a_link_is_not_followed_as_git_does(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "a.py").write_text("")
    (tmp_path / "rules").write_text("a.py\n")
    (tmp_path / ".gitignore").symlink_to("rules")
    assert kept_by_us(tmp_path) == {"a.py"} <= kept_by_git(tmp_path)


def test_long_ignore_files_and_long_rules_are_obeyed(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in ("a.py", "z.py", "b.js"):
        (tmp_path / name).write_text("")
    lines = "".join(f"generated/number{number}.py\n" for number in range(60_000))
    (tmp_path / ".gitignore").write_text(f"{lines}z.py\n[{'a' * 5_000}].py\n")
    assert kept_by_us(tmp_path) == kept_by_git(tmp_path) == {"b.js"}


def test_all_is_left_out_where_there_are_more_rules_than_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / ".gitignore").write_text("#" * 4_000_000 + "\na.py\n")
    rules = IgnoreRules(tmp_path)
    assert rules.ignores_below("src/a.py")
    assert "src/.gitignore" in caplog.text
    assert not rules.ignores_below("b.py")


def test_rules_around_the_workspace_that_change_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "git").mkdir(parents=True)
    repository = tmp_path / "repository"
    root = repository / "part"
    root.mkdir(parents=True)

    def is_noticed(change: Callable[[], object]) -> bool:
        rules = IgnoreRules(root)
        rules.ignores_below("a.py")
        assert not rules.is_outdated()
        change()
        return rules.is_outdated()

    assert is_noticed(lambda: subprocess.run(["git", "init", "-q", repository], check=True))
    assert is_noticed(lambda: (repository / ".gitignore").write_text("a.py\n"))
    assert is_noticed(lambda: (repository / ".git" / "info" / "exclude").write_text("a.py\n"))
    assert is_noticed(lambda: (repository / ".git" / "config").write_text("[core]\nignorecase\n"))
    assert is_noticed(lambda: (tmp_path / "home" / "git" / "ignore").write_text("a.py\n"))
    assert is_noticed(lambda: (tmp_path / "home" / ".gitconfig").write_text("[core]\nexcludesFile = ~/other\n"))
    assert is_noticed(lambda: (tmp_path / "home" / "other").write_text("a.py\n"))
    assert not is_noticed(lambda: (repository / ".git" / "index.lock").write_text(""))


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
        ("a**/*a*a/" + "**/*a*a/" * 9 + "b", ("a" * 50 + "/") * 80 + "c", ("a" * 50 + "/") * 80 + "b"),
        ("**/" * 100_000 + "b", "a/" * 2000 + "c", "a/" * 2000 + "b"),
        ("*" * 300_000 + "b", "a" * 250, "a" * 250 + "b"),
        ("[" + "a-c" * 100_000 + "[:" * 100_000 + "a]*b", "ac", "ab"),
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


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_what_the_system_shows_as_files_is_no_part_of_the_whole_machine(tmp_path: Path) -> None:
    rules = IgnoreRules(Path("/"))
    assert rules.ignores("proc", is_folder=True) and rules.ignores_below("sys/kernel/a.py")
    assert not rules.ignores("home/proc", is_folder=True)
    assert not IgnoreRules(tmp_path).ignores("proc", is_folder=True), "a project may have a folder of that name"
