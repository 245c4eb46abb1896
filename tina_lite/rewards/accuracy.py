"""The accuracy reward: does the completion's final answer equal the gold?

What is plainly a number, a word, a date, a choice or a list of such is compared as that (tina_lite/answers); the rest
goes to math-verify in a worker process with a wall-clock limit, so that sympy can neither hang nor bloat the run.
Verdicts are kept.
"""

import atexit
import json
import os
import re
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tina_lite.answers import ANSWER_FOLLOWS, bare, comparable, final_answer, framed_answer, is_sane
from tina_lite.answers.in_text import announced_answer, number_stated, right_in_text
from tina_lite.answers.reading import one_spelling, plain, same, spelled
from tina_lite.answers.verifier import Verifier
from tina_lite.rewards.call import Completions, Failure, contents
from tina_lite.rewards.registry import Verdict, best_of, each_gold, reward
from tina_lite.rewards.workers import LOST, Lost, WorkerPool

LIMIT_S = 5.0
"""Wall-clock seconds for one comparison; past it the completion counts as wrong."""
MOST_WORKERS = 4
VERDICTS_KEPT = 4096
HOME = str(Path(__file__).parents[2])


def undecided(judge: str) -> Failure:
    """What a completion gets over which a judge had no time."""
    return Failure(f"TimeoutError: {judge} was asked twice and did not decide within {LIMIT_S:g} s")


class Judge:
    """A program, run in as many processes as there are processors, at most MOST_WORKERS."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self._kept: OrderedDict[str, Any] = OrderedDict()

    def ask(self, requests: Sequence[Mapping[str, Any]]) -> list[Any | Lost]:
        """Ask for a verdict on each request; LOST where no time sufficed.

        What it did not decide in time is asked once more, and never remembered: it may have been the machine.
        """
        keys = [json.dumps(request, sort_keys=True) for request in requests]
        by_key = dict(zip(keys, requests, strict=True))
        found = {key: self._kept[key] for key in by_key if key in self._kept}
        for _ in range(2):
            new = [key for key in by_key if found.get(key, LOST) is LOST]
            if new:
                replies = self.pool.ask([{**by_key[key], "limit_s": LIMIT_S} for key in new])
                found.update(zip(new, replies, strict=True))
        self._kept.update((key, verdict) for key, verdict in found.items() if verdict is not LOST)
        while len(self._kept) > VERDICTS_KEPT:
            self._kept.popitem(last=False)
        return [found[key] for key in keys]


@cache
def math_verify() -> Judge:
    """It takes `{"gold": ..., "answer": ..., "boxed": true}`; None where the gold cannot be parsed."""
    return _judge("formulas")


@cache
def reasoning_gym() -> Judge:
    """It takes `{"problem": ..., "answers": [...]}`; the best score, or None where there is no such problem."""
    return _judge("gym")


def command_of(module: str) -> list[str]:
    """What runs a module of tina_lite.judges; the working directory is not searched for what it imports."""
    program = f"import sys; sys.path.append({HOME!r}); from tina_lite.judges.{module} import main; main()"
    return [sys.executable, "-P", "-c", program]


def _judge(module: str) -> Judge:
    """Its workers take some 100 MB each, and are started as they are needed."""
    pool = WorkerPool(command_of(module), size=min(MOST_WORKERS, os.cpu_count() or 1), limit_s=LIMIT_S)
    atexit.register(pool.close)
    return Judge(pool)


Verifiers = Sequence[Verifier | None] | None
"""Of each completion's problem; None where no problem has one."""

LONGEST_GRID = 20_000
"""Characters of an answer; the largest puzzles take some thousands."""
GYM_UNDECIDED = undecided("reasoning-gym's verifier")


@reward("reasoning_gym", own_limit=True)
def reasoning_gym_reward(completions: Completions, verifier: Verifiers = None) -> list[float | Failure | None]:
    r"""The score that the task's own verifier gives: 1 for a right answer, often a part for a partly right one.

    None where the problem is not reasoning-gym's. Range: 0 to 1. Source: reasoning-gym (arXiv 2505.24760), whose tasks
    each come with a verifier. The answer is read as by the accuracy reward, which gives 1 for a full score alone.

    >>> from tina_lite.rewards.call import chat
    >>> entry = {"question": "Spell abc backward", "answer": "cba", "metadata": {"word": "abc"}}
    >>> asked = {"task": "spell_backward", "params": {}, "entry": entry}
    >>> reasoning_gym_reward(chat(r"\boxed{cba}", r"\boxed{abc}", r"\boxed{cba}"), [asked, asked, None])
    [1.0, 0.3333333333333333, None]
    """
    scores = gym_scores(contents(completions), verifier)
    return [GYM_UNDECIDED if isinstance(score, Lost) else score for score in scores]


def gym_scores(texts: Sequence[str], verifiers: Verifiers) -> list[float | Lost | None]:
    """For each text what its verifier gives; None where it has none, LOST where no time sufficed."""
    found: list[float | Lost | None] = [None] * len(texts)
    requests = {
        place: {"problem": verifier, "answers": readings(texts[place])}
        for place, verifier in enumerate(verifiers or ())
        if verifier is not None
    }
    scores = reasoning_gym().ask(list(requests.values())) if requests else []
    for place, score in zip(requests, scores, strict=True):
        found[place] = LOST if score is LOST else score
    return found


