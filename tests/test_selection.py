"""Best-of-n as an attack on a bank: closed forms of power, spread and gains."""

import numpy as np
import pytest

from robust.measure.bank import best_of_n_curve
from robust.measure.bootstrap import t_interval
from robust.measure.selection import power_by_group, select_best
from robust.measure.spread import gains_by_group, within_spread, within_std
from robust.measure.verdict import Verdict
from robust.show.sentence import verdict_line

HARMONIC = np.append(0, np.cumsum(1 / np.arange(1, 1001)))


def bank(groups, size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=groups * size), np.repeat(np.arange(groups), size)


def test_power_of_scores_without_ties_is_harmonic():
    """H_n - 1 whatever the scores, for groups of unequal size too."""
    proxy, n = np.append(np.arange(1000.0), np.exp(np.arange(70))), [1, 2, 31, 70]
    power, ties = power_by_group(proxy, np.repeat([0, 1], [1000, 70]), np.array(n))
    assert ties == 0
    np.testing.assert_allclose(power, [HARMONIC[n] - 1] * 2, rtol=1e-12, atol=1e-12)
    assert power[0, 2] > 3 > HARMONIC[30] - 1


@pytest.mark.parametrize("top", [1, 3, 10, 100])
def test_power_ends_where_the_best_answers_tie(top):
    """With `top` of N at the best of two levels, power ends at H_N - H_top: ln N/top.

    A mean of H_N - H_j over j < top is H_N - H_top + 1. For smaller n all subsets of
    the upper level are missed with probability C(N - top, n)/C(N, n).
    """
    size, n = 1000, np.array([1, 2, 900 + top % 2])
    proxy = np.append(np.zeros(size - top), np.ones(top))
    power, ties = power_by_group(proxy, np.zeros(size, int), n)
    assert ties == (1 if top > 1 else 1 - 1 / size)
    miss = [np.prod((size - top - np.arange(k)) / (size - np.arange(k))) for k in n]
    high = HARMONIC[size] - HARMONIC[top]
    low = -top * high / (size - top)  # all surprise has mean 1, so power 0 at n = 1
    wanted = [high + p * (low - high) for p in miss]
    np.testing.assert_allclose(power[0], wanted, rtol=1e-9, atol=1e-9)


def test_a_constant_proxy_never_pushes():
    true, group = bank(8, 40)
    selection = select_best(np.full(320, 0.1), true, group)
    np.testing.assert_allclose(selection.power, 0, atol=1e-12)
    assert selection.divergence.verdict == Verdict.DEGENERATE
    assert "the proxy is the same for all answers" in verdict_line(selection)


def test_a_proxy_of_two_levels_is_not_called_weak():
    """It stops rising since its best answers tie; the true value is not to blame."""
    proxy, group = bank(40, 200)
    selection = select_best(proxy > 1, (proxy > 1) * 1.0, group)
    assert selection.divergence.verdict == Verdict.UNDECIDED
    assert selection.power[-1] < 2


def test_spread_within_groups():
    """Root of the mean of unbiased variances 1/2 and 2; offsets do not count."""
    group = np.array([0, 1, 0, 1])
    assert within_std(np.array([0.0, 1e6, 1.0, 1e6 + 2]), group) == np.sqrt(1.25)
    assert within_std(np.array([0.1, 0.7, 0.1, 0.7]), group) == 0
    for scale in (1e-200, 1e90):
        wide = within_std(scale * np.array([0.0, 3.0, 1.0, 5.0]), group)
        np.testing.assert_allclose(wide, scale * np.sqrt(1.25), rtol=1e-12)


