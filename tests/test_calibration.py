"""What scores mean, and which Goodhart: planted relations are recovered."""

import itertools

import jax
import numpy as np
import pytest
from scipy import integrate, stats

from robust.measure import causes
from robust.measure.calibration import Calibration, calibrate, selected
from robust.measure.divergence import divergence
from robust.measure.realised import rank_nats
from robust.measure.verdict import Verdict

NOISE = 0.5
STD = np.sqrt(1 - 6 * 0.1 + 15 * 0.1**2 + NOISE**2)  # of the true value on the base
RHO = (1 - 3 * 0.1) / STD  # its correlation with the score


def meaning(score):
    """E[true | score], in base standard deviations: rises, bends and falls."""
    return (score - 0.1 * score**3) / STD


def judged(score, rng):
    return meaning(score) + NOISE / STD * rng.normal(size=score.shape)


def nats_of(score, rng):
    """On the power axis, by draws and the exact table of a normal score."""
    power = np.arange(1, 60) * np.log(2)
    table = (stats.norm.isf(np.exp(-power)), power, power)
    draws = stats.norm.isf((np.arange(100_000) + 0.5) / 100_000)
    return rank_nats(score, draws, rng.random(score.shape), table)


@pytest.fixture(scope="module")
def calibrated():
    """Base draws and particles above the levels of splitting, one Calibration."""
    rng = np.random.default_rng(0)
    above = np.repeat(np.arange(1, 58) * np.log(2), 3000)
    rarity = np.append(np.zeros(100_000), above) + rng.exponential(size=271_000)
    score = stats.norm.isf(np.exp(-rarity))
    nats, _ = nats_of(score, rng)
    return calibrate(nats, judged(score, rng), bins=128)


def test_bins_of_equal_count_by_hand():
    order = np.array([3, 0, 4, 1, 2])
    got = calibrate(np.arange(5.0)[order], np.array([1.0, 3, 2, 4, 9])[order], bins=2)
    np.testing.assert_allclose(got.nats, [0.5, 3])
    np.testing.assert_allclose(got.true, [2, 5])
    # Standard errors: sd / sqrt(count), sd with count - 1.
    np.testing.assert_allclose(got.error, [1, np.sqrt(13 / 3)])
    np.testing.assert_allclose(got(np.array([-1, 0.5, 1.75, 9])), [2, 2, 3.5, 5])


def test_too_few_inputs_are_refused():
    with pytest.raises(ValueError, match="got 31 judged inputs for 32 bins"):
        calibrate(np.zeros(31), np.zeros(31))


def test_a_planted_relation_is_recovered(calibrated):
    """128 bins against m at their mean rarity, m(r) = r - .1 r^3, to 38 nats: standard
    error of each as it says itself; a bin as wide as h nats bends by h² |m''| / 8."""
    inner = slice(8, -8)  # the outermost are wide
    nats, true, error = (column[inner] for column in calibrated)
    grid = np.linspace(nats[0], nats[-1], 2000)
    exact = meaning(stats.norm.isf(np.exp(-grid)))
    bend = np.abs(np.gradient(np.gradient(exact, grid), grid))
    allowed = np.interp(nats, grid, bend) * np.gradient(nats) ** 2 / 8
    off = np.abs(true - np.interp(nats, grid, exact))
    assert np.max((off - allowed) / error) < 4.5
    assert nats[-1] > 35


def best_of(n):
    return lambda rng, num: stats.norm.isf(-np.expm1(np.log(rng.random(num)) / n))


def quantilizer(q):
    return lambda rng, num: stats.norm.isf(q * rng.random(num))


def tilt(beta):
    """e^(beta r) times a standard normal density is a normal about beta."""
    return lambda rng, num: beta + rng.normal(size=num)


