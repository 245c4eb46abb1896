"""Rewards are tried before anything is paid for: a wrong name or column must not show after the first rollout."""

from collections.abc import Sequence
from dataclasses import replace

from tina_lite.errors import BadInput
from tina_lite.records import Completion, Group, Problem, Prompt
from tina_lite.rewards.calling import style_of
from tina_lite.rewards.scoring import StepScores, WeightedReward, score

TRIAL_S = 2.0
"""For each reward; one that is slow on its first call is not held to be wrong."""
RIGHT = "<think>One and one is two.</think><answer>The answer is \\boxed{{{gold}}}.</answer>"
WRONG = "I do not know, and so I add one to it again = and again. " * 20


def try_rewards(rewards: Sequence[WeightedReward], problem: Problem) -> list[str]:
    """Call each on two made-up completions of a problem, one right and one wrong, which are alike in nothing.

    Returns what a person should know: which rewards of their own do not tell the two apart.

    Raises:
        BadInput: two have one name, a column is missing, or a call raised; one whose `on_error` the recipe gives may.
            Also where a function works on texts alone, and is handed chats.
    """
    scores = _scored(rewards, problem)
    return [note for weighted in rewards if (note := _looked_at(weighted, scores, problem))]


def _looked_at(weighted: WeightedReward, scores: StepScores, problem: Problem) -> str:
    """What there is to say of a reward; BadInput where it cannot be used as it is."""
    reward, name = weighted.reward, weighted.reward.name
    fails, same = name in scores.failures, not reward.is_ours and _gives_the_same(scores, name)
    if not fails and not same:
        return ""
    if style_of(reward.function) == "step" and not reward.as_text and not reward.is_ours:
        as_text = _scored([replace(weighted, reward=replace(reward, as_text=True))], problem)
        if name not in as_text.failures and not _gives_the_same(as_text, name):
            what = f"fails on chats ({scores.reason(name)})" if fails else "gives the same for every chat"
            raise BadInput(
                f"rewards: {name} {what}, and works on texts: give it completions: text in the recipe, as in "
                f"{{name: {name}, completions: text}}"
            )
    if fails:
        if not weighted.may_fail and not scores.reason(name).startswith("TimeoutError"):
            raise BadInput(
                f"rewards: {name} fails on a made-up completion ({scores.reason(name)}); mend it, or give it on_error "
                "in the recipe if it may fail"
            )
        return ""
    (value, *_) = scores.groups[0].rewards[name]
    gave = "had no opinion on" if value is None else f"gave {value:g} for"
    return f"reward {name} {gave} both of two made-up completions, a right and a long wrong one: it may teach nothing"


def _scored(rewards: Sequence[WeightedReward], problem: Problem) -> StepScores:
    texts = (RIGHT.format(gold=problem.answer), WRONG)
    made_up = (Completion((0,) * len(text.split()), (0.0,) * len(text.split()), text, "stop") for text in texts)
    group = Group(Prompt(problem, problem.question, (0,)), tuple(made_up))
    return score([group], [replace(one, limit_s=min(TRIAL_S, one.limit_s or TRIAL_S)) for one in rewards])


def _gives_the_same(scores: StepScores, name: str) -> bool:
    return len(set(scores.groups[0].rewards[name])) == 1
