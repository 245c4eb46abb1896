"""What a run asks of memory, and what there is."""

from dataclasses import dataclass

from tina_lite.recipe import Recipe
from tina_lite.recipe.schema import LoraSection, ModelSection

ROWS_ENOUGH = 128
"""Rows decoded at once beyond those of a step, where an evaluation has as many: more are hardly faster."""
RESERVE = 0.05
"""Of free memory: blocks that do not fit together, workspaces of libraries."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a run asks for at its longest."""

    prompts: int
    generations: int
    longest_prompt: int
    longest_completion: int
    micro_batch_tokens: int
    """0: nothing is learnt."""
    kv_tokens: int | None
    """As the recipe says; None: as memory allows."""
    eval_rows: int
    """Completions of one evaluation."""
    truncates: bool
    quantization: str
    r: int
    target_modules: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> "Demand":
        rollout, evaluation = recipe.rollout, recipe.eval
        return cls(
            prompts=rollout.prompts_per_step,
            generations=rollout.num_generations,
            longest_prompt=rollout.max_prompt_length,
            longest_completion=rollout.max_completion_length,
            micro_batch_tokens=recipe.optim.micro_batch_tokens,
            kv_tokens=rollout.kv_tokens,
            eval_rows=evaluation.problems * evaluation.samples * len(evaluation.benchmarks),
            truncates=rollout.truncates,
            quantization=recipe.model.quantization,
            r=recipe.lora.r,
            target_modules=recipe.lora.target_modules,
        )

    @classmethod
    def sampling(
        cls, model: ModelSection, lora: LoraSection | None, *, rows: int = 1, prompt: int = 512, completion: int = 512
    ) -> "Demand":
        """So many completions at once, and nothing is learnt."""
        return cls(
            prompts=rows,
            generations=1,
            longest_prompt=prompt,
            longest_completion=completion,
            micro_batch_tokens=0,
            kv_tokens=None,
            eval_rows=0,
            truncates=False,
            quantization=model.quantization,
            r=lora.r if lora else 0,
            target_modules=lora.target_modules if lora else (),
        )

    @property
    def row(self) -> int:
        """Tokens of the longest row."""
        return self.longest_prompt + self.longest_completion

    @property
    def step_rows(self) -> int:
        return self.prompts * self.generations

    @property
    def rows(self) -> int:
        """That are worth decoding at once."""
        return max(self.step_rows, min(self.eval_rows, ROWS_ENOUGH))

    def step_tokens(self, shares_prompts: bool) -> int:
        """Of one forward pass over all rows."""
        prompts = self.prompts if shares_prompts else self.step_rows
        return prompts * self.longest_prompt + self.step_rows * self.longest_completion


@dataclass(frozen=True, slots=True)
class Room:
    """Where a run is to be laid out."""

    free: int
    """Bytes that may be taken, before the base is loaded."""
    card: bool
    itemsize: int
    """Bytes of an activation."""
    runtime: int = 0
    """Of `free`, what interpreter and libraries will take; 0 where they are loaded."""

    @property
    def usable(self) -> int:
        return int(self.free * (1 - RESERVE)) - self.runtime
