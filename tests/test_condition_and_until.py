"""What a person may write after --stop-when and --until."""

import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.budget.conditions import Condition, seconds_until

NOON = datetime(2026, 3, 1, 12, 0)


@pytest.mark.parametrize(
    ("text", "metrics", "holds"),
    [
        ("reward>=0.9", {"reward": 0.9}, True),
        ("reward > 0.9", {"reward": 0.9}, False),
        ("completions/clipped_ratio<.5", {"completions/clipped_ratio": 0.4}, True),
        (" loss <= -1e-3 ", {"loss": -0.001}, True),
        ("reward>=0.9", {"loss": 1.0}, None),
        ("reward>=0.9", {"reward": float("nan")}, False),
    ],
)
def test_a_condition_holds(text, metrics, holds):
    assert Condition.parse(text).holds(metrics) is holds


@pytest.mark.parametrize(
    ("text", "steps"),
    [("reward>=0.9", None), ("reward >= 0.9 for 5", 5), ("reward>=1e0 for 1 step", 1), ("loss<.5  for 12  steps ", 12)],
)
def test_a_condition_says_for_how_long(text, steps):
    assert Condition.parse(text).steps == steps


@pytest.mark.parametrize(
    "text",
    [
        "reward>=0.9 for",
        "reward>=0.9 for 0",
        "reward>=0.9for 5",
        "reward>=0.9 for 5.5",
        "reward>=0.9 for -1",
        "",
        "reward",
        "reward=0.9",
        "reward>=high",
        "reward>=1.2.3",
        "0.9>=reward",
        "a>1 b<2",
    ],
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(ValueError, match=r"reward>=0\.9"):
        Condition.parse(text)


@given(st.text())
def test_any_text_is_a_condition_or_refused_in_one_way(text):
    said = ""
    try:
        Condition.parse(text)
    except ValueError as error:
        said = str(error)
    assert said == "" or "such as" in said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12:30", 1800),
        ("11:59", 86_340),
        ("12:00", 86_400),
        ("1.5h", 5400),
        ("2h 5m", 7500),
        ("10 min", 600),
        ("3s", 3),
    ],
)
def test_until(text, seconds):
    assert seconds_until(text, NOON) == seconds


@pytest.mark.parametrize("text", ["", "24:00", "7:5", "12:60", "0m", "soon", "5", "-3m", "1m2h"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError, match="07:30"):
        seconds_until(text, NOON)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2090, 1, 1)), st.times())
def test_a_time_of_day_is_within_a_day(now, time):
    assert 0 < seconds_until(f"{time.hour:02}:{time.minute:02}", now) <= 90_000


@pytest.fixture
def berlin(monkeypatch):
    """Its zone, by the rules themselves, as a machine may have no table of zones."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "now", "seconds"),
    [
        ("07:30", datetime(2026, 3, 27, 23, 30), 8 * 3600),
        ("07:30", datetime(2026, 3, 28, 23, 30), 7 * 3600),
        ("07:30", datetime(2026, 10, 24, 23, 30), 9 * 3600),
        ("02:30", datetime(2026, 10, 25, 2, 45), 45 * 60),
        ("02:30", datetime(2026, 10, 25, 2, 45, fold=1), 23.75 * 3600),
    ],
)
def test_a_night_in_which_the_clocks_change_is_as_long_as_it_is(text, now, seconds, berlin):
    assert seconds_until(text, now) == seconds
    assert seconds_until(text, now.astimezone()) == seconds


def test_a_time_of_day_that_passes_while_data_load_is_not_tomorrows(quick_recipe, tmp_path, monkeypatch):
    from tina_lite import load_recipe
    from tina_lite.launch import check

    moments = iter([datetime(2026, 3, 1, 1, 53, 6), *[datetime(2026, 3, 1, 1, 55)] * 9])

    class Now(datetime):
        @classmethod
        def now(cls, tz=None):
            return next(moments)

    monkeypatch.setattr(check, "datetime", Now)
    recipe = load_recipe(quick_recipe, {"stop.until": "01:54"})
    checked = check.check(recipe, out=tmp_path / "out")
    assert 54 <= checked.limits.until_s < 54 + 600
