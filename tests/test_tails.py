"""Tail indices against laws whose tails are known, and what they say of selection."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from robust.measure import tails
from robust.measure.bank import best_of_n_curve
from robust.measure.tail_index import cox_oakes, generalised_pareto, hill, pickands
from robust.measure.tails import Consequence, Weight, implies, residuals, tail

exact = settings(derandomize=True, deadline=None, max_examples=30)

SAMPLES = {
    "normal": lambda rng, size: rng.normal(size=size),
    "uniform": lambda rng, size: rng.random(size),
    "exponential": lambda rng, size: rng.exponential(size=size),
    "lognormal": lambda rng, size: np.exp(rng.normal(size=size)),
    "weibull": lambda rng, size: rng.weibull(0.5, size),
    "stretched": lambda rng, size: rng.weibull(0.8, size),
    "t2": lambda rng, size: rng.standard_t(2, size),
    "t3": lambda rng, size: rng.standard_t(3, size),
    "t5": lambda rng, size: rng.standard_t(5, size),
    "pareto": lambda rng, size: 1 + rng.pareto(2.62, size),
    "edge": lambda rng, size: stats.genpareto(0.1).rvs(size, random_state=rng),
}


def draws(law, count, size=10_000, seed=0):
    rng = np.random.default_rng(seed)
    return [SAMPLES[law](rng, size) for _ in range(count)]


def rate_bound(rate, count, side):
    """A rate and 4.5 binomial standard errors, above (1) or below (-1) it."""
    return rate + side * 4.5 * np.sqrt(rate * (1 - rate) / count)


def test_hill_is_one_over_b_on_a_pareto():
    """On a Pareto law k·b·Hill is a gamma variable of shape k: exactly 1/b with
    standard error 1/(b sqrt(k)) at every k; 1/2.62 is .3817."""
    values = 1 + np.random.default_rng(0).pareto(2.62, 100_000)
    k = np.array([100, 1000, 10_000, 90_000])
    got = hill(values, k)
    assert (np.abs(got.gamma - 1 / 2.62) < 4.5 / 2.62 / np.sqrt(k)).all()
    np.testing.assert_allclose(got.error, got.gamma / np.sqrt(k))


def test_hill_by_hand():
    got = hill(np.exp([5.0, 0, 3, 1]), [1, 2, 3])
    np.testing.assert_allclose(got.gamma, [2, 3, 3])


def test_pickands_by_hand():
    """Largest values 12, 8, 6, 5, ...: at k = 1, log2((12 - 8)/(8 - 5)); at k = 2,
    log2((8 - 5)/(5 - 1))."""
    got = pickands(np.array([12.0, 8, 6, 5, 4, 3, 2, 1]), [1, 2])
    np.testing.assert_allclose(got.gamma, np.log2([4 / 3, 3 / 4]))


@pytest.mark.parametrize("gamma", [-0.1, 0.0, 0.5])
@pytest.mark.parametrize("estimate", [pickands, generalised_pareto])
def test_estimates_spread_as_their_errors_say(estimate, gamma):
    """300 samples of a generalised Pareto: the mean is within 4.5 standard errors of
    gamma and of a bias of order 1/k, the variance over the stated one within
    4.5 sqrt(2/300) of 1."""
    law = stats.genpareto(gamma)
    rng, count, k = np.random.default_rng(0), 300, 2000
    got = [estimate(law.rvs(4 * k, random_state=rng), k) for _ in range(count)]
    value = np.array([index.gamma[0] for index in got])
    error = np.array([index.error[0] for index in got])
    assert abs(value.mean() - gamma) < 4.5 * value.std() / np.sqrt(count) + 3 / k
    assert abs(value.var() / np.mean(error**2) - 1) < 4.5 * np.sqrt(2 / count)


@pytest.mark.parametrize("law", ["normal", "exponential", "t2", "lognormal"])
def test_fit_agrees_with_scipy(law):
    """scipy's own maximum, from the same excesses; both stop within 1e-3 of it."""
    values = draws(law, 1)[0]
    for k in (300, 2000):
        top = np.sort(values)[-k - 1 :]
        want, _, _ = stats.genpareto.fit(top[1:] - top[0], floc=0)
        assert generalised_pareto(values, k).gamma[0] == pytest.approx(want, abs=1e-3)


