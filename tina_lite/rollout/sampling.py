"""How a token is drawn, and the sequences for which tokens are drawn together.

Random numbers are counter-based: those of a completion depend on (seed, step, problem, completion, position) and on
nothing else, so neighbours, batch size and resuming do not change what is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tina_lite.policy.interface import Prefix
    from tina_lite.recipe.schema import RolloutSection


def random_numbers(seed: int, step: int, problem: int, completion: int, count: int, epoch: int = 0) -> "torch.Tensor":
    """The random numbers of one completion, (count,) float32 in [0, 1), one a position.

    The epoch tells two draws of a problem in one step apart: each epoch asks a problem once.

    >>> bool((random_numbers(1, 2, 3, 4, 8)[:4] == random_numbers(1, 2, 3, 4, 4)).all())
    True
    """
    import numpy as np
    import torch

    name = f"{seed}/{step}/{problem}/{completion}" + (f"/{epoch}" if epoch else "")
    key = blake2b(name.encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))
    return torch.from_numpy(generator.random(count, dtype=np.float32))


def sample_tokens(logits: "Tensor", uniform: "Tensor", sampling: "RolloutSection") -> tuple["Tensor", "Tensor"]:
    """Sample one token a sequence, by inverting the cumulative distribution.

    Args:
        logits: (N, V) float32.
        uniform: (N,) in [0, 1).

    Returns:
        tokens (N,) int64 and their log-probs (N,) float32 in nats under softmax(logits / temperature), before
        truncation, which is the distribution that the learner's log-probs are taken under.
    """
    import torch

    scaled = logits if sampling.scoring_temperature == 1.0 else logits / sampling.temperature
    log_z = scaled.logsumexp(-1)
    if sampling.temperature == 0.0:
        tokens = logits.argmax(-1)
    else:
        weights = (scaled - log_z[:, None]).exp_()
        if sampling.truncates:
            weights = truncate(weights, sampling)
        cumulative = weights.cumsum(-1)
        # Strictly inside the total, so that a token of weight 0 is never hit.
        target = (uniform * cumulative[:, -1]).clamp(max=cumulative[:, -1] * (1 - 1e-6))
        tokens = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
        tokens = tokens.clamp(max=logits.shape[1] - 1)  # where a logit is NaN; the log-prob, NaN too, gives it away
    return tokens, scaled.gather(1, tokens[:, None])[:, 0] - log_z


def truncate(weights: "Tensor", sampling: "RolloutSection") -> "Tensor":
    """Probabilities (N, V) with the tail set to 0: top-k, then top-p of what is left, then min-p.

    top-p keeps the smallest set of most likely tokens whose mass reaches top_p, as transformers and vLLM do.
    """
    if sampling.top_k:
        threshold = weights.topk(min(sampling.top_k, weights.shape[1]), dim=-1).values[:, -1:]
        weights = weights.where(weights >= threshold, 0.0)
    if sampling.top_p < 1.0:
        ordered, order = weights.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered
        ordered = ordered.where(before < sampling.top_p * ordered.sum(-1, keepdim=True), 0.0)
        weights = weights.new_zeros(weights.shape).scatter(1, order, ordered)
    if sampling.min_p:
        weights = weights.where(weights >= sampling.min_p * weights.amax(-1, keepdim=True), 0.0)
    return weights


@dataclass(frozen=True, slots=True)
class DecodeSlot:
    """A completion that is to be sampled, or is under way."""

    group: int
    number: int
    prefix: "Prefix"
    uniform: "Tensor"
    """(max_completion_length,)"""

    @property
    def key(self) -> tuple[int, int]:
        return self.group, self.number


class Batch:
    """The sequences under way and what they have drawn."""

    def __init__(self) -> None:
        self.slots: list[DecodeSlot] = []
        self.lengths: list[int] = []
        """Tokens drawn so far."""
        self._tensors: dict[str, Tensor] = {}  # each with a row for each of `slots`

    def admit(self, slots: Sequence[DecodeSlot], device: "torch.device") -> None:
        import torch

        uniform = torch.stack([slot.uniform for slot in slots]).to(device)  # (n, max_completion_length)
        added = {
            "logits": torch.stack([slot.prefix.logits for slot in slots]),
            "uniform": uniform,
            "tokens": torch.zeros(uniform.shape, dtype=torch.int64, device=device),
            "logprobs": torch.zeros_like(uniform),
            "lengths": torch.zeros(len(slots), dtype=torch.int64, device=device),
        }
        self._tensors = {k: torch.cat((self._tensors[k], v)) if self.slots else v for k, v in added.items()}
        self.slots.extend(slots)
        self.lengths.extend([0] * len(slots))

    def sample_tokens(self, sampling: "RolloutSection") -> "Tensor":
        """Sample one more token for every sequence, (N,)."""
        t = self._tensors
        at = t["lengths"][:, None]
        tokens, logprobs = sample_tokens(t["logits"], t["uniform"].gather(1, at)[:, 0], sampling)
        t["tokens"].scatter_(1, at, tokens[:, None])
        t["logprobs"].scatter_(1, at, logprobs[:, None])
        t["lengths"] += 1
        self.lengths = [length + 1 for length in self.lengths]
        return tokens

    def ended(self, tokens: "Tensor", stop_ids: "Tensor") -> list[bool]:
        """Which sequences drew a stop token or reached the limit. The one look at the device in a decode step."""
        t = self._tensors
        over = (tokens[:, None] == stop_ids).any(-1) | (t["lengths"] == t["tokens"].shape[1])
        ended: list[bool] = over.tolist()
        return ended

    def latest(self, count: int, slots: Sequence[int]) -> list[list[int]]:
        """Give the last tokens of some sequences, at most `count`."""
        import torch

        t, chosen = self._tensors, torch.tensor(slots)
        lengths = t["lengths"][chosen]
        at = lengths[:, None] - torch.arange(count, 0, -1, device=lengths.device)  # (n, count)
        drawn = t["tokens"][chosen].gather(1, at.clamp(min=0)).tolist()
        return [ids[max(0, count - self.lengths[slot]) :] for slot, ids in zip(slots, drawn, strict=True)]

    def drawn(self, slot: int) -> tuple[list[int], list[float]]:
        """Give tokens and log-probs of a sequence."""
        t = self._tensors
        length = self.lengths[slot]
        return t["tokens"][slot, :length].tolist(), t["logprobs"][slot, :length].tolist()

    def keep(self, kept: "Tensor") -> None:
        self._tensors = {name: tensor[kept] for name, tensor in self._tensors.items()}
        self.slots = [self.slots[slot] for slot in kept.tolist()]
        self.lengths = [self.lengths[slot] for slot in kept.tolist()]

    def set_logits(self, logits: "Tensor") -> None:
        self._tensors["logits"] = logits


def compaction(ended: Sequence[bool]) -> list[int]:
    """The sequences that go on; holes are filled from the tail, so that few sequences of a cache have to move.

    >>> compaction([False, True, False, False])
    [0, 3, 2]
    """
    slots = list(range(len(ended)))
    for slot in reversed(range(len(ended))):
        if ended[slot]:
            slots[slot] = slots[-1]
            slots.pop()
    return slots


TAGS = ("think", "thinking", "thought", "reasoning", "reason", "answer", "solution")
SHOWN = frozenset(form.format(tag) for tag in TAGS for form in ("<{}>", "</{}>"))
"""Some tokenizers hold these to be special, and would drop them from what the format reward is to see."""


class TextOf:
    """Is `text_of(ids)` for one tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        added = getattr(tokenizer, "added_tokens_decoder", {})
        special = {number: str(token) for number, token in added.items() if token.special}
        self._has_tags = not SHOWN.isdisjoint(special.values())
        self._hidden = {number for number, token in special.items() if token not in SHOWN}

    def __call__(self, ids: Sequence[int]) -> str:
        if not self._has_tags:
            return str(self._tokenizer.decode(ids, skip_special_tokens=True))
        shown = [number for number in ids if number not in self._hidden]
        return str(self._tokenizer.decode(shown, skip_special_tokens=False))
