"""Completion tokens a second: tina-lite's sampler against transformers' generate, and both against the bare products.

Usage:
    python bench/rollout.py MODEL_FOLDER GSM8K.jsonl

16, 32 and 64 rows at once; all of 64 tokens, or spread over 8 to 64. generate runs on the base in NF4, float32 and
bfloat16; the fastest counts. gemm_fraction is the time of the bare matrix products at the same shapes and dtype over
the time measured. A table goes to stderr, one JSON object to stdout.
"""

import json
import sys
from statistics import median
from typing import Any

from sides import measure, say

ROWS = (16, 32, 64)
WEIGHTS = ("nf4", "float32", "bfloat16")


def tokens_per_second(run: dict[str, Any]) -> float:
    return float(run["tokens"]) / median(run["seconds"])


def compare(model: str, data: str, workload: str, rows: int) -> dict[str, Any]:
    ours = measure(sys.executable, "rollout_ours.py", model, data, workload, str(rows))
    generate = [
        measure(sys.executable, "rollout_generate.py", model, data, workload, str(rows), weights) for weights in WEIGHTS
    ]
    rates = [tokens_per_second(run) for run in generate]
    ratio = tokens_per_second(ours) / max(rates)
    say(workload, rows, round(tokens_per_second(ours)), *map(round, rates), f"{ratio:.2f}")
    return {"workload": workload, "rows": rows, "ours": ours, "generate": generate, "ratio": ratio}


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    say("lengths", "rows", "tina-lite, tokens/s", *(f"generate, {weights}" for weights in WEIGHTS), "ratio")
    say(*["---"] * 7)
    runs = [compare(*sys.argv[1:], workload, rows) for workload in ("natural", "equal") for rows in ROWS]
    equal = {run["rows"]: run["ours"] for run in runs if run["workload"] == "equal"}
    fractions = {
        rows: {
            "decode": run["products"] / median(run["seconds"]),
            "train": run["update_products"] / median(run["update_seconds"]),
        }
        for rows, run in equal.items()
    }
    say("rows", "products in a rollout", "products in an update")
    say(*["---"] * 3)
    for rows, fraction in fractions.items():
        say(rows, f"{fraction['decode']:.0%}", f"{fraction['train']:.0%}")
    result = {
        "ratio": {
            "generate": {str(run["rows"]): round(run["ratio"], 2) for run in runs if run["workload"] == "natural"},
            "generate_equal": {str(run["rows"]): round(run["ratio"], 2) for run in runs if run["workload"] == "equal"},
        },
        "gemm_fraction": {name: round(value, 3) for name, value in fractions[ROWS[0]].items()},
        "gemm_fraction_by_rows": fractions,
        "runs": runs,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
