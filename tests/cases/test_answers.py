r"""Verdicts of pairs that people brought: a gold, an answer, and what a person says of it.

Those that are wrong today are expected failures.
"""

import pytest

from tina_lite.rewards.accuracy import decided

RIGHT_TODAY = [
    (r"10455", r"\boxed{$10,455$}", True),
    (r"1.22", r"\boxed{1,22}", True),
    (r"\begin{pmatrix} \frac{1}{2} \\ 3 \end{pmatrix}", r"\boxed{\begin{pmatrix} 0.5 \\ 3 \end{pmatrix}}", True),
    (r"(7,11) or (11,7)", r"\boxed{(7,11),\ (11,7)}", True),
    (r"12", r"\boxed{12 \text{ (apples)}}", True),
    (r"12", r"\boxed{\ 12\ }", True),
    (r"12", r"\boxed{=12}", True),
    (r"\frac{1}{2004!}", r"\boxed{\frac{1}{2006!}}", False),
    (r"12", r"\boxed{\underline{12}}", True),
    (r"\frac{\pi}{3}", r"\boxed{pi/3}", True),
    (r"no solutions", r"\boxed{no solution}", True),
    (r"11,\! 111,\! 111,\! 100", r"\boxed{11111111100}", True),
    (r"32,\! 349", r"\boxed{32349}", True),
]
WRONG_TODAY = [
    (r"\frac{1}{3}", r"\boxed{0.\overline{3}}", True),
    (r"(\frac{3}{5},\frac{8}{3}]", r"\boxed{(0.6,2.6667]}", True),
    (r"x \in [-2,7]", r"\boxed{-2 \le x \le 7}", True),
    (r"\boxed{1}\boxed{2}", r"\boxed{1,2}", True),
]


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [*RIGHT_TODAY, *(pytest.param(*pair, marks=pytest.mark.xfail(strict=True)) for pair in WRONG_TODAY)],
)
def test_a_person_and_the_reward_say_the_same(gold, answer, right):
    assert decided([f"So it is {answer}."], [gold]) == [right]
