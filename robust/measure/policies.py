"""What policies that select by rank deliver, from what the score means.

Such a policy is a density over the rarity -ln P(base scores higher), exponential
under the base. With m = E[true | rarity], a `Calibration`, its true value is one
integral; the same integral over `calibrate(nats, proxy)` is its proxy. Beyond the
last bin m is unknown and taken as constant, so each policy says what share of it
lies there: trust none with more than a tenth. Policies that need the score itself
are in `reweighting`.
"""

from typing import Any, NamedTuple

import numpy as np

from robust.measure import bootstrap
from robust.measure.calibration import Calibration, selected
from robust.measure.namespace import namespace

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)  # on [-1, 1]
PANELS = 64  # that wide bins are cut into: few are then wider than a nat
MOST_BEYOND = 0.1  # share beyond the last bin from which nothing is trusted
_GRID = 257  # pressures among which an optimum is looked for
_COARSE = 8  # every so many of them are compared in pairs


class Expected(NamedTuple):
    """What a policy of known ranks delivers, `[...]` each.

    Attributes:
      true: mean true value.
      beyond: share of candidates beyond the last bin, where m is a guess.
    """

    true: Any
    beyond: Any


class Hedge(NamedTuple):
    """The n (or mu) that delivers most, and those not shown to deliver less.

    Attributes:
      n: where the mean true value over units peaks.
      true: that value. It was picked as the largest: where curves are flat or units
        few it promises too much.
      low, high: ends of the set of n not simultaneously below it at 95 %; nan for a
        single unit.
      interior: False where the value still rises at `last`.
      last: largest n of which at most a tenth lies beyond the last bin.
    """

    n: float
    true: float
    low: float
    high: float
    interior: bool
    last: float


def best_of_n(calibration: Calibration, n) -> Expected:
    """Expect the best of n base draws: rank u with density n u^(n-1).

    n: `[...]`, real, at least 1. Returns `[...]`.

    Reference: Stiennon et al. 2020, arXiv:2009.01325.
    """
    return _best_of(_log_rank, calibration, namespace(n).asarray(n, float) - 1)


def best_of_poisson(calibration: Calibration, mu) -> Expected:
    """Expect the best of 1 + Poisson(mu) draws: density (mu u + 1) e^(mu (u - 1)).

    mu: mean number of extra draws, `[...]`, at least 0. Returns `[...]`.

    Reference: Khalaf et al. 2025, arXiv:2506.19248.
    """
    return _best_of(_minus_tail, calibration, namespace(mu).asarray(mu, float))


def quantilizer(calibration: Calibration, q) -> Expected:
    """Expect a draw from the base's top share q: density 1/q over ranks above 1 - q.

    q: `[...]`, in (0, 1]. Returns `[...]`. Exact for the chords between bins.

    Reference: Taylor 2016, Quantilizers.
    """
    xp = namespace(q, *calibration[:2])
    power = -xp.log(xp.asarray(q, float))
    beyond = xp.exp(xp.minimum(power - calibration.nats[-1], 0.0))
    return Expected(selected(calibration, power), beyond)


def hedge(calibrations, family: str = "best_of_n") -> Hedge:
    """Find the n at which selection by this proxy delivers most, as HedgeTune does.

    The root in n of E[m(u) d ln density(u) / dn]. On units of their own the set of
    n not shown to be worse is given too: an argmax has no consistent bootstrap.

    Args:
      calibrations: one per independent unit (prompt or seed), at least one.
      family: "best_of_n" (n from 1) or "best_of_poisson" (mu from 0).

    Raises:
      ValueError: no calibration, or another family.

    Reference: Khalaf et al. 2025, arXiv:2506.19248; bounds over all pairs as in
    `divergence`.
    """
    if not len(calibrations):
        raise ValueError("got no calibration; give one per unit")
    if family not in _FAMILIES:
        raise ValueError(f"family is {family!r}; give one of {sorted(_FAMILIES)}")
    rate, least = _FAMILIES[family]
    last = min(float(c.nats[-1]) for c in calibrations)
    most = max((_log_rank(last) - np.log1p(-MOST_BEYOND)) / -rate(last), 0.0)
    grid = np.expm1(np.linspace(0.0, np.log1p(most), _GRID))
    values = np.stack([_delivered(rate, c, grid) for c in calibrations])
    best = int(values.mean(axis=0).argmax())

    def slope(extra):
        return sum(_slope(rate, c, extra) for c in calibrations)

    low, high = grid[max(best - 1, 0)], grid[min(best + 1, _GRID - 1)]
    extra, interior = grid[best], best < _GRID - 1
    if slope(low) > 0 > slope(high):
        from scipy.optimize import brentq

        extra, interior = brentq(slope, low, high, xtol=1e-12, rtol=1e-12), True
    true = np.mean([_delivered(rate, c, np.array([extra])) for c in calibrations])
    among = grid[_not_below(values, best)]
    ends = (among[0], among[-1]) if len(calibrations) > 1 else (np.nan, np.nan)
    return Hedge(
        n=float(extra + least),
        true=float(true),
        low=float(ends[0] + least),
        high=float(ends[1] + least),
        interior=interior,
        last=float(most + least),
    )


