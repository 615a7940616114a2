"""How lucky the base would have had to be: closed forms of pressure's `rank_nats`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

from robust.measure.realised import rank_nats

GRID = 20_000
V = (np.arange(GRID) + 0.5) / GRID  # V integrated by the midpoint rule
EMPTY = (np.zeros(0),) * 3


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def normal_grid(num):
    """Base scores in their most regular order: nats of the k-th from the top ln N/k."""
    return stats.norm.isf((np.arange(num) + 0.5) / num)


def normal_table(deepest=60):
    """The exact table of a standard normal score, levels ln 2 nats apart."""
    power = np.arange(1, 1 + deepest / np.log(2)) * np.log(2)
    return stats.norm.isf(np.exp(-power)), power, power


def score_at(nats):
    return stats.norm.isf(np.exp(-np.asarray(nats, float)))


def harmonic(n):
    return special.digamma(n + 1) + np.euler_gamma


def test_fresh_base_draws_are_exponential():
    """The rank of a fresh draw is exactly uniform on 0..N, so nats are Exp(1) up to
    ln(N + 1). Mean of 1,000 runs of 100: standard error 1 / sqrt(100,000)."""
    rng = np.random.default_rng(0)
    nats = np.concatenate([
        rank_nats(rng.normal(size=100), rng.normal(size=2000), rng.random(100))[0]
        for _ in range(1000)
    ])  # fmt: skip
    assert abs(nats.mean() - (1 - 1 / 2001)) < 4 / np.sqrt(1e5)
    assert stats.kstest(nats, stats.expon.cdf).pvalue > 1e-4
    assert nats.max() <= np.log(2001) + 1e-9


def exact_mean(chance, draws):
    """E nats where the number of draws above is binomial(draws, u) and u has density
    `chance`; E_V ln(a + V) = (a + 1) ln(a + 1) - a ln a - 1."""
    a = np.arange(draws + 1)
    log = special.xlogy(a + 1, a + 1) - special.xlogy(a, a) - 1
    log[0] = 0  # beyond all draws V = 1
    return np.log(draws + 1) - chance(a) @ log


@pytest.mark.parametrize("n", [1, 2, 4, 16, 64])
def test_power_of_best_of_n(n):
    """The count of draws above the best of n is beta-binomial (N, 1, n): its mean of
    nats is exact at N = 500 and tends to H_n. Standard error: standard deviation of
    the means of 400 independent runs / sqrt(400)."""
    rng = np.random.default_rng(n)
    runs = [
        rank_nats(
            rng.normal(size=(50, n)).max(axis=1), rng.normal(size=500), rng.random(50)
        )[0].mean()
        for _ in range(400)
    ]
    want = exact_mean(lambda a: stats.betabinom.pmf(a, 500, 1, n), 500)
    assert abs(np.mean(runs) - want) < 4 * np.std(runs) / np.sqrt(400)
    many = 200_000
    limit = exact_mean(lambda a: stats.betabinom.pmf(a, many, 1, n), many)
    assert limit == pytest.approx(harmonic(n), abs=n * 20 / many)


@pytest.mark.parametrize("q", [0.5, 0.1, 0.01])
def test_power_of_a_quantilizer(q):
    """Scores above the base's top share q: ln 1/q + Exp(1). Standard error
    1 / sqrt(M) by M candidates, sqrt((1 - q) / (q N)) by N draws."""
    rng, num, draws = np.random.default_rng(0), 50_000, 200_000
    scores = stats.norm.isf(q * rng.random(num))
    base = rng.normal(size=draws)
    nats, beyond = rank_nats(scores, base, rng.random(num))
    error = np.sqrt(1 / num + (1 - q) / (q * draws))
    assert abs(nats.mean() - 1 - np.log(1 / q)) < 4 * error
    np.testing.assert_array_equal(beyond, scores > base.max())


@pytest.mark.parametrize(
    "rise", [np.exp, np.cbrt, np.arctan, lambda x: 1e6 * x - 7, lambda x: x + x**3]
)
def test_increasing_maps_change_nothing(rise):
    scores, draws, uniform = 2 + normal(500), normal(5000, seed=1), V[:500]
    want = rank_nats(scores, draws, uniform)
    np.testing.assert_array_equal(rank_nats(rise(scores), rise(draws), uniform), want)
    level, power, tie = normal_table(20)
    uniform = uniform[: len(level)]
    want, _ = rank_nats(level, draws, uniform, (level, power, tie))
    got, _ = rank_nats(rise(level), rise(draws), uniform, (rise(level), power, tie))
    np.testing.assert_allclose(np.diff(got)[8:], np.diff(want)[8:])
    # Only the handover lies between two levels, ln 2 apart.
    assert np.abs(got - want).max() < np.log(2)


def test_integer_scores_by_enumeration():
    """Atoms of the base p_k: nats are -ln(P(>k) + V p_k), whose mean over base draws
    is 1 whatever the p_k."""
    counts = np.array([40, 1, 0, 300, 17, 2, 140]) * 100
    draws, total = np.repeat(np.arange(7), counts), counts.sum()
    means = []
    for k in range(7):
        nats, beyond = rank_nats(np.full(GRID, k), draws, V)
        above = counts[k + 1 :].sum()
        share = (above + V * (counts[k] + 1)) / (total + 1)
        np.testing.assert_allclose(nats, -np.log(share))
        assert not beyond.any()
        means.append(nats.mean())
    # V p counts the candidate too: the mean is off by 1 / N an atom, best of 4 by 4.
    assert counts @ means / total == pytest.approx(1, abs=8 / total + 1 / GRID)
    best = np.cumsum(counts / total) ** 4 - (np.cumsum(counts) - counts) ** 4 / total**4

    def rank_density(u):
        return 4 * (1 - u) ** 3

    atoms = np.append(np.cumsum(counts[::-1])[::-1], 0) / total
    want = 0
    for k in np.flatnonzero(counts):
        inside = integrate.quad(rank_density, atoms[k + 1], atoms[k])[0]
        assert inside == pytest.approx(best[k])
        want += inside * np.mean(-np.log(atoms[k + 1] + V * counts[k] / total))
    assert best @ means == pytest.approx(want, abs=4 * 8 / total)


def test_deep_scores_read_from_the_table():
    """Between levels h apart the chord of a convex curve errs by h² r' / 8 at most,
    r' <= 1 the slope of the normal's hazard; the draws' top 100 by 1 in 100."""
    table, depth = normal_table(), np.linspace(8, 60, 400)
    nats, beyond = rank_nats(score_at(depth), normal_grid(100_000), V[:400], table)
    widest = np.diff(table[0][10:]).max()
    assert np.abs(nats - depth).max() < widest**2 / 8 + 0.01
    assert (np.diff(nats) > 0).all()
    np.testing.assert_array_equal(beyond, score_at(depth) > table[0][-1])
    deeper = rank_nats(score_at([61.0, 300]), normal_grid(100_000), V[:2], table)
    np.testing.assert_allclose(deeper[0], table[1][-1], atol=0.01)
    assert deeper[1].all()


