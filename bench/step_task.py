"""What both sides of `bench/step.py` do: the same questions, the same sizes, the same rewards."""

import json
from zlib import crc32

PROMPTS = 2
GENERATIONS = 8
MAX_COMPLETION = 64
WARM_UP = 8
"""Tokens of the completions of a step that is not measured: the first of each process."""


def questions(path: str, count: int) -> list[tuple[str, str]]:
    """The first questions of a GSM8K file with their final answers."""
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(next(file)) for _ in range(count)]
    return [(row["question"], row["answer"].rpartition("####")[2].strip()) for row in rows]


def tokens_of(workload: str) -> tuple[int, int]:
    """The fewest and the most tokens of a completion; end of text counts among them."""
    if workload == "warm-up":
        return WARM_UP, WARM_UP
    return (MAX_COMPLETION if workload == "full" else 1), MAX_COMPLETION


def rewards_of(workload: str, texts: list[str], golds: list[str]) -> list[float]:
    """natural: whether the answer is right. Else a hash of the text, so that every group has variance."""
    if workload != "full":
        from tina_lite.rewards.accuracy import verdicts

        right = [float(verdict is True) for verdict in verdicts(texts, golds)]  # the warm-up starts its workers
        if workload == "natural":
            return right
    return hashed(texts)


def hashed(texts: list[str]) -> list[float]:
    """A number from 0 to 1 for each text, so that every group has variance."""
    return [crc32(text.encode("utf-8", "replace")) % 1000 / 1000 for text in texts]
