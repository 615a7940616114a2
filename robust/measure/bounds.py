"""What a correlation on the base guarantees once the base is left.

Everything is in base standard deviations: gains of proxy and true value over the
base mean, and the chi-squared divergence of the policy to the base,
E_base[(p/q)^2] - 1. With d = p/q - 1 a gain is the base mean of d times the
standardised score, so all bounds here are Cauchy-Schwarz on what d may contain.
"""

from robust.measure.bootstrap import Interval
from robust.measure.calibration import Calibration
from robust.measure.namespace import namespace

_ROUNDING = 1e-6  # relative: gain^2 may exceed chi-squared by so much


def guaranteed(gain, chi2, rho, eta2=None):
    """Bound the true gain of a policy from below: rho G - s sqrt(chi2 - G^2).

    s^2 = 1 - rho^2, or eta2 - rho^2 for a policy that selects by score alone. The
    true value is rho times the proxy plus a rest of standard deviation s that is
    uncorrelated with it, and d has sqrt(chi2 - G^2) left for that rest. It is reached
    where d is a combination of proxy and rest and p/q stays >= 0, which needs scores
    bounded on the base: never on a normal one.

    Args:
      gain: G, of the proxy, `[...]`.
      chi2: of the policy to the base, `[...]`, at least 0 (`chi2_best_of_n`,
        `chi2_quantilizer`).
      rho: correlation of proxy and true value on the base, `[...]`.
      eta2: `correlation_ratio`, `[...]`, for score-selective attacks only: best-of-n,
        tilt, quantilizer. Values below rho^2 count as rho^2.

    Returns:
      `[...]`, all broadcast; 0 where chi2 is 0, the base itself; nan where gain^2
      exceeds chi2, which no policy can do: mend the inputs.

    Reference: derived here; Liu et al. 2026, arXiv:2604.12086 (the worst case over
    correlated proxies).
    """
    return _extreme(gain, chi2, rho, eta2, -1)


def possible(gain, chi2, rho, eta2=None):
    """Bound the true gain of a policy from above: rho G + s sqrt(chi2 - G^2).

    Args and returns as `guaranteed`.

    Reference: as `guaranteed`, Cauchy-Schwarz with the other sign.
    """
    return _extreme(gain, chi2, rho, eta2, +1)


def guaranteed_by_proxy(gain, chi2, rho):
    """Bound the true gain by the proxy's with a penalty: (G - sqrt(1 - rho^2) chi)/rho.

    Here the proxy is rho times the true value plus a rest, of which the policy can
    gain at most chi = sqrt(chi2). It ignores what the policy spends on the true value,
    so it never exceeds `guaranteed`; both are 0 at the same gain.

    Args:
      gain, chi2: as for `guaranteed`.
      rho: correlation on the base, `[...]`; nan unless above 0.

    Returns:
      `[...]`, all broadcast; 0 and nan as for `guaranteed`.

    Reference: Laidlaw, Singhal & Dragan 2025, arXiv:2403.03185, the bound behind
    their penalty of sqrt(1 - rho^2) times the root of chi-squared.
    """
    xp, *given = _floats(gain, chi2, rho)
    gain, chi2, rho = xp.broadcast_arrays(*given)
    penalty = xp.sqrt(xp.maximum(1 - rho**2, 0.0) * chi2)
    bound = (gain - penalty) / xp.where(rho > 0, rho, xp.nan)
    return _where_possible(bound, gain, chi2)


def correlation_ratio(calibration: Calibration, rho) -> Interval:
    """Estimate the share of the true value's variance that the score explains.

    eta^2 = Var E[true | proxy] / Var true: rho^2 where the relation is a line, else
    more. The variance of the bin means exceeds it by the mean of their squared
    errors, which is subtracted, and falls short by what varies within bins: joining
    bins in pairs loses some more, and as much is added again. Smooth relations to a
    normal score lose 0.7 (a line) to 3 (a cubic, in its tails) times that, so `high`
    allows for 3. Too small a ratio guarantees too much: pass `high` to `guaranteed`.

    Args:
      calibration: of base draws alone, so that all bins have one count; its true
        values in base standard deviations. An even number of bins, at least 4.
      rho: correlation on the base, a scalar.

    Returns:
      95 % `Interval`, from the errors of the bins, within [rho^2, 1].

    Raises:
      ValueError: fewer than 4 bins, or an odd number.

    Reference: Pearson 1905, On the General Theory of Skew Correlation; the factors:
    variances within 8 to 128 bins of a normal, computed.
    """
    xp, true, error, rho = _floats(calibration.true, calibration.error, rho)
    bins = true.shape[0]
    if bins < 4 or bins % 2:
        raise ValueError(
            f"got {bins} bins; calibrate with an even number of them, at least 4"
        )
    left, half, noise = true - true.mean(), (true[1::2] - true[::2]) / 2, error**2
    between = xp.mean(left**2) - xp.mean(noise) * (1 - 1 / bins)
    within = xp.mean(half**2) - xp.mean(noise) / 2
    slope = 2 * left + 2 * xp.stack([-half, half], axis=1).reshape(bins)
    reach = 1.96 * xp.sqrt(xp.sum(slope**2 * noise)) / bins
    value = between + within
    high = value + 2 * xp.maximum(within, 0.0) + reach
    bounds = (value, value - reach, high)
    return Interval(*(xp.clip(bound, rho**2, 1.0) for bound in bounds))


def _floats(*arrays):
    xp = namespace(*arrays)
    return xp, *(xp.asarray(array, float) for array in arrays)


def _extreme(gain, chi2, rho, eta2, sign):
    """The largest or least true gain, by sign, that Cauchy-Schwarz leaves open."""
    xp, *given = _floats(gain, chi2, rho, 1.0 if eta2 is None else eta2)
    gain, chi2, rho, eta2 = xp.broadcast_arrays(*given)  # jnp may refuse to later
    rest = xp.sqrt(xp.maximum(eta2 - rho**2, 0.0))
    room = xp.sqrt(xp.maximum(chi2 - gain**2, 0.0))
    return _where_possible(rho * gain + sign * rest * room, gain, chi2)


def _where_possible(bound, gain, chi2):
    xp = namespace(bound, gain, chi2)
    fits = gain**2 <= chi2 * (1 + _ROUNDING)
    return xp.where(chi2 == 0, 0.0, xp.where(fits, bound, xp.nan))
