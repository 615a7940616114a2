"""How much pressure is that: from one measure of a policy's pressure to another.

Forward formulas that are not here are in `pressure`: this module turns them around,
and adds power, the mean of -ln P(base scores higher) minus 1, which any attack has.
So `n_of_power(power)` says of any attack which n of best-of-n is as much pressure.
Policies are named as in `policies`; formulas are exact for continuous scores.
"""

from math import factorial

import jax
import jax.numpy as jnp
import jax.scipy.special as jax_special
import numpy as np
import scipy.special as np_special

from robust.measure.namespace import namespace
from robust.measure.pressure import kl_best_of_poisson

_STEPS = 20  # of iterations that converge in fewer
_HALVINGS = 60


def power_best_of_n(n):
    """Power of best-of-n: H_n - 1, for real n by the digamma function.

    n: `[...]`, at least 1. Nats `[...]`.

    Reference: Rényi 1953 (exponential order statistics).
    """
    xp, special = _namespaces(n)
    return special.digamma(xp.asarray(n, float) + 1) + np.euler_gamma - 1


def n_of_power(power):
    """Turn power into the n of best-of-n with as much: `power_best_of_n` inverted.

    power: nats, `[...]`, at least 0. Real n `[...]`.

    Reference: H_n - 1 of Rényi 1953, solved for n: psi(n + 1) = ln(n + 1/2) + O(1/n^2).
    """
    xp, _ = _namespaces(power)
    power = xp.asarray(power, float)
    # The digamma function of n + 1 is nearly ln(n + 1/2): the error shrinks 25-fold.
    log = _repeat(
        xp, _STEPS, power + 1 - np.euler_gamma,
        lambda log: log + power - power_best_of_n(xp.exp(log) - 0.5),
    )  # fmt: skip
    return xp.exp(log) - 0.5


def n_of_kl(kl):
    """Turn a KL into the n of best-of-n with as much: ln n - (n-1)/n inverted.

    kl: nats, `[...]`, at least 0. Real n `[...]`.

    Reference: the bound of Beirami et al. 2024, arXiv:2401.01879, solved for n.
    """
    xp, _ = _namespaces(kl)
    kl = xp.asarray(kl, float)

    def newton(log):
        excess, slope = log + xp.expm1(-log) - kl, -xp.expm1(-log)
        return log - xp.where(slope > 0, excess / xp.where(slope > 0, slope, 1.0), 0.0)

    # From above the root of a convex function, Newton's steps never pass it.
    return xp.exp(_repeat(xp, _STEPS, kl + xp.sqrt(2 * kl), newton))


def n_of_chi2(chi2):
    """Turn a chi-squared into the n of best-of-n with as much: (n-1)^2/(2n-1) inverted.

    chi2: `[...]`, at least 0, no unit. Real n `[...]`.

    Reference: with x = n - 1 it is x^2 = chi2 (2x + 1), a quadratic.
    """
    xp, _ = _namespaces(chi2)
    chi2 = xp.asarray(chi2, float)
    return 1 + chi2 + xp.sqrt(chi2 * (1 + chi2))


def n_of_win_rate(win_rate):
    """Turn a win rate against one base draw into the n of best-of-n: w/(1 - w).

    win_rate: `[...]`, from 1/2 to below 1. Real n `[...]`.

    Reference: n/(n + 1) of Beirami et al. 2024, arXiv:2401.01879, solved for n.
    """
    xp, _ = _namespaces(win_rate)
    win_rate = xp.asarray(win_rate, float)
    return win_rate / (1 - win_rate)


def power_best_of_poisson(mu):
    """Power of best-of-Poisson: Ein(mu) + (1 - e^-mu)/mu - 1.

    Ein is the entire exponential integral E1(mu) + ln mu + gamma: what P(rarer) =
    1 - (1 - y) e^(-mu y), y = e^-rarity, integrates to.

    mu: mean number of extra draws, `[...]`, at least 0. Nats `[...]`.
    """
    xp, special = _namespaces(mu)
    mu = xp.asarray(mu, float)
    large, small = xp.maximum(mu, 1.0), xp.minimum(mu, 1.0)
    integral = special.exp1(large) + xp.log(large) + np.euler_gamma
    series = xp.zeros_like(mu)  # below 1 the closed form cancels
    for k in range(_STEPS, 0, -1):
        series = small * ((-1) ** (k + 1) / (factorial(k) * k * (k + 1)) + series)
    return xp.where(mu > 1, integral - xp.expm1(-large) / large - 1, series)


def mu_of_power(power):
    """Turn power into the mu of best-of-Poisson with as much.

    power: nats, `[...]`, at least 0. `[...]`.

    Reference: `power_best_of_poisson` rises with mu; bisection.
    """
    xp, _ = _namespaces(power)
    return _halve(xp, power_best_of_poisson, xp.asarray(power, float))


