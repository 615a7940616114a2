"""Integrals over what the score means: closed forms, scipy, and the real attacks."""

import functools

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from attacks import best_of_n, splitting
from robust import Target, gaussian, reference, run
from robust.measure import causes, conversions, policies, pressure, reweighting
from robust.measure.calibration import Calibration, calibrate

exact = settings(derandomize=True, deadline=None, max_examples=30)

NOISE = 0.5
STD = np.sqrt(1 - 6 * 0.1 + 15 * 0.1**2 + NOISE**2)  # of the true value on the base
CHORD = 1e-6  # bins lie .004 apart in the logit of the rank: h² |m''| / 8


def meaning(score):
    return score - 0.1 * score**3


def score_at(nats):
    """The score of a standard normal that is this rare, precise at both ends."""
    low, high = np.minimum(nats, 1), np.maximum(nats, 0.5)
    return np.where(
        nats < 0.7, stats.norm.ppf(-np.expm1(-low)), stats.norm.isf(np.exp(-high))
    )


GRID = np.logaddexp(0, np.arange(-30, 110, 0.004))
SCORE = Calibration(GRID, score_at(GRID), None)
TRUE = Calibration(GRID, meaning(SCORE.true), None)
COARSE = np.append(np.linspace(0.02, 3, 60), np.arange(3.2, 30, 0.3))


def expect(density, low, high, middle, of=meaning):
    """Mean over scores in units of the normal density, by adaptive quadrature."""
    parts = [(low, middle), (middle, high)]
    return sum(
        integrate.quad(
            lambda r: density(r) * stats.norm.pdf(r) * of(r), *part,
            epsabs=1e-12, epsrel=1e-12, limit=200,
        )[0]
        for part in parts
    )  # fmt: skip


def by_quadrature_n(n, of=meaning):
    middle = stats.norm.isf(1 / (n + 1))

    def density(r):
        return np.exp(np.log(n) + (n - 1) * stats.norm.logcdf(r))

    return expect(density, middle - 9, middle + 9, middle, of)


def by_quadrature_mu(mu, of=meaning):
    middle = stats.norm.isf(1 / (mu + 2))

    def density(r):
        return np.exp(np.log1p(mu * stats.norm.cdf(r)) - mu * stats.norm.sf(r))

    return expect(density, middle - 9, middle + 9, middle, of)


def truncated(q, of=None):
    """Mean of r and of r - .1 r^3 above the top share q: with h the inverse Mills
    ratio at a, E r = h and E r^3 = h (a^2 + 2)."""
    edge = stats.norm.isf(q)
    mills = np.exp(stats.norm.logpdf(edge) - stats.norm.logsf(edge))
    return mills, mills - 0.1 * mills * (edge**2 + 2)


def test_best_of_n_deep_into_the_tail():
    n = np.array([1, 1.3, 2, 16, 1e3, 1e6, 1e9, 1e12])
    got = policies.best_of_n(TRUE, n)
    np.testing.assert_allclose(got.true, list(map(by_quadrature_n, n)), atol=CHORD)
    assert (got.beyond < 1e-30).all()


def test_best_of_n_figures():
    """E max of n normals, and of a value with noise of variance 1/2 (FORMULAS)."""
    n = [2, 3, 4, 5, 8, 16, 64, 256, 1024, 65536, 1e6]
    most = [
        0.5641895835, 0.8462843753, 1.0293753730, 1.1629644736, 1.4236003060,
        1.7659913931, 2.3437334651, 2.8268632789, 3.2482396014, 4.2911293159,
        4.8628974862,
    ]  # fmt: skip
    np.testing.assert_allclose(policies.best_of_n(SCORE, n).true, most, atol=CHORD)
    value = SCORE._replace(true=SCORE.true * np.sqrt(1.5) * 2 / 3)
    noisy = [0.4606588660, 1.4419259344, 2.6521765286, 3.9705391709]
    got = policies.best_of_n(value, [2, 16, 1024, 1e6]).true
    np.testing.assert_allclose(got, noisy, atol=CHORD)


