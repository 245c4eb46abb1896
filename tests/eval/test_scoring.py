"""From completions to figures: hand-worked cases, votes, comparisons, the paper's table."""

import pytest

from tina_lite.eval.samples import KeptSample
from tina_lite.eval.scoring import compared, judged, majority_share, result_of
from tina_lite.eval.tables import PAPER_BENCHMARKS, paper_results


def kept(problem, *answers, gold="4", usd=0.25, tokens=10, finish="stop"):
    return [
        KeptSample(problem, number, f"question {problem}", gold, answer, tokens, finish, usd)
        for number, answer in enumerate(answers)
    ]


RIGHT, ALSO_RIGHT, WRONG = r"\boxed{4}", r"so it is \boxed{4.0}", r"\boxed{5}"


def test_figures_by_hand():
    groups = {
        0: kept(0, RIGHT, ALSO_RIGHT, WRONG, r"\boxed{6}"),
        1: kept(1, WRONG, WRONG, RIGHT, "none", finish="length", tokens=20),
        2: kept(2, RIGHT, WRONG),
    }
    found = judged(groups, 4, "math")
    assert [one.right for one in found] == [(True, True, False, False), (False, False, True, False)]
    result = result_of("mine", "sums", groups, found, asked=3, too_long=1)
    assert (result.problems, result.asked, result.too_long, result.samples) == (2, 3, 1, 4)
    assert result.pass_at_1.value == pytest.approx(3 / 8)
    assert {k: one.value for k, one in result.pass_at_k.items()} == pytest.approx({2: (5 / 6 + 1 / 2) / 2, 4: 1.0})
    assert result.majority.value == pytest.approx(0.5)  # problem 0 by two votes of four, problem 1 not
    assert (result.mean_length, result.cut_off, result.usd) == (15.0, 0.5, 2.5)


def test_nothing_finished_is_no_result():
    assert result_of("mine", "sums", {0: kept(0, RIGHT)}, judged({0: kept(0, RIGHT)}, 4, "math"), 1, 0) is None


def test_one_sample_has_no_pass_at_k_and_wilsons_interval():
    groups = {problem: kept(problem, RIGHT if problem else WRONG) for problem in range(4)}
    result = result_of("mine", "sums", groups, judged(groups, 1, "math"), 4, 0)
    assert result.pass_at_k == {}
    assert result.pass_at_1.ci95 == pytest.approx((0.3006, 0.9544), abs=1e-4)


def test_choices_are_judged_by_letter():
    groups = {0: kept(0, "The answer is (B).", r"\boxed{\text{B}}", "Beta", "Answer: A", gold="B")}
    assert judged(groups, 4, "choice")[0].right == (True, True, False, False)


@pytest.mark.parametrize(
    ("texts", "right", "expected"),
    [
        ([RIGHT, WRONG, r"\boxed{5.0}"], [True, False, False], 0.0),  # 5 and 5.0 are one vote
        ([RIGHT, WRONG, r"\boxed{6}"], [True, False, False], 1 / 3),
        (["", "hm", "no"], [False, False, False], 0.0),
        (["so 5", "so 7", RIGHT, ALSO_RIGHT], [False, False, True, True], 1.0),
        ([RIGHT, "so it is 5", "so it is 5.0"], [True, False, False], 0.0),  # in a sentence too
    ],
)
def test_majority(texts, right, expected):
    assert majority_share(texts, right) == pytest.approx(expected)


def test_two_models_are_compared_on_the_problems_that_both_finished():
    ours = judged({n: kept(n, RIGHT, RIGHT) for n in range(6)} | {9: kept(9, RIGHT, RIGHT)}, 2, "math")
    theirs = judged({n: kept(n, RIGHT if n == 0 else WRONG, WRONG) for n in range(6)}, 2, "math")
    result = compared("mine", "base", "sums", ours, theirs)
    assert (result.problems, result.better, result.worse) == (6, 6, 0)
    assert result.difference == pytest.approx(11 / 12)
    assert result.p == pytest.approx(2 / 2**6)
    assert compared("mine", "base", "sums", ours[-1:], theirs) is None


def test_a_model_against_itself_is_no_difference():
    ours = judged({n: kept(n, RIGHT, WRONG) for n in range(6)}, 2, "math")
    result = compared("mine", "mine", "sums", ours, ours)
    assert (result.difference, result.p) == (0.0, 1.0)
    assert -result.ci95[0] == result.ci95[1] > 0.2, "of six problems nothing is that sure"


def test_the_papers_averages_are_those_of_its_six_benchmarks():
    """A digit copied wrong would show here; the paper rounds to a hundredth of a point."""
    results = paper_results()
    assert len(results) == 16
    for one in results:
        assert sum(one.pass_at_1.values()) / 6 == pytest.approx(one.average, abs=1e-4), one.model
        assert tuple(one.pass_at_1) == PAPER_BENCHMARKS
    best = max((one for one in results if one.kind == "main"), key=lambda one: one.average)
    assert best.model == "Tina-Open-RS2"
