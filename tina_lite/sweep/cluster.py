"""Trials on Ray: on this machine, or on a cluster that is there."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tina_lite.sweep.bill import OWN
from tina_lite.sweep.driver import Node
from tina_lite.util.errors import BadInput

INSTALL = "pip install 'tina-lite[sweep]'"
DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""
TURN_S = 0.3


def run_words(words: Sequence[str], log: str, threads: int) -> int:
    """Run `tina-lite WORDS` as a process, on the machine where this is called; its exit status.

    It is asked to save and end where this process dies, or a file LOG.stop is made.
    """
    import ctypes

    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with open(log, "ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tina_lite.cli.main", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environment,
            preexec_fn=(lambda: libc.prctl(DIES_WITH_PARENT, signal.SIGTERM)) if libc else None,
        )
    asked = False
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(TURN_S)
        if not asked and Path(f"{log}.stop").exists():
            process.terminate()
            asked = True


def refuse_missing() -> None:
    """BadInput with the command where Ray is not installed."""
    if find_spec("ray") is None:
        raise BadInput(f"a sweep runs on Ray, which is not installed: {INSTALL}")


class RayPool:
    """Is a Pool of the machines that Ray knows."""

    def __init__(self, address: str | None, *, cpus: float, gpus: float) -> None:
        """Join a cluster, or make one of this machine where `address` is None."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        self._ray: Any = ray
        ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level="ERROR")
        self._needs = {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
        self._run = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(run_words)
        self._running: dict[Any, int] = {}

    def nodes(self) -> list[Node]:
        alive = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
        own = alive[self._ray.get_runtime_context().get_node_id()]["NodeManagerAddress"]
        return [
            Node(id, OWN if node["NodeManagerAddress"] == own else node["NodeManagerAddress"], slots)
            for id, node in alive.items()
            if (slots := int(min(node["Resources"].get(name, 0) // need for name, need in self._needs.items())))
        ]

    def start(self, number: int, node: Node, words: Sequence[str], log: Path) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        threads = max(1, int(self._needs["CPU"]))
        self._running[self._run.options(scheduling_strategy=there).remote(list(words), str(log), threads)] = number

    def ended(self) -> list[tuple[int, int | None]]:
        if not self._running:
            return []
        done, _ = self._ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return [(self._running.pop(one), self._status(one)) for one in done]

    def _status(self, one: Any) -> int | None:
        try:
            return int(self._ray.get(one))
        except self._ray.exceptions.RayError:
            return None

    def close(self) -> None:
        self._ray.shutdown()
