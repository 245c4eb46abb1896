"""Seconds and memory of a GRPO step: tina-lite and TRL's GRPOTrainer in turn, on the same model, prompts and rewards.

Usage:
    python bench/step.py PEER_PYTHON MODEL_FOLDER GSM8K.jsonl

Two workloads: full (every completion runs to 64 tokens, hashed rewards give every group variance) and natural
(end-of-text allowed, real rewards). TRL runs at float32 and at bfloat16 in turn; the faster one counts. A table goes to
stderr, one JSON object to stdout.
"""

import json
import sys
from statistics import median
from typing import Any

from sides import measure


def compare(peer: str, model: str, data: str, workload: str) -> dict[str, Any]:
    """A B A B: ours, TRL in float32, ours, TRL in bfloat16."""
    ours, theirs = [], []
    for dtype in ("float32", "bfloat16"):
        ours.append(measure(sys.executable, "step_ours.py", model, data, workload))
        theirs.append(measure(peer, "step_trl.py", model, data, workload, dtype))
        for name, run in (("ours", ours[-1]), ("TRL", theirs[-1])):
            run["seconds"] = run["seconds"][1:]  # the first step warms up
            steps = ", ".join(f"{value:.1f}" for value in run["seconds"])
            memory = f"{run['peak_bytes'] / 1e9:.2f} GB"
            print(f"{workload:8} {name:5} {run['dtype']:9} {steps} s a step, {memory}", file=sys.stderr)
    best = min(theirs, key=lambda run: median(run["seconds"]))
    our_seconds = [value for run in ours for value in run["seconds"]]
    return {
        "ours": ours,
        "trl": theirs,
        "ratio": median(best["seconds"]) / median(our_seconds),
        "ratio_range": [min(best["seconds"]) / max(our_seconds), max(best["seconds"]) / min(our_seconds)],
        "memory_ratio": max(run["peak_bytes"] for run in ours) / best["peak_bytes"],
    }


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    peer, model, data = sys.argv[1:]
    results = {workload: compare(peer, model, data, workload) for workload in ("natural", "full")}
    ratio = {
        "step": {workload: round(result["ratio"], 2) for workload, result in results.items()},
        "memory": round(max(result["memory_ratio"] for result in results.values()), 3),
    }
    print(json.dumps({"ratio": ratio, "runs": results}))


if __name__ == "__main__":
    main()
