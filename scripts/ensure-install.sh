#!/bin/sh
# Installs the locked packages when node_modules is missing or older than the lockfile; otherwise costs a file test.
set -eu
cd "$(dirname "$0")/.."
stamp=node_modules/.cairn-installed
if [ ! -f "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
  echo "cairn: installing packages (once) …" >&2
  # Not `npm ci`: the lockfile cannot name optional packages of platforms whose registry lacks them, which it refuses.
  npm install --no-save --no-audit --no-fund --loglevel=error >&2
  touch "$stamp"
fi
