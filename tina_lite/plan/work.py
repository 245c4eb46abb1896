"""What one step asks for, from a recipe: rows and tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tina_lite.policy.demand import Demand
from tina_lite.recipe import Recipe

PROMPT_SHARE = 0.4
"""Of max_prompt_length, a prompt on average."""
COMPLETION_SHARE = 0.7
"""Of max_completion_length, a completion on average."""


@dataclass(frozen=True, slots=True)
class Work:
    """A step in tokens, its prompts and completions of typical length."""

    demand: Demand
    """The same step at its longest."""
    prompt_share: float
    completion_share: float
    iterations: int
    reference: bool
    """Whether a KL term asks for the base's log-probs too."""
    evaluations: int
    """Before and after; those between come with the steps."""
    eval_every: int | None

    @classmethod
    def of(cls, recipe: Recipe, lengths: Mapping[str, float] | None = None) -> "Work":
        """`lengths` may hold the shares prompt_share and completion_share, as a run has shown them."""
        known: dict[str, Any] = {"prompt_share": PROMPT_SHARE, "completion_share": COMPLETION_SHARE, **(lengths or {})}
        return cls(
            demand=Demand.of(recipe),
            iterations=recipe.grpo.num_iterations,
            reference=recipe.grpo.beta > 0,
            evaluations=2 if recipe.eval.benchmarks else 0,
            eval_every=recipe.eval.every if recipe.eval.benchmarks else None,
            **known,
        )

    @property
    def row(self) -> int:
        """Tokens that a row takes in the cache: a typical prompt, and the longest completion."""
        return round(self.prompt) + self.demand.longest_completion

    @property
    def prompt(self) -> float:
        """Tokens of a typical prompt."""
        return max(1.0, self.prompt_share * self.demand.longest_prompt)

    @property
    def completion(self) -> float:
        """Tokens of a typical completion."""
        return max(1.0, self.completion_share * self.demand.longest_completion)

    def trained_tokens(self, shares_prompts: bool) -> float:
        """Typical tokens of a forward pass over all rows."""
        prompts = self.demand.prompts if shares_prompts else self.demand.step_rows
        return prompts * self.prompt + self.demand.step_rows * self.completion
