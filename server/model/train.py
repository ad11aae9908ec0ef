"""The trainer: pairs (question, unit) and a teacher's vectors in, a model folder out."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from server.model import data, encoder, negatives
from server.model.data import Corpus, Counted
from server.model.encoder import BagEncoder, Weights
from server.model.lessons import Lessons
from server.model.network import BagNetwork, Batch, pair_loss, teacher_loss
from server.model.vocabulary import Vocabulary
from server.types import FIELDS

_log = logging.getLogger(__name__)

Chart = Callable[[str, float, int], None]
"""Takes the name of a curve, a value, and how many batches were done."""


def _setting(value: Any, told: str) -> Any:
    return field(default=value, metadata={"help": told})


@dataclass(frozen=True, slots=True)
class Settings:
    """What a training run depends on, besides its data."""

    dimensions: int = _setting(256, "length of a vector")
    vocabulary: int = _setting(30_000, "tokens to learn where there are no --words")
    epochs: int = _setting(4, "times that each question is asked")
    batch: int = _setting(1024, "pairs in one batch: each is a wrong answer to the others")
    rate: float = _setting(2e-3, "of Adam; falls in a straight line to nothing after a short rise")
    temperature: float = _setting(0.1, "that cosines are divided by where training starts")
    names: float = _setting(0.3, "share of batches that ask for a unit by its name, which is then masked in the unit")
    others: float = _setting(0.1, "share of batches that ask by what commits and tests say")
    smoothing: float = _setting(
        0.7, "of n questions of a language, n ** this are asked: 1 leaves languages as they are"
    )
    hard: float = _setting(
        0.0, "wrong answers that look right, beside each documentation of a batch: from BM25 and the model in turns"
    )
    name_dropout: float = _setting(
        0.2, "share of documented units whose name is masked, so that the model does not live on the overlap of names"
    )
    documentation_dropout: float = _setting(0.5, "share of the units asked for by name that lose their documentation")
    contrast: float = _setting(1.0, "weight of the pairs' loss; at 0 the teacher alone teaches")
    teacher: float = _setting(0.0, "weight of the teacher's loss; at 0 the teacher only gives the first rows")
    sharpness: float = _setting(20.0, "inverse temperature of the teacher's similarities within a batch")
    seed: int = _setting(1, "of all that is drawn")
    threads: int = _setting(2, "processors used")


FIELD_WEIGHTS = {"name": 3.0, "container": 1.0, "signature": 1.0, "documentation": 2.0, "body": 1.0}
"""Where training starts."""
_RARITY = 0.3
"""Tokens in a greater share of units than this count little at the start (a of SIF's a / (a + p))."""
_BOLD = 10.0
"""How much faster importance, fields and scale are learned: they are logarithms, not components of unit rows."""
_WARMUP = 0.05
"""Share of the run in which the rate rises."""
_DOCUMENTATION, _NAME, _OTHER = range(3)
"""Who asks."""
_EVERY = 10.0
"""Seconds between progress lines."""
_OTHER_WORK = (
    "--evaluate, --compare, --merge or --ranker as the first word do other work; each has a --help of its own."
)


@dataclass(frozen=True, slots=True)
class Step:
    """One batch: who asks, which records answer, and what is kept from their passages."""

    source: int
    """_DOCUMENTATION, _NAME or _OTHER"""
    asked: npt.NDArray[np.int64]
    """(n,) places in the source"""
    rows: npt.NDArray[np.int64]
    """(n + hard,) records: first the answers, then the wrong ones that look right"""
    masked: npt.NDArray[np.bool_]
    undocumented: npt.NDArray[np.bool_]


def main(argv: Sequence[str] | None = None) -> int:
    """Train a model from the corpus; a run that was stopped goes on from its last whole epoch."""
    parser = argparse.ArgumentParser(prog="sextant train", description=main.__doc__, epilog=_OTHER_WORK)
    parser.add_argument("--pairs", type=Path, required=True, help="what server.model.corpus wrote")
    parser.add_argument("--out", type=Path, required=True, help="the model folder; checkpoints go beside it")
    parser.add_argument(
        "--continue",
        type=Path,
        dest="earlier",
        help="model folder to go on from, at a lower --rate; --words may add words",
    )
    parser.add_argument("--teacher", type=Path, help="what server.model.distill wrote")
    parser.add_argument("--exclude", type=Path, help="JSON list of Python functions that must not be trained on")
    parser.add_argument("--tensorboard", type=Path, help="folder for TensorBoard's logs (needs tensorboard)")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=device, help="(default here: %(default)s)")
    parser.add_argument("--words", type=Path, help="vocabulary file to use (default: learn one of --vocabulary tokens)")
    for setting in fields(Settings):
        flag = {"teacher": "--teacher-weight"}.get(setting.name, f"--{setting.name.replace('_', '-')}")
        value, told = setting.default, f"{setting.metadata['help']} (default: {setting.default})"
        parser.add_argument(flag, type=type(value), default=value, dest=f"set_{setting.name}", metavar="N", help=told)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    settings = Settings(**{setting.name: getattr(options, f"set_{setting.name}") for setting in fields(Settings)})
    if min(settings.dimensions, settings.vocabulary, settings.epochs, settings.batch, settings.threads) < 1:
        parser.error("--dimensions, --vocabulary, --epochs, --batch and --threads are at least 1")
    if settings.names + settings.others >= 1 or min(settings.names, settings.others) < 0:
        parser.error("--names and --others are shares of all batches: together less than 1")
    if min(settings.temperature, settings.rate, settings.sharpness) <= 0:
        parser.error("--temperature, --rate and --sharpness are above 0")
    shares = settings.smoothing, settings.name_dropout, settings.documentation_dropout
    if min(shares) < 0 or max(shares) > 1:
        parser.error("--smoothing, --name-dropout and --documentation-dropout are from 0 to 1")
    if min(settings.hard, settings.contrast, settings.teacher) < 0:
        parser.error("--hard, --contrast and --teacher-weight are not below 0")
    if settings.teacher and not options.teacher:
        parser.error("--teacher-weight needs --teacher")
    chart = _chart(options.tensorboard) if options.tensorboard else lambda name, value, step: None
    try:
        excluded = data.excluded(options.exclude) if options.exclude else data.Excluded()
        corpus, _ = data.load(options.pairs, excluded).split()
        if not any(record.question for record in corpus.records):
            parser.error(
                f"--pairs {options.pairs} holds no documented unit to train on (some repositories are held out)"
            )
        vocabulary = Vocabulary.parse(options.words.read_bytes()) if options.words else None
        earlier = encoder.load(options.earlier) if options.earlier else None
        run(settings, corpus, options.out, options.teacher, vocabulary, earlier, chart=chart, device=options.device)
    except (OSError, ValueError, encoder.ModelError) as error:
        parser.error(str(error))
    return 0


