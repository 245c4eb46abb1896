"""Whole runs on a card: what is drawn, what is repeated, what is counted."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from from_outside import ENVIRONMENT
from sections import rollout_section
from test_sampler import chi_squared
from whole_runs import adapter, lines, metrics, same

from tina_lite import Recipe, load_recipe, run
from tina_lite.policy.pretrained import free_bytes
from tina_lite.rollout.sampler import Sampler
from tina_lite.runs.session import PeakMemory

ON_THE_CARD = {"model.compute_dtype": "auto", "model.engine": "native"}
DIES_AT_STEP_3 = """
import os, signal, sys
from tina_lite import Recipe, run, load_recipe
from tina_lite.runs.events import StepDone

def die(stamped):
    if isinstance(stamped.event, StepDone) and stamped.event.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)

run(load_recipe(sys.argv[1]), out=sys.argv[2], listeners=[die])
"""


def figures(folder: Path) -> list[dict[str, Any]]:
    """Metrics without clock and memory."""
    return [{k: v for k, v in row.items() if not k.startswith("peak_bytes")} for row in metrics(folder)]


@pytest.fixture
def recipe(quick_recipe: Path) -> Recipe:
    """Five steps, short enough that no kernel adds up a gradient from several blocks, in whatever order."""
    changes = {**ON_THE_CARD, "stop.max_steps": 5, "checkpoint.every_steps": 2, "lora.dropout": 0.1}
    return load_recipe(quick_recipe, changes)


def test_the_same_seed_twice_is_the_same_run(recipe: Recipe, tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(recipe, out=tmp_path / name)
    assert figures(tmp_path / "one") == figures(tmp_path / "two")
    assert same(adapter(tmp_path / "one"), adapter(tmp_path / "two"))


def test_a_killed_run_resumes_as_if_it_had_not_been(recipe: Recipe, tmp_path: Path) -> None:
    run(recipe, out=tmp_path / "straight")
    (tmp_path / "mine.yaml").write_text((tmp_path / "straight" / "recipe.yaml").read_text())
    program = [sys.executable, "-c", DIES_AT_STEP_3, str(tmp_path / "mine.yaml"), str(tmp_path / "killed")]
    assert subprocess.run(program, env=ENVIRONMENT, capture_output=True, check=False).returncode == -9
    assert [row["step"] for row in lines(tmp_path / "killed" / "metrics.jsonl")] == [1, 2, 3]
    run(recipe, out=tmp_path / "killed", resume=True)
    assert figures(tmp_path / "killed") == figures(tmp_path / "straight")
    assert same(adapter(tmp_path / "killed"), adapter(tmp_path / "straight"))


def test_tokens_follow_the_distribution_that_the_learner_scores(make_policy: Any, make_prompts: Any) -> None:
    policy = make_policy(spread=0.05)
    (prompt,) = make_prompts(policy, 1)
    sampler = Sampler(policy, rollout_section(3.0, 1), seed=1, kv_tokens=10**6)
    (group,) = sampler.rollout([prompt], 8192, 1).groups
    drawn = np.bincount([completion.ids[0] for completion in group.completions], minlength=1)
    (prefix,) = policy.decoder(1, len(prompt.ids) + 1).prefill([prompt.ids])
    probabilities = (prefix.logits.double() / 3.0).softmax(-1).cpu().numpy()
    counts = np.zeros_like(probabilities)
    counts[: len(drawn)] = drawn
    rare = probabilities * len(group.completions) < 5  # counted as one: of each alone the statistic knows too little
    pooled = [np.append(x[~rare], x[rare].sum()) for x in (counts, probabilities)]
    statistic, freedom = chi_squared(*pooled)
    assert freedom > 9
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5 + 4


def test_a_cap_on_the_process_is_what_is_free() -> None:
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(0.5)
    try:
        assert free_bytes(torch.device("cuda")) <= total // 2
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_phase_sees_what_it_took() -> None:
    peaks = PeakMemory.of_this_process()
    with peaks.phase("update"):
        torch.empty(64 * 1024**2, dtype=torch.uint8, device="cuda")
    assert peaks.metrics()["peak_bytes/update"] >= 64 * 1024**2


@pytest.mark.parametrize("dtype", ["auto", "float16"])
def test_a_run_on_the_card_learns_from_what_it_samples(quick_recipe: Path, tmp_path: Path, dtype: str) -> None:
    recipe = load_recipe(quick_recipe, {**ON_THE_CARD, "model.compute_dtype": dtype})
    run(recipe, out=tmp_path / "out")
    rows = lines(tmp_path / "out" / "metrics.jsonl")
    assert len(rows) == 3
    assert all(row["sampling/sampling_logp_difference/mean"] < 0.05 for row in rows if "entropy" in row)
    assert all(row["peak_bytes"] >= row["peak_bytes/rollout"] > 0 for row in rows)
