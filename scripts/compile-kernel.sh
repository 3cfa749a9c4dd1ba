#!/bin/sh
# Compiles a kernel in AssemblyScript: source, output. Its memory is imported, of any size.
set -eu
exec asc "$1" -O3 --noAssert --runtime stub --importMemory --initialMemory 1 --outFile "$2"
