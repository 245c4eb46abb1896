r"""Whether two answers are the same, where that is plain; what is left is math-verify's to say.

Plain are numbers however they are written, their units by pint, words, and the letter of an option.
"""

import re
import unicodedata
from functools import lru_cache

from tina_lite.answers.finding import bare, is_sane
from tina_lite.answers.numbers import FUNCTIONS, read_number, same_numbers

# ruff: noqa: RUF001, RUF002 (signs that look like others are its subject)

SIGNS = {
    "−": "-", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "﹣": "-",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": r"\div ", "±": r"\pm ", "∓": r"\mp ",
    "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "≡": r"\equiv ",
    "∞": r"\infty ", "∅": r"\emptyset ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∉": r"\notin ",
    "∠": r"\angle ", "°": r"^\circ ", "º": r"^\circ ", "℃": r"^\circ C", "℉": r"^\circ F",
    "π": r"\pi ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "ε": r"\epsilon ",
    "θ": r"\theta ", "λ": r"\lambda ", "μ": r"\mu ", "µ": r"\mu ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ",
    "φ": r"\phi ", "ϕ": r"\phi ", "ω": r"\omega ", "Ω": r"\Omega ", "Δ": r"\Delta ", "Σ": r"\Sigma ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
    "“": '"', "”": '"', "‘": "'", "’": "'", "′": "'", "⁄": "/", "∕": "/", "∶": ":",
}  # fmt: skip
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺ⁿ", "0123456789-+n", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
FULL_WIDTH = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
TABLE = str.maketrans(SIGNS) | FULL_WIDTH

RAISED = re.compile(f"[{''.join(SUPERSCRIPTS)}]+")
LOWERED = re.compile(f"[{''.join(SUBSCRIPTS)}]+")
VULGAR_FRACTION = re.compile("[¼½¾⅐-⅞↉]")
ROOT = re.compile(r"(√|∛)\s*(?:\(([^()]*)\)|\{([^{}]*)\}|([\d.]+|[A-Za-z]|\\pi))")
SPACE = re.compile(r"(?<!\\)\\[,;:> ]|\\q?quad(?![A-Za-z])|~|[\u00a0\u2000-\u200a\u202f\u205f\u3000]")
NOTHING = re.compile(
    r"(?<!\\)\\!|\\(?:left|right|[bB]igg?[lr]?|displaystyle|textstyle|limits)(?![A-Za-z])\.?|[\u200b-\u200f\u2060\ufeff]"
)
FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
DEGREE = re.compile(r"\^\s*\{\s*\\circ\s*\}|\\degree(?![A-Za-z])|\\textdegree(?![A-Za-z])")
LESS, MORE, UNEQUAL = (re.compile(rf"\\{name}q(?:slant)?(?![A-Za-z])") for name in ("le", "ge", "ne"))
BETWEEN_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,\\!\s*)(?=\d)")
NUMBER_IN_GROUPS = re.compile(r"(?<![\d.,/])(?<!\d\s)[1-9]\d{0,2}(?:[ ]\d{3})+(?![\d/])(?!\s+\d)")
WHITE = re.compile(r"[ \t]{2,}")

