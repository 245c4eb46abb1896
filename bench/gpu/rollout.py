"""Completion tokens a second of one side, at several numbers of rows; a line of JSON for each.

Usage:
    python rollout.py portable|unsloth|generate-nf4|generate-16bit
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sides import begin, make_policy
from sizes import Sizes, make_model, prompt_ids, read_sizes

Generate = Callable[[int, int], int]
"""(rows, completion tokens) to tokens sampled."""


def of_engine(engine: str, sizes: Sizes) -> Generate:
    from tina_lite.recipe.schema import RolloutSection
    from tina_lite.records import Problem, Prompt
    from tina_lite.sampler import Sampler

    policy = make_policy(engine, sizes)

    def generate(rows: int, tokens: int) -> int:
        prompts = [
            Prompt(Problem(n, str(n), "", {}), str(n), ids)
            for n, ids in enumerate(prompt_ids(rows // sizes.group, sizes.rollout_prompt))
        ]
        kv_tokens = rows * (sizes.rollout_prompt + tokens)
        rollout = RolloutSection(temperature=1.0, max_completion_length=tokens)
        sampler = Sampler(policy, rollout, seed=1, kv_tokens=kv_tokens)
        return sampler.rollout(prompts, sizes.group, 1).decoded_tokens

    return generate


def of_transformers(weights: str, sizes: Sizes) -> Generate:
    """Its generate on the base without adapter; a prompt's completions by num_return_sequences, as TRL asks."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings: dict[str, Any] = {"dtype": torch.bfloat16, "device_map": {"": device}}
    if weights == "nf4":
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(make_model(sizes.config, Path("random-model")), **settings).eval()

    def generate(rows: int, tokens: int) -> int:
        ids = torch.tensor(prompt_ids(rows // sizes.group, sizes.rollout_prompt), device=device)
        torch.manual_seed(0)
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            min_new_tokens=tokens, max_new_tokens=tokens, num_return_sequences=sizes.group, pad_token_id=0,
        )  # fmt: skip
        return int(out[:, sizes.rollout_prompt :].numel())

    return generate


def main() -> None:
    side, sizes = sys.argv[1], read_sizes()
    if side.startswith("generate-"):
        generate = of_transformers(side.removeprefix("generate-"), sizes)
    else:
        begin(side)
        generate = of_engine(side, sizes)
    import torch

    for rows in sizes.rollout_rows:
        generate(rows, min(16, sizes.rollout_completion))  # kernels are loaded and chosen
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        tokens = generate(rows, sizes.rollout_completion)
        seconds = time.perf_counter() - started
        peak = torch.cuda.max_memory_reserved() / 1024**3 if torch.cuda.is_available() else None
        result = {"side": side, "rows": rows, "tokens": tokens, "tokens_per_second": tokens / seconds, "peak_gib": peak}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