def readings(text: str) -> list[str]:
    r"""The answer of a text, as it stands and without the marks around it: verifiers compare letter by letter.

    >>> readings(r"\boxed{\text{abc}.}"), readings("<answer>1 2\n3 4</answer>"), readings("a\n</think>\nIt is 34.")
    (['\\text{abc}.', 'abc'], ['1 2\n3 4'], ['It is 34.', 'It is 34', '', '34'])
    """
    stated = framed_answer(text)
    if stated is not None:
        tries = [stated.strip(), plain(stated)]
    else:
        rest = ANSWER_FOLLOWS.split(text)[-1]
        number = number_stated(text)
        tries = [rest.strip(), bare(rest), announced_answer(text), number.digits if number else ""]
    return [one for one in dict.fromkeys(tries) if len(one) <= LONGEST_GRID] or [""]


TAIL = 4000
"""Characters of a box-less completion that math-verify reads: it wants the last match, and its patterns are slow."""
BRACKETS_IN_A_ROW = re.compile(r"([][(){}])\1{30,}")
"""No part of an answer, and slow to read."""
UNDECIDED = undecided("math-verify")


class VerifyTask(NamedTuple):
    """What math-verify is asked."""

    gold: str
    answer: str
    boxed: bool
    """Whether `answer` is the answer alone or a text in which to find it."""


@reward("accuracy", own_limit=True)
def accuracy(
    completions: Completions, answer: Sequence[object], verifier: Verifiers = None
) -> list[float | Failure | None]:
    r"""1 if the completion's answer equals the gold, else 0; None where the gold cannot be parsed.

    The answer is that of the last `\boxed{}` whose braces balance, or of all boxes of one last statement; without one,
    of the last `<answer>` tags; else what the text announces, or its last number.
    Range: 0 or 1. Source: DeepSeek-R1 (arXiv 2501.12948), section 2.2.2; equality is math-verify's.

    >>> from tina_lite.rewards.call import chat
    >>> texts = chat(r"\boxed{34}", r"\boxed{35}", "So the answer is 34.", r"\boxed{35} no, \boxed{34.0}", "", "34")
    >>> accuracy(texts, ["34", "34", "34", "34", "34", ""])
    [1.0, 0.0, 1.0, 1.0, 0.0, None]
    """
    found = verdicts(contents(completions), answer, verifier)
    return [UNDECIDED if right is LOST else None if right is None else float(right is True) for right in found]


def verdicts(texts: Sequence[str], golds: Sequence[object], verifiers: Verifiers = None) -> list[Verdict]:
    """For each text whether it is right; None where the gold cannot be parsed, LOST where no time sufficed.

    Of a list of golds any is right; where there is a verifier, it judges.
    """
    asked = verifiers or [None] * len(texts)
    rows = list(zip(texts, golds, asked, gym_scores(texts, asked), strict=True))
    single = iter(_of_pairs([(text, one) for text, gold, by, _ in rows if by is None for one in each_gold(gold)]))
    return [
        best_of([next(single) for _ in each_gold(gold)]) if by is None else _of_score(score)
        for _, gold, by, score in rows
    ]


def _of_pairs(pairs: Sequence[tuple[str, object]]) -> list[Verdict]:
    """Of texts with one gold each."""
    found = [_quick_verdict(text, gold) for text, gold in pairs]
    unsure = [verdict for verdict in found if isinstance(verdict, VerifyTask)]
    replies = iter(math_verify().ask([question._asdict() for question in unsure]) if unsure else ())
    return [next(replies) if isinstance(verdict, VerifyTask) else verdict for verdict in found]


def _of_score(score: float | Lost | None) -> Verdict:
    """Of a verifier's score: right is a full one."""
    return score if score is None or isinstance(score, Lost) else score >= 1


def decided(texts: Sequence[str], golds: Sequence[object], verifiers: Verifiers = None) -> list[bool | None]:
    """The same, with None for what was not decided either."""
    return [None if isinstance(right, Lost) else right for right in verdicts(texts, golds, verifiers)]


def _quick_verdict(text: str, raw_gold: object) -> bool | VerifyTask | None:
    """A verdict without math-verify, or the question for it."""
    gold = "" if raw_gold is None else final_answer(str(raw_gold))
    if not comparable(gold):
        return None
    stated = framed_answer(text)
    if stated is None:
        sure = right_in_text(gold, text)
        asked = one_spelling(BRACKETS_IN_A_ROW.sub(" ", text[-TAIL:]))
        return VerifyTask(spelled(gold), asked, boxed=False) if sure is None else sure
    answer = bare(stated)
    if not is_sane(answer):
        return False
    if answer == gold:
        return True
    sure = same(gold, answer)
    return VerifyTask(spelled(gold), spelled(answer), boxed=True) if sure is None else sure
