"""Numbers as people write them: thousands, decimals, fractions, powers of ten, percent; units."""

import re
from fractions import Fraction

from tina_lite.answers.answer_types import Number

CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee", "₩": "won", "₽": "ruble"}
NAMES = """
mm millimeter millimetre; cm centimeter centimetre; dm decimeter decimetre; m meter metre; km kilometer kilometre
in inch inches; ft foot feet; yd yard; mi mile; mg milligram; g gram; kg kilogram kilo; t ton tonne; lb lbs
oz ounce; ml milliliter millilitre; cl; dl; l liter litre; gallon gal; s sec second; ms millisecond; min minute
h hr hour; day; week; month; yr year; hz hertz; khz kilohertz; mhz megahertz; n newton; j joule; kj kilojoule; w watt
kw kilowatt; mw megawatt; kwh; v volt; ma; ohm; pa pascal; kpa; mph; kph kmh; mol mole; kelvin; celsius; fahrenheit
degree degrees deg; radian radians rad; dollar usd; euro eur; pound gbp; yen jpy; rupee inr; cent; percent; acre; bit
byte kb mb gb
"""
KNOWN = {
    word: names.split()[0] for line in NAMES.strip().splitlines() for names in line.split(";") for word in names.split()
}
KNOWN_NAMES = frozenset({*KNOWN.values(), *CURRENCIES.values(), "degree c", "degree f", "degree k"})
NOT_UNITS = frozenset(
    "sin cos tan cot csc log exp sqrt frac mod and the ln pi max gcd lcm for all where with not".split()
)
LONGEST_UNIT = 60
MARKED = re.compile(r"\\(?:text|mbox|mathrm|textrm|textit|mathit|textbf|mathbf|operatorname|hbox)\s*\{([^{}]*)\}")
POWER = re.compile(r"\s*\^\s*\{?\s*(-?\d)\s*\}?")
DEGREES = re.compile(r"\^\s*\\circ\s*(?:\{?\s*([CFK])\s*\}?)?|degrees?\s+(celsius|fahrenheit)", re.IGNORECASE)
A_UNIT = re.compile(r"[A-Za-z'.]+(?:\s*\^\s*-?\d)?(?:[\s/*-]+[A-Za-z'.]+(?:\s*\^\s*-?\d)?){0,5}")
PART = re.compile(r"([A-Za-z']+)(?:\s*\^\s*(-?\d))?|/")


def unmarked(text: str) -> str:
    r"""Take away the commands for upright text.

    >>> unmarked(r"5\text{ cm}^2"), unmarked(r"\textbf{(B)}\ 7")
    ('5 cm^2', '(B)\\ 7')
    """
    return MARKED.sub(r"\1", text) if "\\" in text else text


def read_unit(behind: str) -> str | None:
    r"""The one name of the unit that stands behind a number; empty where nothing does, None where it is no unit.

    A single letter is a unit in upright text or after a space: `5m` is five times m.

    >>> [read_unit(text) for text in (" eggs", r"\text{ cm}^2", r" \mathrm{km/h}", " square meters", r"^\circ", "cm")]
    ['egg', 'cm^2', 'km/h', 'm^2', 'degree', 'cm']
    >>> [read_unit(text) for text in ("x", "m", r"\pi", "+ 3", " sin x", r"^2", " miles per hour")]
    [None, None, None, None, None, None, 'mi/h']
    """
    if not behind or behind.isspace():
        return ""
    if len(behind) > LONGEST_UNIT:
        return None
    plain = POWER.sub(r"^\1", unmarked(behind).replace(r"\ ", " ").replace(r"\cdot", " ")).strip()
    upright = (plain != behind.strip() and "\\text" in behind) or "\\m" in behind or "\\hbox" in behind
    degrees = DEGREES.fullmatch(plain)
    if degrees:
        scale = (degrees[1] or degrees[2] or "").lower()[:1]
        return "degree" + (f" {scale}" if scale else "")
    if plain in CURRENCIES:
        return CURRENCIES[plain]
    if not A_UNIT.fullmatch(plain):
        return None
    spaced = behind[0].isspace()
    first = plain.split("^")[0].split("/")[0].split()[0].strip(".'").lower()
    if first in NOT_UNITS or not (upright or _stands_bare(first, spaced)):
        return None
    return _one_name(plain)


def _stands_bare(word: str, spaced: bool) -> bool:
    if word in KNOWN:
        return spaced or len(word) > 1
    return spaced and len(word) > 2


def _one_name(unit: str) -> str:
    words = re.sub(r"\b[Pp]er\b", "/", unit.replace(".", "")).replace("*", " ")
    raised, named = "", []
    for match in PART.finditer(words):
        word, power = match[1], match[2]
        if word is None:
            named.append("/")
        elif word.lower() in ("square", "sq", "cubic", "cu"):
            raised = "^2" if word.lower().startswith("sq") else "^3"
        else:
            named.append(_singular(word.lower()) + (f"^{power}" if power else raised))
            raised = ""
    return " ".join(named).replace(" / ", "/")