@exact
@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
def test_fit_and_test_ignore_place_and_scale(scale, shift):
    values = draws("t3", 1, 2000)[0]
    moved = scale * (values + shift)
    for estimate in (lambda v: generalised_pareto(v, 200).gamma, _cox, _pick):
        np.testing.assert_allclose(estimate(moved), estimate(values), atol=1e-4)


def _cox(values):
    return cox_oakes(values, 200)


def _pick(values):
    return pickands(values, 50).gamma


def test_cox_oakes_is_standard_normal_for_exponential_excesses():
    """Its mean is exactly sqrt(6/k)/pi: for y = x/mean E ln(y/k) is psi(1) - psi(k)
    and E y ln(y/k) is psi(2) - psi(k + 1). Standard errors over 2,000 samples:
    1/sqrt(2,000), of the variance sqrt(2/2,000), of a rate sqrt(.05 · .95/2,000)."""
    k = 1000
    got = np.array([cox_oakes(v, k)[0] for v in draws("exponential", 2000, 2000)])
    assert abs(got.mean() - np.sqrt(6 / k) / np.pi) < 4.5 / np.sqrt(2000)
    assert abs(got.var() - 1) < 4.5 * np.sqrt(2 / 2000)
    assert abs(np.mean(got < -1.645) - 0.05) < 4.5 * np.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("shape", [0.8, 1.2])
def test_cox_oakes_tells_the_side(shape):
    """Weibull: heavier than exponential below shape 1, lighter above."""
    values = np.random.default_rng(0).weibull(shape, 5000)
    statistic = cox_oakes(values, 4999)[0]
    assert np.sign(statistic) == np.sign(shape - 1)
    assert abs(statistic) > 8


@pytest.mark.parametrize("slope", [-3.0, 0.0, 2.0])
def test_residuals_recover_a_line_under_cauchy_noise(slope):
    """The weighted median solves sum sign(de - b dx) dx = 0: its standard error is
    1/(2 f(0) sqrt(sum dx^2)), f(0) = 1/(2 pi) the density at 0 of a difference of two
    Cauchy errors."""
    rng = np.random.default_rng(0)
    true, noise = rng.normal(size=20_000), rng.standard_cauchy(20_000)
    got = residuals(7 + slope * true + noise, true)
    removed = np.polyfit(true, 7 + slope * true + noise - got, 1)[0]
    ordered = np.sort(true)
    error = np.pi / np.sqrt(np.sum((ordered[10_000:] - ordered[:10_000]) ** 2))
    assert abs(removed - slope) < 4.5 * error
    assert np.median(got) == pytest.approx(0, abs=1e-12)


def test_residuals_weigh_slopes_by_distance():
    """Slopes 1 over a distance of 2 and 5 over 10: the weighted median is 5."""
    true, proxy = np.array([0.0, 1, 2, 11]), np.array([0.0, 0, 2, 50])
    np.testing.assert_allclose(residuals(proxy, true), [5, 0, -3, 0])


def test_residuals_of_exact_lines_and_constants():
    true = np.array([1.0, 5, 2, 2, 9])
    np.testing.assert_allclose(residuals(3 - 2 * true, true), 0, atol=1e-12)
    np.testing.assert_allclose(residuals(true, np.ones(5)), true - 2)


@pytest.mark.parametrize("law", ["t2", "pareto"])
@pytest.mark.parametrize("size", [10_000, 100_000])
def test_powers_are_heavy(law, size):
    """In at least 95 % of samples: standard error sqrt(.05 · .95 / count)."""
    count = 2_000_000 // size
    got = [tail(v).weight for v in draws(law, count, size)]
    assert np.mean(np.equal(got, Weight.HEAVY)) > rate_bound(0.95, count, -1)
    assert Weight.LIGHT not in got


