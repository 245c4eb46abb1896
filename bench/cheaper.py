"""What a field of a recipe saves: runs with it and without, and what each had learned for how many dollars.

Usage:
    python bench/cheaper.py EXPERIMENT MODEL [SEED ...]        default: 1 2 3

EXPERIMENT is one of `EXPERIMENTS`, MODEL a folder of SmolLM2-135M-Instruct. Each run is a process of its own, and the
kinds take turns. The runs stay in runs/cheaper, so that the same command goes on where BENCH_MINUTES ended it, and a
run that two experiments share is made once. The dollars are those of training, without loading and evaluations. A table
goes to stderr, one JSON object to stdout: by kind and seed, pairs of dollars and Pass@1 on the held-out problems.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from sides import head, in_time, run, say

Curve = list[tuple[float, float]]
"""Dollars, and Pass@1."""

RATE = 0.20
EVALS = {"eval.every": 10, "eval.problems": 200, "eval.samples": 1}
MIXED = {
    "data.params": {"min_terms": 2, "max_terms": 5, "min_digits": 1, "max_digits": 3, "size": 2000},
    "data.held_out": 0.1,
    "rollout.max_prompt_length": 80,
}
"""2,000 sums of mixed difficulty, a tenth of them held out."""


def by_difficulty(*columns: str) -> dict[str, Any]:
    """Selection by difficulty, problems alike in these columns being one kind."""
    return {"rollout.selection": "difficulty", "data.difficulty_key": list(columns)}


BY_KIND = by_difficulty("metadata.num_terms", "metadata.num_digits")
BY_FEATURES = by_difficulty("terms", "digits")
BY_DIGITS = by_difficulty("metadata.num_digits")
HALF = {"grpo.update_completions": 4}
ALPHA = 64
QUICKSTART, SMOLLM2 = "quickstart", "smollm2-cpu"
Kind = tuple[str, dict[str, Any]]
"""A recipe, and what is changed in it."""
EXPERIMENTS: dict[str, dict[str, Kind]] = {
    "selection": {"uniform": (SMOLLM2, MIXED), "difficulty": (SMOLLM2, {**MIXED, **BY_KIND})},
    "lr": {
        "all": (SMOLLM2, {}),  # alpha x lr is 6.4e-3
        **{
            f"alpha x lr {both:g}": (SMOLLM2, {"lora.alpha": ALPHA, "optim.learning_rate": both / ALPHA})
            for both in (1.3e-3, 6.4e-4, 3.2e-4, 1.3e-4)
        },
    },
    "base": {"all": (SMOLLM2, {}), "16-bit": (SMOLLM2, {"model.quantization": "none"})},
    "smollm2": {"all": (SMOLLM2, {}), "half": (SMOLLM2, HALF), "both": (SMOLLM2, {**BY_DIGITS, **HALF})},
    "quickstart": {
        "all": (QUICKSTART, {}),
        "difficulty": (QUICKSTART, BY_FEATURES),
        "half": (QUICKSTART, HALF),
        "both": (QUICKSTART, {**BY_FEATURES, **HALF}),
    },
    "quickstart-cheap": {"all": (QUICKSTART, {}), "cheap": ("cheap/quickstart-cheap", {})},
}
"""The first kind is what the others are beside; `all` is the recipe as it stands, whichever the experiment."""


def measure(recipe: str, model: str, seed: int, changes: dict[str, Any], out: Path) -> Curve:
    """Run once, or go on with it; what had been learned at each evaluation."""
    command = [sys.executable, "-m", "tina_lite.cli.main", "run", recipe, "--model", model, "--rate", str(RATE)]
    given = [part for name, value in changes.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    run([[*command, *given, "--seed", str(seed), "--out", str(out), "--resume", "auto", "--plain"]])
    seconds = [json.loads(line)["step_time"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    figures = [json.loads(line) for line in (out / "figures.jsonl").read_text().splitlines()]
    return [(sum(seconds[: one["step"]]) / 3600 * RATE, one["pass_at_1"]) for one in figures]


def mean_curve(curves: list[Curve]) -> Curve:
    """Of several seeds, evaluation by evaluation."""
    return [(fmean(usd for usd, _ in points), fmean(share for _, share in points)) for points in zip(*curves)]


def usd_to(curve: Curve, wanted: float) -> float | None:
    """Dollars until a curve first reaches a Pass@1, between two evaluations in a straight line; None: it never does."""
    for (usd, share), (later_usd, later) in pairwise(curve):
        if later >= wanted > share:
            return usd + (later_usd - usd) * (wanted - share) / (later - share)
    return None


def main() -> None:
    name, model, *seeds = sys.argv[1:]
    kinds = EXPERIMENTS[name]
    curves: dict[str, dict[int, Curve]] = {kind: {} for kind in kinds}
    head("seed", "kind", "dollars at the end", "Pass@1 by evaluation")
    with in_time():
        for seed in map(int, seeds or "123"):
            for kind, (recipe, changes) in kinds.items():
                out = Path("runs", "cheaper", recipe, f"{kind}-{seed}")
                curve = curves[kind][seed] = measure(recipe, model, seed, {**EVALS, **changes}, out)
                say(seed, kind, f"{curve[-1][0]:.4f}", " ".join(f"{share:.2f}" for _, share in curve))
    (_, first), *others = curves.items()
    for kind, other in others:
        if other:
            full, cheap = (mean_curve([of[seed] for seed in other]) for of in (first, other))
            usd = usd_to(cheap, full[-1][1])
            reached = f"{usd / full[-1][0]:.2f} of the dollars" if usd is not None else "never"
            print(f"{kind}: reaches {full[-1][1]:.3f}, the first kind's last, for {reached}", file=sys.stderr)
    print(json.dumps({"experiment": name, "rate": RATE, "curves": curves}))


if __name__ == "__main__":
    main()
