"""Cold: the time of a first index, beside semble's (https://pypi.org/project/semble/) on the same files.

usage: python -m tests.bench.cold --workspace DIR [--peer PYTHON]

PYTHON is the interpreter of a virtual environment of its own (`python3 -m venv /tmp/peer; /tmp/peer/bin/pip install
semble==0.7.0`). semble's published model is not needed: it gets a static table of the shape of ours, made from our own
base model, so what is measured is its pipeline with that table. Both run cold, one after the other, each in a fresh
process with a fresh cache; wall time on a busy machine is an upper bound, so the processor time is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from server.model import encoder

TABLE = """
import sys
import numpy as np
from model2vec import StaticModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

folder = sys.argv[1]
entries = open(folder + "/vocabulary.txt", encoding="utf-8").read().split("\\n")
vocabulary = {entry: number for number, entry in enumerate(entries)}
tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
tokenizer.normalizer = normalizers.BertNormalizer()
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
StaticModel(np.load(folder + "/rows.npy"), tokenizer).save_pretrained(folder + "/table")
"""
OURS = """
import json, sys, time
from pathlib import Path
from server.config import Settings
from server.engine import Engine
from server.model import encoder

if __name__ == "__main__":
    engine = Engine(Settings(), encoder.load(), Path(sys.argv[2]))
    engine.add_folder(sys.argv[1])
    engine.start()
    while not engine.status().folders or engine.status().folders[0].state != "ready":
        time.sleep(0.01)
    searchable = time.time()
    engine.wait_idle()
    status = engine.status().folders[0]
    engine.close()
    print(json.dumps([sum(status.languages.values()), status.units, searchable]))
"""
PEER = """
import sys
from semble.index import SembleIndex

index = SembleIndex.from_path(sys.argv[1])
print(len(index.chunks))
"""


def timed(command: list[str], environment: dict[str, str]) -> tuple[str, float, float]:
    """Return what a command printed, its wall time and the processor time of it and its children, in seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def peer(python: str, root: Path, home: Path) -> tuple[int, float, float]:
    """Return chunks, wall and processor time of a cold index by semble."""
    model = encoder.load()
    (home / "vocabulary.txt").write_text("\n".join([*model.vocabulary.entries, "[UNK]"]), encoding="utf-8")
    rows = model.weights.rows
    np.save(home / "rows.npy", np.vstack([rows, np.zeros((1, rows.shape[1]), rows.dtype)]))
    subprocess.run([python, "-c", TABLE, str(home)], check=True)
    environment = {"SEMBLE_MODEL_NAME": str(home / "table"), "SEMBLE_CACHE_LOCATION": str(home / "cache")}
    shown, wall, cpu = timed([python, "-c", PEER, str(root)], environment)
    return int(shown.split()[-1]), wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--peer", help="a Python that has semble installed")
    options = parser.parse_args()
    root = options.workspace.resolve()
    for file in root.rglob("*"):  # both read from the system's cache
        if file.is_file():
            file.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        begun = time.time()
        shown, wall, cpu = timed([sys.executable, "-c", OURS, str(root), folder], {})
        files, units, searchable = json.loads(shown)
    searchable -= begun
    print(
        f"sextant: {files:,} files, {units:,} units: all searchable after {searchable:.1f} s, folded and ended after "
        f"{wall:.1f} s, {cpu:.1f} s of processor time"
    )
    if not options.peer:
        print("semble: not measured; see --help for how to install it")
        return
    with tempfile.TemporaryDirectory() as folder:
        chunks, its_wall, its_cpu = peer(options.peer, root, Path(folder))
    print(f"semble: {chunks:,} chunks: {its_wall:.1f} s, {its_cpu:.1f} s of processor time")
    print(
        f"sextant is {its_wall / searchable:.2f} times as fast until all is searchable (where semble ends), "
        f"{its_wall / wall:.2f} to the end, {its_cpu / cpu:.2f} by processor time"
    )


if __name__ == "__main__":
    main()
