"""The other side of `bench/step.py`: the same steps by TRL's GRPOTrainer. Runs in the peer's venv.

Prints one JSON line. `python step_trl.py MODEL_FOLDER GSM8K.jsonl DTYPE WORKLOAD ...`
"""

import json
import resource
import sys
import tempfile
import time
from typing import Any

import bitsandbytes as bnb
import torch
from datasets import Dataset
from peft import LoraConfig
from step_task import GENERATIONS, MAX_COMPLETION, PROMPTS, questions, rewards_of, tokens_of
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class Steps(TrainerCallback):  # type: ignore[misc]
    """Gives each step the lengths of its workload, and takes its time."""

    trainer: GRPOTrainer

    def __init__(self, workloads: list[str]) -> None:
        self.workloads = workloads
        self.seconds: list[float] = []

    @property
    def workload(self) -> str:
        return self.workloads[len(self.seconds)]

    def on_step_begin(self, *arguments: Any, **others: Any) -> None:
        least, most = tokens_of(self.workload)
        self.trainer.generation_config.min_new_tokens = least if least == most else None
        self.trainer.generation_config.max_new_tokens = most
        self._started = time.perf_counter()

    def on_step_end(self, *arguments: Any, **others: Any) -> None:
        self.seconds.append(time.perf_counter() - self._started)


def main() -> None:
    folder, data, dtype_name, *workloads = sys.argv[1:]
    dtype = getattr(torch, dtype_name)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=quantization, dtype=dtype, device_map="cpu"
    )
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False  # else its gradients are wrong after sampling
    tokens: list[int] = []

    def reward(completions: list[Any], completion_ids: list[Any], answer: list[str], **others: Any) -> list[float]:
        tokens.append(sum(map(len, completion_ids)))
        return rewards_of(steps.workload, [completion[0]["content"] for completion in completions], answer)

    rows = [
        {"prompt": [{"role": "user", "content": q}], "answer": a} for q, a in questions(data, PROMPTS * len(workloads))
    ]
    steps = Steps(workloads)
    with tempfile.TemporaryDirectory() as out:
        config = GRPOConfig(
            output_dir=out,
            per_device_train_batch_size=PROMPTS * GENERATIONS,
            num_generations=GENERATIONS,
            max_completion_length=MAX_COMPLETION,
            temperature=1.0,
            learning_rate=1e-5,
            beta=0.0,
            max_steps=len(workloads),
            use_cpu=True,
            bf16=dtype is torch.bfloat16,
            gradient_checkpointing=False,  # faster where memory allows
            shuffle_dataset=False,
            report_to="none",
            save_strategy="no",
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(folder),
            peft_config=LoraConfig(r=32, lora_alpha=64, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[steps],
        )
        steps.trainer = trainer
        trainer.train()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": steps.seconds, "tokens": tokens, "peak_bytes": peak, "dtype": dtype_name}))


if __name__ == "__main__":
    main()
