"""Groups of completions from a policy: prefill once, decode together, drop finished sequences, refill.

The sampler decides which sequence is decoded when; what is sampled does not depend on that (sampling.py).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from tina_lite.policy.memory_request import PREFILL_PROMPTS, sequences_at_once
from tina_lite.rollout.loops import EVERY, TAIL, WINDOW, goes_round
from tina_lite.rollout.sampling import Batch, DecodeSlot, TextOf, compaction, random_numbers, sample_tokens
from tina_lite.util.errors import NoRoom
from tina_lite.util.memory import with_less_each_time
from tina_lite.util.records import Completion, FinishReason, Group, Prompt

if TYPE_CHECKING:
    from tina_lite.policy.interface import Decoder, Policy
    from tina_lite.recipe.schema import RolloutSection


Place = tuple[int, int]
"""A completion's: the number of its prompt, and its own in the group."""


@dataclass(slots=True)
class _Done:
    """What a rollout has come to so far; it outlives an attempt that ran out of memory."""

    known: Collection[Place] = ()
    """Not to be sampled."""
    finished: Callable[[Place, Completion], None] = lambda place, completion: None
    """Told each completion as it ends."""
    completions: dict[Place, Completion] = field(default_factory=dict)
    decoded_tokens: int = 0

    def __contains__(self, place: Place) -> bool:
        return place in self.completions or place in self.known

    def add(self, place: Place, completion: Completion) -> None:
        self.completions[place] = completion
        self.finished(place, completion)


@dataclass(frozen=True, slots=True)
class Rollout:
    """Groups that were finished in time, in the order of their prompts, and what it took."""

    groups: tuple[Group, ...]
    decoded_tokens: int
    """Tokens sampled, those of unfinished groups included."""


