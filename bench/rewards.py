"""Completions a second of the rewards, and what 10,000 hostile completions cost.

Usage:
    python bench/rewards.py [HOSTILE]        number of hostile completions, default 10000

Completions are like GSM8K's, made from a seed, no two the same, so that no verdict is remembered. The workers of
math-verify are started before the clock. A table goes to stderr, one JSON object to stdout.
"""

import json
import os
import platform
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tina_lite.rewards import WeightedReward, known_rewards, resolve, score_rows
from tina_lite.rewards.accuracy import _pool, accuracy
from tina_lite.rewards.completions import Completions, chat

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from hostile_texts import TEMPLATES, hostile_completions

COMPLETIONS = 2000
TRIALS = 3
SENTENCES = {"short": 6, "long": 90}
NEEDS_ACCURACY = ("accuracy", "cosine", "length", "length_l1_exact", "length_l1_max")
SETTINGS = {"regex": {"pattern": r"<answer>(.|\n)+</answer>"}}
STATED: dict[str, Callable[[int], str]] = {
    "boxed": lambda gold: f"</think>\n\\boxed{{{gold}}}",
    "boxed, dollars": lambda gold: f"</think>\n\\boxed{{\\${gold:,}.00}}",
    "boxed, with a unit": lambda gold: f"</think>\n\\boxed{{{gold}\\text{{ dollars}}}}",
    "after ####": lambda gold: f"#### {gold}",
    "in a sentence": lambda gold: f"So the answer is {gold}.",
    "in a sentence, as LaTeX": lambda gold: f"The final answer is ${gold}$.",
}
"""How a completion ends."""


def working(rng: random.Random, sentences: int) -> str:
    """Sentences with sums, as in GSM8K."""
    lines = []
    for _ in range(sentences):
        apples, price = rng.randint(2, 99), rng.randint(2, 99)
        lines.append(f"She buys {apples} apples at ${price} each, so she pays {apples} * {price} = ${apples * price}.")
    return "\n".join(lines) + "\n"


def columns(completions: Completions, golds: Sequence[str]) -> dict[str, list[Any]]:
    count = len(completions)
    return {
        "prompts": chat(*["How much?"] * count, role="user"),
        "completions": list(completions),
        "completion_ids": [[7] * (len(messages[0]["content"]) // 4) for messages in completions],
        "answer": list(golds),
        "group_ids": [row // 4 for row in range(count)],
        "target_length": [1000] * count,
    }


def rate(work: Callable[[int], object], count: int) -> float:
    """The median of completions a second over the trials; `work` gets the trial's number."""
    rates = []
    for trial in range(TRIALS):
        started = time.perf_counter()
        work(trial)
        rates.append(count / (time.perf_counter() - started))
    return sorted(rates)[TRIALS // 2]


def text_rewards() -> dict[str, dict[str, float]]:
    """Rates of the rewards that need no math-verify, on short and on long completions."""
    rng = random.Random(1)
    rates: dict[str, dict[str, float]] = {}
    for size, sentences in SENTENCES.items():
        golds = [str(rng.randint(1, 10**6)) for _ in range(COMPLETIONS)]
        texts = chat(*(f"{working(rng, sentences)}</think>\n\\boxed{{{gold}}}" for gold in golds))
        given = columns(texts, golds)
        for name in known_rewards():
            if name not in NEEDS_ACCURACY:
                reward = resolve(name, SETTINGS.get(name))
                rates.setdefault(name, {})[size] = round(rate(lambda _: reward(given), COMPLETIONS))  # noqa: B023
    return rates


def accuracy_rates() -> dict[str, float]:
    """Rates of accuracy on numbers, half of them wrong, by how the answer is stated."""
    rates, lot = {}, 600
    for name, end in STATED.items():

        def trial(number: int, name: str = name, end: Callable[[int], str] = end) -> None:
            rng = random.Random(f"{name} {number}")
            golds = [rng.randint(1, 10**6) for _ in range(lot)]
            texts = [f"{working(rng, 6)}{end(gold + row % 2)}" for row, gold in enumerate(golds)]
            right = accuracy(chat(*texts), list(map(str, golds)))
            assert right == [float(row % 2 == 0) for row in range(lot)], name

        rates[name] = round(rate(trial, lot))
    return rates


def resident_bytes() -> int:
    """Of this process and its workers."""
    processes = [os.getpid(), *(worker._process.pid for worker in _pool()._workers)]
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes)
    return pages * resource.getpagesize()


def hostile(count: int) -> dict[str, Any]:
    """Every reward on hostile completions: seconds, failures, workers lost, growth of memory."""
    rewards = [WeightedReward(resolve(name, SETTINGS.get(name)), 1.0) for name in known_rewards()]
    texts, lost = hostile_completions(count), _pool().lost
    slowest, failures, first, started = 0.0, 0, 0, time.perf_counter()
    while some := list(islice(texts, len(TEMPLATES))):
        begun = time.perf_counter()
        golds = [("34", "x + 1")[row % 2] for row in range(len(some))]
        scores = score_rows(columns(chat(*some), golds), rewards, [slice(0, len(some))])
        slowest = max(slowest, time.perf_counter() - begun)
        failures += sum(scores.failures.values())
        first = first or resident_bytes()
    return {
        "completions": count,
        "seconds": round(time.perf_counter() - started, 1),
        "slowest_of_21_s": round(slowest, 2),
        "failures": failures,
        "workers_lost": _pool().lost - lost,
        "growth_mb": round((resident_bytes() - first) / 1e6, 1),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    warm = [f"So it is ${row}$, no: $x^{row}$" for row in range(64)]
    accuracy(chat(*warm), ["y + 1"] * len(warm))
    result = {
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "workers": len(_pool()._workers),
        "text_rewards_per_s": text_rewards(),
        "accuracy_per_s": accuracy_rates(),
        "hostile": hostile(count),
    }
    for name, rates in result["text_rewards_per_s"].items():
        print(f"{name:24} " + "  ".join(f"{size} {value:>9,}/s" for size, value in rates.items()), file=sys.stderr)
    for name, value in result["accuracy_per_s"].items():
        print(f"accuracy, {name:24} {value:>9,}/s", file=sys.stderr)
    print("hostile: " + ", ".join(f"{name} {value}" for name, value in result["hostile"].items()), file=sys.stderr)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
