"""Closed forms first; figures are checked to half a unit of their last digit."""

import itertools
from decimal import MIN_EMIN, Decimal, localcontext

import hypothesis.extra.numpy as hnp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from robust.measure import pressure, realised

exact = settings(derandomize=True, deadline=None, max_examples=50)
counts = hnp.arrays(int, 6, elements=st.integers(1, 50))

N = np.array([2, 4, 8, 16, 64])
MU = np.array([0.5, 1, 2, 5, 10, 20, 50])
GRID = (np.arange(10**5) + 0.5) / 10**5
NORMAL = np.random.default_rng(0).normal(size=10**5)


@pytest.fixture(autouse=True)
def float64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def on_host(function):
    """Return numpy arrays: comparing them compiles nothing."""
    return lambda *args: jax.tree.map(np.asarray, function(*args))


donsker_varadhan = on_host(pressure.donsker_varadhan)
least_kl = on_host(realised.least_kl)


def assert_figures(actual, figures, digits):
    np.testing.assert_allclose(actual, figures, rtol=0, atol=0.5001 * 10.0**-digits)


def test_best_of_n_figures():
    n = np.array([2, 4, 8, 16, 64, 256, 1000, 12500, 60000])
    kl = [0.1931, 0.6363, 1.2044, 1.8351, 3.1745, 4.5491, 5.9088, 8.4336, 10.0021]
    assert_figures(pressure.kl_best_of_n(n), kl, 4)
    chi2 = [0.3333, 1.2857, 3.2667, 7.2581, 31.2520]
    assert_figures(pressure.chi2_best_of_n(N), chi2, 4)
    tv = [0.25, 0.4725, 0.6501, 0.7793, 0.9215]
    assert_figures(pressure.tv_best_of_n(N), tv, 4)
    np.testing.assert_allclose(pressure.win_rate_best_of_n(N), N / (N + 1))


@pytest.mark.parametrize("n", [1, 1.5, 2, 7, 64])
def test_best_of_n_integrates_its_density(n):
    """The rank of the best of n has density n u^(n-1)."""

    def integral(function):
        edge = n ** (-1 / (n - 1)) if n > 1 else 0.5
        return integrate.quad(
            lambda u: function(n * u ** (n - 1), u), 0, 1, points=[edge]
        )[0]

    close = {"rtol": 1e-9, "atol": 1e-12}
    kl = integral(lambda f, u: special.xlogy(f, f))
    np.testing.assert_allclose(pressure.kl_best_of_n(n), kl, **close)
    chi2 = integral(lambda f, u: f**2 - 1)
    np.testing.assert_allclose(pressure.chi2_best_of_n(n), chi2, **close)
    tv = integral(lambda f, u: abs(f - 1) / 2)
    np.testing.assert_allclose(pressure.tv_best_of_n(n), tv, **close)
    win = integral(lambda f, u: f * u)
    np.testing.assert_allclose(pressure.win_rate_best_of_n(n), win, **close)


def test_finite_figures():
    figures = {
        2: [0.66759, 0.69315],
        10: [1.17749, 2.29345],
        100: [1.20417, 3.15760],
        1000: [1.20444, 3.17434],
    }
    for levels, at_8_and_64 in figures.items():
        kl = finite_uniform(levels)[np.isin(N, [8, 64])]
        assert_figures(kl, at_8_and_64, 5)


def finite_uniform(levels):
    return np.asarray(pressure.kl_best_of_n_finite(np.full(levels, 1 / levels), N))


