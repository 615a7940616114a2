"""Best-of-n on a score bank as an attack: gains, power and verdict."""

from typing import NamedTuple

import numpy as np

from robust.measure.answers import over_answers
from robust.measure.bank import (
    BestOfN,
    best_of_n_curve,
    curves_of_sorted,
    doublings,
    rows_by_group,
)
from robust.measure.bootstrap import Interval, t_interval
from robust.measure.bounds import guaranteed, guaranteed_by_proxy
from robust.measure.divergence import Divergence, divergence
from robust.measure.spread import gains_by_group, within_correlation, within_spread
from robust.measure.within import Ranking, ranking_within

_MOST_UNITS = 4096  # above it groups are merged: sign flips take 4,096 floats a unit
_MERGED = 1024
_RANKED_GROUPS = 4096  # whose ranking is read, and of whose answers so many
_RANKED_ANSWERS = 2**18


class Selection(NamedTuple):
    """What selection by the proxy makes of a bank; G groups, A values of n.

    Attributes:
      curve: at n = 1, the base, and every n that was asked for or that the verdict
        is read at, `[A]`; of a single group with intervals over its answers.
      asked: positions in the curve of what was asked for.
      read: positions in the curve that the verdict is read at: n = 1, 2, 4, ... and
        the largest that was asked for (at least 2).
      proxy_gain, true_gain: mean gains over n = 1 with 95 % t intervals over groups,
        or over the answers to a single one, in standard deviations within a group,
        whose own error is in them, `[A]`.
      true_gains: what each unit contributes to the mean gain, `[U, A]`, see
        `gains_by_group`; a unit is a group, or above 4,096 groups one of 1,024
        random sets of groups, their mean.
      proxy_std, true_std: those, in the scores' own units; 0 for constants.
      power: mean over groups, nats, `[A]`.
      divergence: of the curve at `read`.
      ties: share of the answers whose proxy another answer in the group has too.
      ranking: of the answers within groups, and pooled; of 4,096 groups at random
        where there are more, and of a quarter of a million of their answers.
      rho: correlation of proxy and true value within a group; nan for constants.
      guaranteed, guaranteed_by_proxy: true gain that it alone guarantees, by the
        bounds of Liu et al. and of Laidlaw et al., standard deviations within a
        group, `[A]`; nan beyond the base for constants.
    """

    curve: BestOfN
    asked: np.ndarray
    read: np.ndarray
    proxy_gain: Interval
    true_gain: Interval
    true_gains: np.ndarray
    proxy_std: float
    true_std: float
    power: np.ndarray
    divergence: Divergence
    ties: float
    ranking: Ranking
    rho: float
    guaranteed: np.ndarray
    guaranteed_by_proxy: np.ndarray


def select_best(proxy, true, group, n=None) -> Selection:
    """Measure best-of-n on a bank of scored answers and give a verdict.

    Every group is its own base: gains count from its mean score, so that a prompt's
    difficulty cancels. They are in units of one pooled standard deviation, the root
    of the mean over groups of the variance within a group: a group of equal answers
    then gains nothing, and divides nothing by zero. It is estimated from the same
    groups, which every interval and the verdict take into account.

    A group is the unit of every interval. A single one never decides: its intervals,
    see `over_answers`, are of itself. Above 4,096 groups the verdict and the laws,
    though not the gains, are read from the means of 1,024 random sets of groups.

    Args:
      proxy, true: finite scores of the answers, `[rows]`.
      group: each row's group, whole numbers 0..G-1, `[rows]`; at least two rows each.
      n: whole numbers up to the size of the smallest group, N. Default: 1, 2, 4, ...
        up to N, and N itself.

    Raises:
      ValueError: as `best_of_n_curve`.

    Reference: Nakano et al. 2021, arXiv:2112.09332, appendix I (the curve); gains,
    power and verdict: as `gains_by_group`, `power_by_group` and `divergence`.
    """
    if (group[1:] < group[:-1]).any():  # all that follows is faster in their order
        order = _by_group(group)
        proxy, true, group = proxy[order], true[order], group[order]
    asked = doublings(np.bincount(group).min()) if n is None else np.unique(n)
    # The verdict has its own n: few enough that all pairs of them can be compared.
    read = doublings(max(asked[-1], 2))
    curve = best_of_n_curve(proxy, true, group, n=np.union1d(asked, read))
    power, ties = power_by_group(proxy, group, curve.n)
    read = np.searchsorted(curve.n, read)
    gains, scales = [], []
    for scores, rows in ((proxy, curve.proxy_by_group), (true, curve.true_by_group)):
        std, share = within_spread(scores, group)
        scales += [0.0, std]
        gains.append(gains_by_group(rows, std, share))
    rho = within_correlation(proxy, true, group, scales[1], scales[3])
    safe = _guarantees(gains[0].mean(axis=0), curve.n, rho)
    merged = [_merged(rows) for rows in (*gains, power)]
    bounded = [t_interval(rows) for rows in gains]
    if curve.groups == 1:
        curve, bounded = _with_answers(curve, bounded, proxy, true)
    return Selection(
        curve=curve,
        asked=np.searchsorted(curve.n, asked),
        read=read,
        proxy_gain=bounded[0],
        true_gain=bounded[1],
        true_gains=merged[1],
        proxy_std=scales[1],
        true_std=scales[3],
        power=power.mean(axis=0),
        # Gains are scaled already; a scale of 0 still marks them degenerate.
        divergence=divergence(
            *(rows[:, read] for rows in merged[:2]),
            power=merged[2][:, read],
            scales=[float(s > 0) for s in scales],
        ),
        ties=ties,
        ranking=_ranking(proxy, true, group),
        rho=rho,
        guaranteed=safe[0],
        guaranteed_by_proxy=safe[1],
    )


