"""From source text to hits: what is found, in which order, and what is said about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server.config import Settings
from server.engine import Engine
from server.index import rank
from server.index.actions import is_action
from server.index.lexical import FieldWeights
from server.index.question import parse
from server.model import encoder
from server.snapshot import Snapshot
from server.types import Cancelled, CancelToken, Filter, Hit, Kind, Query, QuestionError, Similar

FILES = {
    "net/retry.py": (
        "import time\n\n\ndef call_with_backoff(request, attempts=5):\n"
        '    """Try again after growing pauses when the server is busy."""\n'
        "    for attempt in range(attempts):\n        try:\n            return request()\n"
        "        except ConnectionError:\n            time.sleep(2 ** attempt)\n"
    ),
    "net/client.js": (
        "/** Fetch a page and follow its redirects. */\nexport async function fetchPage(url) {\n"
        "  const response = await fetch(url);\n  return response.text();\n}\n"
    ),
    "auth/login.go": (
        "package auth\n\n// Authenticate checks the password of a user and opens a session.\n"
        "func (s *Service) Authenticate(user string, password string) (*Session, error) {\n"
        "\tif !s.hasher.Verify(user, password) {\n\t\treturn nil, errDenied\n\t}\n\treturn s.sessions.Open(user)\n}\n"
    ),
    "auth/User.java": (
        "package auth;\n\n/** A person who may log in. */\npublic class User {\n  private String name;\n"
        "  public String getName() { return name; }\n}\n"
    ),
    "tests/test_retry.py": (
        "def test_call_with_backoff_waits_longer_each_time():\n"
        '    """Try again after growing pauses when the server is busy."""\n'
        "    assert call_with_backoff(lambda: 1) == 1\n"
    ),
    "util/reset.py": (
        "class Cache:\n    def reset(self):\n        self.entries.clear()\n\n\n"
        "class User:\n    def reset(self):\n        self.password = None\n"
    ),
    "util/copy_one.py": (
        "def clamp(value, low, high):\n    if value < low:\n        return low\n    return min(value, high)\n"
    ),
    "util/copy_two.py": (
        "def limit(x, least, most):\n    if x < least:\n        return least\n    return min(x, most)\n"
    ),
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    root = tmp_path_factory.mktemp("work")
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    engine = Engine(Settings(workers=1), encoder.load(), tmp_path_factory.mktemp("data"))
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(60)
    yield engine.snapshot
    engine.close()


@pytest.fixture
def ask(snapshot: Snapshot) -> Callable[..., list[Hit]]:
    return lambda text, **filters: list(snapshot.search(Query(text, filter=Filter(**filters)), CancelToken()).hits)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("retry with exponential backoff", "call_with_backoff"),
        ("verify the password of a user", "Authenticate"),
        ("download a web page", "fetchPage"),
        ("callWithBackoff", "call_with_backoff"),
        ("Service.Authenticate", "Authenticate"),
        ("Service::Authenticate()", "Authenticate"),
        ("where is fetchPage defined", "fetchPage"),
        ("User.reset", "reset"),
        ("Cache::reset", "reset"),
        ("test for call_with_backoff", "test_call_with_backoff_waits_longer_each_time"),
        ("test_call_with_backoff_waits_longer_each_time", "test_call_with_backoff_waits_longer_each_time"),
        ("for attempt in range(attempts): time.sleep(2 ** attempt)", "call_with_backoff"),
    ],
)
def test_the_best_hit(ask: Callable[..., list[Hit]], question: str, name: str) -> None:
    assert ask(question)[0].name == name


def test_a_qualified_name_means_the_one_of_that_owner(ask: Callable[..., list[Hit]]) -> None:
    assert [ask(f"{owner}.reset")[0].container for owner in ("User", "Cache")] == ["User", "Cache"]


def test_a_hit_says_where_and_what_it_is(ask: Callable[..., list[Hit]]) -> None:
    hit = ask("authenticate a user")[0]
    assert (hit.path, hit.language, hit.kind, hit.container) == ("auth/login.go", "go", Kind.METHOD, "Service")
    assert hit.detail == "Authenticate checks the password of a user and opens a session."
    assert hit.signature.startswith("func (s *Service) Authenticate(")
    text = FILES[hit.path].encode()
    assert text[hit.name_span.start : hit.name_span.end] == b"Authenticate"
    assert hit.name_span.start_row == 3


def test_filters_act_before_the_list_is_cut(snapshot: Snapshot) -> None:
    for text in ("user", "user lang:java"):
        wanted = Filter(languages=frozenset({"java"})) if text == "user" else Filter()
        found = snapshot.search(Query(text, 3, wanted), CancelToken()).hits
        assert len(found) >= 2 and {hit.language for hit in found} == {"java"}
    assert {hit.path for hit in snapshot.search(Query("user path:auth/** -path:*.java"), CancelToken()).hits} == {
        "auth/login.go"
    }
    assert {hit.kind for hit in snapshot.search(Query("user kind:class"), CancelToken()).hits} == {Kind.CLASS}
    folder = snapshot.layers[0].folder
    scoped = Filter(scope=(folder, "net"))
    assert {hit.path.split("/")[0] for hit in snapshot.search(Query("user", filter=scoped), CancelToken()).hits} <= {
        "net"
    }


def test_nonsense_is_called_a_guess_and_a_good_answer_is_not(snapshot: Snapshot) -> None:
    assert snapshot.search(Query("sourdough pizza recipe"), CancelToken()).low_confidence
    assert not snapshot.search(Query("authenticate a user by password"), CancelToken()).low_confidence


def test_an_answer_without_a_chance_is_a_guess_whatever_its_words(snapshot: Snapshot) -> None:
    found = snapshot.search(Query("session path:net/**"), CancelToken())
    assert found.hits
    assert found.low_confidence
    _, matrix, _, _ = snapshot.candidates(parse(Query("authenticate a user by password")), CancelToken())
    certain = replace(rank.shipped(), doubt=np.zeros(len(rank.DOUBTS) + 1))
    best = float(certain.scores(matrix).max())
    assert not replace(certain, least_score=best - 0.01).is_guess(matrix)
    assert replace(certain, least_score=best + 0.01).is_guess(matrix)


def test_what_resembles_nothing_is_called_a_guess(snapshot: Snapshot) -> None:
    stranger = "def mix(frames):\n    return sum(frame.left ** 2 - frame.right for frame in frames) % 65536\n"
    assert snapshot.similar(Similar(text=stranger, language="python"), CancelToken()).low_confidence
    clone = "def clip(value, low, high):\n    if value < low:\n        return low\n    return min(value, high)\n"
    assert not snapshot.similar(Similar(text=clone, language="python"), CancelToken()).low_confidence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parse a date", True),
        ("how are routes registered", True),
        ("where do we validate the token", True),
        ("date parser", False),
        ("router", False),
        ("", False),
    ],
)
def test_questions_for_what_does_something(text: str, expected: bool) -> None:
    assert is_action(text) is expected


def test_a_folder_or_file_is_searched_alone(snapshot: Snapshot, tmp_path: Path) -> None:
    folder = snapshot.layers[-1].folder
    for scope, paths in (
        ("util", {"util/reset.py", "util/copy_one.py", "util/copy_two.py"}),
        ("util/reset.py", {"util/reset.py"}),
        ("uti", set()),
    ):
        found = snapshot.search(Query("reset limit", filter=Filter(scope=(folder, scope))), CancelToken())
        assert {hit.path for hit in found.hits} <= paths
        assert bool(found.hits) == bool(paths)
    within = Filter(scope=(folder, "util"), include=("*copy*",), exclude=("*two*",))
    found = snapshot.search(Query("limit", filter=within), CancelToken())
    assert {hit.path for hit in found.hits} == {"util/copy_one.py"}


def test_the_shares_of_the_words_add_up(snapshot: Snapshot) -> None:
    folder = snapshot.layers[0].folder
    for result in (
        snapshot.search(Query("check the password of a user", explain=True), CancelToken()),
        snapshot.search(Query("for attempt in range(attempts): time.sleep(2 ** attempt)", explain=True), CancelToken()),
        snapshot.similar(
            Similar(path=str(Path(folder, "net/retry.py")), start=40, end=40, explain=True), CancelToken()
        ),
    ):
        assert result.hits
        for hit in result.hits:
            assert hit.why is not None and hit.why.dense == hit.similarity
            assert sum(term.dense for term in hit.why.terms) == pytest.approx(hit.similarity, abs=1e-5)
            assert sum(term.lexical for term in hit.why.terms) == pytest.approx(hit.why.lexical, abs=1e-6)
            assert all(term.weight == pytest.approx(term.dense + term.lexical) for term in hit.why.terms)


def test_likeness_does_not_depend_on_what_a_ranker_learned_from_questions(snapshot: Snapshot) -> None:
    learned = replace(rank.shipped(), fields=FieldWeights.of((9.0, 9.0, 9.0, 9.0, 0.0, 0.0, 0.0), 2.4, 0.9))
    asked = Similar(text=FILES["util/copy_one.py"], language="python", explain=True)
    found = [each.similar(asked, CancelToken()) for each in (snapshot, replace(snapshot, ranker=lambda: learned))]
    assert found[0] == found[1]
    for hit in found[1].hits:
        assert hit.why is not None
        assert sum(term.lexical for term in hit.why.terms) == pytest.approx(hit.why.lexical, abs=1e-6)


def test_the_words_that_carried_a_hit_are_where_it_says(snapshot: Snapshot) -> None:
    hit = snapshot.search(Query("authenticates users by passwords", explain=True), CancelToken()).hits[0]
    assert hit.why is not None and hit.name == "Authenticate"
    text = FILES[hit.path].encode()
    spans = {term.term: term.span for term in hit.why.terms}
    shown = {word: text[span.start : span.end].decode() for word, span in spans.items() if span}
    shown.pop("by", None)
    assert shown == {"authenticates": "Authenticate", "users": "user", "passwords": "password"}
    place = spans["passwords"]
    assert place is not None and (place.start_row, place.start_column) == (2, len("// Authenticate checks the "))


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", 20),
        ("   ", 20),
        ("lang:python", 20),
        ("the of a", 20),
        ("🎉🎉", 20),
        ("如何做红烧肉", 20),
        ("كيف أطبخ الأرز", 200),
        ("((((", 1),
        ('"', 20),
        ("x" * 90_000, 20),
        ("word " * 15_000, 20),
        ("\x00\ud800", 20),
    ],
)
def test_odd_questions_are_answered(snapshot: Snapshot, text: str, limit: int) -> None:
    assert len(snapshot.search(Query(text, limit), CancelToken()).hits) <= limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("x", 0),
        ("x", 201),
        ("x" * 1_000_000, 20),
        ("lang:", 20),
        ("lang:klingon x", 20),
        ("kind:x", 1),
        ("x in:nowhere", 1),
        ('x path:"src', 20),
        ('lang:"python x', 20),
        ("-lang:go x", 20),
        ("x path:!", 20),
        ("x path:[a", 20),
        ("x path:src\\", 20),
        ("x" + " path:a*" * 51, 20),
    ],
)
def test_what_cannot_be_asked_is_explained(snapshot: Snapshot, text: str, limit: int) -> None:
    with pytest.raises(QuestionError, match=r"\w+ .* \w+"):
        snapshot.search(Query(text, limit), CancelToken())


def test_similar_finds_the_clone_first_and_never_the_place_itself(snapshot: Snapshot) -> None:
    folder = snapshot.layers[0].folder
    result = snapshot.similar(Similar(path=str(Path(folder, "util/copy_one.py")), start=40, end=40), CancelToken())
    assert result.origin is not None and result.origin.name == "clamp"
    assert result.hits[0].name == "limit"
    assert "clamp" not in {hit.name for hit in result.hits}


def test_a_selection_inside_a_function_is_what_is_compared(snapshot: Snapshot) -> None:
    path, text = "auth/login.go", FILES["auth/login.go"]
    start = text.index("return s.sessions.Open")
    place = Similar(path=str(Path(snapshot.layers[0].folder, path)), start=start, end=start + 24)
    result = snapshot.similar(place, CancelToken())
    assert result.origin is not None and result.origin.name == "Authenticate"
    assert "Authenticate" not in {hit.name for hit in result.hits}


def test_a_selection_beside_functions_leaves_them_among_the_hits(snapshot: Snapshot, tmp_path: Path) -> None:
    """Code of a module lies in no function: what is like it may well stand in the same file."""
    text = (
        "def clamp(value, low, high):\n    if value < low:\n        return low\n    return min(value, high)\n\n\n"
        "for value in range(9):\n    if value < low:\n        print(low)\n    print(min(value, high))\n\n\n"
        "def limit(x, least, most):\n    if x < least:\n        return least\n    return min(x, most)\n"
    )
    (tmp_path / "a.py").write_text(text)
    engine = Engine(Settings(workers=1), encoder.load(), tmp_path / "data")
    engine.add_folder(str(tmp_path))
    engine.start()
    assert engine.wait_idle(60)
    path, start = str(tmp_path / "a.py"), text.index("for value")

    def names(begin: int, end: int) -> list[str]:
        asked = Similar(path=path, start=begin, end=end)
        return [hit.name for hit in engine.snapshot.similar(asked, CancelToken()).hits]

    assert set(names(start, text.index("def limit"))) == {"clamp", "limit"}
    assert set(names(start, start)) == {"clamp", "limit"}
    assert set(names(text.index("if value"), text.index("return min"))) == {"limit"}
    assert set(names(text.index("return low"), text.index("print(low)"))) == {"limit"}
    engine.close()


def test_similar_to_a_snippet_that_is_in_no_file(snapshot: Snapshot) -> None:
    text = "int clip(int v, int lo, int hi) { if (v < lo) return lo; return min(v, hi); }"
    names = [hit.name for hit in snapshot.similar(Similar(text=text, language="c"), CancelToken()).hits]
    assert set(names[:2]) == {"clamp", "limit"}


@pytest.mark.parametrize("asked", [Similar(), Similar(text="  "), Similar(path="/nowhere/at/all.py"), Similar(limit=0)])
def test_what_cannot_be_compared_is_explained(snapshot: Snapshot, asked: Similar) -> None:
    with pytest.raises(QuestionError):
        snapshot.similar(asked, CancelToken())


def test_a_cancelled_search_stops(snapshot: Snapshot) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        snapshot.search(Query("user"), token)


COPY = (
    "def normalise_address(street, city, code):\n    parts = [street.strip().title(), city.strip().title()]\n"
    "    parts.append(code.replace(' ', '').upper())\n    return ', '.join(part for part in parts if part)\n"
)
OTHERS = {
    "shop/address.py": COPY
    + "\n\ndef normalise_street(street):\n    return street.strip().title().replace('Str.', 'Street')\n",
    "vendor/shop/address.py": COPY,
    "billing/address.py": COPY.replace("parts.append", "# the code\n    parts.append"),
    "warehouse/address.py": COPY.replace("', '.join", "'; '.join"),
    "shop/test_address.py": "def test_normalise_address():\n    assert normalise_address('a', 'b', 'c') == 'A, B, C'\n",
    "examples/address.py": (
        "from shop import normalise_address\n\n\ndef show():\n    print(normalise_address('a', 'b', 'c'))\n"
    ),
    "shop/parts.ts": (
        "export interface AddressNormaliser {\n  normaliseAddress(address: string): string;\n}\n\n"
        "export function cleanAddress(address: string): string {\n  return address.trim().toUpperCase();\n}\n"
    ),
    "shop/tree.rs": (
        "/// Keeps addresses.\npub trait AddressBook {\n    fn find(&self, name: &str) -> Option<String>;\n}\n"
    ),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    root = tmp_path_factory.mktemp("shop")
    for path, text in OTHERS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    engine = Engine(Settings(workers=1, exclude=()), encoder.load(), tmp_path_factory.mktemp("data"))
    engine.add_folder(str(root))
    engine.start()
    assert engine.wait_idle(60)
    yield engine.snapshot
    engine.close()


def asked(snapshot: Snapshot, text: str, **filters: object) -> list[Hit]:
    return list(snapshot.search(Query(text, filter=Filter(**filters)), CancelToken()).hits)  # type: ignore[arg-type]


def test_copies_are_one_hit_with_a_count_and_other_functions_stay(shop: Snapshot) -> None:
    hits = asked(shop, "normalise an address")
    copies = [hit for hit in hits if hit.name == "normalise_address"]
    indexed = {path for layer in shop.layers for path in layer.segment.paths if path.endswith("/address.py")}
    of_copy = {path for path in indexed if COPY[:40] in OTHERS[path]}
    assert len(copies) == 1 and copies[0].copies == len(of_copy) - 1 >= 2
    assert {"normalise_street", "cleanAddress"} <= {hit.name for hit in hits}


def test_find_similar_lists_every_clone_first(shop: Snapshot) -> None:
    place = str(Path(shop.layers[0].folder, "shop/address.py"))
    hits = shop.similar(Similar(path=place, start=5, end=5), CancelToken()).hits
    assert {hit.path for hit in hits[:2]} == {"billing/address.py", "warehouse/address.py"}
    assert all(hit.name == "normalise_address" and hit.copies == 0 for hit in hits[:2])
    assert not [hit for hit in hits if (hit.path, hit.name) == ("shop/address.py", "normalise_address")]


def test_tests_and_examples_come_first_when_asked_for_only(shop: Snapshot) -> None:
    assert asked(shop, "normalise an address")[0].path not in {"shop/test_address.py", "examples/address.py"}
    assert asked(shop, "tests for normalise_address")[0].path == "shop/test_address.py"
    assert asked(shop, "example of normalise_address")[0].path == "examples/address.py"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("address kind:trait", {"AddressBook", "AddressNormaliser"}),
        ("address kind:fn lang:rs", {"find"}),
        ("address in:name lang:ts", {"AddressNormaliser", "normaliseAddress", "cleanAddress"}),
        ("addresses in:doc", {"AddressBook"}),
    ],
)
def test_filters_by_kind_language_and_field(shop: Snapshot, text: str, names: set[str]) -> None:
    assert {hit.name for hit in asked(shop, text) if hit.kind != Kind.MODULE} <= names
    assert asked(shop, text)


def test_an_unknown_language_is_an_error_and_an_alias_is_not(shop: Snapshot) -> None:
    with pytest.raises(QuestionError, match="klingon"):
        asked(shop, "address", languages=frozenset({"klingon"}))
    with pytest.raises(QuestionError, match="klingon"):
        shop.similar(Similar(text="x = 1", filter=Filter(languages=frozenset({"klingon"}))), CancelToken())
    assert {hit.language for hit in asked(shop, "address", languages=frozenset({"ts"}))} == {"typescript"}


def test_a_narrow_filter_still_fills_the_list(tmp_path: Path) -> None:
    """What passes lies far behind the best candidates of the whole folder."""
    for number in range(400):
        text = f"def send_mail_{number}(to):\n    smtp.deliver(to, {number})\n"
        (tmp_path / f"mail{number}.py").write_text(text)
    (tmp_path / "rare").mkdir()
    for number in range(30):
        (tmp_path / "rare" / f"other{number}.py").write_text(
            f"def turn_{number}(wheel):\n    return wheel + {number}\n"
        )
    engine = Engine(Settings(workers=1), encoder.load(), tmp_path / ".cache-of-test")
    engine.add_folder(str(tmp_path))
    engine.start()
    assert engine.wait_idle(60)
    hits = engine.snapshot.search(Query("send mail path:rare/**"), CancelToken()).hits
    engine.close()
    assert len(hits) == 20 and all(hit.path.startswith("rare/") for hit in hits)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("open a file lnag:go", "lang:go"),
        ("open a file -paths:src/**", "-path:src/**"),
        ("open a file Lang:Go", "lang:Go"),
        ("open a file language:go", "lang:go"),
        ("open a file type:class", "kind:class"),
    ],
)
def test_a_misspelt_filter_is_noticed(snapshot: Snapshot, query: str, meant: str) -> None:
    (notice,) = snapshot.search(Query(query), CancelToken()).notices
    assert f"did you mean {meant}?" in notice


@pytest.mark.parametrize(
    "query", ["math:sqrt of a number", "std::sort", "see https://x.org", "note: a file", "foo:bar", "12:30"]
)
def test_words_with_a_colon_are_words(snapshot: Snapshot, query: str) -> None:
    assert snapshot.search(Query(query), CancelToken()).notices == ()


@pytest.mark.parametrize(
    ("query", "notice"),
    [
        ("password lang:cobol", "there is no language 'cobol'"),
        ("password lang:pyton", "did you mean 'python'?"),
        ("password kind:methd", "did you mean 'method'?"),
        ("password in:nmae", "did you mean 'name'?"),
        ("password in:dco", "did you mean 'doc'?"),
        ("password lang:qqqqqq", "there is no language 'qqqqqq'. `sextant status` lists"),
        ("password kind:qqqqqq", "there is no kind 'qqqqqq'. Kinds: module, "),
    ],
)
def test_an_unknown_value_of_a_filter_is_told_with_what_is_near(snapshot: Snapshot, query: str, notice: str) -> None:
    with pytest.raises(QuestionError, match=re.escape(notice)):
        snapshot.search(Query(query), CancelToken())


@pytest.mark.parametrize(
    ("query", "notice"),
    [
        ("password lang:zig", "there is no zig here, only "),
        ("password kind:enum", "there is no enum here"),
        ("password lang:typescript", "there is no typescript here, only "),
        ("password lang:jupyter lang:ts", "there is no jupyter or typescript here, only "),
        ("password path:nowhere/**", "no file here matches path:nowhere/**"),
        ("password lang:python path:*.py -path:*.py", "no code here passes all of the filters"),
        ("lang:python", "only filters"),
    ],
)
def test_a_filter_that_lets_nothing_pass_is_named(snapshot: Snapshot, query: str, notice: str) -> None:
    found = snapshot.search(Query(query), CancelToken())
    assert found.hits == ()
    assert any(notice in each for each in found.notices), found.notices
    assert snapshot.search(Query("password lang:python"), CancelToken()).notices == ()


@pytest.mark.parametrize("query", ["x lang:qqqqqq", "x kind:qqqqqq", "x in:qqqqqq"])
def test_messages_about_filters_are_short(snapshot: Snapshot, query: str) -> None:
    with pytest.raises(QuestionError) as told:
        snapshot.search(Query(query), CancelToken())
    assert len(str(told.value)) < 160
