"""`tina-lite eval` against transformers' generate with math-verify, on the first GSM8K test problems.

    python bench/evaluation.py MODEL_FOLDER gsm8k.jsonl [PROBLEMS] [SAMPLES] [TOKENS]

The other side shares nothing with the package: its own prompts, its own sampling loop and random numbers, its own
reading of golds, math-verify called directly. The last line is JSON; "agree" says whether the two Pass@1 differ by no
more than chance: 0 lies in the 95% bootstrap interval, over problems, of their difference.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from math_verify import parse, verify
from transformers import AutoModelForCausalLM, AutoTokenizer

TEMPERATURE, TOP_P = 0.6, 0.95
BATCH = 50


def ours(model: str, data: str, problems: int, samples: int, tokens: int) -> tuple[list[float], float]:
    """Share of right samples of each problem, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tina_lite.cli.main", "eval", model, "--benchmark", data, "--json"]
        command += ["--limit", str(problems), "--samples", str(samples), "--max-completion-length", str(tokens)]
        command += ["--temperature", str(TEMPERATURE), "--top-p", str(TOP_P), "--out", folder]
        started = time.perf_counter()
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        seconds = time.perf_counter() - started
        (file,) = (path for path in Path(folder).glob("*/*.jsonl") if not path.match("*.verdicts.jsonl"))
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    shares = judge([row["completion"] for row in rows], [row["answer"] for row in rows], samples)
    stated = report["results"][0]["pass_at_1"]
    assert abs(stated["value"] - np.mean(shares)) < 1e-9, "the package's verdicts are not math-verify's"
    print(f"tina-lite: Pass@1 {stated['value']:.1%} {[round(100 * b, 1) for b in stated['ci95']]}, {seconds:.0f} s")
    return shares, seconds


@torch.no_grad()
def theirs(model: str, data: str, problems: int, samples: int, tokens: int) -> tuple[list[float], float]:
    """The same from transformers' generate."""
    started = time.perf_counter()
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()[:problems]]
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    torch.manual_seed(1)
    texts: list[str] = []
    chats = [[{"role": "user", "content": row["question"].strip()}] for row in rows for _ in range(samples)]
    for first in range(0, len(chats), BATCH):
        prompts = tokenizer.apply_chat_template(
            chats[first : first + BATCH], tokenize=False, add_generation_prompt=True
        )
        batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        out = network.generate(
            **batch, do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, top_k=0, max_new_tokens=tokens
        )
        texts += tokenizer.batch_decode(out[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
    golds = [row["answer"].split("####")[1].strip() for row in rows for _ in range(samples)]
    shares = judge(texts, golds, samples)
    seconds = time.perf_counter() - started
    print(f"generate:  Pass@1 {np.mean(shares):.1%}, {seconds:.0f} s")
    return shares, seconds


def judge(texts: list[str], golds: list[str], samples: int) -> list[float]:
    right = [verify(parse(rf"\boxed{{{gold}}}"), parse(text)) for text, gold in zip(texts, golds, strict=True)]
    shares: list[float] = np.reshape(right, (-1, samples)).mean(axis=1).tolist()
    return shares


def main() -> None:
    model, data, *numbers = sys.argv[1:]
    problems, samples, tokens = (*map(int, numbers), *(50, 4, 256)[len(numbers) :])
    (a, our_s), (b, their_s) = (side(model, data, problems, samples, tokens) for side in (ours, theirs))
    differences = np.array(a) - np.array(b)
    drawn = np.random.default_rng(0).choice(differences, (10_000, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    print(f"difference {differences.mean():+.1%} [{low:+.1%}, {high:+.1%}], {problems} problems x {samples}")
    result = {"ours": np.mean(a), "generate": np.mean(b), "ci95": [low, high], "agree": bool(low <= 0 <= high)}
    print(json.dumps({**result, "problems": problems, "samples": samples, "tokens": tokens, "s": [our_s, their_s]}))


if __name__ == "__main__":
    main()
