#!/usr/bin/env bash
# Measures tina-lite on a machine with an NVIDIA card; needs no network, no pip, no git.
#
#   bench/gpu.sh [--rehearse] [PART ...]     default: all parts, each within three minutes
#
#   env         card, driver, versions, what is missing
#   tests       tests marked gpu; the two engines compared
#   quickstart  the shipped recipe with each engine: gain, seconds, dollars
#   rollout     completion tokens a second, against transformers' generate and the card's memory bandwidth
#   decode      the products of an MLP in 4 bits, from a copy and dequantised, as shares of the bandwidth
#   step        seconds of a step of 24 completions of 512 tokens by phase, against TRL
#   memory      the longest completions that train on 6, 8, 12, 16 and 24 GB, peak by phase, and the plan's figure
#
# JSON and a table go to $OUT, or to bench/results/gpu/. A part that fails does not keep the next from running.
# --rehearse tries every part on the CPU at tiny sizes. PYTHON chooses the interpreter; packages come from PYTHONPATH.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
command -v "$python" >/dev/null || python=python3
export PYTHONPATH="$PWD:$PWD/bench${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" bench/gpu/kit.py "$@"
