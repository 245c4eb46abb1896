"""Stopping the weak: what is told apart is ended, noise ends nothing."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tina_lite.sweep.rungs import Rungs, evaluations, weaker

pytestmark = pytest.mark.beyond
USD = 0.32
"""That a trial may come to: the first rung is at 0.0012."""


def evaluated(folder: Path, step: int, usd: float, right: Sequence[bool]) -> None:
    """Add an evaluation of a run, problem by problem."""
    file = folder / "evals" / f"step-{step:06d}" / "held_out.jsonl"
    file.parent.mkdir(parents=True)
    rows = [
        {
            "problem": n,
            "sample": 0,
            "prompt": f"{n}+1",
            "answer": str(n + 1),
            "tokens": 1,
            "finish_reason": "stop",
            "usd": 0.0,
        }
        | {"completion": f"\\boxed{{{n + 1 if one else -1}}}"}
        for n, one in enumerate(right)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    share = sum(right) / len(right)
    with (folder / "figures.jsonl").open("a") as log:
        log.write("{}\n")
    event = {"event": "eval", "usd": usd, "when": "step", "step": step, "benchmark": "held_out", "pass_at_1": share}
    with (folder / "events.jsonl").open("a") as log:
        log.write(json.dumps(event) + "\n")


def drawn(share: float, dice: random.Random, problems: int = 60) -> list[bool]:
    return [dice.random() < share for _ in range(problems)]


def test_who_falls_behind_at_the_same_dollars_is_ended(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    dice, rungs = random.Random(0), Rungs(USD)
    verdicts = {}
    for trial, share in enumerate([0.8, 0.75, 0.8, 0.2], start=1):
        evaluated(tmp_path / str(trial), 10, 0.041, drawn(share, dice))
        verdicts[trial] = rungs.verdict(trial, trial, tmp_path / str(trial))
    assert [trial for trial, why in verdicts.items() if why] == [4]
    assert str(verdicts[4]).startswith("at $0.0")
    assert "it is worse than the middle one of other settings by" in str(verdicts[4])


def test_a_seed_is_not_held_against_another_of_its_setting(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    rungs = Rungs(USD)
    for trial, right in ((1, True), (2, True), (3, False)):
        evaluated(tmp_path / str(trial), 10, 0.041, [right] * 60)
        assert rungs.verdict(trial, 1, tmp_path / str(trial)) is None


def test_who_has_spent_more_is_no_measure(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    rungs = Rungs(USD)
    for trial, usd, right in ((1, 0.042, True), (2, 0.041, False)):
        evaluated(tmp_path / str(trial), 10, usd, [right] * 60)
        assert rungs.verdict(trial, trial, tmp_path / str(trial)) is None


def test_noise_ends_nobody(tmp_path: Path) -> None:
    """Nine trials that are equally good, at two rungs."""
    pytest.importorskip("ray")
    dice, rungs = random.Random(1), Rungs(USD)
    for step, usd in ((10, 0.011), (20, 0.022)):
        for trial in range(1, 10):
            evaluated(tmp_path / str(trial), step, usd, drawn(0.5, dice))
            assert rungs.verdict(trial, trial, tmp_path / str(trial)) is None


def test_a_trial_that_is_not_there_yet_is_not_judged(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    rungs = Rungs(USD)
    for trial, share in ((1, 1.0), (2, 0.0)):
        evaluated(tmp_path / str(trial), 1, 0.0001, [bool(share)] * 60)
        assert rungs.verdict(trial, trial, tmp_path / str(trial)) is None
    assert rungs.verdict(3, 3, tmp_path / "3") is None


def test_only_problems_that_both_were_asked_are_compared(tmp_path: Path) -> None:
    evaluated(tmp_path / "a", 1, 0.1, [False] * 60)
    evaluated(tmp_path / "b", 1, 0.1, [True] * 60)
    one, other = (evaluations(tmp_path / name)[0] for name in "ab")
    assert weaker(one, other)
    path = other.samples
    path.write_text(path.read_text().replace('+1"', '+1 "'))
    assert weaker(one, other) is None
