"""A conversation with a policy: tokens as they are drawn, what was said before, and what of it is thinking.

Nothing here prints: console/chat.py does.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tina_lite.data.chat_template import Message, encode, render
from tina_lite.rollout.sampling import TextOf, random_numbers, sample_tokens
from tina_lite.util.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from tina_lite.policy import Policy
    from tina_lite.recipe.schema import RolloutSection

OPEN, CLOSE = "<think>", "</think>"
BROKEN = "\ufffd"
"""How a tokenizer decodes the beginning of a character whose end is in the next token."""


def stream(policy: "Policy", prompt: Sequence[int], sampling: "RolloutSection", uniform: "Tensor") -> Iterator[int]:
    """The tokens of one completion, each as it is drawn; a stop token is the last.

    `uniform` (max_completion_length,) holds the random numbers of the positions.
    """
    decoder = policy.decoder(1, len(prompt) + len(uniform))
    prefixes = decoder.prefill([prompt])
    decoder.admit(prefixes)
    logits = prefixes[0].logits[None]
    for position, number in enumerate(uniform.to(policy.device).split(1)):
        token, _ = sample_tokens(logits, number, sampling)
        yield int(token)
        if int(token) in policy.stop_ids or position + 1 == len(uniform):
            return
        logits = decoder.step(token)


def pieces(tokenizer: Any, tokens: Iterable[int]) -> Iterator[str]:
    """Text as it grows, without special tokens; a character that is not whole yet waits for the token that ends it.

    Each new token is decoded with the one before it, on which its leading space depends.
    """
    decode = TextOf(tokenizer)
    shown: list[int] = []
    waiting: list[int] = []
    for token in tokens:
        waiting.append(token)
        before, after = decode(shown), decode([*shown, *waiting])
        if len(after) > len(before) and not after.endswith(BROKEN):
            yield after[len(before) :]
            shown, waiting = waiting, []
    if rest := decode([*shown, *waiting])[len(decode(shown)) :]:
        yield rest


def until_stopped(texts: Iterable[str], stop_strings: Sequence[str]) -> Iterator[str]:
    """Ends with the piece that completes a stop string, as a completion of the run does."""
    said = ""
    longest = max(map(len, stop_strings), default=0)
    for text in texts:
        yield text
        said += text
        if any(string in said for string in stop_strings):
            return
        said = said[-longest:] if longest else ""


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """Is a stretch of an answer."""

    text: str
    thinking: bool


def parts(texts: Iterable[str], thinking: bool) -> Iterator[AnswerPart]:
    """Which stretches are thinking, tags included; what may become a tag waits until it is one or is none.

    `thinking`: the prompt has opened it.

    >>> [(part.text, part.thinking) for part in parts(["1+1", "</th", "ink> 2", " <"], thinking=True)]
    [('1+1', True), ('</think>', True), (' 2', False), (' ', False), ('<', False)]
    """
    waiting = ""
    for text in texts:
        waiting += text
        while True:
            tag = CLOSE if thinking else OPEN
            before, found, after = waiting.partition(tag)
            if not found:
                break
            if before:
                yield AnswerPart(before, thinking)
            yield AnswerPart(tag, True)
            waiting, thinking = after, not thinking
        whole = len(waiting) - _begun(waiting, tag)
        if whole:
            yield AnswerPart(waiting[:whole], thinking)
            waiting = waiting[whole:]
    if waiting:
        yield AnswerPart(waiting, thinking)


def _begun(text: str, tag: str) -> int:
    """How many last characters of a text are the first of a tag.

    >>> _begun("so </th", "</think>"), _begun("2 > 1", "</think>")
    (4, 0)
    """
    return next((count for count in range(len(tag) - 1, 0, -1) if text.endswith(tag[:count])), 0)


@dataclass(slots=True)
class Chat:
    """A conversation with one policy; `ask` streams the answer and keeps it."""

    policy: "Policy"
    sampling: "RolloutSection"
    seed: int
    system: str | None
    context: int
    """Tokens that the model can attend to."""
    said: list[Message] = field(default_factory=list)
    """Questions and answers by turns."""
    forgotten: int = 0
    """Messages left out of the last prompt, as the context would not have held them."""
    turn: int = 0

    def ask(self, question: str) -> Generator[AnswerPart, None, None]:
        """Give the answer, piece by piece. What was shown of it is remembered, also where the reader stops reading.

        BadInput where question and answer are longer than the context.
        """
        self.turn += 1
        text, ids, count = self._prompt(question)
        opened = text.rstrip().endswith(OPEN)
        uniform = random_numbers(self.seed, self.turn, 0, 0, count)
        answer = text[text.rstrip().rfind(OPEN) :] if opened else ""
        tokens = stream(self.policy, ids, self.sampling, uniform)
        texts = until_stopped(pieces(self.policy.tokenizer, tokens), self.sampling.stop)
        try:
            for part in parts(texts, opened):
                answer += part.text
                yield part
        finally:
            self.said += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]

    def start_over(self) -> None:
        """Forget what was said."""
        self.said.clear()

    def _prompt(self, question: str) -> tuple[str, tuple[int, ...], int]:
        """Text, ids and the tokens that an answer may have; as much of the history as the context holds."""
        asked: Message = {"role": "user", "content": question}
        system: list[Message] = [{"role": "system", "content": self.system}] if self.system else []
        for forgotten in range(0, len(self.said) + 1, 2):
            text = render(self.policy.tokenizer, [*system, *self.said[forgotten:], asked])
            ids = encode(self.policy.tokenizer, text)
            left = self.context - len(ids)
            if left >= min(self.sampling.max_completion_length, self.context // 2):
                self.forgotten = forgotten
                return text, ids, min(left, self.sampling.max_completion_length)
        raise BadInput(f"the question is too long: {len(ids)} tokens of a context of {self.context}")


def together(first: Iterator[AnswerPart], second: Iterator[AnswerPart]) -> Iterator[tuple[int, AnswerPart]]:
    """The parts of two answers in turn, with the number of the answer, until both have ended."""
    alive = {0: first, 1: second}
    while alive:
        for number, answer in list(alive.items()):
            part = next(answer, None)
            if part is None:
                del alive[number]
            else:
                yield number, part
