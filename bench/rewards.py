"""Completions a second of the rewards, and what 10,000 hostile completions cost.

Usage:
    python bench/rewards.py [HOSTILE]        number of hostile completions, default 10000

Completions are like GSM8K's, made from a seed, no two the same, so that no verdict is remembered. The workers of
math-verify are started before the clock. A table goes to stderr, one JSON object to stdout.
"""

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from sides import OutOfTime, head, in_time, say, time_left

from tina_lite.rewards import WeightedReward, known_rewards, resolve, score_rows
from tina_lite.rewards.accuracy import accuracy, math_verify
from tina_lite.rewards.call import Completions, chat

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


def text_rewards(rates: dict[str, dict[str, float]]) -> None:
    """Rates of the rewards that need no math-verify, on short and on long completions."""
    rng = random.Random(1)
    given = {}
    for size, sentences in SENTENCES.items():
        golds = [str(rng.randint(1, 10**6)) for _ in range(COMPLETIONS)]
        texts = chat(*(f"{working(rng, sentences)}</think>\n\\boxed{{{gold}}}" for gold in golds))
        given[size] = columns(texts, golds)
    for name in known_rewards():
        if name not in NEEDS_ACCURACY:
            must_go_on()
            reward = resolve(name, SETTINGS.get(name))
            rates[name] = {
                size: round(rate(lambda _: reward(rows), COMPLETIONS))  # noqa: B023
                for size, rows in given.items()
            }
            say(name, *(f"{value:,}" for value in rates[name].values()))


def accuracy_rates(rates: dict[str, float]) -> None:
    """Rates of accuracy on numbers, half of them wrong, by how the answer is stated."""
    lot = 600
    for name, end in STATED.items():
        must_go_on()

        def trial(number: int, name: str = name, end: Callable[[int], str] = end) -> None:
            rng = random.Random(f"{name} {number}")
            golds = [rng.randint(1, 10**6) for _ in range(lot)]
            texts = [f"{working(rng, 6)}{end(gold + row % 2)}" for row, gold in enumerate(golds)]
            right = accuracy(chat(*texts), list(map(str, golds)))
            assert right == [float(row % 2 == 0) for row in range(lot)], name

        rates[name] = round(rate(trial, lot))
        say(f"accuracy, {name}", f"{rates[name]:,}", "")


EXPRESSIONS: tuple[Callable[[int, int], tuple[str, str]], ...] = (
    lambda a, b: (rf"\frac{{{a}\sqrt{{3}}}}{{{b}}}", rf"{a}\sqrt{{3}}/{b}"),
    lambda a, b: (rf"{a}x^2 + {b}x + 1", rf"1 + {b}x + {a}x^2"),
    lambda a, b: (rf"{a}\pi + {b}", rf"{b} + {a} \pi"),
    lambda a, b: (rf"\left( {a}, \frac{{\pi}}{{{b}}} \right)", rf"({a}, \pi/{b})"),
    lambda a, b: (rf"[{a}, \infty) \cup \{{-{b}\}}", rf"\{{-{b}\}} \cup [{a}, \infty)"),
    lambda a, b: (rf"\begin{{pmatrix}} {a} \\ {b} \end{{pmatrix}}", rf"\begin{{bmatrix}} {a} \\ {b} \end{{bmatrix}}"),
)
"""Golds as in MATH that only math-verify can compare, and other ways to write them."""


def expression_rates(rates: dict[str, float]) -> None:
    """The rate of accuracy on expressions, half of them wrong, no two the same."""
    lot = 240
    must_go_on()

    def trial(number: int) -> None:
        rng = random.Random(f"expressions {number}")
        golds, texts = [], []
        for row in range(lot):
            a, b = rng.randint(2, 10**6), rng.randint(2, 10**6)
            write = EXPRESSIONS[row % len(EXPRESSIONS)]
            golds.append(write(a, b)[0])
            texts.append(f"{working(rng, 6)}</think>\n\\boxed{{{write(a + row // 6 % 2, b)[1]}}}")
        assert accuracy(chat(*texts), golds) == [float(row // 6 % 2 == 0) for row in range(lot)]

    rates["expressions"] = round(rate(trial, lot))
    say("accuracy, expressions", f"{rates['expressions']:,}", "")


def resident_bytes() -> int:
    """Of this process and its workers."""
    processes = [os.getpid(), *(worker._process.pid for worker in math_verify().pool._workers)]
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes)
    return pages * resource.getpagesize()


def hostile(count: int, result: dict[str, Any]) -> None:
    """Every reward on hostile completions: seconds, failures, workers lost, growth of memory."""
    rewards = [WeightedReward(resolve(name, SETTINGS.get(name)), 1.0) for name in known_rewards()]
    texts, lost = hostile_completions(count), math_verify().pool.lost
    scored, slowest, failures, first, started = 0, 0.0, 0, 0, time.perf_counter()
    while (some := list(islice(texts, len(TEMPLATES)))) and time_left():
        begun = time.perf_counter()
        golds = [("34", "x + 1")[row % 2] for row in range(len(some))]
        scores = score_rows(columns(chat(*some), golds), rewards, [slice(0, len(some))])
        slowest = max(slowest, time.perf_counter() - begun)
        failures += sum(scores.failures.values())
        first = first or resident_bytes()
        scored += len(some)
    result.update(
        completions=scored,
        seconds=round(time.perf_counter() - started, 1),
        slowest_of_21_s=round(slowest, 2),
        failures=failures,
        workers_lost=math_verify().pool.lost - lost,
        growth_mb=round((resident_bytes() - first) / 1e6, 1),
    )
    must_go_on()


def must_go_on() -> None:
    """Raise OutOfTime where the benchmark's time is over."""
    if not time_left():
        raise OutOfTime


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    warm = [f"So it is ${row}$, no: $x^{row}$" for row in range(64)]
    accuracy(chat(*warm), ["y + 1"] * len(warm))
    result: dict[str, Any] = {"text_rewards_per_s": {}, "accuracy_per_s": {}, "hostile": {}}
    head("reward", *(f"{size}, completions/s" for size in SENTENCES))
    with in_time():
        text_rewards(result["text_rewards_per_s"])
        accuracy_rates(result["accuracy_per_s"])
        expression_rates(result["accuracy_per_s"])
        hostile(count, result["hostile"])
    print("hostile: " + ", ".join(f"{name} {value}" for name, value in result["hostile"].items()), file=sys.stderr)
    print(json.dumps({"workers": len(math_verify().pool._workers), **result}))


if __name__ == "__main__":
    main()