def test_best_of_poisson_deep_into_the_tail():
    mu = np.array([0, 0.3, 1, 15, 1e3, 1e6, 1e9, 1e12])
    got = policies.best_of_poisson(TRUE, mu)
    np.testing.assert_allclose(got.true, list(map(by_quadrature_mu, mu)), atol=CHORD)
    few = stats.poisson.pmf(np.arange(200), 15.0)
    mixed = few @ policies.best_of_n(TRUE, 1.0 + np.arange(200)).true
    assert got.true[3] == pytest.approx(mixed, abs=1e-12)


def test_quantilizer_deep_into_the_tail():
    q = np.exp([-0.1, -1, -10, -50, -90])
    for table, want in zip((SCORE, TRUE), truncated(q), strict=True):
        got = policies.quantilizer(table, q)
        np.testing.assert_allclose(got.true, want, atol=CHORD)
        np.testing.assert_allclose(got.beyond, np.exp(-GRID[-1]) / q)
    assert policies.quantilizer(TRUE, np.exp(-500)).beyond == 1


def test_tilt_is_a_normal_that_moved():
    """N(g, 1): gain g, KL g²/2, chi-squared e^(g²) - 1, E m = g - .1 (g³ + 3 g)."""
    g = np.array([0, 1e-3, 0.5, 1, 2, 4, 6])
    got = reweighting.tilt(TRUE, SCORE, g)
    np.testing.assert_allclose(got.proxy, g, atol=CHORD)
    np.testing.assert_allclose(got.true, g - 0.1 * (g**3 + 3 * g), atol=CHORD)
    np.testing.assert_allclose(got.kl, g**2 / 2, rtol=1e-6, atol=1e-12)
    # That of a gain of 6 is made at a score of 12 and above; the table ends at 14.6.
    np.testing.assert_allclose(
        got.chi2[:6], np.expm1(g[:6] ** 2), rtol=2e-6, atol=1e-12
    )
    for power, gain in zip(got.power, g, strict=True):
        tail = stats.norm(gain)
        rarity = integrate.quad(lambda r, t=tail: -t.pdf(r) * stats.norm.logsf(r),
                                gain - 9, gain + 9)[0]  # fmt: skip
        assert power == pytest.approx(rarity - 1, abs=CHORD)
    assert (got.beyond < 1e-12).all()


