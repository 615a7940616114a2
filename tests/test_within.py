"""Rank agreement within prompts against scipy, scikit-learn and enumeration."""

import itertools

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from robust.measure.within import inversions, ranking_within

exact = settings(derandomize=True, deadline=None, max_examples=60)
few = st.integers(0, 4)  # few levels: most examples hold ties of every kind
banks = st.integers(1, 40).flatmap(
    lambda size: st.tuples(*(hnp.arrays(int, size, elements=few) for _ in range(3)))
)


def assert_close(actual, wanted):
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-12)


def enumerated(proxy, true):
    """P(the better of two answers has the higher proxy), pair by pair."""
    won = [
        0.5 * (1 + np.sign((p - q) * (v - w)))
        for (p, v), (q, w) in itertools.combinations(zip(proxy, true, strict=True), 2)
        if v != w
    ]
    return np.mean(won)


@exact
@given(banks)
def test_every_group_against_scipy_and_enumeration(bank):
    proxy, true, group = bank
    ranking = ranking_within(proxy, true, group)
    left_out = 0
    for row, label in enumerate(np.unique(group)):
        p, v = proxy[group == label], true[group == label]
        found = [
            by_group[row]
            for by_group in (
                ranking.concordance_by_group,
                ranking.kendall_by_group,
                ranking.spearman_by_group,
            )
        ]
        if np.ptp(p) == 0 or np.ptp(v) == 0:
            left_out += 1
            assert np.isnan(found).all()
            continue
        kendall, spearman = stats.kendalltau(p, v)[0], stats.spearmanr(p, v)[0]
        assert_close(found, [enumerated(p, v), kendall, spearman])
    assert ranking.groups_without == left_out
    assert ranking.groups + left_out == len(np.unique(group))


@exact
@given(banks)
def test_pooled_against_scipy_and_enumeration(bank):
    proxy, true, group = bank
    ranking = ranking_within(proxy, true, group)
    pooled = (
        ranking.pooled_concordance, ranking.pooled_kendall, ranking.pooled_spearman
    )  # fmt: skip
    if np.ptp(proxy) == 0 or np.ptp(true) == 0:
        assert np.isnan(pooled).all()
        return
    kendall, spearman = (
        stats.kendalltau(proxy, true)[0],
        stats.spearmanr(proxy, true)[0],
    )
    assert_close(pooled, [enumerated(proxy, true), kendall, spearman])


@pytest.mark.parametrize("size", [2, 3, 63, 64, 65, 5000])
def test_continuous_scores_against_scipy(size):
    true, noise = np.random.default_rng(size).normal(size=(2, size))
    ranking = ranking_within(true + noise, true)
    kendall = stats.kendalltau(true + noise, true)[0]
    assert_close(ranking.kendall_by_group, [kendall])
    assert_close(ranking.concordance_by_group, [(1 + kendall) / 2])
    assert_close(ranking.spearman_by_group, [stats.spearmanr(true + noise, true)[0]])


@pytest.mark.parametrize("decimals", [0, 1, 15])
def test_a_binary_true_value_gives_the_auroc(decimals):
    rng = np.random.default_rng(0)
    group, true = rng.integers(0, 20, size=600), rng.random(600) < 0.4
    proxy = np.round(true + rng.normal(size=600), decimals)
    ranking = ranking_within(proxy, true, group)
    wanted = [roc_auc_score(true[group == g], proxy[group == g]) for g in range(20)]
    assert_close(ranking.concordance_by_group, wanted)
    assert_close(ranking.pooled_concordance, roc_auc_score(true, proxy))


def test_inversions_by_counting_pairs():
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 8, 9, 100):
        order = rng.permuted(np.tile(np.arange(size), (5, 1)), axis=1)
        falling = np.triu(order[:, :, None] > order[:, None, :], 1)
        np.testing.assert_array_equal(inversions(order), falling.sum(axis=(1, 2)))


