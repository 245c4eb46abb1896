"""A quickstart as it might be told: 20 steps of 2.5 s at $0.20/h, measured before and after."""

from collections.abc import Callable

import pytest

from tina_lite.console.state import ConsoleState, after
from tina_lite.runs.events import (
    CheckpointSaved,
    Evaluated,
    Event,
    LogLine,
    PhaseChanged,
    Progress,
    RunFinished,
    RunStarted,
    Sample,
    Stamped,
    StepDone,
)

RATE = 0.20
STEPS = 20
STEP_S = 2.5
Story = Callable[..., list[Stamped]]


def a_start(**changes: object) -> RunStarted:
    fields: dict[str, object] = {
        "name": "quickstart",
        "folder": "runs/quickstart",
        "version": "0.1.0",
        "model": "base/arithmetic-tiny",
        "engine": "native",
        "device": "cpu (2 threads)",
        "seed": 1,
        "rate": RATE,
        "rate_source": "recipe",
        "max_usd": 0.01,
        "max_hours": None,
        "max_steps": STEPS,
        "resumed_from_step": 0,
    }
    return RunStarted(**(fields | changes))  # type: ignore[arg-type]


def a_step(step: int, completion: str = "2+2=4\n</think>\n\\boxed{4}", question: str = "What is 2+2?") -> StepDone:
    done = step / STEPS
    metrics = {
        "reward": 0.9 + 1.7 * done,
        "rewards/accuracy/mean": 0.1 + 0.7 * done,
        "rewards/format/mean": 0.75 + 0.24 * done,
        "frac_reward_zero_std": 0.1 + 0.3 * done,
        "entropy": 0.4,
        "grad_norm": 0.3,
        "learning_rate": 1e-3 * (1 - done),
        "loss": 0.01,
        "completions/mean_length": 21.0 + 5 * done,
        "completions/clipped_ratio": 0.05,
        "tokens_per_second": 2140.0,
        "peak_bytes": 1.25 * 2**30,
    }
    return StepDone(
        step, STEPS, metrics, Sample(question, "4", completion, {"accuracy": 1.0, "format": None}, 3.0, 0.7, "stop")
    )


def tell(steps: int = STEPS, completion: str = "2+2=4\n</think>\n\\boxed{4}", **start: object) -> list[Stamped]:
    """The events up to the end of a step; all of them at the last one."""
    told: list[tuple[float, Event]] = [
        (1.0, a_start(**start)),
        (1.0, LogLine("info", "sampling from a merged fp32 copy")),
        (9.0, PhaseChanged("eval", 0)),
        (19.0, Evaluated("before", 0, "arithmetic", 0.176, (0.147, 0.209), 200, 4, 21.0)),
    ]
    for step in range(1, steps + 1):
        began = 19.0 + STEP_S * (step - 1)
        told += [
            (began, PhaseChanged("rollout", step)),
            (began + 1, Progress("rollout", step, 64, 128, "completions")),
            (began + 2, PhaseChanged("update", step)),
            (began + STEP_S, a_step(step, completion)),
        ]
    if steps == STEPS:
        told += [
            (69.0, PhaseChanged("eval", STEPS)),
            (79.0, Evaluated("after", STEPS, "arithmetic", 0.861, (0.832, 0.887), 200, 4, 26.0)),
            (80.0, CheckpointSaved(STEPS, "runs/quickstart/checkpoints/step-000020", 0.3)),
            (81.0, RunFinished(SUMMARY)),
        ]
    return [Stamped(1.7e9 + second, second, second * RATE / 3600, event) for second, event in told]


SUMMARY = {
    "name": "quickstart",
    "stop_reason": "max_steps",
    "steps": STEPS,
    "usd": 81 * RATE / 3600,
    "gpu_hours": 81 / 3600,
    "rate": RATE,
    "usd_by_phase": {"load": 0.0005, "rollout": 0.0022, "update": 0.0007, "eval": 0.0012, "other": 0.0},
    "tokens": {"prompt": 6000, "completion": 61440, "trained": 40000},
    "reward": {"first": 0.985, "last": 2.6, "best": 2.6, "best_step": 20},
    "eval": {
        "before": {"pass_at_1": 0.176, "ci95": [0.147, 0.209], "problems": 200, "samples": 4},
        "after": {"pass_at_1": 0.861, "ci95": [0.832, 0.887], "problems": 200, "samples": 4},
    },
    "adapter": "runs/quickstart/adapter",
    "version": "0.1.0",
    "seed": 1,
}


@pytest.fixture
def story() -> Story:
    return tell


@pytest.fixture
def seen() -> Callable[[list[Stamped]], ConsoleState]:
    """The state after events, watched as they were said: the watcher's clock is `elapsed_s`."""

    def watch(events: list[Stamped]) -> ConsoleState:
        state = ConsoleState()
        for stamped in events:
            state = after(state, stamped, now=stamped.elapsed_s)
        return state

    return watch
