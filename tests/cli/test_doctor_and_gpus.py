"""What `tina-lite doctor` and `tina-lite gpus` print, for people and for programs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tina_lite import doctor
from tina_lite.budget import catalogue
from tina_lite.cli.doctor import doctor as doctor_command
from tina_lite.cli.plan import gpus
from tina_lite.doctor import Finding
from tina_lite.util.errors import NoRoom

WELL = Finding("card", "ok", "NVIDIA L40S")
WORTH_KNOWING = Finding(
    "hub", "note", "no answer within 4 s " + "and so on " * 12, "mend the network " + "at once " * 12
)
AMISS = Finding("bitsandbytes", "fault", "fails", "python -m bitsandbytes")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch):
    def install(*findings: Finding) -> None:
        def examine(architecture: str | None) -> Iterator[Finding]:
            yield from findings

        monkeypatch.setattr(doctor, "examine", examine)
        monkeypatch.setenv("COLUMNS", "80")

    return install


def test_a_machine_that_is_well(found) -> None:
    found(WELL, WORTH_KNOWING)
    result = CliRunner().invoke(doctor_command)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "ok     card          NVIDIA L40S"
    assert lines[-1] == "a run could start here"
    assert all(len(line) <= 80 for line in lines if "->" not in line)
    assert "       -> " + WORTH_KNOWING.mend in lines, "a command can be copied whole"


def test_a_machine_that_is_not_names_what_to_mend_and_exits_3(found) -> None:
    found(WELL, AMISS)
    result = CliRunner().invoke(doctor_command)
    assert isinstance(result.exception, NoRoom)
    assert result.exception.exit_code == 3
    assert str(result.exception) == "no run could start here: mend bitsandbytes"
    assert "       -> python -m bitsandbytes" in result.stdout.splitlines()


@pytest.mark.parametrize(("findings", "ready"), [((WELL, WORTH_KNOWING), True), ((WELL, AMISS), False)])
def test_for_programs_there_is_one_object_and_nothing_else(found, findings: tuple[Finding, ...], ready: bool) -> None:
    found(*findings)
    result = CliRunner().invoke(doctor_command, ["--json"])
    told = json.loads(result.stdout)
    assert told["ready"] == ready == (result.exception is None)
    assert told["findings"][0] == {"what": "card", "level": "ok", "text": "NVIDIA L40S", "mend": ""}


def test_cards_are_listed_with_memory_and_price_by_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    lines = CliRunner().invoke(gpus).stdout.splitlines()
    assert lines[0].split() == ["card", "VRAM", "price", "by", "provider"]
    assert "L40S                  48 GiB  vast $0.60, tina-paper $1.00" in lines
    assert lines[-1].endswith(str(tmp_path / "tina-lite" / "prices.csv"))
    assert all(len(line) <= 90 for line in lines[:-1])


def test_the_users_prices_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tina-lite").mkdir()
    (tmp_path / "tina-lite" / "prices.csv").write_text("gpu,vram_gib,provider,usd_per_hour\nL40S,48,desk,0.0125\n")
    assert CliRunner().invoke(gpus).stdout.splitlines()[1] == (
        "L40S                  48 GiB  desk $0.0125 (prices.csv)"
    )


def test_cards_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    told = json.loads(CliRunner().invoke(gpus, ["--json"]).stdout)["cards"]
    assert sum(len(card["offers"]) for card in told) == len(catalogue())
    (card,) = (card for card in told if card["gpu"] == "L40S")
    assert card["vram_gib"] == 48
    assert card["offers"][1] == {
        "provider": "tina-paper",
        "usd_per_hour": 1.0,
        "source": "arXiv 2504.15777",
        "listed_in": "catalogue",
    }


@pytest.fixture
def paper_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return json.loads(CliRunner().invoke(gpus, ["--recipe", "paper/limr", "--json"]).stdout)["cards"]


def test_a_recipe_is_quoted_on_every_card(paper_quotes) -> None:
    assert {card["gpu"] for card in paper_quotes} == {offer.gpu for offer in catalogue()}
    for card in paper_quotes:
        assert card["fits"] == (card["peak_gib"] <= card["vram_gib"])
        assert [cost["usd"] for cost in card["costs"]] == pytest.approx(
            [card["hours"] * offer["usd_per_hour"] for offer in card["offers"]]
        )


def test_a_faster_card_of_as_much_memory_takes_less_time(paper_quotes) -> None:
    hours = {card["gpu"]: card["hours"] for card in paper_quotes}
    assert hours["RTX 4090"] < hours["RTX 3090"]


def test_the_budget_of_a_recipe_does_not_shorten_its_quotes(quick_recipe: Path) -> None:
    """Every quote would be the budget itself."""

    def costs(max_usd: float) -> list[float]:
        quick_recipe.write_text(f"extends: quickstart\nbudget: {{max_usd: {max_usd}}}\n")
        told = json.loads(CliRunner().invoke(gpus, ["--recipe", str(quick_recipe), "--json"]).stdout)
        return [card["hours"] for card in told["cards"]]

    assert costs(0.0001) == costs(100.0)


def test_quotes_for_people_name_what_fits_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    lines = CliRunner().invoke(gpus, ["--recipe", "paper/limr"]).stdout.splitlines()
    fits = [line.split(" GiB")[1].split()[0] for line in lines[1:-2]]
    assert fits == sorted(fits, reverse=True)
    assert "yes" in fits
    assert lines[-1].startswith("tina-limr: 180 steps")
