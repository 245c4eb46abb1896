"""Does the learner score the model that samples? Asked once, when a model is loaded.

Sampler and learner compute a model in ways of their own, and an architecture may do something that they do not know:
scaled logits, another cache, positions that depend on the length. Ratios, KL and gradient would then be those of
another distribution, and nothing would show it.
"""

from typing import Any, Protocol

import torch

from tina_lite.errors import BadInput
from tina_lite.policy.interface import Decoder, TokenBatch

PROMPT, COMPLETION = 12, 6
"""Tokens of the text that is scored."""
ROUNDING = {torch.float32: 3e-4, torch.bfloat16: 0.04, torch.float16: 0.01}
"""Mean difference of a log-prob that may be rounding, as a share of its size: bfloat16 has 8 bits, float16 11, and the
text that is scored here is an unlikely one. SmolLM2 was 0.011 off in bfloat16; an unknown scaling or cap was 0.06 and
more."""
LENGTH_BOUND_ROPES = ("dynamic", "longrope")
"""Their frequencies change once a text is longer than those that the model was first made for."""


class Scoring(Protocol):
    """What is asked of a policy here."""

    device: torch.device

    def decoder(self, max_rows: int, max_tokens: int) -> Decoder: ...

    def logprobs(
        self, batch: TokenBatch, temperature: float, adapter: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


@torch.no_grad()
def refuse_disagreement(policy: Scoring, causal_lm: Any, dtype: torch.dtype) -> None:
    """BadInput where learner or sampler give other log-probs for a short text than the model's own forward pass."""
    vocabulary = causal_lm.get_input_embeddings().weight.shape[0]
    ids = [1 + index * (vocabulary - 2) // (PROMPT + COMPLETION) for index in range(PROMPT + COMPLETION)]
    prompt, completion = ids[:PROMPT], ids[PROMPT:]
    row = torch.tensor([ids], device=policy.device)
    targets = row[0, PROMPT:, None]
    whole = causal_lm(input_ids=row, use_cache=False).logits[0, PROMPT - 1 : -1].float()
    expected = whole.log_softmax(-1).gather(1, targets)[:, 0]
    if not bool(whole.isfinite().all()):
        if dtype == torch.float16:
            raise BadInput("model.compute_dtype: this model overflows in float16; set model.compute_dtype=float32")
        raise BadInput(
            "model.id: the model's logits are not finite, so some of its weights are NaN or infinite; copy or download "
            "it again"
        )
    scored = policy.logprobs(TokenBatch((tuple(prompt),), ((tuple(completion),),)), 1.0)[0][0]
    sampled = _as_sampled(policy, prompt, completion).log_softmax(-1).gather(1, targets)[:, 0]
    for name, found in (("learner", scored), ("sampler", sampled)):
        apart, size = float((found.float() - expected).abs().mean()), float(expected.abs().mean())
        if not apart <= ROUNDING[dtype] * size:  # NaN is no agreement either
            raise BadInput(
                f"model.id: the {name}'s log-probs of this model ({causal_lm.config.model_type}) are {apart:.2g} nats "
                "a token off its own; the architecture is not supported, choose another model"
            )


def _as_sampled(policy: Scoring, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """Logits before each token of the completion, (T, V), as the sampler gets them."""
    decoder = policy.decoder(1, len(prompt) + len(completion))
    (prefix,) = decoder.prefill([prompt])
    decoder.admit([prefix])
    later = [decoder.step(torch.tensor([token], device=policy.device))[0] for token in completion[:-1]]
    return torch.stack([prefix.logits, *later]).float()


def refuse_changing_rope(config: Any, max_tokens: int) -> None:
    """BadInput where keys would be turned otherwise by the time they are read: sampler and learner would differ."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind = rope.get("rope_type", rope.get("type"))
    if kind not in LENGTH_BOUND_ROPES:
        return
    longest = rope.get("original_max_position_embeddings") or config.max_position_embeddings
    if max_tokens > longest:
        raise BadInput(
            f"model.id: its positions ({kind}) change beyond {longest} tokens, and sampler and learner would differ; "
            f"let rollout.max_prompt_length and rollout.max_completion_length add up to no more than {longest}"
        )
