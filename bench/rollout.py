"""Completion tokens a second: tina-lite's sampler against transformers' generate, and both against the bare products.

Usage:
    python bench/rollout.py MODEL_FOLDER GSM8K.jsonl

16 rows, A B A B: lengths spread over 8 to 64 tokens (*natural*), or all 64 (*equal*); 32 and 64 rows are tina-lite's
alone. generate runs on the base in those of NF4, float32 and bfloat16 that a probe of 8 tokens shows to be worth it;
the fastest counts. *products* is the time of the bare matrix products at the same shapes and dtype over the time
measured, of rollout and update. A table goes to stderr, one JSON object to stdout.
"""

import json
import sys
from functools import partial
from math import inf
from statistics import median
from typing import Any

from rollout_task import WORKLOADS
from sides import Run, by_kind, head, in_time, measure, say, worth_measuring

COMPARED, ALONE = 16, (32, 64)
WEIGHTS = ("float32", "bfloat16", "nf4")


def rate(workload: str, run: Run) -> float:
    """Completion tokens a second."""
    return float(run["tokens"][workload] / run["seconds"][workload])


def show(side: str, rows: int, run: Run) -> Run:
    """A row of the table."""
    products = [f"{run['gemm_fraction'][part]:.0%}" for part in ("decode", "train")] if "gemm_fraction" in run else []
    say(side, rows, *(round(rate(workload, run)) for workload in WORKLOADS), *(products or ["", ""]))
    return run


def ratios(ours: list[Run], generate: list[Run]) -> dict[str, Any]:
    """tina-lite over the fastest generate, at the rows compared."""
    found = {}
    for name, workload in (("generate", "natural"), ("generate_equal", "equal")):
        rate_of = partial(rate, workload)
        fastest = max(map(median, by_kind(generate, "weights", rate_of)))
        found[name] = {str(COMPARED): round(median(map(rate_of, ours)) / fastest, 2)}
    return found


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model_and_data = sys.argv[1:]
    ours: dict[int, list[Run]] = {}
    generate: list[Run] = []

    def sample(rows: int) -> None:
        run = measure(sys.executable, "rollout_ours.py", *model_and_data, str(rows))
        ours.setdefault(rows, []).append(show(f"tina-lite, {run['dtype']}", rows, run))

    def peer(weights: str, *workloads: str, limit_s: float = inf) -> Run:
        given = (*model_and_data, str(COMPARED), weights, *workloads)
        return measure(sys.executable, "rollout_generate.py", *given, limit_s=limit_s)

    head("side", "rows", *(f"{workload}, tokens/s" for workload in WORKLOADS), "products, rollout", "products, update")
    with in_time():
        kept, dropped = worth_measuring(
            WEIGHTS, lambda kind, limit_s: peer(kind, "warm-up", limit_s=limit_s)["seconds"]["warm-up"]
        )
        for kind, why in dropped.items():
            say(f"generate, {kind}", COMPARED, f"{why}, not measured", "", "", "")
        for turn in range(max(2, len(kept))):
            sample(COMPARED)
            weights = kept[turn % len(kept)]
            generate.append(show(f"generate, {weights}", COMPARED, peer(weights, "warm-up", *WORKLOADS)))
        for rows in ALONE:
            sample(rows)
    shares = {
        rows: {part: median(run["gemm_fraction"][part] for run in runs) for part in ("train", "decode")}
        for rows, runs in ours.items()
        if "gemm_fraction" in runs[0]
    }
    result = {
        "ratio": ratios(ours[COMPARED], generate) if generate else {},
        "gemm_fraction": {part: round(share, 3) for part, share in shares.get(COMPARED, {}).items()},
        "gemm_fraction_by_rows": shares,
        "ours": ours,
        "generate": generate,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
