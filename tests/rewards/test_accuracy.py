"""The accuracy reward on worked cases, on the golds of real data sets, and on hostile text."""

import importlib

import pytest
from from_outside import imported_by

from tina_lite.rewards import gold_parses
from tina_lite.rewards.accuracy import Judge, accuracy, verdicts
from tina_lite.rewards.call import chat
from tina_lite.rewards.workers import LOST

accuracy_module = importlib.import_module("tina_lite.rewards.accuracy")  # the package has a function of its name


@pytest.mark.parametrize(
    ("completion", "gold", "value"),
    [
        ("66+38=104\n</think>\n\\boxed{34}", "34", 1.0),
        ("\\boxed{35}", "34", 0.0),
        ("\\boxed{35} no: \\boxed{34}", "34", 1.0),
        ("\\boxed{34} no: \\boxed{35}", "34", 0.0),
        ("\\boxed{34} and \\boxed{35", "34", 1.0),
        ("\\boxed{\\boxed{34}}", "34", 1.0),
        ("\\boxed{}", "34", 0.0),
        ("\\boxed{34.}", "34", 1.0),
        ("\\boxed{ \\$1,034.00 }", "1034", 1.0),
        ("\\boxed{50\\%}", "50", 1.0),
        ("\\boxed{34\\text{ hours}}", "34", 1.0),
        ("\\boxed{x = 34}", "34", 1.0),
        ("\\boxed{0.5}", "\\frac{1}{2}", 1.0),
        ("\\boxed{\\dfrac{2}{4}}", "$\\frac{1}{2}$", 1.0),
        ("\\boxed{(\\frac{1}{2}, 3) + 1}", "(\\frac{1}{2}, 3)", 0.0),
        ("\\boxed{1 + x}", "x+1", 1.0),
        ("So the answer is 34.", "34", 1.0),
        ("It is $34$ or so: $35$", "35", 1.0),
        ("34 then 35", "34", 0.0),
        ("", "34", 0.0),
        ("no number", "34", 0.0),
        ("\\boxed{72}", "48/2 = 24\n48+24 = 72\n#### 72", 1.0),
        ("\\boxed{34}", "", None),
        ("\\boxed{34}", "\\frac{3}{", None),
    ],
)
def test_worked_cases(completion: str, gold: str, value: float | None) -> None:
    assert accuracy(chat(completion), [gold]) == [value]


def test_golds_that_are_no_text() -> None:
    assert accuracy(chat("\\boxed{34}", "\\boxed{34}", "\\boxed{34}"), [34, 34.0, None]) == [1.0, 1.0, None]


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" * 2000,
        "(" * 100_000,
        "\\boxed{" + "(" * 5000 + "}",
        "9" * 1_000_000,
        "\x00\\boxed{\x00}",
        "\ud800",
        "\\boxed{\ud800}",
        "\u202e43",
        "<b>35</b>",
        "\x1b[31m35",
        "\\boxed{34}}}}\\boxed{35}",
        "Q: 1+1? \\boxed{2}",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_hostile_text_is_wrong_and_no_more(text: str) -> None:
    assert verdicts([text, text], ["34", "\\frac{1}{2}"]) == [False, False]


def test_gold_parses() -> None:
    assert gold_parses("34")
    assert gold_parses("\\left( 3, \\frac{\\pi}{2} \\right)")
    assert gold_parses("\\text{Evelyn}")
    assert not gold_parses("")
    assert not gold_parses("?")
    assert not gold_parses("x" * 2000)
    assert not gold_parses("\\boxed{1")


def test_the_quickstart_imports_no_sympy_and_starts_no_worker() -> None:
    """Neither here nor in a worker: nothing runs beside the program at its end."""
    program = (
        "import tina_lite.rewards as r\n"
        "from tina_lite.rewards import accuracy as a\n"
        "texts = ['104-70=34\\n</think>\\n\\\\boxed{34}', '104-70=34\\nSo the answer is 34.', 'Wait, check']\n"
        "assert a.verdicts(texts, ['34'] * 3) == [True, True, False]\n"
        "assert a.math_verify.cache_info().currsize == 0"
    )
    assert imported_by(program, "sympy", "math_verify", "torch", "datasets", "transformers") == []


class SlowPool:
    """Loses each item so many times, as on a machine that stalls, and is right afterwards."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0

    def ask(self, requests):
        self.asked += 1
        return [LOST if self.asked <= self.times else True for _ in requests]


@pytest.mark.parametrize(
    ("times", "first", "second"),
    [(1, True, True), (2, LOST, True), (9, LOST, LOST)],
)
def test_a_time_out_is_asked_once_more_and_never_remembered_as_wrong(times, first, second, monkeypatch):
    pool = SlowPool(times)
    judge = Judge(pool)
    monkeypatch.setattr(accuracy_module, "math_verify", lambda: judge)
    text, gold = rf"\boxed{{x^{times} + y}}", f"y + x^{times}"
    assert verdicts([text], [gold]) == [first]
    assert verdicts([text], [gold]) == [second]


def test_a_time_out_is_a_failure_that_is_counted_and_shown(monkeypatch):
    from tina_lite.eval.samples import KeptSample
    from tina_lite.eval.scoring import judged
    from tina_lite.rewards import WeightedReward, resolve, score
    from tina_lite.util.records import Completion, Group, Problem, Prompt

    monkeypatch.setattr(accuracy_module, "math_verify", lambda: Judge(SlowPool(99)))
    problem = Problem(0, "", "a + b^7", {})
    texts = (r"\boxed{b^7 + a}", r"\boxed{a + b^7}")
    group = Group(Prompt(problem, "", (1,)), tuple(Completion((5,), (0.0,), text, "stop") for text in texts))
    scores = score([group], [WeightedReward(resolve("accuracy"), 1.0)])
    assert scores.groups[0].rewards["accuracy"] == (0.0, 1.0)
    assert scores.failures == {"accuracy": 1}
    assert scores.reason("accuracy") == "TimeoutError: math-verify was asked twice and did not decide within 5 s"
    kept = [KeptSample(0, number, "", problem.answer, text, 1, "stop", 0.0) for number, text in enumerate(texts)]
    [found] = judged({0: kept}, 2, "math")
    assert (found.right, found.undecided) == ((False, True), 1)