def _singular(word: str) -> str:
    if word in KNOWN:
        return KNOWN[word]
    shorter = word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word
    return KNOWN.get(shorter, shorter)


def units_agree(gold: str, answer: str) -> bool:
    """Whether an answer in one unit can be right where the gold is in another; without a unit it can.

    >>> units_agree("cm", ""), units_agree("cm", "m"), units_agree("egg", "piece"), units_agree("cm^2", "cm")
    (True, False, True, False)
    """
    if not gold or not answer or gold == answer:
        return True
    return not (_is_known(gold) and _is_known(answer))


def _is_known(unit: str) -> bool:
    return unit in KNOWN_NAMES or all(part.split("^")[0] in KNOWN_NAMES for part in unit.replace("/", " ").split())


LONGEST_NUMBER = 100
"""Characters. What is longer is left to math-verify."""
LARGEST_EXPONENT = 1000
DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d*)?|\.\d+)"
_TEN = r"10\s*\^\s*(?:\{\s*([-+]?\d{1,4})\s*\}|(\d))"
_SIGN = r"([-+]?)\s*"
PLUS_MINUS_ONE = {"": 1, "+": 1, "-": -1}
LEADING = re.compile(rf"{_SIGN}(\\?[$€£¥₹₩₽])?\s*(-?)\s*")
MIXED = re.compile(r"(\d+)\s*\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d+)\s+(?:and\s+)?(\d+)\s*/\s*(\d+)")
FRACTION = re.compile(
    rf"\\frac\s*\{{\s*([-+]?{DIGITS})\s*\}}\s*\{{\s*([-+]?{DIGITS})\s*\}}|\\frac\s*(\d)\s*(\d)"
    rf"|({DIGITS})\s*/\s*({DIGITS})"
)
DECIMAL = re.compile(
    rf"({DIGITS})(?:[eE]([-+]?\d{{1,4}})(?![\w.])|\s*(?:\\times|\\cdot|\*|[xX](?=\s*10\s*\^))\s*{_TEN})?"
)
POWER_OF_TEN = re.compile(_TEN)
PERCENT = re.compile(r"\s*(?:\\?%|(?:\\text\s*\{\s*)?per\s?cent(?:age)?(?:\s+points?)?\s*\}?)", re.IGNORECASE)


def read_number(text: str) -> Number | None:
    r"""Read a number that stands alone, with its percent sign or unit.

    >>> read_number(r"\$1,250.50").value, read_number("-3/4").value, read_number(r"6.5 \times 10^{-2}").value
    (Fraction(2501, 2), Fraction(-3, 4), Fraction(13, 200))
    >>> read_number("5x"), read_number("1,23"), read_number("3 - 2"), read_number("2 2/3").value
    (None, None, None, Fraction(8, 3))
    """
    if text.startswith("(") and text.endswith(")") and "(" not in text[1:]:
        text = text[1:-1].strip()
    leading = LEADING.match(text)
    if leading is None or len(text) > LONGEST_NUMBER:
        return None
    read = _unsigned(text, leading.end())
    if read is None:
        return None
    value, end, rounded = read
    sign = PLUS_MINUS_ONE[leading[1]] * PLUS_MINUS_ONE[leading[3]]
    behind = text[end:]
    percent = PERCENT.match(behind)
    if percent and not behind[percent.end() :].strip():
        return Number(sign * value, rounded, percent=True)
    unit = read_unit(behind)
    if unit is None:
        return None
    return Number(sign * value, rounded, unit=unit or (CURRENCIES[leading[2][-1]] if leading[2] else ""))


def _unsigned(text: str, start: int) -> tuple[Fraction, int, bool] | None:
    """Value, end, and whether it is a decimal."""
    if match := MIXED.match(text, start):
        whole, over, under = (int(digits) for digits in match.groups() if digits)
        return (Fraction(whole) + Fraction(over, under), match.end(), False) if under else None
    if match := FRACTION.match(text, start):
        over_digits, under_digits = (digits for digits in match.groups() if digits)
        divisor = digits_value(under_digits)
        return (digits_value(over_digits) / divisor, match.end(), "." in match.group()) if divisor else None
    if match := POWER_OF_TEN.match(text, start):
        return Fraction(10) ** _exponent(match[1] or match[2]), match.end(), False
    if match := DECIMAL.match(text, start):
        digits, *exponents = match.groups()
        power = next((exponent for exponent in exponents if exponent), "0")
        return digits_value(digits) * Fraction(10) ** _exponent(power), match.end(), "." in digits
    return None


def digits_value(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _exponent(digits: str) -> int:
    return max(-LARGEST_EXPONENT, min(LARGEST_EXPONENT, int(digits)))
