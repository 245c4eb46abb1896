"""The last line of a budget: where the main thread cannot end the run in time, a thread of its own does.

The loop ends a run before its limit. But loading that takes an hour, or a kernel that never returns, asks no stop rule:
money must not go on being spent because of that.
"""

import threading
from collections.abc import Callable

from tina_lite.budget.meter import Reading
from tina_lite.budget.stops import Limits

MARGIN_S = 0.5
"""Before the limit: a last line of the ledger, and the end of the process."""
LONGEST_WAIT_S = 60.0
"""A clock may have jumped."""


class HardStop:
    """Calls `act(limit)` from its own thread once no more than MARGIN_S is left of any limit of time or money."""

    def __init__(self, limits: Limits, read: Callable[[], Reading], act: Callable[[str], None]) -> None:
        self._limits = limits
        self._read = read
        self._act = act
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hard-stop", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The run has ended by itself."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            left_s, limit = self._limits.left(self._read())
            if left_s is None:
                return
            if left_s <= MARGIN_S:
                self._act(limit)
                return
            if self._over.wait(min(left_s - MARGIN_S, LONGEST_WAIT_S)):
                return
