"""The user's own price list, ~/.config/tina-lite/prices.csv, over the catalogue."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tina_lite.budget import catalogue, known_offers, price_of, resolve_rate
from tina_lite.budget.rates import by_card, offers_for, user_file
from tina_lite.util.errors import BadInput

HEADER = "gpu,vram_gib,provider,usd_per_hour"
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def file(text: str) -> Path:
        path = tmp_path / "tina-lite" / "prices.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return file


def test_where_the_file_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    for setting in ("", "relative/config"):
        monkeypatch.setenv("XDG_CONFIG_HOME", setting)
        assert user_file() == Path("/home/ada/.config/tina-lite/prices.csv")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/xdg")
    assert user_file() == Path("/etc/xdg/tina-lite/prices.csv")


def test_without_a_file_the_catalogue_is_all_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert known_offers() == catalogue()


def test_the_users_price_replaces_every_offer_of_that_card_and_no_other(write: Write) -> None:
    write(f"# mine\n{HEADER}\nNVIDIA L40S,48,my desk,0.05\n\n")
    assert [offer.provider for offer in offers_for("NVIDIA L40S")] == ["my desk"]
    rate = resolve_rate(None, None, {}, "NVIDIA L40S", budget_is_set=True)
    assert (rate.usd_per_hour, rate.source) == (0.05, "prices.csv: NVIDIA L40S at my desk")
    assert price_of("NVIDIA H200") in catalogue()
    assert len(known_offers()) == len(catalogue()) - 2 + 1


def test_a_card_that_the_catalogue_lacks_gets_a_price(write: Write) -> None:
    write(f"{HEADER},source\nVoodoo 2,0.012,eBay,0.03,a friend\n")
    assert resolve_rate(None, None, {}, "Voodoo 2", budget_is_set=True).usd_per_hour == 0.03


def test_a_price_of_nothing_is_allowed_and_does_not_bind(write: Write) -> None:
    write(f"{HEADER}\nL40S,48,the university,0\n")
    assert not resolve_rate(None, None, {}, "NVIDIA L40S", budget_is_set=True).binds


def test_a_spreadsheets_file_is_read_too(write: Write) -> None:
    """With a byte-order mark, spaces, quotes and a comma inside them."""
    write('\ufeffprovider, gpu ,vram_gib,usd_per_hour\r\n"Desk, at home", RTX 4090 ,24, 0.10\r\n')
    (offer,) = offers_for("NVIDIA GeForce RTX 4090")
    assert (offer.provider, offer.usd_per_hour, offer.source) == ("Desk, at home", 0.10, "")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("L40S,48,desk,0.5\n", 1, "must name the columns gpu,vram_gib,provider,usd_per_hour"),
        ("gpu,vram,provider,price\n", 1, "must name the columns"),
        (f"{HEADER}\nL40S,48,desk,-0.5\n", 2, "usd_per_hour: got '-0.5'; needs a number, 0 or more"),
        (f"{HEADER}\n# mine\nL40S,48,desk,nan\n", 3, "usd_per_hour: got 'nan'"),
        (f"{HEADER}\nL40S,48,desk,inf\n", 2, "usd_per_hour: got 'inf'"),
        (f"{HEADER}\nL40S,48,desk,abc\n", 2, "usd_per_hour: got 'abc'"),
        (f"{HEADER}\nL40S,48,desk,$0.50\n", 2, "usd_per_hour: got '$0.50'"),
        (f"{HEADER}\nL40S,48,desk,\n", 2, "usd_per_hour: got ''"),
        (f"{HEADER}\nL40S,0,desk,0.5\n", 2, "vram_gib: got 0; needs GiB, more than 0"),
        (f"{HEADER}\nL40S,48GB,desk,0.5\n", 2, "vram_gib: got '48GB'"),
        (f"{HEADER}\nL40S,48,0.5\n", 2, "has 3 cells; needs 4"),
        (f"{HEADER}\n,48,desk,0.5\n", 2, "gpu is empty"),
        (f"{HEADER}\nNVIDIA RTX,48,desk,0.5\n", 2, "names no card"),
        (f'{HEADER}\n"L40S,48,desk,0.5\n', 2, "unexpected end of data"),
    ],
)
def test_a_broken_line_is_named_with_its_number(write: Write, text: str, line: int, said: str) -> None:
    path = write(text)
    with pytest.raises(BadInput) as refused:
        resolve_rate(None, None, {}, "NVIDIA H200", budget_is_set=True)
    assert str(refused.value).startswith(f"{path}:{line}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_broken_file_is_no_bother_where_the_price_is_said(write: Write) -> None:
    write("nonsense")
    assert resolve_rate("0.4", None, {}, "NVIDIA H200", budget_is_set=True).usd_per_hour == 0.4


def test_a_file_that_cannot_be_read_is_one_line(write: Write) -> None:
    path = write(HEADER)
    path.write_bytes(b"gpu\xff")
    with pytest.raises(BadInput, match="is not text in UTF-8"):
        known_offers()
    path.unlink()
    path.mkdir()
    with pytest.raises(BadInput, match="cannot be read"):
        known_offers()


def test_offers_are_gathered_by_card_the_cheapest_first(write: Write) -> None:
    cards = by_card(known_offers())
    assert sum(map(len, cards)) == len(catalogue())
    assert [card[0].usd_per_hour for card in cards] == sorted(card[0].usd_per_hour for card in cards)
    (l40s,) = (card for card in cards if card[0].gpu == "L40S")
    assert [offer.provider for offer in l40s] == ["vast", "tina-paper"]
