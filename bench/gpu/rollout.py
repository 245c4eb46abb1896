"""Completion tokens a second of one side, at several numbers of rows; a line of JSON for each.

Usage:
    python rollout.py native|unsloth|generate-nf4|generate-16bit

*equal*: every completion runs to its limit. *spread*: with random weights every token is about as likely, so some of
them, taken as ends of text, make lengths that are geometric with a mean of half the limit. *bound*: the share of what
the card's memory could do at best, if a token of every row took one reading of the weights (NF4, the head in 16 bits)
and of the rows' caches at half their length.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines import begin, make_policy
from sizes import SHIPPED, Sizes, made_up_prompts, make_model, prompt_ids, read_sizes
from task import recipe_of

COPIED_BYTES = 1 << 30
MEAN_SHARE = 0.5
"""Of the limit, the mean length where lengths are spread."""

Generate = Callable[[int, int, int], int]
"""(rows, completion tokens, how many tokens end a text) to tokens sampled."""


def of_engine(engine: str, sizes: Sizes) -> Generate:
    from tina_lite.policy.memory_request import MemoryRequest
    from tina_lite.recipe.schema import RolloutSection
    from tina_lite.rollout.sampler import Sampler

    prompts_at_once = max(sizes.rollout_rows) // sizes.memory_group
    recipe = recipe_of(engine, sizes, prompts_at_once, sizes.memory_group, sizes.rollout_completion)
    policy = make_policy(engine, sizes, memory_request=MemoryRequest.of(recipe))

    def generate(rows: int, tokens: int, ends: int) -> int:
        policy.stop_ids = frozenset(range(ends))
        prompts = made_up_prompts(rows // sizes.memory_group, sizes.prompt)
        rollout = RolloutSection(temperature=1.0, max_completion_length=tokens)
        sampler = Sampler(policy, rollout, seed=1, kv_tokens=rows * (sizes.prompt + tokens))
        return sampler.rollout(prompts, sizes.memory_group, 1).decoded_tokens

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

    def generate(rows: int, tokens: int, ends: int) -> int:
        ids = torch.tensor(prompt_ids(rows // sizes.memory_group, sizes.prompt), device=device)
        torch.manual_seed(0)
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            min_new_tokens=None if ends else tokens, max_new_tokens=tokens, num_return_sequences=sizes.memory_group,
            eos_token_id=list(range(ends)) or None, pad_token_id=sizes.config["vocab_size"] - 1,  # type: ignore[operator]
        )  # fmt: skip
        new = out[:, sizes.prompt :]
        ended = (new < ends).cumsum(1) > (new < ends).long()  # behind an end of text
        return int((~ended).sum())

    return generate


def bytes_a_second() -> float | None:
    """What the card's memory moves in a copy, reading and writing; None without a card."""
    import torch

    if not torch.cuda.is_available():
        return None
    source = torch.empty(COPIED_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    times = []
    for _ in range(5):
        torch.cuda.synchronize()
        started = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 2 * COPIED_BYTES / min(times)


def bound(sizes: Sizes, rows: int, rate: float) -> float:
    """Tokens a second that reading weights and caches alone would allow."""
    from tina_lite.policy.memory_request import nf4_bytes
    from tina_lite.policy.shape import ModelShape

    shape = ModelShape.from_config(sizes.config, SHIPPED)
    weights = nf4_bytes(shape.linear_weights) + 2 * shape.head_weights
    caches = rows * (sizes.prompt + sizes.rollout_completion / 2) * shape.kv_bytes(2)
    return rows * rate / (weights + caches)


def main() -> None:
    side, sizes = sys.argv[1], read_sizes()
    if side.startswith("generate-"):
        generate = of_transformers(side.removeprefix("generate-"), sizes)
    else:
        begin(side)
        generate = of_engine(side, sizes)
    import torch

    tokens, rate = sizes.rollout_completion, bytes_a_second()
    spread = max(1, round(int(str(sizes.config["vocab_size"])) / (MEAN_SHARE * tokens)))
    for rows in sizes.rollout_rows:
        generate(rows, min(16, tokens), 0)  # kernels are loaded and chosen
        for lengths, ends in (("equal", 0), ("spread", spread)):
            if rate is not None:
                torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            sampled = generate(rows, tokens, ends)
            seconds = time.perf_counter() - started
            result = {"side": side, "rows": rows, "lengths": lengths, "tokens": sampled}
            result |= {"tokens_per_second": sampled / seconds, "bound": None, "peak_gib": None}
            if rate is not None:
                result["peak_gib"] = torch.cuda.max_memory_reserved() / 1024**3
                result["bound"] = sampled / seconds / bound(sizes, rows, rate) if lengths == "equal" else None
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
