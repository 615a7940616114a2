"""Bounds on the true gain: enumerated bases, closed forms, and where they are met."""

import hypothesis.extra.numpy as hnp
import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from robust.measure.bounds import (
    correlation_ratio,
    guaranteed,
    guaranteed_by_proxy,
    possible,
)
from robust.measure.calibration import Calibration, calibrate
from robust.measure.pressure import chi2_best_of_n, chi2_quantilizer

exact = settings(derandomize=True, deadline=None, max_examples=300)
whole = st.integers(-9, 9).map(float)
masses = st.integers(1, 20).map(float)
ROOT = 1e-6  # rounding of 1e-15 below a square root, with room

MAX_OF_N = {  # expected maximum of n standard normals, FORMULAS.md
    2: 0.5641895835,
    4: 1.0293753730,
    16: 1.7659913931,
    64: 2.3437334651,
    1024: 3.2482396014,
}


def standardised(base, score):
    mean = base @ score
    return (score - mean) / np.sqrt(base @ (score - mean) ** 2)


@st.composite
def worlds(draw, selective=False):
    """A finite base with both scores, and a policy: gain, chi2, rho, eta2, true."""
    size = draw(st.integers(2, 7))

    def each(elements):
        return draw(hnp.arrays(float, size, elements=elements))

    base, policy = each(masses), each(st.integers(0, 20).map(float))
    level = each(st.integers(0, 2).map(float) if selective else whole)
    true = each(whole)
    assume(policy.any() and np.ptp(level) and np.ptp(true))
    base = base / base.sum()
    proxy, true = standardised(base, level), standardised(base, true)
    if selective:  # one density ratio per level of the proxy
        policy = base * policy[level.astype(int) % size]
        assume(policy.any())
    policy = policy / policy.sum()
    same = level[:, None] == level
    meaning = same @ (base * true) / (same @ base)
    return (
        policy @ proxy,
        base @ (policy / base - 1) ** 2,
        base @ (proxy * true),
        base @ meaning**2,
        policy @ true,
    )


@exact
@given(worlds())
def test_no_policy_on_a_finite_base_leaves_the_bounds(world):
    gain, chi2, rho, _, true = world
    low, high = guaranteed(gain, chi2, rho), possible(gain, chi2, rho)
    assert low - ROOT <= true <= high + ROOT
    if rho > 0.01:
        assert guaranteed_by_proxy(gain, chi2, rho) <= low + 1e2 * ROOT


@exact
@given(worlds(selective=True))
def test_policies_that_select_by_score_obey_the_sharper_bounds(world):
    """And the bounds nest: Laidlaw, Liu, score-selective, the truth."""
    gain, chi2, rho, eta2, true = world
    inner = guaranteed(gain, chi2, rho, eta2), possible(gain, chi2, rho, eta2)
    outer = guaranteed(gain, chi2, rho), possible(gain, chi2, rho)
    assert outer[0] - ROOT <= inner[0] <= true + ROOT
    assert true - ROOT <= inner[1] <= outer[1] + ROOT


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("seed", range(5))
def test_bounds_are_met_where_the_ratio_stays_positive(seed, sign):
    """d = a proxy + b rest on three points: the gains are a and rho a + b s, and
    chi2 is a^2 + b^2, all by enumeration."""
    rng = np.random.default_rng(seed)
    base = rng.dirichlet([3, 3, 3])
    proxy, true = (standardised(base, rng.normal(size=3)) for _ in range(2))
    rho = base @ (proxy * true)
    rest = (true - rho * proxy) / np.sqrt(1 - rho**2)
    change = 0.6 * proxy + sign * 0.8 * rest
    policy = base * (1 + change / -change.min())
    assert policy.min() > -1e-12
    gain, chi2 = policy @ proxy, base @ (policy / base - 1) ** 2
    bound = guaranteed if sign < 0 else possible
    # Three levels of proxy, so the proxy decides the true value: eta^2 = 1.
    for eta2 in (None, 1.0):
        np.testing.assert_allclose(bound(gain, chi2, rho, eta2), policy @ true)