def run(
    settings: Settings,
    corpus: Corpus,
    out: Path,
    teacher: Path | None = None,
    vocabulary: Vocabulary | None = None,
    earlier: BagEncoder | None = None,
    after_epoch: Callable[[int], None] = lambda _: None,
    chart: Chart = lambda name, value, step: None,
    device: str = "cpu",
) -> list[float]:
    """Train on all of a corpus, write the model folder, and return the mean loss of every epoch.

    Without a vocabulary one is learned, or that of the `earlier` model kept. `after_epoch` is told how many epochs
    are in the checkpoint; what it raises stops the run.
    """
    if earlier and earlier.dimensions != settings.dimensions:
        raise ValueError(f"the model to go on from has other dimensions: give --dimensions {earlier.dimensions}")
    torch.set_num_threads(settings.threads)
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    checkpoint.mkdir(parents=True, exist_ok=True)
    vocabulary = vocabulary or (earlier.vocabulary if earlier else _vocabulary(settings, corpus, checkpoint))
    if not len(vocabulary):
        raise ValueError("there is no word to learn: words count that stand in two repositories; give more, or --words")
    counted = data.counted(corpus, vocabulary, settings.threads)
    lessons = Lessons.of(teacher, corpus.records, settings.dimensions) if teacher else None
    weights = start(settings, vocabulary, counted, lessons)
    if earlier:
        weights = extended(earlier, vocabulary, weights, lessons)
    network = BagNetwork(weights, settings.temperature, vocabulary.entries).to(device)
    optimizer = _optimizer(settings, network)
    losses = _resume(checkpoint, settings, network, optimizer)
    for epoch in range(len(losses), settings.epochs):
        losses.append(_epoch(settings, epoch, counted, lessons, network, optimizer, chart))
        _log.info("epoch %d of %d: loss %.4f", epoch + 1, settings.epochs, losses[-1])
        _save(checkpoint, settings, network, optimizer, losses)
        after_epoch(len(losses))
    encoder.save(out, vocabulary, network.weights())
    return losses


def start(settings: Settings, vocabulary: Vocabulary, counted: Counted, lessons: Lessons | None) -> Weights:
    """Return the weights that training starts from: the teacher's words, else random; common tokens count little."""
    random = np.random.default_rng(settings.seed)
    rows = (random.standard_normal((len(vocabulary), settings.dimensions)) / np.sqrt(settings.dimensions)).astype(
        np.float32
    )
    if lessons:
        for number, row in lessons.rows(vocabulary):
            rows[number] = row
    plain = counted.passages.tokens[counted.passages.tokens < len(vocabulary)]
    share = np.bincount(plain, minlength=len(vocabulary)) / max(1, len(counted))
    fields = np.array([*(FIELD_WEIGHTS[name] for name in FIELDS), 1.0], dtype=np.float32)
    return Weights(rows, (_RARITY / (_RARITY + share)).astype(np.float32), fields)