def test_inversions_of_a_million():
    """A reversed permutation has all its pairs, N (N - 1)/2; halves swapped N^2/4."""
    size = 10**6
    rising = np.arange(size)
    orders = np.stack([rising, rising[::-1], np.roll(rising, size // 2)])
    wanted = [0, size * (size - 1) // 2, (size // 2) ** 2]
    np.testing.assert_array_equal(inversions(orders), wanted)


def test_knowing_the_prompt_is_not_knowing_the_answer():
    """Proxy and true value share the difficulty only: 1/2 within, (1 + tau)/2 pooled.

    Pooled the two are normal with correlation r = d^2/(1 + d^2), d the sd of the
    difficulty, and tau = 2/pi arcsin r (Greiner). Its error: pairs of prompts, so
    that of Kendall's tau of the G difficulties at most, 2/3/sqrt(G) for independent
    scores (Kendall) and less under correlation; within, the t interval's.
    """
    rng, groups, d = np.random.default_rng(0), 2000, 2.0
    difficulty = np.repeat(d * rng.normal(size=groups), 16)
    proxy, true = difficulty + rng.normal(size=(2, len(difficulty)))
    ranking = ranking_within(proxy, true, np.repeat(np.arange(groups), 16))
    mean, low, high = ranking.concordance
    error = (high - low) / 2 / stats.t.ppf(0.975, groups - 1)
    assert abs(mean - 0.5) < 5 * error
    wanted = 0.5 + np.arcsin(d**2 / (1 + d**2)) / np.pi
    assert abs(ranking.pooled_concordance - wanted) < 5 * (2 / 3) / np.sqrt(groups) / 2
    assert ranking.pooled_concordance > high + 0.2


def test_intervals_are_t_intervals_over_the_groups_that_rank():
    rng = np.random.default_rng(1)
    group, (proxy, true) = np.arange(80) % 8, rng.normal(size=(2, 80))
    true[group == 3], proxy[group == 5] = 0.1, 0.1
    ranking = ranking_within(proxy, true, group)
    assert (ranking.groups, ranking.groups_without) == (6, 2)
    for name in ("concordance", "kendall", "spearman"):
        values = getattr(ranking, f"{name}_by_group")
        values = values[~np.isnan(values)]
        low, high = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))
        np.testing.assert_allclose(getattr(ranking, name), [values.mean(), low, high])


@exact
@given(banks)
def test_only_ranks_count_and_a_reversed_proxy_reverses(bank):
    proxy, true, group = bank
    ranking = ranking_within(proxy, true, group)
    moved = ranking_within(np.exp(proxy), true**3.0, group)
    reversed_ = ranking_within(-proxy, true, group)
    for one, other in zip(ranking[-3:], moved[-3:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert_close(
        ranking.concordance_by_group, 1 - np.array(reversed_.concordance_by_group)
    )
    assert_close(ranking.kendall_by_group, -np.array(reversed_.kendall_by_group))


def test_above_a_million_the_pooled_figures_are_of_a_random_million():
    """Standard error of the concordance at most 1/(2 sqrt(2^20)); sizes unequal."""
    rng = np.random.default_rng(0)
    true, noise = rng.normal(size=(2, 1_300_000))
    group = np.minimum(np.arange(len(true)) // 1000, 1200)
    ranking = ranking_within(true + noise, true, group)
    wanted = 0.5 + np.arcsin(np.sqrt(0.5)) / np.pi
    assert abs(ranking.pooled_concordance - wanted) < 5 / 2 / 2**10
    assert abs(ranking.concordance.mean - wanted) < 5 / 2 / 2**10
    assert ranking.groups == 1201


def test_nothing_to_rank():
    ranking = ranking_within([1, 1, 2], [3, 4, 5], ["a", "a", "b"])
    assert (ranking.groups, ranking.groups_without) == (0, 2)
    assert np.isnan(ranking.concordance).all()
    assert_close(ranking.pooled_concordance, (0.5 + 1 + 1) / 3)
    with pytest.raises(ValueError, match="true has 1 rows and proxy 2; pass one of"):
        ranking_within([1, 2], [1])
