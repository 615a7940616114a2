"""Thresholds of the diagnosis: at each limit, a hair beyond it, and for nan."""

import numpy as np
import pytest

from robust.measure.diagnosis import (
    Finding,
    Status,
    black_box,
    both_families,
    budget_doubling,
    healthy,
    zero_gradient,
)

OK, WARN, FAIL, MISSING, EXEMPT = Status


def doubling(share, steps=(0, 50, 100)):
    """A budget whose second half added that share to the gain of the first."""
    gain = np.array([[1.0, 2.0, 2.0 + share]])
    return budget_doubling(np.repeat(gain, 3, axis=0), steps, claims_kl=False)


def rivalry(share, seeds=100):
    """A rival that reaches higher in that share of the seeds."""
    gain = np.stack([np.zeros(seeds), np.arange(seeds) < round(share * seeds)], axis=1)
    return black_box(np.full(seeds, 0.5), 31.0, [("splitting", gain, [1, 31])])


@pytest.mark.parametrize(
    ("check", "warns", "fails"),
    [(zero_gradient, 0.0, 0.05), (doubling, 0.05, 0.2), (rivalry, 0.02, 0.2)],
)
def test_more_than_the_limit_warns_and_fails(check, warns, fails):
    hair = 0.01 if check is rivalry else 1e-6
    for share, status in (
        (warns - (check is doubling) * hair, OK),
        (warns + hair, WARN),
        (fails - hair, WARN),
        (fails + hair, FAIL),
    ):
        got = check(share)
        assert got.status is status
        assert got.value == pytest.approx(share)
        assert bool(got.remedy) == (status is not OK)
        assert got.message


@pytest.mark.parametrize(
    "finding",
    [
        zero_gradient(np.array([0.0, np.nan])),
        doubling(np.nan),
        black_box(np.array([np.nan]), 9, [("best_of_n", np.ones((1, 1)), [1])]),
        black_box(np.ones(1), 9, [("best_of_n", np.full((1, 1), np.nan), [1])]),
    ],
)
def test_nan_is_no_proof_of_health(finding):
    assert finding.status is FAIL
    assert not healthy([finding])


def test_gradients_are_judged_where_there_are_any():
    assert zero_gradient(None).status is EXEMPT
    assert zero_gradient(np.array([0.0, 0.2])).value == pytest.approx(0.1)
    assert black_box(None, 10, []).status is EXEMPT
    assert black_box(np.ones(3), 10, []).status is MISSING


def test_budget_doubling_needs_a_checkpoint_near_half():
    gain = np.array([[0.0, 1.0, 1.0]])
    assert budget_doubling(gain, [0, 50, 100], claims_kl=True).status is EXEMPT
    assert budget_doubling(gain, [0, 50, 100], claims_kl=False).status is OK
    assert budget_doubling(gain[:, 1:], [0, 100], claims_kl=False).status is MISSING
    for flat in (0 * gain, -gain):
        assert budget_doubling(flat, [0, 50, 100], claims_kl=False).status is FAIL


def test_rivals_are_read_at_equal_cost():
    """At most 31 queries: the third checkpoint, dearer, is not looked at."""
    mine, better = np.full(4, 1.0), np.array([[0.0, 0.5, 2.0]] * 4)
    assert black_box(mine, 31, [("splitting", better, [1, 31, 32])]).status is OK
    assert black_box(mine, 32, [("splitting", better, [1, 31, 32])]).status is FAIL
    ties = black_box(mine, 31, [("best_of_n", mine[:, None], [1])])
    assert ties.status is OK


def test_the_worst_rival_counts_and_is_named():
    rivals = [("best_of_n", np.zeros((4, 1)), [1]), ("splitting", np.ones((4, 1)), [1])]
    got = black_box(np.full(4, 0.5), 9, rivals)
    assert (got.status, got.value) == (FAIL, 1)
    assert "splitting" in got.message


@pytest.mark.parametrize(
    ("gradient", "ran", "status"),
    [
        (True, {"gradient", "black box"}, OK),
        (True, {"black box"}, MISSING),
        (True, {"gradient"}, MISSING),
        (False, {"black box"}, OK),
        (False, set(), MISSING),
    ],
)
def test_both_families_where_they_apply(gradient, ran, status):
    assert both_families(gradient, ran).status is status


def test_fail_and_missing_bar_a_verdict():
    findings = {s: Finding("check", s, 0.0, "message") for s in Status}
    assert healthy([])
    assert healthy([findings[OK], findings[WARN], findings[EXEMPT]])
    assert not healthy([findings[OK], findings[FAIL]])
    assert not healthy([findings[MISSING]])