def test_finite_enumerates_all_draws():
    q = np.array([0.2, 0.35, 0.45])
    for n in (1, 2, 3, 5):
        p = np.zeros(3)
        for draw in itertools.product(range(3), repeat=n):
            p[max(draw)] += q[list(draw)].prod()
        kl = (p * np.log(p / q)).sum()
        actual = pressure.kl_best_of_n_finite(q, n)
        np.testing.assert_allclose(actual, kl, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("n", [2, 1000, 10**8])
@pytest.mark.parametrize("small", ["1e-9", "1e-14", "1e-200"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_finite_keeps_its_digits_beside_a_tiny_level(n, small, place):
    q = [Decimal("0.25"), Decimal("0.75")]
    q.insert(place, Decimal(small))
    q[2 if place < 2 else 1] -= Decimal(small)
    actual = pressure.kl_best_of_n_finite([float(level) for level in q], n)
    np.testing.assert_allclose(actual, decimal_kl(q, n), rtol=1e-12)


def decimal_kl(q, n):
    """Sum p ln(p/q) with p = F^n - F_-^n, to 500 digits."""
    with localcontext() as context:
        context.prec, context.Emin = 500, MIN_EMIN
        upto = list(itertools.accumulate(q, initial=Decimal(0)))
        p = [high**n - low**n for low, high in itertools.pairwise(upto)]
        terms = [x * (x / y).ln() for x, y in zip(p, q, strict=True)]
        return float(sum(terms))


def test_finite_sees_a_top_level_rarer_than_rounding():
    """Of 1e30 draws one or more are the one in 1e30 with probability 1 - 1/e."""
    p, q = -np.expm1(-1), 1e-30
    kl = pressure.kl_best_of_n_finite([1, q], 1e30)
    np.testing.assert_allclose(kl, p * np.log(p / q) - (1 - p), rtol=1e-14)


@exact
@given(counts, st.floats(1, 1e6))
def test_finite_lies_between_zero_and_its_bounds(count, n):
    q = count / count.sum()
    kl = pressure.kl_best_of_n_finite(q, n)
    rounding = 1e-12 * (1 + np.log(n))
    assert 0 <= kl <= pressure.kl_best_of_n(n) + rounding
    assert kl <= -np.log(q[-1]) + rounding


def two_levels(low, n):
    """KL of the best of n coins whose lower side has probability `low`."""
    p, q = np.array([low**n, 1 - low**n]), np.array([low, 1 - low])
    return (p * np.log(p / q)).sum()


def test_finite_ignores_levels_without_probability():
    for q in ([0, 0.3, 0.7], [0.3, 0, 0.7], [0.3, 0.7, 0]):
        kl = pressure.kl_best_of_n_finite(q, 8)
        np.testing.assert_allclose(kl, two_levels(0.3, 8), rtol=1e-13)


def test_finite_broadcasts():
    q = np.array([[0.5, 0.5], [0.1, 0.9]])
    with jax.numpy_rank_promotion("raise"):
        table = pressure.kl_best_of_n_finite(q, N[:, None])
    wanted = [[two_levels(low, n) for low in (0.5, 0.1)] for n in N]
    np.testing.assert_allclose(table, wanted, rtol=1e-13)


def test_estimate_figures_and_edges():
    probability = np.array([0.1, 1e-3, 0, 1e-30, 1, 0.3])
    n = np.array([8, 8, 8, 8, 8, 1])
    estimate = np.asarray(pressure.kl_best_of_n_estimate(probability, n))
    assert_figures(estimate[0], 1.1917784, 7)
    assert_figures(estimate[1], 1.2044415254, 10)
    bound = np.log(8) - 7 / 8
    wanted = [bound, bound, 0, 0]
    np.testing.assert_allclose(estimate[2:], wanted, rtol=1e-15, atol=1e-15)


def test_estimate_is_nearer_than_the_bound_on_even_levels():
    for levels in (2, 10, 100, 1000):
        truth = finite_uniform(levels)
        error = pressure.kl_best_of_n_estimate(np.full(5, 1 / levels), N) - truth
        assert (abs(error) < np.log(N) - (N - 1) / N - truth).all()


def test_best_of_poisson_figures():
    kl = [0.032982, 0.107154, 0.298724, 0.833449, 1.408032, 2.047030, 2.932226]
    assert_figures(pressure.kl_best_of_poisson(MU), kl, 6)
    rank = [0.573877, 0.632121, 0.716166, 0.839730, 0.91, 0.9525, 0.9804]
    assert_figures(pressure.win_rate_best_of_poisson(MU), rank, 6)


def test_best_of_poisson_closed_forms():
    """By parts KL = ln(1+mu) - 1 + (Ei(1+mu) - Ei(1)) e^-(1+mu)/mu."""
    mu = np.geomspace(0.1, 300, 50)
    integral = (special.expi(1 + mu) - special.expi(1)) * np.exp(-1 - mu) / mu
    kl = np.log1p(mu) - 1 + integral
    np.testing.assert_allclose(pressure.kl_best_of_poisson(mu), kl, rtol=1e-11)
    rank = 1 - 1 / mu - np.expm1(-mu) / mu**2
    np.testing.assert_allclose(pressure.win_rate_best_of_poisson(mu), rank, rtol=1e-12)


def test_best_of_poisson_at_its_ends():
    """KL = mu^2/6 (1 + O(mu)) below, ln(1+mu) - 1 + O(1/mu) above."""
    assert pressure.kl_best_of_poisson(0) == 0
    assert pressure.win_rate_best_of_poisson(0) == pytest.approx(0.5, rel=1e-15)
    small = pressure.kl_best_of_poisson(1e-4)
    assert small == pytest.approx(1e-8 / 6, rel=1e-4)
    large = pressure.kl_best_of_poisson(1e9)
    assert large == pytest.approx(np.log1p(1e9) - 1, abs=1e-8)


def test_best_of_poisson_beats_the_tilt_by_little():
    """Gap to the exponential tilt of the same mean rank.

    The tilt is that of 1e5 midpoints of [0, 1], whose KL differs from that of
    the interval by beta^2/(24 N^2), under 1e-8.
    """
    poisson = pressure.win_rate_best_of_poisson(MU)
    rank = np.append(poisson, pressure.win_rate_best_of_n(N[:4]))
    tilt = least_kl(rank, GRID)
    assert not tilt.censored.any()
    gap = pressure.kl_best_of_poisson(MU) - tilt.kl[:7]
    figures = [1.73e-5, 1.228e-4, 4.697e-4, 5.183e-4, 7.69e-5, 3.9e-6, 1e-7]
    assert_figures(gap, figures, 7)
    gap = pressure.kl_best_of_n(N[:4]) - tilt.kl[7:]
    assert_figures(gap, [0.0205, 0.01941, 0.00709, 0.00188], 5)


def test_quantilizer():
    assert_figures(pressure.kl_quantilizer(0.01), 4.60517, 5)
    np.testing.assert_allclose(pressure.chi2_quantilizer(0.01), 99, rtol=1e-14)
    assert pressure.kl_quantilizer(1) == 0
    assert pressure.chi2_quantilizer(1) == 0


def test_gaussian_tilt():
    """Proxy x on N(0, 1) at temperature l gives N(1/l, 1) and KL 1/(2 l^2)."""
    temperature = np.array([0.25, 0.5, 1, 4])
    kl = pressure.kl_gaussian(1 / temperature[:, None], 1)
    np.testing.assert_allclose(kl, 1 / (2 * temperature**2), rtol=1e-15)


def test_gaussian_integrates_and_sums_over_its_coordinates():
    mean, std = np.array([0.3, -1.0]), np.array([0.5, 2.0])
    base_mean, base_std = np.array([0.0, 1.5]), np.array([1.0, 0.7])

    def log_density(x, mean, std):
        return -((x - mean) ** 2) / (2 * std**2) - np.log(std * np.sqrt(2 * np.pi))

    def integrand(x, i):
        log_p = log_density(x, mean[i], std[i])
        return np.exp(log_p) * (log_p - log_density(x, base_mean[i], base_std[i]))

    terms = [integrate.quad(integrand, -30, 30, args=(i,))[0] for i in range(2)]
    kl = pressure.kl_gaussian(mean, std, base_mean, base_std)
    np.testing.assert_allclose(kl, sum(terms), rtol=1e-9)
    assert pressure.kl_gaussian(np.zeros((3, 2)), std).shape == (3,)
    np.testing.assert_allclose(pressure.kl_gaussian(2.0, 1.0), 2, rtol=1e-15)


def test_categorical():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.25, 0.25, 0.5])
    kl = pressure.kl_categorical(np.log(p), np.log(q))
    np.testing.assert_allclose(kl, stats.entropy(p, q), rtol=1e-14)
    half = np.log([0.5, 0.5])
    sure = jnp.array([0, -jnp.inf])
    np.testing.assert_allclose(pressure.kl_categorical(sure, half), np.log(2))
    assert pressure.kl_categorical(half, sure) == np.inf
    assert pressure.kl_categorical(sure, sure) == 0
    assert jnp.isfinite(jax.grad(pressure.kl_categorical)(sure, half)).all()


@exact
@given(counts, st.integers(1, 100))
def test_categorical_agrees_with_best_of_n(count, n):
    q = count / count.sum()
    p = np.diff(np.append(0, np.cumsum(q)) ** n)
    with np.errstate(divide="ignore"):
        kl = pressure.kl_categorical(np.log(p), np.log(q))
    finite = pressure.kl_best_of_n_finite(q, n)
    np.testing.assert_allclose(finite, kl, rtol=1e-10, atol=1e-12)


def test_donsker_varadhan_holds_for_known_attacks():
    """Power is H_n - 1 for best-of-n and ln 1/q for a quantilizer."""
    n = np.arange(1, 1000)
    power = np.cumsum(1 / n) - 1
    bound = donsker_varadhan(power)
    assert (bound <= np.log(n) - (n - 1) / n + 1e-15).all()
    assert (np.diff(bound) > 0).all()
    q = np.geomspace(1e-9, 1, 999)
    assert (donsker_varadhan(-np.log(q)) <= -np.log(q)).all()


def test_donsker_varadhan_is_attained():
    """P = P_base(higher) with density a P^(a-1) has mean -ln P of 1/a."""
    a = np.array([0.1, 0.5, 1, 3])
    kl = np.log(a) + 1 / a - 1
    bound = donsker_varadhan(1 / a - 1)
    np.testing.assert_allclose(bound, kl, rtol=1e-12, atol=1e-15)


@exact
@given(hnp.arrays(int, (2, 6), elements=st.integers(1, 50)))
def test_donsker_varadhan_holds_for_any_attack(count):
    """A level with mass q and P above it has mean -ln P of [x - x ln x]/q."""
    p, q = count / count.sum(axis=1, keepdims=True)
    edge = np.append(np.cumsum(q[::-1])[::-1], 0)
    primitive = edge - special.xlogy(edge, edge)
    power = (p * -np.diff(primitive) / q).sum() - 1
    assert donsker_varadhan(power) <= stats.entropy(p, q) + 1e-12


def test_least_kl_on_an_even_grid():
    """Midpoints of [0, 1]: E e^(beta u) = e^(beta/2) sinh(beta/2)/(N sinh(beta/2N))."""
    beta = np.array([0.1, 1, 10, 100])
    half, cell = beta / 2, beta / (2 * len(GRID))
    log_mean = half + np.log(np.sinh(half) / (len(GRID) * np.sinh(cell)))
    mean = (1 + 1 / np.tanh(half) - 1 / (len(GRID) * np.tanh(cell))) / 2
    least = least_kl(mean, GRID)
    np.testing.assert_allclose(least.beta, beta, rtol=1e-8)
    np.testing.assert_allclose(least.kl, beta * mean - log_mean, rtol=1e-8)
    assert not least.censored.any()


def test_least_kl_of_a_coin():
    """The KL between coins, even where the mean is the largest of many ties."""
    mean = np.array([0.1, 0.2, 0.5, 1.0])
    least = least_kl(mean, np.repeat([0.0, 1.0], [90_000, 10_000]))
    kl = special.rel_entr(mean, 0.1) + special.rel_entr(1 - mean, 0.9)
    np.testing.assert_allclose(least.kl, kl, rtol=1e-10, atol=1e-12)
    assert not least.censored.any()


def test_least_kl_of_a_normal():
    """For N(0, 1) the KL is mean^2/2 and beta the mean.

    Standard error of ln E e^(beta x) by the delta method: sqrt((e^(beta^2) - 1)/N).
    """
    mean = np.array([0.25, 0.5, 1.0, 1.5])
    least = least_kl(mean, NORMAL)
    error = np.sqrt(np.expm1(mean**2) / len(NORMAL))
    assert (abs(least.kl - mean**2 / 2) < 5 * error).all()
    assert not least.censored.any()


@exact
@given(hnp.arrays(int, 120, elements=st.integers(1, 1000)))
def test_least_kl_is_below_any_reweighting_of_the_draws(count):
    weight = count / count.sum()
    kl = (weight * np.log(weight * 120)).sum()
    assert least_kl(weight @ NORMAL[:120], NORMAL[:120]).kl <= kl + 1e-12


def test_least_kl_is_censored_at_the_last_tilt_with_100_draws():
    def effective(beta):
        weight = np.exp(beta * NORMAL)
        return weight.sum() ** 2 / (weight**2).sum()

    mean = np.array([4.0, 4.5, 5.0, 100.0])
    least = least_kl(mean, NORMAL)
    assert least.censored.all()
    for beta in least.beta:
        assert effective(beta) >= 100 > effective(beta * (1 + 1e-6))
    log_mean = np.log(np.exp(least.beta[0] * NORMAL).mean())
    np.testing.assert_allclose(least.kl, least.beta * mean - log_mean, rtol=1e-10)


def test_least_kl_follows_the_units_of_the_proxy():
    mean = np.array([-1.0, 1.0, 1.5, 5.0])
    least = least_kl(mean, NORMAL)
    moved = least_kl(1000 * mean - 7, 1000 * NORMAL - 7)
    np.testing.assert_allclose(moved.kl, least.kl, rtol=1e-9)
    np.testing.assert_allclose(1000 * moved.beta, least.beta, rtol=1e-9)
    np.testing.assert_array_equal(moved.censored, least.censored)


def test_least_kl_of_a_mean_below_the_base_is_zero():
    least = least_kl(np.array([-1e9, -2.0, 0.0, 0.4]), GRID)
    assert (least.kl == 0).all()
    assert (least.beta == 0).all()
    assert not least.censored.any()


def test_least_kl_broadcasts():
    draws = np.stack([NORMAL[:500], 2 * NORMAL[:500]])
    with jax.numpy_rank_promotion("raise"):
        least = least_kl(np.array([[0.3, 0.6]] * 3), draws)
    assert least.kl.shape == least.beta.shape == least.censored.shape == (3, 2)
    np.testing.assert_allclose(least.kl, least.kl[0, 0], rtol=1e-12)
    np.testing.assert_allclose(least.beta[:, 0], 2 * least.beta[:, 1], rtol=1e-9)


def test_least_kl_needs_draws_that_differ():
    least = least_kl(np.ones(4), np.zeros(10**5))
    assert np.isnan(least.kl).all()
    assert least.censored.all()
    with pytest.raises(ValueError, match=r"shape \(99,\); pass at least 100"):
        least_kl(1.0, np.zeros(99))


CALLS = {
    "kl_best_of_n": [N],
    "kl_best_of_n_finite": [np.array([0.2, 0.5, 0.3]), N],
    "kl_best_of_n_estimate": [np.array([0, 1e-6, 0.1, 0.5, 1]), N],
    "chi2_best_of_n": [N],
    "tv_best_of_n": [N],
    "win_rate_best_of_n": [N],
    "kl_quantilizer": [1 / N],
    "chi2_quantilizer": [1 / N],
    "kl_best_of_poisson": [MU],
    "win_rate_best_of_poisson": [MU],
    "kl_gaussian": [np.array([[0.3, -1.0]]), np.array([0.5, 2.0])],
    "kl_categorical": [np.log([[0.5, 0.3, 0.2]]), np.log([0.25, 0.25, 0.5])],
    "donsker_varadhan": [np.array([0.0, 0.5, 3.0])],
    "least_kl": [np.array([0.6, 0.8]), GRID[::100]],
}


@pytest.mark.parametrize("name", CALLS)
def test_jitted_float64_and_plain_float32_agree(name):
    """Float32 sums of at most 1000 terms: rounding below 64 eps of the largest."""
    module = realised if name == "least_kl" else pressure
    function, args = getattr(module, name), CALLS[name]
    with jax.numpy_rank_promotion("raise"):
        double = jax.tree.leaves(jax.jit(function)(*args))
    jax.config.update("jax_enable_x64", False)
    single = jax.tree.leaves(function(*args))
    if name == "least_kl":
        double, single = double[:1], single[:1]  # beta is ill-determined: kl is flat
    eps = np.finfo(np.float32).eps
    for one, other in zip(single, double, strict=True):
        assert one.dtype == np.float32
        assert other.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=64 * eps, atol=64 * eps)
