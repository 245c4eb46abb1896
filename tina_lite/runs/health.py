"""What is amiss with a run, in words, with what to try: one table of rules over what its metrics have been.

Where a rule names no other source, its threshold is the edge of the range in which training of this kind is known to
go well: Axolotl, docs/training_stability.qmd.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tina_lite.budget.money import format_usd
from tina_lite.runs.past import RECENT, Past

START_STEPS = 20
FLAT = 3
"""Steps in a row that tell already."""
FALLING = 0.9
"""An entropy that came down to this share of what it was is on its way into its range."""
HOLDS = 0.8
"""A reward of at least this share of the best so far has not fallen."""
MOSTLY = 0.5
"""Of the groups."""
LEARNT = 0.5
"""Where this share is right, groups of equal rewards are mostly groups in which all are."""

ACCURACY, EQUAL, CLIPPED = "rewards/accuracy/mean", "frac_reward_zero_std", "completions/clipped_ratio"
LENGTH, APART, SECONDS = "completions/mean_length", "sampling/sampling_logp_difference/mean", "step_time"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is amiss."""

    name: str
    """For programs: that of its rule."""
    words: str
    """What is so, with the figure."""
    advice: str
    """What to try, in the names of a recipe's fields."""


Finding = tuple[str, str] | None
"""Words and advice; None where nothing is amiss."""
Find = Callable[[Past, float], Finding]
"""By a threshold."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When an alarm is raised."""

    name: str
    threshold: float
    """A recipe's `alarms` may give another."""
    what: str
    """What the threshold is of, and on which side of it something is amiss."""
    find: Find
    is_collapse: bool
    """Whether `stop.on_collapse` ends the run: nothing is left to explore."""
    hides: tuple[str, ...]
    """Rules that would only say the same in other words."""


RULES: dict[str, Rule] = {}
"""By name, the gravest first."""


def _rule(
    name: str, threshold: float, what: str, *, is_collapse: bool = False, hides: tuple[str, ...] = ()
) -> Callable[[Find], Find]:
    def keep(find: Find) -> Find:
        RULES[name] = Rule(name, threshold, what, find, is_collapse, hides)
        return find

    return keep


def _beyond(
    name: str,
    threshold: float,
    what: str,
    metric: str,
    words: str,
    advice: str,
    *,
    below: bool = False,
    counts: Callable[[float], bool] = math.isfinite,
) -> None:
    """Add a rule that looks at one metric alone; `words` have a place for its value and for the bound."""

    @_rule(name, threshold, what)
    def find(past: Past, bound: float) -> Finding:
        value = past.recent(metric, counts=counts)
        if value is None or (value >= bound if below else value <= bound):
            return None
        return words.format(value=value, bound=bound), advice


def alarms(past: Past, changed: Mapping[str, float | None] | None = None) -> list[Alarm]:
    """What is amiss after the latest step, the gravest first; `changed` has other thresholds, None where off.

    >>> past = Past()
    >>> for _ in range(6):
    ...     past.see({"reward": 0.0, "completions/clipped_ratio": 0.95})
    >>> [alarm.name for alarm in alarms(past)], [alarm.name for alarm in alarms(past, {"reward_zero": None})]
    (['reward_zero', 'clipped'], ['clipped'])
    """
    thresholds = {name: rule.threshold for name, rule in RULES.items()} | dict(changed or {})
    found: list[Alarm] = []
    hidden: set[str] = set()
    for rule in RULES.values():
        threshold = thresholds[rule.name]
        finding = None if threshold is None or rule.name in hidden else rule.find(past, threshold)
        if finding is not None:
            found.append(Alarm(rule.name, *finding))
            hidden.update(rule.hides)
    return found


