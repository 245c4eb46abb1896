"""What several rooms need: the shipped tiny base as a policy, prompts for it, recipes on disk."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
for name in ("TINA_LITE_RATE", "NO_COLOR"):
    os.environ.pop(name, None)

QUICK_RECIPE = """\
name: quick
seed: 1
model: {id: builtin:tiny, compute_dtype: float32}
lora: {r: 8, alpha: 32, dropout: 0.0}
data: {source: arithmetic}
rollout: {prompts_per_step: 4, num_generations: 4, max_prompt_length: 64, max_completion_length: 24,
          temperature: 1.0, kv_tokens: 4096}
grpo: {loss_type: dapo}
optim: {learning_rate: 1.0e-3, micro_batch_tokens: 512}
budget: {max_usd: 1.0, rate: 0.20}
stop: {max_steps: 3}
"""


@pytest.fixture
def quick_recipe(tmp_path: Path) -> Path:
    """A recipe of three small steps on the tiny base, in a folder of its own."""
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK_RECIPE)
    return path


@pytest.fixture(autouse=True)
def only_the_shipped_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    from tina_lite.rewards import registry

    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


@pytest.fixture
def make_policy() -> Callable[..., Any]:
    """A fresh policy over the tiny base; `spread` fills lora_B, which peft leaves at 0, so that the adapter acts."""

    def make(spread: float = 0.0, model_id: str = "builtin:tiny", fp32: bool = False, **changes: Any) -> Any:
        import torch
        from sections import model_sections

        from tina_lite.policy.loading import load_tokenizer
        from tina_lite.policy.portable import PortablePolicy

        model, lora = model_sections(model_id, changes)
        policy = PortablePolicy(model, lora, load_tokenizer("builtin:tiny"), **{"seed": 1, **changes})
        if fp32:  # bf16 adapters round their gradients
            for tensor in policy.trainable().values():
                tensor.data = tensor.data.float()
        if spread:
            generator = torch.Generator().manual_seed(5)
            for name, tensor in policy.trainable().items():
                if "lora_B" in name:
                    tensor.data.copy_(torch.randn(tensor.shape, generator=generator) * spread)
            policy.sync()
        return policy

    return make


@pytest.fixture
def make_prompts() -> Callable[..., list[Any]]:
    """The first `count` held-out problems as prompts of a policy."""
    from sections import load

    from tina_lite.problems import first_prompts

    def make(policy: Any, count: int) -> list[Any]:
        problems = load("arithmetic", split="test", seed=3)
        return first_prompts(problems, policy.tokenizer, count, max_prompt_length=128, system_prompt=None)

    return make
