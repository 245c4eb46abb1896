"""From final hidden states to logits, as each architecture does it: logits = cap tanh(scale (h W' + bias) / cap).

The learner forms log-probs in pieces and so multiplies with the head itself; what a model does around that product it
must do too, or it scores another distribution than the one that was sampled (agreement.py looks whether it does).
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

DIVISORS = ("logits_scaling",)
"""Fields of a config by which logits are divided: granite."""
FACTORS = ("logit_scale", "lm_head_multiplier")
"""By which they are multiplied: cohere, falcon_h1."""


@dataclass(frozen=True, slots=True)
class Head:
    """A frozen output embedding, and what is done to its product."""

    weight: Tensor
    """(V, H)."""
    bias: Tensor | None = None
    """(V,)."""
    scale: float = 1.0
    softcap: float | None = None

    @classmethod
    def of(cls, causal_lm: Any) -> "Head":
        """By the model's output embedding and its config."""
        config, module = causal_lm.config, causal_lm.get_output_embeddings()
        bias = getattr(module, "bias", None)
        scale = 1.0
        for name in DIVISORS:
            scale /= getattr(config, name, None) or 1.0
        for name in FACTORS:
            scale *= getattr(config, name, None) or 1.0
        softcap = getattr(config, "final_logit_softcapping", None)
        return cls(module.weight.detach(), None if bias is None else bias.detach(), float(scale), softcap or None)

    def logits(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, V) float32 of hidden states (N, H); and the slope of the soft cap there, None without one."""
        product = hidden @ self.weight.T
        logits = (product if self.bias is None else product + self.bias).float()
        if self.scale != 1.0:
            logits *= self.scale
        if self.softcap is None:
            return logits, None
        capped = (logits / self.softcap).tanh_()
        return capped * self.softcap, 1 - capped.square()
