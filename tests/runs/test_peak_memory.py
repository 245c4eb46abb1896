"""Peaks by phase, on a card that is made up."""

import pytest

from tina_lite.runs.session import PeakMemory


class Cuda:
    """torch.cuda's statistics: what tensors hold, what torch has taken for them and keeps, the most of each."""

    def __init__(self) -> None:
        self.held = self.most_held = 100
        self.taken = self.most_taken = 120

    def hold(self, size: int) -> None:
        self.held += size
        self.most_held = max(self.most_held, self.held)
        self.taken = max(self.taken, self.held + 20)
        self.most_taken = max(self.most_taken, self.taken)

    def empty_cache(self) -> None:
        self.taken = self.held + 20

    def reset_peak_memory_stats(self) -> None:
        self.most_held, self.most_taken = self.held, self.taken

    def max_memory_reserved(self) -> int:
        return self.most_taken

    def mem_get_info(self) -> tuple[int, int]:
        return 480, 1000

    def max_memory_allocated(self) -> int:
        return self.most_held


def test_each_phase_has_its_own_peak_and_all_have_the_largest() -> None:
    cuda = Cuda()
    peaks = PeakMemory(cuda)
    assert peaks.metrics() == {"peak_bytes": 120, "peak_share": 0.12}
    for name, size in (("rollout", 50), ("update", 400), ("rollout", 20), ("rewards", 0)):
        with peaks.phase(name):
            cuda.hold(size)
            cuda.hold(-size)
        cuda.empty_cache()
    by_phase = {"peak_bytes/rollout": 150, "peak_bytes/update": 500, "peak_bytes/rewards": 100}
    assert peaks.metrics() == {"peak_bytes": 520, "peak_share": 0.52, **by_phase}


def test_a_phase_that_fails_counts_no_peak_and_hides_no_error() -> None:
    peaks = PeakMemory(Cuda())
    with pytest.raises(ZeroDivisionError), peaks.phase("update"):
        raise ZeroDivisionError
    assert peaks.metrics() == {"peak_bytes": 120, "peak_share": 0.12}


def test_without_a_card_it_is_the_resident_size_of_the_process() -> None:
    peaks = PeakMemory.of_this_process()
    with peaks.phase("rollout"):
        pass
    assert set(peaks.metrics()) == {"peak_bytes"}
    assert 10_000_000 < peaks.metrics()["peak_bytes"] < 10**12
