"""Reads an answer: which kind of thing a text is, however it is spelt."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from tina_lite.answers.answer_types import (
    Choice,
    Date,
    Formula,
    InBase,
    Kind,
    Number,
    Ratio,
    Several,
    Span,
    TimeOfDay,
    Words,
)
from tina_lite.answers.extraction import LONGEST_ANSWER, bare, is_sane
from tina_lite.answers.numbers import DIGITS, MARKED, NOT_UNITS, digits_value, read_number, unmarked

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
BETWEEN_THOUSANDS = re.compile(r"(?<=\d)\{,\}(?=\d)")
NUMBER_IN_GROUPS = re.compile(r"(?<![\d.,/])(?<!\d\s)[1-9]\d{0,2}(?:[ ]\d{3})+(?![\d/])(?!\s+\d)")
WHITE = re.compile(r"[ \t]{2,}")


def one_spelling(text: str) -> str:
    r"""Spell signs and LaTeX in one way.

    >>> [one_spelling(text) for text in ("10 − 2√5", "1½ × 10⁻³", "４２", r"\dfrac12\,\left(x\right)")]
    ['10 - 2\\sqrt{5}', '1\\frac{1}{2} \\times 10^{-3}', '42', '\\frac12 (x)']
    >>> one_spelling(r"12\,345{,}678"), one_spelling("1 234 kg"), one_spelling("1 2 345"), one_spelling("90°")
    ('12345,678', '1234 kg', '1 2 345', '90^\\circ')
    """
    if not text.isascii():
        text = _without_unicode(text)
    if "\\" in text or "~" in text:
        text = NOTHING.sub("", SPACE.sub(" ", text))
        text = DEGREE.sub(r"^\\circ", FRACTION.sub(r"\\frac", text))
        text = UNEQUAL.sub(r"\\ne", MORE.sub(r"\\ge", LESS.sub(r"\\le", text)))
    text = BETWEEN_THOUSANDS.sub(",", text)
    text = NUMBER_IN_GROUPS.sub(lambda match: match.group().replace(" ", ""), text)
    return WHITE.sub(" ", text).strip()


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


MONTHS = "january february march april may june july august september october november december".split()
NAME = re.compile(r"(\\?[A-Za-z][A-Za-z'_{}\\\d\s]*(?:\([\w,\s]*\))?|\([\w,\s]*\))\s*(=|\\approx|\\in)(?![A-Za-z=])\s*")
ABOUT = re.compile(r"\\approx\s*|(?:about|approximately)\s+", re.IGNORECASE)
ISO_DATE = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})")
OTHER_DATE = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})")
MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in MONTHS)
MONTH_FIRST = re.compile(rf"({MONTH})\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(\d{{4}}))?", re.IGNORECASE)
DAY_FIRST = re.compile(rf"(\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?({MONTH})\.?(?:,?\s+(\d{{4}}))?", re.IGNORECASE)
CLOCK = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\s*([ap])\.?\s*m\.?)?|(\d{1,2})\s*([ap])\.?\s*m\.?", re.IGNORECASE
)
SPAN = re.compile(rf"({DIGITS})\s*(?:-|--|\bto\b)\s*({DIGITS})(.*)")
RATIO = re.compile(rf"{DIGITS}(?:\s*:\s*{DIGITS})+")
IN_BASE = re.compile(r"([0-9A-Za-z]+)\s*_\s*(?:\{\s*(\d+)\s*\}|(\d+))")
OPTION = re.compile(
    r"(?:\(\s*([A-Ja-j])\s*\)|\[\s*([A-J])\s*\]|([A-J])(?:[.):]|(?=$)))(?:[\s\\]+([^+*/^=\s].*)|)", re.DOTALL
)
OPTION_SAID = re.compile(r"(?:option|choice|answer)\s*:?\s*\(?([A-J])\)?", re.IGNORECASE)
WRAPPED = re.compile(rf"(?:{MARKED.pattern}|\*\*([^*]+)\*\*|`([^`]+)`|\"([^\"]+)\"|'([^']+)')")
SYMBOL = re.compile(r"[\\^_=+*/<>{}$|&]")
WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['-](?=[^\W\d_]))*")
SHORT_WORDS = frozenset("no up yes am pm ok on in at by go he she it me my we us is an as to so or if of do be".split())
NUMBERS_AS_TEXT = re.compile(r"-?[\d.]+(?:\s+-?[\d.]+)+|\d+(?:-\d+){2,}")
"""Rows of a grid, and numbers such as those of telephones: nothing to calculate with."""
DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
BRACKETS = {"(": "()", "[": "[]", "\\{": "{}", "{": "{}"}
CLOSING = (("\\}", "}"), ("}", "}"), (")", ")"), ("]", "]"))
SEPARATOR = re.compile(
    r"\\[{}]|[(){}\[\]]|,(?!\d{3}(?!\d))|,(?=\s)|;|\s+(?:and|or)\s+|\\(?:text|mbox|mathrm)\s*\{[\s,]*(?:and|or)\s*\}"
)


@lru_cache(maxsize=4096)
def kind_of(answer: str) -> Kind:
    r"""Read a text as the kind of answer that it is.

    >>> kind_of("-9\\%").percent, kind_of("6 eggs").unit, kind_of("1e5").value, kind_of(r"2\frac{2}{3}").value
    (True, 'egg', Fraction(100000, 1), Fraction(8, 3))
    >>> kind_of("2024-05-01").parts, kind_of("3:30 pm"), kind_of("B. 12 apples"), kind_of("New  York")
    ((2024, 5, 1), TimeOfDay(seconds=55800, half='pm'), Choice(letter='B', meaning='12 apples'), Words(text='new york'))
    >>> kind_of(r"\{1, 2\}").brackets, len(kind_of("3, 5 and 7").items), kind_of("52_8"), kind_of("x^2 + 1")
    ('{}', 3, InBase(digits='52', base=8), Formula(text='x^2 + 1'))
    """
    if not is_sane(answer):
        return Formula(answer[:LONGEST_ANSWER])
    text, upright = bare(one_spelling(answer)), False
    while match := WRAPPED.fullmatch(text):
        text = bare(next(inner for inner in match.groups() if inner is not None))
        upright = upright or any(match.group(1, 4, 5))
    plain = unmarked(text).strip()
    if not plain:
        return Formula(text)
    return (
        _option(plain)
        or _time(plain)
        or _in_base(plain)
        or _named_number(text)
        or _span(plain)
        or _several(text)
        or _words(plain, upright)
        or Formula(text)
    )


def _option(text: str) -> Choice | None:
    said = OPTION_SAID.fullmatch(text)
    if said:
        return Choice(said[1].upper())
    match = OPTION.fullmatch(text)
    if match is None:
        return None
    parenthesised, bracketed, bare_letter, meaning = match.groups()
    letter = parenthesised or bracketed or bare_letter
    return Choice(letter.upper(), (meaning or "").strip()) if letter.isupper() or not meaning else None


def _time(text: str) -> Date | TimeOfDay | Ratio | None:
    if match := ISO_DATE.fullmatch(text):
        return Date((int(match[1]), int(match[3]), int(match[4])))
    if match := OTHER_DATE.fullmatch(text):
        return Date((int(match[1]), int(match[3]), int(match[4])), order_known=False)
    if match := MONTH_FIRST.fullmatch(text):
        return Date((int(match[3] or 0), _month(match[1]), int(match[2])))
    if match := DAY_FIRST.fullmatch(text):
        return Date((int(match[3] or 0), _month(match[2]), int(match[1])))
    if match := CLOCK.fullmatch(text):
        hours, minutes, seconds, half, hour_alone, half_alone = match.groups()
        if int(minutes or 0) < 60 and int(hours or hour_alone) <= 24:
            return _clock(int(hours or hour_alone), int(minutes or 0), int(seconds or 0), half or half_alone or "")
    if RATIO.fullmatch(text):
        return Ratio(tuple(digits_value(part) for part in re.split(r"\s*:\s*", text)))
    return None


def _month(name: str) -> int:
    return next(number for number, month in enumerate(MONTHS, 1) if month.startswith(name.lower()[:3]))


def _clock(hours: int, minutes: int, seconds: int, half: str) -> TimeOfDay:
    half = f"{half.lower()}m" if half else ""
    hours = hours % 12 + (12 if half == "pm" else 0) if half else hours
    return TimeOfDay((hours * 60 + minutes) * 60 + seconds, half)


def _in_base(text: str) -> InBase | None:
    match = IN_BASE.fullmatch(text)
    if match is None:
        return None
    digits, base = match[1].upper(), int(match[2] or match[3])
    fits = all(int(digit, 36) < base for digit in digits)
    return InBase(digits, base) if fits or any(digit.isdigit() for digit in digits) else None


def _named_number(text: str) -> Number | None:
    name, text = without_name(text)
    text = ABOUT.sub("", text, count=1) if ABOUT.match(text) else text
    number = read_number(text)
    if number is None:
        return None
    return Number(number.value, number.rounded, number.percent, number.unit, name)


def without_name(text: str) -> tuple[str, str]:
    r"""What a text gives the value of, and the rest.

    >>> without_name(r"x = 5"), without_name("x + y = 5"), without_name(r"x \in (1, 2)"), without_name("5")
    (('x', '5'), ('', 'x + y = 5'), ('x', '(1, 2)'), ('', '5'))
    """
    match = NAME.match(text) if "=" in text or "\\in" in text or "\\approx" in text else None
    if match is None or "=" in text[match.end() :]:
        return "", text
    return "".join(unmarked(match[1]).split()), text[match.end() :]


def _span(text: str) -> Span | None:
    match = SPAN.fullmatch(text)
    if match is None:
        return None
    low, high = read_number(match[1]), read_number(match[2] + match[3])
    return Span(low, high) if low and high else None


def _several(text: str) -> Kind | None:
    """A list of two or more; one thing alone in brackets is that thing."""
    _, text = without_name(text)
    brackets, inside = _unbracketed(text)
    parts = list(_parts(inside))
    if not all(parts) or (len(parts) < 2 and not brackets):
        return None
    if len(parts) == 1:
        inner = kind_of(inside)
        return None if isinstance(inner, Formula) else inner
    decimal = text.replace(",", ".") if DECIMAL_COMMA.fullmatch(text) else ""
    return Several(tuple(kind_of(part.strip()) for part in parts), brackets, decimal)


def _unbracketed(text: str) -> tuple[str, str]:
    r"""The outer brackets, where one pair holds all of the text, and what they hold."""
    for opening in BRACKETS:
        if not text.startswith(opening):
            continue
        for closing, name in CLOSING:
            inside = text[len(opening) : -len(closing)]
            if text.endswith(closing) and _balanced(inside):
                pair = BRACKETS[opening][0] + name
                mixed = pair in ("[)", "(]")
                return (pair, inside) if pair in BRACKETS.values() or mixed else ("", text)
        break
    return "", text


def _balanced(text: str) -> bool:
    depth = 0
    for match in re.finditer(r"[][(){}]", text):
        depth += 1 if match.group() in "([{" else -1
        if depth < 0:
            return False
    return depth == 0


def _parts(text: str) -> Iterator[str]:
    """What stands between commas, semicolons, "and" and "or" outside of brackets."""
    depth = start = 0
    for match in SEPARATOR.finditer(text):
        mark = match.group()
        if mark[-1] in "([{" and len(mark) <= 2:
            depth += 1
        elif mark[-1] in ")]}" and len(mark) <= 2:
            depth -= 1
        elif depth == 0:
            if text[start : match.start()].strip() or not mark.strip(" ,").startswith(("and", "or", "\\")):
                yield text[start : match.start()].strip()
            start = match.end()
    yield text[start:].strip()


def _words(text: str, upright: bool) -> Words | None:
    said = "\n".join(" ".join(line.split()) for line in text.strip().splitlines()).rstrip(".!")
    if NUMBERS_AS_TEXT.fullmatch(said):
        return Words(said)
    if SYMBOL.search(said):
        return None
    words = WORD.findall(said)
    if any(word.lower() in NOT_UNITS for word in words) and not upright:
        return None
    telling = [
        word for word in words if len(word) > 2 or word.lower() in SHORT_WORDS or (word.istitle() and len(word) > 1)
    ]
    attached = re.search(r"\d[^\W\d_]{2}|[^\W\d_]\d", said) is not None
    return Words(said.casefold()) if (telling and not attached) or (upright and words) else None
