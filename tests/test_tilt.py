"""Tilts and best-of-Poisson of banks: closed forms, enumeration, invariances."""

import itertools
import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from robust.measure.bank import best_of_n_curve
from robust.measure.poisson import best_of_poisson_curve, best_of_poisson_weights
from robust.measure.pressure import win_rate_best_of_poisson
from robust.measure.tilt import tilt_curve

exact = settings(derandomize=True, deadline=None, max_examples=60)
whole = st.integers(-9, 9)
banks = st.integers(2, 30).flatmap(
    lambda size: st.tuples(
        hnp.arrays(int, size, elements=whole), hnp.arrays(int, size, elements=whole)
    )
)

# KL of best-of-Poisson by mu: FORMULAS.
POISSON_KL = {
    0.5: 0.032982,
    1: 0.107154,
    2: 0.298724,
    5: 0.833449,
    10: 1.408032,
    20: 2.04703,
    50: 2.932226,
}


def normal_bank(groups, size, seed=0):
    """Proxy N(0, 1) in each group; true = 0.6 proxy + an independent normal."""
    proxy, noise = np.random.default_rng(seed).normal(size=(2, groups * size))
    return proxy, 0.6 * proxy + noise, np.repeat(np.arange(groups), size)


def test_normal_scores_shift_by_the_inverse_temperature():
    """Tilted N(0, 1) is N(s, 1): proxy s, true 0.6 s, KL s^2/2, ESS share exp(-s^2).

    Standard error over G independent prompts: sd over prompts / sqrt(G). The bias,
    of the order of exp(s^2)/N of a standard deviation, is 1e-3 at most: a quarter of
    a standard error.
    """
    strength = np.array([0.25, 0.5, 1.0])
    tilt = tilt_curve(*normal_bank(50, 4000), inverse_temperature=strength)
    wanted = [strength, 0.6 * strength, strength**2 / 2]
    found = [tilt.proxy_by_group, tilt.true_by_group, tilt.kl_by_group]
    for by_group, figures in zip(found, wanted, strict=True):
        error = by_group.std(axis=0, ddof=1) / np.sqrt(50)
        assert (np.abs(by_group.mean(axis=0) - figures) < 5 * error).all()
    np.testing.assert_allclose(tilt.ess_share, np.exp(-(strength**2)), rtol=0.02)


def test_order_statistics_of_normals_at_a_closed_form_horizon():
    """A bank of exact normal quantiles: exp(-s^2) = floor at s = sqrt(ln 1/floor).

    Beyond the outermost, at 4.9, lies P(N(2s, 1) > 4.9) = 6e-4 of what the ESS sums,
    which moves s by that over 2s, so by 4e-4.
    """
    scores = special.ndtri((np.arange(10**6) + 0.5) / 10**6)
    tilt = tilt_curve(scores, scores, floor=0.5)
    wanted = np.sqrt(np.log(2))
    np.testing.assert_allclose(tilt.horizon, wanted, rtol=6e-4)
    np.testing.assert_allclose(tilt.horizon_kl, np.log(2) / 2, rtol=1.2e-3)
    np.testing.assert_allclose(tilt.ess_share[-1], 0.5, rtol=1e-8)
    np.testing.assert_allclose(tilt.true.mean, tilt.inverse_temperature, atol=2e-4)
    assert not tilt.beyond.any()


@exact
@given(banks, st.floats(0, 4))
def test_one_group_by_direct_sums(bank, strength):
    proxy, true = bank
    tilt = tilt_curve(proxy, true, inverse_temperature=strength)
    std = stats.tstd(proxy) if np.ptp(proxy) else 1.0
    weight = [math.exp(strength * int(p) / std) for p in proxy]
    share = [w / math.fsum(weight) for w in weight]
    wanted = [
        math.fsum(s * math.log(len(share) * s) for s in share if s),
        math.fsum(s * p for s, p in zip(share, proxy, strict=True)),
        math.fsum(s * v for s, v in zip(share, true, strict=True)),
        1 / math.fsum(s * s for s in share),
    ]
    found = (
        tilt.kl_by_group, tilt.proxy_by_group, tilt.true_by_group, tilt.ess_by_group
    )  # fmt: skip
    np.testing.assert_allclose(np.ravel(found), wanted, rtol=1e-9, atol=1e-9)


def test_groups_of_unequal_size_are_tilted_apart_and_averaged():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 7, size=300)
    proxy, true = rng.normal(size=(2, 300))
    strength = np.array([0, 0.4, 2.0])
    tilt = tilt_curve(proxy, true, group, strength)
    variances = [proxy[group == g].var(ddof=1) for g in range(7)]
    np.testing.assert_allclose(tilt.proxy_std, np.sqrt(np.mean(variances)))
    for g in range(7):
        p, v = proxy[group == g], true[group == g]
        weight = special.softmax(np.outer(strength, p) / tilt.proxy_std, axis=1)
        np.testing.assert_allclose(tilt.true_by_group[g], weight @ v)
        np.testing.assert_allclose(tilt.ess_by_group[g], 1 / (weight**2).sum(axis=1))
    size = np.bincount(group)
    share = tilt.ess_by_group / size[:, None]
    np.testing.assert_allclose(tilt.ess_share, 1 / (1 / share).mean(axis=0))
    for mean, by_group in (
        (tilt.kl, tilt.kl_by_group),
        (tilt.proxy, tilt.proxy_by_group),
        (tilt.true, tilt.true_by_group),
    ):
        center, error = by_group.mean(axis=0), stats.sem(by_group)
        low, high = stats.t.interval(0.95, 6, center, np.maximum(error, 1e-300))
        np.testing.assert_allclose(mean, [center, low, high], atol=1e-12)


