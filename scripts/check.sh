#!/bin/sh
# Types, lint, format, tidy and generated files; every check runs, the exit code says whether all held.
set -u
cd "$(dirname "$0")/.."
status=0
run() {
  name=$1
  shift
  if ! "$@"; then
    echo "check failed: $name" >&2
    status=1
    return 1
  fi
}
run types tsc &
types=$!
run lint oxlint --type-aware --quiet
run format oxfmt --check
run tidy vitest run test/tidy.test.ts test/generated.test.ts --reporter=dot
wait $types || status=1
[ $status -eq 0 ] && echo "check: ok"
exit $status
