"""What a sweep came to: settings over seeds, what differs beyond noise, the page."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tina_lite.sweep.table import differences_of, lines_of, settings_of

Row = dict[str, Any]


def row(number: int, setting: str, last: float | None, state: str = "done", folder: Path = Path()) -> Row:
    return {
        "trial": number,
        "setting": setting,
        "seed": number,
        "state": state,
        "why": "it is worse" if state == "weak" else None,
        "folder": str(folder),
        "steps": 10,
        "usd": 0.5,
        "measure": "pass_at_1",
        "first": 0.1,
        "last": last,
        "pass_at_1": last,
        "reward": 1.0,
    }


def record(rows: Sequence[Row]) -> Row:
    settings = settings_of(rows)
    differences = differences_of(rows, settings)
    return {"usd": 3.0, "max_usd": 4.0, "settings": settings, "differences": differences, "trials": list(rows)}


GOOD, BAD, SAME = [0.80, 0.82, 0.81], [0.50, 0.52, 0.48], [0.80, 0.81, 0.80]


def test_settings_are_the_mean_of_what_is_done() -> None:
    rows = [row(n, "r=8", last) for n, last in enumerate(GOOD, start=1)]
    rows += [row(4, "r=16", 0.9), row(5, "r=16", 0.1, "weak"), row(6, "r=16", None, "failed")]
    first, second = settings_of(rows)
    assert (first["setting"], first["done"], first["trials"], first["spread"]) == ("r=16", 1, 3, None)
    assert (second["mean"], second["spread"]) == (pytest.approx(0.81), pytest.approx(0.01))
    assert (second["usd"], second["gain_per_usd"]) == (1.5, pytest.approx(0.71 / 0.5))


def test_only_what_differs_beyond_noise_is_said_to() -> None:
    rows = [
        row(3 * place + n, name, last)
        for place, (name, values) in enumerate([("good", GOOD), ("bad", BAD), ("same", SAME)])
        for n, last in enumerate(values)
    ]
    found = {one["other"]: one for one in differences_of(rows, settings_of(rows))}
    assert found["bad"]["p"] < 0.001
    assert found["bad"]["ci95"][0] > 0.2
    assert found["same"]["p"] > 0.05
    said = "\n".join(lines_of(record(rows)))
    assert "good is better than bad by 31.0 points" in said
    assert "good and same cannot be told apart" in said


@pytest.mark.parametrize("values", [[[0.5], [0.6]], [[0.5, 0.6]], [[0.5, 0.5], [0.6, 0.6]]])
def test_nothing_is_said_of_too_little(values: list[list[float]]) -> None:
    rows = [row(9 * s + n, f"r={s}", last) for s, of_one in enumerate(values) for n, last in enumerate(of_one)]
    assert differences_of(rows, settings_of(rows)) == []


def test_the_page_holds_what_is_known(tmp_path: Path, tina: Callable[..., Any]) -> None:
    rows = []
    for number, (setting, last) in enumerate([("r=8", 0.7), ("r=8", 0.8), ("<b>", 0.3), ("<b>", 0.2)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        events = [
            {"event": "eval", "usd": usd, "pass_at_1": share, "benchmark": "b"} for usd, share in ((0, 0.1), (1, last))
        ]
        (folder / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
        rows.append(row(number, setting, last, folder=folder))
    rows.append(row(9, "none", None, "waiting"))
    (tmp_path / "sweep.json").write_text(json.dumps(record(rows)))
    said = tina("report", str(tmp_path))
    assert said.code == 0, said.err
    page = (tmp_path / "report.html").read_text()
    assert "The best setting is r=8: 75.0% over 2 seeds." in page
    assert "r=8 is better than &lt;b&gt; by 50.0 points" in page
    assert '"name":' in page
    assert "<b>:" not in page
