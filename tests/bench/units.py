"""Units: what extraction finds in real code, by language.

usage: python -m tests.bench.units FOLDER ...

Files, kilobytes, units, the share of units with documentation, of files that hold nothing but their module, of files
the grammar finds errors in, and seconds of one processor a megabyte.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path

from tree_sitter import Parser

from server.config import Settings
from server.index.extract import extract
from server.index.files import walk
from server.index.ignore import IgnoreRules
from server.index.languages import grammar_of, has_grammar, language_of
from server.types import CancelToken, Kind


def main() -> None:
    rows: dict[str, list[float]] = defaultdict(lambda: [0.0] * 7)
    for folder in map(Path, sys.argv[1:]):
        settings = Settings()
        for found in walk(folder, IgnoreRules(folder), settings, CancelToken()):
            if found.reason is not None:
                continue
            data = (folder / found.path).read_bytes()
            language = language_of(found.path, data[:8000])
            if language is None or b"\0" in data[:8000]:
                continue
            begun = time.thread_time()
            units = extract(data, language, found.path)
            spent = time.thread_time() - begun
            has_error = has_grammar(language) and Parser(grammar_of(language)).parse(data).root_node.has_error
            own = [unit for unit in units if unit.kind is not Kind.MODULE]
            told = sum(bool(unit.passage.documentation) for unit in units)
            for place, value in enumerate((1, len(data), len(units), told, not own, has_error, spent)):
                rows[language][place] += value
    print(
        f"{'language':16} {'files':>6} {'KB':>7} {'units':>7} {'told':>5} {'module only':>11} {'errors':>6} {'s/MB':>5}"
    )
    for language, (files, size, units, told, alone, errors, spent) in sorted(rows.items()):
        shares = f"{told / max(1, units):5.0%} {alone / files:11.0%} {errors / files:6.0%}"
        print(f"{language:16} {files:6.0f} {size / 1e3:7.0f} {units:7.0f} {shares} {spent / max(1, size) * 1e6:5.2f}")


if __name__ == "__main__":
    main()
