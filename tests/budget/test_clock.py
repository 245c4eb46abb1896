import subprocess
import sys
import time

import pytest

from tina_lite.budget import meter

TICK_S = 0.02
"""The operating system notes starts by the hundredth of a second."""


def test_the_age_of_a_process_is_what_a_stopwatch_outside_says() -> None:
    program = "from tina_lite.budget.meter import process_age_s; print(process_age_s())"
    started = time.monotonic()
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert 0.0 < float(printed) <= time.monotonic() - started + TICK_S


def test_without_proc_time_counts_from_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> int:
        raise ValueError("no such field")

    monkeypatch.setattr(meter, "start_ticks", missing)
    monkeypatch.setattr(meter, "_IMPORTED_AT", time.monotonic() - 1000.0)
    assert 1000.0 <= meter.process_age_s() < 1000.0 + 60


def test_a_process_is_not_younger_than_this_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some sandboxes give a start that lies in the future."""
    monkeypatch.setattr(meter, "start_ticks", lambda _: 10**15)
    monkeypatch.setattr(meter, "_IMPORTED_AT", time.monotonic() - 1000.0)
    assert meter.process_age_s() >= 1000.0
