"""Groups of completions from a policy: prefill once, decode together, drop finished rows, refill.

The sampler decides which row is decoded when, and draws every token. Its random numbers are counter-based: those of
a completion depend on (seed, step, problem, completion, position) and on nothing else, so neighbours, batch size and
resuming do not change what is drawn.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

from tina_lite.errors import NoRoom
from tina_lite.memory import with_less_each_time
from tina_lite.records import Completion, FinishReason, Group, Prompt
from tina_lite.text_of import TextOf

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tina_lite.policy.interface import Decoder, Policy, Prefix

PREFILL_PROMPTS = 16
"""Prompts read in one forward pass."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is drawn from its distribution."""

    temperature: float
    """0: the most likely token."""
    max_completion_length: int
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    stop_strings: tuple[str, ...] = ()
    """A completion ends with the token that completes one of them; the text keeps it."""

    @property
    def truncates(self) -> bool:
        return self.top_p < 1.0 or self.top_k > 0 or self.min_p > 0.0

    @property
    def scoring_temperature(self) -> float:
        """The temperature at which log-probs are given; a greedy policy is scored at 1."""
        return self.temperature or 1.0


def uniforms(seed: int, step: int, problem: int, completion: int, count: int, epoch: int = 0) -> "torch.Tensor":
    """The random numbers of one completion, (count,) float32 in [0, 1), one a position.

    The epoch tells two draws of a problem in one step apart: each epoch asks a problem once.

    >>> bool((uniforms(1, 2, 3, 4, 8)[:4] == uniforms(1, 2, 3, 4, 4)).all())
    True
    """
    import numpy as np
    import torch

    name = f"{seed}/{step}/{problem}/{completion}" + (f"/{epoch}" if epoch else "")
    key = blake2b(name.encode(), digest_size=16).digest()
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "big")))
    return torch.from_numpy(generator.random(count, dtype=np.float32))


def draw(logits: "Tensor", uniform: "Tensor", sampling: Sampling) -> tuple["Tensor", "Tensor"]:
    """One token a row, by inverting the cumulative distribution.

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


def truncate(weights: "Tensor", sampling: Sampling) -> "Tensor":
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
class _Row:
    """A completion that is to be sampled, or is under way."""

    group: int
    number: int
    prefix: "Prefix"
    uniform: "Tensor"
    """(max_completion_length,)"""

    @property
    def key(self) -> tuple[int, int]:
        return self.group, self.number


class _Batch:
    """The rows under way and what they have drawn."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self._tensors: dict[str, Tensor] = {}  # each with one row for each of `rows`

    def admit(self, rows: Sequence[_Row], device: "torch.device") -> None:
        import torch

        uniform = torch.stack([row.uniform for row in rows]).to(device)  # (n, max_completion_length)
        added = {
            "logits": torch.stack([row.prefix.logits for row in rows]),
            "uniform": uniform,
            "tokens": torch.zeros(uniform.shape, dtype=torch.int64, device=device),
            "logprobs": torch.zeros_like(uniform),
            "lengths": torch.zeros(len(rows), dtype=torch.int64, device=device),
        }
        self._tensors = {k: torch.cat((self._tensors[k], v)) if self.rows else v for k, v in added.items()}
        self.rows.extend(rows)

    def draw(self, sampling: Sampling) -> "Tensor":
        """One more token for every row, (N,)."""
        t = self._tensors
        at = t["lengths"][:, None]
        tokens, logprobs = draw(t["logits"], t["uniform"].gather(1, at)[:, 0], sampling)
        t["tokens"].scatter_(1, at, tokens[:, None])
        t["logprobs"].scatter_(1, at, logprobs[:, None])
        t["lengths"] += 1
        return tokens

    def ended(self, tokens: "Tensor", stop_ids: "Tensor") -> list[bool]:
        """Which rows drew a stop token or reached the limit. The one look at the device in a decode step."""
        t = self._tensors
        over = (tokens[:, None] == stop_ids).any(-1) | (t["lengths"] == t["tokens"].shape[1])
        ended: list[bool] = over.tolist()
        return ended

    def latest(self, count: int) -> list[list[int]]:
        """The last tokens of each row, at most `count`."""
        import torch

        t = self._tensors
        at = t["lengths"][:, None] - torch.arange(count, 0, -1, device=t["lengths"].device)  # (N, count)
        drawn = t["tokens"].gather(1, at.clamp(min=0)).tolist()
        return [row[max(0, count - length) :] for row, length in zip(drawn, t["lengths"].tolist(), strict=True)]

    def drawn(self, row: int) -> tuple[list[int], list[float]]:
        """Tokens and log-probs of a row."""
        t = self._tensors
        length = int(t["lengths"][row])
        return t["tokens"][row, :length].tolist(), t["logprobs"][row, :length].tolist()

    def keep(self, kept: "Tensor") -> None:
        self._tensors = {name: tensor[kept] for name, tensor in self._tensors.items()}
        self.rows = [self.rows[row] for row in kept.tolist()]

    def set_logits(self, logits: "Tensor") -> None:
        self._tensors["logits"] = logits


