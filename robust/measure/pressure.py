"""How hard was it pushed: divergences of known attacks, and bounds on unknown ones."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from robust.measure.namespace import namespace

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)  # on [-1, 1]
_LEAST_DRAWS = 100  # effective sample size below which a tilt says nothing


def kl_best_of_n(n):
    """Bound the KL of best-of-n to its base: ln n - (n - 1)/n.

    n: draws of which the best is kept, `[...]`, at least 1. Nats `[...]`: exact for
    continuous scores, an upper bound where scores tie.

    Reference: Beirami et al. 2024, arXiv:2401.01879.
    """
    n = jnp.asarray(n, float)
    return jnp.log(n) - (n - 1) / n


def kl_best_of_n_finite(probability, n):
    """Give the exact KL of best-of-n to its base on finitely many score levels.

    Args:
      probability: base probability of each distinct score, lowest score first,
        `[..., L]`; sums to 1, zeros allowed.
      n: draws of which the best is kept, `[...]`; broadcasts with the leading axes.

    Returns:
      nats `[...]`: sum p ln(p/q) with q the probability and p = F^n - F_-^n, F and
      F_- the share of the base at or below, and below, a level.

    Reference: Beirami et al. 2024, arXiv:2401.01879.
    """
    return _finite(*_aligned(jnp.asarray(probability, float), jnp.asarray(n, float)))


def _aligned(rows, scalars):
    """Pad the shorter of [..., L] and [...]: jnp may be set to refuse to do it."""
    rank = max(rows.ndim - 1, scalars.ndim)
    return (
        jnp.expand_dims(rows, tuple(range(rank + 1 - rows.ndim))),
        jnp.expand_dims(scalars, tuple(range(rank - scalars.ndim))),
    )


def _finite_one(q, n):
    held = q > jnp.finfo(q.dtype).tiny  # devices flush anything smaller to zero
    upto = jnp.cumsum(q)
    above = jnp.concatenate([jnp.cumsum(q[:0:-1])[::-1], jnp.zeros_like(q[:1])])
    # F^n needs ln F to full precision where F is near 1, and p = F^n (1 - (1 - q/F)^n)
    # needs no difference of nearby powers: it stays exact however small q is.
    log_f = jnp.where(above < 0.5, jnp.log1p(-jnp.minimum(above, 0.5)), jnp.log(upto))
    share = jnp.minimum(q / jnp.where(held, upto, 1), 1)
    log_p = n * log_f + jnp.log(-jnp.expm1(n * jnp.log1p(-share)))
    kl = jnp.where(held, jnp.exp(log_p) * (log_p - jnp.log(q)), 0).sum()
    return jnp.maximum(kl, 0)  # rounding at n = 1 must not reach a square root


_finite = jax.jit(jnp.vectorize(_finite_one, signature="(l),()->()"))


def kl_best_of_n_estimate(probability, n):
    """Estimate the KL of best-of-n from the base probability of what it selected.

    Average it over best-of-n draws. Nearer to the exact KL than `kl_best_of_n`
    where one outcome holds much of the base; the same where none does.

    Args:
      probability: base probability of the selected outcome, `[...]`, in [0, 1].
      n: draws of which the best is kept, `[...]`.

    Returns:
      nats `[...]`.

    Reference: Beirami et al. 2024, arXiv:2401.01879, the estimator D-hat.
    """
    probability, n = jnp.asarray(probability, float), jnp.asarray(n, float)
    inside = (probability > 0) & (probability < 1)
    eps = jnp.where(inside, probability, 0.5)
    log_miss = jnp.log1p(-eps)
    once = -jnp.expm1(n * log_miss)  # the outcome is among the n draws
    others = jnp.log(n) + (n - 1) * log_miss - (n - 1) / n
    estimate = (1 - once) * others + once * jnp.log(once / eps)
    edge = jnp.where(probability == 0, kl_best_of_n(n), 0)
    return jnp.where(inside, jnp.maximum(estimate, 0), edge)


def chi2_best_of_n(n):
    """Bound the chi-squared divergence of best-of-n to its base: (n-1)^2/(2n-1).

    n `[...]`, at least 1. E_base[(p/q)^2] - 1 `[...]`, no unit: exact for continuous
    scores, an upper bound where scores tie.

    Reference: the density n u^(n-1) of a rank u, integrated.
    """
    n = jnp.asarray(n, float)
    return (n - 1) ** 2 / (2 * n - 1)


def tv_best_of_n(n):
    """Bound the total variation of best-of-n to its base: ((n-1)/n) n^(-1/(n-1)).

    n `[...]`, at least 1. A probability `[...]`: exact for continuous scores, an
    upper bound where scores tie.

    Reference: the density n u^(n-1) of a rank u passes 1 at u = n^(-1/(n-1)).
    """
    n = jnp.asarray(n, float)
    return (n - 1) / n * jnp.exp(-jnp.log(n) / jnp.where(n == 1, 1, n - 1))


def win_rate_best_of_n(n):
    """Bound how often best-of-n outscores one base draw: n/(n+1).

    n `[...]`, at least 1. A probability `[...]`: exact for continuous scores, an
    upper bound where scores tie and only strictly higher ones win.

    Reference: Beirami et al. 2024, arXiv:2401.01879.
    """
    n = jnp.asarray(n, float)
    return n / (n + 1)


def kl_quantilizer(q):
    """Give the KL of a quantilizer, the base's top share q, to its base: ln 1/q.

    q: share of the base that is kept, `[...]`, in (0, 1]. Nats `[...]`.

    Reference: Taylor 2016, Quantilizers.
    """
    return -jnp.log(jnp.asarray(q, float))


def chi2_quantilizer(q):
    """Give the chi-squared divergence of a quantilizer to its base: 1/q - 1.

    q: share of the base that is kept, `[...]`, in (0, 1]. E_base[(p/q)^2] - 1
    `[...]`, no unit.

    Reference: Taylor 2016, Quantilizers.
    """
    q = jnp.asarray(q, float)
    return (1 - q) / q


@jax.jit
@jnp.vectorize
def kl_best_of_poisson(mu):
    """Give the KL of best-of-Poisson to its base, for continuous scores.

    The best of 1 + Poisson(mu) draws has rank u in [0, 1] with density
    (mu u + 1) e^(mu (u - 1)) and stays close to the tilt of the same mean.

    mu: mean number of extra draws, `[...]`, at least 0. Nats `[...]`, by quadrature.

    Reference: Khalaf et al. 2025, arXiv:2506.19248.
    """
    mu = jnp.asarray(mu, float)
    distance, weight = _below_one(mu)
    log_f = jnp.log1p(mu * (1 - distance)) - mu * distance
    # f ln f - f + 1 has the same integral as f ln f and is never negative, so a
    # small KL is no difference of large terms. Beyond the nodes f is 0.
    excess = jnp.exp(log_f) * log_f - jnp.expm1(log_f)
    return jnp.maximum((weight * excess).sum() + (1 - weight.sum()), 0)


@jax.jit
@jnp.vectorize
def win_rate_best_of_poisson(mu):
    """Give how often best-of-Poisson outscores one base draw: its mean rank E[u].

    mu: mean number of extra draws, `[...]`, at least 0. A probability `[...]`,
    1 - 1/mu + (1 - e^-mu)/mu^2, by quadrature so that no small mu cancels.

    Reference: Khalaf et al. 2025, arXiv:2506.19248.
    """
    mu = jnp.asarray(mu, float)
    distance, weight = _below_one(mu)
    return 1 - (weight * (1 - distance) * jnp.exp(-mu * distance)).sum()


def _below_one(mu):
    """Place quadrature nodes on [0, 1] where e^(-mu (1 - u)) is above e^-40."""
    width = 40 / jnp.maximum(mu, 40)
    nodes, weights = jnp.asarray(_NODES, float), jnp.asarray(_WEIGHTS, float)
    return width * (1 + nodes) / 2, width * weights / 2


@jax.jit
def kl_gaussian(mean, std, base_mean=0.0, base_std=1.0):
    """Give the KL between normal distributions with independent coordinates.

    Args:
      mean, std: of the attack, `[..., D]`; a scalar is one coordinate.
      base_mean, base_std: of the base; all four broadcast.

    Returns:
      nats `[...]`, summed over the last axis.

    Reference: Kullback 1959, Information Theory and Statistics, chapter 9.
    """
    moments = (mean, std, base_mean, base_std)
    moments = jnp.broadcast_arrays(*(jnp.asarray(m, float) for m in moments))
    mean, std, base_mean, base_std = map(jnp.atleast_1d, moments)
    ratio, shift = std / base_std, (mean - base_mean) / base_std
    return (0.5 * (ratio**2 - 1 + shift**2) - jnp.log(ratio)).sum(-1)


@jax.jit
def kl_categorical(log_p, log_q):
    """Give the KL between categorical distributions.

    Args:
      log_p: normalised log-probabilities of the attack, `[..., V]`; -inf allowed.
      log_q: those of the base; broadcasts with `log_p`.

    Returns:
      nats `[...]`, summed over the last axis; inf where p leaves q's support.

    Reference: Kullback & Leibler 1951, Annals of Mathematical Statistics 22:79.
    """
    log_p, log_q = jnp.asarray(log_p, float), jnp.asarray(log_q, float)
    log_p, log_q = jnp.broadcast_arrays(log_p, log_q)
    held = log_p > -jnp.inf
    ratio = jnp.where(held, log_p, 0) - jnp.where(held, log_q, 0)
    return jnp.where(held, jnp.exp(log_p) * ratio, 0).sum(-1)


def donsker_varadhan(power):
    """Bound from below the KL of whatever has a given mean power.

    The free check on a claimed KL: it needs scores only, does not change under
    increasing maps of the proxy and is never infinite.

    Args:
      power: mean of -ln P_base(proxy above the candidate's), minus 1; nats `[...]`,
        above -1.

    Returns:
      nats `[...]`: P - 1 - ln P with P = power + 1.

    Reference: Donsker & Varadhan 1983, with the function -lambda ln P_base, an
    exponential variable under the base, at its best lambda = 1 - 1/P.
    """
    power = jnp.asarray(power, float)
    return power - jnp.log1p(power)


class LeastKL(NamedTuple):
    """The least KL that buys a mean proxy, all `[...]`.

    Attributes:
      kl: nats; "at least" where censored.
      beta: inverse temperature of the tilt that buys it, per unit of proxy.
      censored: True where the draws cannot carry the tilt all the way.
    """

    kl: jax.Array
    beta: jax.Array
    censored: jax.Array


def least_kl(mean, draws):
    """Estimate the least KL to the base of whatever reaches a mean proxy score.

    It is sup over beta >= 0 of beta mean - ln E_base e^(beta proxy), reached by the
    exponential tilt of the base. Where that tilt would leave an effective sample
    size below 100, or the mean lies above all draws, it is censored: `kl` and
    `beta` are those of the largest beta that still has 100. A plug-in estimate:
    show it, never check a claimed KL against it.

    Args:
      mean: mean proxy of the attack, `[...]`.
      draws: proxy of base draws, `[..., N]`; the leading axes broadcast with `mean`.
        Constant or non-finite draws give nan, censored.

    Raises:
      ValueError: fewer than 100 draws.

    Reference: Donsker & Varadhan 1983; Chernoff 1952.
    """
    mean, draws = jnp.asarray(mean, float), jnp.asarray(draws, float)
    num = draws.shape[-1] if draws.ndim else 0
    if num < _LEAST_DRAWS:
        raise ValueError(
            f"draws has shape {draws.shape}; pass at least {_LEAST_DRAWS} base draws "
            "of the proxy on its last axis"
        )
    return LeastKL(*_least(*_aligned(draws, mean)))


def _least_one(draws, mean):
    # Measured from the top in base standard deviations no weight overflows, and one
    # bracket of ln beta suits every proxy.
    top, scale = draws.max(), draws.std()
    scores, goal = (draws - top) / scale, (mean - top) / scale

    def tilt(log_beta):
        weight = jnp.exp(jnp.exp(log_beta) * scores)
        total = weight.sum()
        return (weight * scores).sum() / total, total**2 / (weight**2).sum()

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        reached, effective = tilt(middle)
        onward = (reached < goal) & (effective >= _LEAST_DRAWS)
        return jnp.where(onward, middle, low), jnp.where(onward, high, middle)

    # The tilted mean rises with beta and the effective sample size falls, so "go on"
    # holds up to one point.
    ends = (jnp.full_like(goal, -20), jnp.full_like(goal, 20))
    low, high = jax.lax.fori_loop(0, 40, halve, ends)
    beta = jnp.where(low > ends[0], jnp.exp(low), 0)
    kl = beta * goal - jnp.log(jnp.exp(beta * scores).mean())
    return jnp.maximum(kl, 0), beta / scale, ~(tilt(high)[0] >= goal)


_least = jax.jit(jnp.vectorize(_least_one, signature="(n),()->(),(),()"))


def gain(scores, mean, std):
    """Standardise proxy scores: base standard deviations above the base mean.

    Args:
      scores: raw scores `[...]`.
      mean, std: of the base, broadcasting with `scores`.

    Returns:
      `[...]`; nan where `std` is 0 (a constant proxy has no gain: DEGENERATE).
    """
    xp = namespace(scores, mean, std)
    std = xp.asarray(std, float)
    scaled = (xp.asarray(scores, float) - mean) / xp.where(std == 0, 1.0, std)
    return xp.where(std == 0, np.nan, scaled)


def rank_nats(scores, draws, uniform, table=None):
    """How lucky would the base have had to be? -ln P(base scores higher), per score.

    With V uniform, P = P(proxy > x) + V P(proxy = x), so the values of base draws
    are exponential with mean 1; `power` is the mean over candidates minus 1. It asks
    nothing of the attack and does not change under increasing maps of the proxy (but
    for scores between two levels of the table, where it is linear in the score: by
    less than the levels are apart).

    The draws decide while at least 100 of them score higher; from there on the
    table, shifted to agree with the draws where it takes over.

    Args:
      scores: `[M]`; non-finite scores count as the lowest.
      draws: base scores `[N]`.
      uniform: V, `[M]`, uniform on (0, 1).
      table: `(level, power, tie)`, each `[L]`, of a splitting run: rising scores,
        -ln P(proxy > level) and -ln P(proxy >= level). None or empty: no table.

    Returns:
      nats `[M]`, and bool `[M]`, True where a score lies beyond both; its value is
      then "at least".
    """
    xp = namespace(scores, draws, uniform, *(table or ()))
    draws = xp.sort(xp.asarray(draws, float))
    scores = xp.asarray(scores, float)
    scores = xp.where(xp.isfinite(scores), scores, -np.inf)
    num = draws.shape[0]
    above = num - xp.searchsorted(draws, scores, side="right")
    equal = num - xp.searchsorted(draws, scores, side="left") - above
    beyond = above + equal == 0
    # A score beyond all draws gets V = 1: -ln 1/(N+1) is what can be vouched for.
    share = xp.where(beyond, 1.0, above + uniform * (equal + 1.0)) / (num + 1.0)
    nats = -xp.log(xp.maximum(share, 1e-30))
    if table is None or table[0].shape[-1] == 0:
        return nats, beyond
    level, power, tie = (xp.asarray(column, float) for column in table)
    # A run that never left the base has level -inf; so has any score below all draws.
    level = xp.where(xp.isfinite(level), level, draws[0] - 1.0)
    handover = xp.maximum(draws[max(num - 1 - _LEAST_DRAWS, 0)], level[0])
    there = num - xp.searchsorted(draws, handover, side="right")
    shift = -xp.log((there + 1.0) / (num + 1.0)) - _on_table(
        handover, level, power, tie, 0.0
    )
    deep = (above < _LEAST_DRAWS) & (scores > handover) & (level[-1] > handover)
    from_table = _on_table(scores, level, power, tie, uniform) + shift
    return (
        xp.where(deep, from_table, nats),
        xp.where(deep, scores > level[-1], beyond),
    )


def _on_table(scores, level, power, tie, uniform):
    """-ln P from the table: linear in the score between levels, V on a level."""
    xp, last = namespace(scores, level), level.shape[0] - 1
    right = xp.minimum(xp.searchsorted(level, scores, side="left"), last)
    left = xp.maximum(right - 1, 0)
    width = level[right] - level[left]
    weight = (scores - level[left]) / xp.where(width > 0, width, 1.0)
    between = power[left] + xp.clip(weight, 0, 1) * (tie[right] - power[left])
    on = power[right] - xp.log1p(
        uniform * xp.expm1(xp.maximum(power[right] - tie[right], 0.0))
    )
    value = xp.where(scores == level[right], on, between)
    return xp.where(scores > level[last], power[last], value)
