"""Sextant: code search by meaning, inside the editor."""

import os

__version__ = "0.1.0"

# Before numpy is imported anywhere: these matrices are small, and idle BLAS threads would spin beside the editor.
for _name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ.setdefault(_name, "1")
