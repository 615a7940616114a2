"""Scores and gains in standard deviations within a group."""

import numpy as np


def gains_by_group(rows, std, share) -> np.ndarray:
    """What each group contributes to the mean gain in standard deviations, `[G, A]`.

    The gain is a ratio, E[difference] / s with s² = E[variance], of two means over
    groups. Its linear part in each group, difference/s - gain (variance/s² - 1)/2,
    has the ratio as mean exactly, and the ratio's error as standard error (delta
    method): a t interval of it covers the error of s too.

    Args:
      rows: means of each group at each n, `[G, A]`; the first is the base.
      std, share: as `within_spread` gives them.

    Reference: the linearised ratio, Cochran 1977, Sampling Techniques, section 6.
    """
    gains = (rows - rows[:, :1]) / (std or 1.0)
    return gains - gains.mean(axis=0) * (share - 1)[:, None] / 2


def within_spread(scores, group) -> tuple[float, np.ndarray]:
    """Standard deviation within a group, and each group's variance over its square.

    Args:
      scores: `[rows]`.
      group: whole numbers 0..G-1, `[rows]`; at least two rows each.

    Returns:
      the root of the mean over groups of unbiased variances; and those variances over
      that mean, `[G]`. 0 and ones, exactly, where every group is constant.
    """
    size, one = np.bincount(group), np.empty(group.max() + 1)
    one[group] = scores  # any score of the group: equal ones then cancel exactly
    left = scores - one[group]
    scale = max(left.max(), -left.min())
    if scale == 0:
        return 0.0, np.ones(len(size))
    left /= scale  # so that squares neither overflow nor vanish
    left -= (np.bincount(group, left) / size)[group]
    squares = np.bincount(group, np.square(left, out=left)) / (size - 1)
    return float(scale * np.sqrt(squares.mean())), squares / squares.mean()


def within_std(scores, group) -> float:
    """The first of `within_spread`."""
    return within_spread(scores, group)[0]


def within_correlation(proxy, true, group, proxy_std, true_std) -> float:
    """Mean covariance within a group over both `within_std`; nan where one is 0.

    Read from the variance of the sum of both in these units, which is 2 + 2 rho.
    """
    if not proxy_std or not true_std:
        return float("nan")
    both = within_std(proxy / proxy_std + true / true_std, group)
    return float(np.clip(both**2 / 2 - 1, -1, 1))
