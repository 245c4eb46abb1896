"""Work that may hang, in processes that may be killed.

A worker is any program that reads one JSON value a line and answers each with one JSON line. It is started when it is
first needed; the one that passes its wall-clock limit, or dies, costs its own item only and is replaced. So is, between
two items, one that has served long: sympy's caches grow. On a busy machine, or after a laptop's sleep, the clock runs
while the worker does not: a worker that had little of the processor gets the limit again, a few times.
"""

import json
import math
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from select import select
from typing import Any, Final

from tina_lite.util.errors import TinaError

ITEMS_A_WORKER = 8
"""Waiting items that are worth another worker: its start takes as long as dozens of items."""
MOST_ITEMS = 10_000
"""Items after which a worker is replaced; math-verify takes some 4 kB more with each."""


FAIR_SHARE = 0.5
"""Of its limit that a worker must have had of the processor before it is given up."""
MOST_EXTENSIONS = 3


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands in place of an answer: the worker hung or died over the item."""


LOST: Final = Lost()


class Worker:
    """Is one process. It says `"ready"` first, so that its start is not charged to an item."""

    def __init__(self, command: Sequence[str], start_limit_s: float) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C on the terminal is for the run: it still wants its rewards
        )
        self._received = b""
        self.ready = False
        self.item: int | None = None
        """The item under way."""
        self.given = 0
        """Items so far."""
        self.deadline = time.monotonic() + start_limit_s
        self._extensions, self._processor_s_before = 0, 0.0

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def fileno(self) -> int:
        assert self._process.stdout is not None, "it has a pipe"
        return self._process.stdout.fileno()

    def give(self, item: int, request: object, limit_s: float) -> None:
        assert self._process.stdin is not None, "it has a pipe"
        self.item, self.deadline = item, time.monotonic() + limit_s
        self.given += 1
        self._extensions, self._processor_s_before = 0, self._processor_s()
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            self.deadline = time.monotonic()

    def extended(self, limit_s: float) -> bool:
        """Whether a late worker gets the limit again, as it had no time to work."""
        worked_s = self._processor_s() - self._processor_s_before
        if self._extensions == MOST_EXTENSIONS or not worked_s < FAIR_SHARE * limit_s:
            return False
        self._extensions += 1
        self.deadline = time.monotonic() + limit_s
        return True

    def _processor_s(self) -> float:
        """Seconds of processor time so far; NaN where the system does not tell."""
        try:
            return time.clock_gettime(~self._process.pid << 3 | 2)  # what clock_getcpuclockid(3) gives on Linux
        except OSError:
            return math.nan

    def read_lines(self) -> list[bytes] | None:
        """Whole lines that have come; None at the end of the stream. Does not wait when `select` said so."""
        chunk = os.read(self.fileno(), 65536)
        *lines, self._received = (self._received + chunk).split(b"\n")
        return lines if chunk else None

    def close(self) -> None:
        """Kill and reap; twice does no harm."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None, "it has both pipes"
            pipe.close()


class WorkerPool:
    """Holds workers that share a queue. One call is made at a time; a second thread waits."""

    def __init__(self, command: Sequence[str], *, size: int = 1, limit_s: float, start_limit_s: float = 60.0) -> None:
        self._command = command
        self._size = size
        self._limit_s = limit_s
        self._start_limit_s = start_limit_s
        self._workers: list[Worker] = []
        self._lock = threading.Lock()
        self.lost = 0
        """Items over which a worker hung or died, so far."""

    def ask(self, requests: Sequence[object]) -> list[Any | Lost]:
        """One answer for each request, in order; LOST where the limit was passed."""
        with self._lock:
            try:
                return self._ask(requests)
            except BaseException:  # also Ctrl-C: a late answer must not be taken for the next call's
                self.close()
                raise

    def close(self) -> None:
        """End the workers; the next `ask` starts new ones."""
        while self._workers:
            self._workers.pop().close()

    def _ask(self, requests: Sequence[object]) -> list[Any | Lost]:
        answers: list[Any | Lost] = [LOST] * len(requests)
        waiting = deque(enumerate(requests))
        left = len(requests)
        while left:
            self._hire(left)
            for worker in self._workers:
                if worker.ready and worker.item is None and waiting:
                    worker.give(*waiting.popleft(), self._limit_s)
            left -= self._collect(answers)
        return answers

    def _hire(self, wanted: int) -> None:
        for worker in [worker for worker in self._workers if worker.item is None]:
            if worker.ended or worker.given >= MOST_ITEMS:
                self._dismiss(worker)
        while len(self._workers) < min(self._size, math.ceil(wanted / ITEMS_A_WORKER)):
            self._workers.append(Worker(self._command, self._start_limit_s))

    def _collect(self, answers: list[Any | Lost]) -> int:
        """Wait until a worker speaks or is late; the number of items that this settled."""
        engaged = [worker for worker in self._workers if not worker.ready or worker.item is not None]
        soonest = min(worker.deadline for worker in engaged)
        speaking, _, _ = select(engaged, [], [], max(0.0, soonest - time.monotonic()))
        settled = sum(self._hear(worker, answers) for worker in speaking)
        late = [worker for worker in engaged if worker not in speaking and worker.deadline <= time.monotonic()]
        return settled + sum(self._dismiss(worker) for worker in late if not worker.extended(self._limit_s))

    def _hear(self, worker: Worker, answers: list[Any | Lost]) -> int:
        lines = worker.read_lines()
        if lines is None:
            return self._dismiss(worker)
        for line in lines:
            if not worker.ready:
                worker.ready = True
            elif worker.item is not None:
                answers[worker.item], worker.item = json.loads(line), None
                return 1
        return 0

    def _dismiss(self, worker: Worker) -> int:
        self._workers.remove(worker)
        worker.close()
        if not worker.ready:
            raise TinaError(f"the worker process did not start: {' '.join(self._command)} (run it by hand to see why)")
        if worker.item is None:
            return 0
        self.lost += 1
        return 1
