"""One prompt's curves with its answers resampled, all replicates at once.

Where there are several prompts they are the units, and their own intervals stand.
With a single prompt the answers, drawn independently, are the only units there are:
what comes out then says how sure this prompt's curve is, and nothing of others.

A resample only changes how often each answer counts, so the bank is sorted once and
a replicate is a cumulative count.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from robust.measure.bank import best_of_n_weights, check_bank, check_n
from robust.measure.spread import within_std

_IN_CACHE = 2**15  # answers resampled together
_AT_ONCE = 32  # rows of a product that runs at full speed
_REACH = 24.0  # below the best, nats, to which tilts may be interpolated


class Replicates(NamedTuple):
    """Curves of resampled answers; B replicates, A values of n or of temperature.

    Attributes:
      kl: nats; `[A]` for best-of-n, where resampling leaves it alone, else `[B, A]`.
      proxy, true: `[B, A]`.
    """

    kl: np.ndarray
    proxy: np.ndarray
    true: np.ndarray


def resampled_best_of_n(proxy, true, n, index, plug_in: bool = False) -> Replicates:
    """Compute the best-of-n curve of every resample of the answers to one prompt.

    Consistent while n is far below N; near it the maximum of a resample is the
    maximum of the bank too often.

    Args:
      proxy, true: finite scores of the answers to one prompt, `[N]`.
      n: whole numbers from 1 to N, `[A]` or one.
      index: answers drawn with replacement, `[B, N]`, 0 to N - 1.
      plug_in: best of n draws with replacement, (i/N)^n, which is biased, instead of
        the unbiased mean over subsets of n.

    Raises:
      ValueError: as `best_of_n_curve`; an index of another shape.

    Reference: Nakano et al. 2021, arXiv:2112.09332, appendix I; Arcones & Giné 1992,
    Annals of Statistics 20:655 (bootstrap of means over subsets).
    """
    proxy, true, index = _check(proxy, true, index)
    size, n = len(proxy), check_n(n, len(proxy))
    level, block, count = np.unique(proxy, return_inverse=True, return_counts=True)
    mean = np.bincount(block, true) / count
    tables = [_share_upto(best_of, size, plug_in) for best_of in n]
    curves = np.empty((2, len(index), len(n)))
    for here in _parts(index, _IN_CACHE):
        drawn = block[index[here]]
        count = _count(drawn, len(level))
        reached = np.cumsum(count, axis=1)
        if len(level) < size:  # equal proxies: their mean is that of those drawn
            mean = _count(drawn, len(level), true[index[here]]) / np.maximum(count, 1)
        for column, table in enumerate(tables):
            weight = table[reached]
            weight[:, 1:] -= weight[:, :-1].copy()
            curves[0, here, column] = weight @ level
            curves[1, here, column] = np.einsum("...k,...k->...", weight, mean)
    return Replicates(np.log(n) - (n - 1) / n, *curves)


def resampled_tilt(proxy, true, inverse_temperature, index) -> Replicates:
    """Compute the tilted means of every resample of the answers to one prompt.

    Args:
      proxy, true: finite scores of the answers to one prompt, `[N]`, at least two.
      inverse_temperature: `[A]`, as `tilt_curve` gives it: in 1/(standard deviation
        of the proxy in the bank itself), the same for all resamples.
      index: answers drawn with replacement, `[B, N]`, 0 to N - 1.

    Raises:
      ValueError: as `best_of_n_curve`; an index of another shape.

    Reference: Efron 1979, Annals of Statistics 7:1 (a resample as counts); of the tilt
    p e^(b r)/Z the KL is b E[r] - ln Z, by definition.
    """
    proxy, true, index = _check(proxy, true, index)
    size, strength = len(proxy), np.atleast_1d(np.asarray(inverse_temperature, float))
    scale = within_std(proxy, np.zeros(size, int)) or 1.0
    score = (proxy - proxy.max()) / scale
    terms, tilt, tilt_score = _terms(score, true, strength)
    sums = np.empty((len(index), len(terms)))
    # One array for the counts of all parts: fresh pages cost more than the counting.
    rows = min(max(_AT_ONCE, _IN_CACHE // size), len(index))
    counts = np.empty((rows, size))
    for here in _parts(index, rows * size):
        count = counts[: len(index[here])]
        for row, drawn in zip(count, index[here], strict=True):
            row[:] = np.bincount(drawn, minlength=size)
        np.matmul(count, terms.T, out=sums[here])
    total = sums[:, : len(tilt)] @ tilt
    mean = sums[:, : len(tilt_score)] @ tilt_score / total
    true = sums[:, -len(tilt) :] @ tilt / total
    kl = np.maximum(strength * mean - np.log(total / size), 0)
    return Replicates(kl, proxy.max() + scale * mean, true)


def _terms(score, true, strength):
    """What to sum over the answers, `[L + K, N]`, and how tilts are made of the sums.

    A matrix `[K, A]` makes the sum of e^(strength score) of the first K and of
    true e^(strength score) of the last K, a matrix `[L, A]` that of
    score e^(strength score) of the first L. For scores down to -R and strengths up to
    S, with c = SR/4, strength = S(1 + x)/2 and score = R(y - 1)/2,

        e^(strength score) = e^(S score/2) e^(-cx) e^(cxy),

    and the last is a Chebyshev series in y of terms I_k(cx), Bessel functions: cut to
    K of them it is within 2 e^c I_K(c) of every weight, relatively, and rounding within
    1e-16 e^(2c). With K = 10 + 2.4c sums are within 1e-9 where SR is at most 24.
    Beyond, or where K is no smaller than A, the weights themselves are summed.
    """
    reach, strongest = -score.min(), strength.max()
    num = int(np.ceil(10 + 0.6 * min(strongest * reach, _REACH)))
    if len(strength) <= num or strongest * reach > _REACH:
        weight = np.exp(np.outer(strength, score))
        one = np.eye(len(strength))
        terms = np.concatenate([weight, weight * score, weight * true])
        return terms, one, np.concatenate([0 * one, one])
    terms = np.empty((2, num, len(score)))
    y, series = 1 + 2 * score / (reach or 1), terms[0]
    series[0] = np.exp(score * strongest / 2)
    series[1] = y * series[0]
    for k in range(2, num):
        series[k] = 2 * y * series[k - 1] - series[k - 2]
    np.multiply(series, true, out=terms[1])
    angle = np.pi * (np.arange(num) + 0.5) / num
    place = (np.cos(angle) - 1) * reach / 2
    to_series = np.cos(np.outer(np.arange(num), angle)) * 2 / num
    to_series[0] /= 2
    weight = np.exp(np.outer(place, strength - strongest / 2))
    tilt_score = to_series @ (weight * place[:, None])
    return terms.reshape(2 * num, -1), to_series @ weight, tilt_score


def _check(proxy, true, index):
    proxy, true, _ = check_bank(proxy, true)
    index = np.asarray(index)
    if index.ndim != 2 or index.shape[1] != len(proxy) or index.dtype.kind not in "iu":
        raise ValueError(
            f"index has shape {index.shape} and type {index.dtype}; pass whole numbers "
            f"of shape (resamples, {len(proxy)}), one of each per answer"
        )
    if index.size and not 0 <= index.min() <= index.max() < len(proxy):
        raise ValueError(
            f"index holds {index.min()} to {index.max()}; pass 0 to {len(proxy) - 1}, "
            "the places of the answers"
        )
    return proxy, true, index


def _parts(index, at_once) -> Iterator[slice]:
    step = max(1, at_once // index.shape[1])
    return (slice(i, i + step) for i in range(0, len(index), step))


def _count(index, size, weights=None):
    """Count, or sum, what falls to each of `size` places in every row of `[B, N]`."""
    weights = [None] * len(index) if weights is None else weights
    rows = zip(index, weights, strict=True)
    return np.stack([np.bincount(row, weight, size) for row, weight in rows])


def _share_upto(n, size, plug_in):
    """P(the best of n is among the lowest i), `[size + 1]`, i = 0..size."""
    if plug_in:
        return (np.arange(size + 1) / size) ** int(n)
    return np.append(0.0, np.cumsum(best_of_n_weights(n, size)))