class Sampler:
    """Samples groups under a cache budget."""

    def __init__(
        self,
        policy: "Policy",
        rollout: "RolloutSection",
        *,
        seed: int,
        kv_tokens: int,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`kv_tokens` bounds the cache: sequences x (longest prompt + longest completion).

        Where memory does not suffice for so many sequences, fewer are sampled at once, for good; `warn` is told.
        """
        self._policy = policy
        self._sampling = rollout
        self._seed = seed
        self.kv_tokens = kv_tokens
        self._warn = warn
        self._text_of = TextOf(policy.tokenizer)
        # A token is at least one byte of text, so that a stop lies within so many; before the first of several tokens
        # some tokenizers drop a space, so that it is one more.
        self._tail = 1 + max(len(text.encode()) for text in rollout.stop) if rollout.stop else 0

    def rollout(
        self,
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        *,
        out_of_time: Callable[[], bool] = lambda: False,
        max_tokens: float = inf,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Rollout:
        """Sample `num_generations` completions of each prompt.

        `out_of_time` is asked before each decode step; once it says yes, or one more step would draw more than
        `max_tokens` in all, unfinished groups are dropped. `progress` is told (completions done, completions in all).
        """
        done = _Done()
        self._sample(prompts, num_generations, step, done, out_of_time, max_tokens, progress)
        groups = _whole_groups(prompts, num_generations, done.completions)
        return Rollout(tuple(groups), done.decoded_tokens)

    def complete(
        self,
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        *,
        known: Collection[Place],
        finished: Callable[[Place, Completion], None],
        out_of_time: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> int:
        """The completions of `rollout` but for those that are `known`, each told to `finished` as it ends.

        Returns how many tokens were drawn, those of completions that did not end in time included.
        """
        done = _Done(known, finished)
        self._sample(prompts, num_generations, step, done, out_of_time, inf, progress)
        return done.decoded_tokens

    def _sample(
        self,
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        done: _Done,
        out_of_time: Callable[[], bool],
        max_tokens: float,
        progress: Callable[[int, int], None],
    ) -> None:
        total = len(prompts) * num_generations - len(done.known)
        longest = max(len(prompt.ids) for prompt in prompts) + self._sampling.max_completion_length

        def attempt() -> None:
            max_sequences = self._max_sequences(total, longest)
            decoder = self._policy.decoder(max_sequences, longest)
            waiting = self._waiting(decoder, prompts, num_generations, step, max_sequences, done)
            self._decode(decoder, waiting, max_sequences, total, done, out_of_time, max_tokens, progress)

        with_less_each_time(attempt, lambda error: self._halve_sequences(total, longest, error))

    def rehearse(self, prompt: Sequence[int], prompts: int, num_generations: int) -> None:
        """The memory of the longest rollout: prompts like this one are read, full sequences decoded once."""
        import torch

        total, longest = prompts * num_generations, len(prompt) + self._sampling.max_completion_length
        whole = (list(prompt) * -(-longest // len(prompt)))[: longest - 1]

        def attempt() -> None:
            max_sequences = self._max_sequences(total, longest)
            decoder = self._policy.decoder(max_sequences, longest)
            decoder.prefill([prompt] * min(prompts, PREFILL_PROMPTS, max_sequences))
            decoder.admit(decoder.prefill([whole]) * max_sequences)
            logits = decoder.step(torch.zeros(max_sequences, dtype=torch.int64, device=self._policy.device))
            sample_tokens(logits, torch.zeros(max_sequences, device=self._policy.device), self._sampling)

        with_less_each_time(attempt, lambda error: self._halve_sequences(total, longest, error))

    def _max_sequences(self, total: int, longest: int) -> int:
        return sequences_at_once(self.kv_tokens // longest, total)

    def _halve_sequences(self, total: int, longest: int, error: BaseException) -> None:
        slots = self._max_sequences(total, longest)
        if slots == 1:
            raise NoRoom(
                f"not even one completion of {longest} tokens with its prompt fits into memory; lower "
                "rollout.max_completion_length or rollout.max_prompt_length, or choose a smaller model"
            ) from error
        self.kv_tokens = slots // 2 * longest
        self._warn(
            f"out of memory with {slots} sequences of {longest} tokens: {self._max_sequences(total, longest)} "
            "are sampled at once from now on"
        )

    def _decode(
        self,
        decoder: "Decoder",
        waiting: "Iterator[DecodeSlot]",
        max_sequences: int,
        total: int,
        done: "_Done",
        out_of_time: Callable[[], bool],
        max_tokens: float,
        progress: Callable[[int, int], None],
    ) -> None:
        """Draw until every sequence that waits is finished, or no time or tokens are left."""
        import torch

        stop_ids = torch.tensor(sorted(self._policy.stop_ids), device=self._policy.device)
        batch = Batch()
        while not out_of_time():
            newcomers = list(islice(waiting, max_sequences - len(batch.slots)))
            if newcomers:
                decoder.admit([slot.prefix for slot in newcomers])
                batch.admit(newcomers, self._policy.device)
            if not batch.slots or done.decoded_tokens + len(batch.slots) > max_tokens:
                break
            tokens = batch.sample_tokens(self._sampling)
            done.decoded_tokens += len(batch.slots)
            ended = batch.ended(tokens, stop_ids)
            if self._tail:
                latest = batch.latest(self._tail, range(len(ended)))
                ended = [over or self._said(ids) for over, ids in zip(ended, latest, strict=True)]
            loops = self._loops(batch, ended) if self._sampling.stop_loops else set()
            if loops:
                ended = [over or slot in loops for slot, over in enumerate(ended)]
            if any(ended):
                for slot in (slot for slot, over in enumerate(ended) if over):
                    done.add(batch.slots[slot].key, self._completion(*batch.drawn(slot), loops=slot in loops))
                kept = torch.tensor(compaction(ended), dtype=torch.int64, device=self._policy.device)
                decoder.keep(kept)
                batch.keep(kept)
                tokens = tokens[kept]
                progress(len(done.completions), total)
            if batch.slots:
                batch.set_logits(decoder.step(tokens))

    def _waiting(
        self,
        decoder: "Decoder",
        prompts: Sequence[Prompt],
        num_generations: int,
        step: int,
        max_sequences: int,
        done: "_Done",
    ) -> Iterator[DecodeSlot]:
        """Rows in order, without those that are done; each prompt is read once, shortly before its first row is wanted.

        No more prompts are read at once than sequences are decoded.
        """
        open_groups = [
            group
            for group in range(len(prompts))
            if any((group, number) not in done for number in range(num_generations))
        ]
        at_once = min(PREFILL_PROMPTS, max_sequences)
        for start in range(0, len(open_groups), at_once):
            chunk = open_groups[start : start + at_once]
            prefixes = decoder.prefill([prompts[group].ids for group in chunk])
            for group, prefix in zip(chunk, prefixes, strict=True):
                problem, epoch = prompts[group].problem.index, prompts[group].epoch
                for number in range(num_generations):
                    if (group, number) not in done:
                        count = self._sampling.max_completion_length
                        uniform = random_numbers(self._seed, step, problem, number, count, epoch)
                        yield DecodeSlot(group, number, prefix, uniform)

    def _loops(self, batch: Batch, ended: Sequence[bool]) -> set[int]:
        """Which sequences go round in circles; each is looked at after so many tokens of its own."""
        due = [slot for slot, over in enumerate(ended) if not over and batch.lengths[slot] % EVERY == 0]
        long = [slot for slot in due if batch.lengths[slot] >= 3 * WINDOW]
        latest = batch.latest(min(TAIL, self._sampling.max_completion_length), long) if long else []
        return {slot for slot, ids in zip(long, latest, strict=True) if goes_round(ids)}

    def _said(self, ids: Sequence[int]) -> bool:
        """Whether the last tokens of a completion hold a stop."""
        return self._stop_in(self._text_of(ids)) is not None

    def _stop_in(self, text: str) -> int | None:
        """Where the stop that is complete first ends."""
        ends = [text.find(stop) + len(stop) for stop in self._sampling.stop if stop in text]
        return min(ends, default=None)

    def _completion(self, ids: list[int], logprobs: list[float], loops: bool = False) -> Completion:
        text = self._text_of(ids)
        end = self._stop_in(text) if self._tail else None
        whole = end is not None or ids[-1] in self._policy.stop_ids
        finish: FinishReason = "stop" if whole else "loop" if loops else "length"
        return Completion(tuple(ids), tuple(logprobs), text[:end], finish)


def _whole_groups(prompts: Sequence[Prompt], num_generations: int, finished: dict[Place, Completion]) -> list[Group]:
    groups = []
    for group, prompt in enumerate(prompts):
        completions = tuple(finished[key] for n in range(num_generations) if (key := (group, n)) in finished)
        if len(completions) == num_generations:
            groups.append(Group(prompt, completions))
    return groups
