"""The encoder, its shipped weights, and the trainer that makes such weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from server.index.extract import extract
from server.model import (
    asked,
    benchmarks,
    clones,
    compare,
    corpus,
    data,
    distill,
    encoder,
    letters,
    measures,
    merge,
    negatives,
    prose,
    tokens,
    train,
)
from server.model.encoder import QUERY, BagEncoder, ModelError, Weights
from server.model.network import BagNetwork, Batch, pair_loss, teacher_loss
from server.model.snapshots import Change
from server.model.vocabulary import Vocabulary
from server.types import Kind, Passage

SERVER = Path(__file__).parents[2] / "server"


@pytest.fixture(scope="module")
def base() -> BagEncoder:
    return encoder.load()


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    """The units of this project: real code with and without documentation."""
    files = sorted(SERVER.rglob("*.py"))
    found = [unit.passage for path in files for unit in extract(path.read_bytes(), "python", path.name)]
    assert len(found) > 100
    return found


@pytest.fixture(scope="module")
def pairs() -> data.Corpus:
    """Training records cut from this project."""
    files = [(str(path), path.read_bytes()) for path in sorted((SERVER / "model").glob("*.py"))]
    found = list(corpus.records(files))
    assert len(found) > 40
    return data.Corpus(found, ["sextant"] * len(found))


def test_torch_and_numpy_agree(base: BagEncoder, passages: list[Passage]) -> None:
    texts = [enumerate(passage.fields()) for passage in passages] + [[(QUERY, "read a file that may be missing")]]
    bags = encoder.count(base.vocabulary, [list(parts) for parts in texts])
    with torch.no_grad():
        expected = BagNetwork(base.weights, 0.05)(Batch.of(bags, torch.device("cpu"))).numpy()
    found = base.sums(
        [enumerate(passage.fields()) for passage in passages] + [[(QUERY, "read a file that may be missing")]]
    )
    assert np.abs(found - expected).max() < 1e-5


def test_a_row_does_not_depend_on_its_neighbours(base: BagEncoder, passages: list[Passage]) -> None:
    together = base.encode(passages)
    backwards = base.encode(passages[::-1])[::-1]
    alone = np.concatenate([base.encode([passage]) for passage in passages])
    assert together.tobytes() == alone.tobytes() == backwards.tobytes()


def test_rows_are_unit_vectors_that_float16_holds(base: BagEncoder, passages: list[Passage]) -> None:
    vectors = base.encode(passages)
    assert vectors.dtype == np.float32 and vectors.shape == (len(passages), base.dimensions)
    assert np.array_equal(vectors, vectors.astype(np.float16).astype(np.float32))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)


@pytest.mark.parametrize(
    "text", ["", "   \n", "\0\0", "+-*/ ()[]{}", "\ud800", "日本語" * 3, "x" * 100_000, "1" * 5_000]
)
def test_odd_texts_give_finite_rows(base: BagEncoder, text: str) -> None:
    vectors = np.stack([base.encode_query(text), base.encode([Passage(name=text, body=text)])[0]])
    assert np.isfinite(vectors).all()
    assert ((np.abs(np.linalg.norm(vectors, axis=1) - 1) < 2e-3) | (vectors == 0).all(axis=1)).all()


def test_no_passages_and_unknown_words_give_no_direction(base: BagEncoder) -> None:
    assert base.encode([]).shape == (0, base.dimensions)
    assert not base.encode_query("").any() and not base.encode([Passage()]).any()
    assert base.explain("", base.encode_query("send an email")) == []


@pytest.mark.parametrize(
    "text",
    [
        "send an email",
        "sendEmail send_email email",
        "how to parse parse parse JSON in Go",
        "convert an int to a string , intToString",
    ],
)
def test_explanation_adds_up_to_the_cosine(base: BagEncoder, passages: list[Passage], text: str) -> None:
    for vector in base.encode(passages[:20]):
        why = base.explain(text, vector)
        assert {word for word, _ in why} == set(text.replace(",", "").split())
        assert sum(weight for _, weight in why) == pytest.approx(float(base.encode_query(text) @ vector), abs=1e-6)


@pytest.mark.parametrize(
    ("question", "name", "reversed_name"),
    [
        ("int to string", "int_to_string", "string_to_int"),
        ("convert a string into an int", "string_to_int", "int_to_string"),
        ("celsius from fahrenheit", "fahrenheitToCelsius", "celsiusToFahrenheit"),
    ],
)
def test_what_comes_from_what_is_kept(base: BagEncoder, question: str, name: str, reversed_name: str) -> None:
    right, wrong = base.encode(
        [Passage(one, "", f"def {one}(value)", "", "return value") for one in (name, reversed_name)]
    )
    asked = base.encode_query(question)
    assert asked @ right > asked @ wrong + 0.01
    assert right @ wrong < 0.98


def test_order_is_read_across_articles_pieces_and_at_the_ends() -> None:
    vocabulary = Vocabulary(["to", "from", "a", "int", "float", "##ing", "text"])
    size, ids = len(vocabulary), vocabulary.ids
    to, _, article, whole, real, inner, text = range(7)
    assert vocabulary.ordered(ids("int text")) == []
    assert ids("floating to a text") == [real, inner, to, article, text]
    assert vocabulary.ordered(ids("floating to a text")) == [real + size, inner + size, text + 2 * size]
    assert vocabulary.ordered(ids("text from a floating")) == [real + size, inner + size, text + 2 * size]
    assert vocabulary.ordered(ids("to")) == vocabulary.ordered(ids("from to")) == []
    assert vocabulary.ordered(ids("to int")) == [whole + 2 * size]
    assert vocabulary.ordered(ids("a to a")) == []
    assert Vocabulary(["int", "string"]).ordered([0, 1]) == []


MEANINGS = [
    (
        "send an email",
        Passage("deliver", "Mailer", "def deliver(self, message)", "", "smtplib.SMTP(self.host).sendmail(message)"),
        Passage("render", "Page", "def render(self, template)", "", "return template.format(**self.values)"),
    ),
    (
        "remove duplicates from a list",
        Passage("unique", "", "def unique(items)", "", "seen = set()\nreturn [x for x in items if not (x in seen)]"),
        Passage("connect", "", "def connect(host, port)", "", "sock = socket.create_connection((host, port))"),
    ),
    (
        "wait until the server is up",
        Passage("poll_ready", "", "def poll_ready(url, timeout)", "", "while not ping(url):\n    time.sleep(0.1)"),
        Passage("to_hex", "", "def to_hex(color)", "", "return '#%02x%02x%02x' % color"),
    ),
    (
        "delete a directory and everything in it",
        Passage("rmtree", "", "func rmtree(path string) error", "", "return os.RemoveAll(path)"),
        Passage("median", "", "func median(values []float64) float64", "", "sort.Float64s(values); return values[n/2]"),
    ),
    (
        "encrypt a password",
        Passage("hashSecret", "", "function hashSecret(plain)", "", "return bcrypt.hash(plain, salt)"),
        Passage("drawCircle", "", "function drawCircle(x, y, r)", "", "context.arc(x, y, r, 0, 2 * Math.PI)"),
    ),
    (
        "run a shell command and capture its output",
        Passage("execute", "", "def execute(argv)", "", "return subprocess.run(argv, stdout=PIPE).stdout.decode()"),
        Passage("transpose", "", "def transpose(matrix)", "", "return list(zip(*matrix))"),
    ),
]


@pytest.mark.parametrize(("question", "right", "wrong"), MEANINGS, ids=[question for question, _, _ in MEANINGS])
def test_shipped_weights_know_meanings(base: BagEncoder, question: str, right: Passage, wrong: Passage) -> None:
    asked = base.encode_query(question)
    near, far = base.encode([right, wrong]) @ asked
    assert near > far + 0.05


def test_documentation_in_own_words_is_found(base: BagEncoder, passages: list[Passage]) -> None:
    """Each documented unit of this project, without its documentation, among all of them."""
    known = [passage for passage in passages if prose.question(passage.documentation) and passage.body]
    bare = [Passage(one.name, one.container, one.signature, "", one.body) for one in known]
    questions = [prose.question(passage.documentation) for passage in known]
    own = np.arange(len(known))
    found = measures.mrr(measures.cosines(base, questions, bare), own)
    assert found > 1.2 * measures.mrr(measures.cosines(measures.untrained(base, bare), questions, bare), own)


def test_ties_count_against_the_answer() -> None:
    assert measures.mrr(np.zeros((2, 4)), np.array([0, 1])) == 0.25
    assert measures.mrr(np.eye(3), np.arange(3)) == 1.0


def test_pools_have_one_size_whatever_the_number_of_questions(passages: list[Passage]) -> None:
    records = [
        corpus.Record("python", 12, f"f{n}", "", f"def f{n}()", "", "", f"body {n}", str(n)) for n in range(1500)
    ]
    records = [replace(one, question=f"what {one.name} does") if n % 4 == 0 else one for n, one in enumerate(records)]
    tasks = list(benchmarks.documentation(data.Corpus(records, ["a/b"] * len(records))))
    assert sum(len(task.questions) for task in tasks) == 375
    for task in tasks:
        assert len(task.passages) == benchmarks.CANDIDATES == len({one.name for one in task.passages})
        for question, own in zip(task.questions, task.own.tolist(), strict=True):
            assert question == f"what {task.passages[own].name} does"


def test_training_and_serving_cut_texts_alike(base: BagEncoder, pairs: data.Corpus) -> None:
    """What the trainer counts and the network makes of it is what the server encodes."""
    counted = data.counted(pairs, base.vocabulary)
    network = BagNetwork(base.weights, 0.1)
    with torch.no_grad():
        asked = network(Batch.of(counted.questions, torch.device("cpu"))).numpy()
        answers = network(Batch.of(counted.passages, torch.device("cpu"))).numpy()
    for number, record in enumerate(pairs.records):
        if record.question:
            assert np.abs(base.encode_query(record.question) - asked[number]).max() < 1e-3
    served = base.encode([data.passage(record) for record in pairs.records])
    assert np.abs(served - answers[: len(served)]).max() < 1e-3  # as far as float16 goes


def test_counting_in_processes_counts_the_same(
    base: BagEncoder, pairs: data.Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = data.counted(pairs, base.vocabulary)
    monkeypatch.setattr(data, "_RECORDS", 100)
    together = data.counted(pairs, base.vocabulary, processes=2)
    for name in ("questions", "names", "others", "passages"):
        for part in ("starts", "tokens", "fields", "counts"):
            assert np.array_equal(getattr(getattr(alone, name), part), getattr(getattr(together, name), part)), name
    for name in ("languages", "asked", "named", "about"):
        assert np.array_equal(getattr(alone, name), getattr(together, name)), name


def test_what_is_learned_of_a_word_is_learned_of_its_relatives() -> None:
    words = ["parse", "parser", "##arse", "draw", "zip"]
    found = letters.spelled(words)
    grams = [set(part.tolist()) for part in np.split(found.numbers, found.starts[1:])]
    assert len(grams[0] & grams[1]) > len(grams[0] & grams[2]) > 0 == len(grams[0] & grams[3])
    assert not grams[3] and not grams[4], "what no other token has is its own"
    rows = np.random.default_rng(0).standard_normal((len(words), 8)).astype(np.float32)
    weights = Weights(rows, np.ones(len(words), np.float32), np.ones(6, np.float32))
    network = BagNetwork(weights, 0.1, words)
    assert np.array_equal(network.weights().rows, rows), "letters begin with nothing"
    bags = encoder.count(Vocabulary(words), [[(QUERY, "parse")], [(QUERY, "draw")]])
    vectors = network(Batch.of(bags, torch.device("cpu")))
    (vectors[0] @ vectors[1]).backward()
    torch.optim.SGD(network.parameters(), lr=1.0).step()
    moved = np.abs(network.weights().rows - rows).max(axis=1)
    assert moved[0] > max(moved[1], moved[2]) > 0 and moved[3] > 0
    assert min(moved[1], moved[2]) > 0 == moved[4]


def test_all_of_a_network_computes_where_its_rows_are(base: BagEncoder, pairs: data.Corpus) -> None:
    """A GPU needs that; "meta" is a device as well, and refuses what lies elsewhere."""
    counted, meta = data.counted(pairs, base.vocabulary), torch.device("meta")
    network = BagNetwork(base.weights, 0.1, base.vocabulary.entries).to(meta)
    vectors = network(Batch.of(counted.questions, meta))
    answers = network(Batch.of(data.take(counted.passages, np.arange(len(counted))), meta))
    taught = teacher_loss(vectors, torch.zeros(len(counted), 384, device=meta), torch.zeros(384, 256, device=meta), 1.0)
    (pair_loss(vectors, answers, network.scale) + taught).backward()
    assert all(parameter.grad is not None and parameter.grad.device == meta for parameter in network.parameters())


def test_hard_negatives_are_other_records_of_the_language(pairs: data.Corpus) -> None:
    vocabulary = encoder.load().vocabulary
    counted = data.counted(pairs, vocabulary)
    network = BagNetwork(encoder.load().weights, 0.1)
    for found in (
        negatives.by_words(counted, counted.asked, np.random.default_rng(0)),
        negatives.by_model(network, counted, counted.asked, np.random.default_rng(0)),
    ):
        assert set(np.flatnonzero(found >= 0)) == set(counted.asked.tolist())
        assert (found[counted.asked] != counted.asked).all()
    settings = train.Settings(batch=16, hard=0.5)
    for step in train.steps(settings, 0, counted, found):
        assert len(step.rows) <= 1.5 * len(step.asked) + 0.5 and len(step.masked) == len(step.rows)
    assert any(len(step.rows) > len(step.asked) for step in train.steps(settings, 0, counted, found))


def test_rare_languages_are_drawn_more_often() -> None:
    languages = np.array([0] * 900 + [1] * 100, dtype=np.int32)
    rows, random = np.arange(1000), np.random.default_rng(0)
    assert sorted(data.sampled(languages, rows, 1.0, random)) == list(range(1000))
    drawn = data.sampled(languages, rows, 0.5, random)
    assert len(drawn) == 1000 and np.bincount(languages[drawn]).tolist() == [750, 250]
    assert np.bincount(drawn, minlength=1000)[900:].min() >= 2


def test_commits_ask_for_the_units_that_still_have_their_lines() -> None:
    units = [
        ("a.py", "def parse(text):\n    return tokenizer.read(text, strict=True)"),
        ("a.py", "def other():\n    return something_else_entirely()"),
    ]
    added = {"a.py": ["return tokenizer.read(text, strict=True)"]}
    said = [
        ("Ann", "parser: refuse input with unknown tokens (#12)", added),
        ("Ann", "fix typo in parser of all tokens", added),
        ("renovate[bot]", "refuse the input of a parser", added),
        ("Ann", "refuse lines that nobody has any more", {"a.py": ["return gone_from_the_file()"]}),
        ("Ann", "change everything in all of the files", {f"{n}.py": ["x"] for n in range(9)} | added),
    ]
    found = list(asked.by_commits([Change(*one) for one in said], [*units, *((f"{n}.py", "pass") for n in range(9))]))
    assert found == [(0, "refuse input with unknown tokens")]


def test_tests_ask_for_the_one_unit_that_they_name_and_call() -> None:
    units = [
        ("parse_url", "return urlsplit(text)", False),
        ("parse", "return tree", False),
        ("test_parse_url_without_scheme", "assert parse_url('x').scheme == ''", True),
        ("test_parse_date_with_zone", "assert read('x')", True),
        ("test_parse_url", "assert parse_url('x')", True),
    ]
    assert list(asked.by_tests(units)) == [(0, "parse url without scheme")]


@pytest.mark.parametrize(
    ("language", "signature", "body", "expected"),
    [
        ("python", "def add(first, second):", "    total = first + second\n    return total", "v0 + v1"),
        ("javascript", "function add(first, second)", "{ const sum = first + second; return sum; }", "v0 + v1"),
        ("go", "func add(first int, second int) int", "{ sum := first + second; return sum }", "v0 + v1"),
        ("python", "def run():", "    execute(everything)", ""),
        ("proto3", "message Sum", "{ int32 first = 1; int32 second = 2; reserved first, second; }", ""),
    ],
)
def test_clones_keep_all_but_variables(language: str, signature: str, body: str, expected: str) -> None:
    clone = clones.renamed(signature, body, language)
    assert expected in clone and bool(expected) == bool(clone)
    if clone:
        assert "add(" in clone and "first" not in clone and "second" not in clone


def damaged_copy(folder: Path, file: str, data: bytes) -> Path:
    folder.mkdir()
    for name in (encoder.WEIGHTS_FILE, encoder.VOCABULARY_FILE):
        (folder / name).write_bytes((SERVER / "model" / "base" / name).read_bytes())
    (folder / file).write_bytes(data)
    return folder


def test_damaged_models_are_refused_with_a_reason(tmp_path: Path) -> None:
    weights = (SERVER / "model" / "base" / encoder.WEIGHTS_FILE).read_bytes()
    words = (SERVER / "model" / "base" / encoder.VOCABULARY_FILE).read_bytes()
    cases = [
        (encoder.WEIGHTS_FILE, b""),
        (encoder.WEIGHTS_FILE, weights[: len(weights) // 2]),
        (encoder.WEIGHTS_FILE, b"\xff" * 4096),
        (encoder.VOCABULARY_FILE, b""),
        (encoder.VOCABULARY_FILE, words[: len(words) // 2]),
        (encoder.VOCABULARY_FILE, b"\xff\xfe" + words),
        (encoder.VOCABULARY_FILE, words + words[:100]),
    ]
    for number, (file, content) in enumerate(cases):
        with pytest.raises(ModelError, match="damaged"):
            encoder.load(damaged_copy(tmp_path / str(number), file, content))
    with pytest.raises(ModelError, match="No model can be read"):
        encoder.load(tmp_path / "nowhere")


def test_fingerprint_follows_weights_and_vocabulary(base: BagEncoder, tmp_path: Path) -> None:
    copy = damaged_copy(
        tmp_path / "same",
        encoder.VOCABULARY_FILE,
        (SERVER / "model" / "base" / encoder.VOCABULARY_FILE).read_bytes(),
    )
    assert encoder.load(copy).fingerprint == base.fingerprint
    other = base.weights.fields.copy()
    other[0] += 1
    encoder.save(copy, base.vocabulary, encoder.Weights(base.weights.rows, base.weights.importance, other))
    assert encoder.load(copy).fingerprint != base.fingerprint


def test_serving_imports_neither_torch_nor_tokenizers() -> None:
    code = (
        "import sys; from server.model import encoder; encoder.load().encode_query('read a file');"
        "sys.exit(','.join({'torch', 'tokenizers', 'ray', 'pygls'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30, cwd=SERVER.parent
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_training_falls_and_resumes_to_the_same_result(pairs: data.Corpus, tmp_path: Path) -> None:
    settings = train.Settings(dimensions=32, vocabulary=600, epochs=4, batch=16, threads=1)
    losses = train.run(settings, pairs, tmp_path / "whole")
    assert losses[-1] < 0.8 * losses[0]
    with pytest.raises(KeyboardInterrupt):
        train.run(settings, pairs, tmp_path / "broken", after_epoch=interrupt_after(2))
    assert not (tmp_path / "broken").exists()
    assert train.run(settings, pairs, tmp_path / "broken") == losses
    for name in (encoder.WEIGHTS_FILE, encoder.VOCABULARY_FILE):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    trained = encoder.load(tmp_path / "broken")
    assert trained.dimensions == 32 and trained.encode_query("read the weights").any()


def test_training_goes_on_from_an_earlier_model_with_more_words(pairs: data.Corpus, tmp_path: Path) -> None:
    settings = train.Settings(dimensions=32, vocabulary=600, epochs=1, batch=16, threads=1)
    train.run(settings, pairs, tmp_path / "earlier")
    earlier = encoder.load(tmp_path / "earlier")
    more = Vocabulary([*earlier.vocabulary.entries[::-1], "entirely", "new"])
    fresh = train.start(settings, more, data.counted(pairs, more), None)
    weights = train.extended(earlier, more, fresh, None)
    number = more.entries.index(earlier.vocabulary.entries[7])
    assert np.array_equal(weights.rows[number], earlier.weights.rows[7])
    assert np.array_equal(weights.rows[-2:], fresh.rows[-2:])
    BagEncoder(more, weights, "x").encode_query("entirely new")
    slow = replace(settings, rate=1e-6)
    train.run(slow, pairs, tmp_path / "later", vocabulary=more, earlier=earlier)
    later = encoder.load(tmp_path / "later")
    for text in ("read the weights", "a folder of records"):
        assert later.encode_query(text) @ earlier.encode_query(text) > 0.99


def interrupt_after(epochs: int) -> Callable[[int], None]:
    def check(done: int) -> None:
        if done == epochs:
            raise KeyboardInterrupt

    return check


def test_models_from_different_starts_merge_into_one_that_agrees_with_both(
    pairs: data.Corpus, passages: list[Passage], tmp_path: Path
) -> None:
    words = Vocabulary(sorted({word for one in pairs.records for word in tokens.subtokens(one.body)}))
    parts = []
    for seed in (1, 2):
        settings = train.Settings(dimensions=32, epochs=3, batch=16, threads=1, seed=seed)
        train.run(settings, pairs, tmp_path / str(seed), vocabulary=words)
        parts.append(str(tmp_path / str(seed)))
    assert merge.main([*parts, "--out", str(tmp_path / "both")]) == 0
    one, two, both = (encoder.load(Path(folder)) for folder in (*parts, str(tmp_path / "both")))
    # The starts were random, so that a plain mean would be noise; a turned copy of a model merges into the model.
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((32, 32)))[0].astype(np.float32)
    turned = replace(one.weights, rows=one.weights.rows @ turn)
    again = BagEncoder(words, merge.merged([one.weights, turned], [1, 1]), "x").encode(passages[:50])
    assert np.abs(again @ again.T - one.encode(passages[:50]) @ one.encode(passages[:50]).T).max() < 0.05
    likeness = [model.encode(passages[:50]) @ model.encode(passages[:50]).T for model in (one, two, both)]
    near = [np.corrcoef(likeness[2].ravel(), other.ravel())[0, 1] for other in likeness[:2]]
    assert min(near) > np.corrcoef(likeness[0].ravel(), likeness[1].ravel())[0, 1]
    with pytest.raises(SystemExit):
        merge.main([parts[0], str(SERVER / "model" / "base"), "--out", str(tmp_path / "no")])
    with pytest.raises(SystemExit):
        merge.main([*parts, "--shares", "1", "--out", str(tmp_path / "no")])


def test_the_gate_refuses_a_model_that_answers_worse(
    base: BagEncoder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = [
        ("parse_date", "read a date from text"),
        ("send_mail", "mail a letter"),
        ("draw_circle", "paint a ring"),
    ]
    codes = [f"def {name}(value):\n    return {name}_now(value)\n" for name, _ in functions]
    (tmp_path / "cosqa-codes.json").write_text(json.dumps(codes))
    asked = [{"query": text, "code_index": number} for number, (_, text) in enumerate(functions)]
    (tmp_path / "cosqa-dev-500.json").write_text(json.dumps(asked))
    (tmp_path / "checkouts" / "one").mkdir(parents=True)
    for (name, _), code in zip(functions, codes, strict=True):
        (tmp_path / "checkouts" / "one" / f"{name}.py").write_text(code)
    (tmp_path / "repos.json").write_text(json.dumps([{"name": "one", "language": "python"}]))
    questions = [
        {"query": text, "category": "semantic", "relevant": [{"path": f"{name}.py"}], "secondary": []}
        for name, text in functions
    ]
    (tmp_path / "one.json").write_text(json.dumps(questions))
    noise = np.random.default_rng(0).standard_normal(base.weights.rows.shape).astype(np.float32)
    encoder.save(tmp_path / "noise", base.vocabulary, replace(base.weights, rows=noise))
    places = ["--cosqa", str(tmp_path), "--repos", str(tmp_path / "repos.json")]
    places += ["--annotations", str(tmp_path), "--checkouts", str(tmp_path / "checkouts")]
    good, bad = str(SERVER / "model" / "base"), str(tmp_path / "noise")
    assert compare.main([good, good, *places]) == 0
    assert "accepted" in capsys.readouterr().out
    assert compare.main([bad, good, *places]) == 0
    assert compare.main([good, bad, *places]) == 1
    assert "refused: worse on CoSQA dev, MRR" in capsys.readouterr().out


def test_a_checkpoint_of_other_settings_is_refused(pairs: data.Corpus, tmp_path: Path) -> None:
    settings = {"dimensions": 16, "vocabulary": 500, "epochs": 1, "batch": 16, "threads": 1}
    train.run(train.Settings(**settings), pairs, tmp_path / "model")
    with pytest.raises(ValueError, match="other settings"):
        train.run(train.Settings(**settings, seed=2), pairs, tmp_path / "model")


def test_a_checkpoint_that_does_not_fit_is_refused(pairs: data.Corpus, tmp_path: Path) -> None:
    settings = train.Settings(dimensions=16, vocabulary=500, epochs=1, batch=16, threads=1)
    train.run(settings, pairs, tmp_path / "model")
    checkpoint = tmp_path / "model.checkpoint"
    with pytest.raises(ValueError, match="other pairs"):
        train.run(settings, pairs, tmp_path / "model", vocabulary=Vocabulary(["read", "write"]))
    state = checkpoint / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ValueError, match="damaged"):
        train.run(settings, pairs, tmp_path / "model")


def test_nothing_to_learn_is_said(tmp_path: Path) -> None:
    code = b'def f():\n    """Say what it is."""\n    return alpha + beta + gamma + delta + epsilon\n'
    alone = corpus.records([("a.py", code)])
    with pytest.raises(ValueError, match="no word to learn"):
        train.run(train.Settings(), data.Corpus(alone, ["one"] * len(alone)), tmp_path / "model")


@pytest.mark.parametrize(
    "wrong",
    ["--names .75 --others .25", "--names -1", "--temperature 0", "--smoothing 2", "--name-dropout 2", "--hard -1"],
)
def test_settings_that_make_no_sense_are_refused(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--pairs", str(tmp_path), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit):
        train.main([*places, *wrong.split()])
    assert wrong.split(maxsplit=1)[0] in capsys.readouterr().err


def test_records_mask_names_and_drop_documentation(pairs: data.Corpus) -> None:
    record = next(record for record in pairs.records if record.name == "held_out" and "bool" in record.signature)
    assert record.question == "Tell whether a repository is kept from training"
    assert "held_out" in record.signature and "held_out" not in data.masked(record).signature
    counted = data.counted(pairs, encoder.load().vocabulary)
    everything = np.arange(2 * len(counted))
    bare = data.take(counted.passages, everything, np.full(len(everything), True))
    documentation = 3
    assert (counted.passages.fields == documentation).any() and not (bare.fields == documentation).any()
    assert len(bare.starts) == len(counted.passages.starts)


@pytest.mark.parametrize(
    ("documentation", "question"),
    [
        ("Return the sum of two numbers.\n\n:param a: one", "Return the sum of two numbers"),
        ("@brief  Opens `path` for {@link Reader} use\n@param path", "Opens path for Reader use"),
        ('<summary>\nGets the <see cref="Name"/> of a user\n</summary>', "Gets the Name of a user"),
        ("Gibt die Summe der Zahlen zurück und nicht das Produkt", ""),
        ("TODO: write this up", ""),
        ("返回两个数字的和", ""),
        ("x = [1, 2, 3]; y = {4: 5}", ""),
        ("Args:\n  a: one", ""),
        ("Sort.", ""),
    ],
)
def test_first_paragraph_becomes_a_question(documentation: str, question: str) -> None:
    assert prose.question(documentation) == question


def test_corpus_is_cut_from_a_git_snapshot(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots" / "someone+thing" / "repo"
    folder.mkdir(parents=True)
    (folder / "vendor").mkdir()
    code = (SERVER / "model" / "vocabulary.py").read_bytes()
    (folder / "vocabulary.py").write_bytes(code)
    (folder / "vendor" / "copied.py").write_bytes(code.replace(b"Cache", b"Store"))
    (folder / "again.py").write_bytes(code)
    (folder / "made.py").write_bytes(b"# Code generated by a tool. DO NOT EDIT.\n" + code.replace(b"def ", b"def x"))
    (folder / "broken.py").write_bytes(b"\xff\0\xfe def f(")
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    (folder / "vocabulary.py").write_bytes(
        code + b"\n\ndef first_letters(words):\n    return [w[0] for w in words if w]\n"
    )
    subprocess.run([*git, "commit", "-qam", "Add the first letters of words"], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    listed = [{"repository": "someone/thing", "commit": head, "licence": "MIT", "language": "python"}]
    (tmp_path / "manifest.json").write_text(json.dumps(listed))
    arguments = ["--manifest", tmp_path / "manifest.json", "--snapshots", tmp_path / "snapshots"]
    arguments += ["--out", tmp_path / "pairs", "--processes", "1"]
    assert corpus.main([str(argument) for argument in arguments]) == 0
    assert corpus.main([str(argument) for argument in (*arguments, "--held-out")]) == 0  # this one is not held out
    found = corpus.read(tmp_path / "pairs" / "someone+thing.jsonl.gz")
    expected = [
        unit.passage.name for unit in extract(code, "python", "vocabulary.py") if unit.kind not in {Kind.MODULE}
    ]
    assert [record.asked for record in found if record.name == "first_letters"] == [("Add the first letters of words",)]
    assert {record.name for record in found} <= {*expected, "first_letters"} and len(found) == len(
        {record.body for record in found}
    )
    assert "Return the token ids of one identifier or word" in {record.question for record in found}


def test_a_snapshot_that_is_missing_is_told_and_the_others_are_cut(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "snapshots" / "pallets+jinja" / "repo"
    folder.mkdir(parents=True)
    (folder / "vocabulary.py").write_bytes((SERVER / "model" / "vocabulary.py").read_bytes())
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    listed = [
        {"repository": name, "commit": commit, "licence": "MIT", "language": "python"}
        for name, commit in (("pallets/jinja", head), ("tokio-rs/bytes", head), ("someone/thing", head))
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(listed))
    arguments = ["--manifest", tmp_path / "manifest.json", "--snapshots", tmp_path / "snapshots", "--held-out"]
    arguments += ["--out", tmp_path / "pairs", "--processes", "1"]
    with caplog.at_level("INFO"):
        assert corpus.main([str(argument) for argument in arguments]) == 1
    assert "tokio-rs/bytes is not in" in caplog.text and "someone/thing" not in caplog.text
    assert [path.name for path in (tmp_path / "pairs").iterdir()] == ["pallets+jinja.jsonl.gz"]
    assert len(benchmarks.held_out(tmp_path / "pairs").records) > 3


def test_the_gate_refuses_what_was_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.fallen({"a": 0.5, "b": float("nan")}, {"a": 0.5, "b": float("nan")}) == ["b"]
    (tmp_path / "cosqa-dev-500.json").write_text('[{"query": "add numbers", "code_index": 0}]')
    (tmp_path / "cosqa-codes.json").write_text('["def add(a, b):\\n    return a + b\\n"]')
    (tmp_path / "repos.json").write_text('[{"name": "thing", "language": "python"}]')
    base = str(SERVER / "model" / "base")
    arguments = [base, base, "--cosqa", tmp_path, "--repos", tmp_path / "repos.json"]
    with pytest.raises(SystemExit) as end:
        compare.main([str(one) for one in (*arguments, "--annotations", tmp_path, "--checkouts", tmp_path / "nowhere")])
    assert end.value.code == 2 and "no repository of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--teacher", "nowhere"], "holds no vectors of a teacher"),
        (["--teacher-weight", "1"], "needs --teacher"),
        (["--epochs", "0"], "at least 1"),
        (["--continue", str(SERVER / "model" / "base"), "--dimensions", "128"], "give --dimensions 256"),
        (["--continue", "nowhere"], "give a folder that training wrote"),
    ],
)
def test_training_refuses_what_it_would_ignore(
    pairs: data.Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], complaint: str
) -> None:
    (tmp_path / "pairs").mkdir()
    corpus.write(tmp_path / "pairs" / "someone+thing.jsonl.gz", pairs.records)
    with pytest.raises(SystemExit):
        train.main(["--pairs", str(tmp_path / "pairs"), "--out", str(tmp_path / "model"), "--threads", "1", *given])
    assert complaint in capsys.readouterr().err


def test_a_sample_among_all_keeps_every_answer(pairs: data.Corpus) -> None:
    many = data.Corpus(pairs.records * 8, pairs.repositories * 8)
    whole, sample = benchmarks.among_all(many, 20), benchmarks.among_all(many, 20, 50)
    assert len(whole.passages) == len(many.records) > 400 and len(sample.passages) == 50
    assert sample.questions == whole.questions and len(sample.questions) == 20
    assert [sample.passages[own] for own in sample.own] == [whole.passages[own] for own in whole.own]


class OneAxis(distill.Teacher):
    """A teacher that needs no weights: texts by their length."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.read += texts
        return np.eye(384, dtype=np.float32)[[len(text) % 384 for text in texts]]


def test_what_a_teacher_has_read_is_kept(tmp_path: Path) -> None:
    teacher = OneAxis()
    first = distill.SentenceEncoder(teacher, tmp_path / "kept")
    send, ask = Passage("sendMail", body="smtp()"), "how to send"
    first.read([send, ask, send])
    assert sorted(teacher.read) == ["how to send", "send mail\nsmtp()"]
    again = distill.SentenceEncoder(teacher, tmp_path / "kept")
    for one in (first, again):
        assert one.encode([send, send]).argmax(axis=1).tolist() == [16, 16] and one.encode_query(ask).argmax() == 11
    assert len(teacher.read) == 2
    assert again.encode([Passage("a")]).argmax() == 1 and teacher.read[2:] == ["a"]
