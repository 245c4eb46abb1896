"""A run of the tiny base, killed with SIGKILL at random moments and resumed: its bill against an outside stopwatch.

Usage:
    python tests/soak_bill.py [KILLS] [SEED]        default: 20 kills, seed 1

The bill must never be below the seconds that the processes lived, and at most one heartbeat a kill above. A process is
on it from its first line in the ledger on, which has the time since its start: none is killed before. One line a
session goes to stderr, one JSON object to stdout; the exit code is 1 if the bill broke a rule.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tina_lite.budget.meter import HEARTBEAT_S

RECIPE = """\
name: killed
seed: 1
model: {id: builtin:tiny, compute_dtype: float32}
lora: {r: 8, alpha: 32, dropout: 0.0}
data: {source: arithmetic}
rollout: {prompts_per_step: 2, num_generations: 8, max_prompt_length: 64, max_completion_length: 16, temperature: 1.0}
budget: {rate: 3.60}
stop: {max_steps: 1000000}
checkpoint: {every_steps: 5}
"""
LONGEST_S = 15.0
"""A killed session lives no longer."""
STOPWATCH_S = 0.3
"""What the outside clock may be off, for each session."""


@dataclass(frozen=True)
class Bill:
    """A run, as seen from outside and as its ledger has it."""

    kills: int
    sessions: int
    lived_s: float
    billed_s: float
    exit_code: int
    """Of the last session, which ends by itself."""

    @property
    def faults(self) -> list[str]:
        found = [] if self.exit_code == 0 else [f"exit code {self.exit_code}"]
        if self.billed_s < self.lived_s - STOPWATCH_S:
            found.append(f"billed {self.billed_s:.2f} s, lived {self.lived_s:.2f} s")
        if self.billed_s > self.lived_s + self.kills * HEARTBEAT_S + STOPWATCH_S * self.sessions:
            found.append(f"billed {self.billed_s:.2f} s, lived {self.lived_s:.2f} s with {self.kills} kills")
        return found


def killed_run(seed: int, folder: Path, kills: int) -> Bill:
    """One run killed so many times, then resumed and asked to stop, so that it closes."""
    dice, out, recipe = random.Random(seed), folder / "out", folder / "killed.yaml"
    recipe.write_text(RECIPE)
    lived_s, killed = 0.0, 0
    while killed < kills:
        seconds, status = session(recipe, out, dice.uniform(0.0, LONGEST_S))
        lived_s, killed = lived_s + seconds, killed + 1
        print(f"session {killed}: {seconds:.2f} s, {status}", file=sys.stderr, flush=True)
    seconds, status = session(recipe, out, None)
    summary = json.loads((out / "summary.json").read_text())
    return Bill(kills, kills + 1, lived_s + seconds, summary["gpu_hours"] * 3600, status)


def session(recipe: Path, out: Path, lifetime_s: float | None) -> tuple[float, int]:
    """Seconds that a process lived, and its status; once it is billed, killed after `lifetime_s` or asked to stop."""
    ledger = out / "ledger.jsonl"
    earlier = lines(ledger)
    command = [sys.executable, "-m", "tina_lite.cli.main", "run", str(recipe), "--plain", "--out", str(out)]
    started = time.monotonic()
    with (out.parent / "log.txt").open("a") as log:
        process = subprocess.Popen(
            [*command, *(["--resume"] if earlier else [])],
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).parent.parent),
                "XDG_STATE_HOME": str(
                    out.parent / "state"
                ),  # one that is killed before its bill is open is counted there
            },
        )
        while lines(ledger) == earlier and process.poll() is None:
            time.sleep(0.01)
        if lifetime_s is not None:
            time.sleep(max(0.0, lifetime_s - (time.monotonic() - started)))
            process.kill()
        while process.poll() is None:  # asked more than once: a line may be the watchdog's of the session before
            (out / "STOP").touch()
            time.sleep(0.1)
        status = process.wait()
    return time.monotonic() - started, status


def lines(ledger: Path) -> int:
    """Whole ones."""
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def main() -> None:
    kills, seed = (int(value) for value in (*sys.argv[1:], *("20", "1")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        bill = killed_run(seed, Path(folder), kills)
    print(json.dumps({**asdict(bill), "above_s": round(bill.billed_s - bill.lived_s, 2), "faults": bill.faults}))
    sys.exit(bool(bill.faults))


if __name__ == "__main__":
    main()
