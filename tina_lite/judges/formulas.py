"""Math-verify as a program of its own, so that sympy can neither hang nor bloat a run, and torch is never imported.

In: `{"gold": ..., "answer": ..., "boxed": true}`. Out: true, false, or null where the gold cannot be parsed.
"""

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

ADDRESS_SPACE_BYTES = 2 << 30
"""What grows without end ends in a MemoryError, not in the machine's last byte."""
ORPHAN_GRACE_S = 2.0


def serve(prepare: Callable[[], object], judged: Callable[[Mapping[str, Any]], object]) -> None:
    """Answer until the pipe ends; nothing but answers reaches it.

    In: `{"limit_s": 5.0, ...}`, one a line. Out: `"ready"` once `prepare` has imported what is heavy, then for each
    line what `judged` makes of it. No file is written by anything that an answer may set off.
    """
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    prepare()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    print(json.dumps("ready"), file=replies)
    for line in sys.stdin:
        request = json.loads(line)
        # The kernel ends this process should its parent be gone and the work be lost: by processor time, as the parent
        # is patient with a worker that could not run.
        signal.setitimer(signal.ITIMER_PROF, request["limit_s"] + ORPHAN_GRACE_S)
        verdict = judged(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(json.dumps(verdict), file=replies)


LARGEST_POWER_BITS = 1 << 17
LARGEST_FACTORIAL = 10_000
NEAR, EXACT, LEAST, DIGITS = 1e-5, 1e-15, 1e-60, 20


def parsed(text: str, boxed: bool) -> list[Any]:
    """Parse a text as math-verify does: sympy expressions, and the text itself as a last resort.

    Of a box all is read or nothing: by default math-verify would go on to look for numbers inside one that it cannot
    parse, and take the set of 1/2 and 3/4 from a nonsense that holds them.
    """
    from math_verify import LatexExtractionConfig, parse

    if not boxed:
        return parse(text, parsing_timeout=None)  # type: ignore[no-any-return]
    whole_box = LatexExtractionConfig(try_extract_without_anchor=False, boxed_match_priority=0)
    return parse(f"\\boxed{{{text}}}", [whole_box], extraction_mode="first_match", parsing_timeout=None)  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def parsed_gold(gold: str) -> list[Any]:
    return parsed(gold, boxed=True)


def judge(gold: str, answer: str, boxed: bool) -> bool | None:
    r"""Whether the answer equals the gold; None where the gold cannot be parsed.

    Where the gold is a number, what is still to be worked out is wrong, unless the text has said the number before it:
    "133 eggs (59 + 74)". A policy would learn to say the question again. What only comes near is the gold unrounded.

    >>> judge(r"\frac{1}{2}", "0.5", boxed=True), judge("x + 1", "it is $1 + x$", boxed=False), judge("", "1", True)
    (True, True, None)
    >>> judge("133", "59 + 74", boxed=True), judge("133", "60 + 73 = 133", True), judge("6.283185", r"2\pi", True)
    (False, True, True)
    """
    expected = parsed_gold(gold)
    if not expected:
        return None
    given = parsed(answer, boxed)
    if not equal(expected, given):
        return False
    if not getattr(expected[0], "is_Number", False) or is_written_out(given) or tell_apart(expected, given, EXACT):
        return True
    said_before = parsed("" if boxed else answer[: max(0, answer.rfind(given[-1]))].rstrip(" =([$:"), boxed=False)
    return is_written_out(said_before) and equal(expected, said_before)


def equal(expected: list[Any], given: list[Any]) -> bool:
    from math_verify import verify

    return bool(verify(expected, given, timeout_seconds=None)) and not tell_apart(expected, given, NEAR)


def is_written_out(found: list[Any]) -> bool:
    r"""Whether it is a number as people write one: with a sign, as a fraction, power, percentage, times a power of ten.

    Factorials and binomial coefficients are among them, as answers to counting are often left so.

    >>> numbers = "12", r"\frac{120}{2}", "2^{10}", r"1.5 \times 10^3", r"9\%", "5 + 7 = 12", r"\frac{8!}{2!2!}"
    >>> others = "59 - 74", r"3 \cdot 4", "x = 2(3 + 1)", r"\sqrt{9}", r"\log_2 8", r"\gcd(6, 9)", "x"
    >>> [[is_written_out(parsed(text, True)) for text in texts].count(True) for texts in (numbers, others)]
    [7, 0]
    """
    return bool(found) and _is_written_out(found[0])


def _is_written_out(value: Any) -> bool:
    from sympy import Expr

    if not isinstance(value, Expr):  # an equation, or a set of one
        return isinstance(value, str) or any(map(_is_written_out, value.args))
    if value.is_Mul:
        return all(map(_is_written_out, value.args)) and sum(map(_is_factor, value.args)) <= 1
    if value.is_Pow:
        return bool(value.exp.is_Integer) and _is_written_out(value.base)
    return bool(value.is_Number) or _is_named(value)


def _is_factor(part: Any) -> bool:
    """No sign, percent sign, power of ten, factorial, nor what is below the line of a fraction."""
    is_shift = part.is_Pow and (part.base == 10 or part.exp.is_negative)
    return not (is_shift or part == -1 or _is_named(part))


def _is_named(value: Any) -> bool:
    """A percent sign, a factorial, a binomial coefficient."""
    name = type(value).__name__
    return name in ("factorial", "binomial") or (name == "UnevaluatedExpr" and bool(value.args[0] * 100 == 1))


def tell_apart(expected: list[Any], given: list[Any], rounding: float) -> bool:
    """Whether two numbers differ by more than rounding: math-verify takes those for equal that share six decimals.

    >>> [tell_apart(parsed("1/2^{99}", True), parsed(text, True), NEAR) for text in ("1/2^{98}", "2^{-99}")]
    [True, False]
    """
    gold, answer = _number(expected), _number(given)
    if gold is None or answer is None:
        return False
    noise = LEAST if gold == 0 or answer == 0 else 0
    return bool(abs(gold - answer) > max(noise, rounding * abs(gold)))


def _number(found: list[Any]) -> Any:
    """Its value, of any size, where the first reading is one real number; else None."""
    try:
        said = getattr(found[0], "rhs", found[0])
        value = said.evalf(DIGITS) if getattr(said, "is_number", False) else None
    except (ArithmeticError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return value if getattr(value, "is_Float", False) or getattr(value, "is_Integer", False) else None


def leave_the_huge_symbolic() -> None:
    """Sympy would work 9**9**9 and 9999999! out to the last digit; here they stay powers and factorials."""
    import sympy

    def unless(huge: Callable[..., bool], method: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: None if huge(*arguments) else method(*arguments)

    def huge_power(base: Any, exponent: Any) -> bool:
        if not isinstance(exponent, sympy.Rational) or base in (-1, 1):
            return False
        bits = max(abs(base.p), base.q).bit_length()
        return bool(bits * abs(exponent.p) > LARGEST_POWER_BITS * exponent.q)

    def huge_argument(n: Any, *_: Any) -> bool:
        return bool(n.is_Integer and abs(n.p) > LARGEST_FACTORIAL)

    for kind in (sympy.Integer, sympy.Rational):
        kind._eval_power = unless(huge_power, kind._eval_power)
    for function in (sympy.factorial, sympy.factorial2, sympy.binomial):
        function.eval = unless(huge_argument, function.eval)


def judged(gold: str, answer: str, boxed: bool) -> bool | None:
    try:
        return judge(gold, answer, boxed)
    except (Exception, MemoryError):  # sympy raises all kinds of things on nonsense
        return False


def prepare() -> None:
    leave_the_huge_symbolic()
    judge("x", "y", boxed=True)  # imports, and builds the parser's tables


def main() -> None:
    serve(prepare, lambda request: judged(request["gold"], request["answer"], request["boxed"]))
