"""What an answer is: where a text states it, what kind of thing it is, and when two are the same.

Problems take golds from solutions with it, rewards take answers from completions. Nothing here asks math-verify.
"""

from tina_lite.answers.finding import (
    ANSWER_FOLLOWS,
    LONGEST_ANSWER,
    bare,
    boxed_answer,
    comparable,
    final_answer,
    framed_answer,
    gold_parses,
    is_sane,
    last_boxed,
    stated_answer,
)

__all__ = [
    "ANSWER_FOLLOWS",
    "LONGEST_ANSWER",
    "bare",
    "boxed_answer",
    "comparable",
    "final_answer",
    "framed_answer",
    "gold_parses",
    "is_sane",
    "last_boxed",
    "stated_answer",
]
