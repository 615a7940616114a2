"""What policies that weigh inputs by their score deliver, from what the score means.

As in `policies`, but the weight needs the score and not its rank alone: the proxy by
its own rarity is a `Calibration` too.
"""

from typing import Any, NamedTuple

import numpy as np

from robust.measure.calibration import Calibration
from robust.measure.namespace import namespace
from robust.measure.policies import (
    PANELS,
    nodes_between,
    over_nodes,
)


class Reweighted(NamedTuple):
    """What a policy made by weights on the score delivers, `[...]` each.

    Attributes:
      proxy, true: mean score and true value.
      power: mean rarity minus 1, nats.
      kl: of the policy to the base, nats.
      chi2: E_base[density^2] - 1. It is made deeper than the rest: of a tilt, where
        that of twice the beta lies. "At least" where that is beyond.
      beyond: share of candidates beyond the last bin if the density goes on growing
        as over the last nat; 1 where that has no end. The other values are those of
        a policy to which all scores beyond are equal.
    """

    proxy: Any
    true: Any
    power: Any
    kl: Any
    chi2: Any
    beyond: Any


def tilt(calibration: Calibration, score: Calibration, beta) -> Reweighted:
    """Expect the exponential tilt of the base: density e^(beta score) / Z.

    What reinforcement learning with a KL penalty of 1/beta converges to.

    Args:
      calibration: true value by rarity.
      score: the proxy by its own rarity, `calibrate(nats, proxy)`, never falling;
        more bins than for the true value cost no judging.
      beta: inverse temperature per unit of score, `[...]`, at least 0.

    Raises:
      ValueError: scores that fall as they get rarer.

    Reference: Korbak et al. 2022, arXiv:2205.11275.
    """
    xp = namespace(beta, *calibration[:2], *score[:2])
    score, edges = _joined(calibration, score)
    nats, mass = _base(xp, edges)
    log_weight = xp.multiply.outer(xp.asarray(beta, float), score(nats))
    mass = xp.broadcast_to(mass, log_weight.shape)
    top = log_weight.max(axis=-1, keepdims=True)
    partition = (mass * xp.exp(log_weight - top)).sum(axis=-1, keepdims=True)
    log_density = log_weight - top - xp.log(partition)
    nats = xp.broadcast_to(nats, log_weight.shape)
    return _reweighted(calibration, score, nats, mass, xp.exp(log_density))


def pessimism(calibration: Calibration, score: Calibration, beta) -> Reweighted:
    """Expect inference-time pessimism: density max(score - lambda, 0) / beta.

    The most score for a penalty of beta/2 per unit of chi-squared; lambda, which
    makes the density sum to 1, is solved for exactly.

    Args:
      calibration, score: as in `tilt`.
      beta: in units of score, `[...]`, above 0; small is greedy.

    Raises:
      ValueError: scores that fall as they get rarer.

    Reference: Huang et al. 2025, arXiv:2503.21878.
    """
    xp = namespace(beta, *calibration[:2], *score[:2])
    beta = xp.asarray(beta, float)[..., None]
    score, edges = _joined(calibration, score)
    threshold, kink = _threshold(xp, score, beta)
    edges = xp.broadcast_to(edges, (*beta.shape[:-1], *edges.shape))
    nats, mass = _base(xp, xp.sort(xp.concatenate([edges, kink], axis=-1)))
    density = xp.maximum(score(nats) - threshold, 0.0) / beta
    return _reweighted(calibration, score, nats, mass, density)


def _joined(calibration, score):
    """Cut both off where the shorter ends; a score that falls is refused.

    Returns:
      the score table; and all bins and cuts between 0 and that end, rising.
    """
    xp = namespace(*calibration[:2], *score[:2])
    rise = namespace(score.true).diff(score.true)
    if xp is np and (rise < 0).any():
        raise ValueError(
            f"score falls in {int((rise < 0).sum())} of {len(rise)} steps between "
            "bins; give the proxy by its own rarity, in bins of more inputs"
        )
    last = xp.minimum(calibration.nats[-1], score.nats[-1])
    known = [xp.minimum(xp.asarray(c.nats), last) for c in (calibration, score)]
    edges = [last * np.linspace(0, 1, PANELS + 1), *known]
    cut = Calibration(known[1], score(known[1]), None)
    return cut, xp.sort(xp.concatenate(edges))


def _base(xp, edges):
    """Rarities and base mass: nodes between edges, then the last nat and the rest.

    Returns:
      both `[..., K + 2]`. The last but one has no mass: it lies one nat before the
      end, so that densities can be compared.
    """
    inner, last = nodes_between(xp, edges), edges[..., -1:]
    mass = over_nodes(xp, xp.diff(edges)) * xp.exp(-inner)
    return (
        xp.concatenate([inner, xp.maximum(last - 1, 0.0), last], axis=-1),
        xp.concatenate([mass, xp.zeros_like(last), xp.exp(-last)], axis=-1),
    )


def _threshold(xp, score, beta):
    """Solve E_base max(score - lambda, 0) = beta for lambda, a sweep over bins.

    Returns:
      lambda, and the rarity at which the score passes it (0: all do), like beta.
    """
    nats, level = score.nats, score.true
    width, tail = xp.diff(nats), xp.exp(-nats)
    slope = xp.diff(level) / xp.where(width > 0, width, 1.0)
    # E max(score - level, 0) at each bin, falling from mean - lowest to 0.
    gains = xp.cumsum((-slope * tail[:-1] * xp.expm1(-width))[::-1])
    excess = xp.concatenate([xp.zeros(1), gains])
    steps = width.shape[0]
    above = steps - xp.searchsorted(excess, beta, side="right")
    at = xp.clip(above, 0, steps - 1)
    excess = excess[::-1]
    rest = (beta - excess[at + 1]) / xp.where(slope[at] > 0, slope[at], 1.0)
    kink = xp.maximum(-xp.log(tail[at + 1] + rest), nats[at])
    threshold = level[at] + slope[at] * (kink - nats[at])
    everyone = above < 0
    return (
        xp.where(everyone, level[0] + excess[0] - beta, threshold),
        xp.where(everyone, 0.0, kink),
    )


def _reweighted(calibration, score, nats, mass, density) -> Reweighted:
    xp = namespace(nats, mass, density, *calibration[:2], *score[:2])
    share = mass * density
    log_density = xp.log(xp.where(density > 0, density, 1.0))
    flat, before = share[..., -1], density[..., -2] / density[..., -1]
    # A density e^(growth nats) more on e^-nats fewer inputs adds to 1/(1 - growth).
    growth = -xp.log(xp.maximum(before, 1e-30))
    tail = flat / xp.where(growth < 1, 1 - growth, 1.0)
    return Reweighted(
        proxy=(share * score(nats)).sum(axis=-1),
        true=(share * calibration(nats)).sum(axis=-1),
        power=(share * nats).sum(axis=-1) + flat - 1,
        # Neither sum has a negative term, so a small divergence loses no digits.
        kl=(share * log_density - share + mass).sum(axis=-1),
        chi2=((share - mass) * (density - 1)).sum(axis=-1),
        beyond=xp.where(growth < 1, tail / (1 - flat + tail), 1.0),
    )