@dataclass(slots=True)
class _Done:
    """What a rollout has come to so far; it outlives an attempt that ran out of memory."""

    completions: dict[tuple[int, int], Completion] = field(default_factory=dict)
    """By group and number."""
    decoded_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Rollout:
    """Groups that were completed, in the order of their prompts, and what it took."""

    groups: tuple[Group, ...]
    decoded_tokens: int
    """Tokens sampled, those of unfinished groups included."""
    unfinished_groups: int
    """Groups dropped at the deadline."""


class Sampler:
    """Samples groups under a cache budget."""

    def __init__(
        self,
        policy: "Policy",
        sampling: Sampling,
        *,
        seed: int,
        kv_tokens: int,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`kv_tokens` bounds the cache: rows x (longest prompt + longest completion).

        Where memory does not suffice for so many rows, fewer are sampled at once, for good; `say` is told.
        """
        self._policy = policy
        self._sampling = sampling
        self._seed = seed
        self.kv_tokens = kv_tokens
        self._say = say
        self._text_of = TextOf(policy.tokenizer)
        # A token is at least one byte of text, so that a stop string lies within so many tokens.
        self._tail = max((len(string.encode()) for string in sampling.stop_strings), default=0)

    def rollout(
        self,
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        *,
        out_of_time: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Rollout:
        """Sample `num_generations` completions of each prompt.

        `out_of_time` is asked before each decode step; once it says yes, unfinished groups are dropped. `progress`
        is told (completions done, completions in all).
        """
        total = len(prompts) * num_generations
        longest = max(len(prompt.ids) for prompt in prompts) + self._sampling.max_completion_length
        done = _Done()

        def attempt() -> None:
            max_rows = self._max_rows(total, longest)
            decoder = self._policy.decoder(max_rows, longest)
            waiting = self._waiting(decoder, prompts, num_generations, step, max_rows, done)
            self._decode(decoder, waiting, max_rows, total, done, out_of_time, progress)

        with_less_each_time(attempt, lambda error: self._halve_rows(total, longest, error))
        groups = _whole_groups(prompts, num_generations, done.completions)
        return Rollout(tuple(groups), done.decoded_tokens, len(prompts) - len(groups))

    def rehearse(self, prompt: Sequence[int], prompts: int, num_generations: int) -> None:
        """The memory of the longest rollout: prompts like this one are read, rows at their full length decoded once."""
        import torch

        total, longest = prompts * num_generations, len(prompt) + self._sampling.max_completion_length
        whole = (list(prompt) * -(-longest // len(prompt)))[: longest - 1]

        def attempt() -> None:
            max_rows = self._max_rows(total, longest)
            decoder = self._policy.decoder(max_rows, longest)
            decoder.prefill([prompt] * min(prompts, PREFILL_PROMPTS, max_rows))
            decoder.admit(decoder.prefill([whole]) * max_rows)
            logits = decoder.step(torch.zeros(max_rows, dtype=torch.int64, device=self._policy.device))
            draw(logits, torch.zeros(max_rows, device=self._policy.device), self._sampling)

        with_less_each_time(attempt, lambda error: self._halve_rows(total, longest, error))

    def _max_rows(self, total: int, longest: int) -> int:
        return max(1, min(total, self.kv_tokens // longest))

    def _halve_rows(self, total: int, longest: int, error: BaseException) -> None:
        rows = self._max_rows(total, longest)
        if rows == 1:
            raise NoRoom(
                f"not even one completion of {longest} tokens with its prompt fits into memory; lower "
                "rollout.max_completion_length or rollout.max_prompt_length, or choose a smaller model"
            ) from error
        self.kv_tokens = rows // 2 * longest
        self._say(
            f"out of memory with {rows} rows of {longest} tokens: {rows // 2} rows are sampled at once from now on"
        )

    def _decode(
        self,
        decoder: "Decoder",
        waiting: "Iterator[_Row]",
        max_rows: int,
        total: int,
        done: "_Done",
        out_of_time: Callable[[], bool],
        progress: Callable[[int, int], None],
    ) -> None:
        """Draw until every row that waits is finished, or time is up."""
        import torch

        stop_ids = torch.tensor(sorted(self._policy.stop_ids), device=self._policy.device)
        batch = _Batch()
        while not out_of_time():
            newcomers = list(islice(waiting, max_rows - len(batch.rows)))
            if newcomers:
                decoder.admit([row.prefix for row in newcomers])
                batch.admit(newcomers, self._policy.device)
            if not batch.rows:
                break
            tokens = batch.draw(self._sampling)
            done.decoded_tokens += len(batch.rows)
            ended = batch.ended(tokens, stop_ids)
            if self._tail:
                ended = [over or self._said(ids) for over, ids in zip(ended, batch.latest(self._tail), strict=True)]
            if any(ended):
                for row in (row for row, over in enumerate(ended) if over):
                    done.completions[batch.rows[row].key] = self._completion(*batch.drawn(row))
                kept = torch.tensor(compaction(ended), dtype=torch.int64, device=self._policy.device)
                decoder.keep(kept)
                batch.keep(kept)
                tokens = tokens[kept]
                progress(len(done.completions), total)
            if batch.rows:
                batch.set_logits(decoder.step(tokens))

    def _waiting(
        self,
        decoder: "Decoder",
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        max_rows: int,
        done: "_Done",
    ) -> Iterator[_Row]:
        """Rows in order, without those that are done; each prompt is read once, shortly before its first row is wanted.

        No more prompts are read at once than rows are decoded.
        """
        open_groups = [
            group
            for group in range(len(prompts))
            if any((group, number) not in done.completions for number in range(num_generations))
        ]
        at_once = min(PREFILL_PROMPTS, max_rows)
        for start in range(0, len(open_groups), at_once):
            chunk = open_groups[start : start + at_once]
            prefixes = decoder.prefill([prompts[group].ids for group in chunk])
            for group, prefix in zip(chunk, prefixes, strict=True):
                problem, epoch = prompts[group].problem.index, prompts[group].epoch
                for number in range(num_generations):
                    if (group, number) not in done.completions:
                        count = self._sampling.max_completion_length
                        uniform = uniforms(self._seed, step, problem, number, count, epoch)
                        yield _Row(group, number, prefix, uniform)

    def _said(self, ids: Sequence[int]) -> bool:
        """Whether the last tokens of a completion hold a stop string."""
        text = self._text_of(ids)
        return any(string in text for string in self._sampling.stop_strings)

    def _completion(self, ids: list[int], logprobs: list[float]) -> Completion:
        stopped = ids[-1] in self._policy.stop_ids or (self._tail > 0 and self._said(ids[-self._tail :]))
        finish: FinishReason = "stop" if stopped else "length"
        return Completion(tuple(ids), tuple(logprobs), self._text_of(ids), finish)


def compaction(ended: Sequence[bool]) -> list[int]:
    """The rows that go on; holes are filled from the tail, so that few rows of a cache have to move.

    >>> compaction([False, True, False, False])
    [0, 3, 2]
    """
    rows = list(range(len(ended)))
    for row in reversed(range(len(ended))):
        if ended[row]:
            rows[row] = rows[-1]
            rows.pop()
    return rows


def _whole_groups(
    prompts: Sequence[Prompt], num_generations: int, finished: dict[tuple[int, int], Completion]
) -> list[Group]:
    groups = []
    for group, prompt in enumerate(prompts):
        completions = tuple(finished[key] for n in range(num_generations) if (key := (group, n)) in finished)
        if len(completions) == num_generations:
            groups.append(Group(prompt, completions))
    return groups
