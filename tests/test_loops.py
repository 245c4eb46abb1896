"""Completions that go round in circles are ended; what only looks repetitive is not."""

import pytest
import torch
from fakes import FakePolicy, prompt
from hypothesis import given
from hypothesis import strategies as st
from sections import rollout_section

from tina_lite import load_recipe, run
from tina_lite.policy.pretrained import load_tokenizer
from tina_lite.rollout.loops import EVERY, LONGEST_PERIOD, WINDOW, goes_round
from tina_lite.rollout.sampler import Sampler
from tina_lite.util.errors import BadInput

HONEST = {
    "counting": " ".join(map(str, range(1, 400))),
    "a table of sums": "\n".join(f"| {a} | {b} | {a + b} |" for a in range(20) for b in range(10)),
    "a table's rule": "|" + "---|" * 40 + "\n" + "| 0 | 0 | 0 |\n" * 12,
    "a list of steps": "\n".join(f"Step {n}: add 7, so {7 * n} + 7 = {7 * n + 7}." for n in range(60)),
    "a hundred zeros": "10^100 is 1" + "0" * 100,
    "cases": "\n".join(f"If n = {n}, then n^2 mod 4 = {n * n % 4}, so it is a square." for n in range(40)),
    "a sequence of period 4": "The last digits of 7^n are " + "7, 9, 3, 1, " * 15,
    "the same check thrice": "Let me check: 3 * 4 = 12, and 12 + 5 = 17. " * 3,
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_text_that_repeats_itself_is_no_loop(name):
    ids = load_tokenizer("builtin:tiny")(HONEST[name]).input_ids
    assert len(ids) > 30
    assert not any(goes_round(ids[:end]) for end in range(1, len(ids) + 1))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=200), st.integers(0, 40))
def test_whatever_is_said_over_and_over_is_found(period, before):
    ids = [11, 12, 13] * before + period * (3 * LONGEST_PERIOD // len(period) + 3)
    assert goes_round(ids)


@given(st.lists(st.integers(0, 1), max_size=3 * WINDOW - 1))
def test_a_short_text_is_never_one(ids):
    assert not goes_round(ids)


@given(st.lists(st.integers(0, 50), min_size=40, max_size=60), st.integers(0, 900))
def test_more_text_before_it_changes_nothing(period, before):
    ids = period * 8
    assert goes_round(list(range(100, 100 + before)) + ids) == goes_round(ids)


def circular() -> torch.Tensor:
    """Token 1 leads to 2, 2 to 3, 3 to 4, 4 to 2: round and round; token 5 only to the end, which is 0."""
    table = torch.full((8, 8), -40.0)
    for token, following in ((1, 2), (2, 3), (3, 4), (4, 2), (5, 0)):
        table[token, following] = 40.0
    return table


def completions(kv_tokens=100_000, **fields):
    sampler = Sampler(FakePolicy(circular()), rollout_section(1.0, 1000, **fields), seed=1, kv_tokens=kv_tokens)
    prompts = [prompt(0, (1,)), prompt(1, (5,)), prompt(2, (1, 2))]
    groups = sampler.rollout(prompts, 2, 1).groups
    return [(len(c.ids), c.finish_reason) for group in groups for c in group.completions]


def test_a_loop_is_ended_at_the_next_look_and_counts_as_cut_off():
    (length, reason), *_ = found = completions(stop_loops=True)
    assert (reason, length % EVERY) == ("loop", 0)
    assert 3 * WINDOW <= length <= 3 * WINDOW + 2 * EVERY
    assert found[2] == (1, "stop")
    assert {reason for _, reason in completions()} == {"length", "stop"}


def test_where_a_loop_is_ended_does_not_depend_on_what_is_decoded_beside_it():
    assert completions(stop_loops=True) == completions(stop_loops=True, kv_tokens=1100)


def test_a_run_tells_what_was_saved(quick_recipe, tmp_path):
    told = []
    recipe = load_recipe(quick_recipe, {"rollout.stop_loops": True, "stop.max_steps": 1})
    run(recipe, out=tmp_path / "out", listeners=[lambda stamped: told.append(stamped.event)])
    (step,) = (event for event in told if event.event == "step")
    assert step.metrics["loops/ended"] == step.metrics["loops/tokens_saved"] == 0.0, "none is as long"


def test_vllm_is_refused(quick_recipe):
    with pytest.raises(BadInput, match=r"rollout.stop_loops: vLLM"):
        load_recipe(quick_recipe, {"rollout.stop_loops": True, "rollout.engine": "vllm"})
