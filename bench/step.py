"""Seconds and memory of a GRPO step: tina-lite and TRL's GRPOTrainer in turn, on the same model, prompts and rewards.

Usage:
    python bench/step.py PEER_PYTHON MODEL_FOLDER GSM8K.jsonl

Two workloads: natural (end of text allowed, real rewards) and full (every completion runs to 64 tokens, hashed rewards
give every group variance). Each process takes a short step to warm up, then one of each. A B A B; TRL's second turn is
in bfloat16 where that is worth measuring, and the faster dtype counts. Peaks are of whole processes. A table goes to
stderr, one JSON object to stdout.
"""

import json
import sys
from functools import partial
from statistics import median
from typing import Any

from peer import DTYPES, NAME, dtypes_worth_measuring, step
from sides import Run, by_kind, head, in_time, measure, say

WORKLOADS = ("natural", "full")


def show(trainer: str, run: Run) -> Run:
    """A row for each workload of a process."""
    for workload, seconds, tokens in zip(WORKLOADS, run["seconds"][1:], run["tokens"][1:], strict=True):
        say(workload, trainer, run["dtype"], f"{seconds:.1f}", tokens, f"{run['peak_bytes'] / 1e9:.2f}")
    return run


def seconds_at(index: int, run: Run) -> float:
    """Of one step of a process."""
    return float(run["seconds"][index])


def ratios(ours: list[Run], theirs: list[Run]) -> dict[str, Any]:
    """TRL at its faster dtype over tina-lite."""
    times, spread = {}, {}
    for index, workload in enumerate(WORKLOADS, start=1):
        seconds_of = partial(seconds_at, index)
        seconds = list(map(seconds_of, ours))
        fastest = min(by_kind(theirs, "dtype", seconds_of), key=median)
        times[workload] = round(median(fastest) / median(seconds), 2)
        spread[workload] = [round(min(fastest) / max(seconds), 2), round(max(fastest) / min(seconds), 2)]
    # the worst of ours over the best of theirs
    memory = max(run["peak_bytes"] for run in ours) / min(run["peak_bytes"] for run in theirs)
    return {"step": times, "step_range": spread, "memory": round(memory, 3)}


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    peer, model, data = sys.argv[1:]
    ours: list[Run] = []
    theirs: list[Run] = []

    def turn(dtype: str) -> None:
        ours.append(show("tina-lite", measure(sys.executable, "step_ours.py", model, data, "warm-up", *WORKLOADS)))
        theirs.append(show(NAME, step(peer, model, data, dtype, *WORKLOADS)))

    head("workload", "trainer", "dtype", "seconds", "completion tokens", "peak resident, GB")
    with in_time():
        turn(DTYPES[0])
        kept, dropped = dtypes_worth_measuring(peer, model, data, theirs[0])
        for dtype, why in dropped.items():
            say("both", NAME, dtype, f"{why}, not measured further", "", "")
        turn(kept[-1])
    ratio = ratios(ours, theirs) if theirs else {}
    print(json.dumps({"ratio": ratio, "ours": ours, "trl": theirs}))


if __name__ == "__main__":
    main()
