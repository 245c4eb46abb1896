"""TRL's GRPOTrainer as a peer: which dtype it is measured in."""

import time

from sides import Run, measure, worth_measuring

NAME = "TRL 1.16.0"
DTYPES = ("float32", "bfloat16")
"""The first is measured before anything is known of the others: it is nowhere very slow."""


def step(peer: str, model: str, data: str, dtype: str, *workloads: str) -> Run:
    """A process that warms up and takes a step of each workload; what it prints, and its own seconds."""
    started = time.monotonic()
    run = measure(peer, "step_trl.py", model, data, dtype, "warm-up", *workloads)
    return {**run, "whole_s": time.monotonic() - started}


def dtypes_worth_measuring(peer: str, model: str, data: str, measured: Run) -> tuple[list[str], dict[str, str]]:
    """By the warm-up of each, 16 completions of 8 tokens; those left out, with what is said of them.

    `measured` is a process of the first dtype, which needs no probe of its own.
    """
    work_s = measured["seconds"][0]
    known = {DTYPES[0]: (work_s, measured["whole_s"] - sum(measured["seconds"][1:]))}

    def probe(dtype: str, limit_s: float) -> float:
        (seconds,) = measure(peer, "step_trl.py", model, data, dtype, "warm-up", limit_s=limit_s)["seconds"]
        return float(seconds)

    return worth_measuring(DTYPES, probe, known)
