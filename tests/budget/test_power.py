"""Electricity as an NVIDIA card measures it, with a card that is made up."""

import json
import sys
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.budget import Meter, Rate, read_bills, resolve_rate
from tina_lite.budget.ledger import Ledger
from tina_lite.budget.rates import EnergyMeter, Power, dollars
from tina_lite.util.errors import BadInput

MEASURED = {"watts": "auto", "usd_per_kwh": 0.30}
KWH_PRICE = 0.36  # ten million joules for a dollar


class NVMLError(Exception):
    pass


class FakeNvml(ModuleType):
    """The calls that are used of pynvml, over a list of what the card draws in turn, in watts."""

    NVMLError = NVMLError

    def __init__(self, draws: list[float | NVMLError], limit_watts: float = 450.0) -> None:
        super().__init__("pynvml")
        self.draws = draws
        self.limit_watts = limit_watts
        self.asked: list[int | str] = []

    def nvmlInit(self) -> None:  # noqa: N802
        if not self.draws:
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self.asked.append(index)
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.asked.append(uuid)
        return uuid

    def nvmlDeviceGetEnforcedPowerLimit(self, card: object) -> int:  # noqa: N802
        return int(self.limit_watts * 1000)

    def nvmlDeviceGetPowerUsage(self, card: object) -> int:  # noqa: N802
        draw = self.draws.pop(0) if len(self.draws) > 1 else self.draws[0]
        if isinstance(draw, NVMLError):
            raise draw
        return int(draw * 1000)


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(*draws: float | NVMLError) -> FakeNvml:
        fake = FakeNvml(list(draws))
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return install


def drawing(*watts: float, most: float = 450.0) -> Rate:
    """A rate whose card draws so much at each sample in turn."""
    left = list(watts)
    power = Power(lambda: left.pop(0) if len(left) > 1 else left[0], most, KWH_PRICE)
    return Rate(most / 1000 * KWH_PRICE, "test", power=power)


def test_the_most_that_the_card_may_draw_is_the_rate_that_limits_are_reckoned_with(nvml: Any) -> None:
    nvml(100.0)
    rate = resolve_rate(None, MEASURED, {}, "NVIDIA GeForce RTX 4090", budget_is_set=True)
    assert rate.usd_per_hour == pytest.approx(0.135)
    assert rate.source == "electricity as measured, at most 450 W"
    assert rate.power is not None
    assert rate.power.watts() == 100.0


def test_a_card_that_stops_answering_is_charged_its_most(nvml: Any) -> None:
    nvml(100.0, NVMLError("GPU is lost"), 120.0)
    rate = resolve_rate(None, MEASURED, {}, None, budget_is_set=True)
    assert rate.power is not None
    assert [rate.power.watts(), rate.power.watts()] == [450.0, 120.0]


@pytest.mark.parametrize(
    ("visible", "asked"), [("0", 0), ("2,1", 2), ("GPU-8932f937-d72c", "GPU-8932f937-d72c"), ("MIG-7", "MIG-7")]
)
def test_the_card_is_the_one_that_cuda_sees(
    nvml: Any, monkeypatch: pytest.MonkeyPatch, visible: str, asked: int | str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    fake = nvml(100.0)
    resolve_rate(None, MEASURED, {}, None, budget_is_set=False)
    assert fake.asked == [asked]


def test_where_power_cannot_be_measured_one_line_says_why_and_what_to_do(
    nvml: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvml()
    with pytest.raises(BadInput, match="NVML says: Driver Not Loaded; state watts") as refused:
        resolve_rate(None, MEASURED, {}, None, budget_is_set=True)
    assert "\n" not in str(refused.value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    nvml(100.0)
    with pytest.raises(BadInput, match="CUDA_VISIBLE_DEVICES hides every card"):
        resolve_rate(None, MEASURED, {}, None, budget_is_set=True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    nvml(NVMLError("Not Supported"))
    with pytest.raises(BadInput, match="Not Supported"):
        resolve_rate(None, MEASURED, {}, None, budget_is_set=True)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(BadInput, match=r"budget\.rate\.watts: auto .* pip install nvidia-ml-py") as missing:
        resolve_rate(None, MEASURED, {}, None, budget_is_set=True)
    assert missing.value.exit_code == 2


def test_power_is_summed_over_time_by_hand() -> None:
    """100 W until the first sample at 10 s, 300 W until 20 s, then 200 W."""
    rate = drawing(100.0, 300.0, 200.0)
    assert rate.power is not None
    energy = EnergyMeter(rate.power)
    energy.sample(10.0)
    energy.sample(20.0)
    assert [energy.joules(at_s) for at_s in (20.0, 25.0)] == [4000.0, 5000.0]
    assert dollars(5000.0, KWH_PRICE) == pytest.approx(0.0005)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 450)), min_size=1, max_size=20))
