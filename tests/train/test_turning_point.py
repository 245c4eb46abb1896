"""The turning point on simulated curves: bench/turning_point.py measures the same at length."""

import random

from tina_lite import load_recipe, run
from tina_lite.train.turning_point import LEAST, TurnTest

FLAT_RUNS, STEPS, TURNS = 20, 200, 20


def noise(draws: random.Random, steps: int, shift: float = 0.0) -> list[float]:
    return [draws.gauss(shift, 1.0) for _ in range(steps)]


def turned(lengths: list[float], formats: list[float]) -> TurnTest:
    test = TurnTest()
    for step, (length, reward) in enumerate(zip(lengths, formats, strict=True), start=1):
        test.after(step, length, reward)
    return test


def test_flat_curves_do_not_turn() -> None:
    draws = random.Random(1)
    found = [turned(noise(draws, STEPS), noise(draws, STEPS)).step for _ in range(FLAT_RUNS)]
    assert sum(step > 0 for step in found) <= 1


def test_a_turn_is_found_soon_and_where_it_was() -> None:
    draws = random.Random(2)
    for _ in range(TURNS):
        test = turned(noise(draws, 60) + noise(draws, 20, 2.0), noise(draws, 60) + noise(draws, 20, -2.0))
        assert 60 < test.seen_step <= 70
        assert abs(test.step - 61) <= 5


def test_the_other_way_round_is_no_turn() -> None:
    draws = random.Random(3)
    assert turned(noise(draws, 60) + noise(draws, 40, -2.0), noise(draws, 60) + noise(draws, 40, 2.0)).step == 0


def test_a_curve_without_variance_and_a_short_one_say_nothing() -> None:
    assert turned([20.0] * 100, [1.0] * 100).step == 0
    assert turned([9.0] * (LEAST - 3) + [90.0] * 3, [1.0] * (LEAST - 3) + [0.0] * 3).step == 0


def test_its_state_goes_on_where_it_was() -> None:
    draws = random.Random(4)
    lengths, formats = noise(draws, 60) + noise(draws, 20, 2.0), noise(draws, 60) + noise(draws, 20, -2.0)
    whole, half = turned(lengths, formats), turned(lengths[:63], formats[:63])
    resumed = TurnTest()
    resumed.load_state(half.state())
    for step in range(64, 81):
        resumed.after(step, lengths[step - 1], formats[step - 1])
    assert resumed.state() == whole.state()


def test_a_run_marks_it_keeps_the_checkpoint_before_it_and_ends_where_that_is_wanted(
    quick_recipe, tmp_path, monkeypatch
) -> None:
    """The test is played: it says at step 5 that the run turned at step 3."""

    def after(self: TurnTest, step: int, length: float, format_reward: float) -> bool:
        self.step, self.seen_step = (3, 5) if step == 5 else (self.step, self.seen_step)
        return step == 5

    monkeypatch.setattr(TurnTest, "after", after)
    changes = {"stop.max_steps": 20, "checkpoint.every_steps": 1, "stop.on_turning_point": {"patience": 3}}
    summary = run(load_recipe(quick_recipe, changes), out=tmp_path / "out")
    assert (summary["stop_reason"], summary["steps"]) == ("turning_point", 8)
    found = summary["turning_point"]
    assert (found["step"], found["checkpoint"], found["seen_step"]) == (3, 3, 5)
    assert 0 < found["seen_usd"] <= found["usd_planned"]
    kept = sorted(path.name for path in (tmp_path / "out" / "checkpoints").iterdir())
    assert kept == ["step-000003", "step-000007", "step-000008"]
    resumed = run(load_recipe(quick_recipe, changes), out=tmp_path / "out", resume=True)
    assert resumed["steps"] == 8, "it has ended for good"
