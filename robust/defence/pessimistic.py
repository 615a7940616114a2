"""Pessimism at inference: a policy that is its own optimizer."""

import jax
import jax.numpy as jnp

from robust.base import Base
from robust.bind import bind
from robust.judge import check_finite
from robust.target import Target, as_pytree


def pessimism(
    target: Target, strength: float, *, key: jax.Array, draws: int = 2**14
) -> Base:
    """Draw base inputs with weight max(score - λ, 0) / strength, of mean 1.

    The policy of the most score for strength/2 per unit of chi-squared. It optimizes
    by itself, so that no attack is left to run: what comes back is what it draws.

    Args:
      strength: in units of the proxy, above 0; small is greedy.
      key: of the base draws among which it draws.
      draws: how many.

    Raises:
      ValueError: a strength that is not above zero or not finite; no draws; a score
        of them that is not finite.

    Reference: Huang et al. 2025, arXiv:2503.21878, algorithm 1.
    """
    if not 0 < strength < float("inf") or draws < 1:
        raise ValueError(
            f"got strength={strength} and {draws} draws; give a finite number above "
            "zero, and at least one draw"
        )
    target = as_pytree(target)
    x = target.base.decode(target.base.sample(key, draws))
    scores = target.proxy(x)
    check_finite("proxy", scores)
    return Base(bind(_among, x, pessimistic_weights(scores, strength)))


def pessimistic_weights(scores, strength):
    """Weights max(score - λ, 0) / strength of scores `[N]`, λ making their mean 1.

    Exact: sorted downwards, the mean of the k highest that have weight fixes λ, and
    k is the last for which the k-th is above it.
    """
    high = jnp.sort(scores)[::-1]
    count = jnp.arange(1, len(scores) + 1)
    # Of k with weight: sum(score - λ) = N strength.
    threshold = (jnp.cumsum(high) - len(scores) * strength) / count
    last = jnp.where(high > threshold, count, 0).max() - 1
    return jnp.maximum(scores - threshold[last], 0.0) / strength


def _among(x, weights, key, num):
    rows = jax.random.categorical(key, jnp.log(weights), shape=(num,))
    return jax.tree.map(lambda leaf: leaf[rows], x)
