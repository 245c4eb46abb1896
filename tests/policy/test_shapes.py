"""Idle tokens round sizes up to few, and change nothing else."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from sections import logprobs_and_gradients, rollout_section

from tina_lite.policy import TokenBatch, lm_head, native
from tina_lite.policy.dense import decoder
from tina_lite.policy.dense.cuda_graphs import SIZES, SMALLEST_STEP, compiles_shapes, rounded
from tina_lite.policy.dense.forward import Layout
from tina_lite.rollout.sampler import Sampler

CPU = torch.device("cpu")
BATCH = TokenBatch(
    prompts=((5, 6, 7, 30, 31), (9, 10, 50), (11, 12, 13, 14)),
    completions=(((40, 41, 42), (43, 44, 45, 46, 47, 48, 49)), ((60, 61, 62, 63, 64, 65),), ((70,), (71, 72))),
)


@given(st.integers(0, 100_000))
def test_a_size_grows_by_a_sixteenth_at_most(size) -> None:
    assert size <= rounded(size) < size + max(SMALLEST_STEP, size / SIZES)
    assert rounded(rounded(size)) == rounded(size) <= rounded(size + 1)


def test_an_octave_has_few_sizes() -> None:
    assert len({rounded(size) for size in range(1025, 2049)}) == SIZES


def test_only_a_cpu_in_sixteen_bits_compiles_shapes() -> None:
    found = {(kind, dtype): compiles_shapes(torch.device(kind), dtype) for kind in ("cpu", "cuda") for dtype in
             (torch.bfloat16, torch.float32)}  # fmt: skip
    assert [key for key, compiles in found.items() if compiles] == [("cpu", torch.bfloat16)]


def test_batches_of_many_sizes_come_in_few_shapes() -> None:
    shapes = set()
    for length in range(1, 200):
        batch = TokenBatch(((1,) * (20 + length % 7),), (((2,) * length, (3,) * (length // 2 + 1)),))
        layout = Layout.of(batch, CPU, torch.bfloat16, few_shapes=True)
        assert layout.completions is None or layout.completions.shape[1] % SMALLEST_STEP == 0
        shapes.add((len(layout.ids), layout.prompts.shape))
    assert len(shapes) <= 200 * 1.5 / SMALLEST_STEP + 1


def test_idle_tokens_change_neither_what_is_learnt_nor_what_is_drawn(make_policy, make_prompts, monkeypatch) -> None:
    policy = make_policy(spread=0.05, fp32=True)
    prompts = make_prompts(policy, 3)

    def drawn() -> list[list[tuple[int, ...]]]:
        sampler = Sampler(policy, rollout_section(1.0, 20), seed=1, kv_tokens=300)
        return [[c.ids for c in group.completions] for group in sampler.rollout(prompts, 4, 1).groups]

    plain, plain_drawn = logprobs_and_gradients(policy, BATCH), drawn()
    asked = []
    for module in (native, decoder, lm_head):
        monkeypatch.setattr(module, "compiles_shapes", lambda *_: asked.append(1) or True)
    rounded_up, rounded_drawn = logprobs_and_gradients(policy, BATCH), drawn()
    assert len(asked) >= 3
    assert rounded_drawn == plain_drawn
    found, wanted = ({"logprobs": p, "entropies": e, **gradients} for p, e, gradients in (rounded_up, plain))
    assert found.keys() == wanted.keys()
    for name, theirs in wanted.items():
        ours = found[name]
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm() + 1e-6
