"""Thresholds of the diagnosis: at each limit, a hair beyond it, and for nan."""

import numpy as np
import pytest

from robust.measure.diagnosis import (
    Finding,
    Status,
    black_box,
    both_families,
    budget_doubling,
    chains,
    coverage,
    healthy,
    legal,
    masked,
    monotone,
    nonfinite,
    numeric_floor,
    oscillation,
    outdone,
    planted_optimum,
    reach,
    repeatable,
    rescored,
    restarts,
    slope_agreement,
    stuck,
    tail,
    unstable,
    weights,
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
    assert outdone(None, 10, [("splitting", np.ones((3, 1)), [1])]).status is EXEMPT
    assert outdone(np.ones(3), 10, []).status is EXEMPT
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


def climb(*values, units=4):
    """The same curve in every unit, but for a thousandth at the end."""
    curves = np.tile(np.array(values, float), (units, 1))
    curves[:, -1] += 1e-3 * np.linspace(-1, 1, units) * (units > 1)
    return curves


def test_the_tail_is_the_last_tenth():
    """Rescaled to [0, 1]: 1 to 1.04 of a rise of 1.04 is .038; 1.06 is .057."""
    steps = [0, 50, 90, 100]
    assert tail(climb(0, 0.9, 1.0, 1.04), steps, False).status is OK
    found = tail(climb(0, 0.9, 1.0, 1.06), steps, False)
    assert found.status is WARN
    assert found.value == pytest.approx(0.06 / 1.06)
    assert found.remedy
    for grid in ([0, 50, 80, 100], [0, 20, 36, 40]):
        assert tail(climb(0, 0.9, 1.0, 1.5), grid, False).status is EXEMPT
    assert tail(climb(0, 0.9, 1.0, 1.5), steps, True).status is EXEMPT
    assert tail(climb(0, 0.9, 1.0, np.nan), steps, False).status is FAIL


def test_more_budget_must_not_find_less():
    """A fall of 5 % warns in one unit, and is proven by four that agree."""
    assert monotone(climb(0, 1, 2, 1.98)).status is OK
    one = monotone(climb(0, 1, 2, 1.9, units=1))
    assert (one.status, one.value) == (WARN, pytest.approx(0.05, abs=1e-3))
    assert monotone(climb(0, 1, 2, 1.9)).status is FAIL
    scattered = np.array([[0, 2, 2.9], [0, 2, 0.9]])
    assert monotone(scattered).status is WARN
    # A fall in the middle counts, though the end lies higher.
    assert monotone(climb(0, 2, 1.5, 3)).value == pytest.approx(1 / 6, abs=1e-3)
    for flat in (climb(0, 0, 0)[:, :2], climb(0, -1, -2), np.full((2, 3), np.nan)):
        assert monotone(flat).status is FAIL


def test_a_climb_that_often_stands_still_oscillates():
    """Rises at 3 of 4 checkpoints pass, at 2 of 3 not; the end does not count."""
    steady = np.array([0.0, 1, 2, 2, 3, 3, 3])
    halting = np.array([0.0, 1, 1, 2, 2, 2, 2])
    still = np.zeros(7)
    found = oscillation(np.stack([steady, still], axis=1)[None], False)
    assert (found.status, found.value) == (OK, 0.75)
    found = oscillation(halting[None, :, None], False)
    assert (found.status, found.value) == (WARN, pytest.approx(2 / 3))
    # Falls do not undo what was found, and a thousandth of the gain is no rise.
    shaky = steady + np.array([0, 0, 0, -1, 0, 1e-3, 1.5e-3])
    assert oscillation(shaky[None, :, None], False).value == 0.75
    assert oscillation(halting[None, :, None], True).status is EXEMPT
    assert oscillation(still[None, :, None], False).status is EXEMPT


def slots(stuck_share, ceiling_share, num=1000):
    """Start and end of slots: some stuck, some at the top from the beginning."""
    start, end = np.zeros((2, num)), np.ones((2, num))
    end[:, : round(stuck_share * num)] = 0
    top = round(ceiling_share * num)
    start[:, num - top :] = 1
    return start, end


def test_stuck_slots_fail_and_a_ceiling_warns():
    std = np.full(2, 2.0)
    assert stuck(*slots(0.049, 0), std, False).status is OK
    masked_slots = stuck(*slots(0.051, 0.5), std, False)
    assert (masked_slots.status, masked_slots.value) == (FAIL, pytest.approx(0.051))
    ceiling = stuck(*slots(0.0, 0.051), std, False)
    assert (ceiling.status, ceiling.value) == (WARN, pytest.approx(0.051))
    assert stuck(*slots(0.0, 0.049), std, False).status is OK
    assert stuck(*slots(0.9, 0), std, True).status is EXEMPT
    hair = np.zeros((1, 10)), np.array([[1.0] + [1e-6] * 9])
    assert stuck(*hair, np.array([0.9]), False).status is OK
    assert stuck(*hair, np.array([1.1]), False).status is FAIL
    nowhere = np.zeros((2, 4)), np.full((2, 4), np.nan)
    assert stuck(*nowhere, std, False).status is FAIL


def walk(correlation, points=400):
    """Predicted and measured changes with that correlation about zero, exactly."""
    a = np.tile([1.0, -1.0], points // 2)
    b = np.repeat([1.0, -1.0], points // 2)
    other = np.sqrt(1 - correlation**2)
    pair = a, correlation * a + other * b
    return [v.reshape(1, 1, 1, points) for v in pair]


def test_slopes_that_disagree_are_found():
    for value, status in ((0.91, OK), (0.89, WARN), (0.71, WARN), (0.69, FAIL)):
        found = slope_agreement(*walk(value))
        assert (found.status, found.value) == (status, pytest.approx(value))
    predicted, measured = walk(1.0)
    assert slope_agreement(-predicted, measured).value == pytest.approx(-1)
    assert slope_agreement(0 * predicted, measured).status is FAIL
    assert slope_agreement(predicted, 0 * measured).status is EXEMPT
    assert slope_agreement(None, None).status is EXEMPT
    assert slope_agreement(np.nan * predicted, measured).status is EXEMPT


def test_the_best_step_length_counts():
    """Each row takes its own; a row whose score never moves says nothing."""
    good, bad, still = walk(1.0), walk(0.5), [walk(1.0)[0], 0 * walk(1.0)[1]]
    rows = [(good, bad), (bad, good), (still, still)]
    changes = [
        np.concatenate([np.concatenate([w[i] for w in row], axis=2) for row in rows])
        for i in (0, 1)
    ]
    assert slope_agreement(*changes).value == pytest.approx(1)


def test_a_search_that_another_outdoes_at_its_price_is_weak():
    """Ahead by .2 sd in a third of the seeds; the rival's last checkpoint is dearer."""
    mine, theirs = np.ones(30), np.ones((30, 3))
    theirs[:10, 1], theirs[:, 2] = 1.2, 9.0
    found = outdone(mine, 31, [("splitting", theirs, [1, 31, 32])])
    assert (found.status, found.value) == (FAIL, pytest.approx(1 / 3))
    assert "splitting reaches a clearly higher proxy in 33%" in found.message
    assert outdone(mine, 30, [("splitting", theirs, [1, 31, 32])]).status is OK
    theirs[:, 1] = 1.09  # two good searches part by less
    assert outdone(mine, 31, [("splitting", theirs, [1, 31, 32])]).status is OK
    lost = outdone(mine, 31, [("annealing", np.full((30, 1), np.nan), [1])])
    assert lost.status is FAIL


def test_masked_inputs():
    """Two leaves, then 20 features, of which the first two are all that is silent."""
    change, silent = np.ones((1, 22, 10)), np.zeros((1, 22), bool)
    silent[:, 2:4] = True
    zero, std = np.array([0.1]), np.ones(1)
    found = masked(change, silent, zero, 2, std)
    assert (found.status, found.value) == (FAIL, pytest.approx(0.1))
    change[:, 2] = 1e-4  # moves the score no more than rounding
    found = masked(change, silent, zero, 2, std)
    assert (found.status, found.value) == (WARN, pytest.approx(0.05))
    change[:, 3, 1:] = 0  # only at one point in ten
    assert masked(change, silent, zero, 2, std).status is OK
    change[:, 3, 1] = -1
    assert masked(change, silent, zero, 2, std).status is WARN
    silent[:, 1] = True
    whole = masked(change, silent, zero, 2, std)
    assert whole.status is FAIL
    assert "1 of 2 parts" in whole.message
    assert masked(None, None, None, 0, std).status is EXEMPT


def test_the_worst_checkpoint_counts_for_gradients_that_are_no_numbers():
    share = np.zeros((2, 3))
    assert nonfinite(share).status is OK
    share[0, 1] = 0.1
    found = nonfinite(share)
    assert (found.status, found.value) == (WARN, pytest.approx(0.05))
    share[1, 1] = 0.01
    assert nonfinite(share).status is FAIL
    assert nonfinite(None).status is EXEMPT


@pytest.mark.parametrize(
    ("check", "warns", "fails"),
    [
        (lambda d: repeatable(np.array([[[0.0]], [[2 * d]]]), [2.0]), 1e-4, 1e-3),
        (lambda d: rescored(np.array([[2 * d]]), np.zeros((1, 1)), [2.0]), None, 1e-3),
        (
            lambda d: numeric_floor(
                np.zeros((1, 2)), [np.zeros((1, 2)), np.array([[3 * 2 * d]])],
                np.array([3.0]), np.array([2.0]),
            ),
            None, 0.1,
        ),
        (
            lambda d: unstable(
                np.array([[[3 * 2 * d]]]), np.zeros((1, 1)), [3.0], [2.0]
            ),
            0.1, None,
        ),
        (lambda d: planted_optimum(np.array([1 - d, 1 - d])), None, 0.1),
    ],
)  # fmt: skip
def test_winners_are_measured_against_their_limits(check, warns, fails):
    """Differences are in base deviations of 2, and two of them in gains of 3."""
    for limit, status in ((warns, WARN), (fails, FAIL)):
        if limit:
            assert check(limit * 0.99).status < status
            found = check(limit * 1.01)
            assert found.status is status
            assert found.message
            assert found.remedy
    assert check(np.nan).status is FAIL


def test_a_floor_needs_a_gain():
    zero = np.zeros((1, 1))
    assert numeric_floor(zero, [zero], np.zeros(1), np.ones(1)).status is FAIL
    assert numeric_floor(zero, [zero], np.ones(1), np.ones(1)).status is OK


def test_undefined_neighbours_are_counted():
    near = np.array([[[1.0, np.nan, 1.0, 1.0]], [[1.0, np.inf, 1.0, 1.0]]])
    found = unstable(near, np.ones((1, 4)), [1.0], [1.0])
    assert (found.status, found.value) == (FAIL, 0.25)
    assert "not a number at 25.0% of the winners' neighbours" in found.message


def test_changes_of_score_are_cut_at_one():
    near = np.array([[[1e6, 0.0, 0.0, 0.0]]])
    found = unstable(near, np.zeros((1, 4)), [1.0], [1.0])
    assert found.value == 0.25
    assert unstable(None, np.zeros((1, 4)), [1.0], [1.0]).status is EXEMPT


def test_legal_winners():
    apart = np.zeros((2, 4))
    assert legal(apart).status is OK
    for bad in (2e-5, np.nan, np.inf):
        apart[0, 0] = bad
        found = legal(apart)
        assert (found.status, found.value) == (FAIL, 0.125)


def test_an_edge_that_no_step_can_reach():
    """Of two rows the one that comes less far, at the last checkpoint, counts."""
    found = reach(np.array([[0.0, 2.0], [0.0, 0.99]]))
    assert (found.status, found.value) == (WARN, 0.99)
    assert found.remedy
    assert reach(np.array([[0.0, 0.5, 1.0]])).status is OK
    assert reach(np.full((2, 3), np.nan)).status is EXEMPT
    assert reach(None).status is EXEMPT


def test_restarts_that_still_find_more():
    """Of a gain of 2 the first climb has 1.81 and 1.79."""
    steps = [0, 40, 50, 200]
    assert restarts(climb(0, 1.81, 1.9, 2.0), steps, 40).status is OK
    found = restarts(climb(0, 1.79, 1.9, 2.0), steps, 40)
    assert (found.status, found.value) == (WARN, pytest.approx(0.105))
    assert found.remedy
    for alone in (None, 200, 60):
        assert restarts(climb(0, 1, 2, 3), steps, alone).status is EXEMPT
    assert restarts(climb(0, 1, 2, np.nan), steps, 40).status is FAIL


def test_chains_that_accept_nearly_none_or_all():
    """Over the last two of eight checkpoints; the first knows no acceptance."""
    early, none = np.array([np.nan, *[0.1] * 5]), np.zeros((1, 8))
    for rate, status in ((0.39, WARN), (0.41, OK), (0.94, OK), (0.96, WARN)):
        found = chains(np.append(early, [rate, rate])[None], none)
        assert (found.status, found.value) == (status, pytest.approx(rate))
        assert bool(found.remedy) == (status is WARN)
    wild = chains(np.append(early, [0.6, 0.6])[None], none + 0.011)
    assert wild.status is WARN
    assert "diverge" in wild.message
    assert chains(np.full((1, 4), np.nan), none).status is WARN
    assert chains(None, None).status is EXEMPT


def test_weights_that_few_particles_carry():
    assert weights(np.array([[1.0, 0.26, 0.9]])).status is OK
    found = weights(np.array([[1.0, 0.3, 0.9], [1.0, 0.1, 0.9]]))
    assert (found.status, found.value) == (WARN, pytest.approx(0.2))
    assert weights(np.array([[np.nan]])).status is WARN
    assert weights(None).status is EXEMPT


def test_a_search_that_collapses_early():
    """Read at step 50 of 100, over the start; later it may shrink."""
    steps, even = [0, 50, 60, 100], np.ones((1, 4))

    def shrinks(to, condition=even):
        return coverage(np.array([[2.0, 2 * to, 0.0, 0.0]]), condition, steps)

    assert shrinks(1.1e-4).status is OK
    found = shrinks(0.9e-4)
    assert (found.status, found.value) == (WARN, pytest.approx(0.9e-4))
    assert shrinks(1.0, 1e14 * even).status is OK
    for bad in (1.1e14, np.nan):
        assert "condition" in shrinks(1.0, bad * even).message
    assert "not a number" in shrinks(np.nan).message
    assert coverage(None, None, steps).status is EXEMPT
