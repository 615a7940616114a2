"""Is the proxy's error light- or heavy-tailed, and what follows from that?"""

import enum
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from robust.measure.bootstrap import Interval
from robust.measure.tail_index import (
    Index,
    check_values,
    cox_oakes,
    generalised_pareto,
    scale,
)

ALPHA = 0.05  # of each one-sided bound and test
LIGHT_INDEX = 0.1  # a tail whose index is shown to lie below may be light
LEAST_EXCESSES = 200  # values above the highest threshold
LEAST_DISTINCT = 100  # of them: fewer are no continuous scale
LEAST_VALUES = 10 * LEAST_EXCESSES


class Weight(enum.IntEnum):
    """How heavy the upper tail is, as far as the values reach."""

    LIGHT = 0
    HEAVY = 1
    UNDECIDED = 2


class Consequence(enum.IntEnum):
    """What the tails of error and true value say about strong selection."""

    VANISHES = 0
    GROWS = 1
    NOTHING = 2


MEANING = {
    Consequence.VANISHES: (
        "if the error is independent of the true value, the true gain goes to 0 "
        "however high the proxy: its error has the heavier tail"
    ),
    Consequence.GROWS: (
        "if the error is independent of the true value, the true gain grows with the "
        "proxy, as far as the sample reaches: its error has a light tail"
    ),
    Consequence.NOTHING: "the tails do not decide, and nothing follows from them",
}


class Tail(NamedTuple):
    """The upper tail of a sample; K thresholds, the lowest first.

    Attributes:
      threshold: `[K]`, in the units of the values.
      index: `Index` of generalised Pareto fits to the excesses.
      stable: thresholds whose fits agree with those above them, bool `[K]`; the
        highest always is.
      gamma: the index at the lowest stable threshold, with one-sided 95 % bounds.
      exponential: Cox-Oakes statistic there or at the lowest threshold, whichever is
        less; below -1.645 the excesses are heavier than exponential.
      reach: nats, ln N: beyond that pressure these values say nothing.
      weight: a `Weight` code.
    """

    threshold: np.ndarray
    index: Index
    stable: np.ndarray
    gamma: Interval
    exponential: float
    reach: float
    weight: Weight


def residuals(proxy, true) -> np.ndarray:
    """Take from the proxy what a line in the true value explains of it.

    The slope is the weighted median of N/2 slopes between values half the ranks of
    `true` apart, weighted by their distance: the least absolute deviations of those
    differences. No moment of the error need exist, and it costs two sorts. The level is
    the median.

    Args:
      proxy, true: `[N]`, at least two rows.

    Returns:
      `[N]`, in the units of the proxy; just centred where `true` is constant.

    Raises:
      ValueError: shapes that differ or are not `[N]`; non-finite values.

    Reference: Theil 1950 (the incomplete method); weights: Scholz 1978, Annals of
    Statistics 6:603.
    """
    proxy, true = check_values("proxy", proxy, 2), check_values("true", true, 2)
    if len(proxy) != len(true):
        raise ValueError(
            f"true has {len(true)} rows and proxy {len(proxy)}; pass one of each"
        )
    order, half = np.argsort(true, kind="stable"), len(true) // 2
    low, high = order[:half], order[-half:]
    distance, rise = true[high] - true[low], proxy[high] - proxy[low]
    slope = 0.0
    if distance.any():
        apart = distance > 0
        distance, slopes = distance[apart], rise[apart] / distance[apart]
        by_slope = np.argsort(slopes)
        weight = np.cumsum(distance[by_slope])
        slope = slopes[by_slope][np.searchsorted(weight, weight[-1] / 2)]
    error = proxy - slope * true
    return error - np.median(error)


