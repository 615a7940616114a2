"""Area, normalised drop and stability against closed forms and simulation."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robust import divergence
from robust.measure.bootstrap import equivalence, jackknife_interval
from robust.measure.shape import shape

POWER = np.linspace(0, 10, 2001)


def rise_and_fall(end):
    """Rises to 1 at 5 nats, then falls to `end` at 10."""
    rising = POWER / 5
    return np.where(POWER <= 5, rising, 1 + (end - 1) * (POWER / 5 - 1))[None]


@pytest.mark.parametrize("end", [1.0, 0.25, 0.0, -1.0])
def test_a_rise_and_fall(end):
    """Two trapezia: 1/2 and (1 + end)/2 over half of the pressure each."""
    mean = (0.5 + (1 + end) / 2) / 2
    got = shape(np.zeros((1, 2001)), rise_and_fall(end), POWER)
    assert got.oi.mean == pytest.approx(1)
    assert got.ndh.mean == pytest.approx(end - 1)
    assert got.so.mean == pytest.approx(mean)
    assert got.si.mean == pytest.approx(mean)
    assert got.area.mean == pytest.approx(-mean)
    assert np.isnan(got.si.low)
    assert np.isnan(got.area.high)


def test_the_published_stability_of_a_short_curve():
    """SOO-Bench: (area - first x length) / (highest x length - first x length)."""
    curve = np.array([[1.0, 3.0, 2.0, 4.0, 0.0]])
    area, length = 2 + 2.5 + 3 + 2, 4
    want = (area - 1 * length) / ((4 - 1) * length)
    got = shape(curve, curve, np.arange(5))
    assert got.si.mean == pytest.approx(want)
    assert got.oi.mean * got.si.mean == pytest.approx(got.so.mean)


def test_a_curve_that_only_falls_has_no_ratios():
    falling = np.tile(-POWER, (4, 1))
    got = shape(falling, falling, POWER)
    assert np.isnan(got.ndh.mean)
    assert np.isnan(got.si.mean)
    assert got.oi.mean == 0
    assert got.so.mean == pytest.approx(-5)


@given(st.floats(0.1, 10), st.floats(-5, 5), st.integers(0, 99))
def test_ratios_ignore_the_units_of_the_true_value(scale, shift, seed):
    true = np.random.default_rng(seed).normal(size=(6, 5)) + np.arange(5)
    one = shape(true, true, np.arange(5))
    two = shape(true, shift + scale * true, np.arange(5))
    np.testing.assert_allclose(two.si, one.si, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(two.ndh, one.ndh, rtol=1e-6, atol=1e-9)


def test_intervals_cover():
    """95 % of 2,000 simulated curves; standard error sqrt(.05 .95 / 2,000), of which
    4 are allowed. Ratios are linear only in the limit: 1.5 % more for them."""
    rng, mean = np.random.default_rng(0), np.array([0, 0.8, 1.6, 2.0, 1.2, 0.9])
    truth = shape(mean[None], mean[None], np.arange(6))
    hits = dict.fromkeys(("ndh", "oi", "si", "so"), 0)
    for _ in range(2000):
        walk = rng.normal(size=(12, 6)).cumsum(axis=1) * 0.1
        got = shape(mean + walk, mean + walk - walk[:, :1], np.arange(6))
        for name in hits:
            _, low, high = getattr(got, name)
            hits[name] += low <= getattr(truth, name).mean <= high
    error = 4 * np.sqrt(0.05 * 0.95 / 2000)
    for name, slack in (("so", 0), ("oi", 0), ("ndh", 0.015), ("si", 0.015)):
        assert abs(hits[name] / 2000 - 0.95) < error + slack, name


def test_divergence_carries_the_shape_and_jits():
    rng = np.random.default_rng(1)
    true = rng.normal(size=(8, 5)).astype(np.float32) * 0.1 + np.array([0, 1, 2, 1, 1])
    power = np.array([0.0, 1, 3, 4, 8])
    outside = divergence(true, true, power=power)
    inside = jax.jit(lambda t: divergence(t, t, power=power))(true)
    np.testing.assert_allclose(inside.shape.si, outside.shape.si, rtol=1e-4)
    np.testing.assert_allclose(inside.visible, outside.visible, rtol=1e-4)
    place = outside.peak_place(outside.power)
    assert (place.low, place.mean, place.high) == (3, 3, 3)


def test_peak_place_spans_all_that_may_be_the_peak():
    rng = np.random.default_rng(2)
    true = rng.normal(size=(8, 5)) * 0.3 + np.array([0, 2, 2.01, 2, 0])
    place = divergence(true, true, power=np.arange(5.0)).peak_place(np.arange(5.0))
    assert (place.low, place.high) == (1, 3)


def test_the_visible_drop_is_found_four_times_in_five():
    """Of 600 curves with the quoted drop at one checkpoint; standard error
    sqrt(.8 .2 / 600) = 1.6 %, and the level is shared by two checkpoints."""
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(600, 8, 3)) * 0.1
    visible = np.mean([float(divergence(n, n).visible) for n in noise[:200]])
    true = noise + np.array([0, visible, 0])
    found = np.mean([int(divergence(t, t).verdict) == 2 for t in true])
    assert 0.8 - 5 * 0.016 < found < 0.95


class TestEquivalence:
    def test_against_scipy(self):
        from scipy import stats

        values = np.random.default_rng(0).normal(0.02, 0.1, 20)
        got = equivalence(values, 0.1)
        tests = [
            stats.ttest_1samp(values, sign * 0.1, alternative=side).pvalue
            for sign, side in ((1, "less"), (-1, "greater"))
        ]
        assert got.p == pytest.approx(max(tests), rel=1e-6)
        at_edge = equivalence(values, float(got.shown))
        assert at_edge.p == pytest.approx(0.05, rel=1e-6)

    def test_size_and_visible_difference(self):
        """At a mean on the margin 5 % of 4,000 tests pass; and a difference of
        `visible` is found in 80 %: standard errors .34 % and .63 %."""
        from scipy import stats

        rng = np.random.default_rng(1)
        edge = rng.normal(0.5, 0.3, (12, 4000))
        assert abs(np.mean(equivalence(edge, 0.5).p <= 0.05) - 0.05) < 4 * 0.0034
        error = 1 / np.sqrt(12)
        visible = np.mean(equivalence(rng.normal(0, 1, (12, 4000)), 1).visible)
        found = stats.ttest_1samp(rng.normal(visible, 1, (12, 4000)), 0).pvalue <= 0.05
        assert abs(found.mean() - 0.8) < 4 * 0.0063 + 0.01
        assert visible > 2.8 * error

    def test_single_units_and_bad_margins(self):
        assert np.isnan(equivalence(np.ones(1), 0.1).p)
        with pytest.raises(ValueError, match="margin is 0"):
            equivalence(np.ones(3), 0)


def test_the_jackknife_of_a_mean_is_the_t_interval():
    from robust.measure.bootstrap import t_interval

    values = np.random.default_rng(0).normal(size=(9, 3))
    got = jackknife_interval(lambda mean: mean[:, 1], values)
    np.testing.assert_allclose(got, [bound[1] for bound in t_interval(values)])
