"""Is the arithmetic that a chain writes down true, and does it build on itself?

The steps of a chain are the equations that it states in digits, `a op b ... = c`. Each
is evaluated exactly. Per chain:

    valid  = true steps / steps
    linked = steps after the first that use a number which an earlier step resulted in
             / steps after the first

both shares in 0..1. Blind spots: a chain of true steps that have nothing to do with the
question is valid; words are not checked, nor is whether the answer follows; a legible
chain in another notation counts as having no steps. Units are ignored, so 30 minutes +
30 minutes = 1 hour is false. A rounded number that is used again carries its error. A
running total, 3 + 4 = 7 + 2 = 9, is false as it is written. Decimal commas and spaces
between thousands part numbers. Small numbers link by chance.

Reference: validity of steps as in process supervision, Lightman et al. 2023,
arXiv:2305.20050, there judged by people; linkage is ours.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from robust.measure.equations import Equation, equations, evaluate
from robust.measure.notation import Number

_PERCENT = Fraction(1, 100)


class Step(NamedTuple):
    """An equation that a chain states.

    Attributes:
      text: as read, without currency signs and LaTeX.
      used: numbers of the side that calculates, and fractions a / b of them; of an
        equality that goes on, also the value that it goes on from.
      result: value of the other side, None where that divides by zero.
      true: whether the sides are equal.
    """

    text: str
    used: tuple[Fraction, ...]
    result: Fraction | None
    true: bool


class Validity(NamedTuple):
    """Steps of N chains, `[N]` each.

    Attributes:
      valid: share of the steps that are true; nan for a chain without steps.
      linked: share of the steps after the first that use an earlier result; nan for
        fewer than two steps.
      count: number of steps.
    """

    valid: np.ndarray
    linked: np.ndarray
    count: np.ndarray


def steps(chain: str, modulus: int | None = None) -> list[Step]:
    r"""Find the equations of a chain and judge each.

    Read: + - − * × · x / ÷ ^ **, brackets, signs, decimals, thousands' commas, mixed
    numbers, LaTeX's \times, \cdot, \div, \frac and \boxed, GSM8K's <<3+4=7>>. Words
    after a number and currencies are units. `2*3+4 = 6+4 = 10` are two steps; a number
    said again, `3+4 = 7 = 7`, is none, unless it is another number.

    Left out, neither true nor false: single letters and other variables, words that
    calculate, approximations (≈), roots, powers that are not whole.

    A result with decimals is right if it is the exact value rounded to those decimals,
    a half either way; a whole number must be exact. A percent sign may divide by 100
    or be left away, as in 1 / 4 * 100 = 25 %.

    Args:
      chain: text.
      modulus: sides that differ by a multiple of it are equal, if given.

    Raises:
      ValueError: a modulus below 2.
    """
    _check(modulus)
    found: list[Step] = []
    after_step = False
    for equation in equations(chain):
        try:
            step = _judged(equation, modulus)
        except OverflowError:
            after_step = False
            continue
        again = _bare(equation.left) and _bare(equation.right)
        goes_on = equation.goes_on and after_step
        after_step = goes_on or not again
        if not again or (goes_on and not step.true):
            found.append(step)
    return found


def validity(chains: Sequence[str], modulus: int | None = None) -> Validity:
    """Share of true steps and of linked ones, and their number, of each chain.

    Args, raises: as `steps`.
    """
    _check(modulus)
    rows = []
    for chain in chains:
        found = steps(chain, modulus)
        links = _links(found, modulus)
        rows.append(
            (
                np.mean([step.true for step in found]) if found else np.nan,
                np.mean(links) if links else np.nan,
                len(found),
            )
        )
    table = np.array(rows, float).reshape(-1, 3)
    return Validity(table[:, 0], table[:, 1], table[:, 2].astype(int))


def _links(found: list[Step], modulus: int | None) -> list[bool]:
    """Whether each step after the first uses an earlier result."""

    def same(number: Fraction) -> Fraction:
        return number if modulus is None else number % modulus

    results: set[Fraction] = set()
    links = []
    for step in found:
        links.append(any(same(number) in results for number in step.used))
        if step.result is not None:
            results.add(same(step.result))
    return links[1:]


def _judged(equation: Equation, modulus: int | None) -> Step:
    left, right = equation.left, equation.right
    work, stated = (right, left) if _bare(left) and not _bare(right) else (left, right)
    used = _used(work)
    value = _value(left, _PERCENT)
    if equation.goes_on and value is not None:
        used.append(value)
    percents = {_PERCENT}
    if any(number.percent for number in _numbers(left + right)):
        percents.add(Fraction(1))
    true = any(_equal(left, right, percent, modulus) for percent in percents)
    return Step(equation.text, tuple(used), _value(stated, _PERCENT), true)


def _used(side: list) -> list[Fraction]:
    """Numbers of a side, and fractions of two of them."""
    parts = [[number] for number in _numbers(side)]
    parts += [
        [a, b, sign]
        for a, b, sign in zip(side, side[1:], side[2:], strict=False)
        if sign == "/" and isinstance(a, Number) and isinstance(b, Number)
    ]
    values = [_value(part, _PERCENT) for part in parts]
    return [value for value in values if value is not None]


def _equal(left: list, right: list, percent: Fraction, modulus: int | None) -> bool:
    one, other = _value(left, percent), _value(right, percent)
    if one is None or other is None:
        return False
    if modulus is not None:
        return (one - other) % modulus == 0
    return abs(one - other) <= max(_slack(left, percent), _slack(right, percent))


def _slack(side: list, percent: Fraction) -> Fraction:
    """Half of the last decimal of a number that stands alone."""
    if not _bare(side):
        return Fraction(0)
    number: Number = side[0]
    unit = Fraction(1, 10**number.decimals) * (percent if number.percent else 1)
    return unit / 2 if unit < 1 else Fraction(0)


def _value(side: list, percent: Fraction) -> Fraction | None:
    try:
        return evaluate(side, percent)
    except ZeroDivisionError:
        return None


def _numbers(side: list) -> list[Number]:
    return [item for item in side if isinstance(item, Number)]


def _bare(side: list) -> bool:
    return len(_numbers(side)) == 1


def _check(modulus: int | None) -> None:
    if modulus is not None and modulus < 2:
        raise ValueError(
            f"modulus is {modulus}; give a whole number above one, or None for sums "
            "as they are"
        )
