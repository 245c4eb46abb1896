"""Out of memory, injected at every phase of a step: the step is done again with less, and comes to the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from whole_runs import adapter, lines, quick_recipe_in, same

from tina_lite import Recipe, load_recipe, run
from tina_lite.policy.dense.decoder import DenseDecoder
from tina_lite.policy.dense.model import DenseModel
from tina_lite.policy.native import NativePolicy
from tina_lite.runs.checkpoint import newest
from tina_lite.runs.events import LogLine, StepDone
from tina_lite.train.learner import Learner
from tina_lite.util.errors import NoRoom

SETTINGS = {
    "stop.max_steps": 2,
    "rollout.prompts_per_step": 3,
    "rollout.max_completion_length": 12,
    "checkpoint.every_steps": 1,
    "optim.micro_batch_tokens": 400,
    "optim.lr_scheduler_type": "constant",
    "grpo.num_iterations": 2,
}
PHASES: dict[str, tuple[type, str, int]] = {
    "the cache": (DenseDecoder, "__init__", 1),
    "reading prompts": (DenseDecoder, "prefill", 1),
    "admitting rows": (DenseDecoder, "admit", 1),
    "decoding": (DenseDecoder, "step", 9),
    "dropping rows": (DenseDecoder, "keep", 0),
    "scoring": (NativePolicy, "logprobs", 2),
    "forward and backward": (Learner, "_backward", 1),
    "clipping": (Learner, "_clip_gradients", 1),
    "the sampling copy": (DenseModel, "refresh", 2),
}
"""What fails, and from which of its calls: the first ones are those of opening the policy."""
CORE = {"decoding", "forward and backward"}
"""What `make test` tries."""
INSISTED = {"clipping", "the sampling copy"}
"""Needs little, and is done again as it is."""


def small(path: Path, **changes: Any) -> Recipe:
    return load_recipe(path, {**SETTINGS, **changes})


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run with memory enough."""
    folder = tmp_path_factory.mktemp("straight")
    run(small(quick_recipe_in(folder)), out=folder / "out")
    return folder / "out"


def full_at(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, calls: range, *, after: bool) -> None:
    """So many of the method's calls run out of memory, before or after their work."""
    real, count = getattr(owner, name), iter(range(10**9))

    def wrapped(*arguments: Any, **others: Any) -> Any:
        full = next(count) in calls
        if full and not after:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        result = real(*arguments, **others)
        if full:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return result

    monkeypatch.setattr(owner, name, wrapped)


def full_once_a_step_is_whole(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> Callable[[Any], None]:
    """For good; the listener that it needs."""
    real, whole = getattr(owner, name), []

    def wrapped(*arguments: Any, **others: Any) -> Any:
        if whole:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(*arguments, **others)

    monkeypatch.setattr(owner, name, wrapped)
    return lambda stamped: whole.append(True) if isinstance(stamped.event, StepDone) else None


def apart(one: Path, other: Path) -> float:
    """Relative difference of the fp32 masters, of which the adapter is the rounded copy."""
    ours, theirs = (newest(folder / "checkpoints")[0].tensors for folder in (one, other))
    assert ours.keys() == theirs.keys()
    names = [name for name in theirs if name.startswith("master.")]
    ours, theirs = (torch.cat([tensors[name].flatten() for name in names]) for tensors in (ours, theirs))
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize(("times", "after"), [(1, True), (2, False)], ids=["once, after", "in a row, before"])
@pytest.mark.parametrize(
    "phase", [pytest.param(phase, marks=() if phase in CORE else pytest.mark.slow) for phase in PHASES]
)
def test_the_run_comes_to_the_same(quick_recipe, tmp_path, baseline, monkeypatch, phase, times, after):
    owner, name, start = PHASES[phase]
    full_at(monkeypatch, owner, name, range(start, start + times), after=after)
    seen: list[Any] = []
    summary = run(small(quick_recipe), out=tmp_path / "out", listeners=[seen.append])
    assert summary["steps"] == 2
    assert apart(tmp_path / "out", baseline) <= 5e-6  # sums in another order, which Adam divides by as little
    said = [one.event.text for one in seen if isinstance(one.event, LogLine) and "out of memory" in one.event.text]
    assert len(said) == (0 if phase in INSISTED else times)
    rewards = [[row["reward"] for row in lines(folder / "metrics.jsonl")] for folder in (tmp_path / "out", baseline)]
    assert rewards[0] == rewards[1]


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["decoding", "forward and backward"])
def test_what_was_learnt_of_memory_is_kept_across_a_resume(quick_recipe, tmp_path, monkeypatch, phase):
    owner, name, _ = PHASES[phase]
    with monkeypatch.context() as patch:
        full_at(patch, owner, name, range(9, 10) if name == "step" else range(1, 2), after=False)
        run(small(quick_recipe, **{"stop.max_steps": 1}), out=tmp_path / "out")
    field = "kv_tokens" if name == "step" else "micro_batch_tokens"

    def kept() -> int:
        saved, _ = newest(tmp_path / "out" / "checkpoints")
        return saved.state["choices"][field]

    lowered = kept()
    run(small(quick_recipe, **{"stop.max_steps": 2}), out=tmp_path / "out", resume=True, force_recipe=True)
    assert kept() == lowered < {"kv_tokens": 4096, "micro_batch_tokens": 400}[field]


@pytest.mark.parametrize(
    ("phase", "said"),
    [
        pytest.param(
            "decoding", "not even one completion of .* lower rollout.max_completion_length", marks=pytest.mark.slow
        ),
        ("forward and backward", "one completion of .* does not fit into memory; lower rollout.max_completion_length"),
        pytest.param("the sampling copy", "out of memory", marks=pytest.mark.slow),
    ],
)
def test_below_one_row_it_stops_with_the_last_checkpoint_and_the_setting(
    quick_recipe, tmp_path, baseline, monkeypatch, phase, said
):
    owner, name, _ = PHASES[phase]
    listener = full_once_a_step_is_whole(monkeypatch, owner, name)
    with pytest.raises(NoRoom, match=said) as caught:
        run(small(quick_recipe), out=tmp_path / "out", listeners=[listener])
    assert caught.value.exit_code == 3
    steps = json.loads((tmp_path / "out" / "summary.json").read_text())["steps"]
    assert steps == 1
    monkeypatch.undo()
    run(small(quick_recipe), out=tmp_path / "out", resume=True)
    assert apart(tmp_path / "out", baseline) <= 5e-6  # sums in another order, which Adam divides by as little


def test_all_of_it_is_worth_nothing_where_nothing_fails(quick_recipe, tmp_path, baseline):
    run(small(quick_recipe), out=tmp_path / "out")
    assert same(adapter(tmp_path / "out"), adapter(baseline))
