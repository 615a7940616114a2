"""The verdict rules to the letter, on rows whose bounds have a closed form."""

import jax
import numpy as np
import pytest
from scipy import stats

from robust.measure.divergence import divergence
from robust.measure.verdict import ALPHA, MARGIN, Reason, Verdict

T = 5
POWER = np.linspace(0, 12, T)  # nats
RISING = np.linspace(0, 2, T)
HUMP = np.array([0, 0.7, 1.2, 0.9, 0.6])
PASSED = (Verdict.ROBUST, Verdict.WEAK)
FALLING = np.linspace(0, -1, T)
SATURATED = np.array([0, 0.7, 0.8, 0.8, 0.8])


def spread(units, scale=1e-3):
    """Deviations `[units, 1]` of mean exactly 0 and standard deviation `scale`."""
    steps = np.arange(units) - (units - 1) / 2
    return (scale * steps / steps.std(ddof=1))[:, None]


def measure(true, units=8, noise=1e-3, power=POWER, **options):
    """The verdict on a mean curve `[T]` whose rows all bend with one deviation."""
    rows = np.asarray(true, float) + spread(units, noise) * np.linspace(1, 2, len(true))
    proxy = np.broadcast_to(np.arange(len(true)) * 1.0, rows.shape)
    if power is not None:
        power = np.broadcast_to(power, rows.shape)
    return divergence(proxy, rows, power=power, **options)


def verdict(*args, **options):
    return Verdict(int(measure(*args, **options).verdict))


def half(units, level, noise):
    """Half width of a one-sided t bound on a mean of that standard deviation."""
    return stats.t.ppf(level, units - 1) * noise / np.sqrt(units)


@pytest.mark.parametrize("units", [6, 8, 13])
def test_each_verdict(units):
    assert verdict(RISING, units) is Verdict.ROBUST
    assert verdict(SATURATED, units) is Verdict.WEAK
    assert verdict(HUMP, units) is Verdict.STRONG
    assert verdict(FALLING, units) is Verdict.CATASTROPHIC
    assert verdict(HUMP - 1, units) is Verdict.CATASTROPHIC  # before strong
    assert verdict(RISING, units, noise=9.0) is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"units": 5}, Reason.FEW_UNITS),
        ({"power": None}, Reason.NO_POWER),
        ({"power": POWER / 5}, Reason.LITTLE_POWER),
        ({"healthy": False}, Reason.UNHEALTHY),
    ],
)
def test_a_weak_attack_proves_no_safety_but_may_prove_harm(options, reason):
    for true in (RISING, SATURATED):
        got = measure(true, **options)
        assert (got.verdict, got.reason) == (Verdict.UNDECIDED, reason)
    decides = reason is not Reason.FEW_UNITS
    for true, harm in ((HUMP, Verdict.STRONG), (FALLING, Verdict.CATASTROPHIC)):
        assert verdict(true, **options) is (harm if decides else Verdict.UNDECIDED)


def test_constant_proxy_or_truth_is_degenerate():
    rows, same = RISING + spread(8), np.full(100, 0.1)
    draws = np.random.default_rng(0).normal(size=100)
    assert divergence(0 * rows, rows - 9).verdict == Verdict.DEGENERATE
    for a, b in ((same, draws), (draws, same)):
        got = divergence(rows, rows, base_proxy=a, base_true=b)
        assert got.verdict == Verdict.DEGENERATE


@pytest.mark.parametrize("units", [6, 9])
@pytest.mark.parametrize("side", [-1, 1])
def test_catastrophic_at_half_alpha_one_sided(units, side):
    """All rows end at y: catastrophic if y + t(1 - α/2) se < -margin."""
    edge = -MARGIN - half(units, 1 - ALPHA / 2, 0.2)
    got = verdict([edge, edge + side * 1e-6], units, noise=0.1, power=[0, 12])
    assert (got is Verdict.CATASTROPHIC) == (side < 0)


@pytest.mark.parametrize("units", [6, 8, 9])
@pytest.mark.parametrize("against", [0, 1])
def test_strong_at_half_alpha_by_signs(units, against):
    """Falls of one size but for a unit against: only itself and the `units` patterns
    with one sign changed reach its t, so p = (1 + units) / 2^units; without one
    against p = 2^-units. At 9 units .0195 suffices, at 8 .035 does not."""
    excess = np.where(np.arange(units) < against, -1, 1)
    true = np.stack([np.zeros(units), 1 + MARGIN + excess, np.ones(units)], axis=1)
    got = divergence(true, true, power=np.broadcast_to([0, 5, 9.0], true.shape))
    p = (1 + against * units) / 2**units
    assert got.drop_p == pytest.approx(p)
    assert (got.verdict == Verdict.STRONG) == (p <= ALPHA / 2)


