"""The other side of `bench/learning.py`: the same run by TRL's GRPOTrainer. Runs in the peer's venv."""

import json
import sys
import tempfile
import time
from typing import Any

import bitsandbytes as bnb
import torch
from datasets import Dataset
from learning_task import curves_of, digest, prompts_of
from peft import LoraConfig
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from trl import GRPOConfig, GRPOTrainer

from tina_lite.grpo import learning_rate
from tina_lite.policy.model_folder import model_folder
from tina_lite.rewards import resolve


class Peer(GRPOTrainer):  # type: ignore[misc]
    """TRL's trainer under the recipe's learning rates; it notes the prompts as its model saw them."""

    lr_scheduler: Any
    optim: dict[str, Any]
    seen: list[list[int]]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        # TRL's own linear schedule starts at 0, a step later, and ends at 0 where the recipe keeps a tenth.
        shape = (self.optim["lr_scheduler_type"], self.optim["warmup_ratio"], self.optim["min_lr_ratio"])
        if self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(
                optimizer or self.optimizer, lambda done: learning_rate((done + 1) / num_training_steps, 1.0, *shape)
            )
        return self.lr_scheduler

    def _generate_single_turn(self, prompt_ids: list[list[int]], *others: Any, **named: Any) -> Any:
        self.seen += [list(ids) for ids in prompt_ids[:: self.args.num_generations]]
        return super()._generate_single_turn(prompt_ids, *others, **named)


def load_base(folder: str) -> Any:
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=quantization, dtype=torch.float32, device_map="cpu"
    )
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False  # else its gradients are wrong after sampling
    return model


def reward_functions(sections: list[dict[str, Any]]) -> list[Any]:
    """The product's own rewards in TRL's form."""

    def adapted(name: str) -> Any:
        reward = resolve(name, {}, None)

        def call(**columns: Any) -> Any:
            return reward(columns)

        call.__name__ = name
        return call

    return [adapted(section["name"]) for section in sections]


def config_of(recipe: dict[str, Any], out: str) -> GRPOConfig:
    rollout, grpo, optim = recipe["rollout"], recipe["grpo"], recipe["optim"]
    return GRPOConfig(
        output_dir=out,
        seed=recipe["seed"],
        max_steps=recipe["stop"]["max_steps"],
        per_device_train_batch_size=rollout["prompts_per_step"] * rollout["num_generations"],
        gradient_accumulation_steps=1,
        steps_per_generation=1,
        num_iterations=grpo["num_iterations"],
        num_generations=rollout["num_generations"],
        max_completion_length=rollout["max_completion_length"],
        temperature=rollout["temperature"],
        top_p=rollout["top_p"],
        top_k=rollout["top_k"],
        reward_weights=[section["weight"] for section in recipe["rewards"]],
        scale_rewards=grpo["scale_rewards"],
        loss_type=grpo["loss_type"],
        epsilon=grpo["epsilon"],
        beta=grpo["beta"],
        mask_truncated_completions=grpo["mask_truncated_completions"],
        learning_rate=optim["learning_rate"],
        optim="adamw_torch",
        adam_beta1=optim["adam_beta1"],
        adam_beta2=optim["adam_beta2"],
        weight_decay=optim["weight_decay"],
        max_grad_norm=optim["max_grad_norm"],
        shuffle_dataset=False,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )


def main() -> None:
    recipe, adapter_dtype = json.loads(sys.argv[1]), getattr(torch, sys.argv[2])
    folder, lora = model_folder(recipe["model"]["id"]), recipe["lora"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = prompts_of(recipe, tokenizer)
    rows = [{"prompt": [{"role": "user", "content": p.problem.question}], "answer": p.problem.answer} for p in asked]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        base = load_base(folder)
        torch.manual_seed(recipe["seed"])  # peft draws the adapter from it, as on the other side
        trainer = Peer(
            model=base,
            reward_funcs=reward_functions(recipe["rewards"]),
            args=config_of(recipe, out),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=LoraConfig(
                r=lora["r"],
                lora_alpha=lora["alpha"],
                lora_dropout=lora["dropout"],
                target_modules=list(lora["target_modules"]),
                task_type="CAUSAL_LM",
            ),
        )
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:  # TRL holds the adapter of an NF4 base in bfloat16 without masters
                parameter.data = parameter.data.to(adapter_dtype)
        trainer.optim, trainer.seen = recipe["optim"], []
        trainer.train()
    steps = [entry for entry in trainer.state.log_history if "reward" in entry]
    curves = curves_of(steps)
    seconds = round(time.perf_counter() - started, 1)
    result = {"seed": recipe["seed"], "seconds": seconds, "prompts": digest(trainer.seen), "curves": curves}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
