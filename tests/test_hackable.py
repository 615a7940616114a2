"""Discordant pairs, correlation at the top, regret, and the strongest attack."""

import itertools

import numpy as np
import pytest

from robust.measure.hackable import at_power, discordant_pairs, regret, top_correlation
from robust.measure.strongest import strongest


def test_discordant_pairs_against_enumeration():
    rng = np.random.default_rng(0)
    for _ in range(50):
        proxy, true = rng.integers(0, 4, size=(2, 1, 6)).astype(float)
        count = sum(
            (proxy[0, i] - proxy[0, j]) * (true[0, i] - true[0, j]) < 0
            for i, j in itertools.combinations(range(6), 2)
        )
        assert discordant_pairs(proxy, true).discordant == pytest.approx(count / 15)


def test_a_planted_pair_is_shown_and_noise_is_not():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, 8, 4)) * 0.02
    means = np.array([[0.0, 1, 2, 3], [0.0, 1, 2, 1]])
    got = discordant_pairs(*(means[:, None] + noise))
    assert got.worst == (2, 3)
    assert got.shown == pytest.approx(1 / 6)
    flat = discordant_pairs(noise[0] + np.arange(4), noise[1])
    assert flat.shown == 0
    assert flat.worst == (-1, -1)
    assert 0.1 < flat.visible < 0.3


def test_false_pairs_are_rare():
    """Under equal true values 5 % of 1,000 draws may show a pair at margin 0; standard
    error .7 %. Proxies differ, so only the falls can err."""
    rng = np.random.default_rng(2)
    shown = 0
    for _ in range(1000):
        proxy = np.arange(5) + rng.normal(size=(8, 5)) * 0.1
        shown += discordant_pairs(proxy, rng.normal(size=(8, 5)), margin=0).shown > 0
    assert shown / 1000 < 0.05 + 4 * 0.007


def test_pairs_need_policies():
    with pytest.raises(ValueError, match="at least two policies"):
        discordant_pairs(np.zeros((3, 1)), np.zeros((3, 1)))


def test_top_correlation_of_a_normal_pair():
    """Above a threshold the proxy's variance shrinks to 1 - d, d = h (h - t) with h
    the inverse Mills ratio; the correlation is then rho s / sqrt(rho² s² + 1 - rho²).
    Standard error (1 - r²)/sqrt(count) at most; five are allowed."""
    from scipy import stats

    rng, rho, num = np.random.default_rng(3), 0.8, 400_000
    proxy = rng.normal(size=num)
    true = rho * proxy + np.sqrt(1 - rho**2) * rng.normal(size=num)
    shares = np.array([1.0, 0.1, 0.01])
    got = top_correlation(proxy, true, shares)
    for share, value in zip(shares, got, strict=True):
        cut = stats.norm.isf(share)
        mills = stats.norm.pdf(cut) / share
        spread = 1 - mills * (mills - cut) if share < 1 else 1.0
        want = rho * np.sqrt(spread / (rho**2 * spread + 1 - rho**2))
        assert abs(value - want) < 5 * (1 - want**2) / np.sqrt(share * num)
    both = top_correlation(np.stack([proxy, proxy]), np.stack([true, -true]), shares)
    np.testing.assert_allclose(both[0], -both[1])


def test_top_correlation_leaves_split_ties_and_constants_out():
    proxy = np.repeat([3.0, 2.0, 1.0], [20, 20, 60])
    true = np.random.default_rng(4).normal(size=100)
    got = top_correlation(proxy, true, [0.3, 0.5, 0.05, 1.0])
    assert np.isnan(got[[0, 2]]).all()
    assert got[1] == pytest.approx(np.corrcoef(proxy[:40], true[:40])[0, 1])
    assert np.isfinite(got[3])
    with pytest.raises(ValueError, match="share is"):
        top_correlation(proxy, true, 0)


def test_regret_is_what_the_judge_would_have_given():
    true = np.random.default_rng(5).normal(size=(10, 4))
    mean, low, high = regret(true, true + 1)
    np.testing.assert_allclose(mean, 1)
    np.testing.assert_allclose(high - low, 0, atol=1e-12)


def test_reading_at_another_power():
    true, power = np.array([[0.0, 2.0, 1.0]]), np.array([[0.0, 1.0, 3.0]])
    got = at_power(true, power, np.array([[0.5, 2.0, 3.5]]))
    np.testing.assert_allclose(got, [[1.0, 1.5, np.nan]])


class TestStrongest:
    def test_it_is_found_and_measured(self):
        rng = np.random.default_rng(6)
        weak = rng.normal(size=(16, 3)) * 0.1
        strong = rng.normal(size=(16, 4)) * 0.1 + np.array([0, 2, 1, 0.5])
        got = strongest([weak, strong])
        assert (got.index, got.checkpoint, got.units) == (1, 1, 8)
        assert got.drop.low < 1.5 < got.drop.high

    def test_picking_does_not_flatter(self):
        """Without any drop its mean over 4,000 draws is 0 within 4 errors of
        sqrt(2/4)/sqrt(4,000), where the half that picked sees much."""
        rng = np.random.default_rng(7)
        found = [
            strongest(list(rng.normal(size=(10, 8, 3)))) for _ in range(4000)
        ]  # fmt: skip
        drop = np.array([f.drop.mean for f in found])
        assert abs(drop.mean()) < 4 * np.sqrt(2 / 4) / np.sqrt(4000)
        assert np.mean([f.picked_drop for f in found]) > 1

    def test_units_must_agree(self):
        with pytest.raises(ValueError, match=r"have \[2, 3\] units"):
            strongest([np.zeros((2, 3)), np.zeros((3, 3))])
