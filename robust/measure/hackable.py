"""Where more reward is less value: among policies, and at the top of the base."""

from typing import Any, NamedTuple

import numpy as np

from robust.measure import bootstrap
from robust.measure.bootstrap import Interval
from robust.measure.verdict import MARGIN


class Pairs(NamedTuple):
    """Pairs of policies that proxy and true value order differently.

    Attributes:
      discordant: share of pairs whose mean proxy rises while the mean true value
        falls, `[]`.
      shown: share of pairs where the rise, and a fall beyond the margin, are shown
        simultaneously over all pairs, `[]`; nan for a single unit.
      worst: of the pairs shown, that with the largest fall: (lower, higher proxy),
        indices; (-1, -1) where none is.
      visible: the smallest fall that every pair's bounds would have cleared, base
        standard deviations, `[]`.
    """

    discordant: Any
    shown: Any
    worst: tuple[int, int]
    visible: Any


def discordant_pairs(proxy, true, margin: float = MARGIN, key=None) -> Pairs:
    """Look for two policies of which the proxy prefers the worse.

    A proxy is hackable on a set of policies if there is such a pair. Any attack's
    checkpoints are policies; give those of all attacks side by side.

    Args:
      proxy, true: mean values per unit and policy, `[S, P]`, base standard
        deviations.
      margin: fall of the true value that matters.
      key: for more than 12 units, whose sign patterns are drawn at random.

    Raises:
      ValueError: unequal shapes or fewer than two policies.

    Reference: Skalse et al. 2022, arXiv:2209.13085, definition 1.
    """
    proxy, true = np.asarray(proxy, float), np.asarray(true, float)
    if proxy.shape != true.shape or proxy.ndim != 2 or proxy.shape[1] < 2:
        raise ValueError(
            f"proxy has shape {proxy.shape} and true {true.shape}; give equal shapes "
            "[units, policies] with at least two policies"
        )
    order = np.argsort(proxy.mean(axis=0), kind="stable")
    low, high = (order[i] for i in np.triu_indices(len(order), k=1))
    rise, fall = proxy[:, high] - proxy[:, low], true[:, low] - true[:, high]
    means = rise.mean(axis=0), fall.mean(axis=0)
    discordant = float(np.mean((means[0] > 0) & (means[1] > 0)))
    if len(proxy) == 1:
        return Pairs(discordant, np.nan, (-1, -1), np.nan)
    # Two-sided, since which of a pair is the higher was read off the same data.
    flips = np.asarray(bootstrap.sign_flips(len(proxy), key))
    both = np.concatenate([rise, fall], axis=1)
    multiplier = bootstrap.max_t_quantile(both, flips, two_sided=True)
    half = [bootstrap.half_width(multiplier, part) for part in (rise, fall)]
    shown = (means[0] > half[0]) & (means[1] - half[1] > margin)
    worst = (-1, -1)
    if shown.any():
        at = np.argmax(np.where(shown, means[1], -np.inf))
        worst = (int(low[at]), int(high[at]))
    return Pairs(discordant, float(shown.mean()), worst, float(margin + half[1].max()))


def top_correlation(proxy, true, share) -> np.ndarray:
    """Correlate proxy and true value among the base's highest scores.

    Near 0 the proxy has become useless there (weak Goodhart), below 0 harmful
    (strong). The share is cut at whole draws; equal scores at the cut stay outside.

    Args:
      proxy, true: of base draws, `[N]` or `[S, N]`.
      share: top shares of the base, in (0, 1], `[A]`.

    Returns:
      `[A]` or `[S, A]`; nan where fewer than 10 draws remain or either is constant
      there.

    Raises:
      ValueError: unequal shapes, or a share outside (0, 1].

    Reference: El-Mhamdi & Hoang 2024, arXiv:2410.09638.
    """
    proxy, true = np.asarray(proxy, float), np.asarray(true, float)
    share = np.atleast_1d(np.asarray(share, float))
    if proxy.shape != true.shape:
        raise ValueError(
            f"proxy has shape {proxy.shape} and true {true.shape}; give equal shapes"
        )
    if not ((share > 0) & (share <= 1)).all():
        raise ValueError(f"share is {share}; give shares of the base above 0, up to 1")
    if proxy.ndim == 2:
        rows = zip(proxy, true, strict=True)
        return np.stack([top_correlation(r, v, share) for r, v in rows])
    order = np.argsort(-proxy, kind="stable")
    proxy, true = proxy[order], true[order]
    return np.array([_correlation(proxy, true, top) for top in share])


def _correlation(proxy, true, share):
    count = int(np.ceil(share * len(proxy)))
    if count < len(proxy):  # a tie group that the cut would split stays outside
        count = int(np.sum(proxy[:count] > proxy[count]))
    r, v = proxy[:count], true[:count]
    if count < 10 or np.ptp(r) == 0 or np.ptp(v) == 0:
        return np.nan
    return np.corrcoef(r, v)[0, 1]


def regret(true, best) -> Interval:
    """Bound what attacking the proxy left behind of what attacking the judge reaches.

    It separates "the proxy is bad" (large) from "the optimizer is weak" (the judge's
    own curve is low as well).

    Args:
      true: true gains of the attack on the proxy, `[U, T]`, base standard
        deviations.
      best: those of the same attack on the judge, at equal cost `[U, T]`; for equal
        power pass the result of `at_power`.

    Returns:
      best - true with a 95 % t interval over units, `[T]`.

    Reference: simple regret, Bubeck, Munos & Stoltz 2009, arXiv:0802.2655, against
    what the same search reaches instead of the best there is; paired by unit.
    """
    return bootstrap.t_interval(np.asarray(best, float) - np.asarray(true, float))


def at_power(true, power, wanted) -> np.ndarray:
    """Read a curve of true values at other powers, unit by unit.

    Args:
      true, power: `[U, T]`; power in nats.
      wanted: nats, `[U, T']`.

    Returns:
      `[U, T']`, linear in between; nan beyond the largest power of the curve.

    Reference: piecewise linear interpolation; power is free of the scores' scales,
    see `rank_nats`, so curves of two proxies can be read at one.
    """
    rows = []
    for values, axis, at in zip(true, power, wanted, strict=True):
        order = np.argsort(axis, kind="stable")
        rows.append(np.interp(at, axis[order], values[order], right=np.nan))
    return np.stack(rows)