@pytest.mark.parametrize(
    "attack",
    [best_of(1), best_of(8), best_of(1000), quantilizer(0.2), quantilizer(1e-6),
     tilt(0.5), tilt(2.0), tilt(5.0)],
)  # fmt: skip
def test_selection_by_score_has_no_adversarial_part(attack, calibrated):
    """Standard error: sqrt(Var(expected - true) / K + sum w² e²), w the weight of
    each bin in the mean and e its error."""
    rng, num = np.random.default_rng(7), 20_000
    score = attack(rng, num)
    true = judged(score, rng)
    nats, beyond = nats_of(score, rng)
    expected = calibrated(nats)
    parts = causes.split(score, true, expected, beyond, RHO)
    unit = np.eye(len(calibrated.nats))
    weight = [np.interp(nats, calibrated.nats, row).mean() for row in unit]
    error = np.sqrt(
        np.var(expected - true) / num + np.sum((weight * calibrated.error) ** 2)
    )
    assert abs(parts.adversarial) < 4.5 * error
    assert parts.beyond < 1e-3
    assert parts.divergence == pytest.approx((score - true).mean())
    gaming = causes.split(score, true - 0.7, expected, beyond, RHO)
    planted = 0.7 * (1 - parts.beyond)
    assert gaming.adversarial == pytest.approx(parts.adversarial + planted)
    assert gaming.extremal == pytest.approx(parts.extremal)


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7)])
def test_causes_add_up_exactly(shape):
    rng = np.random.default_rng(0)
    proxy, true, expected = rng.normal(size=(3, *shape))
    beyond, rho = rng.random(shape) < 0.3, rng.normal(size=shape[:-1])
    got = causes.split(proxy, true, expected, beyond, rho)
    np.testing.assert_allclose(got.divergence, (proxy - true).mean(axis=-1))
    np.testing.assert_allclose(got.beyond, beyond.mean(axis=-1))
    none = causes.split(proxy, true, expected, np.ones(shape, bool), rho)
    np.testing.assert_array_equal(none.extremal, 0)
    np.testing.assert_array_equal(none.adversarial, 0)
    traced = jax.jit(causes.split)(proxy, true, expected, beyond, rho)
    for a, b in zip(traced, got, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_linear_relation_is_regressional_alone():
    proxy = np.linspace(-1, 5, 50)
    got = causes.split(proxy, 0.6 * proxy, 0.6 * proxy, proxy > 9, 0.6)
    np.testing.assert_allclose(got[:4], [0.4 * proxy.mean(), 0, 0, 0], atol=1e-12)


def test_last_resolved():
    assert causes.last_resolved(np.array([[0.0, 0.1, 0.2, 0.0]])) == 1
    assert causes.last_resolved(np.zeros((2, 4))) == 3


@pytest.mark.parametrize("power", [0.5, 2.0, 6.0])
def test_selected_integrates_over_the_exponential(power):
    """Linear m: exactly a + b (power + 1). The planted m by quadrature: chords h = .01
    nats long err by h² |m''| / 8, m'' below 2.1 from half a nat on."""
    line = Calibration(np.array([0.0, 300]), np.array([1.0, 61]), None)
    assert selected(line, power) == pytest.approx(1 + 0.2 * (power + 1))
    grid = np.linspace(0, 60, 6001)
    exact = Calibration(
        grid, meaning(stats.norm.isf(np.exp(-np.maximum(grid, 1e-9)))), 0
    )

    def integrand(nats):
        return np.exp(-nats) * meaning(stats.norm.isf(np.exp(-power - nats)))

    want = integrate.quad(integrand, 0, 40, epsabs=1e-12)[0]
    assert selected(exact, power) == pytest.approx(want, abs=2.6e-5)
    np.testing.assert_allclose(
        selected(exact, np.full((2, 3), power)), want, atol=2.6e-5
    )


@pytest.mark.parametrize("power", [0.0, 0.3, 4.0, 30.0, 100.0, 200.0])
def test_selected_is_exact_on_chords(power):
    """Few, wide, uneven bins to 150 nats: scipy's quadrature of the chords, split at
    their ends. Beyond the last bin the value there; two bins may have one rarity."""
    rng = np.random.default_rng(0)
    nats = np.sort(np.append(rng.exponential(size=15), 150 * rng.random(20)))
    chords = Calibration(np.append(nats, nats[-1]), rng.normal(size=36), None)
    cuts = np.unique(np.append(np.clip(nats - power, 0, 60), [0, 5, 15, 60]))
    want = sum(
        integrate.quad(lambda e: np.exp(-e) * chords(power + e), *cut, epsabs=1e-14)[0]
        for cut in itertools.pairwise(cuts)
    )
    assert selected(chords, power) == pytest.approx(want, abs=1e-10)
    traced = jax.jit(lambda c, p: selected(Calibration(*c, None), p))
    power = np.full((2, 3), power)
    np.testing.assert_allclose(traced(chords[:2], power), want, atol=1e-5)


def test_jit_agrees_with_numpy():
    """A running sum of 1,000 float32 values errs by 1,000 · 6e-8."""
    rng = np.random.default_rng(0)
    nats, true = rng.exponential(size=1001), rng.normal(size=1001)
    want = calibrate(nats, true)
    got = jax.jit(calibrate)(nats, true)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    at = np.linspace(-1, 9, 50)
    np.testing.assert_allclose(
        jax.jit(lambda nats: want(nats))(at), want(at), atol=1e-5
    )


def curve_of(proxy, worth=lambda value: value, seeds=8, num=1000, draws=20_000):
    """The best of n by a proxy of (value, noise), judged by worth: its Divergence."""
    rng, rows = np.random.default_rng(3), []
    for _ in range(seeds):
        value, noise = rng.normal(size=(2, draws))
        base, base_true = proxy(value, noise), worth(value)
        for n in (1, 4, 16, 64, 256):
            scores, true = rng.normal(size=(2, num, n))
            scores, true = proxy(scores, true), worth(scores)
            best = np.argmax(scores, axis=1)[:, None]
            scores, true = (
                np.take_along_axis(a, best, 1)[:, 0] for a in (scores, true)
            )
            nats, _ = rank_nats(scores, base, rng.random(num))
            rows.append((
                (scores.mean() - base.mean()) / base.std(ddof=1),
                (true.mean() - base_true.mean()) / base_true.std(ddof=1),
                nats.mean() - 1,
            ))  # fmt: skip
    columns = np.transpose(np.reshape(rows, (seeds, 5, 3)), (2, 0, 1))
    return divergence(columns[0], columns[1], power=columns[2])


def test_a_perfect_proxy_delivers_what_it_promises():
    got = curve_of(lambda true, noise: true)
    assert got.verdict == Verdict.ROBUST
    np.testing.assert_array_equal(got.divergence, 0)


def test_a_reversed_proxy_delivers_the_opposite():
    got = curve_of(lambda true, noise: -true)
    assert got.verdict == Verdict.CATASTROPHIC
    np.testing.assert_allclose(got.true.mean, -got.proxy.mean)
    np.testing.assert_allclose(got.divergence.mean, 2 * got.proxy.mean)


def test_a_shuffled_proxy_delivers_nothing():
    """A flat curve: each mean errs by 1 / sqrt(8 · 1,000) and by its base's mean,
    1 / sqrt(8 · 20,000)."""
    got = curve_of(lambda true, noise: noise)
    assert got.verdict == Verdict.WEAK
    assert np.abs(got.true.mean).max() < 4 * np.sqrt(1 / 8000 + 1 / 160_000)


def test_a_noisy_proxy_delivers_its_share():
    """E[true | proxy] has slope Var v / (Var v + Var n) = 1/2, so of the gain in
    standard deviations sqrt(1/2) is delivered; the rest of true has variance 1/2:
    standard error sqrt((1/2) / (8 · 1,000) + 1 / (8 · 20,000))."""
    got = curve_of(lambda true, noise: true + noise)
    assert got.verdict == Verdict.ROBUST
    off = got.true.mean - np.sqrt(0.5) * got.proxy.mean
    assert np.abs(off).max() < 4 * np.sqrt(0.5 / 8000 + 1 / 160_000)


def test_a_proxy_whose_meaning_bends_is_strong():
    """E[m(best of n)] by quadrature: the peak is at 16, 64 lies 0.19 below it.
    Standard error of each over the 8 seeds as measured, t with 7 degrees at 5e-5."""
    got = curve_of(lambda value, noise: value, meaning)
    scale = STD / np.sqrt(STD**2 - NOISE**2)  # this judge has no noise
    for t, n in enumerate((1, 4, 16, 64, 256)):
        want = integrate.quad(
            lambda r, n=n: n * stats.norm.cdf(r) ** (n - 1) * stats.norm.pdf(r)
            * meaning(r), -8, 9,
        )[0]  # fmt: skip
        error = (got.true.high[t] - got.true.mean[t]) / stats.t.ppf(0.975, 7)
        off = abs(got.true.mean[t] - scale * want)
        assert off < error * stats.t.isf(5e-5, 7)
    assert got.verdict == Verdict.STRONG
    assert (got.peak, got.onset) == (2, 3)
