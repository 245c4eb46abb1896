"""The peak of memory: of what was taken from the machine and, on a card, of what each phase held of that."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class PeakMemory:
    """Counts while phases run. `cuda` is torch.cuda, or None where no card is used."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._most = 0
        self._by_phase: dict[str, int] = {}

    @classmethod
    def of_this_process(cls) -> "PeakMemory":
        import torch

        return cls(torch.cuda if torch.cuda.is_available() else None)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Allocations of the card belong to this phase; what is there already counts too."""
        if self._cuda is not None:
            self._take_note()
            self._cuda.reset_peak_memory_stats()
        yield
        if self._cuda is not None:
            self._by_phase[name] = max(self._by_phase.get(name, 0), int(self._cuda.max_memory_allocated()))

    def metrics(self) -> dict[str, float]:
        """peak_bytes, that torch took of the card, or else the resident size of this process; peak_bytes/PHASE, what
        tensors held of the card."""
        if self._cuda is None:
            return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        self._take_note()
        return {"peak_bytes": self._most, **{f"peak_bytes/{name}": peak for name, peak in self._by_phase.items()}}

    def _take_note(self) -> None:
        self._most = max(self._most, int(self._cuda.max_memory_reserved()))