def extended(earlier: BagEncoder, vocabulary: Vocabulary, fresh: Weights, lessons: Lessons | None) -> Weights:
    """Return an earlier model's weights with rows for the words that it lacks.

    A new word that the teacher knows lies where the earlier model has the words that the teacher finds like it: a ridge
    regression from the teacher's vectors of known words to their rows. The others keep their fresh rows.
    """
    old = earlier.weights
    known = {entry: number for number, entry in enumerate(earlier.vocabulary.entries)}
    rows, importance = fresh.rows.copy(), fresh.importance.copy()
    new: list[int] = []
    for number, entry in enumerate(vocabulary.entries):
        if entry in known:
            rows[number], importance[number] = old.rows[known[entry]], old.importance[known[entry]]
        else:
            new.append(number)
    if lessons:
        taught = dict(lessons.words(vocabulary))
        both = [number for number in taught if vocabulary.entries[number] in known]
        vectors, wanted = np.stack([taught[number] for number in both]), rows[both]
        across = np.linalg.solve(vectors.T @ vectors + np.eye(vectors.shape[1], dtype=np.float32), vectors.T @ wanted)
        for number in new:
            if number in taught:
                rows[number] = taught[number] @ across
    return Weights(rows, importance, old.fields)


def steps(
    settings: Settings, epoch: int, counted: Counted, wrong: npt.NDArray[np.int64] | None = None
) -> Iterator[Step]:
    """Yield an epoch's batches; the same for the same settings, epoch and data.

    wrong: for each record another that looks right to its documentation, -1 where none is known.
    """
    random = np.random.default_rng((settings.seed, epoch))
    everything = len(counted.asked) / (1 - settings.names - settings.others)
    about = np.arange(len(counted.about))
    whole: list[tuple[int, npt.NDArray[np.int64]]] = []
    for source, asked, answers, share in (
        (_DOCUMENTATION, counted.asked, None, 1.0),
        (_NAME, counted.named, None, settings.names * everything / max(1, len(counted.named))),
        (_OTHER, about, counted.about, settings.others * everything / max(1, len(about))),
    ):
        languages = counted.languages if answers is None else counted.languages[answers]
        drawn = data.sampled(languages, random.permutation(asked), settings.smoothing, random)
        drawn = random.permutation(drawn)[: round(min(1.0, share) * len(asked))]
        whole += [(source, batch) for batch in data.batches(languages, drawn, settings.batch, random)]
    for number in random.permutation(len(whole)):
        source, asked = whole[number]
        rows = counted.about[asked] if source == _OTHER else asked
        if wrong is not None and source == _DOCUMENTATION:
            known = random.permutation(wrong[rows][wrong[rows] >= 0])
            rows = np.concatenate((rows, known[: round(settings.hard * len(rows))]))
        masked = np.full(len(rows), True) if source == _NAME else random.random(len(rows)) < settings.name_dropout
        undocumented = np.full(len(rows), True)
        if source != _DOCUMENTATION:
            undocumented = random.random(len(rows)) < settings.documentation_dropout
        yield Step(source, asked, rows, masked, undocumented)


def _wrong(settings: Settings, epoch: int, counted: Counted, network: BagNetwork) -> npt.NDArray[np.int64] | None:
    """Find an epoch's hard negatives: by words first, which needs no training, then by the model in turns."""
    if not settings.hard:
        return None
    random = np.random.default_rng((settings.seed, epoch, 1))
    if epoch % 2:
        return negatives.by_model(network, counted, counted.asked, random)
    return negatives.by_words(counted, counted.asked, random)


def _epoch(
    settings: Settings,
    epoch: int,
    counted: Counted,
    lessons: Lessons | None,
    network: BagNetwork,
    optimizer: torch.optim.Optimizer,
    chart: Chart,
) -> float:
    plan = list(steps(settings, epoch, counted, _wrong(settings, epoch, counted, network)))
    total, started, reported = 0.0, time.monotonic(), time.monotonic()
    for number, step in enumerate(plan):
        _set_rate(settings, optimizer, (epoch + number / len(plan)) / settings.epochs)
        loss = _loss(settings, step, counted, lessons, network)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item()
        now = time.monotonic()
        if now - reported >= _EVERY or number + 1 == len(plan):
            reported = now
            rate = (number + 1) / (now - started)
            left = (len(plan) - number - 1 + len(plan) * (settings.epochs - epoch - 1)) / rate
            speed, mean = rate * settings.batch, total / (number + 1)
            _log.info(
                "batch %d of %d: loss %.4f, %.0f pairs a second, %.0f s left", number + 1, len(plan), mean, speed, left
            )
            chart("loss", mean, epoch * len(plan) + number + 1)
            chart("pairs a second", speed, epoch * len(plan) + number + 1)
    return total / max(1, len(plan))


