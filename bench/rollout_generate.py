"""The other side of `bench/rollout.py`: the same completions by transformers' generate.

The base alone, without adapter; a prompt's completions by num_return_sequences, as TRL asks for them. Prints one JSON
line. `python rollout_generate.py MODEL_FOLDER GSM8K.jsonl ROWS WEIGHTS WORKLOAD ...`
"""

import json
import sys
import time
from typing import Any

import torch
from rollout_task import lengths
from step_task import GENERATIONS, MAX_COMPLETION, questions
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, LogitsProcessor, LogitsProcessorList


class EndsAt(LogitsProcessor):  # type: ignore[misc]
    """Rows end after given numbers of tokens and not before."""

    def __init__(self, ends: list[int], stop_id: int, prompt_tokens: int) -> None:
        self._last = torch.tensor(ends) + prompt_tokens - 1
        self._stop_id = stop_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores[:, self._stop_id] = torch.where(self._last <= input_ids.shape[1], 1e9, -torch.inf)
        return scores


def load(folder: str, weights: str) -> Any:
    if weights != "nf4":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, weights))
    dtype = torch.bfloat16
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    return AutoModelForCausalLM.from_pretrained(folder, quantization_config=quantization, dtype=dtype, device_map="cpu")


def main() -> None:
    folder, data, count, weights, *workloads = sys.argv[1:]
    rows = int(count)
    model, tokenizer = load(folder, weights).eval(), AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    chats = [[{"role": "user", "content": question}] for question, _ in questions(data, rows // GENERATIONS)]
    prompts = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    width = prompts["input_ids"].shape[1]
    stop_id = tokenizer.eos_token_id
    seconds, tokens = {}, {}
    for step, workload in enumerate(workloads):
        ends = lengths(workload, rows)
        torch.manual_seed(step)
        started = time.perf_counter()
        out = model.generate(
            **prompts,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=MAX_COMPLETION,
            num_return_sequences=GENERATIONS,
            eos_token_id=stop_id,
            pad_token_id=tokenizer.pad_token_id,
            logits_processor=LogitsProcessorList([EndsAt(ends, stop_id, width)]),
        )
        seconds[workload], tokens[workload] = time.perf_counter() - started, sum(ends)
        stops = (out[:, width:] == stop_id).int()
        if [int(row.argmax()) + 1 for row in stops] != ends:
            sys.exit(f"wanted completions of {ends} tokens")
    print(json.dumps({"seconds": seconds, "tokens": tokens, "weights": weights}))


if __name__ == "__main__":
    main()
