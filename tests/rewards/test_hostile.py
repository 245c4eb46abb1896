"""No completion crashes a reward, hangs it, leaves a worker behind or fills the memory."""

import re
from itertools import islice
from pathlib import Path

import pytest
from hostile_texts import TEMPLATES, hostile_completions

from tina_lite.rewards import WeightedReward, known_rewards, resolve, score_rows
from tina_lite.rewards.accuracy import MOST_WORKERS, math_verify
from tina_lite.rewards.call import chat

AT_ONCE = len(TEMPLATES) * 4
GOLDS = ("34", "\\frac{1}{2}", "B", "x + 1")
SETTINGS = {"regex": {"pattern": r"<answer>(.|\n)+</answer>"}}
LEAST, MOST = -2.0, 1.0
"""Of any reward; the L1 rewards have no floor, but no completion here is so long in tokens."""
GROWTH_BYTES = 200e6


def resident_bytes(process: int | str) -> int:
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(kilobytes) * 1024


def workers() -> list[int]:
    return [worker._process.pid for worker in math_verify().pool._workers]


def memory() -> int:
    """Of this process and its workers."""
    return sum(map(resident_bytes, ["self", *workers()]))


@pytest.mark.parametrize("count", [5 * AT_ONCE, pytest.param(25 * AT_ONCE, marks=pytest.mark.slow)])
def test_every_reward_on_hostile_completions(count: int) -> None:
    """10,000 of them: bench/rewards.py."""
    rewards = [WeightedReward(resolve(name, SETTINGS.get(name)), 1.0) for name in known_rewards()]
    texts, judged, before = hostile_completions(count), 0, 0
    while some := list(islice(texts, AT_ONCE)):
        columns = {
            "prompts": chat(*["1+1?"] * len(some), role="user"),
            "completions": chat(*some),
            "completion_ids": [[7] * min(4000, len(text)) for text in some],
            "answer": [GOLDS[row % len(GOLDS)] for row in range(len(some))],
            "group_ids": [row // 4 for row in range(len(some))],
            "target_length": [1000] * len(some),
        }
        scores = score_rows(columns, rewards, [slice(0, len(some))])
        assert not scores.failures, scores.tracebacks
        for name, values in scores.groups[0].rewards.items():
            assert all(one is None or LEAST <= one <= MOST for one in values), name
        judged += len(some)
        before = before or memory()
    assert judged == count
    assert memory() - before < GROWTH_BYTES
    assert len(workers()) <= MOST_WORKERS
    started = workers()
    math_verify().pool.close()
    assert not [process for process in started if Path(f"/proc/{process}").exists()]