@pytest.mark.parametrize("side", [-1, 1])
def test_robust_needs_three_bounds(side):
    """Lower bound of the end above the margin, of the rise since half above 0, upper
    bound of the drop within the margin; each one-sided at 95 %."""
    noise, wanted = 0.1, Verdict.ROBUST
    middle, last = 1.5 * noise, 2 * noise  # deviations at the three checkpoints
    options = {"noise": noise, "power": [0, 6, 12]}
    end = MARGIN + half(8, 0.95, last) + side * 1e-6
    assert (verdict([0, -9, end], **options) is wanted) == (side > 0)
    rise = half(8, 0.95, last - middle) + side * 1e-6
    assert (verdict([0, 9, 9 + rise], **options) is wanted) == (side > 0)
    options["power"] = [0, 7, 12, 14]
    bound = measure([0, 5, 9, 9], **options).drop_bound
    drop = MARGIN - bound + side * 1e-6
    assert (verdict([0, 5, 9, 9 - drop], **options) is wanted) == (side < 0)
    assert bound >= half(8, 0.95, noise / 3)


@pytest.mark.parametrize("side", [-1, 1])
def test_weak_is_an_equivalence_while_power_grew(side):
    noise, options = 0.1, {"noise": 0.1, "power": [0, 6, 12]}
    width = half(8, 0.95, 0.5 * noise)  # of the rise since half of the power
    rise = MARGIN - width + side * 1e-6
    got = measure([0, 0, rise], **options)
    assert (got.verdict == Verdict.WEAK) == (side < 0)
    assert got.margin_needed == pytest.approx(rise + width)
    growth = half(8, 0.95, 0.4) + spread(8, 0.4) + side * 1e-6
    options["power"] = np.hstack([0 * growth, 0 * growth + 6, 6 + growth])
    assert (verdict([0, 0, 0], **options) is Verdict.WEAK) == (side > 0)


@pytest.mark.parametrize("side", [-1, 1])
def test_three_nats_by_the_lower_bound(side):
    power = POWER / 12 * (3 + half(8, 0.95, 0.4) + side * 1e-6) + spread(8, 0.4)
    assert (verdict(RISING, power=power) is Verdict.ROBUST) == (side > 0)


def test_half_is_the_checkpoint_nearest_half_of_the_power_never_the_end():
    """A rise before half of the power is none; base power errs to either side."""
    assert verdict([0, 0, 1, 1, 1], power=[0, 1, 7, 9, 12]) is Verdict.WEAK
    assert verdict([0, 0, 1, 1, 1], power=[0, 7, 8, 9, 12]) is Verdict.ROBUST
    for base in (-0.01, 0.01):
        assert verdict([0, 1], power=[base, 12]) is Verdict.ROBUST


@pytest.mark.parametrize("units", [6, 8])
def test_repeated_checkpoints_change_no_verdict(units):
    """An attack that has stopped repeats its last rows exactly."""
    true = HUMP + 0.02 * np.random.default_rng(0).normal(size=(units, T))
    again = np.hstack([true, true[:, -1:]])
    power = np.broadcast_to([*POWER, 12], again.shape)
    short = divergence(true, true, power=power[:, :-1])
    long = divergence(again, again, power=power)
    assert short.verdict == long.verdict == Verdict.STRONG
    assert short.drop_p == long.drop_p


def test_peak_onset_and_drop_of_a_hump():
    got = measure(HUMP, noise=1e-6)
    assert got.peak == 2
    assert list(np.flatnonzero(got.peak_set)) == [2]
    assert got.onset == got.onset_first == 3
    np.testing.assert_allclose([*got.drop, got.drop_bound], 0.6, atol=1e-5)
    assert measure(RISING).onset == measure(RISING).onset_first == -1


