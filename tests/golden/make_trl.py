"""Golden losses and gradients from TRL's own GRPOTrainer, for `tests/test_golden_trl.py`. Runs in the peer's venv:

    make .venv-peer/.installed
    .venv-peer/bin/python tests/golden/make_trl.py

A real GRPOTrainer holds a tiny random Llama. Its rollout and its reward are replaced, through the hooks that it has
for this, by fixed completions and numbers; masks, advantages, old, reference and importance log-probs come from its
`_generate_and_score_completions`, losses from its `_compute_loss`. Writes trl.safetensors (weights, gradients) and
cases.json (the rest).
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # rollout_func is the hook that is meant
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import peft
import torch
import transformers
import trl
from datasets import Dataset
from peft import LoraConfig
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer
from trl.trainer.utils import split_tensor_dict

FOLDER = Path(__file__).parent
PAD, EOS = 0, 1
MODEL = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
    "initializer_range": 0.3,  # so that no two tokens are equally likely
    "bos_token_id": None,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}
ADAPTER = {"r": 4, "lora_alpha": 8}
MAX_COMPLETION_LENGTH = 12
"""No completion is as long, or dr_grpo's constant could be taken for the longest."""
PROMPT_LENGTHS = (3, 6, 4)
COMPLETION_LENGTHS = ((9, 2, 5, 11), (3, 7, 4, 6), (1, 10, 8, 5))
TRUNCATED = {(0, 3), (1, 1), (2, 1), (2, 3)}
"""(group, completion) without an end; the others end with EOS."""
REWARDS = ((1.0, 0.0, 0.25, 2.0), (0.5, 0.5, 0.5, 0.5), (-0.3, 1.7, 0.9, 0.9))
"""The second group has no variance."""
GENERATIONS = 4

OFF_POLICY = {"num_iterations": 2}
"""The second pass over a rollout: ratios are not 1."""
TIS = {"tis_cap": 1.1}
CASES: dict[str, dict[str, Any]] = {
    "grpo_on_policy": {"loss_type": "grpo"},
    "dapo_on_policy": {"loss_type": "dapo"},
    "grpo": {"loss_type": "grpo", **OFF_POLICY},
    "bnpo": {"loss_type": "bnpo", "scale_rewards": "batch", **OFF_POLICY},
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none", **OFF_POLICY},
    "dapo": {"loss_type": "dapo", **OFF_POLICY},
    "dapo_accumulated": {"loss_type": "dapo", "gradient_accumulation_steps": 2, **OFF_POLICY},
    "cispo": {"loss_type": "cispo", "epsilon_high": 1.2, **OFF_POLICY},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.05, **OFF_POLICY},
    "epsilons": {"loss_type": "dapo", "epsilon": 0.1, "epsilon_high": 0.28, **OFF_POLICY},
    "delta": {"loss_type": "dapo", "delta": 1.25, **OFF_POLICY},
    "beta": {"loss_type": "grpo", "beta": 0.1, **OFF_POLICY},
    "mask_truncated": {"loss_type": "grpo", "mask_truncated_completions": True, **OFF_POLICY},
    "mask_truncated_dapo": {"loss_type": "dapo", "mask_truncated_completions": True, **OFF_POLICY},
    "tis": {"loss_type": "dapo", **TIS, **OFF_POLICY},
    "temperature": {"loss_type": "dapo", "temperature": 0.7, **OFF_POLICY},
    "everything": {
        "loss_type": "dapo",
        "temperature": 1.3,
        "epsilon_high": 0.28,
        "delta": 1.35,
        "beta": 0.05,
        "mask_truncated_completions": True,
        "scale_rewards": "batch",
        **TIS,
        **OFF_POLICY,
    },
}
"""In TRL's words, but for tis_cap: its importance sampling is tied to vLLM."""


