"""Runs whose time goes where no stop rule is asked: none may bill more than its budget, and each leaves its work.

Usage:
    python tests/soak_caps.py [FAULT ...]        default: all, 12 runs, about 6 minutes

Measured from outside: wall clock of the process. One line a run goes to stderr, one JSON object to stdout; the exit
code is 1 if a run broke a rule.
"""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from from_outside import COMMAND, HERE, call, summary_in

RATE = 3600.0
"""A dollar a second."""
MOST_OVER_S = 0.5
RECIPE = """\
name: caps
seed: 1
model: {{id: builtin:tiny, compute_dtype: float32}}
lora: {{r: 8, alpha: 32, dropout: 0.0}}
data: {{source: arithmetic}}
rollout: {{prompts_per_step: 4, num_generations: 8, max_prompt_length: 64, max_completion_length: 32, temperature: 1.0}}
rewards: {rewards}
grpo: {{num_iterations: {iterations}}}
optim: {{learning_rate: 1.0e-3}}
budget: {{max_usd: {max_usd}, rate: {rate}}}
stop: {{max_steps: 100000}}
eval: {evaluation}
"""
SLOW = """\
import time

def slow(completions, **columns):
    if len(completions) > 2:  # not on a trial
        {work}
    return [float(len(c[0]["content"]) % 2) for c in completions]
"""
REWARDS = {
    "reward of 25 s": "time.sleep(25)",
    "reward that hangs": "while True: pass",
    "reward that is deaf": """while True:
            try:
                time.sleep(60)
            except Exception:
                pass""",
}
FAULTS = ("80 iterations", *REWARDS, "evaluation of 2000", "slow disk")
CASES = [
    ("80 iterations", 14.0),
    ("80 iterations", 25.0),
    ("80 iterations", 40.0),
    ("reward of 25 s", 15.0),
    ("reward of 25 s", 40.0),
    ("reward that hangs", 12.0),
    ("reward that hangs", 20.0),
    ("reward that is deaf", 15.0),
    ("evaluation of 2000", 15.0),
    ("evaluation of 2000", 30.0),
    ("slow disk", 25.0),
    ("slow disk", 40.0),
]


@dataclass(frozen=True)
class Outcome:
    """One run, as seen from outside."""

    fault: str
    worth_s: float
    wall_s: float
    exit_code: int
    steps: int | None
    stop_reason: str
    adapter: bool
    checkpoint: bool

    @property
    def faults(self) -> list[str]:
        found = []
        if self.wall_s > self.worth_s + MOST_OVER_S:
            found.append(f"{self.wall_s:.2f} s of {self.worth_s:.2f} s paid for")
        if self.exit_code not in (0, 3):
            found.append(f"exit code {self.exit_code}")
        missing = [name for name in ("adapter", "checkpoint") if not getattr(self, name)]
        missing += ["summary"] if self.steps is None else []
        return [*found, *(f"no {name}" for name in missing)]


def one_run(fault: str, worth_s: float, folder: Path) -> Outcome:
    folder.mkdir(parents=True)
    rewards = "[accuracy, format]"
    if fault in REWARDS:
        (folder / "slow.py").write_text(SLOW.format(work=REWARDS[fault]))
        rewards = "[{name: 'slow.py:slow', limit_s: 60}]"
    recipe = RECIPE.format(
        rewards=rewards,
        iterations=80 if fault == "80 iterations" else 1,
        max_usd=worth_s,
        rate=RATE,
        evaluation="{benchmarks: [held_out], problems: 2000}" if fault == "evaluation of 2000" else "{}",
    )
    (folder / "caps.yaml").write_text(recipe)
    out = folder / "out"
    command = (sys.executable, str(HERE / "slow_disk.py")) if fault == "slow disk" else COMMAND
    done, wall_s = call("run", "caps.yaml", "--plain", "--out", "out", cwd=folder, command=command)
    summary = summary_in(out)
    return Outcome(
        fault=fault,
        worth_s=worth_s,
        wall_s=wall_s,
        exit_code=done.returncode,
        steps=summary.get("steps"),
        stop_reason=summary.get("stop_reason", done.stderr[-300:]),
        adapter=(out / "adapter" / "adapter_model.safetensors").exists(),
        checkpoint=any((out / "checkpoints").glob("step-*/manifest.json")),
    )


def main() -> None:
    wanted = sys.argv[1:] or list(FAULTS)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (fault, worth_s) in enumerate(case for case in CASES if case[0] in wanted):
            seen = one_run(fault, worth_s, Path(folder) / str(number))
            outcomes.append(seen)
            print(
                f"{fault:20} {seen.wall_s:5.1f} of {worth_s:4.1f} s, {seen.steps} steps, {seen.stop_reason}: "
                f"{'; '.join(seen.faults) or 'ok'}",
                file=sys.stderr,
                flush=True,
            )
    bad = sum(bool(outcome.faults) for outcome in outcomes)
    print(json.dumps({"runs": len(outcomes), "faults": bad, "outcomes": [asdict(outcome) for outcome in outcomes]}))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
