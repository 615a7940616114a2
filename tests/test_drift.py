"""Drift beside its null: nothing is found where nothing changed."""

import numpy as np
import pytest

from robust.measure.bootstrap import t_interval
from robust.measure.compression import bits_per_character
from robust.measure.drift import cross_fitted, halves
from robust.measure.wording import divergence, unseen

VERBS = ["makes", "gives", "yields", "is"]


def chains(number, seed, say="{a} plus {b} {verb} {c}"):
    rng = np.random.default_rng(seed)
    return [
        say.format(a=a, b=b, c=a + b, verb=VERBS[v])
        for a, b, v in zip(
            *rng.integers(10, 99, (2, number)), rng.integers(0, 4, number), strict=True
        )
    ]


QUESTIONS = [f"q{i}" for i in range(60)]


def test_resampled_chains_of_the_same_writer_do_not_drift():
    """40 pairs of checkpoints that differ by chance: 95 % intervals hold 0 as often.

    Errors are binomial with p = .05: 4.7 standard errors above 2 of 40 is 8.5.
    """
    missed = 0
    for seed in range(40):
        first, new = chains(60, 2 * seed), chains(60, 2 * seed + 1)
        found = cross_fitted(bits_per_character, (new, QUESTIONS), (first, QUESTIONS))
        interval = t_interval(found.new - found.first)
        missed += not interval.low <= 0 <= interval.high
    assert missed <= 8


def test_divergence_of_the_same_writer_is_that_of_its_halves():
    first, new = chains(60, 0), chains(60, 1)
    plain = divergence(new, first)
    found = halves(divergence, (new, QUESTIONS), (first, QUESTIONS))
    assert plain > 0.05  # sampling noise that would pass for drift
    assert abs(found.drift.mean() - found.null.mean()) < 0.02
    coded = halves(
        divergence, (chains(60, 1, "{a}&{b}>{c}"), QUESTIONS), (first, QUESTIONS)
    )
    assert coded.drift.min() > coded.null.max() + 0.1


def test_topic_is_in_the_null_too():
    """Each question has its own words: halves of the first differ as much."""
    rng = np.random.default_rng(0)
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    topics = ["".join(rng.choice(letters, 12)) for _ in QUESTIONS]
    first = [f"{t} makes {t}" for t in topics]
    found = cross_fitted(unseen, (first, QUESTIONS), (first, QUESTIONS))
    np.testing.assert_allclose(found.new - found.first, 0)
    assert found.first.min() > 0.3


def test_halves_have_no_question_in_common():
    """With one text per question the two sides never share a text."""
    seen = []

    def measure(texts, known):
        seen.append(({*texts}, {*known}))
        assert len(texts) in (2, 3)
        return 0.0

    texts = [*"abcde"]
    halves(measure, (texts, texts), (texts, texts), splits=5)
    assert len(seen) == 10
    assert all(not one & other and one | other <= {*texts} for one, other in seen)


def test_sizes_agree_where_the_new_texts_are_fewer():
    sizes = []

    def measure(texts, known):
        sizes.append(len(texts))
        return 0.0

    first = [*"abcdefgh"]
    halves(measure, (first[:4], first[:4]), (first, first), splits=6)
    assert len({*zip(sizes[::2], sizes[1::2], strict=True)}) >= 1
    assert all(a == b for a, b in zip(sizes[::2], sizes[1::2], strict=True))


def test_cross_fitted_by_hand():
    """Two questions: each is measured given the other's first text, then averaged."""

    def measure(texts, known):
        return np.array([float(text) - float(known[0]) for text in texts])

    new = (["10", "20", "30"], ["a", "b", "b"])
    first = (["1", "2"], ["a", "b"])
    found = cross_fitted(measure, new, first)
    np.testing.assert_allclose(found.new, [10 - 2, (20 + 30) / 2 - 1])
    np.testing.assert_allclose(found.first, [1 - 2, 2 - 1])


def test_the_key_decides_the_split():
    sides = (chains(60, 0), QUESTIONS), (chains(60, 1), QUESTIONS)
    one, same, other = (halves(divergence, *sides, key=key) for key in (0, 0, 1))
    np.testing.assert_array_equal(one.drift, same.drift)
    assert (one.drift != other.drift).any()


def test_a_single_question_has_no_halves():
    for measure in (halves, cross_fitted):
        with pytest.raises(ValueError, match="1 question has no halves; drift takes"):
            measure(divergence, (["a"], ["q"]), (["b"], ["q"]))
