"""Runs of the tiny base with random budgets, rates, sizes and stalls: none may bill more than its budget.

Usage:
    python tests/soak_budget.py [RUNS] [SEED]        default: 40 runs, seed 1

Measured from outside: wall clock of the process x rate. One line a run goes to stderr, one JSON object to stdout; the
exit code is 1 if a run broke a rule.
"""

import json
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from from_outside import HERE, call, summary_in

from tina_lite.runs.look import records

RECIPE = """\
name: soak
seed: {seed}
model: {{id: builtin:tiny, compute_dtype: float32}}
lora: {{r: 8, alpha: 32, dropout: 0.0}}
data: {{source: arithmetic}}
rollout: {{prompts_per_step: {prompts}, num_generations: 8, max_prompt_length: 64, max_completion_length: {length},
          temperature: 1.0}}
optim: {{learning_rate: 1.0e-3, lr_horizon: budget}}
budget: {{max_usd: {max_usd}, rate: {rate}}}
stop: {{max_steps: 100000}}
checkpoint: {{every_steps: 20}}
eval: {{benchmarks: [{benchmarks}], problems: 20, samples: 1}}
"""
USED_WELL = 0.8
STOPWATCH_S = 0.3
"""What the outside clock may be off."""


@dataclass(frozen=True)
class Outcome:
    """One run, as seen from outside and as it saw itself."""

    seed: int
    worth_s: float
    """What the budget pays for."""
    wall_s: float
    billed_s: float
    exit_code: int
    stop_reason: str
    said_why: bool
    """Whether it said why one more step did not fit."""
    steps: int
    lr_progress: float
    """Of its learning-rate schedule, done in the last step."""

    @property
    def faults(self) -> list[str]:
        found = []
        if self.exit_code != 0:
            found.append(f"exit code {self.exit_code}")
        if self.wall_s > self.worth_s:
            found.append(f"{self.wall_s:.2f} s of {self.worth_s:.2f} s paid for")
        if abs(self.billed_s - self.wall_s) > max(STOPWATCH_S, 0.01 * self.wall_s):
            found.append(f"billed {self.billed_s:.2f} s, took {self.wall_s:.2f} s")
        if self.wall_s < USED_WELL * self.worth_s and not self.said_why:
            found.append(f"used {self.wall_s / self.worth_s:.0%} and did not say why")
        return found


def one_run(seed: int, folder: Path, shortest_s: float = 15.0, longest_s: float = 120.0) -> Outcome:
    dice = random.Random(seed)
    worth_s, rate = dice.uniform(shortest_s, longest_s), round(dice.uniform(0.2, 60.0), 4)
    max_usd = worth_s * rate / 3600
    recipe, out = folder / f"{seed}.yaml", folder / f"run-{seed}"
    recipe.write_text(
        RECIPE.format(
            seed=seed,
            prompts=dice.choice((1, 2, 8, 16)),
            length=dice.choice((16, 64, 128)),
            max_usd=max_usd,
            rate=rate,
            benchmarks=dice.choice(("", "held_out")),
        )
    )
    command = (sys.executable, str(HERE / "stalled_run.py"), str(seed))
    done, wall_s = call("run", str(recipe), "--plain", "--out", str(out), cwd=folder, command=command)
    summary = summary_in(out)
    return Outcome(
        seed=seed,
        worth_s=worth_s,
        wall_s=wall_s,
        billed_s=summary.get("gpu_hours", 0.0) * 3600,
        exit_code=done.returncode,
        stop_reason=summary.get("stop_reason", done.stderr[-300:]),
        said_why="max_usd leaves" in done.stderr,
        steps=summary.get("steps", 0),
        lr_progress=max((row["lr_horizon"] for row in records(out / "metrics.jsonl")), default=0.0),
    )


def main() -> None:
    runs, first = (int(value) for value in (*sys.argv[1:], *("40", "1")[len(sys.argv) - 1 :]))
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + runs):
            outcomes.append(one_run(seed, Path(folder)))
            seen = outcomes[-1]
            verdict = "; ".join(seen.faults) or "ok"
            print(
                f"seed {seed:3}: {seen.steps:4} steps, {seen.wall_s:6.1f} of {seen.worth_s:6.1f} s "
                f"({seen.wall_s / seen.worth_s:.0%}), schedule {seen.lr_progress:.3f}, {seen.stop_reason}: {verdict}",
                file=sys.stderr,
                flush=True,
            )
    faults = sum(bool(outcome.faults) for outcome in outcomes)
    print(json.dumps({"runs": runs, "faults": faults, "outcomes": [asdict(outcome) for outcome in outcomes]}))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
