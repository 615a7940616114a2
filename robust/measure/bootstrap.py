"""Intervals and tests over independent units; the only place that resamples them.

A unit is a prompt where there are several, else a seed. Slots are never units:
they depend on each other in most attacks. Of a single prompt the answers are the only
units there are: see `answers`, and `resample`, which resamples those.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from robust.measure.namespace import namespace

EXACT_UNITS = 12  # up to here all sign patterns are enumerated
RANDOM_FLIPS = 4095
POWER = 0.8  # how often an effect must be found to count as one that would be seen


class Interval(NamedTuple):
    """Estimate with bounds, arrays of one shape; nan bounds for a single unit."""

    mean: Any
    low: Any
    high: Any


def by_unit(values, unit) -> np.ndarray:
    """Average rows of the same unit: `[S, ...]` to `[U, ...]`, in order of unit."""
    values, unit = np.asarray(values), np.asarray(unit)
    return np.stack([values[unit == u].mean(axis=0) for u in np.unique(unit)])


def quantile_t(units: int, level: float) -> float:
    """Student's t quantile at `level` with units - 1 degrees; nan for one unit."""
    return float(stdtrit(units - 1, level)) if units > 1 else float("nan")


def standard_error(values):
    """Standard error of the mean over the leading axis of `[S, ...]`."""
    xp, units = namespace(values), values.shape[0]
    if units == 1:
        return xp.full(values.shape[1:], np.nan)
    return xp.std(values, axis=0, ddof=1) / np.sqrt(units)


def t_interval(values, coverage: float = 0.95) -> Interval:
    """Student's t interval of the mean over units, `[S, ...]` to `[...]`."""
    values = namespace(values).asarray(values)
    half = quantile_t(values.shape[0], (1 + coverage) / 2) * standard_error(values)
    mean = values.mean(axis=0)
    return Interval(mean, mean - half, mean + half)


class Equivalence(NamedTuple):
    """Whether a mean is shown to lie within a margin of zero, `[...]`.

    Attributes:
      p: p value of "the mean lies at the margin or beyond"; small shows equivalence.
      shown: the smallest margin within which these units show it, at 5 %.
      visible: the difference that a two-sided 5 % test of as many units, as spread,
        would have seen four times in five.
    """

    p: Any
    shown: Any
    visible: Any


