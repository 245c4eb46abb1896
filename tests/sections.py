"""Sections of a recipe as tests want them: a few fields, the rest as the recipe has it; and what is made of them."""

from collections.abc import Callable, Sequence
from typing import Any

from tina_lite.data import ProblemSet, load_problems
from tina_lite.recipe.schema import DataSection, GrpoSection, LoraSection, ModelSection, OptimSection, RolloutSection
from tina_lite.train.learner import Learner

SECTIONS: dict[str, Any] = {
    "grpo": GrpoSection(loss_type="dapo"),
    "optim": OptimSection(micro_batch_tokens=512),
    "rollout": RolloutSection(temperature=1.0, max_completion_length=24),
    "lora": LoraSection(dropout=0.0),
}


def rollout_section(temperature: float, max_completion_length: int, **fields: Any) -> RolloutSection:
    """Unchecked: temperature 0 is an evaluation's."""
    given = {"temperature": temperature, "max_completion_length": max_completion_length, **fields}
    return RolloutSection().model_copy(update=given)


def changed(section: Any, fields: dict[str, Any]) -> Any:
    """With those of the fields that the section has, which are taken out of `fields`."""
    own = {name: fields.pop(name) for name in list(fields) if name in type(section).model_fields}
    return section.model_copy(update=own)


def make_learner(
    policy: Any,
    *,
    seed: int = 1,
    warn: Callable[[str], None] = lambda text: None,
    loss_scale: float | None = None,
    **fields: Any,
) -> Learner:
    """`fields` are of whichever section has them."""
    sections = {name: changed(section, fields) for name, section in SECTIONS.items()}
    assert not fields, fields
    return Learner(policy, **sections, seed=seed, warn=warn, loss_scale=loss_scale)


def model_sections(model_id: str, fields: dict[str, Any]) -> tuple[ModelSection, LoraSection | None]:
    """Of a small adapter; the fields that they have are taken out of `fields`, and no target modules are no adapter."""
    model = changed(ModelSection(id=model_id, compute_dtype="float32"), fields)
    lora = changed(LoraSection(r=8, alpha=32, dropout=0.0), fields)
    return model, lora if lora.target_modules else None


def load(source: str, **fields: Any) -> ProblemSet:
    """`load_problems` with fields of the data section, unchecked, and its own arguments."""
    data = changed(DataSection.model_construct(source=source), fields)
    return load_problems(data, **fields)


def logprobs_and_gradients(policy: Any, batch: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Log-probs and entropies of a batch, and the gradient of every tensor of the adapter, in float32 on the CPU."""
    import torch

    for tensor in policy.trainable().values():
        tensor.grad = None
    with policy.training():
        logprobs, entropies = policy.logprobs(batch, 0.8)
    weights = torch.linspace(-1, 1, logprobs.numel(), device=logprobs.device).view(logprobs.shape)
    (logprobs * weights).sum().backward()
    gradients = {name: tensor.grad.float().cpu() for name, tensor in policy.trainable().items()}
    return logprobs.detach().cpu(), entropies.cpu(), gradients


def decode(decoder: Any, prompts: Sequence[Any], steps: int = 12) -> dict[int, list[int]]:
    """Greedy tokens of five rows, of which two leave and two others enter on the way."""
    import torch

    prefixes = decoder.prefill([prompt.ids for prompt in prompts])
    decoder.admit(prefixes[:3])
    logits = torch.stack([prefix.logits for prefix in prefixes[:3]])
    rows = [0, 1, 2]
    drawn: dict[int, list[int]] = {row: [] for row in range(5)}
    for step in range(steps):
        if step == 4:
            decoder.keep(torch.tensor([2, 1]))
            rows, logits = [2, 1], logits[[2, 1]]
        if step == 7:
            decoder.admit(prefixes[3:])
            rows += [3, 4]
            logits = torch.cat((logits, torch.stack([prefix.logits for prefix in prefixes[3:]])))
        tokens = logits.argmax(-1)
        for row, token in zip(rows, tokens.tolist(), strict=True):
            drawn[row].append(token)
        logits = decoder.step(tokens)
    return drawn
