"""What a reward function may do wrong, and how it is called: per step, completion or group; sync or async; in time."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tina_lite import load_recipe, run
from tina_lite.recipe.schema import RewardSection
from tina_lite.rewards import StepScores, WeightedReward, resolve, score, weighted_rewards
from tina_lite.rewards.call import HANGS_A_STEP, Failure, call_each
from tina_lite.rewards.registry import Reward
from tina_lite.util.errors import TinaError
from tina_lite.util.records import Completion, Group, Problem, Prompt
from tina_lite.util.wall_clock import OutOfTime, wall_clock_limit

SHORT_S = 0.3


def groups(*texts: tuple[str, ...]) -> list[Group]:
    return [
        Group(
            Prompt(Problem(0, f"question {index}", str(index), {"level": index}), "", (1,)),
            tuple(Completion((5,) * len(text), (0.0,) * len(text), text, "stop") for text in group),
        )
        for index, group in enumerate(texts)
    ]


FOUR = groups(("a", "bb"), ("ccc", "d"))


def scored(function: Callable[..., object], limit_s: float | None = None, on_error: float | None = 0.0) -> StepScores:
    return score(FOUR, [WeightedReward(Reward("mine", function, {}), 1.0, on_error, limit_s)])


def values(scores: StepScores) -> tuple[float | None, ...]:
    return tuple(value for one in scores.groups for value in one.rewards["mine"])


def test_a_function_of_one_completion() -> None:
    def mine(completion: str, prompt: str, answer: str, level: int, completion_ids: list[int]) -> float:
        assert (prompt, answer) == (f"question {level}", str(level))
        assert len(completion_ids) == len(completion)
        return 10.0 * level + len(completion)

    assert values(scored(mine)) == (1.0, 2.0, 13.0, 11.0)


def test_a_function_of_one_group() -> None:
    def mine(group: list[str], answer: str, completion_ids: list[list[int]]) -> list[float]:
        assert [len(ids) for ids in completion_ids] == [len(text) for text in group]
        return [float(answer) + len(text) / max(map(len, group)) for text in group]

    assert values(scored(mine)) == (0.5, 1.0, 2.0, pytest.approx(4 / 3))


def test_async_functions_of_one_completion_run_side_by_side() -> None:
    inside = []

    async def mine(completion: str) -> float:
        inside.append(completion)
        while len(inside) < 4:  # ends only if all four run at once
            await asyncio.sleep(0)
        return len(completion)

    assert values(scored(mine, limit_s=30.0)) == (1.0, 2.0, 3.0, 1.0)


def test_a_completion_that_fails_leaves_the_others_alone() -> None:
    def mine(completion: str) -> object:
        return {"a": 1.0, "bb": "one", "ccc": float("nan")}.get(completion) or 1 / 0

    scores = scored(mine, on_error=-1.0)
    assert values(scores) == (1.0, -1.0, -1.0, -1.0)
    assert scores.failures == {"mine": 3}
    assert scores.reason("mine") == "ValueError: it gave 'one'; a finite float or None was wanted"
    assert values(scored(mine, on_error=None)) == (1.0, None, None, None)
    assert [one.totals for one in scored(mine, on_error=None).groups] == [(1.0, 0.0), (0.0, 0.0)]


def test_a_group_that_fails_leaves_the_others_alone() -> None:
    scores = scored(lambda group: [1.0] * (2 if "a" in group else 3))
    assert values(scores) == (1.0, 1.0, 0.0, 0.0)
    assert scores.reason("mine") == "ValueError: 3 rewards for 2 completions"


def endless_loop(completion: str) -> float:
    while completion == "bb":
        pass
    return 1.0


def deaf_loop(completion: str) -> float:
    while completion == "bb":
        try:
            time.sleep(60)
        except Exception:
            continue
    return 1.0


def careless_pattern(completion: str) -> float:
    text = "a" * 40 if completion == "bb" else completion
    return float(re.match(r"(a|a)*$|(a+)+b", text + "!") is None)


async def endless_wait(completion: str) -> float:
    await asyncio.sleep(60 if completion == "bb" else 0)
    return 1.0


async def blocking_wait(completion: str) -> float:
    if completion == "bb":
        time.sleep(60)
    return 1.0


async def undying_wait(completion: str) -> float:
    while completion == "bb":
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
    return 1.0


@pytest.mark.parametrize("mine", [endless_loop, deaf_loop, careless_pattern, endless_wait])
def test_a_completion_that_hangs_costs_itself_only(mine: Callable[..., object]) -> None:
    scores = scored(mine, limit_s=SHORT_S)
    assert values(scores) == (1.0, 0.0, 1.0, 1.0)
    assert re.match(r"TimeoutError: it took longer than 0\.[13] s \(limit_s is for", scores.reason("mine"))


@pytest.mark.parametrize("gives", [lambda completions: iter(int, 1), lambda completions: time.sleep(60)])
def test_a_call_on_the_whole_step_that_hangs(gives: Callable[..., object]) -> None:
    assert scored(gives, limit_s=SHORT_S).failures == {"mine": 4}


@pytest.mark.slow
@pytest.mark.parametrize("mine", [blocking_wait, undying_wait])
def test_async_functions_that_do_not_let_go(mine: Callable[..., object]) -> None:
    assert 1 <= scored(mine, limit_s=SHORT_S).failures["mine"] <= 4


def test_when_the_steps_limit_is_used_up_the_rest_is_not_called() -> None:
    calls = []

    def hang(row: int) -> None:
        calls.append(row)
        time.sleep(60)

    outcomes = call_each(hang, [{"row": row} for row in range(10)], SHORT_S)
    assert calls == list(range(HANGS_A_STEP))
    assert all(isinstance(outcome, Failure) for outcome in outcomes)
    assert outcomes[-1].traceback.startswith("TimeoutError: not called, as the step's limit_s of 0.3 s was used up")


def test_many_calls_have_one_limit_together() -> None:
    outcomes = call_each(lambda: time.sleep(0.02), [{}] * 50, 0.3)
    assert isinstance(outcomes[-1], Failure)
    assert sum(isinstance(outcome, Failure) for outcome in outcomes) >= 50 - 0.3 / 0.02 - 1


def test_the_limit_leaves_no_alarm_behind() -> None:
    with pytest.raises(OutOfTime), wall_clock_limit(SHORT_S):
        time.sleep(60)
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_a_function_that_leaves_the_program_is_a_failure() -> None:
    assert scored(lambda completion: sys.exit(3)).failures == {"mine": 4}


class Hostile:
    def __float__(self) -> float:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_a_value_that_will_not_even_be_shown() -> None:
    assert values(scored(lambda completion: Hostile())) == (0.0,) * 4


def test_a_pattern_that_searches_for_ever_costs_its_completion_only() -> None:
    texts = ("a" * 40 + "!", "<answer>3</answer>")
    rewards = [WeightedReward(resolve("regex", {"pattern": "^(a|aa)+$|<answer>"}), 1.0)]
    scores = score(groups(texts), rewards)
    assert scores.groups[0].totals == (0.0, 1.0)
    assert scores.failures == {"regex": 1}


def test_what_the_recipe_says_of_failures() -> None:
    section = RewardSection.model_validate({"name": "cosine", "on_error": None, "limit_s": 2, "max_length": 10})
    (one,) = weighted_rewards([section], None)
    assert (one.weight, one.on_error, one.limit_s, one.reward.params) == (1.0, None, 2.0, {"max_length": 10})


def test_a_reward_that_fails_more_often_than_it_may_ends_the_run(quick_recipe: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "CALLS = []\n\ndef mine(completion):\n    CALLS.append(1)\n    return 1.0 if len(CALLS) % 9 else None / 2\n"
    )
    section = {"name": f"{mine}:mine", "max_failures": 3}
    recipe = load_recipe(quick_recipe, {"rewards": [section], "stop.max_steps": 9})
    with pytest.raises(TinaError, match=r"reward mine keeps failing, see .*reward-error\.txt; step 2 is saved"):
        run(recipe, out=tmp_path / "out")
    assert (tmp_path / "out" / "reward-error.txt").read_text().startswith("reward mine, completion ")


def test_a_reward_that_keeps_failing_ends_the_run_which_can_go_on(quick_recipe: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(  # on the two made-up completions, which are tried first, it does not fail
        "CALLS = []\n\ndef mine(completion, answer):\n    CALLS.append(1)\n"
        "    return len(completion) / (1 if len(CALLS) < 3 else BUDGET)\n"
    )
    recipe = load_recipe(quick_recipe, {"rewards": [{"name": f"{mine}:mine"}], "stop.max_steps": 9})
    with pytest.raises(TinaError, match=r"reward mine keeps failing, see .*reward-error\.txt; step 3 is saved"):
        run(recipe, out=tmp_path / "out")
    saved = (tmp_path / "out" / "reward-error.txt").read_text()
    assert saved.startswith("reward mine, completion 0:\nTraceback")
    assert saved.endswith("NameError: name 'BUDGET' is not defined\n")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["steps"], summary["reward_failures"]) == (3, {"mine": 48}), "the fourth step was taken back"
