"""The other side of `step.py`: the same steps by TRL's GRPOTrainer, on transformers' generate and bitsandbytes' NF4.

Usage:
    python step_trl.py trl
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from sizes import PROJECTIONS, make_model, read_sizes
from step_task import hashed
from task import STEPS
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class Seconds(TrainerCallback):  # type: ignore[misc]
    """Of each step."""

    def __init__(self) -> None:
        self.of_steps: list[float] = []

    def on_step_begin(self, *arguments: Any, **others: Any) -> None:
        self._started = time.perf_counter()

    def on_step_end(self, *arguments: Any, **others: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.of_steps.append(time.perf_counter() - self._started)


def main() -> None:
    sizes, card = read_sizes(), torch.cuda.is_available()
    folder = make_model(sizes.config, Path("random-model"))
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=quantization, dtype=torch.bfloat16, device_map={"": "cuda" if card else "cpu"}
    )
    tokens: list[int] = []

    def reward(completions: list[str], completion_ids: list[Any], **others: Any) -> list[float]:
        tokens.append(sum(map(len, completion_ids)))
        return hashed(completions)

    rows = sizes.step_prompts * sizes.step_group
    text = " ".join(str(number % 10) for number in range(sizes.prompt // 2))
    seconds = Seconds()
    with tempfile.TemporaryDirectory() as out:
        config = GRPOConfig(
            output_dir=out,
            per_device_train_batch_size=rows,
            num_generations=sizes.step_group,
            max_completion_length=sizes.step_completion,
            generation_kwargs={"min_new_tokens": sizes.step_completion},
            temperature=1.0,
            learning_rate=1e-6,
            beta=0.0,
            max_steps=STEPS,
            use_cpu=not card,
            bf16=True,
            gradient_checkpointing=True,
            shuffle_dataset=False,
            report_to="none",
            save_strategy="no",
        )
        GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_list([{"prompt": f"{number} {text}"} for number in range(STEPS * rows)]),
            processing_class=AutoTokenizer.from_pretrained(folder),
            peft_config=LoraConfig(
                r=sizes.r, lora_alpha=4 * sizes.r, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM"
            ),
            callbacks=[seconds],
        ).train()
    peak = torch.cuda.max_memory_reserved() / 1024**3 if card else None
    print(json.dumps({"side": "trl", "tokens": tokens[-1], "seconds": seconds.of_steps[-1], "peak_gib": peak}))


if __name__ == "__main__":
    main()
