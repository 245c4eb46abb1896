"""The rules of health, each with a history that it must speak of and a twin of which it must not."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.runs.health import FLAT, HEALTHY, RULES, START_STEPS, Alarm, alarms
from tina_lite.runs.past import RECENT, SETTLED, Past

WELL = {
    "reward": 1.2,
    "rewards/accuracy/mean": 0.4,
    "frac_reward_zero_std": 0.3,
    "entropy": 0.3,
    "grad_norm": 0.2,
    "loss": 0.0,
    "kl": 0.1,
    "completions/clipped_ratio": 0.1,
}
MEASURED = Path(__file__).parents[1] / "bench" / "results" / "smollm2-cpu" / "metrics.jsonl"


def told(history: list[dict[str, float]], changed: dict[str, float | None] | None = None) -> list[Alarm]:
    past = Past()
    for row in history:
        past.see(row)
    return alarms(past, changed)


def names(history: list[dict[str, float]]) -> list[str]:
    return [alarm.name for alarm in told(history)]


def ill(**changes: float) -> list[dict[str, float]]:
    return [WELL | {name.replace("__", "/"): value for name, value in changes.items()}] * RECENT


def test_a_healthy_run_raises_nothing() -> None:
    assert names([WELL] * 100) == []


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("reward_zero", {"reward": 0.0}, {"reward": 0.2}),
        ("clipped", {"completions__clipped_ratio": 0.81}, {"completions__clipped_ratio": 0.8}),
        ("no_variance", {"frac_reward_zero_std": 0.81}, {"frac_reward_zero_std": 0.8}),
        (
            "entropy_low",
            {"entropy": 0.049, "frac_reward_zero_std": 0.6},
            {"entropy": 0.05, "frac_reward_zero_std": 0.6},
        ),
        (
            "entropy_low",
            {"entropy": 0.049, "frac_reward_zero_std": 0.5},
            {"entropy": 0.049, "frac_reward_zero_std": 0.4},
        ),
        ("entropy_high", {"entropy": 0.51}, {"entropy": 0.5}),
        ("grad_norm_low", {"grad_norm": 0.0009}, {"grad_norm": 0.001}),
        ("grad_norm_high", {"grad_norm": 1.1}, {"grad_norm": 1.0}),
        ("kl_high", {"kl": 0.51}, {"kl": 0.5}),
        ("not_finite", {"loss": math.nan}, {"loss": 0.0}),
        ("all_right", {"rewards__accuracy__mean": 0.99}, {"rewards__accuracy__mean": 0.98}),
        ("equal", {"frac_completions_equal": 1.0}, {"frac_completions_equal": 0.9}),
        ("entropy_gone", {"entropy": 0.009}, {"entropy": 0.05}),
        (
            "sampler_apart",
            {"sampling__sampling_logp_difference__mean": 0.11},
            {"sampling__sampling_logp_difference__mean": 0.1},
        ),
        ("memory", {"peak_share": 0.96}, {"peak_share": 0.95}),
    ],
)
def test_each_rule_speaks_beyond_its_bound_and_not_at_it(
    name: str, bad: dict[str, float], good: dict[str, float]
) -> None:
    assert names(ill(**bad)) == [name]
    assert names(ill(**good)) == []
    needed = {"not_finite": 1, "reward_zero": FLAT, "all_right": FLAT}.get(name, RECENT)
    assert names(ill(**bad)[: needed - 1]) == [], "too few steps to judge by"
    assert names(ill(**bad)[:needed]) == [name]


BEFORE = WELL | {"completions/mean_length": 100.0, "step_time": 9.0, "usd_at_end": 1.0}


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("length_growing", {"completions/mean_length": 201.0}, {"completions/mean_length": 200.0}),
        ("length_growing", {"completions/mean_length": 201.0}, {"completions/mean_length": 201.0, "reward": 1.3}),
        ("slow", {"step_time": 18.1}, {"step_time": 18.0}),
        ("slow", {"step_time": 18.1, "completions/mean_length": 50.0}, {"step_time": 18.0}),
        ("slow", {"step_time": 28.0}, {"step_time": 28.0, "completions/mean_length": 160.0}),
        ("forecast", {"usd_at_end": 1.51}, {"usd_at_end": 1.5}),
    ],
)
def test_rules_that_compare_with_the_first_steps(name: str, bad: dict[str, float], good: dict[str, float]) -> None:
    assert names([BEFORE] * RECENT + [BEFORE | bad] * RECENT) == [name]
    assert names([BEFORE] * RECENT + [BEFORE | good] * RECENT) == []
    assert names([BEFORE | bad] * 2 * RECENT) == [], "it was so from the start"


def test_an_adapter_that_hardly_moves_is_told_after_twenty_trained_steps() -> None:
    assert names([WELL | {"adapter_norm": 0.9e-5}] * START_STEPS) == ["adapter_still"]
    assert names([WELL | {"adapter_norm": 0.9e-5}] * (START_STEPS - 1)) == []
    assert names([WELL | {"adapter_norm": 1.1e-5}] * START_STEPS) == []


def test_a_reward_that_fell_to_half_of_its_best_has_collapsed() -> None:
    best = [WELL] * SETTLED
    assert names([*best, *[WELL | {"reward": 0.3}] * 12]) == ["reward_fallen"]
    assert names([*best, *[WELL | {"reward": 0.7}] * 40]) == []
    assert names([WELL | {"reward": -0.5}] * SETTLED + [WELL | {"reward": -5.0}] * 9) == [], "it never was above 0"


def test_steps_without_a_trained_token_are_told_once_in_the_words_that_say_most() -> None:
    silent = {name: value for name, value in WELL.items() if name != "entropy"} | {"frac_reward_zero_std": 1.0}
    assert names([silent] * (FLAT - 1)) == []
    assert names([silent] * 20) == ["untrained"]
    assert names([silent | {"reward": 0.0}] * 20) == ["reward_zero"]
    assert names([silent | {"rewards/accuracy/mean": 1.0}] * 20) == ["all_right"]
    assert names([WELL] * START_STEPS + [silent | {"rewards/accuracy/mean": 1.0}] * 20) == ["untrained"]


def test_where_all_are_cut_off_three_steps_will_do() -> None:
    assert names([WELL | {"completions/clipped_ratio": 1.0}] * FLAT) == ["clipped"]


def test_a_recipe_gives_another_threshold_or_turns_an_alarm_off() -> None:
    history = ill(completions__clipped_ratio=0.85)
    assert [alarm.name for alarm in told(history, {"clipped": 0.9})] == []
    assert [alarm.name for alarm in told(history, {"clipped": None})] == []
    assert [alarm.name for alarm in told([WELL] * RECENT, {"clipped": 0.05})] == ["clipped"]


def test_every_rule_is_listed_with_a_section_of_the_docs() -> None:
    page = (Path(__file__).parents[1] / "docs" / "troubleshooting.md").read_text()
    assert [name for name in RULES if f"## {name}\n" not in page] == []


def test_one_step_out_of_its_range_is_an_accident() -> None:
    assert names([*[WELL] * 10, WELL | {"grad_norm": 9.0, "completions/clipped_ratio": 1.0}]) == []


def test_every_alarm_has_a_figure_or_a_fact_and_something_to_try() -> None:
    alarm, *_ = told(ill(completions__clipped_ratio=0.95))
    assert "95%" in alarm.words
    assert "max_completion_length" in alarm.advice


def test_how_long_the_reward_has_been_flat_is_said() -> None:
    (alarm,) = told([WELL, *[WELL | {"reward": 0.0}] * 8])
    assert "last 8 steps" in alarm.words


def test_a_reward_that_stays_small_is_low_after_its_start_and_not_before() -> None:
    low = WELL | {"reward": 0.1}
    assert names([low] * (START_STEPS - 1)) == []
    assert names([low] * START_STEPS) == ["reward_low"]
    assert names([*[low] * START_STEPS, WELL | {"reward": 0.16}]) == []


def test_rewards_that_may_be_negative_have_no_lowest_value() -> None:
    assert names([WELL | {"reward": value} for value in [-0.5, 0.1] * START_STEPS]) == []


def test_groups_without_variance_that_are_right_ask_for_harder_problems() -> None:
    (learnt,) = told(ill(frac_reward_zero_std=0.95, rewards__accuracy__mean=0.97))
    (hard,) = told(ill(frac_reward_zero_std=0.95, rewards__accuracy__mean=0.01))
    assert "harder problems" in learnt.advice
    assert "resample_zero_variance" in hard.advice


def test_a_low_entropy_is_one_thing_while_the_reward_holds_and_another_when_it_has_fallen() -> None:
    (sure,) = told(ill(entropy=0.01, frac_reward_zero_std=0.6))
    (collapsed,) = told([WELL, *ill(entropy=0.01, reward=0.4)])
    assert "stop here" in sure.advice
    assert "the reward has fallen" in collapsed.words
    assert "earlier checkpoint" in collapsed.advice


def test_an_entropy_on_its_way_down_is_no_alarm() -> None:
    falling = [WELL | {"entropy": 2.0 * 0.95**step} for step in range(2 * RECENT)]
    rising = [WELL | {"entropy": 1.0 * 1.05**step} for step in range(2 * RECENT)]
    assert names(falling) == []
    assert names(rising) == ["entropy_high"]


def test_steps_without_gradient_say_nothing_about_its_norm() -> None:
    silent = {name: value for name, value in WELL.items() if name != "entropy"} | {"grad_norm": 0.0}
    assert names([silent] * 20) == []


def test_a_run_that_learnt_is_told_to_stop_at_its_end_and_is_left_alone_in_the_middle() -> None:
    history = [json.loads(line) for line in MEASURED.read_text().splitlines()]
    assert names(history) == ["no_variance"]
    assert names(history[:35]) == []


@given(
    st.lists(
        st.dictionaries(st.sampled_from([*WELL, *HEALTHY]), st.floats(), max_size=6),
        max_size=30,
    )
)
def test_any_metric_may_be_missing_or_broken(history: list[dict[str, float]]) -> None:
    for alarm in told(history):
        assert alarm.words
        assert alarm.advice
