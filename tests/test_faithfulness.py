"""Same-answer curves, their areas, base rates and swaps, against enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robust.measure.faithfulness import (
    area_over_curve,
    chance_agreement,
    means_by_unit,
    same_answer,
    swap_follow,
)

exact = settings(derandomize=True, deadline=None, max_examples=60)
answer = st.sampled_from(["a", "b", "c", None])
rows = st.lists(
    st.tuples(answer, answer, answer, st.integers(0, 3)), min_size=2, max_size=12
)


def columns(rows):
    return (np.array(column, object) for column in zip(*rows, strict=True))


def test_the_area_by_hand():
    """At 0, 1/2 and the whole: 1, 1, 1 has the area 1 and 0, 0, 1 has 1/4."""
    same = same_answer(["7", "x"], [["7", "7"], ["y", "z"]])
    np.testing.assert_array_equal(same, [[1, 1], [0, 0]])
    found = area_over_curve(same, [0, 0.5])
    np.testing.assert_allclose(found.by_chain, [0, 1 - 0.25])
    assert found.aoc == 0.375
    measured = area_over_curve(np.c_[same, [1, 0]], [0, 0.5, 1])
    np.testing.assert_allclose(measured.by_chain, [0, 1])  # not even the whole chain


@exact
@given(st.data())
def test_the_sum_over_lengths_is_the_mean_over_chains(data):
    """Σ_L share·(1 - area of L's mean curve), each length on its own fractions."""
    length = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=9))
    length = np.array(length)
    fraction = np.full((len(length), 4), np.nan)
    same = np.full((len(length), 4), np.nan)
    for row, steps in enumerate(length):
        fraction[row, :steps] = np.arange(steps) / steps
        same[row, :steps] = data.draw(
            st.lists(st.sampled_from([0, 1]), min_size=int(steps), max_size=int(steps))
        )
    found, total = area_over_curve(same, fraction, length), 0.0
    for at, steps in enumerate(found.length):
        here = length == steps
        curve = np.append(same[here, :steps].mean(axis=0), 1)
        area = np.trapezoid(curve, np.linspace(0, 1, steps + 1))
        np.testing.assert_allclose(found.area[at], area)
        total += here.mean() * (1 - area)
    np.testing.assert_allclose(found.aoc, total, atol=1e-12)
    np.testing.assert_allclose(found.by_chain.mean(), total, atol=1e-12)
    assert 0 <= found.aoc <= 1


def test_guessing_is_corrected_away():
    """Answers by coin without the chain: curve 1/2, 1/2, 1 with chance 1/2.

    All four pairs of a full answer and a guess are there once, so same and chance are
    exact: AOC (1 - 5/8), corrected (1 - 1/4).
    """
    full = np.array(["y", "y", "n", "n"])
    guess = np.array([["y", "y"], ["n", "n"], ["y", "y"], ["n", "n"]])
    same = same_answer(full, guess)
    chance = np.array([0.5, 0.5])
    found = area_over_curve(same, [0, 0.5], chance=chance)
    assert found.aoc == pytest.approx(1 - 5 / 8)
    assert found.corrected == pytest.approx(1 - 1 / 4)
    np.testing.assert_allclose(found.corrected_by_chain.mean(), found.corrected)
    assert np.isnan(area_over_curve(same, [0, 0.5]).corrected)


@exact
@given(rows)
def test_chance_is_the_rate_over_pairs_of_different_prompts(rows):
    full, *kinds, prompt = columns(rows)
    found = chance_agreement(full, np.stack(kinds, axis=1), prompt)
    for f, there in enumerate(kinds):
        pairs = [
            full[i] == there[j]
            for i in range(len(rows))
            for j in range(len(rows))
            if prompt[i] != prompt[j] and full[i] and there[j]
        ]
        np.testing.assert_allclose(found[f], np.mean(pairs) if pairs else np.nan)


@exact
@given(rows)
def test_swaps_against_enumeration(rows):
    swapped, donor, own, prompt = columns(rows)
    found = swap_follow(swapped, donor, own, prompt)
    follow, chance = [], []
    for i in range(len(rows)):
        others = [
            swapped[i] == donor[j]
            for j in range(len(rows))
            if prompt[j] != prompt[i] and donor[j] and donor[j] != own[i]
        ]
        known = swapped[i] and donor[i] and own[i] and donor[i] != own[i] and others
        follow.append(float(swapped[i] == donor[i]) if known else np.nan)
        chance.append(np.mean(others) if known else np.nan)
    np.testing.assert_allclose(found.by_chain, follow)
    np.testing.assert_allclose(found.chance_by_chain, chance)
    assert found.chains == np.sum(~np.isnan(follow))


def test_a_model_that_ignores_the_chain_follows_at_chance_0():
    own = np.arange(12) % 4
    donor = (own + 1) % 4
    ignoring = swap_follow(own, donor, own)
    assert (ignoring.rate, ignoring.chance) == (0, 0)
    following = swap_follow(donor, donor, own)
    assert following.rate == 1
    assert following.chance == pytest.approx(
        2 / 8
    )  # of 8 that could tell, own left out
    assert following.corrected == 1


def test_random_answers_follow_at_chance():
    """Uniform answers over K = 5: rate and chance 1/5, within 5 standard errors."""
    rng = np.random.default_rng(0)
    swapped, donor, own = rng.integers(0, 5, (3, 4000))
    found = swap_follow(swapped, donor, own)
    error = np.sqrt(0.2 * 0.8 / found.chains)
    assert abs(found.rate - found.chance) < 5 * error
    assert abs(found.chance - 0.2) < 0.02
    assert abs(found.corrected) < 7 * error
    assert abs(found.chains / 4000 - 0.8) < 0.04


def test_blind_spot_truncation_alone_says_ignored():
    """Answers known by heart and copied from any chain that is there."""
    own = np.arange(40) % 7
    donor = (own + 3) % 7
    same = same_answer(own, own[:, None])
    assert area_over_curve(same, [0]).aoc == 0
    assert swap_follow(donor, donor, own).rate == 1


def test_missing_answers_are_left_out_not_guessed():
    same = same_answer(["a", "b", None], [["a", None], ["b", "c"], ["a", "a"]])
    np.testing.assert_array_equal(same, [[1, np.nan], [1, 0], [np.nan, np.nan]])
    found = area_over_curve(same, [0, 0.5])
    assert found.chains == 1
    np.testing.assert_allclose(found.by_chain, [np.nan, 1 - 0.5, np.nan])
    assert np.isnan(area_over_curve(same[2:], [0, 0.5]).aoc)


def test_numbers_and_words_compare_by_value():
    np.testing.assert_array_equal(
        same_answer([1, 2], [[1.0], [np.nan]]), [[1], [np.nan]]
    )


def test_means_by_unit():
    values = [1, np.nan, 0, 0, np.nan]
    np.testing.assert_allclose(means_by_unit(values, list("bbbac")), [0, 0.5])
    assert means_by_unit([np.nan], ["a"]).shape == (0,)


@pytest.mark.parametrize("fraction", [[0.2, 0.5], [0, 0], [0, 1.2], [0.5, 0]])
def test_fractions_rise_from_0_to_1(fraction):
    with pytest.raises(ValueError, match="give them rising from 0"):
        area_over_curve(np.ones((3, 2)), fraction)
