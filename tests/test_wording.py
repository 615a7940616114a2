"""n-grams and lengths by hand, their properties and blind spots."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from robust.measure.wording import characters, distinct, divergence, unseen, words

exact = settings(derandomize=True, deadline=None, max_examples=60)
texts = st.lists(st.text("abc ", max_size=12), min_size=1, max_size=4)


def test_lengths():
    np.testing.assert_array_equal(characters(["", "a b", "né"]), [0, 3, 2])
    np.testing.assert_array_equal(words(["", " a  b\n c", "né"]), [0, 3, 1])


def test_divergence_by_hand():
    """p = (1/2, 1/2, 0), q = (0, 1/2, 1/2): half of each is apart, so 1/2 bit."""
    assert divergence(["ab"], ["bc"], n=1) == pytest.approx(0.5)
    assert divergence(["a b"], ["b c"], n=1, unit="word") == pytest.approx(0.5)
    assert divergence(["a b c"], ["a b c", "a b c"], 2, "word") == 0
    assert np.isnan(divergence(["a"], ["abc"], n=2))


@exact
@given(texts, texts, st.integers(1, 3))
def test_divergence_is_symmetric_bounded_and_as_scipy(one, other, n):
    found = divergence(one, other, n)
    np.testing.assert_allclose(found, divergence(other, one, n), atol=1e-12)
    grams = [
        [t[i : i + n] for t in side for i in range(len(t) - n + 1)]
        for side in (one, other)
    ]
    if not all(grams):
        assert np.isnan(found)
        return
    support = sorted({*grams[0], *grams[1]})
    counts = [[side.count(gram) for gram in support] for side in grams]
    np.testing.assert_allclose(found, jensenshannon(*counts, base=2) ** 2, atol=1e-9)
    assert (found > 1 - 1e-12) == (not {*grams[0]} & {*grams[1]})


def test_unseen_by_hand():
    np.testing.assert_allclose(
        unseen(["abc", "abd", "xy", "a"], ["zabc"], n=2), [0, 0.5, 1, np.nan]
    )
    np.testing.assert_allclose(unseen(["a b c"], ["b c a"], 2, "word"), [0.5])


def test_distinct_by_hand():
    np.testing.assert_allclose(distinct(["a a b", "a", ""]), [2 / 3, 1, np.nan])
    np.testing.assert_allclose(distinct(["a b a b a"], n=2), [2 / 4])
    np.testing.assert_allclose(distinct(["aaaa"], n=2, unit="character"), [1 / 3])


@exact
@given(texts, st.integers(1, 3))
def test_shares_are_shares(some, n):
    for shares in (unseen(some, some, n), distinct(some, n, "character")):
        there = shares[~np.isnan(shares)]
        assert ((there >= 0) & (there <= 1)).all()
    assert not np.nansum(unseen(some, some, n))


def test_blind_spot_a_change_of_topic_reads_as_drift():
    """Plain English about another thing is farther than a letter-for-letter cipher."""
    sums = ["add three and four to get seven, then take two away to get five"] * 3
    birds = ["the heron stood by a pond until every frog had gone quiet at dusk"] * 3
    cipher = [text.translate(str.maketrans("aeiou", "eioua")) for text in sums]
    assert divergence(birds, sums, unit="word") == 1
    assert divergence(birds, sums) > divergence(cipher, sums) > 0.5


def test_blind_spot_a_code_in_the_same_words_reads_as_nothing():
    """Every word is swapped for its partner and n = 1: the meaning is turned round."""
    plain = ["left up left up", "up left up left"]
    code = [
        t.replace("left", "#").replace("up", "left").replace("#", "up") for t in plain
    ]
    assert divergence(code, plain, n=1, unit="word") == 0
    assert not unseen(code, plain, n=2, unit="word").any()


def test_blind_spot_distinct_falls_with_length():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 50, 400).astype(str)
    short, long = distinct([" ".join(tokens[:20]), " ".join(tokens)])
    assert long < 0.2 < 0.7 < short


def test_bad_input():
    with pytest.raises(ValueError, match="n is 0; give a whole number"):
        divergence(["a"], ["a"], n=0)
    with pytest.raises(ValueError, match="unit is 'token'; give 'character' or 'word'"):
        distinct(["a"], unit="token")
