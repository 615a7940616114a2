"""Conversions of pressure: scipy, round trips and published figures."""

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from robust.measure import conversions, pressure
from robust.measure.realised import least_kl

exact = settings(derandomize=True, deadline=None, max_examples=100)
any_n = st.floats(0, np.log(1e12)).map(np.exp)
any_mu = st.floats(0, 1e12)

N = np.array([1, 2, 4, 8, 16, 64, 256, 1000, 12500, 60000])
MU = np.array([0.5, 1, 2, 5, 10, 20, 50])


def kl_best_of_n(n):
    """In float64, whatever JAX is set to."""
    return np.log(n) - (n - 1) / n


def test_published_figures():
    """KL of best-of-n and best-of-Poisson, chi-squared, win rate, quantilizer: to half
    a unit of the last digit, times the slope of the inverse."""
    kl = [0.1931, 0.6363, 1.2044, 1.8351, 3.1745, 4.5491, 5.9088, 8.4336, 10.0021]
    np.testing.assert_allclose(conversions.n_of_kl(kl), N[1:], rtol=3e-4)
    chi2 = [1 / 3, 1.2857, 3.2667, 7.2581, 31.252]
    np.testing.assert_allclose(conversions.n_of_chi2(chi2), N[1:6], rtol=4e-5)
    np.testing.assert_allclose(conversions.n_of_win_rate(N / (N + 1)), N, rtol=1e-9)
    kl = [0.032982, 0.107154, 0.298724, 0.833449, 1.408032, 2.04703, 2.932226]
    np.testing.assert_allclose(conversions.mu_of_kl(kl), MU, rtol=1e-5)
    assert conversions.q_of_kl(4.60517) == pytest.approx(0.01, rel=1e-6)
    assert conversions.q_of_chi2(99) == pytest.approx(0.01)
    # The verdict's 3 nats are passed at n = 31.
    assert 30 < conversions.n_of_power(3.0) < 31


def test_power_is_harmonic():
    n = np.arange(1, 1000)
    got = conversions.power_best_of_n(n)
    np.testing.assert_allclose(got, np.cumsum(1 / n) - 1, atol=1e-13)


@pytest.mark.parametrize("n", [1.0, 1.3, 7.5, 1e4, 1e9])
def test_power_integrates_the_density_of_best_of_n(n):
    def integrand(e):
        return e * np.exp(np.log(n) + (n - 1) * np.log1p(-np.exp(-e)) - e)

    middle = np.log(n)
    cuts = np.unique(np.clip([0, middle - 4, middle, middle + 5, middle + 50], 0, None))
    parts = [
        integrate.quad(integrand, *c, epsabs=1e-13)[0] for c in itertools.pairwise(cuts)
    ]
    assert conversions.power_best_of_n(n) == pytest.approx(sum(parts) - 1, abs=1e-7)


@pytest.mark.parametrize("mu", [0, 1e-3, 0.3, 1, 1.0001, 5, 50])
def test_power_of_poisson_mixes_that_of_best_of_n(mu):
    extra = np.arange(400)
    power = stats.poisson.pmf(extra, mu) @ conversions.power_best_of_n(extra + 1)
    got = conversions.power_best_of_poisson(mu)
    assert got == pytest.approx(power, rel=1e-12, abs=1e-15)


@exact
@given(any_n)
def test_round_trips_of_n(n):
    """A measure x is known to 2e-16 of itself, n to that over d ln n / dx; near n = 1
    KL and chi-squared go with (n - 1)², so half of the digits are left."""
    close = {"rtol": 1e-12, "atol": 3e-8}
    np.testing.assert_allclose(conversions.n_of_kl(kl_best_of_n(n)), n, **close)
    chi2 = (n - 1) ** 2 / (2 * n - 1)
    np.testing.assert_allclose(conversions.n_of_chi2(chi2), n, **close)
    power = conversions.power_best_of_n(n)
    np.testing.assert_allclose(conversions.n_of_power(power), n, rtol=1e-12)


@exact
@given(any_mu)
def test_round_trip_of_mu(mu):
    power = conversions.power_best_of_poisson(mu)
    got = conversions.mu_of_power(power)
    np.testing.assert_allclose(got, mu, rtol=1e-12, atol=1e-15)


@exact
@given(st.floats(1e-6, 200))
def test_inverses_agree_with_lambert(kl):
    """-ln w + w = 1 + kl has two roots, minus the branches of W(-e^(-1-kl)): 1/n of
    best-of-n, and 1 + the largest power. scipy's W keeps half its digits at -1/e."""
    at = -np.exp(-1 - kl)
    close = {"rtol": 1e-8 / min(kl, 1)}
    want = -1 / special.lambertw(at).real
    np.testing.assert_allclose(conversions.n_of_kl(kl), want, **close)
    want = -special.lambertw(at, -1).real - 1
    np.testing.assert_allclose(conversions.most_power(kl), want, **close)


@exact
@given(st.floats(0, 500))
def test_most_power_turns_donsker_varadhan_around(kl):
    power = conversions.most_power(kl)
    assert power - np.log1p(power) == pytest.approx(kl, rel=1e-12, abs=1e-15)
    assert power >= kl