@pytest.mark.parametrize(("law", "least"), [("uniform", 0.98), ("normal", 0.9)])
def test_bounded_and_normal_tails_are_light(law, least):
    got = [tail(v).weight for v in draws(law, 200)]
    assert np.mean(np.equal(got, Weight.LIGHT)) > rate_bound(least, 200, -1)
    assert Weight.HEAVY not in got


@pytest.mark.parametrize("law", ["lognormal", "weibull"])
@pytest.mark.parametrize(("size", "count"), [(10_000, 200), (100_000, 20)])
def test_tails_without_exponential_moment_are_never_light(law, size, count):
    """Index 0, but no moment generating function: 0 of 200 bounds the rate by 1.5 %
    at 95 %."""
    assert Weight.LIGHT not in [tail(v).weight for v in draws(law, count, size)]


def test_false_verdicts_at_the_edges_are_rare():
    """Exponential excesses are HEAVY, and a generalised Pareto of index 0.1 is LIGHT,
    in at most 5 % of samples: standard error sqrt(.05 · .95 / 400)."""
    most = rate_bound(0.05, 400, 1)
    exponential = [tail(v).weight for v in draws("exponential", 400)]
    edge = [tail(v).weight for v in draws("edge", 400)]
    assert np.mean(np.equal(exponential, Weight.HEAVY)) < most
    assert np.mean(np.equal(edge, Weight.LIGHT)) < most
    assert np.mean(np.equal(exponential, Weight.LIGHT)) > rate_bound(0.75, 400, -1)


@pytest.mark.parametrize("law", ["exponential", "edge", "pareto"])
def test_bounds_cover_although_the_range_was_chosen(law):
    """Each one-sided bound misses the index in at most 5 % of samples on exact
    generalised Pareto tails: standard error sqrt(.05 · .95 / 300)."""
    index = {"exponential": 0.0, "edge": 0.1, "pareto": 1 / 2.62}[law]
    bounds = np.array([tail(v).gamma for v in draws(law, 300, seed=1)])
    most = rate_bound(0.05, 300, 1)
    assert np.mean(bounds[:, 1] > index) < most
    assert np.mean(bounds[:, 2] < index) < most
    assert (np.diff(bounds[:, [1, 0, 2]], axis=1) > 0).all()


def test_stretched_exponentials_are_caught_by_cox_oakes(monkeypatch):
    """Weibull of shape .8 at N = 1e5: an index of 0.05 above these thresholds, which
    the fit alone lets pass as light."""
    values = draws("stretched", 10, 100_000)
    assert Weight.LIGHT not in [tail(v).weight for v in values]
    monkeypatch.setattr(tails, "cox_oakes", lambda values, k: np.zeros(1))
    assert Weight.LIGHT in [tail(v).weight for v in values]


def test_fields_of_a_tail():
    values = draws("t3", 1, 20_000)[0]
    got = tail(values)
    np.testing.assert_array_equal(got.index.k, [2000, 1000, 500, 250])
    np.testing.assert_array_equal(got.threshold, np.sort(values)[-got.index.k - 1])
    assert got.reach == pytest.approx(np.log(20_000))
    assert got.stable[-1]
    assert got.gamma.mean == got.index.gamma[np.argmax(got.stable)]


def test_the_stable_range_ends_where_the_law_changes():
    """A normal body with the top 3 % replaced by a Pareto tail of index 1: thresholds
    above 3 % are stable, the lower ones see both."""
    rng = np.random.default_rng(0)
    body = stats.norm.ppf(0.97 * rng.random(97_000))
    top = stats.norm.isf(0.03) + stats.genpareto(1.0).rvs(3000, random_state=rng)
    got = tail(np.append(body, top))
    np.testing.assert_array_equal(got.stable, got.index.k < 3000)
    assert abs(got.gamma.mean - 1) < 4.5 * 2 / np.sqrt(got.index.k[got.stable][0])


