"""Score banks: many scored answers per prompt, turned into exact best-of-n curves.

Everything here runs on the host in float64: sorting is faster there, and float32
weights are off by whole units in banks of a million.
"""

from typing import NamedTuple

import numpy as np

from robust.measure.bootstrap import t_interval

_NEGLIGIBLE = 1e-18  # share of the weight that may be dropped: less than rounding does
_BLOCK = 2**18  # answers


class BestOfN(NamedTuple):
    """Proxy and true value under best-of-n; G groups, A values of n.

    Attributes:
      n: `[A]`, draws of which the best by proxy is kept.
      kl: `[A]`, nats: ln n - (n - 1)/n, an upper bound where scores tie.
      proxy, true: `[A]`, means over groups.
      proxy_low, proxy_high, true_low, true_high: `[A]`, 95 % t intervals over
        groups; nan for a single group, which says nothing about other groups: see
        `over_answers` for its own.
      groups: G.
      proxy_by_group, true_by_group: `[G, A]`, groups in the order of their labels.
    """

    n: np.ndarray
    kl: np.ndarray
    proxy: np.ndarray
    true: np.ndarray
    proxy_low: np.ndarray
    proxy_high: np.ndarray
    true_low: np.ndarray
    true_high: np.ndarray
    groups: int
    proxy_by_group: np.ndarray
    true_by_group: np.ndarray


def best_of_n_curve(proxy, true, group=None, n=None) -> BestOfN:
    """Compute what best-of-n would deliver from scores that are already there.

    Unbiased and exact: the mean over all subsets of n answers to a prompt, ties in
    the proxy broken at random. Groups are averaged, never pooled: pooling prompts
    of different difficulty can reverse the curve. At n near the number of answers
    it rests on a few of them, and the interval is wide by nature.

    Args:
      proxy, true: scores of the answers, `[rows]`, in any order.
      group: label of each row's prompt, `[rows]`, strings or numbers. Default: all
        rows answer one prompt.
      n: whole numbers, `[A]` or one; at most the size of the smallest group, N.
        Default: 1, 2, 4, ... up to N, and N itself.

    Raises:
      ValueError: arrays that are empty, not one-dimensional, of unequal length or
        not finite; a row without a label; n not whole or outside 1..N.

    Reference: Nakano et al. 2021, arXiv:2112.09332, appendix I; Gao, Schulman &
    Hilton 2022, arXiv:2210.10760; ties: derived below.
    """
    proxy, true, group = check_bank(proxy, true, group)
    size, rows_by_size = rows_by_group(group)
    n = doublings(size.min()) if n is None else check_n(n, size.min())
    proxy_by_group, true_by_group = np.empty((2, len(size), len(n)))
    for here, rows in rows_by_size:
        curves = _curves(proxy[rows], true[rows], n)
        proxy_by_group[here], true_by_group[here] = curves
    proxy, true = t_interval(proxy_by_group), t_interval(true_by_group)
    return BestOfN(
        n=n,
        kl=np.log(n) - (n - 1) / n,  # as pressure.kl_best_of_n, but in float64
        proxy=proxy.mean,
        true=true.mean,
        proxy_low=proxy.low,
        proxy_high=proxy.high,
        true_low=true.low,
        true_high=true.high,
        groups=len(size),
        proxy_by_group=proxy_by_group,
        true_by_group=true_by_group,
    )


def best_of_n_weights(n: int, size: int) -> np.ndarray:
    """Give the probability that each of `size` scores is the best of n of them.

    Args:
      n: draws, without replacement; a whole number from 1 to `size`.
      size: number of scores.

    Returns:
      float64 `[size]`, lowest score first: C(i - 1, n - 1) / C(size, n) at rank i.
      Sums to 1 within 1e-6 up to a size of 1e7 and beyond.

    Raises:
      ValueError: `n` not whole or outside 1..size.

    Reference: Nakano et al. 2021, arXiv:2112.09332, appendix I.
    """
    (n,) = check_n(n, size)
    weights = np.zeros(size)
    weights[n - 1 :] = _top_weights(n, size, size - n + 1)
    return weights


def _top_weights(n, size, count):
    """Weights of the `count` highest ranks, for count up to size - n + 1.

    From one rank to the next below the weight changes by C(i - 1, n - 1) /
    C(i, n - 1) = 1 - (n - 1)/i, and the highest has n/size. Summed as logarithms
    from the top nothing cancels and nothing overflows.
    """
    below = np.arange(size - 1, size - count, -1)
    log_weights = np.zeros(count)
    log_weights[-2::-1] = np.cumsum(np.log1p(-(n - 1) / below))
    return n / size * np.exp(log_weights)


def held_weights(n: int, size: int) -> np.ndarray:
    """Give `best_of_n_weights` of the highest ranks only, lowest of them first.

    They hold all weight but a share of 1e-18: the ranks up to i hold C(i, n) /
    C(size, n), at most (i/size)^n.
    """
    held = np.ceil(size * (1 - _NEGLIGIBLE ** (1 / n))) + 1
    return _top_weights(n, size, int(min(size - n + 1, held)))


