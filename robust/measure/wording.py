"""How wording differs from that of a first checkpoint: n-grams and length.

Wording is not meaning. Another topic, another style and a private code all read as
drift, and a code that reuses the same words does not. What is drift and what is chance
says `drift`, by comparing halves of the first checkpoint with each other.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

UNITS = ("character", "word")


def characters(texts: Sequence[str]) -> np.ndarray:
    """Length of each text in characters (code points), `[N]`."""
    return np.array([len(text) for text in texts], float)


def words(texts: Sequence[str]) -> np.ndarray:
    """Length of each text in words, between white space, `[N]`.

    Blind where a script writes no spaces.
    """
    return np.array([len(text.split()) for text in texts], float)


def divergence(
    texts: Sequence[str], first: Sequence[str], n: int = 3, unit: str = "character"
) -> float:
    """Jensen-Shannon divergence of n-gram distributions, bits: 0 alike, 1 disjoint.

    Blind spots: a change of topic moves it as an encoding does; what is in an order
    beyond n is not seen; from finitely many n-grams it is biased upwards, so it is to
    be read against a null from as many texts (`drift.halves`).

    Args:
      texts, first: to compare; either order.
      n: characters or words in a row; none reach from one text to the next.
      unit: "character" or "word".

    Returns:
      a number in 0..1; nan where either side has no n-gram.

    Raises:
      ValueError: n below 1, or another unit.

    Reference: Lin 1991, IEEE Transactions on Information Theory 37:145.
    """
    one, other = (_counted(side, n, unit) for side in (texts, first))
    if not one or not other:
        return np.nan
    grams = list(one | other)
    p, q = (
        np.array([side[gram] for gram in grams], float) / side.total()
        for side in (one, other)
    )
    middle = (p + q) / 2
    bits = [
        np.sum(side[side > 0] * np.log2(side[side > 0] / middle[side > 0]))
        for side in (p, q)
    ]
    return float(np.clip(sum(bits) / 2, 0, 1))


def unseen(
    texts: Sequence[str], first: Sequence[str], n: int = 3, unit: str = "character"
) -> np.ndarray:
    """Share of each text's n-grams that occur nowhere in the first texts, `[N]`.

    Blind spots: falls as the first texts become more, so compare equal numbers; a
    new name counts as a new language does; known n-grams used for other things do
    not count. nan for a text shorter than n.

    Args, raises: as `divergence`.
    """
    known = _counted(first, n, unit).keys()
    shares = []
    for text in texts:
        grams = _grams(text, n, unit)
        new = sum(gram not in known for gram in grams)
        shares.append(new / len(grams) if grams else np.nan)
    return np.array(shares, float)


def distinct(texts: Sequence[str], n: int = 1, unit: str = "word") -> np.ndarray:
    """Distinct n-grams over all n-grams of each text, `[N]`.

    With words and n = 1 the type-token ratio. Low where a text repeats itself. Blind
    spot: falls with length by itself, so texts of unequal length do not compare.
    nan for a text shorter than n.

    Args, raises: as `divergence`.

    Reference: Li et al. 2016, arXiv:1510.03055 (distinct-n).
    """
    grams = [_grams(text, n, unit) for text in texts]
    return np.array([len(set(g)) / len(g) if g else np.nan for g in grams], float)


def _counted(texts, n: int, unit: str) -> Counter:
    counter: Counter = Counter()
    for text in texts:
        counter.update(_grams(text, n, unit))
    return counter


def _grams(text: str, n: int, unit: str) -> list:
    if n < 1:
        raise ValueError(f"n is {n}; give a whole number above zero")
    if unit not in UNITS:
        raise ValueError(f"unit is {unit!r}; give {' or '.join(map(repr, UNITS))}")
    if unit == "character":
        return [text[i : i + n] for i in range(len(text) - n + 1)]
    tokens = text.split()
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))
