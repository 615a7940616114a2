"""What every attack promises, one function a promise."""

import functools

import jax
import numpy as np

from robust.contract.harness import (
    KEY,
    SEEDS,
    SLOTS,
    TRACED,
    Row,
    assert_same,
    base_draws,
    base_scores,
    by_hand,
    compiled_quickly,
    push,
    pushed,
)
from robust.contract.targets import PLACES, aim
from robust.measure.pressure import donsker_varadhan
from robust.measure.realised import rank_nats
from robust.target import Target, capabilities


def jit_and_eager_agree(row: Row) -> None:
    """State, candidates and info after one step, to 1e-5."""
    attack, target = row.make(), aim(row.home)
    (z, *eager), _ = by_hand(row.make, row.home)

    @jax.jit
    def drive(z):
        begun = attack.init(KEY, z, target)
        state = attack.step(KEY, begun, target)
        return (
            begun, state,
            attack.sample(KEY, state, target), attack.info(KEY, state, target),
        )  # fmt: skip

    assert_same(drive(z), tuple(eager), rtol=1e-5)


def it_spends_what_it_declares(row: Row) -> None:
    """Rows scored and rows differentiated, counted in init, step and looks."""
    cost = row.make().cost
    declared = [(cost.init, cost.first_grads), (cost.queries, cost.grads), (0, 0)]
    want = [(SLOTS * queries, SLOTS * grads) for queries, grads in declared]
    got = by_hand(row.make, row.home)[1]
    assert got == want, f"(queries, grads) of init, step, looks: {got}, declared {want}"


def its_needs_are_all_it_needs(row: Row) -> None:
    """Wherever its needs are met its functions at least trace, and with no more."""
    attack = row.make()

    def once(key, target):
        z = target.base.sample(key, SLOTS)
        state = attack.step(key, attack.init(key, z, target), target)
        return attack.sample(key, state, target), attack.info(key, state, target)

    for place in PLACES:
        target = aim(place)
        met = attack.needs <= capabilities(target)
        assert met or place not in row.shares, f"{place} lacks what it needs"
        if met:
            base = target.base
            base = base._replace(
                move=base.move if "move" in attack.needs else None,
                log_prob=base.log_prob if "log_prob" in attack.needs else None,
                policy=base.policy if "policy" in attack.needs else None,
            )
            jax.eval_shape(
                functools.partial(once, target=Target(target.proxy, base)), KEY
            )


def candidates_keep_their_form_and_stay_legal(row: Row) -> None:
    """Structure, shapes and dtypes of base inputs, unmoved by the base's `project`."""
    for place in row.shares:
        trace, base = pushed(row, place), aim(place).base
        want = jax.eval_shape(lambda base=base: base.decode(base.sample(KEY, SLOTS)))
        assert jax.tree.structure(trace.x) == jax.tree.structure(want), place
        leaves = zip(*map(jax.tree.leaves, (trace.x, want)), strict=True)
        for got, struct in leaves:
            assert got.shape == (SEEDS, len(row.steps) + 1, *struct.shape), place
            assert got.dtype == struct.dtype, place
        flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[3:]), trace.x)
        assert_same(base.project(flat), flat)
        assert trace.proxy.shape == (SEEDS, len(row.steps) + 1, SLOTS), place


def row_zero_is_the_base(row: Row) -> None:
    """The same draws as for any other attack, for which nothing is spent."""
    for place in row.shares:
        first, other = pushed(row, place), base_draws(place)
        assert_same(
            (first.x[:, 0], first.proxy[:, 0]), (other.x[:, 0], other.proxy[:, 0])
        )
        assert first.steps[0] == first.queries[0] == first.grads[0] == 0


def candidates_are_not_sorted(row: Row) -> None:
    """Scores do not follow the order of slots, within 4.5 standard errors.

    The correlation of M scores with their slots has mean 0 and variance 1 / (M - 1)
    if slots are exchangeable, whatever the scores; its mean over S seeds, no more
    than 1 / (S (M - 1)), and seeds where all scores are equal have none.
    """
    for place in row.shares:
        scores = pushed(row, place).proxy[:, 1:].astype(float)
        scores = scores - scores.mean(axis=2, keepdims=True)
        slot = np.arange(SLOTS) - (SLOTS - 1) / 2
        length = np.sqrt((scores**2).sum(axis=2) * (slot**2).sum())
        related = scores @ slot / np.where(length > 0, length, 1.0)
        z = related.mean(axis=0) * np.sqrt(SEEDS * (SLOTS - 1))
        assert np.all(np.abs(z) <= 4.5), f"{place}: scores follow slots, z = {z}"


def the_mean_proxy_does_not_fall(row: Row) -> None:
    """No change between checkpoints lies 5 standard errors below zero.

    Standard error: sd of the change of a seed's mean over seeds / sqrt(seeds).
    """
    for place in row.shares:
        change = np.diff(pushed(row, place).proxy.mean(axis=2), axis=1)
        error = change.std(axis=0, ddof=1) / np.sqrt(SEEDS)
        assert np.all(change.mean(axis=0) >= -5 * error), f"{place}: it falls {change}"
        assert np.all(change[:, 0] > 0), f"{place}: a seed starts with {change[:, 0]}"


