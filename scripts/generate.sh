#!/bin/sh
# Regenerates what is committed but derived: gen/ from proto/, docs/flags/ from the option tables, kernels.
set -eu
cd "$(dirname "$0")/.."
rm -rf gen && mkdir gen
buf generate
node main.ts docs flags docs/flags
sh scripts/compile-kernel.sh libs/tsdb/chunk/kernel/decode-xor.ts libs/tsdb/chunk/kernel/decode-xor.wasm