def test_energy_never_shrinks_and_stays_below_the_most(samples: list[tuple[float, float]]) -> None:
    watts = [draw for _, draw in samples]
    energy = EnergyMeter(Power(lambda: watts.pop(0) if len(watts) > 1 else watts[0], 450.0, KWH_PRICE))
    now_s, joules = 0.0, 0.0
    for gap_s, _ in samples:
        now_s += gap_s
        energy.sample(now_s)
        assert joules <= energy.joules(now_s) <= 450.0 * now_s * (1 + 1e-9)
        joules = energy.joules(now_s)


def test_a_bill_is_what_was_drawn_and_a_limit_what_may_be_drawn() -> None:
    clock = FakeClock()
    meter = Meter.in_memory(drawing(100.0), clock)
    clock.now = 1000.0
    reading = meter.read()
    assert reading.usd == pytest.approx(0.01)
    assert sum(reading.usd_by_phase.values()) == pytest.approx(0.01)
    assert reading.affordable_s(0.01 + 0.0045) == pytest.approx(100.0), "at 450 W"


def test_sessions_add_up_at_what_each_drew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for watts in (100.0, 200.0):
        clock = FakeClock()
        meter = Meter.open(path, drawing(watts), clock=clock, heartbeat_s=1000)
        clock.now = 100.0
        meter.close()
        clock.now = 900.0
        assert meter.read().total_s % 100 == 0, "a closed meter is frozen"
    assert [bill.usd for bill in read_bills(path)] == pytest.approx([0.001, 0.002])
    assert json.loads(path.read_text().splitlines()[-1])["joules"] == 20000.0


def test_what_a_killed_session_drew_unseen_is_charged_at_the_most(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    start = {"rate": 450 / 1000 * KWH_PRICE, "usd_per_kwh": KWH_PRICE, "heartbeat_s": 5.0}
    ledger.append({"kind": "start", "session": 1, "elapsed_s": 0.0, "joules": 0.0, **start})
    ledger.append({"kind": "beat", "session": 1, "elapsed_s": 40.0, "joules": 4000.0, "seconds_by_phase": {"load": 40}})
    ledger.close()
    (bill,) = read_bills(path)
    assert bill.seconds == 45.0
    assert bill.usd == pytest.approx(dollars(4000.0 + 5 * 450, KWH_PRICE))


def test_the_heartbeat_asks_the_card(tmp_path: Path) -> None:
    asked = Event()
    draws = iter((100.0, 100.0, 450.0))

    def watts() -> float:
        draw = next(draws, None)
        if draw is None:
            asked.set()
        return draw or 450.0

    meter = Meter.open(
        tmp_path / "ledger.jsonl", Rate(1.0, "test", power=Power(watts, 450.0, KWH_PRICE)), heartbeat_s=0.01
    )
    assert asked.wait(30.0)
    meter.close()
    assert dollars(100 * meter.elapsed_s(), KWH_PRICE) < meter.usd() <= dollars(450 * meter.elapsed_s(), KWH_PRICE)
