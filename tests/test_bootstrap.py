"""Closed forms first; coverage and false alarms within 4 standard errors."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from robust.measure import bootstrap
from robust.measure.bootstrap import (
    bca_interval,
    half_width,
    max_t_quantile,
    max_t_test,
    sign_flips,
    t_interval,
    t_statistics,
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def flips_of(units):
    return np.asarray(sign_flips(units))


def correlated(rng, units, columns, rho=0.5):
    """Unit normals with correlation rho between columns, `[units, columns]`."""
    common = rng.normal(size=(units, 1))
    return np.sqrt(rho) * common + np.sqrt(1 - rho) * rng.normal(size=(units, columns))


def test_by_unit_averages_rows_in_order_of_unit():
    values = np.array([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    got = bootstrap.by_unit(values, [1, 0, 1, 1])
    np.testing.assert_array_equal(got, [[3, 4], [13 / 3, 16 / 3]])


def test_t_interval_agrees_with_scipy():
    values = normal(7, 3, 2)
    for coverage in (0.5, 0.95):
        got = t_interval(values, coverage)
        want = stats.ttest_1samp(values, 0.0).confidence_interval(coverage)
        np.testing.assert_allclose(got.mean, values.mean(axis=0))
        np.testing.assert_allclose((got.low, got.high), (want.low, want.high))


def test_one_unit_has_a_mean_and_no_bounds():
    got = t_interval(np.array([[1.0, 2.0]]))
    np.testing.assert_array_equal(got.mean, [1, 2])
    assert np.isnan([got.low, got.high]).all()


@pytest.mark.parametrize("units", [2, 6, 8, 16])
def test_t_interval_covers(units):
    """Share of 40,000 intervals that hold the mean: standard error
    sqrt(.95 · .05 / 40,000)."""
    got = t_interval(normal(units, 40_000, seed=units))
    hit = np.mean((got.low <= 0) & (got.high >= 0))
    assert abs(hit - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 40_000)


@pytest.mark.parametrize("units", [1, 2, 6, 12])
def test_few_units_take_every_sign_pattern_once(units):
    flips = sign_flips(units)
    assert (flips[0] == 1).all()
    want = set(itertools.product([1.0, -1.0], repeat=units))
    assert len(flips) == 2**units
    assert set(map(tuple, flips)) == want


def test_many_units_take_random_signs():
    """4,095 fair signs a unit: standard error of their mean 1 / sqrt(4,095)."""
    flips = flips_of(13)
    assert flips.shape == (4096, 13)
    assert (flips[0] == 1).all()
    assert set(np.unique(flips)) == {-1, 1}
    assert np.abs(flips[1:].mean(axis=0)).max() < 4 / np.sqrt(4095)
    assert (flips_of(13) == flips).all()
    assert (np.asarray(sign_flips(13, jax.random.key(1))) != flips).any()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_t_statistics_agree_with_scipy(scale):
    values, flips = 0.3 + normal(6, 4), flips_of(6)
    want = stats.ttest_1samp(flips[:, :, None] * values, 0.0, axis=1).statistic
    np.testing.assert_allclose(t_statistics(scale * values, flips), want, atol=1e-9)


def test_columns_without_spread_have_t_zero_or_infinite():
    values = np.repeat([[0.0, 0.1, -0.3]], 6, axis=0)
    np.testing.assert_array_equal(
        t_statistics(values, flips_of(6)[:1])[0], [0, np.inf, -np.inf]
    )


def brute_p(values):
    """Share of sign patterns whose largest t reaches the observed one."""
    flips = flips_of(len(values))
    null = stats.ttest_1samp(flips[:, :, None] * values, 0.0, axis=1).statistic
    return np.mean(null.max(axis=1) >= null[0].max() - 1e-9)


def test_p_value_by_enumeration():
    for seed in range(20):
        values = normal(6, 3, seed=seed)
        values = np.where(values.mean(axis=0) < 0, -values, values)
        assert max_t_test(values, flips_of(6)) == pytest.approx(brute_p(values))


@pytest.mark.parametrize("units", [2, 6, 8, 12])
def test_smallest_p_value_is_one_in_two_to_the_units(units):
    values = 1 + np.arange(units * 2.0).reshape(units, 2)
    flips = flips_of(units)
    assert max_t_test(values, flips) == 2.0**-units
    assert max_t_test(-values, flips) >= 0.5


@pytest.mark.parametrize("units", range(2, 13))
def test_column_without_spread_takes_part_in_nothing(units):
    """Two equal checkpoints give such a column; rounding must not give it a t."""
    values, flips = 0.5 + normal(units, 2, seed=units), flips_of(units)
    more = np.hstack([values, np.full((units, 1), -0.1)])
    assert max_t_test(more, flips) == max_t_test(values, flips)
    more = np.hstack([values, np.full((units, 2), [-0.1, 0.7])])
    assert max_t_quantile(more, flips) == max_t_quantile(values, flips)


def test_p_value_of_one_symmetric_column_is_uniform():
    """P(p <= k/64) = k/64 exactly at 6 units: standard error
    sqrt(p (1 - p) / 4,000)."""
    columns, flips = normal(4000, 6, 1), flips_of(6)
    p = np.array([max_t_test(column, flips) for column in columns])
    for level in np.array([1, 3, 8, 16]) / 64:
        error = np.sqrt(level * (1 - level) / 4000)
        assert abs(np.mean(p <= level) - level) < 4 * error


@pytest.mark.parametrize("mean", [0.0, [0, 0, 0, -1, -9]])
def test_false_alarms_with_dependent_columns(mean):
    """At most 5 % of 2,000 nulls have p <= .05: standard error
    sqrt(.05 · .95 / 2,000). Columns far below zero must not use up the level."""
    rng, flips = np.random.default_rng(1), flips_of(8)
    p = [max_t_test(mean + correlated(rng, 8, 5), flips) for _ in range(2000)]
    error = np.sqrt(0.05 * 0.95 / 2000)
    assert np.mean(np.array(p) <= 0.05) < 0.05 + 4 * error
    assert np.mean(np.array(p) <= 0.05) > 0.03 - 4 * error


def test_nan_is_no_evidence():
    values = 1 + np.arange(12.0).reshape(6, 2)
    values[0, 0] = np.nan
    assert max_t_test(values, flips_of(6)) == 1
    assert jax.jit(lambda v: max_t_test(v, flips_of(6)))(values) == 1


@pytest.mark.parametrize(("units", "count"), [(6, 2000), (8, 2000), (16, 500)])
@pytest.mark.parametrize("two_sided", [False, True])
def test_simultaneous_coverage(units, count, two_sided):
    """Five bounds at once hold in 95 % of draws: standard error
    sqrt(.95 · .05 / count)."""
    rng, flips = np.random.default_rng(units), flips_of(units)
    hits = []
    for _ in range(count):
        values = correlated(rng, units, 5)
        multiplier = max_t_quantile(values, flips, two_sided=two_sided)
        t = t_statistics(values, flips[:1])[0]
        hits.append((np.abs(t) if two_sided else t).max() <= multiplier)
    assert abs(np.mean(hits) - 0.95) < 4 * np.sqrt(0.95 * 0.05 / count)


@pytest.mark.parametrize("units", [2, 6, 16])
def test_multiplier_is_at_least_students_t(units):
    values, flips = normal(units, 1), flips_of(units)
    one, two = stats.t.ppf([0.95, 0.975], units - 1)
    assert max_t_quantile(values, flips) >= one
    assert max_t_quantile(values, flips, two_sided=True) >= two
    assert max_t_quantile(0 * values, flips) == pytest.approx(one)


def test_half_width_is_zero_without_spread_even_for_two_units():
    values = np.array([[1.0, 0.0], [3.0, 0.0]])
    np.testing.assert_array_equal(half_width(np.inf, values), [np.inf, 0])
    np.testing.assert_array_equal(half_width(2.0, values), [2.0, 0])


@pytest.mark.parametrize("units", [2, 6, 13])
def test_jit_agrees_with_numpy(units):
    """Float32 keeps 7 digits; the variance loses up to 2 by subtraction."""
    values, flips = 0.2 + normal(units, 4, seed=3), flips_of(units)

    def measure(values):
        p, multiplier = max_t_test(values, flips), max_t_quantile(values, flips)
        return t_interval(values), p, half_width(multiplier, values)

    jax.tree.map(
        lambda got, want: np.testing.assert_allclose(got, want, 1e-5),
        jax.jit(measure)(values), measure(values),
    )  # fmt: skip


def test_accelerators_multiply_in_full_precision():
    program = jax.make_jaxpr(t_statistics)(jnp.ones((6, 2)), jnp.ones((64, 6)))
    assert "HIGHEST" in str(program)


def ratio(values):
    return values[:, 0].mean() / values[:, 1].mean()


def lognormal(units, seed):
    z = normal(units, 2, seed=seed)
    return np.exp(np.stack([0.8 * z[:, 0], 0.4 * z[:, 0] + 0.5 * z[:, 1]], axis=1))


def test_bca_agrees_with_scipy_on_a_skewed_ratio():
    """The expansion for few units is plain BCa of a larger coverage.

    An end at level a is the a-quantile of B = 5,000 replicates, so it errs by
    sqrt(a (1 - a) / B) in level; both sides do."""
    reach = stats.t.ppf(0.975, 11) * np.sqrt(12 / 11)
    values, resamples = lognormal(12, 5), 5000
    bca = jax.jit(lambda v, k: bca_interval(ratio, v, k, resamples=resamples))
    got = bca(values, jax.random.key(0))
    want = stats.bootstrap(
        (values[:, 0], values[:, 1]),
        lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis),
        paired=True, n_resamples=resamples, rng=np.random.default_rng(0),
        confidence_level=2 * stats.norm.cdf(reach) - 1,
    )  # fmt: skip
    assert got.mean == pytest.approx(ratio(values), rel=1e-5)
    replicates = np.sort(want.bootstrap_distribution)
    for a, b in zip((got.low, got.high), want.confidence_interval, strict=True):
        level, other = np.searchsorted(replicates, [float(a), b]) / resamples
        error = np.sqrt(2 * other * (1 - other) / resamples)
        assert abs(level - other) < 4 * error + 2 / resamples


def test_bca_of_a_normal_mean_covers_as_derived():
    """Without skewness the bootstrap is a z interval with the standard deviation of
    the sample; expanded by t and sqrt(8/7) it covers .95, with standard error
    sqrt(.95 · .05 / 1,000). The last row has no spread and no width."""
    values = jnp.concatenate([normal(1000, 8), jnp.ones((1, 8))])
    keys = jax.random.split(jax.random.key(0), 1001)
    got = jax.jit(jax.vmap(lambda v, k: bca_interval(jnp.mean, v, k)))(values, keys)
    hit = np.mean((got.low[:-1] <= 0) & (got.high[:-1] >= 0))
    assert abs(hit - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 1000)
    assert (got.mean[-1], got.low[-1], got.high[-1]) == (1, 1, 1)
