"""How hard was it pushed: divergences of policies that are known."""

import jax
import jax.numpy as jnp
import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)  # on [-1, 1]


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
    return _finite(*aligned(jnp.asarray(probability, float), jnp.asarray(n, float)))


def aligned(rows, scalars):
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
