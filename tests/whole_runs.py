"""Whole runs of the tiny base: recipes for them, what they leave, and how one ends before its time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tina_lite import Recipe, load_recipe
from tina_lite.runs.events import Stamped, StepDone

QUICK_RECIPE = """\
name: quick
seed: 1
model: {id: builtin:tiny, compute_dtype: float32}
lora: {r: 8, alpha: 32, dropout: 0.0}
data: {source: arithmetic}
rollout: {prompts_per_step: 4, num_generations: 4, max_prompt_length: 64, max_completion_length: 24,
          temperature: 1.0, kv_tokens: 4096}
grpo: {loss_type: dapo}
optim: {learning_rate: 1.0e-3, micro_batch_tokens: 512}
budget: {max_usd: 1.0, rate: 0.20}
stop: {max_steps: 3}
"""
STEPS = 4
STATEFUL: dict[str, Any] = {
    "stop.max_steps": STEPS,
    "lora.dropout": 0.1,
    "rollout.prompts_per_step": 3,
    "rollout.max_completion_length": 12,
    "rollout.resample_zero_variance": 2,
    "rollout.selection": "difficulty",
    "data.difficulty_key": ["terms", "digits"],
    "grpo.update_completions": 2,
    "rewards": ["accuracy"],
    "grpo.num_iterations": 2,
    "optim.micro_batch_tokens": 64,
    "checkpoint.every_steps": 100,
    "eval": {"benchmarks": ["held_out"], "problems": 4, "samples": 2},
}
"""Shorter, and with all that a resume has to bring back: dropout, old log-probs, replaced groups, figures."""
CLOCK_METRICS = {"step_time", "tokens_per_second", "usd", "peak_bytes", "usd_at_end", "steps_left"}


def quick_recipe_in(folder: Path) -> Path:
    path = folder / "quick.yaml"
    path.write_text(QUICK_RECIPE)
    return path


def stateful(path: Path, **changes: Any) -> Recipe:
    """The recipe of the run that is named `baseline` in tests."""
    return load_recipe(path, {**STATEFUL, **changes})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def metrics(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what depends on the clock."""
    return [{k: v for k, v in row.items() if k not in CLOCK_METRICS} for row in lines(folder / "metrics.jsonl")]


def summary_of(folder: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return summary


def adapter(folder: Path, name: str = "adapter") -> dict[str, torch.Tensor]:
    return load_file(folder / name / "adapter_model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def assert_alike(one: Path, other: Path) -> None:
    """Nothing but the clock tells these two run folders apart."""
    assert metrics(one) == metrics(other)
    assert lines(one / "samples.jsonl") == lines(other / "samples.jsonl")
    assert same(adapter(one), adapter(other))
    for key in ("eval", "tokens", "reward", "steps", "stop_reason"):
        assert (key, summary_of(one)[key]) == (key, summary_of(other)[key])


class Killed(Exception):
    """Stands for a process that is gone: nothing is caught or cleaned up on its way."""


def after_step(step: int, do: Callable[[], Any]) -> Callable[[Stamped], None]:
    """A listener that does something once this step is told."""

    def listener(stamped: Stamped) -> None:
        if isinstance(stamped.event, StepDone) and stamped.event.step == step:
            do()

    return listener


def die() -> None:
    raise Killed
