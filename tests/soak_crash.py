"""Runs of the tiny base that are killed with SIGKILL, and resumed until they are done: as if nothing had happened.

Usage:
    python tests/soak_crash.py [RUNS] [SEED]        default: 50 runs, seed 1

A third is killed between two events (in rollout, update, checkpoint, evaluation), a third at a file operation, half of
a write included (checkpoint, ledger, metrics), a third by the clock. Each is compared with a run that nothing happened
to. One line a run goes to stderr, one JSON object to stdout; the exit code is 1 if a run differs.

Sessions are forked from one process that has imported everything and computed nothing, so that a start is cheap.
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tina_lite import Recipe, load_recipe, run
from tina_lite.util.errors import BadInput

STEPS, EVERY = 5, 2
RECIPE = f"""\
name: soak
seed: 3
model: {{id: builtin:tiny, compute_dtype: float32}}
lora: {{r: 4, alpha: 16, dropout: 0.1}}
data: {{source: arithmetic}}
rollout: {{prompts_per_step: 2, num_generations: 4, max_prompt_length: 64, max_completion_length: 16, temperature: 1.0}}
rewards: [numeric, format]
grpo: {{loss_type: dapo}}
optim: {{learning_rate: 1.0e-3, micro_batch_tokens: 256}}
budget: {{max_usd: 10.0, rate: 0.20}}
stop: {{max_steps: {STEPS}}}
checkpoint: {{every_steps: {EVERY}, every_minutes: null}}
eval: {{benchmarks: [held_out], problems: 2, samples: 1}}
"""
CLOCK_METRICS = {"step_time", "tokens_per_second", "usd", "peak_bytes", "usd_at_end", "steps_left"}
OPERATIONS = ("open", "write", "fsync", "rename", "replace", "unlink", "rmdir", "mkdir", "ftruncate")
MOST_KILLS = 3


@dataclass(frozen=True)
class Kill:
    """How a session dies: before its `number`-th event or file operation, or after some seconds."""

    at: str
    number: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s" if self.at == "clock" else f"{self.at} {self.number}"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def count_events(number: int, seen: list[int]) -> Callable[[Any], None]:
    def listener(stamped: Any) -> None:
        seen[0] += 1
        if seen[0] == number:
            die()

    return listener


def count_operations(number: int, seen: list[int]) -> None:
    """Die before the `number`-th file operation; every other time half of a write gets through."""

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **others: Any) -> Any:
            seen[0] += 1
            if seen[0] == number:
                if name == "write" and number % 2:
                    real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                die()
            return real(*arguments, **others)

        return operation

    for name in OPERATIONS:
        setattr(os, name, wrapped(name, getattr(os, name)))


def session(recipe: Recipe, out: Path, resume: bool, kill: Kill | None) -> int:
    """One process's share of a run, forked; its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            seen = [0]
            listeners = [count_events(kill.number if kill and kill.at == "event" else 0, seen)]
            if kill is None or kill.at == "operation":
                operations = [0]
                count_operations(kill.number if kill else 0, operations)
            run(recipe, out=out, resume=resume, listeners=listeners)
            if kill is None:
                (out.parent / f"{out.name}.counts").write_text(json.dumps([seen[0], operations[0]]))
            code = 0
        except BadInput as error:
            print(error, file=sys.stderr)
            code = 2
        finally:
            sys.stderr.flush()
            os._exit(code)
    if kill and kill.at == "clock":
        time.sleep(kill.seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines: the last of a killed session may be torn."""
    whole = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [json.loads(line) for line in whole.splitlines()]


def outcome(out: Path) -> dict[str, Any]:
    """What two runs must have in common, to the last bit."""
    metrics = [{k: v for k, v in row.items() if k not in CLOCK_METRICS} for row in lines(out / "metrics.jsonl")]
    summary = json.loads((out / "summary.json").read_text())
    return {
        "metrics": metrics,
        "adapter": (out / "adapter" / "adapter_model.safetensors").read_bytes(),
        "samples": lines(out / "samples.jsonl"),
        "summary": {name: summary[name] for name in ("steps", "stop_reason", "tokens", "reward", "eval")},
    }


def faults_of(out: Path, reference: dict[str, Any], steps_before: list[int], resumed_from: list[int]) -> list[str]:
    found = [f"{name} differ" for name, value in outcome(out).items() if value != reference[name]]
    events = lines(out / "events.jsonl")
    said = Counter(
        (event["event"], event.get("step"), event.get("when"), event.get("benchmark"))
        for event in events
        if event["event"] in ("step", "eval", "checkpoint", "run_finished")
    )
    found += [f"doubled: {what}" for what, count in said.items() if count > 1]
    found += [
        f"{before - after} steps lost at once"
        for before, after in zip(steps_before, resumed_from, strict=True)
        if before - after > EVERY
    ]
    sessions = [row["session"] for row in lines(out / "ledger.jsonl")]
    if sessions != sorted(sessions):
        found.append("the ledger's sessions are out of order")
    return found


def one_run(
    seed: int, recipe: Recipe, folder: Path, reference: dict[str, Any], counts: list[int], s: float
) -> list[str]:
    dice = random.Random(seed)
    out, resume, kills = folder / f"run-{seed}", False, []
    steps_before: list[int] = []
    resumed_from: list[int] = []
    for _ in range(1 + dice.randrange(MOST_KILLS)):
        at = ("event", "operation", "clock")[(seed + len(kills)) % 3]
        most = counts[0] if at == "event" else counts[1]
        kill = Kill(at, dice.randint(1, most), dice.uniform(0, s))
        code = session(recipe, out, resume, kill)
        kills.append(f"{kill}{'' if code == -signal.SIGKILL else ' (too late)'}")
        resume = (out / "recipe.yaml").exists()  # a folder that was only begun is begun again
        if code == 0:
            break
        if resume:
            steps_before.append(max((row["step"] for row in lines(out / "metrics.jsonl")), default=0))
            resumed_from.append(newest_step(out))
    code = session(recipe, out, resume, None)
    faults = [f"exit code {code}"] if code else faults_of(out, reference, steps_before, resumed_from)
    print(f"seed {seed:3}: killed at {', '.join(kills)}: {'; '.join(faults) or 'ok'}", file=sys.stderr, flush=True)
    return faults


def newest_step(out: Path) -> int:
    from tina_lite.runs.checkpoint import newest

    found, _ = newest(out / "checkpoints")
    return found.step if found else 0


def main() -> None:
    import tina_lite.launch.load  # noqa: F401 (what every session would import)

    runs, first = (int(value) for value in (*sys.argv[1:], *("50", "1")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "soak.yaml").write_text(RECIPE)
        recipe = load_recipe(folder / "soak.yaml")
        started = time.monotonic()
        if session(recipe, folder / "reference", False, None):
            sys.exit("the run to compare with failed")
        seconds = time.monotonic() - started
        reference = outcome(folder / "reference")
        counts = json.loads((folder / "reference.counts").read_text())
        print(f"uninterrupted: {seconds:.1f} s, {counts[0]} events, {counts[1]} file operations", file=sys.stderr)
        faults = {
            seed: one_run(seed, recipe, folder, reference, counts, seconds) for seed in range(first, first + runs)
        }
    bad = {seed: found for seed, found in faults.items() if found}
    print(json.dumps({"runs": runs, "faults": len(bad), "by_seed": bad}))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