@pytest.mark.parametrize("num", [100, 150, 250, 10_000])
def test_draws_and_table_agree_where_they_meet(num):
    """Few draws hand over at the first level: the shift errs by one draw of those
    above the handover, 1 in 50 at least, and by half a draw of rounding."""
    table, depth = normal_table(), np.array([10.0, 30, 59])
    nats, _ = rank_nats(score_at(depth), normal_grid(num), V[:3], table)
    np.testing.assert_allclose(nats, depth, atol=2 / 50 + 0.02)


def test_handover_is_continuous():
    """A step of one in the 100 draws above moves -ln P by 1 in 100, V by as much."""
    draws, table = normal_grid(10_000), normal_table()
    near = np.linspace(draws[103], draws[96], 500)
    for value in (0.01, 0.5, 0.99):
        nats, _ = rank_nats(near, draws, np.full(500, value), table)
        assert np.abs(np.diff(nats)).max() < 0.021
        np.testing.assert_allclose(nats, -stats.norm.logsf(near), atol=0.02)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_atoms_of_the_table(value):
    """Geometric scores, P(>= k) = e^(-k c): on a level -ln(P(>) + V P(=))."""
    c, k = 0.5, np.arange(1, 80)
    share = np.exp(-c * np.arange(41))
    draws = np.repeat(np.arange(40), np.round(-1e6 * np.diff(share)).astype(int))
    nats, beyond = rank_nats(
        1.0 * k, draws, np.full(79, value), (1.0 * k, c * (k + 1), c * k)
    )
    want = c * (k + 1) - np.log1p(value * np.expm1(c))
    np.testing.assert_allclose(nats, want, atol=0.02)
    assert not beyond.any()


def test_beyond_all_draws_is_at_least():
    nats, beyond = rank_nats(np.array([0.5, 1.5, 9]), np.arange(2.0), V[:3])
    np.testing.assert_array_equal(beyond, [False, True, True])
    np.testing.assert_allclose(nats[1:], np.log(3))
    short = (
        np.array([-1.0]),
        np.array([0.2]),
        np.array([0.2]),
    )  # ends before the draws
    for table in (None, EMPTY, short):
        again = rank_nats(np.array([0.5, 1.5, 9]), np.arange(2.0), V[:3], table)
        np.testing.assert_array_equal(again, (nats, beyond))


def test_non_finite_scores_lie_below_every_draw():
    bad = np.array([np.nan, np.inf, -np.inf])
    nats, beyond = rank_nats(bad, normal(1000), np.full(3, 0.5), normal_table())
    np.testing.assert_allclose(nats, -np.log(1000.5 / 1001))
    assert not beyond.any()


def test_constant_proxy_is_as_ordinary_as_can_be():
    """One atom: nats -ln V, mean 1. Splitting never passed a level there."""
    table = (np.full(3, -np.inf), np.zeros(3), np.zeros(3))
    nats, beyond = rank_nats(np.zeros(GRID), np.zeros(1000), V, table)
    np.testing.assert_allclose(nats, -np.log(V))
    assert not beyond.any()


@pytest.mark.parametrize("table", [None, normal_table()])
def test_jit_agrees_with_numpy(table):
    """Float32 holds a score to 1e-7 of itself, which 12 nats per unit turn to 1e-5."""
    scores, draws = np.linspace(-3, 12, 300), normal(3000)
    want = rank_nats(scores, draws, V[:300], table)
    got = jax.jit(rank_nats)(scores, draws, V[:300], table)
    assert isinstance(got[0], jnp.ndarray)
    np.testing.assert_allclose(got[0], want[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(got[1], want[1])
