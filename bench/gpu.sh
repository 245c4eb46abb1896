#!/usr/bin/env bash
# Measures tina-lite on a machine with an NVIDIA card; needs no network.
#
#   bench/gpu.sh [--rehearse] [PART ...]     default: all parts, each within nine minutes
#
#   part1   tests marked gpu; the two engines compared; the quickstart
#   part2   tokens a second in a rollout, against transformers' generate
#   part3   a step of long completions on 8, 12 and 24 GB, portable; the plan against it
#   part4   the same, unsloth
#
# JSON and a table go to $OUT, or to bench/results/. --rehearse tries every part on the CPU at tiny sizes. Wheels in
# bench/gpu/wheels/ are installed first, as they are. PYTHON chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
if compgen -G "bench/gpu/wheels/*.whl" >/dev/null; then
    "$python" -m pip install --quiet --no-index --no-deps bench/gpu/wheels/*.whl
fi
exec "$python" bench/gpu/kit.py "$@"
