"""Figures hold what plotly knows, the run's numbers, and say them in words too."""

import re
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.eval.statistics import student_t
from tina_lite.report.curves import MOST_POINTS, curve, smoothed
from tina_lite.report.figures import Figure, figures
from tina_lite.report.read import read_run

Make = Callable[..., Path]


def painted(value: Any) -> Any:
    """With colours in the place of the page's variables."""
    if isinstance(value, dict):
        return {key: painted(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [painted(item) for item in value]
    return "#123456" if isinstance(value, str) and re.fullmatch(r"--[a-z]+(-\d)?(/[\d.]+)?", value) else value


def drawn(*folders: Path) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures([(folder.name, read_run(folder)) for folder in folders])}


@pytest.mark.parametrize("names", [("one",), ("one", "two")])
def test_plotly_accepts_every_figure(make_run: Make, names: tuple[str, ...]) -> None:
    go = pytest.importorskip("plotly.graph_objects", reason="plotly is not installed")
    found = drawn(*(make_run(name) for name in names))
    assert list(found) == ["reward", "dollars", "evaluation", "length", "money"]
    for figure in found.values():
        go.Figure({"data": painted(figure.traces), "layout": painted(figure.layout)})


def test_the_turning_point_is_a_marked_line(make_run: Make) -> None:
    length = drawn(make_run())["length"]
    assert [shape["x0"] for shape in length.layout["shapes"]] == [22]
    assert length.layout["annotations"][0]["text"] == "turning point, step 22"
    assert "The line marks the turning point" in length.caption
    without = drawn(make_run("without", turning_point=None))["length"]
    assert not without.layout["shapes"]
    assert "No turning point was marked" in without.caption


def test_evaluations_show_their_intervals(make_run: Make) -> None:
    evaluation = drawn(make_run())["evaluation"]
    [trace] = evaluation.traces
    assert trace["x"] == [30.0, 76.0]
    assert trace["error_x"]["array"] == pytest.approx([4.0, 4.0])
    assert evaluation.table.rows[1] == ("held_out", "after", "76.0% [72.0, 80.0]", "200 x 4")


def test_money_by_phase_adds_up_to_the_bill(make_run: Make) -> None:
    money = drawn(make_run())["money"]
    assert sum(trace["y"][-1] for trace in money.traces) == pytest.approx(0.02)
    assert money.table.rows[1] == ("rollout", "$0.0100", "50%")


def test_every_series_of_an_overlay_differs_in_colour_and_dash(make_run: Make) -> None:
    overlay = drawn(make_run("one"), make_run("two"))["reward"]
    lines = [trace["line"] for trace in overlay.traces if "hovertemplate" in trace]
    assert len({line["color"] for line in lines}) == len({line["dash"] for line in lines}) == 2


def test_what_a_reward_is_called_cannot_become_markup_or_a_placeholder(make_run: Make) -> None:
    folder = make_run()
    text = (folder / "metrics.jsonl").read_text().replace("rewards/accuracy", "rewards/<b>%{x}")
    (folder / "metrics.jsonl").write_text(text)
    templates = [trace["hovertemplate"] for trace in drawn(folder)["reward"].traces if "hovertemplate" in trace]
    assert not any("<b>" in template or "%{x}</extra>" in template for template in templates)


def test_no_steps_no_curves(make_run: Make) -> None:
    folder = make_run(without=("metrics.jsonl", "ledger.jsonl"), usd_by_phase={})
    assert list(drawn(folder)) == ["evaluation"]


def test_a_long_run_is_drawn_with_few_points_the_last_among_them() -> None:
    points = [(step, step % 7 / 7) for step in range(1, 10_001)]
    for trace in curve(points, "reward", 0, "total", dots=True):
        assert len(trace["x"]) == len(trace["y"]) <= 2 * MOST_POINTS
        assert trace["x"][-1] == 10_000
        assert trace["x"] == sorted(trace["x"])


@given(st.lists(st.floats(-1e4, 1e4), max_size=60))
def test_a_moving_mean_stays_within_its_values_and_its_interval(values: list[float]) -> None:
    smooth = smoothed(values)
    assert len(smooth.mean) == len(smooth.low) == len(smooth.high) == len(values)
    slack, half = 1e-6, smooth.window // 2
    for at, (low, mean, high) in enumerate(zip(smooth.low, smooth.mean, smooth.high, strict=True)):
        near = values[max(0, at - half) : at + half + 1]
        assert low - slack <= mean <= high + slack
        assert mean == pytest.approx(fmean(near), abs=slack)
        if len(near) > 1:
            reach = student_t(len(near) - 1) * stdev(near) / sqrt(len(near))
            assert high - mean == pytest.approx(reach, abs=1e-2)


def test_a_window_is_narrower_than_the_run() -> None:
    assert smoothed([0.0] * 60 + [1.0] * 60).mean[0] == 0.0
    assert smoothed([0.0] * 60 + [1.0] * 60).mean[-1] == 1.0
