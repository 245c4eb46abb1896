"""Reads an answer: which kind of thing a text is."""

import re
from collections.abc import Iterator
from functools import lru_cache

from tina_lite.answers.finding import LONGEST_ANSWER, bare, is_sane
from tina_lite.answers.kinds import Clock, Date, Formula, InBase, Kind, Number, Option, Ratio, Several, Span, Words
from tina_lite.answers.numerals import DIGITS, digits_value, read_number
from tina_lite.answers.spelling import one_spelling
from tina_lite.answers.units import MARKED, NOT_UNITS, unmarked

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
    r"""
    >>> kind_of("-9\\%").percent, kind_of("6 eggs").unit, kind_of("1e5").value, kind_of(r"2\frac{2}{3}").value
    (True, 'egg', Fraction(100000, 1), Fraction(8, 3))
    >>> kind_of("2024-05-01").parts, kind_of("3:30 pm"), kind_of("B. 12 apples"), kind_of("New  York")
    ((2024, 5, 1), Clock(seconds=55800, half='pm'), Option(letter='B', meaning='12 apples'), Words(text='new york'))
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


def _option(text: str) -> Option | None:
    said = OPTION_SAID.fullmatch(text)
    if said:
        return Option(said[1].upper())
    match = OPTION.fullmatch(text)
    if match is None:
        return None
    parenthesised, bracketed, bare_letter, meaning = match.groups()
    letter = parenthesised or bracketed or bare_letter
    return Option(letter.upper(), (meaning or "").strip()) if letter.isupper() or not meaning else None


def _time(text: str) -> Date | Clock | Ratio | None:
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


def _clock(hours: int, minutes: int, seconds: int, half: str) -> Clock:
    half = f"{half.lower()}m" if half else ""
    hours = hours % 12 + (12 if half == "pm" else 0) if half else hours
    return Clock((hours * 60 + minutes) * 60 + seconds, half)


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
