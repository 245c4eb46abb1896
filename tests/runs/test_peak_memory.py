"""Peaks by phase, on a card that is made up."""

import pytest

from tina_lite.runs.peak_memory import PeakMemory


class Cuda:
    """torch.cuda's statistics: what is reserved now, and the most since the last reset."""

    def __init__(self) -> None:
        self.reserved = self.peak = 100

    def reserve(self, size: int) -> None:
        self.reserved += size
        self.peak = max(self.peak, self.reserved)

    def reset_peak_memory_stats(self) -> None:
        self.peak = self.reserved

    def max_memory_reserved(self) -> int:
        return self.peak


def test_each_phase_has_its_own_peak_and_all_have_the_largest() -> None:
    cuda = Cuda()
    peaks = PeakMemory(cuda)
    assert peaks.metrics() == {"peak_bytes": 100}
    for name, size in (("rollout", 50), ("update", 400), ("rollout", 20)):
        with peaks.phase(name):
            cuda.reserve(size)
            cuda.reserve(-size)
    assert peaks.metrics() == {"peak_bytes": 500, "peak_bytes/rollout": 150, "peak_bytes/update": 500}


def test_a_phase_that_fails_counts_no_peak_and_hides_no_error() -> None:
    peaks = PeakMemory(Cuda())
    with pytest.raises(ZeroDivisionError), peaks.phase("update"):
        raise ZeroDivisionError
    assert peaks.metrics() == {"peak_bytes": 100}


def test_without_a_card_it_is_the_resident_size_of_the_process() -> None:
    peaks = PeakMemory.of_this_process()
    with peaks.phase("rollout"):
        pass
    assert set(peaks.metrics()) == {"peak_bytes"}
    assert 10_000_000 < peaks.metrics()["peak_bytes"] < 10**12