def test_most_power_is_attained():
    """Density a P^(a-1) of P = P_base(higher): power 1/a - 1, KL ln a + 1/a - 1."""
    a = np.array([0.01, 0.3, 0.9])
    got = conversions.most_power(np.log(a) + 1 / a - 1)
    np.testing.assert_allclose(got, 1 / a - 1, rtol=1e-9)


@exact
@given(st.lists(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)), min_size=2))
def test_bounds_hold_for_any_policy(pairs):
    p, q = (np.array(column) / sum(column) for column in zip(*pairs, strict=True))
    kl = special.rel_entr(p, q).sum()
    chi2, tv = ((p - q) ** 2 / q).sum(), abs(p - q).sum() / 2
    assert tv <= conversions.most_tv(max(kl, 0)) + 1e-9
    assert chi2 >= conversions.least_chi2(kl) - 1e-9


def test_bounds_of_policies_that_are_known():
    """A quantilizer attains the least chi-squared. Total variations of best-of-n are
    below their bound, Pinsker's for n = 2 and the other for n = 256."""
    q = np.geomspace(1e-9, 1, 20)
    got = conversions.least_chi2(-np.log(q))
    np.testing.assert_allclose(got, 1 / q - 1, rtol=1e-12, atol=1e-12)
    kl = kl_best_of_n(N)
    bound = conversions.most_tv(kl)
    assert (pressure.tv_best_of_n(N) <= bound + 1e-6).all()
    assert bound[1] == pytest.approx(np.sqrt(kl[1] / 2))
    assert bound[6] == pytest.approx(np.sqrt(1 - np.exp(-kl[6])))
    assert (conversions.power_best_of_n(N) <= conversions.most_power(kl)).all()


def test_gain_of_a_normal_score():
    """No best-of-n gains more than its KL buys; the least KL on draws agrees with g²/2,
    standard error sqrt((e^(g²) - 1)/N)."""
    most = [0.5641895835, 1.0293753730, 1.4236003060, 1.7659913931, 2.3437334651]
    assert (most <= conversions.gain_of_kl(kl_best_of_n(N[1:6]))).all()
    gain = np.array([0.0, 0.5, 1.0])
    kl = conversions.kl_of_gain(gain)
    np.testing.assert_allclose(conversions.gain_of_kl(kl), gain, rtol=1e-15)
    draws = np.random.default_rng(0).normal(size=10**5)
    error = np.sqrt(np.expm1(gain**2) / len(draws)) + 1e-4
    assert (abs(np.asarray(least_kl(gain, draws).kl) - kl) < 5 * error).all()


def test_equal_pressure_across_policies():
    """At 3 nats of power: the quantilizer's KL is 3 too, best-of-n's and Poisson's are
    less; all lie above Donsker & Varadhan's bound."""
    power = 3.0
    kl = [
        kl_best_of_n(conversions.n_of_power(power)),
        float(pressure.kl_best_of_poisson(conversions.mu_of_power(power))),
        -np.log(conversions.q_of_kl(power)),
    ]
    assert kl[2] == pytest.approx(3)
    assert power - np.log1p(power) < min(kl[:2])
    assert max(kl[:2]) < 3


@pytest.mark.parametrize(
    ("inverse", "of", "at"),
    [
        ("n_of_power", "power_best_of_n", [1, 1.5, 64, 1e6, 1e12]),
        ("mu_of_power", "power_best_of_poisson", [0, 0.5, 64, 1e6, 1e12]),
        ("n_of_chi2", None, [1, 1.5, 64, 1e6, 1e12]),
        ("n_of_kl", None, [1, 1.5, 64, 1e6, 1e12]),
        ("mu_of_kl", "kl_best_of_poisson", [0, 0.5, 64, 1e6, 1e12]),
    ],
)
def test_float32_under_jit(inverse, of, at):
    """Pressure of 28 nats is known to 2e-6, which is the relative error of n."""
    at = np.array([at, at])
    forward = (
        {
            "n_of_chi2": lambda n: (n - 1) ** 2 / (2 * n - 1),
            "n_of_kl": kl_best_of_n,
        }.get(inverse)
        or getattr(conversions, of, None)
        or getattr(pressure, of)
    )
    got = jax.jit(getattr(conversions, inverse))(forward(at))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, at, rtol=1e-5)


def test_numpy_stays_in_float64():
    for name in ("power_best_of_n", "n_of_power", "n_of_kl", "n_of_chi2", "most_power",
                 "power_best_of_poisson", "mu_of_power", "most_tv", "least_chi2",
                 "q_of_kl", "q_of_chi2", "kl_of_gain", "gain_of_kl"):  # fmt: skip
        got = getattr(conversions, name)([1.0, 2.0])
        assert isinstance(got, np.ndarray)
        assert got.dtype == np.float64
        assert np.isnan(getattr(conversions, name)(np.nan))
        traced = jax.jit(getattr(conversions, name))(np.array([1.0, 2.0]))
        np.testing.assert_allclose(traced, got, rtol=1e-5, atol=1e-6)