def test_two_points_leave_no_choice():
    """Proxy and true value rise together: true gain = proxy gain, chi2 = gain^2."""
    base, policy = np.array([0.8, 0.2]), np.array([0.5, 0.5])
    score = standardised(base, np.array([0.0, 1.0]))
    gain, chi2 = policy @ score, base @ (policy / base - 1) ** 2
    assert gain == pytest.approx(0.75)
    assert chi2 == pytest.approx(0.5625)
    for bound in (guaranteed, possible, guaranteed_by_proxy):
        assert bound(gain, chi2, 1.0) == pytest.approx(0.75)


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9])
def test_both_guarantees_end_at_the_same_gain(rho):
    """At G = sqrt(1 - rho^2) chi both are 0, and above it Liu's is larger."""
    chi2, edge = 2.0, np.sqrt((1 - rho**2) * 2)
    np.testing.assert_allclose(guaranteed(edge, chi2, rho), 0, atol=1e-12)
    np.testing.assert_allclose(guaranteed_by_proxy(edge, chi2, rho), 0, atol=1e-12)
    gain = np.linspace(-np.sqrt(2), np.sqrt(2), 41)
    least, weaker = guaranteed(gain, chi2, rho), guaranteed_by_proxy(gain, chi2, rho)
    assert (weaker <= least + 1e-12).all()


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_normal_quantilizers(rho):
    """Top share q of a normal: gain phi(z)/q, true gain rho times that; the
    score-selective bound is exact and the general one is not."""
    q = np.array([0.5, 0.1, 0.01, 1e-4])
    gain = stats.norm.pdf(stats.norm.isf(q)) / q
    chi2 = np.asarray(chi2_quantilizer(q))
    check_normal(gain, chi2, rho)


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_normal_best_of_n(rho):
    gain = np.array(list(MAX_OF_N.values()))
    check_normal(gain, np.asarray(chi2_best_of_n(np.array([*MAX_OF_N]))), rho)


def check_normal(gain, chi2, rho):
    true = rho * gain
    np.testing.assert_allclose(guaranteed(gain, chi2, rho, rho**2), true, rtol=1e-12)
    np.testing.assert_allclose(possible(gain, chi2, rho, rho**2), true, rtol=1e-12)
    order = [guaranteed_by_proxy(gain, chi2, rho), guaranteed(gain, chi2, rho), true]
    order += [possible(gain, chi2, rho)]
    assert (np.diff(order, axis=0) > 0).all()


@pytest.mark.parametrize("n", [2, 16, 256])
def test_a_meaning_that_bends_stays_within_the_sharper_bound(n):
    """m(x) = a x - b x^3 on a normal base under best-of-n, by quadrature:
    rho = a - 3b, eta^2 = a^2 - 6ab + 15b^2."""
    a, b = 0.8, 0.15
    rho, eta2 = a - 3 * b, a**2 - 6 * a * b + 15 * b**2

    def under(function):
        return integrate.quad(
            lambda x: n * stats.norm.cdf(x) ** (n - 1) * stats.norm.pdf(x)
            * function(x), -9, 9,
        )[0]  # fmt: skip

    gain, true = under(lambda x: x), under(lambda x: a * x - b * x**3)
    chi2 = float(chi2_best_of_n(n))
    order = [
        guaranteed(gain, chi2, rho),
        guaranteed(gain, chi2, rho, eta2),
        true,
        possible(gain, chi2, rho, eta2),
        possible(gain, chi2, rho),
    ]
    assert (np.diff(order) > 0).all()


@pytest.mark.parametrize("bound", [guaranteed, possible, guaranteed_by_proxy])
def test_edges(bound):
    assert bound(0.0, 0.0, 0.5) == 0
    assert bound(0.01, 0.0, 0.5) == 0  # a noisy estimate of the base's own gain
    assert np.isnan(bound(1.01, 1.0, 0.5))
    assert np.isnan(bound(np.nan, 1.0, 0.5))
    assert bound(np.float64(np.sqrt(0.1)), 0.1, 1.0) == pytest.approx(np.sqrt(0.1))
    assert bound(np.full((3, 1), 0.5), np.array([1.0, 2]), 0.5).shape == (3, 2)


def test_a_ratio_below_its_least_counts_as_the_least():
    assert guaranteed(0.5, 2.0, 0.5, 0.1) == guaranteed(0.5, 2.0, 0.5, 0.25) == 0.25


def test_laidlaws_bound_wants_a_positive_correlation():
    assert np.isnan(guaranteed_by_proxy(0.5, 1.0, np.array([0.0, -0.5]))).all()