def tail(values) -> Tail:
    """Say whether the upper tail of a sample is heavy or light.

    Thresholds leave N/10, N/20, N/40, ... values above, down to 200, of which 100 must
    be distinct. The stable range grows from the highest threshold downward while each
    fit is within 1.96 standard errors of the difference of every fit above it.

    The lower bound on the index is the least over the stable range of the pointwise
    bounds. The highest threshold is fixed in advance and always in it, so looking
    costs nothing (an intersection-union test). The upper bound is that of the lowest
    stable threshold, at level ALPHA / K: it holds at all K at once, whichever is
    taken.

    HEAVY: the lower bound is above 0. LIGHT: the upper bound is below 0.1 and the
    Cox-Oakes test calls the excesses heavier than exponential neither over the lowest
    threshold of all, where it sees most, nor over the lowest stable one; so bounded
    tails are light. Both speak of the tail that N values show. HEAVY includes tails of
    index 0 without an exponential moment that look like a power here (lognormal).
    LIGHT cannot exclude an index up to 0.1, nor a heavier tail further out: Student's
    t with 10 degrees (index 0.1) is mostly called light.

    Args:
      values: `[N]`, at least 2,000. For the lower tail pass -values.

    Raises:
      ValueError: a shape other than `[N]`, too few values, non-finite ones, or too
        few distinct ones in the top tenth.

    Reference: choice of the threshold after Boucheron & Thomas 2015, Electronic
    Journal of Statistics 9:2751; Berger 1982, Technometrics 24:295.
    """
    top = np.sort(check_values("values", values, LEAST_VALUES))[::-1]
    k = _ladder(top)
    index = generalised_pareto(top, k)
    stable = _stable(index)
    lowest = int(np.argmax(stable))
    low = index.gamma - ndtri(1 - ALPHA) * index.error
    high = index.gamma + ndtri(1 - ALPHA / len(k)) * index.error
    gamma = Interval(index.gamma[lowest], low[stable].min(), high[lowest])
    exponential = float(cox_oakes(top, k[[0, lowest]]).min())
    weight = Weight.UNDECIDED
    if gamma.low > 0:
        weight = Weight.HEAVY
    elif gamma.high < LIGHT_INDEX and exponential > ndtri(ALPHA):
        weight = Weight.LIGHT
    reach = float(np.log(len(top)))
    return Tail(top[k], index, stable, gamma, exponential, reach, weight)


def implies(error: Tail, value: Tail) -> Consequence:
    """Say what the tails of the error and of the true value mean for selection.

    All of it assumes that the error is independent of the true value, which tails
    cannot show. VANISHES wants a heavy error and a value lighter by more than a
    factor of x: LIGHT, or P(value > x) at most x^-b with b > a + 1, where P(error > x)
    falls like x^-a. GROWS wants a light error; where its tail is just exponential the
    true gain grows up to a limit.

    Args:
      error: `tail` of `residuals`.
      value: `tail` of the true value.

    Reference: Kwa, Thomas & Garriga-Alonso 2024, arXiv:2407.14503; the factor:
    Thomas & Kwa 2023, Catastrophic Regressional Goodhart.
    """
    if error.weight == Weight.LIGHT:
        return Consequence.GROWS
    if error.weight == Weight.UNDECIDED:
        return Consequence.NOTHING
    bounded = value.gamma.high <= 0
    lighter = bounded or 1 / value.gamma.high > 1 / error.gamma.low + 1
    if value.weight == Weight.LIGHT or lighter:
        return Consequence.VANISHES
    return Consequence.NOTHING


def _ladder(top):
    """List how many values to leave above: N/10, N/20, ..., from the largest."""
    tenth = len(top) // 10
    ladder = tenth // 2 ** np.arange(int(np.log2(tenth / LEAST_EXCESSES)) + 1)
    above = [top[top > top[one]] for one in ladder]
    distinct = np.array([len(np.unique(values)) for values in above])
    enough = np.array([len(values) for values in above]) >= LEAST_EXCESSES
    if not (enough & (distinct >= LEAST_DISTINCT))[0]:
        raise ValueError(
            f"the top tenth holds {len(above[0])} values above its threshold, "
            f"{distinct[0]} of them distinct; a tail index wants {LEAST_EXCESSES}, "
            f"{LEAST_DISTINCT} distinct: values on a continuous scale, and more of them"
        )
    return ladder[enough & (distinct >= LEAST_DISTINCT)]


def _stable(index):
    """Mark thresholds from the highest down to the first whose fit disagrees."""
    stable = np.ones(len(index.k), bool)
    for i in range(len(index.k) - 2, -1, -1):
        # Fits to nested excesses: the variance of a difference is the difference.
        apart = np.sqrt(1 / index.k[i + 1 :] - 1 / index.k[i]) * scale(index.gamma[i])
        agrees = np.abs(index.gamma[i + 1 :] - index.gamma[i]) <= 1.96 * apart
        stable[i] = stable[i + 1] and agrees.all()
    return stable
