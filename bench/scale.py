"""Where a sweep of many trials breaks first: the driver's turn, and Ray's starts of processes that do nothing.

Usage:
    python bench/scale.py [TRIALS ...]        default: 100 1000 10000

The driver is asked for turns over run folders as trials leave them, a hundredth of them running. Ray's cluster is made
up of sixteen nodes on this machine, whose trials are `true`. One table to stderr, one JSON object to stdout.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from ledgers import ledger
from sides import head, in_time, say

from tina_lite.recipe import load_recipe
from tina_lite.recipe.file import shipped_recipes
from tina_lite.sweep.bill import OWN
from tina_lite.sweep.driver import Driver, Node
from tina_lite.sweep.file import Trial

RATE, MAX_USD = 0.2, 1e9
TURNS = 5
NODES, SLOTS, TASKS = 16, 4, 200
RUNNING = 100
"""One trial in so many."""


class Still:
    """A pool in which nothing ends."""

    def __init__(self, slots: int) -> None:
        self._nodes = [Node("n", OWN, slots)]

    def nodes(self) -> Sequence[Node]:
        return self._nodes

    def start(self, number: int, node: Node, words: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)

    def ended(self) -> list[tuple[int, int | None]]:
        return []


def driver_s(count: int, folder: Path) -> tuple[float, float]:
    """Seconds of the first turn of a driver that goes on with a sweep, which reads all, and of later ones."""
    recipe, now = load_recipe(shipped_recipes()["quickstart"]), time.time()
    trials = [Trial(number, number, {"lora.r": number}, 1, recipe) for number in range(1, count + 1)]
    running = max(1, count // RUNNING)
    (folder / "logs").mkdir(parents=True)
    ledger(folder / "ledger.jsonl", (now, now + 1))
    for trial in trials[running:]:
        run = folder / "trials" / trial.folder
        ledger(run / "ledger.jsonl", (now, now + 100))
        (run / "summary.json").write_text('{"stop_reason": "max_steps"}')
    driver = Driver(folder, trials, Still(running), max_usd=MAX_USD, rate=RATE)
    times = []
    for _ in range(1 + TURNS):
        began = time.monotonic()
        driver.turn()
        times.append(time.monotonic() - began)
    return times[0], sum(times[1:]) / TURNS


def nothing() -> int:
    """Start a process that ends at once."""
    return subprocess.call(["true"])


def starts_a_second() -> float:
    """Processes that Ray starts and ends a second, on a cluster of nodes that are all this machine."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": SLOTS})
    for _ in range(NODES - 1):
        cluster.add_node(num_cpus=SLOTS)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")

    trial: Any = ray.remote(num_cpus=1, max_retries=0)(nothing)
    ray.get([trial.remote() for _ in range(NODES * SLOTS)])  # workers are there now
    began = time.monotonic()
    ray.get([trial.remote() for _ in range(TASKS)])
    rate = TASKS / (time.monotonic() - began)
    ray.shutdown()
    cluster.shutdown()
    return rate


def main() -> None:
    found: dict[str, Any] = {"driver_s": {}}
    head("trials", "first turn", "a turn")
    with tempfile.TemporaryDirectory() as name, in_time():
        for count in map(int, sys.argv[1:] or ("100", "1000", "10000")):
            first, later = driver_s(count, Path(name) / str(count))
            found["driver_s"][count] = [first, later]
            say(count, f"{first:.2f} s", f"{later:.3f} s")
        found["starts_a_second"] = starts_a_second()
        say("Ray", f"{NODES} nodes", f"{found['starts_a_second']:.1f} starts a second")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
