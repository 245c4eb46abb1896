"""The LoRA adapter on a base, and which of its modules are adapted."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from tina_lite.policy.shape import ALL_LINEAR, PATTERN
from tina_lite.recipe.schema import LoraSection
from tina_lite.util.errors import BadInput

MAMBA = ("falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h")
PAST_AN_ADAPTER = ("out_proj", "conv1d")
"""Their kernels read these weights themselves; peft refuses to adapt them."""


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
    in_float32 = _of_experts(model) if base.get_input_embeddings().weight.dtype == torch.float32 else ()
    for parameter in model.parameters():
        if parameter.requires_grad and not any(parameter is one for one in in_float32):
            parameter.data = parameter.data.to(torch.bfloat16)  # the learner holds the fp32 masters
            if hasattr(parameter, "grad_dtype"):  # torch 2.10: gradients of many micro-batches add up in float32
                parameter.grad_dtype = torch.float32
    _compute_as_the_base(model)
    return model.eval()


def _of_experts(model: Any) -> list[torch.nn.Parameter]:
    """Adapters of experts, whose weights are one tensor: peft adds them to it, and would round their gradients."""
    from peft.tuners.lora.layer import ParamWrapper

    wrappers = [module for module in model.modules() if isinstance(module, ParamWrapper)]
    linears = [linear for wrapper in wrappers for linear in (*wrapper.lora_A.values(), *wrapper.lora_B.values())]
    return [linear.weight for linear in linears]


class _InDtype(torch.autograd.Function):
    """Tensor.to, whose gradient is not rounded to the dtype of the parameter where that takes float32."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.wide = getattr(weight, "grad_dtype", weight.dtype)
        return weight.to(dtype, copy=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0].to(ctx.wide), None


def in_dtype(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Give a parameter in the dtype of activations."""
    wide: Tensor = _InDtype.apply(weight, dtype)  # type: ignore[no-untyped-call]
    return wide


class _InItsInputsDtype(torch.nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, in_dtype(self.weight, x.dtype))


def _compute_as_the_base(model: Any) -> None:
    """In the base's dtype, whatever the adapter is kept in; peft rounds what goes into the adapter to the adapter's."""
    from peft.tuners.lora import LoraLayer

    for layer in (module for module in model.modules() if isinstance(module, LoraLayer)):
        layer.cast_input_dtype_enabled = False
        for linear in (*layer.lora_A.values(), *layer.lora_B.values()):
            linear.__class__ = _InItsInputsDtype


@contextmanager
def dropout_of(model: Any) -> Iterator[None]:
    """The adapter's dropout is on. The base's never is: the sampler drops nothing, and the reference is the base."""
    drops = [module for name, module in model.named_modules() if ".lora_dropout." in name]
    for module in drops:
        module.train()
    try:
        yield
    finally:
        for module in drops:
            module.eval()


def chosen_targets(base: Any, target_modules: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that are adapted, all-linear and patterns spelt out.

    BadInput where the model lacks one, which peft would pass over, or where one cannot be trained.
    """
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    linear = [
        name
        for name, module in base.named_modules()
        if name and isinstance(module, torch.nn.Linear | Conv1D)
        if "Router" not in type(module).__name__  # of experts, which gives more than a product
        and not (base.config.model_type in MAMBA and name.endswith(PAST_AN_ADAPTER))
    ]
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    frozen = {name for name, module in base.named_modules() if any(module is end for end in ends)}
    target_modules = tuple(name for target in target_modules for name in _matched(target, set(linear) - frozen))
    missing = [target for target in target_modules if not any(_is_named(name, target) for name in linear)]
    ends_meant = [target for target in target_modules if any(_is_named(name, target) for name in frozen)]
    trained = sorted({_last(name) for name in linear if name not in frozen})
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


def _last(name: str) -> str:
    """Of a module's name; all of it where that is a number in a list, as layers have numbers too."""
    last = name.rpartition(".")[2]
    return name if last.isdecimal() else last


def _is_named(name: str, target: str) -> bool:
    """As peft matches a list of targets."""
    return name == target or name.endswith(f".{target}")