def _chart(folder: Path) -> Chart:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  an option
    except ImportError:
        raise SystemExit("sextant: --tensorboard needs tensorboard; install it with: pip install tensorboard") from None
    return SummaryWriter(folder).add_scalar


def _loss(settings: Settings, step: Step, counted: Counted, lessons: Lessons | None, network: BagNetwork) -> Tensor:
    source = (counted.questions, counted.names, counted.others)[step.source]
    asked = data.take(source, step.asked)
    answers = data.take(counted.passages, step.rows + step.masked * len(counted), step.undocumented)
    # One pass for both: the gradient of the table is large, and this way it is built once.
    vectors = network(Batch.of(data.joined(asked, answers), network.rows.device))
    loss = settings.contrast * pair_loss(vectors[: len(step.asked)], vectors[len(step.asked) :], network.scale)
    if lessons is None or not settings.teacher:
        return loss
    none = np.full(len(step.asked), -1)
    # What commits and tests say was not shown to the teacher.
    of_questions = none if step.source == _OTHER else (lessons.questions, lessons.names)[step.source][step.asked]
    of_codes = np.where(step.masked | ~step.undocumented, -1, lessons.codes[step.rows])
    known = np.concatenate((of_questions, of_codes))
    wanted = np.flatnonzero(known >= 0)
    if len(wanted) < 2:
        return loss
    arrays = (wanted, lessons.vectors[known[wanted]].astype(np.float32), lessons.projection)
    rows, teacher, projection = (torch.from_numpy(array).to(vectors.device) for array in arrays)
    return loss + settings.teacher * teacher_loss(vectors[rows], teacher, projection, settings.sharpness)


def _optimizer(settings: Settings, network: BagNetwork) -> torch.optim.Optimizer:
    bold = [network.importance, network.fields, network.scale]
    groups = [{"params": [network.rows, network.letters], "speed": 1.0}, {"params": bold, "speed": _BOLD}]
    return torch.optim.Adam(groups, lr=settings.rate, fused=True)


def _set_rate(settings: Settings, optimizer: torch.optim.Optimizer, done: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = settings.rate * group["speed"] * min(1.0, done / _WARMUP + 1e-3, (1.0 - done) / (1.0 - _WARMUP))


def _vocabulary(settings: Settings, corpus: Corpus, checkpoint: Path) -> Vocabulary:
    """Return the checkpoint's vocabulary, or learn it."""
    path = checkpoint / encoder.VOCABULARY_FILE
    if not path.exists():
        beside = path.with_suffix(".tmp")
        beside.write_bytes(data.learn_vocabulary(corpus, settings.vocabulary).dump())
        beside.replace(path)
    return Vocabulary.parse(path.read_bytes())


def _save(
    folder: Path, settings: Settings, network: BagNetwork, optimizer: torch.optim.Optimizer, losses: list[float]
) -> None:
    """Write network, optimizer and progress into one file, so that they cannot be of different epochs."""
    tensors = dict(network.state_dict())
    for name, parameter in network.named_parameters():
        for moment, value in optimizer.state[parameter].items():
            tensors[f"adam.{moment}.{name}"] = value
    beside = folder / "state.tmp"
    save_file(tensors, beside, metadata={"settings": json.dumps(asdict(settings)), "losses": json.dumps(losses)})
    beside.replace(folder / "state.safetensors")


def _resume(folder: Path, settings: Settings, network: BagNetwork, optimizer: torch.optim.Optimizer) -> list[float]:
    """Load a checkpoint into network and optimizer; return the losses of the epochs it has seen."""
    path = folder / "state.safetensors"
    if not path.exists():
        return []
    other = f"choose another --out or delete {folder}"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): {other}") from error
    if json.loads(metadata["settings"]) != asdict(settings):
        raise ValueError(f"{path} was made with other settings: {other}")
    try:
        network.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("adam.")})
    except RuntimeError as error:
        raise ValueError(f"{path} was made by another version or from other pairs: {other}") from error
    for name, parameter in network.named_parameters():
        optimizer.state[parameter] = {
            moment: tensors[f"adam.{moment}.{name}"].to(parameter.device)
            for moment in ("step", "exp_avg", "exp_avg_sq")
        }
    losses: list[float] = json.loads(metadata["losses"])
    return losses


if __name__ == "__main__":
    raise SystemExit(main())
