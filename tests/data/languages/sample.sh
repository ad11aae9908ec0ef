#!/usr/bin/env bash
# Sends parcels from the shell.

set -euo pipefail
. ./common.sh
source "${LIB}/more.sh"

LIMIT=${LIMIT:-3}

# Send one parcel.
#   send NAME
send() {
  local name="$1"
  # Kept in the body.
  retry "$LIMIT" curl --data "$name" "$HOST"
}

function retry {
  local times=$1; shift
  until "$@"; do
    ((times--)) || return 1
  done
}

# Both spellings at once.
function parcel::weigh() {
  wc -c <"$1"
}

in_subshell() (
  cd /tmp && ls
)

say-hello() if true; then echo hello; fi

outer() {
  inner() {
    echo nested
  }
  inner
}

if [ "$1" = test ]; then
  conditional() { :; }
fi

cat <<'EOF'
not_a_function() { echo no; }
EOF

main() { send "$@"; } >&2

main "$@"