def rows_by_group(group):
    """Find the rows of each group, many groups of one size at a time.

    Args:
      group: label of each row, `[rows]`, from `check_bank`.

    Returns:
      answers to each group, `[G]` in the order of the labels, and an iterator over
      blocks of groups of one size N: the groups `[g]` and their rows `[g, N]`, about
      a quarter of a million, which a processor's cache holds.
    """
    order = np.argsort(group, kind="stable")
    group = group[order]
    start = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    size = np.diff(np.append(start, len(group)))

    def in_blocks():
        for count in np.unique(size):
            same = np.flatnonzero(size == count)
            blocks = min(len(same), -(-same.size * count // _BLOCK))
            for here in np.array_split(same, blocks):
                yield here, order[start[here, None] + np.arange(count)]

    return size, in_blocks()


def _curves(proxy, true, n):
    """Compute the curves of scores [G, N] at n [A]: [2, G, A]."""
    order = np.argsort(proxy, axis=1)
    proxy = np.take_along_axis(proxy, order, axis=1)
    return curves_of_sorted(proxy, np.take_along_axis(true, order, axis=1), n)


def curves_of_sorted(proxy, true, n) -> np.ndarray:
    """Means under best-of-n of scores [G, N], each row sorted by proxy: `[2, G, A]`."""
    true = mean_over_ties(proxy, true)
    curves = np.empty((2, len(proxy), len(n)))
    for column, best_of in enumerate(n):
        weights = held_weights(best_of, proxy.shape[1])
        curves[0, :, column] = proxy[:, -len(weights) :] @ weights
        curves[1, :, column] = true[:, -len(weights) :] @ weights
    return curves


def mean_over_ties(proxy, true):
    """Replace true by its mean over answers of equal proxy.

    Args:
      proxy, true: `[G, N]`, each row sorted by proxy.

    Why the plain weights are then exact: some member of a tie group is the best of
    a subset with probability [C(#<=v, n) - C(#<v, n)] / C(N, n), the sum of the
    members' plain weights since C(i, n) - C(i - 1, n) = C(i - 1, n - 1). Members
    are exchangeable, so a fair tie-break delivers each equally often: their mean.
    """
    first = np.ones(proxy.shape, bool)
    np.not_equal(proxy[:, 1:], proxy[:, :-1], out=first[:, 1:])
    if first.all():
        return true
    start = np.flatnonzero(first)
    count = np.diff(np.append(start, true.size))
    mean = np.add.reduceat(true.ravel(), start) / count
    return np.repeat(mean, count).reshape(true.shape)


def doublings(most: int) -> np.ndarray:
    """List 1, 2, 4, ... up to `most`, and `most` itself."""
    return np.array(sorted({*(2**k for k in range(int(most).bit_length())), int(most)}))


def check_bank(proxy, true, group=None):
    """Check scored answers: float64 scores `[rows]` and labels quick to sort `[rows]`.

    Raises:
      ValueError: as `best_of_n_curve`.
    """
    proxy, true = _scores("proxy", proxy), _scores("true", true)
    group = np.zeros(len(proxy), int) if group is None else _labels(group)
    for name, rows in (("true", true), ("group", group)):
        if len(rows) != len(proxy):
            raise ValueError(
                f"{name} has {len(rows)} rows and proxy {len(proxy)}; "
                "pass one of each per answer"
            )
    return proxy, true, group


def _scores(name, values):
    values = np.asarray(values, float)
    _one_dimensional(name, values)
    if not len(values):
        raise ValueError(f"{name} is empty; pass one score per answer")
    finite = np.isfinite(values)
    if not finite.all():
        raise ValueError(
            f"{name} has {np.sum(~finite)} non-finite scores, the first "
            f"{values[finite.argmin()]} at index {finite.argmin()}; "
            "drop those answers or score them again"
        )
    return values


def _one_dimensional(name, values):
    if values.ndim != 1:
        raise ValueError(
            f"{name} has shape {values.shape}; pass one entry per answer, shape "
            "(rows,), and the prompts' names in group"
        )


def _labels(group):
    """Check the labels and make them quick to sort."""
    group = np.asarray(group)
    _one_dimensional("group", group)
    missing = group != group  # nan
    if group.dtype == object:
        missing |= np.equal(group, np.array(None))
    if missing.any():
        raise ValueError(
            f"group has {missing.sum()} rows without a label, the first at index "
            f"{missing.argmax()}; name their prompts or drop them"
        )
    if group.dtype != object:
        return group
    # Python objects compare slowly: sort the distinct ones, and number the rows by
    # them. Sorting by type first lets strings stand beside numbers.
    labels = sorted(set(group), key=lambda label: (type(label).__name__, label))
    place = {label: number for number, label in enumerate(labels)}
    return np.fromiter((place[label] for label in group), int, len(group))


def check_n(n, most):
    """Check that every n is a whole number from 1 to `most`."""
    values = np.atleast_1d(n)
    wanted = f"whole numbers from 1 to {most}, the number of scores of a prompt"
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iuf":
        raise ValueError(
            f"n has shape {values.shape} and type {values.dtype}; pass one or a list "
            f"of {wanted}"
        )
    wrong = ~((values >= 1) & (values <= most) & (values == np.floor(values)))
    if wrong.any():
        raise ValueError(f"n holds {values[wrong][0]}; pass {wanted}")
    return values.astype(int)