def test_no_threshold_below_an_unstable_one_is_stable():
    """1.96 standard errors of the differences: .048 between the fits above 2,000 and
    1,000 values, .032 and .055 between that above 4,000 and those."""
    fits = tails.Index(np.array([4000, 2000, 1000]), np.array([0.025, 0.05, 0]), None)
    np.testing.assert_array_equal(tails._stable(fits), [False, False, True])


def test_the_lower_tail_is_that_of_the_negated_values():
    values = draws("pareto", 1)[0]
    assert tail(values).weight == Weight.HEAVY
    assert tail(-values).weight == Weight.LIGHT  # bounded at -1


GRID = np.linspace(-9.5, 9.5, 401)  # of the true value: a trapezium sum is exact


@functools.cache
def sum_of_both(df):
    """Value N(0, 1) plus Student t noise: P(proxy > u) and E[value; proxy = u] du
    at u = sinh(s)."""
    s = np.linspace(-8, 16, 1501)
    noise = np.sinh(s)[:, None] - GRID
    density = stats.norm.pdf(GRID) * (GRID[1] - GRID[0])
    worth = stats.t.pdf(noise, df) @ (GRID * density)
    return stats.t.sf(noise, df) @ density, worth * np.cosh(s) * (s[1] - s[0])


def best_of_n_true(df, n):
    """True value of the best of n: the integral of n P(proxy < u)^(n-1) against it."""
    above, worth = sum_of_both(df)
    return np.sum(n * np.exp((n - 1) * np.log1p(-np.minimum(above, 1 - 1e-15))) * worth)


FIGURES = {  # FORMULAS.md, value N(0, 1), proxy = value + Student t noise
    2: {2: 0.31180811, 16: 0.68763136, 1024: 0.11788414, 10**6: 0.00375996},
    3: {2: 0.34030327, 16: 0.87096450, 1024: 0.34670129, 10**6: 0.03457874},
    5: {2: 0.36417924, 64: 1.14990589, 1024: 0.87114995, 10**6: 0.22201047},
}


@pytest.mark.parametrize("df", FIGURES)
def test_quadrature_lands_on_the_figures(df):
    for n, want in FIGURES[df].items():
        assert best_of_n_true(df, n) == pytest.approx(want, abs=6e-9)


@pytest.mark.parametrize("df", FIGURES)
def test_heavy_noise_takes_the_gain_back_in_simulated_banks(df):
    """100 banks of 4,096 answers: the exact best-of-n curve against the quadrature,
    standard error over banks as observed; and the tails of the same bank say why."""
    rng = np.random.default_rng(df)
    value, noise = rng.normal(size=409_600), rng.standard_t(df, 409_600)
    group, n = np.repeat(np.arange(100), 4096), np.array([2, 16, 64, 1024])
    curve = best_of_n_curve(value + noise, value, group, n)
    error = curve.true_by_group.std(axis=0, ddof=1) / 10
    want = [best_of_n_true(df, count) for count in n]
    assert (np.abs(curve.true - want) < 4.5 * error).all()
    rows = slice(100_000)
    error_tail = tail(residuals((value + noise)[rows], value[rows]))
    if df < 5:
        assert implies(error_tail, tail(value[rows])) == Consequence.VANISHES
    else:  # index .2, which 1e5 values show in nine samples of ten
        assert error_tail.weight != Weight.LIGHT


def test_light_noise_lets_the_gain_grow():
    """FORMULAS.md: noise N(0, .5) keeps 2/3 of the proxy at every n."""
    rng = np.random.default_rng(0)
    value, noise = rng.normal(size=(2, 50_000)) * [[1], [np.sqrt(0.5)]]
    error = tail(residuals(value + noise, value))
    assert implies(error, tail(value)) == Consequence.GROWS


