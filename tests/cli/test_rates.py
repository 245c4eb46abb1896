"""A rate that cannot be, in each of the four places where one may stand: one line, exit 2, nothing written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tina_lite.launch import check

CARD = "NVIDIA GeForce RTX 4090"
BAD = ["-1", "-0.01", "nan", "inf", "abc"]


@pytest.fixture
def refused(quick_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tina: Callable[..., Any]):
    """Calls `tina-lite run` on a machine with a card; gives the one line that it says."""
    quick_recipe.write_text(quick_recipe.read_text().replace("rate: 0.20", "rate: auto"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(check, "usable_card", lambda: CARD)

    def run(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        said = tina("run", "quick.yaml", *arguments)
        assert (said.code, said.out) == (2, "")
        assert sorted(tmp_path.rglob("*")) == before
        (line,) = said.err.splitlines()
        return line

    return run


@pytest.mark.parametrize("value", BAD)
def test_a_bad_rate_by_flag(refused, value: str) -> None:
    assert refused("--rate", value).startswith(f"--rate: got {value}; needs US dollars per hour, 0 or more")


@pytest.mark.parametrize("value", [*BAD, ".nan", ".inf", "{watts: -300, usd_per_kwh: 0.3}", "{watts: auto}"])
def test_a_bad_rate_in_the_recipe(refused, tmp_path: Path, value: str) -> None:
    recipe = tmp_path / "quick.yaml"
    lines = recipe.read_text().replace("rate: auto", f"rate: {value}").splitlines()
    recipe.write_text("\n".join(lines))
    number = next(n for n, line in enumerate(lines, start=1) if "rate:" in line and "budget" in line)
    line = refused()
    assert line.startswith(f"quick.yaml:{number}: budget.rate: ")
    assert "US dollars per hour" in line


@pytest.mark.parametrize("value", BAD)
def test_a_bad_rate_in_the_environment(refused, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TINA_LITE_RATE", value)
    assert refused().startswith(f"TINA_LITE_RATE: got {value}; needs US dollars per hour, 0 or more")


@pytest.mark.parametrize("value", BAD)
def test_a_bad_rate_in_the_price_file(refused, tmp_path: Path, value: str) -> None:
    file = tmp_path / "tina-lite" / "prices.csv"
    file.parent.mkdir()
    file.write_text(f"gpu,vram_gib,provider,usd_per_hour\nRTX 4090,24,desk,{value}\n")
    assert refused().startswith(f"{file}:2: usd_per_hour: got '{value}'; needs a number, 0 or more")


@pytest.mark.parametrize("card", ["Voodoo 2", "NVIDIA GeForce RTX 4090 Laptop GPU"])
def test_a_budget_on_a_card_without_a_price(refused, monkeypatch: pytest.MonkeyPatch, card: str) -> None:
    monkeypatch.setattr(check, "usable_card", lambda: card)
    line = refused("--max-usd", "1")
    assert f"the card {card!r} is not in the price catalogue; say --rate" in line
    assert "tina-lite/prices.csv" in line


def test_billing_by_the_day_is_unknown(refused) -> None:
    assert "budget.billing" in refused("--set", "budget.billing=day")


@pytest.mark.parametrize("rate", ["0", "0.0", "-0"])
def test_a_rate_of_nothing_is_allowed_and_said(quick_recipe: Path, rate: str) -> None:
    from tina_lite.launch.preview import dry_run
    from tina_lite.recipe import load_recipe

    lines = dry_run(load_recipe(quick_recipe), out=quick_recipe.parent / "out", rate=rate)
    assert [line for line in lines if line.startswith("warning:")] == [
        "warning:     the rate is $0/h, so the budget cannot bind; other stop rules still do"
    ]
    assert "budget:      $1.00 at $0.00/h (--rate)" in lines
