"""A policy by the name of its engine. Importing this imports torch; the process has been made the engine's before."""

from collections.abc import Callable
from typing import Any, Literal

from tina_lite.policy.engine import EngineName
from tina_lite.policy.interface import Policy
from tina_lite.policy.shape import ModelShape


def open_policy(
    engine: EngineName,
    model_id: str,
    tokenizer: Any,
    *,
    r: int,
    alpha: float,
    dropout: float,
    target_modules: tuple[str, ...],
    seed: int,
    quantization: Literal["nf4", "none"],
    dtype: str,
    max_tokens: int,
    vllm: bool = False,
    step_bytes: Callable[[ModelShape, int], int],
    resident: bool | None = None,
) -> Policy:
    """Base and a fresh adapter.

    Args:
        max_tokens: of the longest row, prompt included.
        vllm: also load vLLM's engine, which Unsloth alone can; the policy then has it as `vllm`.
        step_bytes: what a step needs at least beside the base, of a shape and the bytes of an activation; by it the
            portable engine decides whether a dense copy of the base fits.
        resident: decides it in the place of free memory.
    """
    settings: dict[str, Any] = {
        "r": r,
        "alpha": alpha,
        "dropout": dropout,
        "target_modules": target_modules,
        "seed": seed,
        "quantization": quantization,
        "dtype": dtype,
    }
    if engine == "unsloth":
        from tina_lite.policy.unsloth import UnslothPolicy

        return UnslothPolicy(model_id, tokenizer, max_tokens=max_tokens, vllm=vllm, **settings)
    from tina_lite.policy.portable import PortablePolicy

    return PortablePolicy(
        model_id, tokenizer, max_tokens=max_tokens, step_bytes=step_bytes, resident=resident, **settings
    )