@_rule("not_finite", 1, "steps in a row whose loss or gradient is not finite, at least")
def _not_finite(past: Past, steps: float) -> Finding:
    """Three in a row end the run."""
    if past.always(
        lambda row: not all(math.isfinite(row.get(name, 0.0)) for name in ("loss", "grad_norm")), int(steps)
    ):
        return (
            "loss or gradient is not finite; the step was skipped",
            "a lower optim.learning_rate, or model.compute_dtype: float32",
        )
    return None


@_rule("reward_zero", FLAT, "steps in a row whose rewards are all 0, at least", hides=("untrained", "no_variance"))
def _reward_zero(past: Past, steps: float) -> Finding:
    """As no reward that tells anything is 0 throughout."""
    if past.flat_for < steps:
        return None
    return (
        f"every reward of the last {past.flat_for} steps is 0: nothing can be learnt from that",
        "read a sample and its gold; easier problems, a system_prompt that asks for the answer's form, "
        "a longer max_completion_length",
    )


@_rule("all_right", 0.99, "share that is right from the start, at least", hides=("untrained", "no_variance"))
def _all_right(past: Past, share: float) -> Finding:
    """Groups in which all are right have no advantage (Tina, arXiv 2504.15777, equation 1)."""
    if past.steps > START_STEPS or not past.always(lambda row: row.get(ACCURACY, 0.0) >= share, FLAT):
        return None
    right = past.latest[-1][ACCURACY]
    return f"{right:.0%} of the completions are right from the start: little is left to learn", "harder problems"


@_rule("untrained", FLAT, "steps in a row without one trained token, at least", hides=("no_variance",))
def _untrained(past: Past, steps: float) -> Finding:
    """As groups of equal rewards take no backward pass."""
    if not past.always(lambda row: row.get(EQUAL) == 1.0 and "entropy" not in row, int(steps)):
        return None
    return (
        f"in no group of the last {int(steps)} steps did the rewards differ: not one token was trained on",
        "rewards that tell completions apart, more num_generations, a higher temperature, or other problems",
    )


@_rule("reward_low", 0.15, f"mean reward that was not passed in {START_STEPS} steps")
def _reward_low(past: Past, least: float) -> Finding:
    """Rewards that may be negative have no lowest value."""
    if past.steps < START_STEPS or past.worst < 0 or not 0 < past.best <= least:
        return None
    return (
        f"the mean reward has not passed {least:g} in {past.steps} steps; the best is {past.best:.3g}",
        "easier problems, more num_generations, or a larger model: too few completions are right to learn from",
    )


@_rule("reward_fallen", 0.5, "smoothed reward, as a share of its best, below", is_collapse=True)
def _reward_fallen(past: Past, share: float) -> Finding:
    """Rewards that never were above 0 have no half; the threshold is our own."""
    if past.best_smooth <= 0 or past.smooth >= share * past.best_smooth:
        return None
    return (
        f"the reward has fallen to {past.smooth:.3g} from {past.best_smooth:.3g}, both smoothed",
        "an earlier checkpoint, then a lower optim.learning_rate or a grpo.beta above 0",
    )


@_rule("clipped", 0.8, "share of completions that are cut off, above", is_collapse=True)
def _clipped(past: Past, most: float) -> Finding:
    """Up to here cut-off completions are a thing to know; where all are, three steps will do."""
    share = past.recent(CLIPPED)
    if share is None and past.always(lambda row: row.get(CLIPPED) == 1.0, FLAT):
        share = 1.0
    if share is None or share <= most:
        return None
    return (
        f"{share:.0%} of the completions are cut off before their answer",
        "a longer rollout.max_completion_length; or a reward for length: cosine, soft_overlong, length_l1_max",
    )


