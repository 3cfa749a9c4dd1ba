#!/bin/sh
# The long forms of tests whose short forms `npm test` runs: an hour. PROMETHEUS_3=… adds what needs a Prometheus 3.
set -e
cd "$(dirname "$0")/.."
FUZZ=1000000 vitest run libs/promql/parser/fuzz.test.ts
FUZZ=180000 vitest run libs/tsdb/fuzz.test.ts libs/tsdb/head/fuzz.test.ts libs/tsdb/chunk/xor.test.ts
CRASH_BITS=8 vitest run libs/tsdb/head/torn.test.ts
DELETION_RUNS=300 vitest run services/receiver/deletion.test.ts
CRASH_KILLS=200 RANDOM_QUERIES=3000 QUERY_MEMORY_SERIES=100000 vitest run test/e2e
