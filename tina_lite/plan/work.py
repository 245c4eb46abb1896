"""What one step asks for, from a recipe: rows and tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tina_lite.recipe import Recipe

PROMPT_SHARE = 0.4
"""Of max_prompt_length, a prompt on average."""
COMPLETION_SHARE = 0.7
"""Of max_completion_length, a completion on average."""


@dataclass(frozen=True, slots=True)
class Work:
    """A step in tokens. Prompts and completions are of typical length, but for rows that are as long as is allowed."""

    prompts: int
    generations: int
    longest_prompt: int
    longest_completion: int
    prompt_share: float
    completion_share: float
    micro_batch_tokens: int
    kv_tokens: int | None
    """As the recipe says; None: from free memory."""
    iterations: int
    reference: bool
    """Whether a KL term asks for the base's log-probs too."""
    eval_rows: int
    """Completions of one evaluation."""
    evaluations: int
    """Before and after; those between come with the steps."""
    eval_every: int | None = field(default=None)

    @classmethod
    def of(cls, recipe: Recipe, lengths: Mapping[str, float] | None = None) -> "Work":
        """`lengths` may hold the shares prompt_share and completion_share, as a run has shown them."""
        rollout, evaluation = recipe.rollout, recipe.eval
        known: dict[str, Any] = {"prompt_share": PROMPT_SHARE, "completion_share": COMPLETION_SHARE, **(lengths or {})}
        return cls(
            prompts=rollout.prompts_per_step,
            generations=rollout.num_generations,
            longest_prompt=rollout.max_prompt_length,
            longest_completion=rollout.max_completion_length,
            micro_batch_tokens=recipe.optim.micro_batch_tokens,
            kv_tokens=rollout.kv_tokens,
            iterations=recipe.grpo.num_iterations,
            reference=recipe.grpo.beta > 0,
            eval_rows=evaluation.problems * evaluation.samples * len(evaluation.benchmarks),
            evaluations=2 if evaluation.benchmarks else 0,
            eval_every=evaluation.every if evaluation.benchmarks else None,
            **known,
        )

    @property
    def rows(self) -> int:
        """Completions of a step."""
        return self.prompts * self.generations

    @property
    def row(self) -> int:
        """Tokens that a row takes in the cache: a typical prompt, and the longest completion."""
        return round(self.prompt) + self.longest_completion

    @property
    def prompt(self) -> float:
        """Tokens of a typical prompt."""
        return max(1.0, self.prompt_share * self.longest_prompt)

    @property
    def completion(self) -> float:
        """Tokens of a typical completion."""
        return max(1.0, self.completion_share * self.longest_completion)

    def trained_tokens(self, shares_prompts: bool) -> float:
        """Typical tokens of a forward pass over all rows."""
        return self.prompts * self.prompt * (1 if shares_prompts else self.generations) + self.rows * self.completion

    def micro_batch(self, shares_prompts: bool) -> int:
        """The most tokens in one forward pass: the budget, all that there are, or a row that alone is longer."""
        return max(self.row, min(self.micro_batch_tokens, round(self.trained_tokens(shares_prompts))))