@_rule("length_growing", 2.0, "times as long as at first for no more reward, above")
def _length_growing(past: Past, times: float) -> Finding:
    """Length without reward is a known way of going wrong (Dr. GRPO, arXiv 2503.20783); the threshold is our own."""
    length, at_first = past.recent(LENGTH), past.at_first(LENGTH)
    reward, reward_at_first = past.recent("reward"), past.at_first("reward")
    if length is None or at_first is None or reward is None or reward_at_first is None:
        return None
    if length <= times * at_first or reward > reward_at_first:
        return None
    return (
        f"completions have {length:.0f} tokens, at first {at_first:.0f}, and earn no more: {reward:.3g}",
        "grpo.loss_type: dr_grpo, or a reward for length: cosine, soft_overlong, length_l1_max",
    )


@_rule("no_variance", 0.8, "share of groups whose rewards are all equal, above")
def _no_variance(past: Past, most: float) -> Finding:
    share = past.recent(EQUAL)
    if share is None or share <= most:
        return None
    words = f"in {share:.0%} of the groups all rewards are equal; they teach nothing"
    right = past.recent(ACCURACY)
    if right is not None and right >= LEARNT:
        return f"{words}: {right:.0%} is right already", "harder problems, or stop here and save"
    return words, "rollout.selection: difficulty, resample_zero_variance: 2, more num_generations, or other problems"


@_rule("equal", 1.0, "share of groups in which all completions are the same text, at least", is_collapse=True)
def _equal(past: Past, share: float) -> Finding:
    """Nothing can be told apart; the threshold is our own."""
    if not past.always(lambda row: row.get("frac_completions_equal", 0.0) >= share):
        return None
    return (
        "in every group all completions are the same text: nothing can be learnt from them",
        "a higher rollout.temperature, or an earlier checkpoint",
    )


@_rule("entropy_gone", 0.01, "entropy in nats a token, below", is_collapse=True, hides=("entropy_low",))
def _entropy_gone(past: Past, least: float) -> Finding:
    """A fifth of what is low; the threshold is our own."""
    if not past.always(lambda row: row.get("entropy", least) < least):
        return None
    return (
        f"entropy is {past.latest[-1]['entropy']:.4f} nats a token: the policy explores no more",
        "an earlier checkpoint, then a lower optim.learning_rate or grpo.epsilon_high: 0.28",
    )


@_rule("entropy_low", 0.05, "entropy in nats a token, below, while groups do not tell apart or the reward falls")
def _entropy_low(past: Past, least: float) -> Finding:
    entropy = past.recent("entropy")
    if entropy is None or entropy >= least:
        return None
    if not _reward_holds(past):
        return (
            f"entropy is {entropy:.2g} nats, below {least:g}, and the reward has fallen: completions become the same",
            "an earlier checkpoint, then a lower optim.learning_rate or grpo.epsilon_high: 0.28",
        )
    equal = past.recent(EQUAL)
    if equal is not None and equal < MOSTLY:
        return None  # most groups hold completions of different reward: there is variety enough to learn from
    return (
        f"entropy is {entropy:.2g} nats, below {least:g}: it is sure of its ways and tries little else",
        "stop here if the reward has stopped rising; a higher rollout.temperature explores more",
    )


def _reward_holds(past: Past) -> bool:
    """Whether the reward is near the best that there was."""
    reward = past.recent("reward")
    return reward is not None and reward >= HOLDS * past.best


@_rule("entropy_high", 0.5, "entropy in nats a token that is not falling, above")
def _entropy_high(past: Past, most: float) -> Finding:
    entropy, earlier = past.recent("entropy"), past.recent("entropy", before=RECENT)
    if entropy is None or entropy <= most or (earlier is not None and entropy < FALLING * earlier):
        return None
    return (
        f"entropy is {entropy:.2g} nats, above {most:g}, and not falling: completions are partly noise",
        "a lower rollout.temperature; if it goes on rising, a lower optim.learning_rate",
    )


