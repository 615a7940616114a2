"""What every attack promises. A new attack joins by one row of the table."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from planted import OPTIMUM, Tally, aim

import attacks
from robust import Attack, Target, bind, run
from robust.measure.pressure import donsker_varadhan
from robust.measure.realised import rank_nats

SEEDS, SLOTS, STEPS = 8, 64, (2, 8, 31)
KEY = jax.random.key(0)


class Row(NamedTuple):
    """One attack under the contract.

    Attributes:
      make: the attack.
      other: the same program with another hyperparameter.
      shares: of the way from the base's mean to the optimum, what it reaches at
        least, per target that it can attack.
      by_rank: it sees no more of the proxy than the order of its scores.
    """

    make: Callable[[], Attack]
    other: Callable[[], Attack]
    shares: dict[str, float]
    by_rank: bool


TABLE = {
    "best_of_n": Row(
        lambda: attacks.best_of_n(32), lambda: attacks.best_of_n(16),
        {"bowl": 0.6, "motif": 0.4}, by_rank=True,
    ),
    "gradient_ascent": Row(
        lambda: attacks.gradient_ascent(0.1),
        lambda: attacks.gradient_ascent(0.03, radius=0.2),
        {"bowl": 0.99}, by_rank=False,
    ),
    "splitting": Row(
        lambda: attacks.splitting(moves=5), lambda: attacks.splitting(moves=3),
        {"bowl": 0.95, "motif": 0.85}, by_rank=True,
    ),
}  # fmt: skip
every_attack = pytest.mark.parametrize("name", TABLE)
every_pair = pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name in TABLE for place in TABLE[name].shares]
)


TRACED = Counter()


def traced(inner, *args, part):
    TRACED[part] += 1
    return inner(*args)


def push(name, place, *, other=False, steps=STEPS, **weights):
    """Run an attack whose four functions count how often Python passes through."""
    attack = TABLE[name].other() if other else TABLE[name].make()
    parts = attack._fields[:4]
    watched = {
        part: bind(traced, getattr(attack, part), part=(name, place, part))
        for part in parts
    }
    return run(
        attack._replace(**watched), aim(place, **weights), KEY,
        steps=steps, seeds=SEEDS, slots=SLOTS, keep=SLOTS,
    )  # fmt: skip


@functools.cache
def pushed(name, place):
    return push(name, place)


@functools.cache
def base_scores(place):
    target = aim(place)
    draw = jax.jit(lambda key: target.proxy(target.base.sample(key, 100_000)))
    return np.asarray(draw(jax.random.key(1)))


def assert_same(a, b, rtol=0.0):
    compare = functools.partial(np.testing.assert_allclose, rtol=rtol, atol=rtol)
    jax.tree.map(compare, a, b)


def test_every_attack_has_a_row():
    assert set(TABLE) == set(attacks.__all__)


@functools.cache
def by_hand(name):
    """Call the four functions without jit; what they return and what they spent."""
    attack, (proxy, base) = TABLE[name].make(), aim("bowl")
    tally = Tally(proxy)
    target = Target(tally.proxy, base)
    z = base.sample(KEY, SLOTS)
    with jax.disable_jit():
        begun = attack.init(KEY, z, target)
        spent = [tally.take()]
        state = attack.step(KEY, begun, target)
        spent.append(tally.take())
        seen = attack.sample(KEY, state, target), attack.info(KEY, state, target)
        spent.append(tally.take())
    return (z, begun, state, *seen), spent


@every_attack
def test_jit_and_eager_agree(name):
    attack, target = TABLE[name].make(), aim("bowl")
    (z, *eager), _ = by_hand(name)

    @jax.jit
    def drive(z):
        begun = attack.init(KEY, z, target)
        state = attack.step(KEY, begun, target)
        return (
            begun, state,
            attack.sample(KEY, state, target), attack.info(KEY, state, target),
        )  # fmt: skip

    assert_same(drive(z), tuple(eager), rtol=1e-5)


@every_attack
def test_it_spends_what_it_declares(name):
    init, queries, grads = (SLOTS * count for count in TABLE[name].make().cost)
    want = [(init, init * (grads > 0)), (queries, grads), (0, 0)]
    assert by_hand(name)[1] == want


@every_pair
def test_candidates_keep_their_form_and_stay_legal(name, place):
    trace, base = pushed(name, place), aim(place).base
    want = jax.eval_shape(lambda: base.decode(base.sample(KEY, SLOTS)))
    assert jax.tree.structure(trace.x) == jax.tree.structure(want)
    leaves = zip(*map(jax.tree.leaves, (trace.x, want)), strict=True)
    for got, struct in leaves:
        assert got.shape == (SEEDS, len(STEPS) + 1, *struct.shape)
        assert got.dtype == struct.dtype
    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[3:]), trace.x)
    assert_same(base.project(flat), flat)
    assert trace.proxy.shape == (SEEDS, len(STEPS) + 1, SLOTS)


@every_pair
def test_row_zero_is_the_base(name, place):
    first, other = pushed(name, place), pushed("best_of_n", place)
    assert_same((first.x[:, 0], first.proxy[:, 0]), (other.x[:, 0], other.proxy[:, 0]))
    assert first.steps[0] == first.queries[0] == first.grads[0] == 0


@every_pair
def test_the_mean_proxy_does_not_fall(name, place):
    """No change between checkpoints lies 5 standard errors below zero.

    Standard error: sd of the change of a seed's mean over seeds / sqrt(seeds).
    """
    change = np.diff(pushed(name, place).proxy.mean(axis=2), axis=1)
    error = change.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    assert np.all(change.mean(axis=0) >= -5 * error)
    assert np.all(change[:, 0] > 0)


@every_pair
def test_its_claimed_kl_is_no_less_than_its_scores_prove(name, place):
    """A claim is at least the Donsker-Varadhan bound, less 3 standard errors.

    Standard error: (1 - 1/P) sd(P) / sqrt(seeds), P the mean rank in nats of a seed's
    candidates. No claim stands for infinity.
    """
    trace = pushed(name, place)
    uniform = np.random.default_rng(0).random(trace.proxy.size)
    nats, _ = rank_nats(trace.proxy.reshape(-1), base_scores(place), uniform)
    ranks = nats.reshape(trace.proxy.shape).mean(axis=2)[:, 1:]
    mean, spread = ranks.mean(axis=0), ranks.std(axis=0, ddof=1)
    error = (1 - 1 / mean) * spread / np.sqrt(SEEDS)
    claimed = trace.info.get("kl", np.full((1, 4), np.inf))[:, 1:].mean(axis=0)
    assert np.all(claimed >= np.asarray(donsker_varadhan(mean - 1)) - 3 * error)
    assert np.all(mean - 1 > 0)


@every_attack
def test_same_key_same_bits(name):
    again, first = push(name, "bowl"), pushed(name, "bowl")
    assert_same(again._replace(names={}), first._replace(names={}))


@every_attack
def test_other_numbers_are_the_same_program(name):
    pushed(name, "bowl")
    push(name, "bowl", other=True)
    push(name, "bowl", center=jnp.array([0.5] * 4), steps=(1, 2))
    counts = {part: TRACED[name, "bowl", part] for part in ("init", "step", "sample")}
    assert counts == {"init": 1, "step": 1, "sample": 1}
    # At the base and along the way: two programs look.
    assert TRACED[name, "bowl", "info"] == 2


@every_attack
def test_order_is_all_that_a_rank_attack_sees(name):
    if TABLE[name].by_rank:
        assert_same(push(name, "bowl", knee=-0.1).x, pushed(name, "bowl").x)


@every_attack
def test_a_constant_proxy_is_no_gain(name):
    trace = push(name, "bowl", scale=0.0)
    assert np.all(trace.proxy == 0)
    if "plateau" in trace.info:
        assert trace.info["plateau"][:, 1:].all()
        assert np.all(trace.info["power"] == 0)


@every_attack
def test_what_is_not_a_number_is_never_best(name):
    whole, holed = pushed(name, "bowl"), push(name, "bowl", hole=0.6)
    missing = np.isnan(holed.proxy)
    assert_same(missing[:, 0], whole.x[:, 0, :, 0] > 0.6)
    assert np.all(np.diff(missing.sum(axis=2), axis=1) <= 0)
    mean = np.nanmean(holed.proxy, axis=2)
    assert np.all(mean[:, -1] > mean[:, 0])


@every_pair
def test_it_comes_near_the_optimum(name, place):
    scores = pushed(name, place).proxy
    base = base_scores(place).mean()
    share = (scores[:, -1].mean() - base) / (OPTIMUM[place] - base)
    assert TABLE[name].shares[place] <= share <= 1