def equivalence(values, margin: float, alpha: float = 0.05) -> Equivalence:
    """Test "no difference" by two one-sided t tests, so that it is shown, not assumed.

    Args:
      values: differences per unit, `[S, ...]`, on the host.
      margin: difference that matters, in their units, above 0.

    Returns:
      `[...]` each; nan for a single unit.

    Raises:
      ValueError: a margin that is not above 0.

    Reference: Schuirmann 1987, Journal of Pharmacokinetics and Biopharmaceutics
    15:657; the visible difference: the usual sample-size formula, with t quantiles.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}; give the difference that matters, > 0")
    values = np.asarray(values, float)
    units, mean, error = (
        len(values),
        np.abs(values.mean(axis=0)),
        standard_error(values),
    )
    with np.errstate(divide="ignore"):  # units that agree exactly: infinite t
        p = 1 - stdtr(units - 1, (margin - mean) / error)
    return Equivalence(
        p,
        mean + quantile_t(units, 1 - alpha) * error,
        (quantile_t(units, 1 - alpha / 2) + quantile_t(units, POWER)) * error,
    )


def jackknife_interval(statistic, values, coverage: float = 0.95) -> Interval:
    """Student's t interval of a smooth function of the mean curve, `[...]`.

    From jackknife pseudo-values, one per unit left out; the estimate is the
    function of the mean of all units.

    Args:
      statistic: mean curves `[M, ...]` to `[M]`.
      values: `[S, ...]`.

    Reference: Tukey 1958; Efron & Tibshirani 1993, An Introduction to the Bootstrap,
    chapter 11.
    """
    xp, units = namespace(values), len(values)
    total = values.sum(axis=0, keepdims=True)
    whole = statistic(total / units)[0]
    if units == 1:
        return Interval(whole, xp.nan * whole, xp.nan * whole)
    pseudo = units * whole - (units - 1) * statistic((total - values) / (units - 1))
    half = quantile_t(units, (1 + coverage) / 2) * standard_error(pseudo)
    return Interval(whole, whole - half, whole + half)


def sign_flips(units: int, key=None):
    """Sign patterns `[F, S]`, the identity first: all of them, or 4,096 at random."""
    if units <= EXACT_UNITS:
        bits = (np.arange(2**units)[:, None] >> np.arange(units)) & 1
        return 1.0 - 2.0 * bits
    key = jax.random.key(0) if key is None else key
    random = jax.random.rademacher(key, (RANDOM_FLIPS, units), float)
    return jnp.concatenate([jnp.ones((1, units)), random])


def t_statistics(values, flips):
    """t statistic of each column under each sign pattern.

    Args:
      values: `[S, C]`.
      flips: `[F, S]` signs.

    Returns:
      `[F, C]`. A column without spread gives 0 where its mean is 0, else infinity.
    """
    xp, units = namespace(values), values.shape[0]
    # Scaling a column leaves its t alone and keeps float32 away from its limits.
    values = values / xp.maximum(xp.abs(values).max(axis=0, keepdims=True), 1e-30)
    with jax.default_matmul_precision("highest"):  # accelerators would round to 1e-3
        mean = xp.asarray(flips, values.dtype) @ values / units
    # Signs leave squares alone, so one product gives every pattern's variance.
    square = xp.mean(values**2, axis=0, keepdims=True)
    variance = xp.maximum(square - mean**2, 0.0) / (units - 1)
    exact = variance <= 1e-6 * square
    infinite = xp.where(mean == 0, 0.0, xp.copysign(np.inf, mean))
    return xp.where(exact, infinite, mean / xp.sqrt(xp.where(exact, 1.0, variance)))


def _centred(values, mean):
    """Subtract the mean; a column without spread leaves zeros, not rounding."""
    xp, left = namespace(values), values - mean
    size = xp.abs(values).max(axis=0, keepdims=True)
    some = xp.abs(left).max(axis=0, keepdims=True) > 1e-6 * size
    return xp.where(some, left, 0.0)


def max_t_test(values, flips, apart: bool = False):
    """p value of "no column has a positive mean" against "some column has".

    The largest t statistic is referred to its distribution under random signs of
    whole units, so columns may depend on each other in any way. Columns with a
    negative mean are centred first: left as they are, their reflections would
    count as evidence against every other column.

    Args:
      values: `[S, C]`, units symmetric about their mean.
      flips: `[F, S]` signs, the identity first.
      apart: units do not show how columns depend on each other, as where raters are
        common to all units: at least Bonferroni's p by Student's t.

    Reference: Romano & Wolf 2005, JASA 100:94 (max-t); centring after Hansen 2005,
    JBES 23:365.
    """
    xp, mean = namespace(values), values.mean(axis=0, keepdims=True)
    observed = t_statistics(values, flips[:1])[0].max()
    null = t_statistics(_centred(values, xp.minimum(mean, 0.0)), flips).max(axis=1)
    # Rounding must not part a pattern from its equals; infinity equals itself.
    slack = xp.where(xp.isfinite(observed), 1e-4 * xp.abs(observed), 0.0)
    p = 1 - xp.mean(null < observed - slack)  # 1 where a value is nan
    if not apart:
        return p
    single = _above(observed, values.shape[0] - 1)
    return xp.maximum(p, xp.minimum(values.shape[1] * single, 1.0))


def _above(statistic, degrees: int):
    """P(Student's t > statistic); 1 where it is nan."""
    xp = namespace(statistic)
    betainc = (jax.scipy.special if xp is jnp else scipy.special).betainc
    tail = betainc(degrees / 2, 0.5, degrees / (degrees + statistic**2)) / 2
    return xp.where(xp.isnan(statistic), 1.0, xp.where(statistic > 0, tail, 1 - tail))


def max_t_quantile(
    values, flips, level: float = 0.95, two_sided: bool = False, apart: bool = False
):
    """Multiplier that makes bounds `mean ± c·se` hold for all columns at once.

    Never below Student's t for one column, which sign patterns of few units
    undershoot.

    Args:
      values: `[S, C]`.
      flips: `[F, S]` signs.
      apart: as in `max_t_test`.
    """
    xp = namespace(values)
    null = t_statistics(_centred(values, values.mean(axis=0, keepdims=True)), flips)
    null = xp.abs(null) if two_sided else null
    error = (1 - level) / (2 if two_sided else 1) / (values.shape[1] if apart else 1)
    single = quantile_t(values.shape[0], 1 - error)
    return xp.maximum(xp.quantile(null.max(axis=1), level, method="higher"), single)


def half_width(multiplier, values):
    """Half width `[...]` of bounds on the mean; 0 for a column without spread."""
    xp, error = namespace(values), standard_error(values)
    # Two units have an infinite multiplier, and infinity times 0 is nan.
    return xp.where(error == 0, 0.0, multiplier * xp.where(error == 0, 1.0, error))


def bca_interval(statistic, values, key, coverage=0.95, resamples=2000) -> Interval:
    """Bias-corrected accelerated bootstrap interval; whole units are resampled.

    For statistics that are no mean, such as a ratio of means.

    Args:
      statistic: `[S, ...] -> []`, jittable.
      values: pytree of `[S, ...]`, at least two units.

    Reference: Efron 1987, JASA 82:171; expanded for few units after Hesterberg 2015,
    The American Statistician 69:371.
    """
    values = jax.tree.map(jnp.asarray, values)
    units = len(jax.tree.leaves(values)[0])

    def on(index):
        return statistic(jax.tree.map(lambda leaf: leaf[index], values))

    draws = jax.random.randint(key, (resamples, units), 0, units)
    left_out = np.array([np.delete(np.arange(units), i) for i in range(units)])
    point = on(jnp.arange(units))
    replicates = jnp.sort(jax.vmap(on)(draws))
    jackknife = jax.vmap(on)(jnp.asarray(left_out))
    normal = jax.scipy.stats.norm
    level = _bca_level(point, replicates, jackknife, coverage, normal.ppf, normal.cdf)
    low, high = jnp.quantile(replicates, level)
    return Interval(point, low, high)


def bca_of_mean(statistic, values, seed=0, coverage=0.95, resamples=2000) -> Interval:
    """The same for functions of the mean curve, many at once, on the host.

    Args:
      statistic: mean curves `[M, T]` to `[M, Q]`.
      values: `[S, T]`, at least two units.
      seed: of NumPy's generator.

    Returns:
      `[Q]`; nan where the statistic is.
    """
    units = len(values)
    index = np.random.default_rng(seed).integers(0, units, (resamples, units))
    index += units * np.arange(resamples)[:, None]
    draws = np.bincount(index.ravel(), minlength=index.size).reshape(index.shape)
    point = statistic(values.mean(axis=0)[None])[0]
    replicates = statistic(draws @ values / units)
    jackknife = statistic((values.sum(axis=0) - values) / (units - 1))
    levels = _bca_level(point, replicates, jackknife, coverage, ndtri, ndtr)
    bounds = [
        np.full(2, np.nan) if np.isnan(column).any() else np.quantile(column, level)
        for column, level in zip(replicates.T, levels.T, strict=True)
    ]
    return Interval(point, *np.array(bounds).T)


def _bca_level(point, replicates, jackknife, coverage, ppf, cdf):
    """Where in the replicates `[B, ...]` the bounds lie, `[2, ...]`."""
    xp, units = namespace(replicates), len(jackknife)
    spread = jackknife.mean(axis=0, keepdims=True) - jackknife
    size = xp.maximum(xp.sum(spread**2, axis=0) ** 1.5, 1e-30)
    cubed = xp.sum(spread**3, axis=0) / size
    less, same = replicates < point[None], replicates == point[None]
    bias = ppf(xp.clip(xp.mean(less + 0.5 * same, axis=0), 1e-4, 1 - 1e-4))
    # Student's quantile for the normal one, and the root for the divisor n: with
    # few units the plain interval covers 85 % where it says 95.
    reach = quantile_t(units, (1 + coverage) / 2) * np.sqrt(units / (units - 1))
    z = xp.stack([bias - reach, bias + reach])
    return cdf(bias[None] + z / (1 - cubed[None] / 6 * z))
