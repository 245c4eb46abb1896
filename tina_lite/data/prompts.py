"""Which prompts are asked, in what order, and what people should know of those that are not."""

import random
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from tina_lite.data.chat_template import Refused, Tokenizer, encode, messages_for, prompt_text, template_notes
from tina_lite.data.examples import name_rows
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem, Prompt


def make_prompt(problem: Problem, tokenizer: Tokenizer, system_prompt: str | None) -> Prompt:
    text = prompt_text(problem, tokenizer, system_prompt)
    return Prompt(problem, text, encode(tokenizer, text), tuple(messages_for(problem, system_prompt)))


def prompt_or_reason(
    problem: Problem, tokenizer: Tokenizer, system_prompt: str | None, max_prompt_length: int
) -> Prompt | str:
    """The prompt, or why it is not asked."""
    try:
        prompt = make_prompt(problem, tokenizer, system_prompt)
    except Refused as error:
        return str(error)
    if len(prompt.ids) > max_prompt_length:
        return too_long(max_prompt_length)
    return prompt


def too_long(max_prompt_length: int) -> str:
    return f"longer than rollout.max_prompt_length, {max_prompt_length} tokens"


def first_prompts(
    problems: Sequence[Problem],
    tokenizer: Tokenizer,
    count: int,
    *,
    max_prompt_length: int,
    system_prompt: str | None,
) -> tuple[list[Prompt], Counter[str]]:
    """The first `count` prompts that can be asked, in the order of the set, for evaluation; and why others are not."""
    prompts: list[Prompt] = []
    reasons: Counter[str] = Counter()
    for problem in problems:
        if len(prompts) == count:
            break
        found = prompt_or_reason(problem, tokenizer, system_prompt, max_prompt_length)
        if isinstance(found, Prompt):
            prompts.append(found)
        else:
            reasons[found] += 1
    return prompts, reasons


class PromptSource:
    """Prompts without end: each epoch goes through all problems in a shuffled order of its own, or in that of the data.

    Its whole state is `position`: a new source with the same problems, seed and position goes on exactly there.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        tokenizer: Tokenizer,
        *,
        max_prompt_length: int,
        system_prompt: str | None,
        seed: int,
        position: int = 0,
        shuffle: bool = True,
    ) -> None:
        self._problems = problems
        self._tokenizer = tokenizer
        self._max_prompt_length = max_prompt_length
        self._system_prompt = system_prompt
        self._seed = seed
        self._shuffle = shuffle
        self._order = array("Q")
        self._order_epoch = -1
        self.passed_over: dict[str, set[int]] = {}
        """Why -> the problems of this source that it did not ask."""
        self.position = position
        """Problems consumed since the start of the run, those that were skipped included."""

    @property
    def problems(self) -> int:
        """How many there are."""
        return len(self._problems)

    @property
    def epoch(self) -> int:
        """Whole passes through the problems that are behind."""
        return self.position // len(self._problems)

    def next(self, n: int) -> list[Prompt]:
        """Give the next n prompts."""
        return list(islice(self._prompts(), n))

    def _prompts(self) -> Iterator[Prompt]:
        skipped = 0
        while skipped < len(self._problems):
            row, epoch = self._row(self.position), self.epoch
            self.position += 1
            found = prompt_or_reason(self._problems[row], self._tokenizer, self._system_prompt, self._max_prompt_length)
            if isinstance(found, Prompt):
                skipped = 0
                yield replace(found, epoch=epoch)
            else:
                skipped += 1
                self.passed_over.setdefault(found, set()).add(row)
        if len(self.passed_over) == 1 and too_long(self._max_prompt_length) in self.passed_over:
            raise BadInput(f"all {len(self._problems)} prompts are {too_long(self._max_prompt_length)}; raise it")
        reasons = "; ".join(f"{len(rows)} prompts: {reason}" for reason, rows in self.passed_over.items())
        raise BadInput(f"data.source: none of the {len(self._problems)} prompts can be asked: {reasons}")

    def _row(self, position: int) -> int:
        epoch, place = divmod(position, len(self._problems))
        if epoch != self._order_epoch:
            self._order = array("Q", range(len(self._problems)))
            if self._shuffle:
                random.Random(f"{self._seed}/{epoch}").shuffle(self._order)
            self._order_epoch = epoch
        return self._order[place]


MOST_RENDERED = 100_000
"""Of more problems an even sample: so many take a few seconds."""
MOST_ENCODED = 20_000
"""Of texts that have more bytes than tokens are allowed, as no others can be too long; an even sample of more."""
MOST_REASONS = 3


def prompt_notes(
    problems: Sequence[Problem], tokenizer: Tokenizer, *, max_prompt_length: int, system_prompt: str | None
) -> list[str]:
    """What a person should know of how prompts are rendered, and of those that will not be asked, by their rows."""
    tried = even_sample(problems, MOST_RENDERED)
    refused: dict[str, list[int]] = {}
    long: list[tuple[int, str]] = []
    for problem in tried:
        try:
            text = prompt_text(problem, tokenizer, system_prompt)
        except Refused as error:
            refused.setdefault(str(error), []).append(problem.index)
            continue
        if len(text.encode("utf-8", "replace")) > max_prompt_length:
            long.append((problem.index, text))
    encoded = even_sample(long, MOST_ENCODED)
    over = [row for row, text in encoded if len(encode(tokenizer, text)) > max_prompt_length]
    of = f"of {len(problems):,} prompts" + f", {len(tried):,} of which were tried," * (len(tried) < len(problems))
    notes = template_notes(problems, tokenizer, system_prompt)
    for reason, rows in sorted(refused.items(), key=lambda one: -len(one[1]))[:MOST_REASONS]:
        notes.append(f"{len(rows)} {of} will not be asked: {reason} ({name_rows(rows)})")
    if over:
        about = "about " * (len(encoded) < len(long))
        count = round(len(over) * len(long) / len(encoded))
        notes.append(f"{about}{count:,} {of} will not be asked: {too_long(max_prompt_length)} ({name_rows(over)})")
    return notes


def even_sample(all_of_them: Sequence[Any], most: int) -> Sequence[Any]:
    """An even sample of so many, where there are more."""
    return all_of_them[:: max(1, -(-len(all_of_them) // most))]