_beyond(
    "grad_norm_low",
    0.001,
    "norm of the gradient where there is one, below",
    "grad_norm",
    "the gradient's norm is {value:.2g}, below {bound:g}: hardly anything is learnt",
    "more num_generations, rewards that tell completions apart, or stop here: it may have learnt all",
    below=True,
    counts=bool,  # 0: no group of that step taught anything
)
_beyond(
    "grad_norm_high",
    1.0,
    "norm of the gradient before clipping, above",
    "grad_norm",
    "the gradient's norm is {value:.2g}, above {bound:g}, before clipping",
    "a lower optim.learning_rate, more prompts_per_step, or a longer warmup_ratio",
    counts=bool,
)
_beyond(
    "kl_high",
    0.5,
    "KL to the base in nats, above",
    "kl",
    "KL to the base is {value:.2g} nats, above {bound:g}: the model runs away from what it knew",
    "a higher grpo.beta, or a lower optim.learning_rate",
)
_beyond(
    "sampler_apart",
    0.1,  # our own: ratios are a tenth off then, half of what the clip allows
    "mean difference of sampler's and learner's log-probs in nats, above",
    APART,
    "sampler and learner differ by {value:.2g} nats a token, above {bound:g}: it learns from what it did not say",
    "model.engine: native, or model.compute_dtype: float32; please report it with the model's name",
)


@_rule("adapter_still", 1e-5, f"norm of the adapter as a share of its base's after {START_STEPS} trained steps, below")
def _adapter_still(past: Past, least: float) -> Finding:
    """Twenty steps at the paper's rate, 1e-6, are reckoned to give some 2e-4; the threshold is our own."""
    moved = past.recent("adapter_norm")
    if moved is None or past.trained_steps < START_STEPS or moved >= least:
        return None
    return (
        f"the adapter's norm is {moved:.1g} of its base's after {past.trained_steps} trained steps: it hardly moved",
        "a higher optim.learning_rate",
    )


_beyond(
    "memory",
    0.95,  # our own: longer completions may not fit then
    "share of the card's memory that was taken, above",
    "peak_share",
    "{value:.0%} of the card's memory is taken: longer completions may not fit, and cost time to try again",
    "a smaller optim.micro_batch_tokens or rollout.kv_tokens",
)


@_rule("slow", 2.0, "times the seconds that a step took at first, for completions of the same length, above")
def _slow(past: Past, times: float) -> Finding:
    """Twice the time is twice the price; the threshold is our own."""
    seconds, at_first = past.recent(SECONDS), past.at_first(SECONDS)
    length, length_at_first = past.recent(LENGTH), past.at_first(LENGTH)
    if seconds is None or at_first is None or length is None or length_at_first is None:
        return None
    if seconds <= times * at_first * max(1.0, length / max(1.0, length_at_first)):
        return None
    return (
        f"a step takes {seconds:.3g} s, at first it took {at_first:.3g} s",
        "look for another program on this machine (nvidia-smi, top), or a card that is too hot",
    )


@_rule("forecast", 1.5, "bill at the end as it is foretold, in times of what was foretold at first, above")
def _forecast(past: Past, times: float) -> Finding:
    """A forecast's worst case is some 1.6 times the best guess; the threshold is our own."""
    usd, at_first = past.recent("usd_at_end"), past.at_first("usd_at_end")
    if usd is None or at_first is None or usd <= times * at_first:
        return None
    return (
        f"at this speed the run ends at {format_usd(usd)}, at first {format_usd(at_first)} were foretold",
        "a shorter rollout.max_completion_length, or fewer stop.max_steps; the budget holds in any case",
    )


def _threshold(name: str) -> float:
    return RULES[name].threshold


HEALTHY: Mapping[str, tuple[float, float]] = {
    EQUAL: (0.0, _threshold("no_variance")),
    "entropy": (_threshold("entropy_low"), _threshold("entropy_high")),
    "grad_norm": (_threshold("grad_norm_low"), _threshold("grad_norm_high")),
    "kl": (-math.inf, _threshold("kl_high")),
    CLIPPED: (0.0, _threshold("clipped")),
}
"""Lowest and highest healthy value; a figure outside is marked wherever people look."""
