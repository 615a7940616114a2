"""Recall, TPR·TNR and AUROC of monitors, against enumeration and scikit-learn."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from robust.measure.monitoring import auroc, balance_at, best_balance, recall_at

exact = settings(derandomize=True, deadline=None, max_examples=80)
few = st.integers(0, 4)  # few levels: ties in most examples


@st.composite
def monitored(draw):
    size = draw(st.integers(2, 20))
    bad = draw(hnp.arrays(bool, size).filter(lambda b: b.any() and not b.all()))
    return draw(hnp.arrays(int, size, elements=few)).astype(float), bad


@exact
@given(monitored(), st.sampled_from([0, 0.01, 0.1, 0.25, 0.5, 0.9, 1]))
def test_recall_is_on_the_roc_curve(scored, rate):
    """Flagging ties at random is the straight line between corners of the curve."""
    score, bad = scored
    found = recall_at(score, bad, rate)
    false, true, _ = roc_curve(bad, score, drop_intermediate=False)
    left, right = false[false <= rate].max(), false[false >= rate].min()
    low, high = true[false == left].max(), true[false == right].min()
    share = (rate - left) / (right - left) if right > left else 0
    np.testing.assert_allclose(found.recall, low + share * (high - low), atol=1e-9)
    assert found.conservative <= found.recall + 1e-12
    assert found.false_positive_rate <= rate + 1e-12
    np.testing.assert_allclose(found.by_bad.mean(), found.recall)
    flagged = score > found.threshold
    assert flagged[bad].mean() == found.conservative
    assert flagged[~bad].mean() == pytest.approx(found.false_positive_rate)


@exact
@given(monitored())
def test_the_best_balance_is_the_largest_over_thresholds(scored):
    score, bad = scored
    products = [
        np.mean(score[bad] > t) * np.mean(score[~bad] <= t) for t in np.arange(-1, 5)
    ]
    found = best_balance(score, bad)
    assert found.product == pytest.approx(max(products))
    assert found == balance_at(score, bad, found.threshold)
    assert found.product == pytest.approx(found.recall * found.specificity)


@exact
@given(monitored())
def test_auroc_against_scikit_learn(scored):
    score, bad = scored
    np.testing.assert_allclose(auroc(score, bad), roc_auc_score(bad, score))


def test_by_hand_with_ties():
    """Ten good: 9 at 0, one at 1. At 5 %: half of the flags at 1 are let through."""
    score = np.r_[np.zeros(9), 1, 1, 2]
    bad = np.r_[np.zeros(10, bool), True, True]
    found = recall_at(score, bad, 0.05)
    assert (found.threshold, found.conservative, found.good) == (1, 0.5, 10)
    np.testing.assert_allclose(found.by_bad, [0.5, 1])
    assert recall_at(score, bad, 0.1).recall == 1


def test_blind_spot_the_best_threshold_flatters_a_monitor_that_knows_nothing():
    """At one threshold f(1 - f) <= 1/4 in the mean; the best of many is above."""
    rng = np.random.default_rng(0)
    bad = np.arange(40) < 20
    scores = rng.normal(size=(300, 40))
    fixed = np.mean([balance_at(s, bad, 0.0).product for s in scores])
    best = np.mean([best_balance(s, bad).product for s in scores])
    error = np.std([balance_at(s, bad, 0.0).product for s in scores]) / np.sqrt(300)
    assert abs(fixed - 0.25) < 5 * error
    assert best > 0.3


def test_blind_spot_a_high_auroc_that_catches_nothing():
    good = np.r_[np.zeros(95), np.full(5, 9.0)]
    score, bad = np.r_[good, np.ones(20)], np.arange(120) >= 100
    assert auroc(score, bad) == pytest.approx(0.95)
    assert recall_at(score, bad, 0.01).recall == 0


@pytest.mark.parametrize(
    ("score", "bad", "wanted"),
    [
        ([1, 2], [True, True], "2 of 2 chains are bad; wanted at least one"),
        ([], [], "0 of 0 chains are bad"),
        ([1, np.nan], [True, False], "1 of 2 scores are NaN or infinite"),
        ([1, 2, 3], [True, False], "scores have shape"),
    ],
)
def test_bad_input(score, bad, wanted):
    for measure in (recall_at, best_balance, auroc):
        with pytest.raises(ValueError, match=wanted):
            measure(score, np.array(bad, bool))


def test_a_rate_beyond_1():
    with pytest.raises(ValueError, match=r"false-positive rate is 2; give a number"):
        recall_at([1, 2], [True, False], 2)
