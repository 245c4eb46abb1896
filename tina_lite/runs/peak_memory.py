"""The peak of memory, over all and, on a card, by phase."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class PeakMemory:
    """Counts while phases run. `cuda` is torch.cuda, or None where no card is used."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._by_phase: dict[str, int] = {}

    @classmethod
    def of_this_process(cls) -> "PeakMemory":
        import torch

        return cls(torch.cuda if torch.cuda.is_available() else None)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Allocations of the card belong to this phase; what is there already counts too."""
        if self._cuda is not None:
            self._cuda.reset_peak_memory_stats()
        yield
        if self._cuda is not None:
            self._by_phase[name] = max(self._by_phase.get(name, 0), int(self._cuda.max_memory_reserved()))

    def metrics(self) -> dict[str, float]:
        """peak_bytes, of the card or else the resident size of this process; peak_bytes/PHASE on a card."""
        if self._cuda is None:
            return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        now = int(self._cuda.max_memory_reserved())
        by_phase = {f"peak_bytes/{name}": peak for name, peak in self._by_phase.items()}
        return {"peak_bytes": max(now, *by_phase.values(), 0), **by_phase}
