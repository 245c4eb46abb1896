"""Why a completion got nothing from a reward, in words: from the text alone, without asking the reward again."""

from tina_lite.answers import boxed_answer
from tina_lite.console.text import fold, one_line
from tina_lite.runs.events import Sample

COMPARED = {"accuracy", "exact_match", "numeric", "choice"}
"""Rewards that compare the answer with the gold."""
TAGGED = {"format", "tag_count"}
ANSWER_CELLS = 24
"""Of an answer, so much is quoted."""


def why_nothing(sample: Sample) -> str:
    r"""Empty where every reward gave something.

    >>> rewards = {"accuracy": 0.0, "format": 1.0}
    >>> why_nothing(Sample("1+1?", "2", "3\n</think>\n\\boxed{3}", rewards, 1.0, 0.0, "stop"))
    'its answer is 3, the gold 2'
    >>> why_nothing(Sample("1+1?", "2", "well, let me", {"accuracy": 0.0, "format": 0.0}, 0.0, 0.0, "length"))
    'cut off at its length limit; no \\boxed{} answer, the gold is 2; no </think> on a line of its own'
    """
    silent = [name for name, value in sample.rewards.items() if not value]
    if not silent:
        return ""
    reasons = ["it is empty"] if not sample.completion.strip() else []
    if sample.finish_reason != "stop":
        reasons.append("cut off at its length limit")
    return "; ".join([*reasons, *dict.fromkeys(_reason(name, sample) for name in silent)])


def _reason(name: str, sample: Sample) -> str:
    if sample.rewards[name] is None:
        return f"{one_line(name)} could not judge it"
    if name in COMPARED:
        if not sample.answer:
            return "its verifier refuses it"
        gold, box = _brief(sample.answer), boxed_answer(sample.completion)
        return f"its answer is {_brief(box)}, the gold {gold}" if box else f"no \\boxed{{}} answer, the gold is {gold}"
    if name in TAGGED:
        tags = sample.completion.count("</think>")
        return f"{tags} times </think>, wanted is one" if tags > 1 else "no </think> on a line of its own"
    return f"{one_line(name)} gave 0"


def _brief(text: str) -> str:
    return "".join(fold(one_line(text), ANSWER_CELLS, 1)) or "empty"
