"""Does the learner score the model that samples? Asked once, when a model is loaded.

Sampler and learner compute a model in ways of their own, and an architecture may do something that they do not know:
scaled logits, another cache, positions that depend on the length. Ratios, KL and gradient would then be those of
another distribution, and nothing would show it.
"""

from collections.abc import Mapping
from math import inf
from typing import Any, Protocol

import torch

from tina_lite.policy.interface import Decoder, TokenBatch
from tina_lite.util.errors import BadInput, one_line
from tina_lite.util.memory import is_out_of_memory

PROMPT, COMPLETION = 12, 6
"""Tokens of the text that is scored, at least."""
LONGEST_PROMPT = 600
"""More than Gemma 3's smallest window; to fill the largest would take minutes on a CPU."""
ROUNDING = {torch.float32: 3e-4, torch.bfloat16: 0.04, torch.float16: 0.01}
"""Mean difference of a log-prob that may be rounding, as a share of its size: bfloat16 has 8 bits, float16 11, and the
text that is scored here is an unlikely one. SmolLM2 was 0.011 off in bfloat16; an unknown scaling or cap was 0.06 and
more."""
LENGTH_BOUND_ROPES = ("dynamic", "longrope")
"""Their frequencies change once a text is longer than those that the model was first made for."""


class Scoring(Protocol):
    """What is asked of a policy here."""

    device: torch.device

    def decoder(self, max_sequences: int, max_tokens: int) -> Decoder: ...

    def logprobs(
        self, batch: TokenBatch, temperature: float, adapter: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


@torch.no_grad()
def refuse_disagreement(
    policy: Scoring, causal_lm: Any, dtype: torch.dtype, max_tokens: int, attention: str | None = "eager"
) -> None:
    """BadInput where learner or sampler give other log-probs than the model's own forward over the whole text.

    Args:
        max_tokens: of the longest sequence; a window that it does not fill is not looked at. 0: not known.
        attention: of that forward, the plainest of transformers; None: as the model has it.
    """
    length = _prompt_length(causal_lm.config.get_text_config(), max_tokens) + COMPLETION
    vocabulary = causal_lm.get_input_embeddings().weight.shape[0]
    ids = [1 + index * (vocabulary - 2) // length % (vocabulary - 1) for index in range(length)]
    prompt, completion = ids[:-COMPLETION], ids[-COMPLETION:]
    targets = torch.tensor(completion, device=policy.device)[:, None]
    try:
        whole = _own_logits(causal_lm, ids, attention)
        scored = policy.logprobs(TokenBatch((tuple(prompt),), ((tuple(completion),),)), 1.0)[0][0]
        sampled = _as_sampled(policy, prompt, completion).log_softmax(-1).gather(1, targets)[:, 0]
    except Exception as error:  # of a model's own code, whose cache or outputs are of another kind
        if is_out_of_memory(error):
            raise
        raise _unsupported(causal_lm, f"fails as it is sampled ({type(error).__name__}: {one_line(error)})") from error
    expected = whole.log_softmax(-1).gather(1, targets)[:, 0]
    if not bool(whole.isfinite().all()):
        if dtype == torch.float16:
            raise BadInput("model.compute_dtype: this model overflows in float16; set model.compute_dtype=float32")
        raise BadInput(
            "model.id: the model's logits are not finite, so some of its weights are NaN or infinite; copy or download "
            "it again"
        )
    for name, found in (("learner", scored), ("sampler", sampled)):
        apart, size = float((found.float() - expected).abs().mean()), float(expected.abs().mean())
        if not apart <= ROUNDING[dtype] * size:  # NaN is no agreement either
            raise _unsupported(causal_lm, f"has log-probs in the {name} that are {apart:.2g} nats a token off its own")


def _unsupported(causal_lm: Any, why: str) -> BadInput:
    kind = causal_lm.config.model_type
    return BadInput(f"model.id: this model ({kind}) {why}; the architecture is not supported, choose another model")


def _prompt_length(config: Any, max_tokens: int) -> int:
    """Tokens of the text's first part: enough to fill the window of some layers, where a sequence of the run would."""
    windows = [getattr(config, name, None) or 0 for name in ("sliding_window", "attention_chunk_size")]
    filled = max((window for window in windows if window + COMPLETION < max_tokens), default=0)
    return max(PROMPT, min(filled + COMPLETION, LONGEST_PROMPT))


def _own_logits(causal_lm: Any, ids: list[int], attention: str | None) -> torch.Tensor:
    """Logits before each token of the completion, (T, V), without a cache."""
    usual = causal_lm.config._attn_implementation
    if attention is not None:
        causal_lm.set_attn_implementation(attention)
    try:
        row = torch.tensor([ids], device=causal_lm.device)
        logits: torch.Tensor = causal_lm(input_ids=row, use_cache=False).logits[0, -COMPLETION - 1 : -1].float()
    finally:
        if attention is not None:
            causal_lm.set_attn_implementation(usual)
    return logits


def _as_sampled(policy: Scoring, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """Logits before each token of the completion, (T, V), as the sampler gets them."""
    decoder = policy.decoder(1, len(prompt) + len(completion))
    (prefix,) = decoder.prefill([prompt])
    decoder.admit([prefix])
    later = [decoder.step(torch.tensor([token], device=policy.device))[0] for token in completion[:-1]]
    return torch.stack([prefix.logits, *later]).float()


def unchanging_tokens(config: Any) -> float:
    """How long a sequence may be before the keys of its first tokens would be turned otherwise; inf if never."""
    rope = _rope(config)
    if _kind(rope) not in LENGTH_BOUND_ROPES:
        return inf
    return float(rope.get("original_max_position_embeddings") or config.max_position_embeddings)


def _rope(config: Any) -> Mapping[str, Any]:
    return getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}


def _kind(rope: Mapping[str, Any]) -> str | None:
    kind: str | None = rope.get("rope_type", rope.get("type"))
    return kind


def refuse_changing_rope(config: Any, max_tokens: int) -> None:
    """BadInput where keys would be turned otherwise by the time they are read: sampler and learner would differ."""
    longest = unchanging_tokens(config)
    if max_tokens > longest:
        raise BadInput(
            f"model.id: its positions ({_kind(_rope(config))}) change beyond {longest:.0f} tokens, and sampler and "
            "learner would differ; let prompt and completion add up to no more (rollout.max_prompt_length and "
            "rollout.max_completion_length; in an evaluation --max-completion-length)"
        )
