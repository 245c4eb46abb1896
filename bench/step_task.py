"""What both sides of `bench/step.py` do: the same questions, the same sizes, the same rewards."""

import json
from zlib import crc32

PROMPTS = 2
GENERATIONS = 8
MAX_COMPLETION = 64
STEPS = 3
"""The first is a warm-up and does not count."""


def questions(path: str, count: int = PROMPTS * STEPS) -> list[tuple[str, str]]:
    """The first questions of a GSM8K file with their final answers."""
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(next(file)) for _ in range(count)]
    return [(row["question"], row["answer"].rpartition("####")[2].strip()) for row in rows]


def rewards_of(workload: str, texts: list[str], golds: list[str]) -> list[float]:
    """full: a hash of the text, so that every group has variance. natural: whether the answer is right."""
    if workload == "full":
        return [crc32(text.encode("utf-8", "replace")) % 1000 / 1000 for text in texts]
    from tina_lite.rewards.accuracy import verdicts

    return [float(verdict is True) for verdict in verdicts(texts, golds)]
