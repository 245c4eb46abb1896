"""A policy is opened: a base with a fresh adapter for a run, or with a saved one for what comes after."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.policy.engine import EngineName
from tina_lite.policy.interface import Policy
from tina_lite.policy.memory_request import MemoryRequest
from tina_lite.policy.model_ref import TENSORS, ModelRef, read_config
from tina_lite.recipe.schema import LoraSection, ModelSection, RolloutSection
from tina_lite.util.errors import BadInput
from tina_lite.util.stateful import ResolvedRuntime

if TYPE_CHECKING:
    from tina_lite.policy.native import NativePolicy


def load_model(target: ModelRef, **sampling: int) -> "NativePolicy":
    """Load the policy, ready to sample.

    `sampling`: sequences at once, where memory allows, and the tokens of the longest prompt and completion, as
    `MemoryRequest.sampling` has them.

    BadInput where model or adapter cannot be loaded, or do not fit together; NoRoom where not even one sequence fits.
    """
    from tina_lite.policy.native import NativePolicy
    from tina_lite.policy.pretrained import load_tokenizer

    lora = None if target.adapter is None else _lora_of(target, target.adapter)
    memory_request = MemoryRequest.sampling(target.model, lora, **sampling)
    tokenizer = load_tokenizer(target.model_id, target.template_kwargs)
    stops = target.recipe.rollout.stop if target.recipe else ()
    longest = memory_request.longest_sequence if sampling else 0
    policy = NativePolicy(
        target.model, lora, tokenizer, seed=0, memory_request=memory_request, max_tokens=longest, stops=stops
    )
    if target.adapter is not None:
        _load_adapter(policy, target.adapter)
    return policy


def _lora_of(target: ModelRef, adapter: Path) -> LoraSection:
    """The recipe's, from which peft spells out the same adapter (experts have patterns then); else of its config."""
    if target.recipe is not None:
        return target.recipe.lora.model_copy(update={"dropout": 0.0})
    config = read_config(adapter)
    targets = tuple(config["target_modules"])
    return LoraSection(r=int(config["r"]), alpha=float(config["lora_alpha"]), dropout=0.0, target_modules=targets)


def _load_adapter(policy: "NativePolicy", adapter: Path) -> None:
    """The saved tensors take the place of the fresh ones, in the dtype that they were saved in."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        saved = load_file(adapter / TENSORS)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{adapter / TENSORS}: cannot be read ({error}); copy the whole adapter folder") from error
    fresh = {name.replace(".default.", "."): tensor for name, tensor in policy.trainable().items()}
    if {n: t.shape for n, t in saved.items()} != {n: t.shape for n, t in fresh.items()}:
        strange = sorted(set(saved) ^ set(fresh)) or [name for name in saved if saved[name].shape != fresh[name].shape]
        raise BadInput(f"{adapter}: does not fit the base {policy.base_name}: {len(strange)} tensors, as {strange[0]}")
    for name, parameter in fresh.items():
        parameter.data = saved[name].to(policy.device)
    policy.sync()


def open_policy(
    engine: EngineName,
    model: ModelSection,
    lora: LoraSection,
    rollout: RolloutSection,
    tokenizer: Any,
    *,
    seed: int,
    memory_request: MemoryRequest,
    runtime: ResolvedRuntime | None = None,
) -> Policy:
    """Base and a fresh adapter; where vLLM is to sample, with its engine as `vllm`, which Unsloth alone can load.

    Args:
        memory_request: what the run asks of memory.
        runtime: how memory was laid out when the run that is resumed began.

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
            memory_request=memory_request,
            runtime=runtime,
            max_tokens=longest,
            stops=rollout.stop,
            vllm=rollout.engine == "vllm",
        )
    from tina_lite.policy.native import NativePolicy

    return NativePolicy(
        model,
        lora,
        tokenizer,
        seed=seed,
        memory_request=memory_request,
        runtime=runtime,
        max_tokens=longest,
        stops=rollout.stop,
    )
