"""Problems as the model sees them: chat templates, the order of training, and what people should know of them."""

import json
import random
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any, Protocol

from tina_lite.data.examples import name_rows
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem, Prompt

Message = Mapping[str, Any]


LAST_WORD = "Goodbye"


class Refused(BadInput):
    """The chat template takes no such conversation."""


class Tokenizer(Protocol):
    """What is wanted of a transformers tokenizer."""

    chat_template: Any

    def apply_chat_template(
        self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool, **others: Any
    ) -> Any: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


def messages_for(problem: Problem, system_prompt: str | None) -> list[Message]:
    """Put system prompt, earlier turns and question in order.

    A recipe's system prompt takes the place of the data's.
    """
    turns = [turn for turn in problem.turns if not (system_prompt and turn["role"] == "system")]
    system = [{"role": "system", "content": system_prompt}] if system_prompt else []
    return [*system, *turns, {"role": "user", "content": problem.question}]


def prompt_text(problem: Problem, tokenizer: Tokenizer, system_prompt: str | None) -> str:
    """Render the whole prompt, with the tools that the row offers. BadInput where the template does not take it."""
    return render(tokenizer, messages_for(problem, system_prompt), _tools_of(problem))


def _tools_of(problem: Problem) -> list[Any]:
    tools = problem.columns.get("tools")
    if isinstance(tools, str) and tools.lstrip().startswith("["):
        with suppress(ValueError):
            tools = json.loads(tools)
    return tools if isinstance(tools, list) and all(isinstance(tool, Mapping) for tool in tools) else []


def render(tokenizer: Tokenizer, messages: Sequence[Message], tools: Sequence[Any] = ()) -> str:
    """The text from which the model goes on: through the chat template, or one paragraph a part where there is none.

    Where the template opens `<think>`, so does this text, and a completion holds the closing tag alone. A template that
    knows no system role gets the system message at the head of the first user message.
    """
    with_tools = tools or any(message["role"] == "tool" or "tool_calls" in message for message in messages)
    if with_tools and "tool" not in str(tokenizer.chat_template):
        raise Refused("the tokenizer's chat template has no place for tools, which the prompt has")
    if tokenizer.chat_template is None:
        return "\n".join([*(message["content"] for message in messages), ""])
    try:
        return _templated(tokenizer, messages, tools)
    except Exception as error:  # the template's own complaint, such as that it knows no system role
        if [message["role"] for message in messages[:2]] == ["system", "user"]:
            with suppress(Exception):
                return _templated(tokenizer, without_system_role(messages), tools)
        raise Refused(f"the tokenizer's chat template refuses the prompt: {error}") from error


def turn_end(tokenizer: Any) -> str | None:
    """The special token with which the chat template ends an assistant's turn; None where it has none."""
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": LAST_WORD}]
    if tokenizer.chat_template is None:
        return None
    with suppress(Exception):  # of a template that takes no such turns
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=False)
        ids = tokenizer.encode(text.rpartition(LAST_WORD)[2], add_special_tokens=False)
        special = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        return next((special[number] for number in ids if number in special), None)
    return None


def template_notes(problems: Sequence[Problem], tokenizer: Tokenizer, system_prompt: str | None) -> list[str]:
    """What a person should know of how prompts are rendered: a system message that has no place of its own."""
    messages = messages_for(problems[0], system_prompt) if len(problems) else []
    if tokenizer.chat_template is None and messages:
        return ["the tokenizer has no chat template: prompts are plain text, a paragraph a message"]
    if tokenizer.chat_template is None or not messages or messages[0]["role"] != "system":
        return []
    try:
        _templated(tokenizer, messages)
    except Exception:
        return [
            "the chat template knows no system role: the system prompt stands at the head of the first user message"
        ]
    return []


def without_system_role(messages: Sequence[Message]) -> list[Message]:
    """Move a system prompt into the first message of the user.

    >>> without_system_role([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}])
    [{'role': 'user', 'content': 'Be brief.\\n\\n1+1?'}]
    """
    system, first, *others = messages
    return [{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *others]


def _templated(tokenizer: Tokenizer, messages: Sequence[Message], tools: Sequence[Any] = ()) -> str:
    offered = {"tools": list(tools)} if tools else {}
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **offered))


def encode(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    """Give token ids. A chat template writes its special tokens itself; without one the tokenizer adds its own.

    Some add an end-of-text token too, behind which a model has nothing to say: it is left out.
    """
    if tokenizer.chat_template is not None:
        return tuple(tokenizer.encode(text, add_special_tokens=False))
    ids = tokenizer.encode(text, add_special_tokens=True)
    end = getattr(tokenizer, "eos_token_id", None)
    return tuple(ids[:-1] if ids and ids[-1] == end else ids)


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
