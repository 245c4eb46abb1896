"""A policy by the name of its engine. Importing this imports torch; the process has been made the engine's before."""

from typing import Any

from tina_lite.chosen import Chosen
from tina_lite.policy.demand import Demand
from tina_lite.policy.engine import EngineName
from tina_lite.policy.interface import Policy
from tina_lite.recipe.schema import LoraSection, ModelSection, RolloutSection


def open_policy(
    engine: EngineName,
    model: ModelSection,
    lora: LoraSection,
    rollout: RolloutSection,
    tokenizer: Any,
    *,
    seed: int,
    demand: Demand,
    chosen: Chosen | None = None,
) -> Policy:
    """Base and a fresh adapter; where vLLM is to sample, with its engine as `vllm`, which Unsloth alone can load.

    Args:
        demand: what the run asks of memory.
        chosen: how memory was laid out when the run that is resumed began.

    Raises:
        NoRoom: the free memory does not suffice.
    """
    longest = rollout.max_tokens
    if engine == "unsloth":
        from tina_lite.policy.unsloth import UnslothPolicy

        return UnslothPolicy(
            model,
            lora,
            tokenizer,
            seed=seed,
            demand=demand,
            chosen=chosen,
            max_tokens=longest,
            stops=rollout.stop,
            vllm=rollout.engine == "vllm",
        )
    from tina_lite.policy.portable import PortablePolicy

    return PortablePolicy(
        model, lora, tokenizer, seed=seed, demand=demand, chosen=chosen, max_tokens=longest, stops=rollout.stop
    )