MARKED = re.compile(
    r"\\(?:text|mbox|mathrm|textrm|textit|mathit|textbf|mathbf|operatorname|hbox|underline)\s*\{([^{}]*)\}"
)
WRAPPED = re.compile(rf"(?:{MARKED.pattern}|\*\*([^*]+)\*\*|`([^`]+)`|\"([^\"]+)\"|'([^']+)')")
PI = re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])")
QUOTES = re.compile(r"[\"'`{}]")
LIST_MARK = re.compile(r"\s*(?:,\s*and\b|\band\b|[,;])\s*")
DASH = re.compile(r" ?- ?")
NO_SOLUTIONS = re.compile(r"\bno (?:real )?solutions?\b")
LAST_STOP = re.compile(r"(?<=[^\W\d])[.!]+$")
AND_OR = re.compile(r"\b(?:and|or)\b")
THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
OPTION = re.compile(
    r"(?:\(\s*([A-Ja-j])\s*\)|\[\s*([A-J])\s*\]|([A-J])(?:[.):]|(?=$)))(?:[\s\\]+([^+*/^=\s].*)|)", re.DOTALL
)
OPTION_SAID = re.compile(r"(?:option|choice|answer)\s*:?\s*\(?([A-J])\)?", re.IGNORECASE)
NO_NUMBER = re.compile(
    r"-?[\d.]+(?:[ \n]+-?[\d.]+)+|\d+\s*-\s*\d+[A-Za-z ]*|\d+(?:-\d+){2,}|\d+([-/.])\d+\1\d+|\d+:\d+.*[A-Za-z].*"
    r"|\w+_\{?\d+\}?|.*(['\"])\w+\2.*",
    re.DOTALL,
)
"""Rows of a grid, ranges, numbers of telephones, dates, times of day, numbers in a base, names in quotes."""
SYMBOL = re.compile(r"[\\^_=+*/<>{}$|&]")
WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['-](?=[^\W\d_]))*")
SHORT_WORDS = frozenset("no up yes am pm ok on in at by go he she it me my we us is an as to so or if of do be".split())
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")


def one_spelling(text: str) -> str:
    r"""Spell signs and LaTeX in one way.

    >>> [one_spelling(text) for text in ("10 − 2√5", "1½ × 10⁻³", "４２", r"\dfrac12\,\left(x\right)")]
    ['10 - 2\\sqrt{5}', '1\\frac{1}{2} \\times 10^{-3}', '42', '\\frac12 (x)']
    >>> one_spelling(r"12\,345{,}678"), one_spelling("1 234 kg"), one_spelling("1 2 345"), one_spelling("90°")
    ('12345,678', '1234 kg', '1 2 345', '90^\\circ')
    """
    if not text.isascii():
        text = _without_unicode(text)
    text = BETWEEN_THOUSANDS.sub(",", text)
    if "\\" in text or "~" in text:
        text = NOTHING.sub("", SPACE.sub(" ", text))
        text = DEGREE.sub(r"^\\circ", FRACTION.sub(r"\\frac", text))
        text = UNEQUAL.sub(r"\\ne", MORE.sub(r"\\ge", LESS.sub(r"\\le", text)))
    text = WHITE.sub(" ", text).strip()
    return NUMBER_IN_GROUPS.sub(lambda match: match.group().replace(" ", ""), text)


def _without_unicode(text: str) -> str:
    text = RAISED.sub(lambda match: f"^{{{_looked_up(match.group(), SUPERSCRIPTS)}}}", text)
    text = LOWERED.sub(lambda match: f"_{{{_looked_up(match.group(), SUBSCRIPTS)}}}", text)
    text = VULGAR_FRACTION.sub(_fraction, text)
    text = ROOT.sub(_root, text)
    return NOTHING.sub("", SPACE.sub(" ", text.translate(TABLE)))


def _looked_up(signs: str, table: dict[str, str]) -> str:
    return "".join(table[sign] for sign in signs)


def _fraction(match: re.Match[str]) -> str:
    over, _, under = unicodedata.normalize("NFKC", match.group()).partition("\u2044")
    return rf"\frac{{{over}}}{{{under}}}"


def _root(match: re.Match[str]) -> str:
    sign, *insides = match.groups()
    return rf"\sqrt{'[3]' if sign == '∛' else ''}{{{next(inside for inside in insides if inside is not None)}}}"


@lru_cache(maxsize=4096)
def spelled(text: str) -> str:
    r"""An answer as math-verify is to read it: in one spelling, without emphasis or quotes around all of it.

    >>> spelled(r"**½**"), spelled(r"\textbf{12\,345}."), spelled("2pi")
    ('\\frac{1}{2}', '12345', '2\\pi ')
    """
    text = bare(one_spelling(text.rstrip("\\")))
    while match := WRAPPED.fullmatch(text):
        text = bare(next(inner for inner in match.groups() if inner is not None))
    if AND_OR.search(text):
        text = THOUSANDS.sub(lambda match: match.group().replace(",", ""), text)
    return PI.sub(r"\\pi ", text)


def plain(text: str) -> str:
    r"""The same as a person would type it: without commands for upright text.

    >>> plain(r"\text{New  York}"), plain(r"5\mathrm{cm}^2"), plain(r"\textbf{(B)}\ 7")
    ('New York', '5 cm^2', '(B) 7')
    """
    return WHITE.sub(" ", MARKED.sub(r" \1", spelled(text)).replace("\\ ", " ")).strip()


def letters(text: str) -> str:
    """A text (`is_text`) as it is compared: case, quotes, white space and the last stop tell nothing.

    >>> letters("['a',  'B']") == letters("[a,b]"), letters("Alice and Bob"), letters("1 2\\n3") == letters("1 2 3")
    (True, 'alice,bob', False)
    """
    lines = "\n".join(" ".join(QUOTES.sub("", line).split()) for line in text.casefold().splitlines())
    listed = DASH.sub("-", LIST_MARK.sub(",", lines))
    return LAST_STOP.sub("", NO_SOLUTIONS.sub("no solution", listed))


@lru_cache(maxsize=4096)
def same(gold: str, answer: str) -> bool | None:
    r"""Whether an answer is the gold; None: ask math-verify.

    >>> [same("1/2", text) for text in ("0.5", r"50\%", "x = 1/2", "2", "half")], same("Paris", "paris.")
    ([True, True, None, False, False], True)
    >>> [same("B", text) for text in ("(b)", "B. 12 apples", "A", "12")], same("12", "B. 12"), same("5 cm", "5 m")
    ([True, True, False, False], True, False)
    """
    if not (is_sane(gold) and is_sane(answer)):
        return False
    gold, answer = plain(gold), plain(answer)
    if gold == answer or (is_text(gold) and letters(gold) == letters(answer)):
        return True
    option, chosen = read_option(gold), read_option(answer)
    if option:
        return _same_option(option, chosen, answer)
    if chosen and chosen[1]:
        return same(gold, chosen[1])
    expected, given = read_number(gold), read_number(answer)
    if expected and not given and DECIMAL_COMMA.fullmatch(answer):
        given = read_number(answer.replace(",", "."))
    if expected and given:
        return same_numbers(expected, given)
    return False if is_text(gold) or (expected and (chosen or is_text(answer))) else None


Option = tuple[str, str]
"""A letter, and what the choice says."""


def read_option(text: str) -> Option | None:
    """The letter of a multiple choice, A to J, and what stands behind it.

    >>> read_option("(c)"), read_option("B. 12 apples"), read_option("Option D"), read_option("b"), read_option("x")
    (('C', ''), ('B', '12 apples'), ('D', ''), None, None)
    """
    if said := OPTION_SAID.fullmatch(text):
        return said[1].upper(), ""
    match = OPTION.fullmatch(text)
    if match is None:
        return None
    *named, meaning = match.groups()
    letter = next(filter(None, named))
    return (letter.upper(), (meaning or "").strip()) if letter.isupper() or not meaning else None


def _same_option(gold: Option, chosen: Option | None, answer: str) -> bool:
    if chosen is None:
        return answer.upper() == gold[0] or (bool(gold[1]) and same(gold[1], answer) is True)
    return gold[0] == chosen[0] and not (gold[1] and chosen[1] and same(gold[1], chosen[1]) is False)


def is_text(text: str) -> bool:
    """Whether there is nothing to calculate: words, dates, ranges, rows of numbers are compared letter by letter.

    >>> [is_text(text) for text in ("New York", "May 1, 2024", "2024-05-01", "10-20", "3:30 pm", "1 2 3", "52_8")]
    [True, True, True, True, True, True, True]
    >>> [is_text(text) for text in ("12", "6 eggs", "x", "xy", "2 or 3", r"\\frac{1}{2}", "sin x", "x - 2", "3:2")]
    [False, True, False, False, False, False, False, False, False]
    """
    if NO_NUMBER.fullmatch(text):
        return True
    if SYMBOL.search(text):
        return False
    words = [word for word in WORD.findall(AND_OR.sub(" ", text)) if len(word) > 1 and word.lower() not in FUNCTIONS]
    attached = re.search(r"\d[^\W\d_]|[^\W\d_]\d", text)
    return not attached and any(len(word) > 2 or word.istitle() or word.lower() in SHORT_WORDS for word in words)
