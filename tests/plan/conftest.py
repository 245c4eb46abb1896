"""Recipes and devices of round numbers to plan for."""

from collections.abc import Callable
from typing import Any

import pytest

from tina_lite.plan import Device
from tina_lite.plan.device import GIB
from tina_lite.recipe import Recipe


@pytest.fixture
def recipe_with() -> Callable[..., Recipe]:
    """The paper's settings on arithmetic, but for fields given as section={field: value}."""

    def make(**sections: Any) -> Recipe:
        return Recipe.model_validate({"data": {"source": "arithmetic"}, **sections})

    return make


@pytest.fixture
def card_of() -> Callable[..., Device]:
    """A card of so many GiB that multiplies 1e14 and reads 1e12 a second."""

    def make(vram_gib: float, **changes: Any) -> Device:
        fields = {
            "name": "a card",
            "card": True,
            "memory": int(vram_gib * GIB),
            "dtype": "bfloat16",
            "flops": 1e14,
            "attention_flops": 5e13,
            "bandwidth": 1e12,
            "call_s": 1e-5,
            "decode_call_s": 1e-5,
        }
        return Device(**{**fields, **changes})

    return make
