"""Where the final answer stands in a text: its last boxes, its `<answer>` tags, or what follows GSM8K's `####`."""

import re
from collections.abc import Iterator

BOX = re.compile(r"\\(?:f?boxed|fbox|framebox)\s*\{")
BRACKET = re.compile(r"[][(){}]")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
ANSWER_FOLLOWS = re.compile("####|</think>")
ANSWER_TAGS = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL)
BETWEEN_BOXES = re.compile(
    r"(?:\s|[,;$&]|\\[()[\],;:! ]|\\q?quad|\b(?:and|or)\b|\\(?:text|mbox|mathrm)\s*\{[\s,]*(?:and|or)\s*\}"
    r"|[A-Za-z](?:_\{?\w\}?)?\s*=)*"
)
"""What may stand between two boxes of one statement, such as `$k=\\boxed{45}$, $n=\\boxed{2}$`."""
JOINS = re.compile(r"[,;]|\b(?:and|or)\b|\\q?quad")
FARTHEST_BOXES = 80
"""Characters between two boxes of one statement."""
LONGEST_ANSWER = 1000
"""Characters. What is longer is no answer."""
DEEPEST_ANSWER = 30
"""Brackets inside brackets. What is deeper is no answer: parsers take minutes over it."""
MATH_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def boxed_answer(text: str) -> str | None:
    r"""The content of the last box; of all boxes of the last statement, joined by commas, where it has several.

    A box that is taken back, or stands in the reasoning, is no part of it. None where no box balances.

    >>> boxed_answer(r"$k=\boxed{45}$, $n=\boxed{2}$"), boxed_answer(r"\boxed{1}. So \boxed{2} and \boxed{3}")
    ('45, 2', '2, 3')
    >>> boxed_answer(r"\boxed{35} no: \boxed{34}"), boxed_answer(r"\boxed{34}, again \boxed{34}"), boxed_answer("34")
    ('34', '34', None)
    """
    contents: list[str] = []
    following = len(text)
    for start, end, content in _boxes_from_last(text):
        if contents and not _one_statement(text[end:following]):
            break
        following = start
        contents.insert(0, content.strip())
    return ", ".join(dict.fromkeys(contents)) if contents else None


def last_boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{}` whose braces balance; None where there is none.

    >>> last_boxed(r"so \boxed{\frac{1}{2}} and, once more, \boxed{\frac{2}{4}")
    '\\frac{1}{2}'
    >>> last_boxed("34")
    """
    return next((content for _, _, content in _boxes_from_last(text)), None)


def _boxes_from_last(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and content of each box whose braces balance. An unclosed one holds every later one."""
    if "box" not in text:
        return
    following = len(text)
    for box in reversed(list(BOX.finditer(text))):
        closing = _closing_brace(text, box.end(), following)
        if closing is not None:
            yield box.start(), closing + 1, text[box.end() : closing]
        following = box.start()


def _closing_brace(text: str, start: int, end: int) -> int | None:
    depth = 1
    for brace in BRACE.finditer(text, start, end):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return None


def _one_statement(between: str) -> bool:
    short = len(between) <= FARTHEST_BOXES
    return short and JOINS.search(between) is not None and BETWEEN_BOXES.fullmatch(between) is not None


def tagged_answer(text: str) -> str | None:
    """What the last `<answer>` tags hold; None where there are none.

    >>> tagged_answer("<think>1</think><answer>48480</answer>"), tagged_answer("<answer>1"), tagged_answer("")
    ('48480', None, None)
    """
    if "</answer>" not in text:
        return None
    found = ANSWER_TAGS.findall(text)
    return found[-1].strip() if found else None


def framed_answer(text: str) -> str | None:
    r"""What a text marks as its answer: its last boxes, else its last `<answer>` tags; None where it has neither.

    >>> framed_answer(r"<answer>\boxed{2}</answer>"), framed_answer("<answer>2</answer>"), framed_answer("2")
    ('2', '2', None)
    """
    boxed = boxed_answer(text)
    return tagged_answer(text) if boxed is None else boxed


def final_answer(solution: str) -> str:
    r"""Find the answer alone in a solution or an answer.

    >>> final_answer("48 / 2 = 24\n48 + 24 = 72\n#### 72"), final_answer(r"thus $x = \boxed{5}$."), final_answer("$7$")
    ('72', '5', '7')
    """
    if "####" in solution:
        solution = solution.rsplit("####", 1)[1]
    boxed = boxed_answer(solution)
    return bare(solution if boxed is None else boxed)


def stated_answer(completion: str) -> str:
    r"""Find the answer that a completion states.

    It is in its last boxes, else in `<answer>` tags, else after its last `####` or `</think>`, else it is the whole.

    >>> stated_answer(r"so \boxed{34} km"), stated_answer("so 34\n#### 35"), stated_answer("a\n</think>\nParis.")
    ('34', '35', 'Paris')
    """
    stated = framed_answer(completion)
    return bare(ANSWER_FOLLOWS.split(completion)[-1] if stated is None else stated)


def bare(answer: str) -> str:
    r"""Without outer white space, one pair of math delimiters and a closing full stop.

    >>> bare(r" \(7\text{ hours}.\) "), bare("34."), bare("$18"), bare("$2$ or $3$")
    ('7\\text{ hours}', '34', '$18', '$2$ or $3$')
    """
    answer = _without_full_stop(answer)
    if not answer.startswith(("$", "\\")):
        return answer
    for opening, closing in MATH_DELIMITERS:
        inner = answer[len(opening) : -len(closing)]
        wrapped = answer.startswith(opening) and answer.endswith(closing) and inner
        if wrapped and opening not in inner and closing not in inner:
            return _without_full_stop(inner)
    return answer


def _without_full_stop(answer: str) -> str:
    return answer.strip().removesuffix(".").rstrip()


def is_sane(answer: str) -> bool:
    """Whether a text is short and flat enough to be an answer; empty is not.

    >>> is_sane("(" * 30 + "1" + ")" * 30), is_sane("{" * 31), is_sane("1" * 1001), is_sane("")
    (True, False, False, False)
    """
    depth = 0
    for bracket in BRACKET.findall(answer) if 0 < len(answer) <= LONGEST_ANSWER else ():
        depth += 1 if bracket in "([{" else -1
        if depth > DEEPEST_ANSWER:
            return False
    return 0 < len(answer) <= LONGEST_ANSWER


def gold_parses(answer: object) -> bool:
    r"""Whether a gold can be compared with anything: short, not empty, with its braces balanced.

    A check of the text only, so that a data set of any size loads at once.

    >>> [gold_parses(gold) for gold in ("34", r"\frac{1}{2}", "#### 7", "", "--", r"\frac{1}{", None)]
    [True, True, True, False, False, False, False]
    """
    return answer is not None and comparable(final_answer(str(answer)))


def comparable(gold: str) -> bool:
    """The same check for a gold that `final_answer` has taken out of its solution."""
    if not is_sane(gold):
        return False
    if gold.isalnum():
        return True
    has_content = any(character.isalnum() or ord(character) > 127 for character in gold)
    return has_content and last_boxed(f"\\boxed{{{gold}}}") == gold
