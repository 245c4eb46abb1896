"""Is the learning equal? Reward curves of tina-lite and of TRL's GRPOTrainer: same base, problems, rewards, numbers.

Usage:
    python bench/learning.py PEER_PYTHON [float32|bfloat16]

The quickstart with 8 prompts a step, 60 steps, three seeds a side, each run a process of its own on one thread. A seed
asks both sides the same problems in the same order and starts them from the same adapter; no problem comes twice, so a
reward is one on problems not trained on before. The dtype is that of TRL's adapter: float32, as tina-lite's masters
are, or bfloat16, which TRL chooses by itself on an NF4 base.

A window is 10 steps. The sides agree in it if the difference of their means over the seeds is inside the 95% interval
of Student's t: at most 2.776 x sqrt((s1^2 + s2^2) / 3), s the standard deviation over the three seeds. They agree as a
whole if they do in every window and over all steps. A table goes to stderr, one JSON object to stdout.
"""

import json
import sys
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from learning_task import PROMPTS, RECIPE, SEEDS, STEPS, WINDOW
from sides import measure

from tina_lite.recipe import Recipe

T_95 = 2.776
"""The 97.5% quantile of Student's t at 4 degrees of freedom: three seeds a side."""

Runs = list[dict[str, Any]]


def recipe_of(seed: int) -> str:
    """The quickstart without its evaluations and its budget, which would stop a slower machine early."""
    changes = {
        "seed": seed,
        "rollout.prompts_per_step": PROMPTS,
        "stop.max_steps": STEPS,
        "eval.benchmarks": [],
        "budget.max_usd": None,
    }
    return Recipe.load(RECIPE, changes).model_dump_json()


def pair(peer: str, seed: int, dtype: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run of each side, checked to have been the same task."""
    recipe = recipe_of(seed)
    ours = measure(sys.executable, "learning_ours.py", recipe, OMP_NUM_THREADS="1")
    theirs = measure(peer, "learning_trl.py", recipe, dtype, OMP_NUM_THREADS="1")
    if ours["prompts"] != theirs["prompts"]:
        sys.exit(f"seed {seed}: the two models were not asked the same token ids")
    rates = zip(ours["curves"]["learning_rate"], theirs["curves"]["learning_rate"], strict=True)
    if any(abs(a - b) > 1e-9 for a, b in rates):
        sys.exit(f"seed {seed}: the learning rates differ")
    for name, run in (("ours", ours), ("TRL", theirs)):
        print(f"seed {seed} {name:5} {run['seconds']} s", file=sys.stderr)
    return ours, theirs


def compare(ours: Runs, theirs: Runs, curve: str, first: int, last: int) -> dict[str, Any]:
    """Means of a curve over the steps from `first` to `last`, counted from 1, and whether they agree."""

    def means(runs: Runs) -> list[float]:
        return [fmean(run["curves"][curve][first - 1 : last]) for run in runs]

    a, b = means(ours), means(theirs)
    difference, allowed = fmean(a) - fmean(b), T_95 * sqrt((stdev(a) ** 2 + stdev(b) ** 2) / len(a))
    return {
        "steps": f"{first}-{last}",
        "ours": a,
        "trl": b,
        "difference": difference,
        "allowed": allowed,
        "agree": abs(difference) <= allowed,
    }


def windows(ours: Runs, theirs: Runs, curve: str) -> list[dict[str, Any]]:
    """Every window, then all steps in one."""
    spans = [(first, first + WINDOW - 1) for first in range(1, STEPS, WINDOW)]
    return [compare(ours, theirs, curve, first, last) for first, last in [*spans, (1, STEPS)]]


def line(found: dict[str, Any]) -> str:
    """One row of the table."""
    ours, theirs = (f"{fmean(found[name]):.3f} ± {stdev(found[name]):.3f}" for name in ("ours", "trl"))
    verdict = "yes" if found["agree"] else "NO"
    return f"| {found['steps']} | {ours} | {theirs} | {found['difference']:+.3f} | {found['allowed']:.3f} | {verdict} |"


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    dtype = sys.argv[2] if len(sys.argv) == 3 else "float32"
    pairs = [pair(sys.argv[1], seed, dtype) for seed in SEEDS]
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    found = {curve: windows(ours, theirs, curve) for curve in ("reward", "rewards/accuracy/mean")}
    for curve, rows in found.items():
        print(f"\n{curve}, mean ± standard deviation over {len(SEEDS)} seeds; TRL's adapter {dtype}", file=sys.stderr)
        print("| steps | tina-lite | TRL | difference | allowed | agree |", file=sys.stderr)
        print(*map(line, rows), sep="\n", file=sys.stderr)
    verdict = {
        "agree": all(row["agree"] for row in found["reward"]),
        "windows_agreeing": sum(row["agree"] for row in found["reward"][:-1]),
        "windows": len(found["reward"]) - 1,
        "final_reward": {side: fmean(found["reward"][-2][side]) for side in ("ours", "trl")},
    }
    runs = {"ours": ours, "trl": theirs}
    print(json.dumps({"verdict": verdict, "adapter_dtype": dtype, "windows": found, "runs": runs}))


if __name__ == "__main__":
    main()