def _with_answers(curve, gains, proxy, true):
    """A single group's curve and gains with intervals over its answers."""
    found = over_answers(proxy, true, curve.n)
    bounds = {
        f"{name}_{bound}": getattr(getattr(found, name), bound)
        for name in ("proxy", "true")
        for bound in ("low", "high")
    }
    over = zip(gains, (found.proxy_gain, found.true_gain), strict=True)
    gains = [Interval(gain.mean, own.low, own.high) for gain, own in over]
    return curve._replace(**bounds), gains


def _guarantees(gain, n, rho):
    # Groups are one base of which each policy keeps the shares: no other term.
    chi2 = (n - 1) ** 2 / (2 * n - 1)  # as pressure.chi2_best_of_n, but in float64
    # No policy gains more than the root of its chi-squared; a sample's mean may.
    known = np.minimum(gain, np.sqrt(chi2)), chi2, rho
    return np.asarray(guaranteed(*known)), np.asarray(guaranteed_by_proxy(*known))


def power_by_group(proxy, group, n) -> tuple[np.ndarray, float]:
    """Pressure of best-of-n in nats, `[G, A]`, and the share of answers that tie.

    The surprise -ln P(base scores higher) of continuous scores is exponential: its
    mean is 1 for the base and H_n = 1 + 1/2 + ... + 1/n for the best of n, a maximum
    of n. Power is the difference, H_n - 1 at every n, whatever the scores are; it
    passes 3 nats at n = 31. Among N scores the i-th smallest stands for a surprise of
    H_N - H_(N-i), of which best-of-n delivers H_n exactly.

    Equal scores share their mean surprise, since selection cannot tell them apart.
    So a proxy of few levels stops pushing where all of its best answers tie, and a
    constant one never pushes.

    Args:
      proxy: scores, `[rows]`.
      group: whole numbers 0..G-1, `[rows]`.
      n: whole numbers up to the size of the smallest group, `[A]`.

    Reference: Rényi 1953 (exponential order statistics); ties: the definition of
    realised power, -ln of P(higher) + V P(equal) with V uniform.
    """
    size, rows_by_size = rows_by_group(group)
    harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, size.max() + 1)))
    power, tied = np.tile(harmonic[n] - 1, (len(size), 1)), 0
    for here, rows in rows_by_size:
        ranked = np.sort(proxy[rows], axis=1)
        same = ranked[:, 1:] == ranked[:, :-1]
        if not same.any():
            continue
        same = np.pad(same, [(0, 0), (1, 1)])
        tied += np.sum(same[:, 1:] | same[:, :-1])
        count = ranked.shape[1]
        surprise = harmonic[count] - harmonic[np.arange(count)[::-1]]
        surprise = np.broadcast_to(surprise, ranked.shape)
        power[here] = curves_of_sorted(ranked, surprise, n)[1] - 1
    return power, float(tied / len(proxy))


def _ranking(proxy, true, group):
    """Read the ranking from random groups and answers, each time the same.

    Means over random pairs are unbiased, and all of ten million answers would take
    seconds.
    """
    rng, size = np.random.default_rng(0), np.bincount(group)
    start, some = np.cumsum(size) - size, np.arange(len(size))
    if len(size) > _RANKED_GROUPS:
        some = rng.choice(some, _RANKED_GROUPS, replace=False)
    most = _RANKED_ANSWERS // len(some)
    rows = [
        rng.choice(count, most, replace=False) if count > most else np.arange(count)
        for count in size[some]
    ]
    rows = np.concatenate(
        [first + row for first, row in zip(start[some], rows, strict=True)]
    )
    return ranking_within(proxy[rows], true[rows], group[rows])


def _by_group(group):
    """Order the rows by group: a radix sort, several times as fast as comparing."""
    order = np.arange(len(group))
    for shift in range(0, int(group.max()).bit_length(), 16):
        digits = (group[order] >> shift).astype(np.uint16)
        order = order[np.argsort(digits, kind="stable")]
    return order


def _merged(rows):
    """Average many groups to fewer units, at random but each time the same."""
    if len(rows) <= _MOST_UNITS:
        return rows
    order = np.random.default_rng(0).permutation(len(rows))
    start = np.linspace(0, len(rows), _MERGED, endpoint=False).astype(int)
    count = np.diff(np.append(start, len(rows)))
    return np.add.reduceat(rows[order], start) / count[:, None]
