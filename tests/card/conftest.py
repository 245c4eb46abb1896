"""What only a CUDA card can show: every test of this folder is marked gpu, and skipped elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.gpu)
            item.add_marker(pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card"))


@pytest.fixture
def make_pair(make_policy: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Any]]:
    """A policy on the card and one on the CPU, of the same weights; `cpu` are fields of the second alone."""

    def make(cpu: dict[str, Any] | None = None, **fields: Any) -> tuple[Any, Any]:
        card = make_policy(**fields)
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "is_available", lambda: False)
            other = make_policy(**{**fields, **(cpu or {})})
        assert (card.device.type, other.device.type) == ("cuda", "cpu")
        for name, tensor in card.trainable().items():
            tensor.data.copy_(other.trainable()[name])
        card.sync()
        return card, other

    return make
