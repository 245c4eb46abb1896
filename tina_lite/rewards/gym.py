"""Reasoning-gym's problems, judged by the verifier of their task."""

from collections.abc import Sequence

from tina_lite.answers import ANSWER_FOLLOWS, bare, framed_answer
from tina_lite.answers.gym_gold import GymGold
from tina_lite.answers.in_text import announced_answer, number_stated
from tina_lite.answers.units import unmarked
from tina_lite.rewards.calling import Failure
from tina_lite.rewards.completions import Completions, contents
from tina_lite.rewards.judges import reasoning_gym, undecided
from tina_lite.rewards.registry import reward
from tina_lite.rewards.workers import LOST, Lost

LONGEST_GRID = 20_000
"""Characters of an answer; the largest puzzles take some thousands."""
UNDECIDED = undecided("reasoning-gym's verifier")


@reward("reasoning_gym", own_limit=True)
def reasoning_gym_reward(completions: Completions, answer: Sequence[object]) -> list[float | Failure | None]:
    r"""The score that the task's own verifier gives: 1 for a right answer, often a part for a partly right one.

    None where the problem is not reasoning-gym's. Range: 0 to 1. Source: reasoning-gym (arXiv 2505.24760), whose tasks
    each come with a verifier. The answer is read as by the accuracy reward, which gives 1 for a full score alone.

    >>> from tina_lite.rewards.completions import chat
    >>> entry = {"question": "Spell abc backward", "answer": "cba", "metadata": {"word": "abc"}}
    >>> gold = GymGold("cba", {"task": "spell_backward", "params": {}, "entry": entry})
    >>> reasoning_gym_reward(chat(r"\boxed{cba}", r"\boxed{abc}", r"\boxed{cba}"), [gold, gold, "cba"])
    [1.0, 0.3333333333333333, None]
    """
    scores = gym_scores(list(zip(contents(completions), answer, strict=True)))
    return [UNDECIDED if isinstance(score, Lost) else score for score in scores]


def gym_scores(pairs: Sequence[tuple[str, object]]) -> list[float | Lost | None]:
    """For each text and gold what the gold's verifier gives; None where it has none, LOST where no time sufficed."""
    rows = [(row, text, gold) for row, (text, gold) in enumerate(pairs) if isinstance(gold, GymGold)]
    requests = [{"problem": gold.verifier, "answers": readings(text)} for _, text, gold in rows]
    found: list[float | Lost | None] = [None] * len(pairs)
    for (row, _, _), score in zip(rows, reasoning_gym().ask(requests) if requests else [], strict=True):
        found[row] = LOST if score is LOST else score
    return found


def readings(text: str) -> list[str]:
    r"""The answer of a text, as it stands and without the marks around it: verifiers compare letter by letter.

    >>> readings(r"\boxed{\text{abc}.}"), readings("<answer>1 2\n3 4</answer>"), readings("a\n</think>\nIt is 34.")
    (['\\text{abc}.', 'abc'], ['1 2\n3 4'], ['It is 34.', 'It is 34', '', '34'])
    """
    stated = framed_answer(text)
    if stated is not None:
        tries = [stated.strip(), unmarked(bare(stated)).strip()]
    else:
        rest = ANSWER_FOLLOWS.split(text)[-1]
        number = number_stated(text)
        tries = [rest.strip(), bare(rest), announced_answer(text), str(number.value) if number else ""]
    return [one for one in dict.fromkeys(tries) if len(one) <= LONGEST_GRID] or [""]