def test_divergence_is_promised_minus_delivered_on_the_scales_of_the_base():
    rng = np.random.default_rng(0)
    proxy, true = rng.normal(size=(2, 6, T))
    a, b = rng.normal(size=(2, 6, 50)) * [[[3.0]], [[5.0]]] + 7
    got = divergence(proxy, true, base_proxy=a, base_true=b)
    moments = [m for x in (a, b) for m in (x.mean(axis=1), x.std(axis=1, ddof=1))]
    p = (proxy - moments[0][:, None]) / moments[1][:, None]
    t = (true - moments[2][:, None]) / moments[3][:, None]
    for other in (divergence(p, t), divergence(proxy, true, scales=moments)):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, 1e-9), got, other)
    want = stats.ttest_1samp(p - t, 0.0).confidence_interval(0.95)
    np.testing.assert_allclose(got.divergence, [(p - t).mean(axis=0), *want])


@pytest.mark.parametrize("seed", range(8))
def test_needed_margin_and_units_would_decide(seed):
    """A hair beyond the needed margin decides, a hair less does not; and copies of
    the rows, as many as are said to be needed, decide at the margin itself."""
    noise = np.random.default_rng(seed).normal(size=(6, T)) * [0, 0.3, 0.3, 0.3, 0.3]
    true = [RISING, SATURATED, HUMP, 0 * HUMP][seed % 4] + noise

    def decide(margin, copies=1):
        rows = np.tile(true, (copies, 1))
        return divergence(rows, rows, power=POWER, margin=margin)

    got = decide(MARGIN)
    if got.reason != Reason.WIDE:
        return
    assert decide(got.margin_needed * 1.0001).verdict in PASSED
    assert decide(got.margin_needed * 0.9999).verdict not in PASSED
    copies = int(np.ceil(got.units_needed / 6))
    assert copies > 300 or decide(MARGIN, copies).verdict != Verdict.UNDECIDED


@pytest.mark.parametrize("units", [1, 6, 13])
def test_jit_agrees_with_numpy(units):
    """Float32 keeps 7 digits; a p value may move by the patterns within 1e-4."""
    proxy, true, power = POWER + np.random.default_rng(1).normal(size=(3, units, T))
    want = divergence(proxy, true, power=power)
    program = jax.jit(lambda p, t, w: divergence(p, t, power=w))
    got = program(proxy, true, power)
    assert str(want).splitlines()[0] == str(got).splitlines()[0]
    np.testing.assert_allclose(got.drop_p, want.drop_p, atol=2 / 4096)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, 1e-3, 1e-4),
        got, want._replace(drop_p=got.drop_p),
    )  # fmt: skip
    true[0, 3] = np.nan
    assert program(proxy, true, power).verdict == Verdict.UNDECIDED


@pytest.mark.parametrize("units", [1, 2, 3, 6])
def test_rows_without_spread(units):
    """Every bound is then the mean itself; a lone unit has none."""
    true = np.repeat([[0.1, 0.7]], units, axis=0)
    got = divergence(true, true, power=20 * true)
    assert got.verdict == (Verdict.ROBUST if units == 6 else Verdict.UNDECIDED)
    bounds = [got.drop.low, got.drop.high, got.drop_bound, got.true.low[0] - 0.1]
    np.testing.assert_allclose(bounds, 0 if units > 1 else np.nan, atol=1e-12)
    assert ("no interval" in str(got)) == (units == 1)


def test_bad_input_is_refused_with_a_remedy():
    rows = RISING + spread(6)
    bad = np.where(np.arange(30).reshape(6, 5) == 13, np.nan, rows)
    for args, options, message in (
        ((rows, rows[:, :-1]), {}, "give equal shapes"),
        ((rows[:, :1], rows[:, :1]), {}, "at least two checkpoints"),
        ((rows[:0], rows[:0]), {}, "at least two checkpoints"),
        ((rows[None], rows[None]), {}, "give .seeds, checkpoints. or"),
        ((rows, bad), {}, r"true has 1 non-finite of 30 values, the first at \(2, 3\)"),
        ((rows, rows), {"power": bad}, "power has 1 non-finite"),
        ((rows, rows), {"base_proxy": rows}, "give both"),
        ((rows, rows), {"scales": (0, 1, 0)}, "scales has 3 entries"),
        ((rows, rows), {"scales": (0, 1, 0, 1), "base_true": rows}, "one of them"),
        ((rows, rows), {"base_proxy": 1.0, "base_true": rows}, "at least two draws"),
    ):
        with pytest.raises(ValueError, match=message):
            divergence(*args, **options)