@exact
@given(banks, st.integers(1, 50), whole, whole, whole)
def test_affine_maps_pass_through(bank, a, b, c, d):
    proxy, true = bank
    strength = [0, 0.5, 3.0]
    tilt = tilt_curve(proxy, true, inverse_temperature=strength)
    moved = tilt_curve(a * proxy + b, c * true + d, inverse_temperature=strength)
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(moved.kl.mean, tilt.kl.mean, **close)
    np.testing.assert_allclose(moved.ess_share, tilt.ess_share, **close)
    np.testing.assert_allclose(moved.proxy.mean, a * tilt.proxy.mean + b, **close)
    np.testing.assert_allclose(moved.true.mean, c * tilt.true.mean + d, **close)
    np.testing.assert_allclose(moved.horizon, tilt.horizon, rtol=1e-6)


@exact
@given(banks)
def test_the_proxy_and_kl_never_fall_and_ess_never_rises(bank):
    tilt = tilt_curve(*bank, inverse_temperature=np.linspace(0, 9, 20))
    assert (np.diff(tilt.proxy.mean) >= -1e-12).all()
    assert (np.diff(tilt.kl.mean) >= -1e-12).all()
    assert (np.diff(tilt.ess_share) <= 1e-12).all()
    assert tilt.kl.mean[0] == 0
    assert tilt.ess_share[0] == 1


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1e100])
def test_scores_of_any_size(scale):
    proxy, true, group = normal_bank(5, 500)
    plain = tilt_curve(proxy, true, group)
    scaled = tilt_curve(scale * proxy, true, group)
    np.testing.assert_allclose(scaled.true.mean, plain.true.mean, rtol=1e-9)
    np.testing.assert_allclose(scaled.proxy.mean, scale * plain.proxy.mean, rtol=1e-9)
    offset = tilt_curve(proxy + 1e6, true, group)
    np.testing.assert_allclose(offset.true.mean, plain.true.mean, rtol=1e-6)
    with np.errstate(all="raise", under="ignore"):
        hard = tilt_curve(scale * proxy, true, group, inverse_temperature=1e4)
    best = best_of_n_curve(proxy, true, group, n=500)
    np.testing.assert_allclose(hard.true.mean, best.true)


def test_the_default_floor_and_what_lies_beyond():
    """A hundred effective answers, or half of a short prompt's, and no further."""
    for size, least in ((60, 30), (200, 100), (5000, 100)):
        tilt = tilt_curve(*normal_bank(1, size))
        np.testing.assert_allclose(tilt.ess_by_group[0, -1], least, rtol=1e-6)
    strength = tilt.horizon * np.array([0.99, 1.01])
    tilt = tilt_curve(*normal_bank(1, 5000), inverse_temperature=strength)
    np.testing.assert_array_equal(tilt.beyond, [False, True])
    assert tilt.ess_by_group[0, 0] > 100 > tilt.ess_by_group[0, 1]


def test_a_proxy_of_two_levels_has_no_horizon():
    """The top level, 40 of 100, always carries it: ESS goes to 40, KL to ln 2.5."""
    proxy = np.repeat([0.0, 1.0], [60, 40])
    tilt = tilt_curve(proxy, proxy, floor=0.05)
    assert tilt.horizon == tilt.horizon_kl == np.inf
    assert not tilt.beyond.any()
    np.testing.assert_allclose(tilt.ess_share[-1], 0.4, rtol=1e-5)
    np.testing.assert_allclose(tilt.kl.mean[-1], np.log(2.5), rtol=1e-5)


def test_a_constant_proxy_is_never_tilted():
    tilt = tilt_curve([0.1] * 4, [1, 2, 3, 6])
    np.testing.assert_array_equal(tilt.true.mean, np.full(65, 3.0))
    np.testing.assert_array_equal(tilt.kl.mean, np.zeros(65))
    assert np.isnan(tilt.true.low).all()


