# ruff: noqa: RUF001, RUF002 (signs that look like others are its subject)
"""One spelling for what people type in many: unicode signs, LaTeX spacing, full-width digits.

Both sides of a comparison pass through it first. What comes out is LaTeX that math-verify reads.
"""

import re
import unicodedata

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
    r"""
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
