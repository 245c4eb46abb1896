"""The LoRA adapter on a base, and which of its modules are adapted."""

import re
from collections.abc import Collection
from typing import Any

import torch

from tina_lite.errors import BadInput
from tina_lite.policy.shape import ALL_LINEAR, PATTERN
from tina_lite.recipe.schema import LoraSection


def attach_lora(base: Any, lora: LoraSection) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(chosen_targets(base, lora.target_modules)),
        task_type="CAUSAL_LM",
        revision=getattr(base.config, "_commit_hash", None),
    )
    model = get_peft_model(base, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)  # the learner holds the fp32 masters
            if hasattr(parameter, "grad_dtype"):  # torch 2.10: gradients of many micro-batches add up in float32
                parameter.grad_dtype = torch.float32
    return model.eval()


def chosen_targets(base: Any, target_modules: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that are adapted, all-linear and patterns spelt out.

    BadInput where the model lacks one, which peft would pass over, or where one cannot be trained.
    """
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    linear = [
        name
        for name, module in base.named_modules()
        if name and (hasattr(module, "in_features") or isinstance(module, Conv1D))
    ]
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    frozen = {name for name, module in base.named_modules() if any(module is end for end in ends)}
    target_modules = tuple(name for target in target_modules for name in _matched(target, set(linear) - frozen))
    missing = [target for target in target_modules if not any(_is_named(name, target) for name in linear)]
    ends_meant = [target for target in target_modules if any(_is_named(name, target) for name in frozen)]
    trained = sorted({name.rpartition(".")[2] for name in linear if name not in frozen})
    if ALL_LINEAR in target_modules:
        return tuple(trained)
    found = ", ".join(trained)
    if ends_meant:
        raise BadInput(
            f"lora.target_modules: {', '.join(ends_meant)} cannot be trained, embedding and head stay frozen; "
            f"this model has {found}"
        )
    if missing:
        raise BadInput(
            f"lora.target_modules: {', '.join(missing)} fit no layer of this model "
            f"({base.config.model_type}); it has {found}"
        )
    return target_modules


def _matched(target: str, linear: Collection[str]) -> list[str]:
    """The whole names that a regular expression fits, as peft has it where it is given one; a name as it stands."""
    if not PATTERN.search(target):
        return [target]
    try:
        return sorted(name for name in linear if re.fullmatch(target, name)) or [target]
    except re.error as error:
        raise BadInput(f"lora.target_modules: {target} is no regular expression ({error})") from None


def _is_named(name: str, target: str) -> bool:
    """As peft matches a list of targets."""
    return name == target or name.endswith(f".{target}")
