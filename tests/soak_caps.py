"""Runs whose time goes where no stop rule is asked: none may take more than its budget, and the bill says what it took.

Usage:
    python tests/soak_caps.py [FAULT ...]        default: all, 27 runs, about 12 minutes

Measured from outside: wall clock of the process. One line a run goes to stderr, one JSON object to stdout; the exit
code is 1 if a run broke a rule.
"""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from faulty import FAULTS as MACHINE
from from_outside import COMMAND, HERE, call, summary_in

from tina_lite.budget import read_bills

RATE = 3600.0
"""A dollar a second."""
MOST_OVER_S = 0.5
OFF_S = 1.0
"""Of the bill, from the stopwatch, which begins a little sooner and is told of the end a little later."""
RECIPE = """\
name: caps
seed: 1
model: {{id: builtin:tiny, compute_dtype: float32}}
lora: {{r: 8, alpha: 32, dropout: 0.0}}
data: {{source: {source}}}
rollout: {{prompts_per_step: 4, num_generations: 8, max_prompt_length: 64, max_completion_length: 32, temperature: 1.0}}
rewards: {rewards}
grpo: {{num_iterations: {iterations}}}
optim: {{learning_rate: 1.0e-3}}
budget: {{max_usd: {max_usd}, rate: {rate}}}
stop: {{max_steps: {max_steps}}}
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
    "reward that holds the GIL": "sum(range(10**11))",
}
SLOW_DATA = """\
import time

def rows():
    time.sleep(600)
"""
AT_EXIT = """\
import atexit, time

atexit.register(time.sleep, 600)

def score(completions, **columns):
    return [float(len(c[0]["content"]) % 2) for c in completions]
"""
BEFORE_STEPS = ("slow data", "slow tokenizer", "slow loading", "slow base")
DEAF = ("reward that holds the GIL", "hung disk")
"""What nothing in the process can end; its watchdog does, and the last checkpoint is what there is."""
OTHERS = ("80 iterations", "evaluation of 2000", "slow disk", "clock a day on", "clock a day back", "hanging atexit")
FAULTS = (*OTHERS, *REWARDS, "hung disk", *BEFORE_STEPS)
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
    ("reward that holds the GIL", 15.0),
    ("reward that holds the GIL", 30.0),
    ("hung disk", 16.0),
    ("hung disk", 30.0),
    ("hanging atexit", 18.0),
    ("hanging atexit", 40.0),
    ("slow data", 12.0),
    ("slow data", 20.0),
    ("slow tokenizer", 12.0),
    ("slow tokenizer", 20.0),
    ("slow loading", 20.0),
    ("slow base", 15.0),
    ("slow base", 25.0),
    ("clock a day on", 30.0),
    ("clock a day back", 30.0),
]


@dataclass(frozen=True)
class Outcome:
    """One run, as seen from outside."""

    fault: str
    worth_s: float
    wall_s: float
    billed_s: float
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
        if abs(self.wall_s - self.billed_s) > OFF_S:
            found.append(f"{self.wall_s:.2f} s, and {self.billed_s:.2f} s on the bill")
        if self.exit_code not in ((0, 3, -9) if self.fault == "reward that holds the GIL" else (0, 3)):
            found.append(f"exit code {self.exit_code}")
        if self.fault in BEFORE_STEPS:
            return found
        missing = [name for name in ("adapter", "checkpoint") if not getattr(self, name)]
        if self.steps is None and self.fault not in DEAF:
            missing.append("summary")
        return [*found, *(f"no {name}" for name in missing)]


def one_run(fault: str, worth_s: float, folder: Path) -> Outcome:
    folder.mkdir(parents=True)
    rewards = "[accuracy, format]"
    if fault in REWARDS:
        (folder / "mine.py").write_text(SLOW.format(work=REWARDS[fault]))
        rewards = "[{name: 'mine.py:slow', limit_s: 60}]"
    if fault == "hanging atexit":
        (folder / "mine.py").write_text(AT_EXIT)
        rewards = "['mine.py:score']"
    if fault == "slow data":
        (folder / "mine.py").write_text(SLOW_DATA)
    recipe = RECIPE.format(
        source="mine.py:rows" if fault == "slow data" else "arithmetic",
        rewards=rewards,
        iterations=80 if fault == "80 iterations" else 1,
        max_usd=worth_s,
        rate=RATE,
        max_steps=2 if fault == "hanging atexit" else 100_000,
        evaluation="{benchmarks: [held_out], problems: 2000}" if fault == "evaluation of 2000" else "{}",
    )
    (folder / "caps.yaml").write_text(recipe)
    out = folder / "out"
    command = (sys.executable, str(HERE / "faulty.py"), fault) if fault in MACHINE else COMMAND
    words: tuple[str, ...] = ("run", "caps.yaml", "--plain", "--out", "out")
    if fault == "slow base":
        benchmark = ("--benchmark", "reasoning_gym:chain_sum", "--limit", "8")
        words = ("eval", "builtin:tiny", *benchmark, f"--max-usd={worth_s}", f"--rate={RATE}", "--out", "out")
    done, wall_s = call(*words, cwd=folder, command=command, environment={"XDG_STATE_HOME": str(folder / "state")})
    summary = summary_in(out)
    unbilled = folder / "state" / "tina-lite" / "unbilled.jsonl"
    words_of_it = unbilled.read_text().splitlines() if unbilled.exists() else []
    return Outcome(
        fault=fault,
        worth_s=worth_s,
        wall_s=wall_s,
        billed_s=sum(json.loads(line)["seconds"] for line in words_of_it)
        + sum(bill.seconds for bill in read_bills(out / "ledger.jsonl")),
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
                f"{fault:25} {seen.wall_s:5.1f} of {worth_s:4.1f} s, {seen.billed_s:5.1f} billed, "
                f"{seen.steps} steps, {seen.stop_reason}: "
                f"{'; '.join(seen.faults) or 'ok'}",
                file=sys.stderr,
                flush=True,
            )
    bad = sum(bool(outcome.faults) for outcome in outcomes)
    print(json.dumps({"runs": len(outcomes), "faults": bad, "outcomes": [asdict(outcome) for outcome in outcomes]}))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
