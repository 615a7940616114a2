"""Does the proxy rank the answers to one prompt, or only the prompts?

A pooled AUROC mixes the two: a proxy that knows how hard a prompt is, and nothing
about its answers, ranks pairs from different prompts well. Selection among the
answers to a prompt uses the ranking within prompts only.
"""

from typing import NamedTuple

import numpy as np

from robust.measure.bank import check_bank, mean_over_ties, rows_by_group
from robust.measure.bootstrap import Interval, t_interval

_AT_ONCE = 2**17  # answers that are ranked together, to stay in cache
_MOST_POOLED = 2**20


class Ranking(NamedTuple):
    """How well the proxy ranks answers within groups and, beside it, pooled; G groups.

    Attributes:
      concordance: probability that of two answers with different true values the
        better has the higher proxy, equal proxies counting half; 0.5 is chance. For
        a binary true value it is the AUROC. Mean over groups, 95 % t interval.
      kendall: Kendall's tau-b, in the same way.
      spearman: Spearman's correlation of average ranks, in the same way.
      pooled_concordance, pooled_kendall, pooled_spearman: over all pairs of answers,
        whatever their groups; above a million answers of a random million, with a
        standard error below 0.001.
      groups: groups that the means are over.
      groups_without: groups left out, where the proxy or the true value is constant
        and nothing can be ranked.
      concordance_by_group, kendall_by_group, spearman_by_group: `[G]`, groups in the
        order of their labels; nan where left out.
    """

    concordance: Interval
    kendall: Interval
    spearman: Interval
    pooled_concordance: float
    pooled_kendall: float
    pooled_spearman: float
    groups: int
    groups_without: int
    concordance_by_group: np.ndarray
    kendall_by_group: np.ndarray
    spearman_by_group: np.ndarray


