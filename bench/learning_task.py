"""What both sides of `bench/learning.py` do: the quickstart's numbers, the same problems in the same order."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tina_lite.data import PromptSource, load_problems
from tina_lite.recipe.schema import DataSection
from tina_lite.util.records import Prompt

RECIPE = Path(__file__).parent.parent / "recipes" / "quickstart.yaml"
SEEDS = (1, 2, 3)
PROMPTS = 8
"""A step; the quickstart asks 16."""
STEPS = 40
WINDOW = 10
"""Steps whose mean is one point of a curve."""
CURVES = (
    "reward",
    "rewards/accuracy/mean",
    "completions/mean_length",
    "completions/clipped_ratio",
    "entropy",
    "grad_norm",
    "learning_rate",
)
"""Both sides log them under these names."""


def prompts_of(recipe: dict[str, Any], tokenizer: Any) -> list[Prompt]:
    """All prompts of a run in the order of the product's own source."""
    source = PromptSource(
        load_problems(DataSection(source=recipe["data"]["source"]), seed=recipe["seed"]),
        tokenizer,
        max_prompt_length=recipe["rollout"]["max_prompt_length"],
        system_prompt=None,
        seed=recipe["seed"],
    )
    return source.next(recipe["stop"]["max_steps"] * recipe["rollout"]["prompts_per_step"])


def digest(prompt_ids: list[list[int]]) -> str:
    """A short name for token ids, by which the driver compares the two sides."""
    return sha256(json.dumps(prompt_ids).encode()).hexdigest()[:16]


def curves_of(steps: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """Logged steps as one list a curve; a step without gradient has no entropy."""
    return {name: [round(step[name], 7) if name in step else None for step in steps] for name in CURVES}