def _not_below(values, best):
    """Which columns of `[U, G]` are not simultaneously below the best one."""
    if len(values) == 1:
        return [best]
    few = values[:, ::_COARSE]
    left, right = np.triu_indices(few.shape[1], 1)
    flips = np.asarray(bootstrap.sign_flips(len(values)))
    pairs = few[:, left] - few[:, right]
    multiplier = bootstrap.max_t_quantile(pairs, flips, two_sided=True)
    below = values[:, best, None] - values
    return below.mean(axis=0) <= bootstrap.half_width(multiplier, below)


def _log_rank(nats):
    """ln(1 - e^-nats), to full precision at both ends: d ln CDF / dn of best-of-n."""
    xp = namespace(nats)
    early, late = xp.clip(nats, 1e-30, 1.0), xp.maximum(nats, 0.5)
    return xp.where(nats < 0.7, xp.log(-xp.expm1(-early)), xp.log1p(-xp.exp(-late)))


def _minus_tail(nats):
    """-e^-nats: d ln CDF / d mu of best-of-Poisson."""
    return -namespace(nats).exp(-nats)


# A family's ln CDF is that of one draw plus the (mean) number of extra draws times a
# rate. Also the parameter at no extra draw.
_FAMILIES = {"best_of_n": (_log_rank, 1.0), "best_of_poisson": (_minus_tail, 0.0)}


def _log_cdf(rate, nats, extra):
    """`[..., K]`, for nats `[K]` and extra draws `[...]`."""
    xp = namespace(nats, extra)
    each = xp.multiply.outer(extra, rate(nats))
    return xp.broadcast_to(_log_rank(nats), each.shape) + each


def _best_of(rate, calibration, extra) -> Expected:
    last = namespace(*calibration[:2]).asarray(calibration.nats)[-1:]
    beyond = -namespace(extra, last).expm1(_log_cdf(rate, last, extra)[..., 0])
    return Expected(_delivered(rate, calibration, extra), beyond)


def _delivered(rate, calibration, extra):
    """By parts: m at the first bin plus its rise times P(rarer), bin by bin."""
    xp = namespace(extra, *calibration[:2])
    nats, rise = _rises(calibration)
    rarer = -xp.expm1(_log_cdf(rate, nats, extra))
    rise = xp.broadcast_to(rise, rarer.shape)
    return calibration.true[0] + (rarer * rise).sum(axis=-1)


def _slope(rate, calibration, extra):
    """Derivative of `_delivered` in ln(1 + extra), `[]`."""
    nats, rise = _rises(calibration)
    growth = -(1 + extra) * rate(nats)
    return (np.exp(_log_cdf(rate, nats, np.asarray(extra))) * growth * rise).sum()


def _rises(calibration):
    """Nodes on the bins `[K]`, and the rise of m that each stands for."""
    nats = calibration.nats
    xp = namespace(*calibration[:2])
    fill = nats[0] + (nats[-1] - nats[0]) * np.linspace(0, 1, PANELS + 1)
    edges = xp.sort(xp.concatenate([nats, fill]))
    rise = xp.diff(calibration(edges))
    return nodes_between(xp, edges), over_nodes(xp, rise)


def nodes_between(xp, edges):
    """Place Gauss-Legendre nodes between edges: `[..., P + 1]` to `[..., K]`."""
    step = xp.multiply.outer(xp.diff(edges), (1 + _NODES) / 2)
    nodes = edges[..., :-1, None] + step
    return nodes.reshape(*edges.shape[:-1], -1)


def over_nodes(xp, amounts):
    """Spread the amount of each panel over its nodes: `[..., P]` to `[..., K]`."""
    parts = xp.multiply.outer(amounts, _WEIGHTS / 2)
    return parts.reshape(*amounts.shape[:-1], -1)
