"""Where memory will be tight, the longest step is tried before the first one; nothing is learnt by it."""

from typing import Any

import pytest
import torch
from whole_runs import adapter, lines, metrics, same

from tina_lite import Recipe, load_recipe, run
from tina_lite.plan import read_shape
from tina_lite.policy import native, pretrained
from tina_lite.policy.dense.decoder import DenseDecoder
from tina_lite.policy.memory import layout_of
from tina_lite.policy.memory_request import MemoryBudget, MemoryRequest
from tina_lite.runs.checkpoint import newest
from tina_lite.runs.events import LogLine
from tina_lite.util.errors import NoRoom


@pytest.fixture
def tight(quick_recipe, monkeypatch) -> None:
    """A machine that has little more than the quick run needs."""
    roomy = layout_of(
        read_shape("builtin:tiny"), MemoryRequest.of(load_recipe(quick_recipe)), MemoryBudget(2**40, False, 4)
    )
    monkeypatch.setattr(pretrained, "free_bytes", lambda device: int(roomy.peak / 0.94))


def told(recipe: Recipe, out: Any) -> list[str]:
    seen: list[Any] = []
    run(recipe, out=out, listeners=[seen.append])
    return [one.event.text for one in seen if isinstance(one.event, LogLine)]


def test_it_is_said_and_billed_and_teaches_nothing(quick_recipe, tmp_path, tight):
    recipe = load_recipe(quick_recipe)
    (said,) = [text for text in told(recipe, tmp_path / "tried") if "tried" in text]
    assert "s; --set probe=false leaves it out" in said
    assert not [text for text in told(recipe.model_copy(update={"probe": False}), tmp_path / "not") if "tried" in text]
    assert metrics(tmp_path / "tried") == metrics(tmp_path / "not")
    assert same(adapter(tmp_path / "tried"), adapter(tmp_path / "not"))


def test_with_room_to_spare_there_is_none(quick_recipe, tmp_path):
    assert not [text for text in told(load_recipe(quick_recipe), tmp_path / "out") if "tried" in text]


def test_what_it_finds_out_holds_for_the_run(quick_recipe, tmp_path, tight, monkeypatch):
    real = DenseDecoder.__init__

    def full(decoder: DenseDecoder, model: Any, max_sequences: int, max_tokens: int) -> None:
        if max_sequences * max_tokens > 8 * 88:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(decoder, model, max_sequences, max_tokens)

    monkeypatch.setattr(DenseDecoder, "__init__", full)
    said = told(load_recipe(quick_recipe), tmp_path / "out")
    assert [text for text in said if "out of memory" in text] == [
        "out of memory with 16 sequences of 88 tokens: 8 are sampled at once from now on"
    ]
    saved, _ = newest(tmp_path / "out" / "checkpoints")
    assert saved.state["choices"]["kv_tokens"] == 8 * 88


def test_a_run_that_cannot_fit_is_refused_in_a_line_before_anything_is_loaded(quick_recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "free_bytes", lambda device: 10**7)
    monkeypatch.setattr(native, "load_base", lambda *_: pytest.fail("the base was loaded"))
    with pytest.raises(NoRoom, match=r"needs 0\.\d\d GiB of memory at least, and 0\.01 GiB are free; lower") as caught:
        run(load_recipe(quick_recipe), out=tmp_path / "out")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "out").exists() or not lines(tmp_path / "out" / "events.jsonl")
