"""A policy by the name of its engine. Importing this imports torch; the process has been made the engine's before."""

from collections.abc import Callable
from typing import Any

from tina_lite.policy.engine import EngineName
from tina_lite.policy.interface import Policy
from tina_lite.policy.shape import ModelShape
from tina_lite.recipe.schema import LoraSection, ModelSection, RolloutSection


def open_policy(
    engine: EngineName,
    model: ModelSection,
    lora: LoraSection,
    rollout: RolloutSection,
    tokenizer: Any,
    *,
    seed: int,
    step_bytes: Callable[[ModelShape, int], int],
    resident: bool | None = None,
) -> Policy:
    """Base and a fresh adapter; where vLLM is to sample, with its engine as `vllm`, which Unsloth alone can load.

    Args:
        step_bytes: what a step needs at least beside the base, of a shape and the bytes of an activation; by it the
            portable engine decides whether a dense copy of the base fits.
        resident: decides it in the place of free memory.
    """
    longest = rollout.max_tokens
    if engine == "unsloth":
        from tina_lite.policy.unsloth import UnslothPolicy

        return UnslothPolicy(model, lora, tokenizer, seed=seed, max_tokens=longest, vllm=rollout.engine == "vllm")
    from tina_lite.policy.portable import PortablePolicy

    return PortablePolicy(
        model, lora, tokenizer, seed=seed, max_tokens=longest, step_bytes=step_bytes, resident=resident
    )
