"""A policy with known logits: the one seam at which the sampler and the learner meet an engine."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tina_lite.policy import Prefix
from tina_lite.util.records import Problem, Prompt


class FakeDecoder:
    """Logits depend on the last token alone: row i of the table after token i. Each row remembers its last token."""

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.last = torch.zeros(0, dtype=torch.int64)
        self.prefilled = 0
        self.largest_batch = 0

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[Prefix]:
        self.prefilled += len(prompts)
        return [Prefix(len(prompt), self.table[prompt[-1]], prompt[-1]) for prompt in prompts]

    def admit(self, prefixes: Sequence[Prefix]) -> None:
        self.last = torch.cat((self.last, torch.tensor([prefix.cache for prefix in prefixes])))
        self.largest_batch = max(self.largest_batch, len(self.last))

    def step(self, tokens: Tensor) -> Tensor:
        assert len(tokens) == len(self.last), "a token for every row"
        self.last = tokens
        return self.table[tokens]

    def keep(self, rows: Tensor) -> None:
        self.last = self.last[rows]


class FakePolicy:
    """Samples from a table of logits (V, V); token 0 ends a completion."""

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self.device = torch.device("cpu")
        self.stop_ids = frozenset({0})
        self.tokenizer = SimpleNamespace(decode=lambda ids, skip_special_tokens: " ".join(map(str, ids)))
        self.decoders: list[FakeDecoder] = []

    def decoder(self, max_sequences: int, max_tokens: int) -> FakeDecoder:
        self.decoders.append(FakeDecoder(self.table))
        return self.decoders[-1]


def prompt(index: int, ids: Sequence[int] = (1,)) -> Prompt:
    return Prompt(Problem(index, f"question {index}", str(index), {}), f"prompt {index}", tuple(ids))


class FakeClock:
    """A clock that tests wind."""

    def __init__(self, elapsed_s: float = 0.0) -> None:
        self.now = elapsed_s

    def elapsed_s(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now


def records_as_it_computes(cuda_graphs: Any, work: Any, shape: tuple[int, int]) -> tuple[Any, Tensor]:
    """Replays._recorded where no card is: each replay does the work again, into the tensor that it gave out."""
    out = work(*shape)
    return SimpleNamespace(replay=lambda: out.copy_(work(*shape))), out


def wound_clock(monkeypatch: Any, age_s: float = 0.0) -> Callable[[float], None]:
    """Runs in this process, which is so old, go by a clock that stands; what winds it on by some seconds."""
    from tina_lite.budget import meter

    moment = [1000.0]
    monkeypatch.setattr(meter, "_boottime", lambda: moment[0])
    monkeypatch.setattr(meter, "process_age_s", lambda: moment[0] - 1000.0 + age_s)
    monkeypatch.setattr(meter, "_origin", None)
    monkeypatch.setattr(meter, "_ended_at", None)

    def wind(seconds: float) -> None:
        moment[0] += seconds

    return wind