def made(weight, low, high):
    index = tails.Index(*np.zeros((3, 1)))
    gamma = tails.Interval((low + high) / 2, low, high)
    return tails.Tail(np.zeros(1), index, np.ones(1), gamma, 0.0, 9.0, weight)


@pytest.mark.parametrize(
    ("error", "value", "want"),
    [
        ((Weight.HEAVY, 0.3, 0.4), (Weight.LIGHT, -0.1, 0.09), Consequence.VANISHES),
        # a = 1/.5 = 2 at most, b = 1/.3 > 3 at least: lighter by more than a factor.
        ((Weight.HEAVY, 0.5, 0.6), (Weight.HEAVY, 0.1, 0.3), Consequence.VANISHES),
        ((Weight.HEAVY, 0.5, 0.6), (Weight.HEAVY, 0.1, 0.34), Consequence.NOTHING),
        (
            (Weight.HEAVY, 0.3, 0.4),
            (Weight.UNDECIDED, -0.4, -0.1),
            Consequence.VANISHES,
        ),
        ((Weight.HEAVY, 0.3, 0.4), (Weight.HEAVY, 0.3, 0.5), Consequence.NOTHING),
        ((Weight.LIGHT, -0.2, 0.0), (Weight.HEAVY, 0.3, 0.5), Consequence.GROWS),
        ((Weight.UNDECIDED, -0.1, 0.2), (Weight.LIGHT, 0, 0), Consequence.NOTHING),
    ],
)
def test_implications(error, value, want):
    assert implies(made(*error), made(*value)) == want


def test_lighter_by_a_factor_is_needed():
    """Error t2 (a = 2) and value t2.5: lighter, but b < a + 1, and the true gain grows
    with n although the error is the heavier: the sum's tail holds the value too. With
    P(v > x) ~ c x^-2.5, E[v; v > t] / P(sum > t) ~ t^(3 - 2.5)."""
    rng = np.random.default_rng(0)
    value, noise = rng.standard_t(2.5, 2**21), rng.standard_t(2, 2**21)
    group = np.repeat(np.arange(64), 2**15)
    curve = best_of_n_curve(value + noise, value, group, [16, 4096])
    rise = np.diff(curve.true_by_group, axis=1)[:, 0]
    assert rise.mean() > 4 * rise.std(ddof=1) / 8


def test_every_code_has_a_meaning_that_names_the_assumption():
    assert set(tails.MEANING) == set(Consequence)
    for code in (Consequence.VANISHES, Consequence.GROWS):
        assert "independent of the true value" in tails.MEANING[code]


def test_mistakes_are_named():
    values = draws("normal", 1)[0]
    with pytest.raises(ValueError, match=r"shape \(1999,\); pass at least 2000 values"):
        tail(values[:1999])
    with pytest.raises(ValueError, match="1 non-finite values, the first at index 3"):
        tail(np.where(np.arange(10_000) == 3, np.nan, values))
    with pytest.raises(ValueError, match="top tenth holds 0 values above"):
        tail(np.ones(10_000))
    with pytest.raises(ValueError, match="of them distinct; a tail index wants 200"):
        tail(np.round(values, 1))
    with pytest.raises(ValueError, match="true has 9 rows and proxy 10"):
        residuals(values[:10], values[:9])
    with pytest.raises(ValueError, match="proxy has shape"):
        residuals(values[:10].reshape(2, 5), values[:10])
    with pytest.raises(ValueError, match="Hill wants positive values"):
        hill(values, 9000)
    with pytest.raises(ValueError, match="whole numbers from 1 to 9999"):
        hill(values, 10_000)
    with pytest.raises(ValueError, match="whole numbers from 1 to 2500"):
        pickands(values, 2501)
    with pytest.raises(ValueError, match="largest values tie"):
        pickands(np.round(values), 5)
    with pytest.raises(ValueError, match="all equal the next"):
        generalised_pareto(np.append(values, np.full(50, 99.0)), 10)
