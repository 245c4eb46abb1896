"""A run leaves its own page, and nothing about the page can spoil the end of a run."""

from pathlib import Path
from threading import Event

import pytest

from tina_lite import load_recipe, run
from tina_lite.runs.events import LogLine, RunFinished, Stamped

pytest.importorskip("plotly", reason="plotly is not installed")


def test_a_run_leaves_its_report(quick_recipe: Path, tmp_path: Path) -> None:
    summary = run(load_recipe(quick_recipe), out=tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text()
    assert "3 steps" in html
    assert "so far" not in html
    assert summary["packages"]["torch"] in html


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("no money", "no report.html, as the budget is used up; tina-lite report"),
        ("too slow", "no report.html: there was no time left for it; tina-lite report"),
        ("no package", "no report.html (report: plotly, jinja2 is not installed"),
        ("a bug", "no report.html (ZeroDivisionError: division by zero)"),
    ],
)
def test_without_one_the_run_ends_as_well(
    quick_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    if fault == "no money":
        monkeypatch.setattr("tina_lite.launch.close.REPORT_S", 1e9)
    if fault == "too slow":
        monkeypatch.setattr("tina_lite.launch.close.REPORT_S", 0.0)
        monkeypatch.setattr("tina_lite.launch.close.spare_s", lambda session: 0.2)
        monkeypatch.setattr("tina_lite.report.page.outcome", lambda told: Event().wait(60))
    if fault == "no package":
        monkeypatch.setattr("tina_lite.report.page.find_spec", lambda name: None)
    if fault == "a bug":
        monkeypatch.setattr("tina_lite.report.page.outcome", lambda told: 1 / 0)
    heard: list[Stamped] = []
    summary = run(load_recipe(quick_recipe, {"stop.max_steps": 1}), out=tmp_path / "run", listeners=[heard.append])
    assert summary["steps"] == 1
    assert not (tmp_path / "run" / "report.html").exists()
    notices = [stamped.event.text for stamped in heard if isinstance(stamped.event, LogLine)]
    assert any(text.startswith(said) for text in notices)
    assert isinstance(heard[-1].event, RunFinished)
