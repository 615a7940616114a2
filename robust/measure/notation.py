"""Bring arithmetic in text to one notation, and cut it into tokens."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

_DIGITS = 30  # of one number

_SIGNS = {
    **dict.fromkeys("−–－", "-"), **dict.fromkeys("×✕·⋅∗", "*"),
    **dict.fromkeys("÷⁄∕", "/"), "＋": "+", "＝": "=",
    "½": " 1/2", "¼": " 1/4", "¾": " 3/4",
}  # fmt: skip
_BRACED = [
    (r"(\d) ?\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1 \2/\3"),
    (r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))"),
    (r"\\(?:boxed|text|textbf|mathrm|mathbf)\{([^{}]*)\}", r" \1 "),
]
_REWRITTEN = [
    (r"<<([^<>\n]*)>>", r"\n\1\n"),  # GSM8K's calculator: what it says counts
    (r"\\\\|\\(?:begin|end)\{[^{}]*\}", "\n"),
    (r"\\(?:approx|neq?|[lg]eq?|[lg]t|implies|[Rr]ightarrow|q?quad)(?![A-Za-z])", ";"),
    (r"\\(?:times|cdot|ast)(?![A-Za-z])", "*"), (r"\\div(?![A-Za-z])", "/"),
    (r"\\(?:left|right)(?![A-Za-z])", ""), (r"\\([%$])", r"\1"), (r"\{,\}", ","),
    (r"\\[,;:! ()\[\]]|&", " "),
    (r"(?<=[\d)])\*\*(?=[\d(-])|(?<=[\d)]) \*\* (?=[\d(-])", "^"), (r"\*\*", " "),
    (r"(?<=[^\W\d_]) ?(?:[²³]|\^ ?\{?[0-9]\}?)", ""),  # cm² is a unit
    ("²", "^2"), ("³", "^3"), (r"([-+]) ?[$€£¥₹]", r"\1"), (r"[$€£¥₹]", " "),
]  # fmt: skip
_SPACED = [
    (r"[^\S\n]+", " "), (r"[ \n]*\n[ \n]*", "\n"),
    (r"\n(?==(?![=>]))", " "),  # a line that starts with "=" goes on
]  # fmt: skip
_MIXED = re.compile(r"(?<![\d.,/])(\d+) (\d+)/(\d+)(?![\d.])")
_SPOKEN = {
    "times", "plus", "minus", "over", "by", "than", "percent", "mod", "pmod", "squared",
    "cubed", "half", "third", "quarter", "twice", "double", "triple", "sqrt", "log",
    "ln", "exp", "sin", "cos", "tan", "hundred", "thousand", "million", "billion",
    "trillion", "dozen",
}  # fmt: skip
_TOKEN = re.compile(
    r"""(?P<number>[0-9]+_[0-9]+/[0-9]+
          |(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)
          (?P<percent>\ ?%)?
      | (?P<break>[<>!:]=|={3,}|=>)
      | (?P<equals>==?)
      | (?P<times>[xX](?=\ ?(?:\.?[0-9]|\()))
      | (?P<word>(?<=\ )[aAI](?=\ [A-Za-z]{2})|/[^\W\d_]{2,})
      | (?P<name>\\?[A-Za-z][A-Za-z0-9_]*)
      | (?P<other>[^\W\d_A-Za-z]+)
      | (?P<sign>[-+*/^(){}\[\]])
      | (?P<rest>[^\ ])""",
    re.VERBOSE,
)


class Number(NamedTuple):
    """A number as written: its value without a percent sign, decimals, whether one."""

    value: Fraction
    decimals: int
    percent: bool


class Token(NamedTuple):
    """A piece of a line: number, word, of, name, spoken, break, or a sign itself.

    A word may be a unit; a name, such as x, and a word that is spoken for a sign, such
    as "times", may not be passed over.
    """

    kind: str
    start: int
    end: int
    number: Number | None = None


def plain(text: str) -> str:
    """Text in one notation, an equation never across lines."""
    text = text.translate(str.maketrans(_SIGNS))
    for _ in range(4):  # braces inside braces
        for pattern, new in _BRACED:
            text = re.sub(pattern, new, text)
    for pattern, new in (*_REWRITTEN, *_SPACED):
        text = re.sub(pattern, new, text)
    return _MIXED.sub(_unmixed, text)


def _unmixed(match) -> str:
    whole, top, bottom = match.groups()
    proper = len(top) <= len(bottom) <= _DIGITS and int(top) < int(bottom)
    return f"{whole}_{top}/{bottom}" if proper else match[0]


def tokens_of(line: str) -> Iterator[Token]:
    """Yield the tokens of a line; white space is none."""
    for match in _TOKEN.finditer(line):
        kind, said, number = match.lastgroup or "", match[0], None
        if match["number"]:
            number = _number(match["number"], bool(match["percent"]))
            kind = "number" if number else "name"
        elif kind == "name":
            kind = _kind_of_name(said)
        elif kind == "other":
            kind = "name" if re.match("[Ͱ-Ͽ]", said) else "word"
        elif kind == "sign":
            kind = {"{": "(", "[": "(", "}": ")", "]": ")"}.get(said, said)
        kind = {"equals": "=", "times": "*", "rest": "break"}.get(kind, kind)
        yield Token(kind, match.start(), match.end(), number)


def _number(written: str, percent: bool) -> Number | None:
    """Value of a number; None where it is too long."""
    if len(written) > _DIGITS:
        return None
    whole, _, rest = written.replace(",", "").rpartition("_")
    decimals = len(rest.partition(".")[2])
    return Number(Fraction(whole or 0) + Fraction(rest), decimals, percent)


def _kind_of_name(name: str) -> str:
    if name.lstrip("\\").lower() in _SPOKEN:
        return "spoken"
    if name.lower() == "of":
        return "of"
    return "word" if len(name) > 1 and name.isalpha() else "name"
