"""Soft best-of-n from a score bank: the exponential tilt, and how far it can be read.

The tilt is the optimum of reward under a KL penalty.
"""

from typing import NamedTuple

import numpy as np

from robust.measure.bank import (
    check_bank,
    rows_by_group,
)
from robust.measure.bootstrap import Interval, t_interval
from robust.measure.spread import within_std

_ENOUGH = 100  # effective answers: the estimate's bias is of the order of 1 in them
_STRONGEST = 64.0  # inverse temperature up to which the horizon is looked for
_GRID = np.linspace(0, 1, 65)
_GRID_END = 8.0  # at most: by then even a proxy of two levels has reached its limit


class Tilt(NamedTuple):
    """Proxy and true value under exponential tilts; G groups, A inverse temperatures.

    Attributes:
      inverse_temperature: `[A]`, in 1/`proxy_std`; 0 is the base.
      kl: nats, `[A]`, mean over groups with 95 % t interval, as are the next two; nan
        bounds for a single group.
      proxy, true: `[A]`, in the scores' own units.
      ess_share: Kish's effective number of answers as a share of all, `[A]`: 1 / mean
        over groups of (1 + chi-squared of the tilt to the base).
      beyond: bool `[A]`, past the horizon: too few answers carry the estimate.
      horizon: the largest inverse temperature whose `ess_share` is above the floor;
        infinite where it stays above up to 64.
      horizon_kl: mean KL there, nats; infinite in the same case.
      proxy_std: root of the mean variance of the proxy within a group.
      groups: G.
      kl_by_group, proxy_by_group, true_by_group: `[G, A]`.
      ess_by_group: effective answers, `[G, A]`.
    """

    inverse_temperature: np.ndarray
    kl: Interval
    proxy: Interval
    true: Interval
    ess_share: np.ndarray
    beyond: np.ndarray
    horizon: float
    horizon_kl: float
    proxy_std: float
    groups: int
    kl_by_group: np.ndarray
    proxy_by_group: np.ndarray
    true_by_group: np.ndarray
    ess_by_group: np.ndarray


def tilt_curve(
    proxy, true, group=None, inverse_temperature=None, floor: float | None = None
) -> Tilt:
    """Compute what tilting the base by exp(proxy / temperature) would deliver.

    Every group is weighted by itself, all at one temperature, and groups are
    averaged. Self-normalised, so biased by a term of the order of 1/ESS in a
    group: beyond the horizon values are marked, and say less than they seem to.

    Args:
      proxy, true: finite scores of the answers, `[rows]`.
      group: label of each row's prompt, `[rows]`. Default: all rows answer one.
      inverse_temperature: `[A]` or one, at least 0, in 1/(standard deviation of the
        proxy within a group). Default: 65 values from 0 to the horizon, at most 8.
      floor: smallest share of effective answers, in (0, 1]. Default: that of 100
        answers to the prompt with the fewest, or half where it has under 200.

    Raises:
      ValueError: as `best_of_n_curve`; a group of one answer; an inverse temperature
        below 0 or not finite; a floor outside (0, 1].

    Reference: Kish 1965, Survey Sampling (effective size); Agapiou et al. 2017,
    Statistical Science 32:405 (bias, and chi-squared as what governs it).
    """
    proxy, true, group = check_bank(proxy, true, group)
    size, rows_by_size = rows_by_group(group)
    if size.min() < 2:
        raise ValueError(
            f"{np.sum(size < 2)} of {len(size)} groups have a single answer; a tilt "
            "needs at least two: leave those out"
        )
    if floor is None:
        floor = min(_ENOUGH / size.min(), 0.5)
    if not 0 < floor <= 1:
        raise ValueError(f"floor is {floor}; pass a share of the answers, in (0, 1]")
    code, banks = np.empty(len(proxy), int), []
    for here, rows in rows_by_size:
        code[rows] = here[:, None]
        top = proxy[rows].max(axis=1)
        banks.append((here, top, proxy[rows] - top[:, None], true[rows]))
    std = within_std(proxy, code)

    def tilted(strength):
        by_group = np.empty((4, len(size)))
        for here, top, below, values in banks:
            by_group[:, here] = _tilted(top, below, values, strength / (std or 1.0))
        return by_group

    horizon = _horizon(lambda strength: tilted(strength)[3].mean(), floor)
    strength = _strengths(inverse_temperature, horizon)
    kl, proxy, true, coverage = np.stack([tilted(s) for s in strength], axis=-1)
    return Tilt(
        inverse_temperature=strength,
        kl=t_interval(kl),
        proxy=t_interval(proxy),
        true=t_interval(true),
        ess_share=1 / coverage.mean(axis=0),
        beyond=strength > horizon,
        horizon=horizon,
        horizon_kl=float(tilted(horizon)[0].mean()) if np.isfinite(horizon) else np.inf,
        proxy_std=std,
        groups=len(size),
        kl_by_group=kl,
        proxy_by_group=proxy,
        true_by_group=true,
        ess_by_group=size[:, None] / coverage,
    )


def _tilted(top, below, true, strength):
    """KL, proxy, true value and 1 + chi-squared `[4, G]` of a bank `[G, N]`.

    below: each proxy less the highest of its group, `top`, so that no exponential
    overflows.
    """
    weight = np.exp(strength * below)
    total = weight.sum(axis=1)
    below, true, square = (
        np.einsum("gn,gn->g", weight, values) / total
        for values in (below, true, weight)
    )
    mean = total / (weight.size / len(total))
    kl = np.maximum(strength * below - np.log(mean), 0)  # rounding must not go below
    return np.stack([kl, top + below, true, square / mean])


def _horizon(coverage, floor: float) -> float:
    """Find where 1 + chi-squared, which only grows, passes 1/floor."""
    from scipy.optimize import root_scalar

    if coverage(_STRONGEST) <= 1 / floor:
        return float("inf")
    found = root_scalar(
        lambda strength: np.log(coverage(strength) * floor),
        bracket=(0, _STRONGEST), xtol=1e-10,
    )  # fmt: skip
    return float(found.root)


def _strengths(inverse_temperature, horizon):
    if inverse_temperature is None:
        return _GRID * min(horizon, _GRID_END)
    values = np.atleast_1d(np.asarray(inverse_temperature, float))
    wrong = ~(np.isfinite(values) & (values >= 0))
    if values.ndim != 1 or not len(values) or wrong.any():
        got = values[wrong][0] if wrong.any() else f"an array of shape {values.shape}"
        raise ValueError(
            f"inverse_temperature holds {got}; pass one or a list of finite numbers, "
            "0 (the base) or above"
        )
    return values