@pytest.mark.parametrize("mu", POISSON_KL)
def test_best_of_poisson_figures(mu):
    """Weights on two large banks have the KL of the continuum but for 1/N terms.

    The first of them, mu/2N as draws are without replacement, cancels between the
    two; those left are of the order of (mu/N)^2 ln N, 1e-6 at most. Expected uniform
    order statistics i/(N+1) make best-of-n n/(n+1) at every N, so the mean rank is
    E[u] exactly, 1 - 1/mu + (1 - e^-mu)/mu^2.
    """
    kl = []
    for size in (10**5, 2 * 10**5):
        weights = best_of_poisson_weights(mu, size)
        kl.append(special.xlogy(weights, size * weights).sum())
    np.testing.assert_allclose(2 * kl[1] - kl[0], POISSON_KL[mu], rtol=0, atol=2e-6)
    rank = weights @ np.arange(1, size + 1) / (size + 1)
    np.testing.assert_allclose(rank, 1 - 1 / mu - np.expm1(-mu) / mu**2, rtol=1e-10)
    np.testing.assert_allclose(win_rate_best_of_poisson(mu), rank, rtol=1e-6)
    curve = best_of_poisson_curve(np.arange(200), np.arange(200), mu=mu)
    np.testing.assert_allclose(curve.kl, POISSON_KL[mu], rtol=0, atol=1e-6)


def test_best_of_poisson_mixes_best_of_n():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(4), [40, 40, 55, 70])
    proxy, true = rng.integers(0, 12, size=(2, len(group)))  # with ties
    mu = np.array([0, 0.5, 3, 15])
    curve = best_of_poisson_curve(proxy, true, group, mu)
    each = best_of_n_curve(proxy, true, group, n=np.arange(1, 41))
    share = stats.poisson.pmf(np.arange(40)[:, None], mu)
    close = {"rtol": 1e-5}  # mu = 15 goes beyond 40 answers with probability 1.1e-7
    np.testing.assert_allclose(
        curve.proxy_by_group, each.proxy_by_group @ share, **close
    )
    np.testing.assert_allclose(curve.true_by_group, each.true_by_group @ share, **close)
    low, high = stats.t.interval(
        0.95, 3, curve.true_by_group.mean(axis=0), stats.sem(curve.true_by_group)
    )
    np.testing.assert_allclose(curve.true.low, low)
    np.testing.assert_allclose(curve.true.high, high)


def test_best_of_poisson_enumerates_subsets():
    """All subsets of 6 answers, ties broken at random, by their Poisson numbers."""
    proxy, true = [1, 2, 2, 5, 5, 5], [3, 0, 1, 7, -2, 4]
    mu, wanted = 0.05, 0.0
    for n in range(1, 7):
        mean = []
        for subset in itertools.combinations(range(6), n):
            top = max(proxy[i] for i in subset)
            mean.append(np.mean([true[i] for i in subset if proxy[i] == top]))
        wanted += stats.poisson.pmf(n - 1, mu) * np.mean(mean)
    curve = best_of_poisson_curve(proxy, true, mu=mu)
    np.testing.assert_allclose(curve.true.mean, wanted, rtol=1e-6)


def test_best_of_poisson_stays_near_the_tilt_of_its_mean_rank():
    """On uniform scores its KL is the least of that mean but for 5.2e-4 (mu = 5).

    Order statistics at i/(N+1) make its mean rank that of the continuum; midpoints
    do so for the tilt, but for 1/N^2 terms.
    """
    ranks = np.arange(1, 20001) / 20001
    poisson = best_of_poisson_curve(ranks, ranks, mu=[1, 5, 20])
    scores = (np.arange(5000) + 0.5) / 5000
    tilt = tilt_curve(scores, scores, inverse_temperature=np.linspace(0, 8, 3201))
    least = np.interp(poisson.proxy.mean, tilt.proxy.mean, tilt.kl.mean)
    gap = poisson.kl - least
    np.testing.assert_allclose(gap, [1.228e-4, 5.183e-4, 3.9e-6], atol=3e-6)


def test_the_default_mu():
    curve = best_of_poisson_curve(np.arange(40), np.arange(40))
    np.testing.assert_array_equal(curve.mu, [0, 0.5, 1, 2, 4, 8, 16])
    np.testing.assert_array_equal(best_of_poisson_curve([1, 2], [3, 4]).mu, [0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: tilt_curve([1, 2, 3], [1, 2, 3], [0, 0, 1]),
            "1 of 2 groups have a single answer; a tilt needs at least two: leave",
        ),
        (
            lambda: tilt_curve([1, 2], [1, 2], floor=0),
            r"floor is 0; pass a share of the answers, in \(0, 1\]",
        ),
        (
            lambda: tilt_curve([1, 2], [1, 2], inverse_temperature=[1, -2]),
            r"inverse_temperature holds -2\.0; pass one or a list of finite numbers, 0",
        ),
        (
            lambda: tilt_curve([1, 2], [1, 2], inverse_temperature=[]),
            r"inverse_temperature holds an array of shape \(0,\); pass one or a list",
        ),
        (
            lambda: best_of_poisson_curve([1, 2], [1, 2], mu=1),
            r"mu holds 1\.0; pass .* up to where 1 \+ Poisson\(mu\) exceeds 2, the",
        ),
        (
            lambda: best_of_poisson_curve([1, 2], [1, 2], mu=[0, np.nan]),
            "mu holds nan; pass one or a list of numbers from 0",
        ),
        (
            lambda: best_of_poisson_curve([1, np.inf], [1, 2]),
            "proxy has 1 non-finite scores, the first inf at index 1; drop",
        ),
    ],
)
def test_bad_input_gets_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
