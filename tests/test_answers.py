"""Intervals over one prompt's answers: leaving out by hand, and coverage."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robust.measure.answers import over_answers
from robust.measure.bank import best_of_n_curve
from robust.measure.bootstrap import t_interval
from robust.measure.resample import resampled_best_of_n
from robust.measure.selection import select_best

banks = st.integers(2, 9).flatmap(  # few levels: most banks hold ties
    lambda size: st.tuples(
        hnp.arrays(int, size, elements=st.integers(0, 4)),
        hnp.arrays(int, size, elements=st.integers(-9, 9)),
    )
)


@settings(derandomize=True, deadline=None, max_examples=80)
@given(banks)
def test_pseudo_values_leave_out_one_answer_after_another(bank):
    proxy, true = bank
    size = len(proxy)
    n = np.arange(1, size + 1)
    found = over_answers(proxy, true, n)
    whole = best_of_n_curve(proxy, true, n=n)
    rest = [
        best_of_n_curve(np.delete(proxy, i), np.delete(true, i), n=n[:-1])
        for i in range(size)
    ]
    for name in ("proxy", "true"):
        curve = getattr(whole, name)[:-1]
        left_out = np.array([getattr(one, name) for one in rest])
        wanted = t_interval(size * curve - (size - 1) * left_out)
        got = np.array(getattr(found, name))
        np.testing.assert_allclose(got[:, :-1], wanted, atol=1e-9)
        np.testing.assert_allclose(got[0, :-1], curve, atol=1e-9)
        assert np.isnan(got[:, -1]).all()  # without one there is no best of so many


def test_the_base_has_the_interval_of_a_mean():
    proxy, true = np.random.default_rng(0).normal(size=(2, 30))
    found = over_answers(proxy, true, [1, 8])
    for name, scores in (("proxy", proxy), ("true", true)):
        got = np.array(getattr(found, name))[:, 0]
        np.testing.assert_allclose(got, t_interval(scores), rtol=1e-12)
        assert not np.any(np.array(getattr(found, f"{name}_gain"))[:, 0])


def test_the_spread_of_resamples():
    """Of 4,000 resamples, whose sd is known to 1 %; the jackknife is a little wide."""
    rng = np.random.default_rng(1)
    proxy, noise = rng.normal(size=(2, 400))
    true, n = proxy - 0.2 * proxy**2 + noise, [1, 2, 8, 16]
    found = over_answers(proxy, true, n).true
    index = rng.integers(0, 400, (4000, 400))
    spread = resampled_best_of_n(proxy, true, n, index).true.std(axis=0)
    half = (found.high - found.low) / 2 / 1.96592  # Student's t, 399 degrees
    np.testing.assert_allclose(half, spread, rtol=0.08)


def test_a_gain_knows_the_error_of_its_unit():
    """As a jackknife of the whole ratio, which to first order it is."""
    proxy, noise = np.random.default_rng(2).normal(size=(2, 200))
    true, n = 0.5 * proxy + noise, [1, 4, 16]
    found = over_answers(proxy, true, n).true_gain

    def gain(p, y):
        curve = best_of_n_curve(p, y, n=n).true
        return (curve - curve[0]) / y.std(ddof=1)

    rows = np.stack([proxy, true], axis=1)
    one_by_one = np.array([gain(*np.delete(rows, i, axis=0).T) for i in range(200)])
    pseudo = 200 * gain(proxy, true) - 199 * one_by_one
    wanted = t_interval(pseudo)
    np.testing.assert_allclose(
        found.high - found.low, wanted.high - wanted.low, rtol=0.05
    )


@pytest.mark.parametrize(("size", "n"), [(100, [1, 4, 10]), (500, [1, 16, 50])])
def test_coverage(size, n):
    """Of 400 banks of normal scores, n up to N/10, against E[max of n] / 2.

    95 % less 5 standard errors of 1.1 %; more than 98 would be too wide.
    """
    best_of = {1: 0.0, 4: 1.0293753730, 10: 1.5387527308, 16: 1.7659913931,
               50: 2.2490736293}  # fmt: skip
    wanted = np.array([best_of[i] for i in n]) / 2
    held = []
    for seed in range(400):
        proxy, noise = np.random.default_rng(seed).normal(size=(2, size))
        true = over_answers(proxy, 0.5 * proxy + noise, n).true
        held.append((true.low <= wanted) & (wanted <= true.high))
    share = np.mean(held, axis=0)
    assert np.all((share >= 0.895) & (share <= 0.98)), share


def test_a_constant_has_no_spread():
    proxy = np.random.default_rng(0).normal(size=20)
    found = over_answers(proxy, np.ones(20), [1, 2, 4])
    np.testing.assert_allclose(found.true, np.ones((3, 3)), atol=1e-12)
    np.testing.assert_allclose(found.true_gain, np.zeros((3, 3)), atol=1e-12)


def test_selection_of_one_group_carries_them():
    proxy, true = np.random.default_rng(0).normal(size=(2, 64))
    selection = select_best(proxy, true, np.zeros(64, int))
    found = over_answers(proxy, true, selection.curve.n)
    np.testing.assert_array_equal(selection.curve.true_low, found.true.low)
    np.testing.assert_array_equal(selection.true_gain.high, found.true_gain.high)
    np.testing.assert_array_equal(selection.proxy_gain.low, found.proxy_gain.low)


def test_one_answer_is_refused():
    with pytest.raises(ValueError, match="one answer has no spread; pass at least two"):
        over_answers([1.0], [2.0], [1])