def its_claimed_kl_is_no_less_than_its_scores_prove(row: Row) -> None:
    """A claim is at least the Donsker-Varadhan bound, less 3 standard errors.

    Standard error: (1 - 1/P) sd(P) / sqrt(seeds), P the mean rank in nats of a seed's
    candidates. No claim, or nan, stands for infinity.
    """
    for place in row.shares:
        trace = pushed(row, place)
        uniform = np.random.default_rng(0).random(trace.proxy.size)
        scores = trace.proxy.reshape(-1)
        nats, _ = rank_nats(scores, base_scores(place), uniform)
        ranks = nats.reshape(trace.proxy.shape).mean(axis=2)[:, 1:]
        mean, spread = ranks.mean(axis=0), ranks.std(axis=0, ddof=1)
        error = (1 - 1 / mean) * spread / np.sqrt(SEEDS)
        claimed = trace.info.get("kl", np.full(trace.proxy.shape[:2], np.inf))
        claimed = np.where(np.isnan(claimed), np.inf, claimed)[:, 1:].mean(axis=0)
        proved = np.asarray(donsker_varadhan(mean - 1)) - 3 * error
        assert np.all(claimed >= proved), f"{place}: {claimed} < {proved} nats"
        assert np.all(mean - 1 > 0), f"{place}: power {mean - 1}"


def same_key_same_bits(row: Row) -> None:
    """Two runs of one key give equal traces."""
    again, first = push(row, row.home), pushed(row, row.home)
    assert_same(again._replace(names={}), first._replace(names={}))


def a_seed_stands_alone(row: Row) -> None:
    """A lone seed agrees with the batch: 1e-5 after a step, all bits one by one.

    XLA may pick other kernels for another number of seeds; `run(deterministic=True)`
    maps over them one by one.
    """
    drive = functools.partial(push, row, row.home, steps=(1,))
    alone = drive(seeds=1, deterministic=True)
    for batch, rtol in ((drive(), 1e-5), (drive(deterministic=True), 0.0)):
        for part in ("x", "proxy", "info"):
            first = jax.tree.map(lambda a: a[:1], getattr(batch, part))
            assert_same(getattr(alone, part), first, rtol=rtol)


def other_numbers_are_the_same_program(row: Row) -> None:
    """Traced once; not again for another hyperparameter, proxy or checkpoint."""
    place, parts = row.home, ("init", "step", "sample", "info")
    pushed(row, place)
    before = [TRACED[row.make, place, part] for part in parts]
    push(row, place, other=True)
    push(row, place, center=PLACES[place].elsewhere, steps=(1, 2))
    after = [TRACED[row.make, place, part] for part in parts]
    assert after == before, f"{parts} were traced {before}, then {after} times"


def order_is_all_that_a_rank_attack_sees(row: Row) -> None:
    """An increasing map of the proxy changes no bit of an attack by rank."""
    if row.by_rank:
        bent = push(row, row.home, knee=PLACES[row.home].knee)
        assert_same(bent.x, pushed(row, row.home).x)


def a_constant_proxy_is_no_gain(row: Row) -> None:
    """Every score stays 0, and an attack that measures its power finds none."""
    trace = push(row, row.home, scale=0.0)
    assert np.all(trace.proxy == 0)
    power = trace.info.get("power", np.zeros(1))
    assert np.all(power == 0), f"power {power} where all inputs score the same"
    if "plateau" in trace.info:
        assert trace.info["plateau"][:, 1:].all(), "no plateau where all is flat"


def what_is_not_a_number_is_never_best(row: Row) -> None:
    """Undefined scores are counted in the trace, and grow no more."""
    hole = PLACES[row.home].hole
    whole, holed = pushed(row, row.home), push(row, row.home, hole=hole)
    missing = np.isnan(holed.proxy)
    assert_same(missing[:, 0], whole.x[:, 0, :, 0] > hole)
    assert_same(missing, holed.x[..., 0] > hole)
    count = missing.sum(axis=2)
    assert np.all(np.diff(count, axis=1) <= 0), f"undefined scores grow: {count}"
    mean = np.nanmean(holed.proxy, axis=2)
    assert np.all(mean[:, -1] > mean[:, 0]), f"beside a hole it does not climb: {mean}"


def it_comes_near_the_optimum(row: Row) -> None:
    """At each place the mean score of the last look reaches the row's share."""
    for place, least in row.shares.items():
        base, last = base_scores(place).mean(), pushed(row, place).proxy[:, -1].mean()
        share = 1 - last / base
        assert least <= share <= 1, f"{place}: share {share:.3f}, stated {least}"


CHECKS = tuple(map(compiled_quickly, (
    jit_and_eager_agree,
    it_spends_what_it_declares,
    its_needs_are_all_it_needs,
    candidates_keep_their_form_and_stay_legal,
    row_zero_is_the_base,
    candidates_are_not_sorted,
    the_mean_proxy_does_not_fall,
    its_claimed_kl_is_no_less_than_its_scores_prove,
    same_key_same_bits,
    a_seed_stands_alone,
    other_numbers_are_the_same_program,
    order_is_all_that_a_rank_attack_sees,
    a_constant_proxy_is_no_gain,
    what_is_not_a_number_is_never_best,
    it_comes_near_the_optimum,
)))  # fmt: skip