def test_gains_are_free_of_difficulty_and_units():
    proxy, group = bank(30, 64)
    true = np.random.default_rng(1).normal(size=proxy.size) + proxy
    plain = select_best(proxy, true, group)
    offset = 50 * np.random.default_rng(2).normal(size=30)[group]
    moved = select_best(7 * proxy + offset, 3 * true - offset, group)
    for one, other in zip(plain.true_gain, moved.true_gain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    assert moved.divergence.verdict == plain.divergence.verdict == Verdict.ROBUST
    np.testing.assert_allclose(moved.true_std, 3 * plain.true_std, rtol=1e-9)


def test_the_order_of_rows_does_not_matter():
    proxy, group = bank(10, 32)
    proxy, true = np.round(proxy, 1), bank(10, 32, seed=1)[0]
    order = np.random.default_rng(0).permutation(len(proxy))
    one = select_best(proxy, true, group)
    other = select_best(proxy[order], true[order], group[order])
    np.testing.assert_allclose(one.true_gain.low, other.true_gain.low, rtol=1e-9)
    np.testing.assert_allclose(one.divergence.drop, other.divergence.drop, rtol=1e-4)
    assert one.ties == other.ties > 0


def test_many_groups_are_merged_for_the_verdict_only():
    """5,000 groups as 1,024 units: their means agree within 5 standard errors."""
    proxy, group = bank(5000, 32)
    selection = select_best(proxy, -proxy, group)
    assert selection.divergence.units == 1024
    assert selection.divergence.verdict == Verdict.CATASTROPHIC
    mean, low, high = selection.true_gain
    error = (high - low)[-1] / 2 / 1.96
    assert abs(selection.divergence.true.mean[-1] - mean[-1]) < 5 * error
    np.testing.assert_allclose(selection.curve.true, -selection.curve.proxy)


def test_what_would_have_decided_is_said_only_where_something_would():
    proxy, group = bank(8, 64)
    selection = select_best(proxy, bank(8, 64, seed=1)[0], group)
    found = selection.divergence._replace(margin_needed=0.25, units_needed=20)
    said = verdict_line(selection._replace(divergence=found))
    assert "0.25 sd or about 20 prompts instead of 8 would have decided" in said
    nothing = found._replace(margin_needed=np.inf, units_needed=0)
    said = verdict_line(selection._replace(divergence=nothing))
    assert said.endswith("the intervals are too wide for a margin of 0.10 sd")


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_gains_are_ratios_whose_scale_has_an_error_of_its_own(spread):
    """95 % intervals of best-of-4's gain where groups differ in noise: 400 banks.

    True value = p/2 + s e, ln s normal: the gain is E[max of 4]/2 over the root of
    1/4 + E[s²]. Coverage of 93 % at least, less 4 standard errors sqrt(.05 .95/400).
    Taking the scale as known covered 41 % at a spread of .5.
    """
    rng, groups, answers = np.random.default_rng(0), 50, 100
    group, held = np.repeat(np.arange(groups), answers), []
    expected = 1.029375373 / 2 / np.sqrt(0.25 + np.exp(2 * spread**2))
    for _ in range(400):
        noise = rng.lognormal(0, spread, groups)[group]
        proxy, error = rng.normal(size=(2, groups * answers))
        rows = best_of_n_curve(proxy, proxy / 2 + noise * error, group, n=[1, 4])
        spread_found = within_spread(proxy / 2 + noise * error, group)
        gains = t_interval(gains_by_group(rows.true_by_group, *spread_found))
        held.append(gains.low[1] <= expected <= gains.high[1])
    assert np.mean(held) > 0.93 - 4 * np.sqrt(0.05 * 0.95 / 400)


def test_contributions_average_to_the_ratio():
    rng = np.random.default_rng(3)
    proxy, true = rng.normal(size=(2, 60)) * np.repeat([1.0, 9.0, 2.0], 20)
    found = select_best(proxy, true, np.repeat([0, 1, 2], 20))
    ratio = np.diff(found.curve.true[[0, -1]]) / found.true_std
    np.testing.assert_allclose(found.true_gains.mean(axis=0)[-1], ratio[0])
    np.testing.assert_allclose(found.true_gain.mean[-1], ratio[0])