def make_rows(generator: torch.Generator) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Prompts, and the completions of each."""

    def ids(count: int) -> list[int]:
        return torch.randint(EOS + 1, MODEL["vocab_size"], (count,), generator=generator).tolist()

    prompts = [ids(length) for length in PROMPT_LENGTHS]
    completions = [
        [ids(length) if (group, row) in TRUNCATED else [*ids(length - 1), EOS] for row, length in enumerate(lengths)]
        for group, lengths in enumerate(COMPLETION_LENGTHS)
    ]
    return prompts, completions


def make_trainer(
    model: LlamaForCausalLM, settings: dict[str, Any], rollout: dict[str, list[Any]], out: str
) -> GRPOTrainer:
    settings = dict(settings)
    accumulation = settings.pop("gradient_accumulation_steps", 1)
    tis_cap = settings.pop("tis_cap", None)
    vocabulary = {f"t{i}": i for i in range(MODEL["vocab_size"])}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="t2")), pad_token=f"t{PAD}", eos_token=f"t{EOS}"
    )
    rewards = [reward for group in REWARDS for reward in group]
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda **_: rewards,
        rollout_func=lambda prompts, trainer: rollout,
        args=GRPOConfig(
            output_dir=out,
            per_device_train_batch_size=len(rewards) // accumulation,
            gradient_accumulation_steps=accumulation,
            num_generations=GENERATIONS,
            max_completion_length=MAX_COMPLETION_LENGTH,
            use_bias_correction_kl=False,  # TRL's default is DeepSeek-V3.2's ratio x k3; the GRPO paper's k3 is bare
            vllm_importance_sampling_mode="token_truncate",
            vllm_importance_sampling_clip_max=tis_cap or 1.0,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
            **settings,
        ),
        train_dataset=Dataset.from_list([{"prompt": "t2"}] * len(REWARDS)),
        processing_class=tokenizer,
        peft_config=LoraConfig(**ADAPTER, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.use_vllm = tis_cap is not None  # set late, as its constructor would start vLLM
    trainer._last_loaded_step = 0  # nor are there weights to send to it
    trainer.current_gradient_accumulation_steps = accumulation  # as its training loop sets it
    trainer.model.train()
    return trainer


def adapter_of(trainer: GRPOTrainer) -> dict[str, Tensor]:
    return {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}


def load(trainer: GRPOTrainer, weights: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in adapter_of(trainer).items():
            tensor.copy_(weights[name])


def run(trainer: GRPOTrainer, sampled_by: dict[str, Tensor], trained: dict[str, Tensor]) -> dict[str, Any]:
    """Roll out with one adapter, take loss and gradients with another; TRL's own code does both."""
    load(trainer, sampled_by)
    batch = trainer._generate_and_score_completions([{"prompt": "t2"} for group in REWARDS for _ in group])
    load(trainer, trained)
    pieces = split_tensor_dict(batch, trainer.args.steps_per_generation)
    losses = [trainer._compute_loss(trainer.model, piece) for piece in pieces]
    for loss in losses:
        loss.backward()
    metrics = trainer._metrics["train"]
    clipped = metrics.get("clip_ratio/region_mean") or metrics["cispo_clip_ratio"]
    by_token = len(pieces) == 1 and trainer.importance_sampling_level == "token"
    old, lengths = batch.get("old_per_token_logps"), [n for group in COMPLETION_LENGTHS for n in group]
    return {
        "loss": sum(loss.item() for loss in losses),
        "advantages": batch["advantages"].view(-1, GENERATIONS).tolist(),
        "clipped_share": clipped[0] if by_token else None,  # of the tokens that are not masked
        "old_logprobs": None if old is None else [row[:n].tolist() for row, n in zip(old, lengths)],
        "gradients": {name: tensor.grad.clone() for name, tensor in adapter_of(trainer).items()},
    }


def main() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    base = LlamaForCausalLM(LlamaConfig(**MODEL)).float()
    base_weights = {name: tensor.clone() for name, tensor in base.named_parameters()}
    prompts, completions = make_rows(generator)
    flat = [ids for group in completions for ids in group]
    rollout: dict[str, list[Any]] = {
        "prompt_ids": [ids for ids in prompts for _ in range(GENERATIONS)],
        "completion_ids": flat,
        "logprobs": [[0.0] * len(ids) for ids in flat],
    }

    def draw(like: dict[str, Tensor], spread: float) -> dict[str, Tensor]:
        return {name: torch.randn(tensor.shape, generator=generator) * spread for name, tensor in like.items()}

    def fresh(settings: dict[str, Any], out: str) -> GRPOTrainer:
        model = LlamaForCausalLM(LlamaConfig(**MODEL)).float()
        model.load_state_dict(base_weights, strict=False)  # the head is tied
        return make_trainer(model, settings, rollout, out)

    results, tensors = {}, {f"base.{name}": tensor for name, tensor in base_weights.items()}
    with tempfile.TemporaryDirectory() as out:
        first = fresh(CASES["dapo"], out)
        old = draw(adapter_of(first), 0.2)
        moved = draw(old, 0.02)
        new = {name: old[name] + moved[name] for name in old}
        # The sampler's log-probs: the learner's with noise.
        exact = run(first, old, new)["old_logprobs"]
        rollout["logprobs"] = [
            (torch.tensor(row) + 0.2 * torch.randn(len(row), generator=generator)).tolist() for row in exact
        ]
        for case, settings in CASES.items():
            # On policy, the rollout is by the very adapter that is trained.
            result = run(fresh(settings, out), old if settings.get("num_iterations") else new, new)
            assert result["clipped_share"] is None or (result["clipped_share"] > 0) == ("num_iterations" in settings)
            tensors |= {f"{case}.{name}": tensor for name, tensor in result.pop("gradients").items()}
            results[case] = {"settings": settings, **result}
            print(case, result["loss"], result["clipped_share"])
    tensors |= {f"old.{name}": tensor for name, tensor in old.items()}
    tensors |= {f"new.{name}": tensor for name, tensor in new.items()}
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, FOLDER / "trl.safetensors")
    versions = {module.__name__: module.__version__ for module in (trl, transformers, peft, torch)}
    facts = {
        "versions": versions,
        "model": MODEL,
        "adapter": ADAPTER,
        "max_completion_length": MAX_COMPLETION_LENGTH,
        "eos": EOS,
        "prompts": prompts,
        "completions": completions,
        "rewards": REWARDS,
        "sampler_logprobs": rollout["logprobs"],
        "cases": results,
    }
    lines = ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in facts.items() if name != "cases")
    cases = ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in results.items())
    (FOLDER / "cases.json").write_text(f'{{\n{lines},\n"cases": {{\n{cases}\n}}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
