"""Rewards are tried before anything is paid for: a wrong name or column must not show after the first rollout."""

from collections.abc import Sequence
from dataclasses import replace

from tina_lite.errors import BadInput
from tina_lite.records import Completion, Group, Problem, Prompt
from tina_lite.rewards.scoring import WeightedReward, score

TRIAL_S = 2.0
"""For each reward; one that is slow on its first call is not held to be wrong."""
MADE_UP = r"<think>One and one is two.</think><answer>The answer is \boxed{2}.</answer>"


def try_rewards(rewards: Sequence[WeightedReward], problem: Problem) -> None:
    """Call each once, on a group of two made-up completions of a problem.

    Raises:
        BadInput: two have one name, a column is missing, or a call raised; one whose `on_error` the recipe gives may.
    """
    completion = Completion((0,) * len(MADE_UP.split()), (0.0,) * len(MADE_UP.split()), MADE_UP, "stop")
    groups = [Group(Prompt(problem, problem.question, (0,)), (completion, completion))]
    scores = score(groups, [replace(one, limit_s=min(TRIAL_S, one.limit_s or TRIAL_S)) for one in rewards])
    for weighted in rewards:
        name = weighted.reward.name
        if name in scores.failures and not weighted.may_fail and not scores.reason(name).startswith("TimeoutError"):
            raise BadInput(
                f"rewards: {name} fails on a made-up completion ({scores.reason(name)}); mend it, or give it on_error "
                "in the recipe if it may fail"
            )
