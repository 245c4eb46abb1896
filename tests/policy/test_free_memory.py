"""What may still be taken of a card, by what torch says of it."""

import pytest
import torch

from tina_lite.policy.pretrained import free_bytes

CARD = torch.device("cuda")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch):
    """A card of 1000 bytes, of which others hold 300 and torch 200, 50 of them unused."""
    said = {"free": 500, "total": 1000, "share": 1.0, "reserved": 200, "allocated": 150}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (said["free"], said["total"]))
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda: said["share"])
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: said["reserved"])
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: said["allocated"])
    return said


def test_what_the_driver_has_and_what_torch_keeps_unused(card) -> None:
    assert free_bytes(CARD) == 500 + 50


def test_a_cap_on_this_process_counts(card) -> None:
    card["share"] = 0.4
    assert free_bytes(CARD) == 400 - 150
    card["share"] = 0.1  # set once more was taken
    assert free_bytes(CARD) == 0
