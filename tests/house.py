"""A workspace with a house language: the documentation has its own word for each word of the code."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PAIRS = 30
"""Words of the documentation, each beside the one that the code uses for it."""
SECRET = "passworty"
"""A word that only ignored files have."""


def write_house(root: Path, seed: int = 5) -> list[tuple[str, str]]:
    """Write 400 functions into 40 files, and ignored copies; return the (documentation, code) words."""
    random = np.random.default_rng(seed)
    spoken, written = (["".join(random.choice(list("bdfgklmnprtvz"), 4)) + "o" for _ in range(PAIRS)] for _ in range(2))
    for file in range(40):
        functions = []
        for number in range(10):
            one, other = random.choice(PAIRS, 2, replace=False)
            functions.append(
                f"def f{file}_{number}(value):\n"
                f'    """Turn the {spoken[one]} of a text into its {spoken[other]}."""\n'
                f"    found = {written[one]}(value, {file})\n"
                f"    return found.{written[other]}(limit={number}, strict=True)\n"
            )
        text = "\n\n".join(functions)
        (root / f"module{file}.py").write_text(text)
        (root / f"secret{file}.py").write_text(text.replace("found", SECRET))
    (root / ".gitignore").write_text("secret*\n")
    return list(zip(spoken, written, strict=True))
