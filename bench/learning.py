"""Is the learning equal? Reward curves of tina-lite and of TRL's GRPOTrainer: same base, problems, rewards, numbers.

Usage:
    python bench/learning.py PEER_PYTHON [float32|bfloat16]

The quickstart with 8 prompts a step, 40 steps, three seeds a side, each run a process of its own on one thread, the two
of a seed at once. A seed asks both sides the same problems in the same order and starts them from the same adapter; no
problem comes twice, so a reward is one on problems not trained on before. The dtype is that of TRL's adapter: float32,
as tina-lite's masters are, or bfloat16, which TRL chooses by itself on an NF4 base.

A window is 10 steps. The sides agree in it if the difference of their means over the seeds is inside the 95% interval
of Student's t: at most 2.776 x sqrt((s1^2 + s2^2) / 3), s the standard deviation over the three seeds. They agree as a
whole if they do in every window and over all steps. Rewards over all steps are shown seed by seed, the windows at the
end, of the seeds that were measured until then; one JSON object goes to stdout.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from learning_task import PROMPTS, RECIPE, SEEDS, STEPS, WINDOW
from peer import NAME
from sides import begin_table, head, in_time, measure, say

from tina_lite.recipe import load_recipe

T_95 = {2: 4.303, 3: 2.776}
"""The 97.5% quantile of Student's t, by seeds a side: 2 and 4 degrees of freedom."""

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
    return load_recipe(RECIPE, changes).model_dump_json()


def pair(peer: str, seed: int, dtype: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run of each side, checked to have been the same task."""
    recipe = recipe_of(seed)
    with ThreadPoolExecutor() as at_once:
        one = at_once.submit(measure, sys.executable, "learning_ours.py", recipe, OMP_NUM_THREADS="1")
        other = at_once.submit(measure, peer, "learning_trl.py", recipe, dtype, OMP_NUM_THREADS="1")
        ours, theirs = one.result(), other.result()
    if ours["prompts"] != theirs["prompts"]:
        sys.exit(f"seed {seed}: the two models were not asked the same token ids")
    rates = zip(ours["curves"]["learning_rate"], theirs["curves"]["learning_rate"], strict=True)
    if any(abs(a - b) > 1e-9 for a, b in rates):
        sys.exit(f"seed {seed}: the learning rates differ")
    say(seed, *(f"{fmean(run['curves']['reward']):.3f}" for run in (ours, theirs)))
    return ours, theirs


def compare(ours: Runs, theirs: Runs, curve: str, first: int, last: int) -> dict[str, Any]:
    """Means of a curve over the steps from `first` to `last`, counted from 1, and whether they agree."""

    def means(runs: Runs) -> list[float]:
        return [fmean(run["curves"][curve][first - 1 : last]) for run in runs]

    a, b = means(ours), means(theirs)
    difference, allowed = fmean(a) - fmean(b), T_95[len(a)] * sqrt((stdev(a) ** 2 + stdev(b) ** 2) / len(a))
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


def show(curve: str, dtype: str, rows: list[dict[str, Any]]) -> None:
    """The table of a curve's windows."""
    seeds = len(rows[0]["ours"])
    print(f"\n{curve}, mean ± standard deviation over {seeds} seeds; TRL's adapter {dtype}\n", file=sys.stderr)
    begin_table("steps", "tina-lite", "TRL", "difference", "allowed", "agree")
    for row in rows:
        means = (f"{fmean(row[side]):.3f} ± {stdev(row[side]):.3f}" for side in ("ours", "trl"))
        say(row["steps"], *means, f"{row['difference']:+.3f}", f"{row['allowed']:.3f}", "yes" if row["agree"] else "NO")


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    dtype = sys.argv[2] if len(sys.argv) == 3 else "float32"
    ours: Runs = []
    theirs: Runs = []
    head("seed", "mean reward, tina-lite", NAME)
    with in_time():
        for seed in SEEDS:
            a, b = pair(sys.argv[1], seed, dtype)
            ours.append(a)
            theirs.append(b)
    result: dict[str, Any] = {"adapter_dtype": dtype, "runs": {"ours": ours, "trl": theirs}}
    if len(ours) in T_95:
        found = {curve: windows(ours, theirs, curve) for curve in ("reward", "rewards/accuracy/mean")}
        for curve, rows in found.items():
            show(curve, dtype, rows)
        result["windows"] = found
        result["verdict"] = {
            "agree": all(row["agree"] for row in found["reward"]),
            "windows_agreeing": sum(row["agree"] for row in found["reward"][:-1]),
            "windows": len(found["reward"]) - 1,
            "final_reward": {side: fmean(found["reward"][-2][side]) for side in ("ours", "trl")},
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
