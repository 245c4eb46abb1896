"""Before a run: its rows through the chat template and the limit of length, so that nothing of it shows at a step."""

from collections.abc import Sequence
from typing import Any

from tina_lite.problems.prompts import Refused, Tokenizer, encode, prompt_text, template_notes, too_long
from tina_lite.problems.rows import name_rows
from tina_lite.records import Problem

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
