"""The page holds everything, asks for nothing, and no text of a model becomes part of it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_texts import hostile_completions
from made_up_runs import EVIL, sample, write_lines

from tina_lite.report import html_page, read_run, refuse_missing
from tina_lite.util.errors import BadInput

Make = Callable[..., Path]

pytest.importorskip("plotly", reason="plotly is not installed")

SECTIONS = ("reward", "dollars", "evaluation", "length", "money", "samples", "health", "bought", "recipe", "repeat")


def without_scripts(html: str) -> str:
    return re.sub(r"<script>.*</script>", "", html, flags=re.DOTALL)


def test_every_section_is_there_and_nothing_is_fetched(make_run: Make) -> None:
    html = html_page([read_run(make_run())])
    assert all(f'<h2 id="{name}">' in html for name in SECTIONS)
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//", without_scripts(html))
    assert "default-src 'none'" in html
    assert len(html) < 6_000_000


def test_what_a_model_or_a_data_set_says_stays_text(make_run: Make) -> None:
    html = html_page([read_run(make_run(evil=EVIL, turning_point=EVIL))])
    body = without_scripts(html)
    assert "<script>window" not in html
    assert "<img" not in body
    assert "&lt;img src=x onerror=" in body
    assert "\x1b" not in body
    assert "\u202e" not in body
    assert html.count("</script>") == 3  # the figures' numbers, plotly.js, and the page's own


def test_hostile_completions_are_shown_short_and_harmless(make_run: Make) -> None:
    folder = make_run()
    texts = list(hostile_completions(21))
    rows = [sample(step, step, 1.0, text, text) for step, text in enumerate(texts, start=1)]
    write_lines(folder / "samples.jsonl", rows)
    body = without_scripts(html_page([read_run(folder)]))
    assert len(body) < 200_000
    assert "<script>alert" not in body


def test_runs_that_lack_nearly_everything_still_make_a_page(make_run: Make) -> None:
    bare = make_run("bare", without=("events.jsonl", "metrics.jsonl", "ledger.jsonl", "samples.jsonl", "recipe.yaml"))
    (bare / "summary.json").write_text("{}")
    write_lines(bare / "metrics.jsonl", [{"step": 1, "reward": None, "loss": None, "usd": None}])
    html = html_page([read_run(bare)])
    assert "No step" not in html
    assert "This run has kept no samples of two steps." in html
    both = html_page([read_run(bare), read_run(make_run("whole"))])
    assert '<h2 id="comparison">' in both


def test_a_missing_package_is_one_line_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tina_lite.report.page.find_spec", lambda name: None)
    with pytest.raises(BadInput) as refused:
        refuse_missing()
    assert str(refused.value) == "report: plotly, jinja2 is not installed; pip install plotly jinja2"
