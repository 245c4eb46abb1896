"""How far an adapter has moved its base, against the matrices themselves."""

import pytest


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_it_is_the_norm_of_all_that_is_added_as_a_share_of_the_base(make_policy, quantization):
    import torch
    from peft.tuners.lora import LoraLayer

    policy = make_policy(spread=0.02, quantization=quantization)
    added, base = torch.zeros(()), torch.zeros(())
    for module in policy.model.modules():
        if isinstance(module, LoraLayer):
            added += module.get_delta_weight("default").detach().float().square().sum()
            weight = module.get_base_layer().weight
            if quantization == "nf4":
                import bitsandbytes as bnb

                weight = bnb.functional.dequantize_4bit(weight.data, weight.quant_state)
            base += weight.detach().float().square().sum()
    assert policy.adapter_norm() == pytest.approx(float((added / base).sqrt()), rel=1e-2), "peft rounds it to bf16"


def test_a_fresh_adapter_has_moved_nothing(make_policy):
    assert make_policy().adapter_norm() == 0.0
