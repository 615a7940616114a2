"""How hard was it pushed, from scores alone: gain, rarity, least KL."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from robust.measure.namespace import namespace
from robust.measure.pressure import aligned

_LEAST_DRAWS = 100  # fewer draws above a score, or in a tilt, say nothing


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
    return LeastKL(*_least(*aligned(draws, mean)))


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
      `[...]`; 0 where `std` is 0: constant scores gain nothing, and the verdict on
      them is DEGENERATE.

    Reference: the standard score, (scores - mean)/std, by definition.
    """
    xp = namespace(scores, mean, std)
    std = xp.asarray(std, float)
    scaled = (xp.asarray(scores, float) - mean) / xp.where(std == 0, 1.0, std)
    return xp.where(std == 0, 0.0, scaled)


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

    Reference: with V, P is uniform on the base (the distributional transform,
    Rüschendorf 2009, JSPI 139:3921), and -ln of a uniform is exponential; the table:
    Au & Beck 2001, Probabilistic Engineering Mechanics 16:263.
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
