"""From token ids to text: control tokens are left out, tags that a reward may look for stay."""

from collections.abc import Sequence
from typing import Any

TAGS = ("think", "thinking", "thought", "reasoning", "reason", "answer", "solution")
SHOWN = frozenset(form.format(tag) for tag in TAGS for form in ("<{}>", "</{}>"))
"""Some tokenizers hold these to be special, and would drop them from what the format reward is to see."""


class TextOf:
    """`text_of(ids)` for one tokenizer of transformers."""

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
