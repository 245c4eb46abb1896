from pathlib import Path

import pytest

from tina_lite.budget import catalogue, price_of, rates, resolve_rate
from tina_lite.util.errors import BadInput


@pytest.mark.parametrize(
    ("driver_says", "gpu"),
    [
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000 Server"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIE 80GB"),
        ("Tesla V100-SXM2-16GB", "V100 16GB"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H200", "H200"),
        ("rtx 4090", "RTX 4090"),
        ("L40S 48GB", "L40S"),
    ],
)
def test_a_card_is_known_by_the_name_that_a_driver_or_a_person_gives(driver_says: str, gpu: str) -> None:
    offer = price_of(driver_says)
    assert offer is not None
    assert offer.gpu == gpu


@pytest.mark.parametrize(
    "relative",
    [
        "NVIDIA GeForce RTX 3080 Ti",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        "Tesla V100-SXM2-32GB",
        "NVIDIA L40",
        "NVIDIA A40-48Q",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "Quadro RTX 6000",
        "",
    ],
)
def test_a_relative_has_no_price_and_a_budget_on_it_is_refused(relative: str) -> None:
    assert price_of(relative) is None
    with pytest.raises(BadInput, match="--rate"):
        resolve_rate(None, None, {}, relative, budget_is_set=True)
    assert not resolve_rate(None, None, {}, relative, budget_is_set=False).binds


def test_every_offer_is_found_by_its_own_name() -> None:
    for offer in catalogue():
        found = price_of(offer.gpu)
        assert found is not None
        assert found.gpu == offer.gpu


def test_every_offer_has_a_price_and_a_source() -> None:
    assert len(catalogue()) == len({(offer.gpu, offer.provider) for offer in catalogue()})
    assert all(offer.usd_per_hour > 0 and offer.vram_gib > 0 and offer.source for offer in catalogue())
    assert (Path(rates.__file__).parent / "gpu_prices.csv").read_text().startswith("# On-demand price")


@pytest.mark.parametrize(
    ("flag", "recipe", "environment", "where"),
    [
        ("abc", None, {}, "--rate: got abc"),
        (None, -1.0, {}, "budget.rate: got -1.0"),
        (None, None, {"TINA_LITE_RATE": "1e999"}, "TINA_LITE_RATE: got 1e999"),
    ],
)
def test_a_bad_rate_says_where_it_stood(
    flag: str | None, recipe: float | None, environment: dict[str, str], where: str
) -> None:
    with pytest.raises(BadInput, match=where) as refused:
        resolve_rate(flag, recipe, environment, "NVIDIA L40S", budget_is_set=True)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


def test_a_recipe_that_asks_for_electricity_is_not_charged_the_catalogue() -> None:
    rate = resolve_rate(None, {"watts": 450.0, "usd_per_kwh": 0.3}, {}, "NVIDIA GeForce RTX 4090", budget_is_set=True)
    assert rate.usd_per_hour == pytest.approx(0.135)
    assert rate.source == "electricity: 450 W"
