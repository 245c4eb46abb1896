"""Rollout and update on a faked CUDA card: nothing that they need was left on the CPU; they give what it gives."""

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from fake_cuda import CARD, MakeBelieve, OnTheCpu, put_on_card
from fakes import records_as_it_computes
from sections import make_learner, rollout_section

from tina_lite.grpo import advantages
from tina_lite.policy.dense import model
from tina_lite.policy.dense.between import AS_IT_COMES
from tina_lite.policy.dense.cuda_graphs import CudaGraphs
from tina_lite.policy.dense.model import DenseModel
from tina_lite.policy.lm_head import Head
from tina_lite.rollout.sampler import Sampler
from tina_lite.util.records import ScoredGroup, Update

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*CUDA is not available")]


def moved(policy: Any) -> Any:
    """The policy as it would stand on a card, its base unquantised: bitsandbytes has kernels of its own."""
    put_on_card(policy.model)
    policy.device = CARD
    policy._head = Head.of(policy._causal_lm)
    policy._dense = DenseModel(policy._causal_lm, policy._dtype, dense_copy=True)
    return policy


def step(policy: Any, prompts: Any, **fields: Any) -> tuple[Any, Update, dict[str, torch.Tensor]]:
    """Completions of the prompts and an update on them; what was sampled, the figures, the adapter."""
    rollout = rollout_section(1.0, 12, stop=fields.pop("stop", ()))
    sampler = Sampler(policy, rollout, seed=1, kv_tokens=300)
    sampler.rehearse(prompts[0].ids, len(prompts), 4)
    groups = sampler.rollout(prompts, 4, 1).groups
    totals = [[float(len(c.ids) % 3) + number for number, c in enumerate(group.completions)] for group in groups]
    scored = [
        ScoredGroup(group, {}, tuple(total), advantage)
        for group, total, advantage in zip(groups, totals, advantages(totals), strict=True)
    ]
    learner = make_learner(policy, micro_batch_tokens=80, **fields)
    learner.rehearse(scored)
    update = learner.update(scored, 1e-3, 1)
    state = {name: tensor.detach().cpu() for name, tensor in learner.state().items()}
    return [[c.ids for c in group.completions] for group in groups], update, state


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"beta": 0.1, "num_iterations": 2},
        {"dropout": 0.1, "tis_cap": 2.0},
        {"target_modules": ("q_proj", "down_proj")},
        {"stop": ("1", "2", "3", "4")},
    ],
    ids=lambda fields: "+".join(fields) or "plain",
)
def test_a_whole_step_is_the_cpus(make_policy, make_prompts, monkeypatch, fields, dense) -> None:
    monkeypatch.setattr(CudaGraphs, "_recorded", records_as_it_computes)
    monkeypatch.setattr(model, "between_on", lambda *_: AS_IT_COMES)  # there is no compiler for it
    lora = {name: fields[name] for name in ("dropout", "target_modules") if name in fields}
    ours, theirs = (make_policy(spread=0.05, quantization="none", **lora) for _ in range(2))
    prompts = make_prompts(ours, 3)
    if not dense:
        ours._dense = None
    ids, update, state = step(ours, prompts, **fields)
    with MakeBelieve():
        policy = moved(theirs)
        if not dense:
            policy._dense = None
        card_ids, card_update, card_state = step(policy, prompts, **fields)
    assert card_ids == ids
    of_card, of_cpu = (replace(one, kl=one.kl or 0.0) for one in (card_update, update))
    assert asdict(of_card) == pytest.approx(asdict(of_cpu), rel=1e-3, abs=1e-5)
    gradients = {name: tensor for name, tensor in state.items() if name.startswith("exp_avg.")}
    assert gradients
    for name, tensor in gradients.items():
        assert (card_state[name] - tensor).norm() <= 1e-3 * tensor.norm() + 1e-8, name


def test_what_meets_a_tensor_of_the_cpu_is_refused() -> None:
    with MakeBelieve():
        card, cpu = torch.zeros(3, device="cuda"), torch.zeros(3)
        for work in (lambda: card + cpu, lambda: torch.cat((card, cpu)), lambda: cpu.index_select(0, card.long())):
            with pytest.raises(OnTheCpu):
                work()
        assert (card + cpu[0]).device == (card + 1).device == cpu.to("cuda").device == CARD
        assert card[torch.tensor([0, 2])].cpu().tolist() == [0, 0]
        assert type(card.to("cpu")) is torch.Tensor
        cpu.copy_(card)
