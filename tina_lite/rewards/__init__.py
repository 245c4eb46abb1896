"""What a completion is worth: a registry of reward functions, the paper's own, and the user's.

>>> known_rewards()[:4]
['accuracy', 'boxed', 'choice', 'cosine']
"""

from tina_lite.answers import gold_parses
from tina_lite.rewards import accuracy, builtin, stated  # noqa: F401 (their rewards are registered)
from tina_lite.rewards.registry import Reward, known_rewards, resolve, reward, sections_of, wants_answers
from tina_lite.rewards.scoring import (
    BrokenRewards,
    Scores,
    StepScores,
    TrainerState,
    WeightedReward,
    score,
    score_rows,
    try_rewards,
    weighted_rewards,
)

__all__ = [
    "BrokenRewards",
    "Reward",
    "Scores",
    "StepScores",
    "TrainerState",
    "WeightedReward",
    "gold_parses",
    "known_rewards",
    "resolve",
    "reward",
    "score",
    "score_rows",
    "sections_of",
    "try_rewards",
    "wants_answers",
    "weighted_rewards",
]
