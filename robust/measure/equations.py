"""Find equations in text and evaluate their sides exactly; nothing is ever executed.

What cannot be read for sure is left out rather than guessed: a side with a variable,
a word that calculates ("times", "half of"), an unknown LaTeX command.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from robust.measure.notation import Number, plain, tokens_of

STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "negate": 3, "^": 4}
UNITS = ("word", "of")
_DEEPEST = 40  # brackets, signs and exponents inside each other
_LONGEST = 400  # numbers and operations on one side
_BITS = 10_000  # of a value


class Equation(NamedTuple):
    """Two sides of an equals sign.

    Attributes:
      text: as read.
      left, right: numbers and operations in postfix order.
      goes_on: whether the left side is the right side of the equation before.
    """

    text: str
    left: list
    right: list
    goes_on: bool


def equations(text: str) -> Iterator[Equation]:
    """Yield what stands around each equals sign, where both sides can be read."""
    if "=" not in text and "＝" not in text:
        return
    for line in plain(text).split("\n"):
        if "=" not in line:
            continue
        tokens, end = [*tokens_of(line)], -1
        for at, token in enumerate(tokens):
            if token.kind != "=":
                continue
            left, right = _before(tokens, at), _parse(tokens, at + 1)
            goes_on, end = end == at, -1
            if left and right and not _blocked_after(tokens, right[1]):
                start, end = left[1], right[1]
                whole = goes_on and tokens[start - 1].kind == "="
                said = _said(line, tokens[start:end])
                yield Equation(said, left[0], right[0], whole)


def evaluate(postfix: list, percent: Fraction) -> Fraction:
    """Value of one side, where a percent sign multiplies by `percent`.

    Raises:
      ZeroDivisionError: as it says.
      OverflowError: a side, a value or a power too large, or a power not whole.
    """
    if len(postfix) > _LONGEST:
        raise OverflowError
    stack: list[Fraction] = []
    for item in postfix:
        if isinstance(item, Number):
            stack.append(item.value * (percent if item.percent else 1))
        elif item == "negate":
            stack.append(-stack.pop())
        else:
            second, first = stack.pop(), stack.pop()
            stack.append(_apply(item, first, second))
        if _bits(stack[-1]) > _BITS:
            raise OverflowError
    return stack[0]


def _said(line: str, tokens) -> str:
    """An equation without the words after it."""
    last = max(at for at, token in enumerate(tokens) if token.kind not in UNITS)
    return line[tokens[0].start : tokens[last].end].replace("_", " ")


def _apply(sign: str, first: Fraction, second: Fraction) -> Fraction:
    if sign == "+":
        return first + second
    if sign == "-":
        return first - second
    if sign == "*":
        return first * second
    if sign == "/":
        return first / second
    if second.denominator != 1 or _bits(first) * abs(second) > _BITS:
        raise OverflowError
    return first ** int(second)


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _parse(tokens, at: int, weakest: int = 1, depth: int = 0):
    """Read the longest expression from a token on: (postfix, its end), or None."""
    found = _operand(tokens, at, depth)
    if found is None:
        return None
    postfix, at = found
    while True:
        sign, after = _operator(tokens, at)
        if not sign or STRENGTH[sign] < weakest:
            return postfix, at
        more = _parse(tokens, after, STRENGTH[sign] + (sign != "^"), depth + 1)
        if more is None:
            return postfix, at
        postfix += [*more[0], sign]
        at = more[1]


def _operand(tokens, at: int, depth: int):
    """A number or a bracket, perhaps signed, with the words (units) after it."""
    kind = _kind(tokens, at)
    if depth > _DEEPEST:
        return None
    if kind in ("+", "-"):
        found = _parse(tokens, at + 1, STRENGTH["negate"], depth + 1)
        if found is None or kind == "+":
            return found
        (first, *rest), end = found
        if rest:
            return [first, *rest, "negate"], end
        return [first._replace(value=-first.value)], end
    if kind == "number":
        postfix = [tokens[at].number]
    elif kind == "(":
        found = _parse(tokens, at + 1, 1, depth + 1)
        if found is None or _kind(tokens, found[1]) != ")":
            return None
        postfix, at = found
    else:
        return None
    at += 1
    while _kind(tokens, at) in UNITS:
        at += 1
    return postfix, at


def _operator(tokens, at: int) -> tuple[str, int]:
    """The operation at a token and what follows it; "" for none."""
    kind = _kind(tokens, at)
    if kind == "(" and _joined(tokens, at) and _kind(tokens, at - 1) not in UNITS:
        return "*", at  # 2(3 + 4)
    tight = _joined(tokens, at + 1) and not _joined(tokens, at)
    if kind in ("+", "-") and tight and _kind(tokens, at - 1) in UNITS:
        return "", at  # "7 and -2" is no difference
    return (kind, at + 1) if kind in STRENGTH else ("", at)


def _before(tokens, end: int):
    """The longest expression that ends at a token: (postfix, its start), or None."""
    first = end
    farthest = max(0, end - _LONGEST)
    while first > farthest and tokens[first - 1].kind not in ("=", "break"):
        first -= 1
    at = first
    while at < end:
        signed = tokens[at].kind in ("+", "-")
        found = None
        if not signed or _joined(tokens, at + 1):
            found = _parse(tokens, at)
        if found and found[1] == end:
            return None if _blocked_before(tokens, at, signed) else (found[0], at)
        at = found[1] if found else at + 1
    return None


def _blocked_before(tokens, at: int, signed: bool) -> bool:
    """Whether what stands before an expression belongs to it and was not read."""
    before = _kind(tokens, at - 1)
    if before in STRENGTH:
        return at > 1  # the first sign of a line is a bullet
    if signed:
        return before not in ("", "(", "=", "break")
    if before == "of" and _kind(tokens, at - 2) in ("number", ")", "spoken"):
        return True  # 20 % of what follows; a total of it is that itself
    if before in UNITS:
        return tokens[at].kind == "(" and _joined(tokens, at)
    return before in ("name", "spoken")


def _blocked_after(tokens, at: int) -> bool:
    """Whether what stands after an expression belongs to it and was not read."""
    kind, after = _kind(tokens, at), _kind(tokens, at + 1)
    if kind == "name":
        return _kind(tokens, at - 1) not in UNITS
    if kind in STRENGTH:
        return after in ("number", "name", "spoken", "(") or (
            after in UNITS and kind != "-"
        )
    return kind == "spoken" or (kind == "(" and after == "spoken")


def _kind(tokens, at: int) -> str:
    return tokens[at].kind if 0 <= at < len(tokens) else ""


def _joined(tokens, at: int) -> bool:
    """Whether a token stands right after the one before it."""
    return 0 < at < len(tokens) and tokens[at].start == tokens[at - 1].end