def mu_of_kl(kl):
    """Turn a KL into the mu of best-of-Poisson with as much.

    kl: nats, `[...]`, at least 0. `[...]`, in JAX's default precision.

    Reference: the KL of Khalaf et al. 2025, arXiv:2506.19248, rises with mu; bisection.
    """
    return _halve(jnp, kl_best_of_poisson, jnp.asarray(kl, float))


def q_of_kl(kl):
    """Turn a KL, or power, into the quantilizer with as much: e^-kl, the same of both.

    kl: nats, `[...]`, at least 0. The share q that is kept, `[...]`.

    Reference: Taylor 2016, Quantilizers; above a threshold rarity is exponential.
    """
    xp, _ = _namespaces(kl)
    return xp.exp(-xp.asarray(kl, float))


def q_of_chi2(chi2):
    """Turn a chi-squared into the quantilizer with as much: 1/(1 + chi2).

    chi2: `[...]`, at least 0. The share q that is kept, `[...]`.

    Reference: Taylor 2016, Quantilizers; the density is 1/q, so chi2 = 1/q - 1.
    """
    xp, _ = _namespaces(chi2)
    return 1 / (1 + xp.asarray(chi2, float))


def kl_of_gain(gain):
    """Give the least KL that buys a proxy gain where base scores are normal: g^2/2.

    gain: base standard deviations, `[...]`, at least 0. Nats `[...]`: of the tilt.

    Reference: the tilt of a normal distribution is that distribution, moved.
    """
    xp, _ = _namespaces(gain)
    return xp.asarray(gain, float) ** 2 / 2


def gain_of_kl(kl):
    """Bound the proxy gain that a KL buys where base scores are normal: sqrt(2 kl).

    kl: nats, `[...]`, at least 0. Base standard deviations `[...]`: reached by the
    tilt, and a bound wherever scores are sub-Gaussian with the base's variance.

    Reference: Mroueh 2024, arXiv:2406.05882.
    """
    xp, _ = _namespaces(kl)
    return xp.sqrt(2 * xp.asarray(kl, float))


def most_power(kl):
    """Bound the power that a KL buys: `pressure.donsker_varadhan` inverted.

    kl: nats, `[...]`, at least 0. Nats `[...]`.

    Reference: Donsker & Varadhan 1983; the starting point is the upper bound of
    Chatzigeorgiou 2013, IEEE Communications Letters 17:1505, on the Lambert function.
    """
    xp, _ = _namespaces(kl)
    kl = xp.asarray(kl, float)

    def newton(power):
        excess, some = power - xp.log1p(power) - kl, xp.where(power > 0, power, 1.0)
        return power - xp.where(power > 0, excess * (1 + some) / some, 0.0)

    return _repeat(xp, _STEPS, kl + xp.sqrt(2 * kl), newton)


def most_tv(kl):
    """Bound the total variation that a KL allows: the lesser of two bounds.

    Pinsker's sqrt(kl/2), and sqrt(1 - e^-kl), which stays below 1.

    kl: nats, `[...]`, at least 0. A probability `[...]`.

    Reference: Pinsker 1964; Bretagnolle & Huber 1979; Canonne 2022, arXiv:2202.07198.
    """
    xp, _ = _namespaces(kl)
    kl = xp.asarray(kl, float)
    return xp.sqrt(xp.minimum(kl / 2, -xp.expm1(-kl)))


def least_chi2(kl):
    """Bound from below the chi-squared of a policy by its KL: e^kl - 1.

    kl: nats, `[...]`, at least 0. E_base[density^2] - 1, `[...]`; a quantilizer
    attains it.

    Reference: Jensen's inequality; Gibbs & Su 2002, arXiv:math/0209021.
    """
    xp, _ = _namespaces(kl)
    return xp.expm1(xp.asarray(kl, float))


def _namespaces(array):
    xp = namespace(array)
    return xp, (np_special if xp is np else jax_special)


def _repeat(xp, times, state, step):
    if xp is jnp:
        return jax.lax.fori_loop(0, times, lambda _, state: step(state), state)
    for _ in range(times):
        state = step(state)
    return state


def _halve(xp, function, goal):
    """Solve function(mu) = goal, both rising from 0, for ln(1 + mu) <= goal + 1."""

    def step(ends):
        low, high = ends
        middle = (low + high) / 2
        under = function(xp.expm1(middle)) < goal
        return xp.where(under, middle, low), xp.where(under, high, middle)

    low, _ = _repeat(xp, _HALVINGS, (xp.zeros_like(goal), goal + 1), step)
    return xp.where(xp.isnan(goal), goal, xp.expm1(low))
