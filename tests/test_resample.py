"""Replicates against the curves of the resamples themselves."""

import itertools

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from robust.measure.bank import best_of_n_curve
from robust.measure.resample import resampled_best_of_n, resampled_tilt

exact = settings(derandomize=True, deadline=None, max_examples=60)
banks = st.integers(1, 9).flatmap(  # few levels: most banks hold ties
    lambda size: st.tuples(
        hnp.arrays(int, size, elements=st.integers(0, 4)),
        hnp.arrays(int, size, elements=st.integers(-9, 9)),
        hnp.arrays(int, (3, size), elements=st.integers(0, size - 1)),
    )
)


def draw_answers(size, resamples):
    return np.random.default_rng(0).integers(0, size, (resamples, size))


def normal_bank(size, seed=0):
    proxy, noise = np.random.default_rng(seed).normal(size=(2, size))
    return proxy, proxy + noise


@exact
@given(banks)
def test_every_replicate_is_the_curve_of_its_resample(bank):
    proxy, true, index = bank
    n = np.arange(1, len(proxy) + 1)
    found = resampled_best_of_n(proxy, true, n, index)
    for row, here in enumerate(index):
        wanted = best_of_n_curve(proxy[here], true[here], n=n)
        np.testing.assert_allclose(found.proxy[row], wanted.proxy, atol=1e-9)
        np.testing.assert_allclose(found.true[row], wanted.true, atol=1e-9)
        np.testing.assert_allclose(found.kl, wanted.kl)


def test_the_plug_in_enumerates_draws_with_replacement():
    proxy, true = np.array([3, 1, 1, 4]), np.array([2, 0, 5, -1])
    index = np.array([[0, 1, 2, 3], [0, 0, 1, 1], [2, 2, 2, 1], [3, 0, 2, 3]])
    found = resampled_best_of_n(proxy, true, [1, 2, 3], index, plug_in=True)
    for row, here in enumerate(index):
        p, v = proxy[here], true[here]
        for column, n in enumerate((1, 2, 3)):
            best = []
            for draw in map(list, itertools.product(range(4), repeat=n)):
                # A fair choice among the answers of the best score, not the draws.
                top = p == p[draw].max()
                best.append((p[draw].max(), v[top].mean()))
            wanted = np.mean(best, axis=0)
            np.testing.assert_allclose(found.proxy[row, column], wanted[0])
            np.testing.assert_allclose(found.true[row, column], wanted[1])


def test_large_banks_are_resampled_in_parts():
    proxy, true = normal_bank(30_000)
    index = draw_answers(30_000, 20)
    found = resampled_best_of_n(proxy, true, [1, 16, 3000], index)
    for row in (0, 7, 8, 19):
        here = index[row]
        wanted = best_of_n_curve(proxy[here], true[here], n=[1, 16, 3000])
        np.testing.assert_allclose(found.true[row], wanted.true, rtol=1e-9)
        np.testing.assert_allclose(found.proxy[row], wanted.proxy, rtol=1e-9)


@pytest.mark.parametrize("end", [0.5, 1.9, 3.4, 6.0])
@pytest.mark.parametrize("points", [3, 65])
def test_tilts_by_direct_sums(end, points):
    """At 65 points sums are interpolated, within 1e-8, but not at the strongest."""
    proxy, true = normal_bank(800)
    strength = np.linspace(0, end, points)
    index = draw_answers(800, 12)
    found = resampled_tilt(5 * proxy + 3, true, strength, index)
    for row, here in enumerate(index):
        exponent = np.outer(strength, proxy[here]) / proxy.std(ddof=1)
        weight = special.softmax(exponent, axis=1)
        kl = special.xlogy(weight, 800 * weight).sum(axis=1)
        np.testing.assert_allclose(found.kl[row], kl, rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(found.true[row], weight @ true[here], atol=1e-8)
        wanted = weight @ proxy[here] * 5 + 3
        np.testing.assert_allclose(found.proxy[row], wanted, atol=1e-7)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([[0, 1]], r"index has shape \(1, 2\) and type int64; pass whole .*, 3\), one"),
        ([0, 1, 2], r"index has shape \(3,\) and type int64; pass whole numbers"),
        ([[0.0, 1, 2]], r"index has shape \(1, 3\) and type float64; pass whole"),
        ([[0, 1, 3]], "index holds 0 to 3; pass 0 to 2, the places of the answers"),
        ([[0, 1, -1]], "index holds -1 to 1; pass 0 to 2"),
    ],
)
def test_bad_indices_get_one_clear_line(index, message):
    for call in (resampled_best_of_n, resampled_tilt):
        with pytest.raises(ValueError, match=message):
            call([1, 2, 3], [1, 2, 3], [1], index)