@exact
@given(st.floats(0, 0.9))
def test_tilt_of_an_exponential_score(beta):
    """Score = rarity: tilted, it is exponential with rate 1 - beta."""
    line = Calibration(np.array([0.0, 400]), np.array([0.0, 400]), None)
    got, mean = reweighting.tilt(line, line, beta), 1 / (1 - beta)
    np.testing.assert_allclose(got.power, mean - 1, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got.kl, mean - 1 - np.log(mean), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose([got.proxy, got.true], mean, rtol=1e-9)


@pytest.mark.parametrize("beta", [10, 1, 0.3, 0.01, 1e-6])
def test_pessimism_by_quadrature(beta):
    """lambda solves phi(l) - l Q(l) = beta; chi-squared + 1 is ((1 + l²) Q(l) -
    l phi(l)) / beta²."""

    def excess(level):
        return stats.norm.pdf(level) - level * stats.norm.sf(level) - beta

    level = optimize.brentq(excess, -20, 20, xtol=1e-14)

    def density(r):
        return max(r - level, 0) / beta

    low = max(level, -10)
    got = reweighting.pessimism(TRUE, SCORE, beta)
    for name, of in (
        ("proxy", lambda r: r),
        ("true", meaning),
        ("power", lambda r: -stats.norm.logsf(r) - 1),
        ("kl", lambda r: np.log(max(density(r), 1e-300))),
    ):
        want = expect(density, low, low + 25, low + 4, of)
        assert getattr(got, name) == pytest.approx(want, abs=CHORD)
    square = (1 + level**2) * stats.norm.sf(level) - level * stats.norm.pdf(level)
    assert got.chi2 == pytest.approx(square / beta**2 - 1, rel=CHORD)
    assert got.beyond < 1e-30


def table(seed, bins=40):
    rng = np.random.default_rng(seed)
    nats = np.sort(3 * rng.exponential(size=bins))
    return (
        Calibration(nats, rng.normal(size=bins), None),
        Calibration(nats, np.cumsum(rng.exponential(size=bins)), None),
    )


def over_rarity(density, knots, last):
    """Mean of several functions over a density on rarities, 0 to last and beyond."""
    cuts = np.union1d(np.clip(knots, 0, last), np.linspace(0, last, 40))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    width = np.diff(cuts)[:, None] / 2
    nats = (cuts[:-1, None] + width * (1 + nodes)).ravel()
    mass = (width * weights).ravel() * np.exp(-nats)
    nats, mass = np.append(nats, last), np.append(mass, np.exp(-last))
    return nats, mass * density(nats)


def continued(flat, growth):
    """Share beyond, with growth nats of density more on every nat."""
    if growth >= 1:
        return 1
    return 1 / (1 + (1 / flat - 1) * (1 - growth))


def pessimistic_shares(level, beta, score):
    """Shares over rarities, cut where the score passes the level."""
    kink = np.interp(level, score.true, score.nats, left=0)
    return over_rarity(
        lambda e: np.maximum(score(e) - level, 0) / beta,
        np.append(score.nats, kink), score.nats[-1],
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_integrals_of_chords_are_exact(seed):
    """Few, wide, uneven bins: the error left is that of rounding."""
    m, score = table(seed)
    last = m.nats[-1]
    for n in (1, 2, 8, 1e3, 1e5):
        nats, share = over_rarity(
            lambda e, n=n: n * (-np.expm1(-e)) ** (n - 1), m.nats, 60.0
        )
        got = policies.best_of_n(m, n)
        assert got.true == pytest.approx(share @ m(nats), abs=1e-9)
        assert got.beyond == pytest.approx(-np.expm1(n * np.log1p(-np.exp(-last))))
    for beta in (0.05, 0.4, 2.0):
        got = reweighting.tilt(m, score, beta)
        nats, share = over_rarity(lambda e, b=beta: np.exp(b * score(e)), m.nats, last)
        growth = beta * (score(last) - score(last - 1))
        check_chords(got, m, nats, share / share.sum(), growth)
    for beta in (0.01, 0.4, 2.0, 30.0):
        got = reweighting.pessimism(m, score, beta)
        level = optimize.brentq(
            lambda x, b=beta: pessimistic_shares(x, b, score)[1].sum() - 1,
            -60, score.true[-1], xtol=1e-13, rtol=1e-13,
        )  # fmt: skip
        growth = np.log((score(last) - level) / max(score(last - 1) - level, 1e-9))
        check_chords(got, m, *pessimistic_shares(level, beta, score), growth)


def check_chords(got, m, nats, share, growth):
    """The last node stands for all that lies beyond, a nat rarer on average."""
    assert got.true == pytest.approx(share @ m(nats), abs=1e-8)
    power = share @ nats + share[-1] - 1
    assert got.power == pytest.approx(power, abs=1e-8)
    assert got.beyond == pytest.approx(continued(share[-1], growth), abs=1e-8)


def test_what_lies_beyond_is_counted():
    """Cut off at L, the score is min(r, r_L): Z = e^(b²/2) Phi(r_L - b) + e^(b r_L)
    Q(r_L), of which the last term lies beyond."""
    edge = 4.0
    last = -stats.norm.logsf(edge)
    kept = last > GRID
    short = [
        Calibration(np.append(c.nats[kept], last), np.append(c.true[kept], end), None)
        for c, end in ((TRUE, meaning(edge)), (SCORE, edge))
    ]
    n = np.array([10, 1e3, 1e4, 1e6])
    got = policies.best_of_n(short[0], n).beyond
    np.testing.assert_allclose(got, -np.expm1(n * stats.norm.logcdf(edge)), rtol=1e-6)
    beta = np.array([1, 2, 3, 3.5, 4.5, 8])
    got = reweighting.tilt(*short, beta)
    inside = np.exp(beta**2 / 2) * stats.norm.cdf(edge - beta)
    rest = np.exp(beta * edge) * stats.norm.sf(edge)
    growth = beta * (edge - score_at(last - 1))
    want = [
        continued(*pair) for pair in zip(rest / (inside + rest), growth, strict=True)
    ]
    np.testing.assert_allclose(got.beyond, want, rtol=1e-5)
    # A normal score rises ever more slowly: uncut, somewhat less would lie beyond.
    uncut = stats.norm.sf(edge - beta)
    assert (got.beyond >= uncut).all()
    assert (got.beyond <= 1.6 * uncut).all()
    longer = reweighting.tilt(short[0], SCORE, beta)
    np.testing.assert_allclose(longer.true, got.true, atol=1e-5)
    greedy = reweighting.pessimism(*short, 1e-7)
    assert greedy.beyond > 0.9
    assert reweighting.pessimism(*short, 1.0).beyond < 1e-3


def test_policies_differ_at_equal_gain():
    """Where the tilt has lost 9 at a gain of 5, others lost 1.4 to 1.5 less: up to 1.6
    base standard deviations."""
    for gain, apart in ((1.0, 0.2), (3.0, 0.85), (5.0, 1.6)):
        n = np.exp(optimize.brentq(
            lambda x, g=gain: policies.best_of_n(SCORE, np.exp(x)).true - g, 0, 20
        ))  # fmt: skip
        q = optimize.brentq(lambda x, g=gain: truncated(np.exp(x))[0] - g, -30, -0.01)
        others = [
            policies.best_of_n(TRUE, n).true,
            policies.quantilizer(TRUE, np.exp(q)).true,
        ]
        want = [by_quadrature_n(n), truncated(np.exp(q))[1]]
        np.testing.assert_allclose(others, want, atol=2e-6)
        tilted = reweighting.tilt(TRUE, SCORE, gain).true
        assert (max(others) - tilted) / STD > apart


@exact
@given(st.floats(0.01, 20))
def test_each_policy_is_the_cheapest_by_its_own_measure(beta):
    """At equal gain no density has less KL than the tilt, nor less chi-squared than
    pessimism; and none has less KL than Donsker & Varadhan's bound at its power."""
    other = reweighting.pessimism(COARSE_TRUE, COARSE_SCORE, beta)
    tilted = reweighting.tilt(COARSE_TRUE, COARSE_SCORE, optimize.brentq(
        lambda x: reweighting.tilt(COARSE_TRUE, COARSE_SCORE, x).proxy - other.proxy,
        0, 8, xtol=1e-14, rtol=1e-14,
    ))  # fmt: skip
    assert other.proxy == pytest.approx(tilted.proxy, abs=1e-12)
    assert other.kl >= tilted.kl - 1e-12
    assert other.chi2 <= tilted.chi2 + 1e-12
    for got in (other, tilted):
        assert got.power <= conversions.most_power(got.kl) + 1e-12
        assert got.chi2 >= conversions.least_chi2(got.kl) - 1e-12


COARSE_SCORE = Calibration(COARSE, score_at(COARSE), None)
COARSE_TRUE = Calibration(COARSE, meaning(COARSE_SCORE.true), None)


def test_power_is_the_mean_rarity():
    line = Calibration(np.array([0.0, 80]), np.array([-1.0, 79]), None)
    n = np.array([[1, 2, 7.5], [1e3, 1e6, 1e12]])
    got = policies.best_of_n(line, n).true
    np.testing.assert_allclose(got, conversions.power_best_of_n(n), atol=1e-8)
    got = policies.best_of_poisson(line, n).true
    np.testing.assert_allclose(got, conversions.power_best_of_poisson(n), atol=1e-8)


def pessimistic(beta):
    """Rejection: above lambda, accepted by chance (r - lambda) / (9 - lambda)."""

    def draw(rng, num):
        level = optimize.brentq(
            lambda x: stats.norm.pdf(x) - x * stats.norm.sf(x) - beta, -20, 20
        )
        r = stats.norm.isf(stats.norm.sf(level) * rng.random(40 * num))
        accepted = r[rng.random(40 * num) * (9 - level) < r - level]
        assert len(accepted) >= num
        return accepted[:num]

    return draw


def poisson(mu):
    def draw(rng, num):
        n = 1 + rng.poisson(mu, num)
        return stats.norm.isf(-np.expm1(np.log(rng.random(num)) / n))

    return draw


@pytest.mark.parametrize(
    ("draw", "integrals"),
    [
        (poisson(0.7), lambda c: policies.best_of_poisson(c, 0.7)),
        (poisson(500), lambda c: policies.best_of_poisson(c, 500)),
        (lambda rng, num: 1.5 + rng.normal(size=num),
         lambda c: reweighting.tilt(c, SCORE, 1.5)),
        (lambda rng, num: 4 + rng.normal(size=num),
         lambda c: reweighting.tilt(c, SCORE, 4)),
        (pessimistic(1.0), lambda c: reweighting.pessimism(c, SCORE, 1.0)),
        (pessimistic(0.01), lambda c: reweighting.pessimism(c, SCORE, 0.01)),
    ],
)  # fmt: skip
def test_direct_sampling_lands_on_the_integrals(draw, integrals):
    """100,000 draws, standard errors of their means; and no adversarial part."""
    rng, num = np.random.default_rng(1), 100_000
    score = draw(rng, num)
    true = meaning(score) + NOISE * rng.normal(size=num)
    nats = -stats.norm.logsf(score)
    rarity = SCORE._replace(true=GRID)
    for table, values in ((SCORE, score), (TRUE, true), (rarity, nats)):
        off = values.mean() - integrals(table).true
        assert abs(off) < 4.5 * values.std() / np.sqrt(num)
    parts = causes.split(score, true, TRUE(nats), np.zeros(num, bool), 0.7)
    assert abs(parts.adversarial) < 4.5 * NOISE / np.sqrt(num)


def first(x):
    return x[:, 0]


def judge(x):
    return meaning(x[..., 0]) + NOISE * x[..., 1]


TARGET = Target(first, gaussian(2))


@functools.cache
def runs(key):
    """The real attacks: best-of-n to 256, and splitting to 11 nats."""
    return [
        run(attack, TARGET, jax.random.key(key), seeds=8, slots=1024, keep=1024)
        for attack in (best_of_n(256), splitting(16))
    ]


LIMIT = stats.t.isf(5e-5, 7)  # of a mean over 8 seeds, in its standard errors


def errors_from_zero(values):
    """How many standard errors over seeds the mean is from 0: `[S, ...]` to `[...]`."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return np.abs(values.mean(axis=0)) / error


def test_runs_of_best_of_n_land_on_the_integral():
    """Slots are independent: standard deviation over all / sqrt(8 · 1,024)."""
    trace, _ = runs(0)
    true, n = judge(trace.x), 2.0 ** np.arange(9)
    error = true.std(axis=(0, 2)) / np.sqrt(8 * 1024)
    want = policies.best_of_n(TRUE, n).true
    assert (np.abs(true.mean(axis=(0, 2)) - want) < 4.5 * error).all()


def test_runs_of_splitting_land_on_the_integral():
    """At each level the base given a score above it: a quantilizer. Particles depend
    on each other, so standard errors are over seeds."""
    _, trace = runs(0)
    q = stats.norm.sf(trace.info["level"][:, 1:].astype(float))
    want = policies.quantilizer(TRUE, q).true
    off = judge(trace.x)[:, 1:].mean(axis=2) - want
    assert (errors_from_zero(off) < LIMIT).all()


def test_a_measured_calibration_foretells_other_runs():
    """One calibration per seed, of base draws and splitting; other runs of best-of-n.
    Standard errors over seeds of both; chords between 64 bins bend by what they do on
    the exact m. And what the runs found has no adversarial part."""
    key, seeds = jax.random.key(5), 8
    draws = reference.draw(TARGET, key, seeds=seeds, num=2**15, judged=4096)
    shells = runs(1)[1]
    seen = reference.reference(draws, judge(draws.x), shells, judge(shells.x))
    base = seen.nats(seen.proxy[:, :4096], key)[0]
    nats = np.append(base, seen.nats(seen.shell_proxy, key)[0], axis=1)
    true = np.append(seen.true, seen.shell_true, axis=1)
    tables = [calibrate(*pair, bins=64) for pair in zip(nats, true, strict=True)]
    n = 2.0 ** np.arange(9)
    got = [policies.best_of_n(c, n) for c in tables]
    assert max(g.beyond.max() for g in got) < 0.01
    chords = tables[0]._replace(true=meaning(score_at(tables[0].nats)))
    bend = np.abs(policies.best_of_n(chords, n).true - policies.best_of_n(TRUE, n).true)
    assert bend.max() < 0.02
    trace = runs(0)[0]
    found = judge(trace.x).mean(axis=2)
    off = found - np.array([g.true for g in got])
    error = off.std(axis=0, ddof=1) / np.sqrt(seeds)
    assert (np.abs(off.mean(axis=0)) < LIMIT * error + bend).all()
    rarity, beyond = seen.nats(trace.proxy, key)
    means = np.stack([c(row) for c, row in zip(tables, rarity, strict=True)])
    parts = causes.split(trace.proxy, judge(trace.x), means, beyond, np.full((8, 1), 1))
    error = parts.adversarial.std(axis=0, ddof=1) / np.sqrt(seeds)
    assert (np.abs(parts.adversarial.mean(axis=0)) < LIMIT * error + bend).all()


@pytest.mark.parametrize(
    ("family", "curve", "least"),
    [("best_of_n", by_quadrature_n, 1), ("best_of_poisson", by_quadrature_mu, 0)],
)
def test_hedge_finds_the_peak(family, curve, least):
    """Against the largest value of scipy's integral, by a bounded search."""
    got = policies.hedge([COARSE_TRUE], family)
    peak = optimize.minimize_scalar(
        lambda x: -curve(np.exp(x) + least), bounds=(1, 5), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    assert got.interior
    assert np.log(got.n - least) == pytest.approx(peak.x, abs=0.01)
    assert got.true == pytest.approx(-peak.fun, abs=2e-3)
    assert np.isnan([got.low, got.high]).all()
    beyond = getattr(policies, family)(COARSE_TRUE, got.last).beyond
    assert beyond == pytest.approx(0.1)


def test_hedge_solves_khalafs_equation():
    """m = u - u^3 c: E under n u^(n-1) is n/(n+1) - c n/(n+3), whose peak in n solves
    (n+3)² = 3 c (n+1)²."""
    c = 0.9
    rank = 1 - np.exp(-GRID[::10])
    got = policies.hedge([Calibration(GRID[::10], rank - c * rank**3, None)])
    root = np.sqrt(3 * c)
    assert got.n == pytest.approx((3 - root) / (root - 1), rel=1e-3)


def test_hedge_at_the_ends():
    rises = [Calibration(COARSE, COARSE + shift, None) for shift in range(8)]
    got = policies.hedge(rises)
    assert not got.interior
    assert got.low == got.n == got.high == pytest.approx(got.last)
    falls = [Calibration(COARSE, shift - COARSE, None) for shift in range(8)]
    got = policies.hedge(falls, "best_of_poisson")
    assert got.interior
    assert got.n == got.low == got.high == 0
    flat = policies.hedge([Calibration(COARSE, 0 * COARSE, None)] * 4)
    assert (flat.n, flat.low, flat.interior) == (1, 1, True)
    assert flat.high == pytest.approx(flat.last)


def test_hedge_covers_the_best_n():
    """100 studies of 8 seeds: the set holds the true optimum in 95 %, or more as bounds
    hold for all pairs; standard error sqrt(.05 · .95 / 100)."""
    rng = np.random.default_rng(0)
    nats = np.append(np.linspace(0.05, 3, 12), np.arange(3.5, 20, 1.0))
    table = Calibration(nats, meaning(score_at(nats)), None)
    best, held, width = policies.hedge([table]).n, [], []
    for _ in range(100):
        noise = 0.1 * rng.normal(size=(8, len(nats)))
        got = policies.hedge([table._replace(true=table.true + e) for e in noise])
        held.append(got.low <= best <= got.high)
        width.append(np.log(got.high / got.low))
    assert np.mean(held) > 0.95 - 4 * np.sqrt(0.05 * 0.95 / 100)
    assert np.median(width) < 1.5  # a set of everything would hold it too


def test_mistakes_are_named():
    falling = SCORE._replace(true=-SCORE.true)
    for policy in (reweighting.tilt, reweighting.pessimism):
        with pytest.raises(ValueError, match="score falls in 34999 of 34999 steps"):
            policy(TRUE, falling, 1.0)
    with pytest.raises(ValueError, match="got no calibration"):
        policies.hedge([])
    with pytest.raises(ValueError, match="family is 'soft'; give one of"):
        policies.hedge([COARSE_TRUE], "soft")


def test_nan_is_not_lost():
    holed = COARSE_TRUE._replace(true=np.where(COARSE > 5, np.nan, COARSE_TRUE.true))
    assert np.isnan(policies.best_of_n(holed, 4.0).true)
    assert np.isnan(policies.quantilizer(holed, 0.1).true)
    assert np.isnan(reweighting.tilt(holed, COARSE_SCORE, 1.0).true)
    assert np.isnan(reweighting.pessimism(holed, COARSE_SCORE, 1.0).true)


CALLS = {
    "best_of_n": (1, [[1.0, 2, 64], [1e3, 1e6, 1e12]]),
    "best_of_poisson": (1, [[0.0, 2, 64], [1e3, 1e6, 1e12]]),
    "quantilizer": (1, [[1.0, 0.5, 1e-2], [1e-4, 1e-6, 1e-12]]),
    "tilt": (2, [[0.0, 0.5, 1], [2, 3, 4]]),
    "pessimism": (2, [[9.0, 1, 0.3], [0.1, 1e-2, 1e-3]]),
}


@pytest.mark.parametrize("name", CALLS)
def test_jit_agrees_with_numpy(name):
    """Float32: a sum of terms of either sign errs by 6e-8 of the largest, 15, each of
    about 2,000 times; divergences relative to their own size."""
    module = policies if hasattr(policies, name) else reweighting
    function, (tables, at) = getattr(module, name), CALLS[name]
    tables = (COARSE_TRUE[:2], COARSE_SCORE[:2])[:tables]

    def call(tables, at):
        return function(*(Calibration(*t, None) for t in tables), at)

    want = call(tables, np.array(at))
    got = jax.jit(call)(tables, np.array(at))
    for one, other in zip(got, want, strict=True):
        assert one.shape == other.shape == (2, 3)
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-5)
    scalar = call(tables, at[0][1])
    for one, other in zip(scalar, want, strict=True):
        np.testing.assert_allclose(one, other[0, 1])


def test_conversions_agree_with_integrated_divergences():
    """KL and chi-squared of the tilt of a normal: as `pressure` and `conversions`."""
    g = np.array([0.5, 1, 2])
    got = reweighting.tilt(TRUE, SCORE, g)
    np.testing.assert_allclose(got.kl, conversions.kl_of_gain(got.proxy), rtol=1e-5)
    np.testing.assert_allclose(got.kl, pressure.kl_gaussian(g[:, None], 1), rtol=1e-5)
