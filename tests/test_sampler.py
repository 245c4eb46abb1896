"""The sampler: the right distribution, the same text whatever the company, deadlines kept."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import FakePolicy, prompt
from hypothesis import given
from hypothesis import strategies as st
from sections import rollout_section

from tina_lite.rollout.sampler import Sampler
from tina_lite.rollout.sampling import compaction, random_numbers, sample_tokens, truncate

VOCABULARY = 12


def table(seed: int = 0) -> torch.Tensor:
    return torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 1.5


def texts(policy, prompts, *, n=3, kv_tokens=10_000, seed=1, step=1, **sampling):
    sampler = Sampler(
        policy,
        rollout_section(**{"temperature": 1.0, "max_completion_length": 20, **sampling}),
        seed=seed,
        kv_tokens=kv_tokens,
    )
    return [[c.text for c in group.completions] for group in sampler.rollout(prompts, n, step).groups]


def chi_squared(counts, probabilities):
    expected = probabilities / probabilities.sum() * counts.sum()
    seen = expected > 0
    assert counts[~seen].sum() == 0, "a token of probability 0 was drawn"
    return float(((counts[seen] - expected[seen]) ** 2 / expected[seen]).sum()), int(seen.sum()) - 1


@pytest.mark.parametrize(
    ("sampling", "exact"),
    [
        ({}, lambda p: p),
        ({"temperature": 0.6}, lambda p: p ** (1 / 0.6)),
        ({"top_k": 4}, lambda p: np.where(p >= np.sort(p)[-4], p, 0)),
        ({"top_p": 0.7}, lambda p: np.where(np.isin(np.arange(len(p)), nucleus(p, 0.7)), p, 0)),
        ({"min_p": 0.2}, lambda p: np.where(p >= 0.2 * p.max(), p, 0)),
    ],
)
def test_20000_tokens_follow_the_exact_distribution(sampling, exact):
    logits = table()[3]
    p = exact(logits.double().softmax(-1).numpy())
    settings = rollout_section(**{"temperature": 1.0, "max_completion_length": 1, **sampling})
    uniform = torch.cat([random_numbers(1, 1, problem, 0, 100) for problem in range(200)])
    tokens, logprobs = sample_tokens(logits.expand(20_000, -1).clone(), uniform, settings)
    statistic, freedom = chi_squared(np.bincount(tokens.numpy(), minlength=VOCABULARY), p)
    assert statistic < freedom + 4 * (2 * freedom) ** 0.5 + 4  # far beyond the 99.9th percentile
    tempered = (logits / settings.temperature).log_softmax(-1)
    assert torch.allclose(logprobs, tempered[tokens], atol=1e-5)


def nucleus(p, mass):
    order = np.argsort(-p)
    return order[: int(np.searchsorted(np.cumsum(p[order]), mass)) + 1]


def test_the_chi_squared_test_can_fail():
    p = table()[3].double().softmax(-1).numpy()
    counts = np.random.default_rng(0).multinomial(20_000, np.roll(p, 1))
    statistic, freedom = chi_squared(counts, p)
    assert statistic > freedom + 4 * (2 * freedom) ** 0.5 + 4


def test_a_uniform_number_near_one_never_hits_a_token_of_weight_zero():
    logits = torch.tensor([[0.0, 0.0, -torch.inf]])
    tokens, _ = sample_tokens(logits, torch.tensor([1 - 2**-24]), rollout_section(1.0, 1))
    assert tokens.item() == 1


def test_greedy_takes_the_most_likely_and_scores_it_at_temperature_one():
    logits = table()[:4]
    tokens, logprobs = sample_tokens(logits, torch.zeros(4), rollout_section(0.0, 1))
    assert tokens.tolist() == logits.argmax(-1).tolist()
    assert torch.allclose(logprobs, logits.log_softmax(-1).amax(-1), atol=1e-6)


@given(st.integers(0, 10), st.floats(0.05, 1.0), st.floats(0.0, 0.9))
def test_truncation_always_keeps_the_most_likely_token(top_k, top_p, min_p):
    weights = table(2).softmax(-1)
    kept = truncate(weights, rollout_section(1.0, 1, top_p=top_p, top_k=top_k, min_p=min_p))
    assert (kept.gather(1, weights.argmax(-1, keepdim=True)) > 0).all()
    assert ((kept == 0) | (kept == weights)).all()


def test_neighbours_batch_size_and_refill_do_not_change_a_text():
    prompts = [prompt(index, [1 + index % 5]) for index in range(32)]
    together = texts(FakePolicy(table()), prompts)
    for kv_tokens in (21, 21 * 5, 21 * 40):
        assert texts(FakePolicy(table()), prompts, kv_tokens=kv_tokens) == together
    for index in (0, 7, 31):
        assert texts(FakePolicy(table()), [prompts[index]]) == [together[index]]


def test_seed_step_problem_and_number_each_change_the_draw():
    base = texts(FakePolicy(table()), [prompt(1), prompt(2)])
    assert len({*base[0], *base[1]}) > 3
    assert texts(FakePolicy(table()), [prompt(1)], seed=2)[0] != base[0]
    assert texts(FakePolicy(table()), [prompt(1)], step=2)[0] != base[0]


def test_each_prompt_is_read_once_and_the_cache_budget_is_kept():
    policy = FakePolicy(table())
    texts(policy, [prompt(index) for index in range(20)], n=4, kv_tokens=21 * 6)
    (decoder,) = policy.decoders
    assert decoder.prefilled == 20
    assert decoder.largest_batch == 6


def test_finish_reasons_and_the_stop_token():
    never = table()
    never[:, 0] = -torch.inf
    sampler = Sampler(FakePolicy(never), rollout_section(1.0, 5), seed=1, kv_tokens=1000)
    (group,) = sampler.rollout([prompt(1)], 2, 1).groups
    assert [(c.finish_reason, len(c.ids), c.truncated) for c in group.completions] == [("length", 5, True)] * 2
    always = torch.full((VOCABULARY, VOCABULARY), -torch.inf)
    always[:, 0] = 0.0
    sampler = Sampler(FakePolicy(always), rollout_section(1.0, 5), seed=1, kv_tokens=1000)
    (group,) = sampler.rollout([prompt(1)], 2, 1).groups
    assert [(c.finish_reason, c.ids, c.logprobs) for c in group.completions] == [("stop", (0,), (0.0,))] * 2


@given(
    st.lists(st.text("ab\n<>é", min_size=1, max_size=3), min_size=VOCABULARY, max_size=VOCABULARY),
    st.lists(st.text("ab\n<>é", min_size=1, max_size=4), min_size=1, max_size=2),
    st.integers(0, 2**31),
)
def test_with_a_stop_a_greedy_text_is_the_same_text_cut_behind_its_first_occurrence(pieces, stops, seed):
    """However the texts are split into tokens; what a token says behind the stop is no part of the text."""
    policy = FakePolicy(table(seed))
    policy.stop_ids = frozenset()
    policy.tokenizer = SimpleNamespace(decode=lambda ids, skip_special_tokens: "".join(pieces[i] for i in ids))

    def completion(*stop):
        sampler = Sampler(policy, rollout_section(0.0, 20, stop=stop), seed=1, kv_tokens=1000)
        return sampler.rollout([prompt(1)], 1, 1).groups[0].completions[0]

    free, stopped = completion(), completion(*stops)
    ends = [free.text.find(stop) + len(stop) for stop in stops if stop in free.text]
    assert stopped.text == free.text[: min(ends, default=None)]
    assert stopped.ids == free.ids[: len(stopped.ids)]
    assert stopped.logprobs == free.logprobs[: len(stopped.logprobs)]
    assert stopped.finish_reason == ("stop" if ends else "length")
    if ends:  # no token more than it takes
        assert len("".join(pieces[i] for i in stopped.ids[:-1])) < min(ends)


def test_a_stop_string_ends_a_completion_with_the_token_that_completes_it():
    prompts, policy = [prompt(index) for index in range(4)], FakePolicy(table())
    free = [text for group in texts(policy, prompts, n=8) for text in group]
    wanted = " ".join(free[0].split()[1:3])
    sampler = Sampler(policy, rollout_section(1.0, 20, stop=("never", wanted)), seed=1, kv_tokens=10_000)
    stopped = [completion for group in sampler.rollout(prompts, 8, 1).groups for completion in group.completions]
    assert sum(wanted in text for text in free) > 1
    for text, completion in zip(free, stopped, strict=True):
        tokens = text.split()
        prefixes = (" ".join(tokens[:count]) for count in range(1, len(tokens) + 1))
        assert completion.text == next((prefix for prefix in prefixes if wanted in prefix), text)
        said = wanted in completion.text or completion.ids[-1] == 0
        assert completion.finish_reason == ("stop" if said else "length")


def test_a_deadline_drops_unfinished_groups_and_keeps_whole_ones():
    asked = iter(range(1000))
    sampler = Sampler(FakePolicy(table()), rollout_section(1.0, 50), seed=1, kv_tokens=51 * 2)
    rollout = sampler.rollout([prompt(index) for index in range(6)], 2, 1, out_of_time=lambda: next(asked) > 30)
    assert 0 < len(rollout.groups) < 6
    assert all(len(group.completions) == 2 for group in rollout.groups)
    whole = Sampler(FakePolicy(table()), rollout_section(1.0, 50), seed=1, kv_tokens=51 * 2)
    everything = {g.prompt.problem.index: g for g in whole.rollout([prompt(i) for i in range(6)], 2, 1).groups}
    assert all(everything[group.prompt.problem.index] == group for group in rollout.groups)


@given(st.integers(0, 120))
def test_no_more_tokens_than_there_may_be(most):
    sampler = Sampler(FakePolicy(table()), rollout_section(1.0, 50), seed=1, kv_tokens=51 * 3)
    prompts = [prompt(index) for index in range(3)]
    everything, rollout = sampler.rollout(prompts, 2, 1), sampler.rollout(prompts, 2, 1, max_tokens=most)
    assert rollout.decoded_tokens <= most
    assert all(group in everything.groups for group in rollout.groups)
    assert (rollout == everything) == (most >= everything.decoded_tokens)


def test_progress_counts_completions():
    told = []
    sampler = Sampler(FakePolicy(table()), rollout_section(1.0, 20), seed=1, kv_tokens=1000)
    sampler.rollout([prompt(1), prompt(2)], 3, 1, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (6, 6)


@given(st.lists(st.booleans(), max_size=20))
def test_compaction_keeps_the_live_rows_and_moves_few(ended):
    rows = compaction(ended)
    assert sorted(rows) == [row for row, over in enumerate(ended) if not over]
    assert sum(new != old for new, old in enumerate(rows)) <= sum(ended)


def test_greedy_equals_transformers_generate(make_policy, make_prompts):
    """64 prompts of mixed lengths, with and without refill; fp32 without quantisation, so that both compute alike."""
    policy = make_policy(quantization="none")
    prompts = make_prompts(policy, 64)
    assert len({len(p.ids) for p in prompts}) > 10
    refilled, at_once = (
        Sampler(policy, rollout_section(0.0, 16), seed=1, kv_tokens=kv_tokens).rollout(prompts, 1, 1).groups
        for kv_tokens in (600, 100_000)
    )
    model = policy.model.get_base_model()
    for p, *groups in zip(prompts, refilled, at_once, strict=True):
        inputs = torch.tensor([p.ids])
        out = model.generate(
            input_ids=inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=16, do_sample=False
        )
        assert [group.completions[0].ids for group in groups] == [tuple(out[0, len(p.ids) :].tolist())] * 2


def test_a_text_of_the_tiny_base_does_not_depend_on_its_company(make_policy, make_prompts):
    policy = make_policy()
    prompts = make_prompts(policy, 32)
    together = texts(policy, prompts, n=1)
    assert [texts(policy, [p], n=1)[0] for p in prompts[::4]] == together[::4]
