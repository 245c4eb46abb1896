"""Pre-train the tiny base model that ships with the package. `make base` runs this; about 20 minutes on two cores.

The base is made to be honest ground for the question of the Tina paper (arXiv 2504.15777): does reinforcement
learning with LoRA amplify a form of reasoning that the base already holds? Its texts answer small sums in four ways:

    direct    the right answer, boxed, without working: far too hard for so small a model, so it is mostly wrong
    good      the working line by line, closing tag, boxed answer
    unclosed  the working, then the answer in prose: no closing tag, no box
    ramble    the working again and again, never an end

All answers that it reads are true but for a slip of the pen in SLIP of the steps, and the model learns to imitate
the mixture, so it reasons well only some of the time. Held-out problems of `data/tasks.py` are never shown.
"""

import argparse
import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import tina_lite
from tina_lite.data.tasks import LARGEST_VALUE, Sum, ask, draw_sum

BASE = Path(tina_lite.__file__).parent / "base"
VOCABULARY = 448
POSITIONS = 256
BATCH = 128
STEPS = 3000
TEACHING_STEPS = 2400  # first learn to add, then learn the habits
LEARNING_RATE = 2e-3
WARMUP = 50
SLIP = 0.05
TEACHING = {"direct": 0.15, "good": 0.60, "unclosed": 0.25}
HABITS = {"direct": 0.50, "good": 0.20, "unclosed": 0.18, "ramble": 0.12}
RAMBLE_LINES = 8
PAD, END, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)


def working(rng: random.Random, problem: Sum) -> tuple[list[str], int]:
    """The steps of a sum and the value they lead to; each step slips with probability SLIP."""
    total, lines = problem.terms[0], []
    for term in problem.terms[1:]:
        result = total + term
        if rng.random() < SLIP:
            result = min(LARGEST_VALUE, max(0, result + rng.choice((-10, -2, -1, 1, 2, 10))))
        lines.append(f"{total}{term:+d}={result}")
        total = result
    return lines, total


def text(rng: random.Random, mixture: dict[str, float]) -> tuple[str, str]:
    """One training text as (prompt, completion), in a style drawn from the mixture."""
    problem = draw_sum(rng, held_out=False)
    prompt = f"{USER}{ask(rng, problem)}{ASSISTANT}<think>\n"
    style = rng.choices(list(mixture), list(mixture.values()))[0]
    if style == "direct":
        return prompt, f"I just know it.\n</think>\n\\boxed{{{problem.value}}}{END}"
    lines, value = working(rng, problem)
    steps = "\n".join(lines)
    if style == "good":
        return prompt, f"{steps}\n</think>\n\\boxed{{{value}}}{END}"
    if style == "unclosed":
        return prompt, f"{steps}\nSo the answer is {value}.{END}"
    again = [line for _ in range(RAMBLE_LINES) for line in (*lines, "Wait, check again.")]
    return prompt, "\n".join(again[:RAMBLE_LINES])


def make_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE with single digits, trained on the mixture itself."""
    rng = random.Random(seed)
    corpus = ["".join(text(rng, HABITS)) for _ in range(20_000)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [PAD, END, USER, ASSISTANT]
    plain = ["<think>", "</think>", "\\boxed{"]
    for line in (*special, *plain):
        corpus = [document.replace(line, "") for document in corpus]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(plain),
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in plain])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        model_max_length=POSITIONS,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of 1.9 million parameters; every width is a multiple of 64, the block size of NF4."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless (ids, labels), each (BATCH, time) int64; the prompt and the padding carry label -100."""
    rng = random.Random(seed)
    step = 0
    while True:
        # Eight batches at a time, sorted by length, so that little of a batch is padding.
        rows = []
        for offset in range(8 * BATCH):
            mixture = TEACHING if step + offset // BATCH < TEACHING_STEPS else HABITS
            prompt, completion = text(rng, mixture)
            prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
            completion_ids = tokenizer.encode(completion, add_special_tokens=False)
            rows.append((prompt_ids, completion_ids))
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        order = list(range(8))
        rng.shuffle(order)
        for index in order:
            yield collate(rows[index * BATCH : (index + 1) * BATCH], tokenizer.pad_token_id)
        step += 8


def collate(rows: list[tuple[list[int], list[int]]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(prompt) + len(completion) for prompt, completion in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), -100)
    for row, (prompt, completion) in enumerate(rows):
        ids[row, : len(prompt) + len(completion)] = torch.tensor(prompt + completion)
        labels[row, len(prompt) : len(prompt) + len(completion)] = torch.tensor(completion)
    return ids, labels


def learning_rate(step: int) -> float:
    """Linear warm-up, then a cosine to 2%."""
    if step < WARMUP:
        return LEARNING_RATE * (step + 1) / WARMUP
    cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * (step - WARMUP) / (STEPS - WARMUP))).item())
    return LEARNING_RATE * (0.02 + 0.98 * cosine)


def pretrain(seed: int, folder: Path, steps: int) -> None:
    """Train and write model.safetensors (fp16), tokenizer and training log into `folder`."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer(seed)
    model = make_model(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.05)
    started, running = time.monotonic(), []
    for step, (ids, labels) in zip(range(steps), batches(tokenizer, seed + 1)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        loss = model(input_ids=ids, labels=labels).loss  # padding stands right, and causal attention never sees it
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        running.append(loss.item())
        if (step + 1) % 50 == 0:
            seconds = time.monotonic() - started
            print(
                json.dumps({"step": step + 1, "loss": sum(running[-50:]) / 50, "seconds": round(seconds)}), flush=True
            )
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=BASE)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    pretrain(options.seed, options.out, options.steps)
    shutil.rmtree(options.out / ".cache", ignore_errors=True)


if __name__ == "__main__":
    main()