@pytest.mark.parametrize("bound", [guaranteed, possible, guaranteed_by_proxy])
def test_jit_agrees_with_numpy(bound):
    """Where chi2 is gain^2 the root of float32 rounding is left: sqrt(1e-7)."""
    gain, chi2 = np.linspace(-1, 1, 9), np.array([[1.0], [2.0], [30.0]])
    got = jax.jit(bound)(gain, chi2, 0.6)
    np.testing.assert_allclose(got, bound(gain, chi2, 0.6), rtol=1e-5, atol=4e-4)


def test_correlation_ratio_of_exact_bins_by_hand():
    """Means -2, 0, 0, 2 have variance 2; joined, -1 and 1 have 1: the pairs lose 1.
    In units of sd 2: 2/4 + 1/4, and `high` two more losses."""
    bins = Calibration(np.arange(4.0), np.array([-1, 0, 0, 1.0]), np.zeros(4))
    got = correlation_ratio(bins, 0.5)
    np.testing.assert_allclose(got, [0.75, 0.75, 1.0])
    np.testing.assert_allclose(correlation_ratio(bins, 0.9), [0.81, 0.81, 1.0])


MEANINGS = {  # of a normal score: m and eta^2
    "none": (lambda x: 0 * x, 0.0),
    "line": (lambda x: 0.3 * x, 0.09),
    "square": (lambda x: 0.4 * (x**2 - 1), 0.32),
    "cube": (lambda x: 0.8 * x - 0.1 * x**3, 0.31),
}


def ratios(meaning, samples=300):
    """Estimates `[samples, 3]` from 4,000 draws in 32 bins, clipped at 0 only."""
    m, eta2 = MEANINGS[meaning]
    rng = np.random.default_rng(0)
    score = rng.normal(size=(samples, 4000))
    true = m(score) + np.sqrt(1 - eta2) * rng.normal(size=score.shape)
    rows = zip(-stats.norm.logsf(score), true, strict=True)
    return np.array([correlation_ratio(calibrate(*row), 0.0) for row in rows])


@pytest.mark.parametrize("meaning", MEANINGS)
def test_guarantees_may_rest_on_the_upper_bound(meaning):
    """`high` is below eta^2 in at most 5 % of samples: standard error
    sqrt(.05 · .95 / 300)."""
    below = ratios(meaning)[:, 2] < MEANINGS[meaning][1]
    assert below.mean() < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)


@pytest.mark.parametrize("meaning", ["line", "square", "cube"])
def test_correlation_ratio_is_right_up_to_what_bins_lose(meaning):
    """Twice the variance between 32 bins of a normal less that between 16, on a grid
    of 2^20; standard error as observed over the 300 samples."""
    value = ratios(meaning)[:, 0]
    m, eta2 = MEANINGS[meaning]
    grid = m(stats.norm.ppf((np.arange(2**20) + 0.5) / 2**20))
    of_32, of_16 = (grid.reshape(bins, -1).mean(axis=1).var() for bins in (32, 16))
    assert abs(value.mean() - (2 * of_32 - of_16)) < 4 * value.std() / np.sqrt(300)
    assert 2 * of_32 - of_16 == pytest.approx(eta2, rel=0.05)


def test_noise_of_the_bins_is_no_relation():
    """A line of variance 0.25 in 32 bins, and what its pairs lose, without the
    variance 0.01 of the noise; standard error as observed over 400 samples."""
    rng = np.random.default_rng(1)
    center = np.linspace(-1, 1, 32)
    center *= 0.5 / center.std()
    error = np.full(32, 0.1)
    got = [
        correlation_ratio(Calibration(None, center + 0.1 * noise, error), 0.0).mean
        for noise in rng.normal(size=(400, 32))
    ]
    lost = np.mean(np.diff(center)[::2] ** 2) / 4
    assert abs(np.mean(got) - 0.25 - lost) < 4 * np.std(got) / 20
    assert 8 * np.std(got) / 20 < 0.1**2  # so an estimate without it would fail


@pytest.mark.parametrize("bins", [2, 5])
def test_bins_that_do_not_pair_are_refused(bins):
    with pytest.raises(ValueError, match=f"got {bins} bins; calibrate with an even"):
        correlation_ratio(Calibration(None, np.zeros(bins), np.zeros(bins)), 0.0)


def test_correlation_ratio_in_jit():
    bins = Calibration(np.arange(4.0), np.array([-0.5, 0, 0.1, 1.0]), np.full(4, 0.1))
    got = jax.jit(correlation_ratio)(bins, 0.2)
    np.testing.assert_allclose(got, correlation_ratio(bins, 0.2), rtol=1e-5)
