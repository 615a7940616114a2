"""Best-of-Poisson from a score bank: close to the tilt, and without a temperature."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaln, pdtrc, xlogy

from robust.measure.bank import (
    check_bank,
    doublings,
    held_weights,
    mean_over_ties,
    rows_by_group,
)
from robust.measure.bootstrap import Interval, t_interval
from robust.measure.pressure import kl_best_of_poisson

_MASS = 1e-6  # of the Poisson numbers, that may lie beyond the answers there are
_NEGLIGIBLE = 1e-18


class BestOfPoisson(NamedTuple):
    """Proxy and true value under best-of-Poisson; G groups, A values of mu.

    Attributes:
      mu: mean number of draws beyond the first, `[A]`.
      kl: `[A]`, nats, for continuous scores; an upper bound where scores tie.
      proxy, true: `[A]`, means over groups with 95 % t intervals.
      groups: G.
      proxy_by_group, true_by_group: `[G, A]`.
    """

    mu: np.ndarray
    kl: np.ndarray
    proxy: Interval
    true: Interval
    groups: int
    proxy_by_group: np.ndarray
    true_by_group: np.ndarray


def best_of_poisson_curve(proxy, true, group=None, mu=None) -> BestOfPoisson:
    """Compute what the best of 1 + Poisson(mu) answers would deliver.

    The exact best-of-n, drawn without replacement, mixed over n; unbiased but for
    the numbers beyond the answers there are, of probability at most 1e-6, which are
    left out. Groups are averaged, never pooled.

    Args:
      proxy, true: finite scores of the answers, `[rows]`.
      group: label of each row's prompt, `[rows]`. Default: all rows answer one.
      mu: mean number of draws beyond the first, `[A]` or one, at least 0. Default:
        0, 0.5, 1, 2, 4, ... while the smallest group holds enough answers.

    Raises:
      ValueError: as `best_of_n_curve`; a mu below 0, not finite, or too large for the
        smallest group.

    Reference: Khalaf et al. 2025, arXiv:2506.19248; Nakano et al. 2021,
    arXiv:2112.09332, appendix I.
    """
    proxy, true, group = check_bank(proxy, true, group)
    size, rows_by_size = rows_by_group(group)
    mu = _means(mu, size.min())
    proxy_by_group, true_by_group = np.empty((2, len(size), len(mu)))
    for here, rows in rows_by_size:
        order = np.argsort(proxy[rows], axis=1)
        rows = np.take_along_axis(rows, order, axis=1)
        weights = np.stack([best_of_poisson_weights(m, rows.shape[1]) for m in mu], 1)
        proxy_by_group[here] = proxy[rows] @ weights
        true_by_group[here] = mean_over_ties(proxy[rows], true[rows]) @ weights
    return BestOfPoisson(
        mu=mu,
        kl=np.asarray(kl_best_of_poisson(mu), float),
        proxy=t_interval(proxy_by_group),
        true=t_interval(true_by_group),
        groups=len(size),
        proxy_by_group=proxy_by_group,
        true_by_group=true_by_group,
    )


def best_of_poisson_weights(mu: float, size: int) -> np.ndarray:
    """Give the probability that each of `size` scores is the best of 1 + Poisson(mu).

    Args:
      mu: mean number of draws beyond the first, at least 0.
      size: number of scores; more draws than that are left out.

    Returns:
      float64 `[size]`, lowest score first; sums to 1.

    Reference: Khalaf et al. 2025, arXiv:2506.19248.
    """
    more = np.arange(size)
    number = np.exp(xlogy(more, mu) - mu - gammaln(more + 1.0))
    weights = np.zeros(size)
    for n in np.flatnonzero(number > _NEGLIGIBLE) + 1:
        held = held_weights(int(n), size)
        weights[size - len(held) :] += number[n - 1] * held
    return weights / weights.sum()


def _means(mu, size):
    """Check that 1 + Poisson(mu) exceeds `size` with a probability of 1e-6 at most."""
    if mu is None:
        mu = np.append(0.0, 0.5 * doublings(size))
        return mu[pdtrc(size - 1, mu) <= _MASS]
    values = np.atleast_1d(np.asarray(mu, float))
    wrong = ~((values >= 0) & (pdtrc(size - 1, values) <= _MASS))
    if values.ndim != 1 or not len(values) or wrong.any():
        got = values[wrong][0] if wrong.any() else f"an array of shape {values.shape}"
        raise ValueError(
            f"mu holds {got}; pass one or a list of numbers from 0 up to where 1 + "
            f"Poisson(mu) exceeds {size}, the answers to a prompt, once in a million"
        )
    return values