def ranking_within(proxy, true, group=None) -> Ranking:
    """Measure rank agreement of proxy and true value within groups, beside the pooled.

    Exact in O(N log N). All means are nan where no group can be ranked.

    Args:
      proxy, true: finite scores of the answers, `[rows]`.
      group: label of each row's prompt, `[rows]`. Default: all rows answer one.

    Raises:
      ValueError: as `best_of_n_curve`.

    Reference: Kendall 1945, Biometrika 33:239 (tau-b); Somers 1962, American
    Sociological Review 27:799 (of which the concordance is (1 + d) / 2); Knight
    1966, JASA 61:436 (counting discordant pairs by sorting).
    """
    proxy, true, group = check_bank(proxy, true, group)
    size, rows_by_size = rows_by_group(group)
    by_group = np.empty((len(size), 3))
    for here, rows in rows_by_size:
        step = max(1, _AT_ONCE // rows.shape[1])
        for at in range(0, len(here), step):
            some = rows[at : at + step]
            by_group[here[at : at + step]] = _agreement(proxy[some], true[some])
    ranked = ~np.isnan(by_group[:, 0])
    mean = np.full((3, 3), np.nan)
    if ranked.any():
        mean = np.stack(t_interval(by_group[ranked]))
    if len(proxy) > _MOST_POOLED:
        some = np.random.default_rng(0).choice(len(proxy), _MOST_POOLED, replace=False)
        proxy, true = proxy[some], true[some]
    (pooled,) = _agreement(proxy[None], true[None]) if len(size) > 1 else by_group
    return Ranking(
        concordance=Interval(*mean[:, 0]),
        kendall=Interval(*mean[:, 1]),
        spearman=Interval(*mean[:, 2]),
        pooled_concordance=float(pooled[0]),
        pooled_kendall=float(pooled[1]),
        pooled_spearman=float(pooled[2]),
        groups=int(ranked.sum()),
        groups_without=int(np.sum(~ranked)),
        concordance_by_group=by_group[:, 0],
        kendall_by_group=by_group[:, 1],
        spearman_by_group=by_group[:, 2],
    )


def _agreement(proxy, true):
    """Concordance, tau-b and Spearman's correlation `[G, 3]` of scores `[G, N]`."""
    order = np.argsort(proxy, axis=1)
    ranked = np.take_along_axis(proxy, order, axis=1)
    same_proxy = ranked[:, 1:] == ranked[:, :-1]
    if same_proxy.any():  # sorting by both takes several times as long
        order = np.lexsort((true, proxy), axis=1)
    proxy, true = ranked, np.take_along_axis(true, order, axis=1)
    tied_proxy = _tied_pairs(same_proxy)
    tied_both = _tied_pairs(same_proxy & (true[:, 1:] == true[:, :-1]))
    # Sorted by both, equal answers come in the order of the other score, and a
    # stable sort leaves them there: only discordant pairs are out of order.
    by_true = np.argsort(true, axis=1, kind="stable")
    true = np.take_along_axis(true, by_true, axis=1)
    tied_true = _tied_pairs(true[:, 1:] == true[:, :-1])
    discordant = inversions(by_true)

    size = proxy.shape[1]
    pairs = size * (size - 1) / 2
    apart = pairs - tied_true - tied_proxy + tied_both
    difference = apart - 2 * discordant
    differ_true, differ_proxy = pairs - tied_true, pairs - tied_proxy
    place = np.broadcast_to(np.arange(size) - (size - 1) / 2, proxy.shape)
    rank_proxy = np.take_along_axis(mean_over_ties(proxy, place), by_true, axis=1)
    rank_true = mean_over_ties(true, place)
    covariance, *squares = (
        np.einsum("gn,gn->g", one, other)
        for one, other in (
            (rank_proxy, rank_true), (rank_proxy, rank_proxy), (rank_true, rank_true)
        )
    )  # fmt: skip
    with np.errstate(invalid="ignore"):  # 0/0 where nothing can be ranked
        values = np.stack(
            [
                0.5 + difference / differ_true / 2,
                difference / np.sqrt(differ_true * differ_proxy),
                covariance / np.sqrt(squares[0] * squares[1]),
            ],
            axis=1,
        )
    values[(differ_true == 0) | (differ_proxy == 0)] = np.nan
    return values


def _tied_pairs(same):
    """Count pairs of equals `[G]`; same `[G, N - 1]`: each equals the one before it."""
    if not same.any():
        return np.zeros(len(same))
    place = np.arange(1, same.shape[1] + 1)
    start = np.maximum.accumulate(np.where(same, 0, place), axis=1)
    return (place - start).sum(axis=1, dtype=float)


def inversions(order) -> np.ndarray:
    """Count the pairs that stand in falling order in each permutation.

    Args:
      order: permutations of 0..N-1, `[G, N]`.

    Returns:
      float64 `[G]`, exact up to N of 1e8.

    Numbers are split by their highest bit, the ones before each zero counted, and
    both halves go on. Filled up to 2^b numbers, every block splits in two equal
    halves, so that all blocks of all permutations are split at once.
    """
    groups, size = order.shape
    bits = int(size - 1).bit_length()
    values = np.empty((groups, 2**bits), np.int32)
    values[:, :size] = order
    values[:, size:] = np.arange(size, 2**bits)
    count = np.zeros(groups)
    for bit in range(bits - 1, -1, -1):
        block, half = 2 << bit, 1 << bit
        values = values.reshape(-1)
        high = (values & half).astype(bool)
        ones, zeros = np.flatnonzero(high), np.flatnonzero(~high)
        # The j-th zero of a block, at place p, has p - j ones before it.
        place = (zeros & (block - 1)).reshape(groups, -1).sum(axis=1)
        blocks = 2**bits // block
        count += place - blocks * (half * (half - 1) // 2)
        halves = [values[part].reshape(groups, -1, half) for part in (zeros, ones)]
        values = np.stack(halves, axis=2)
    return count
