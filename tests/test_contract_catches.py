"""The contract passes a sound attack and catches planted broken ones, each by name."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from robust import Attack, Cost, bind
from robust.contract import CHECKS, Row

NAMED = {check.__name__: check for check in CHECKS}


class State(NamedTuple):
    z: Any
    score: jax.Array
    steps: jax.Array


def begin(key, z, target):
    return State(z, target.score(z), jnp.zeros(()))


def climb(scale, key, state, target):
    """Move every candidate and keep what is better."""
    return keep_better(state, target, target.base.move(key, state.z, scale))


def keep_better(state, target, z):
    score = target.score(z)
    return keep(state, z, score, score > state.score)


def keep(state, z, score, chosen):
    kept = jnp.where(chosen[:, None], z, state.z)
    return State(kept, jnp.where(chosen, score, state.score), state.steps + 1)


def look(key, state, target):
    return target.base.decode(state.z)


def nothing(key, state, target):
    return {}


def hop(scale=0.3, needs=("move",), cost=None, **functions) -> Attack:
    """A sound attack, but for the functions that are replaced."""
    sound = {
        "init": bind(begin), "step": bind(climb, jnp.asarray(scale)),
        "sample": bind(look), "info": bind(nothing),
    }  # fmt: skip
    return Attack(
        **sound | functions, cost=cost or Cost(init=1, queries=1), steps=(1, 10),
        needs=frozenset(needs), name="hop",
    )  # fmt: skip


SOUND = Row(hop, lambda: hop(0.2), {"bowl": 0.9, "motif": 0.3}, by_rank=True)


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_attack_passes(check):
    check(SOUND)


def sort(key, state, target):
    return target.base.decode(state.z[jnp.argsort(state.score)])


def nudge_out(key, state, target):
    return look(key, state, target) + 0.1


def claim_no_kl(key, state, target):
    return {"kl": jnp.zeros(())}


def claim_power(key, state, target):
    return {"power": state.steps}


def descend(scale, key, state, target):
    z = target.base.move(key, state.z, scale)
    score = target.score(z)
    return keep(state, z, score, (score > state.score) == (state.steps < 5))


def take_undefined(scale, key, state, target):
    z = target.base.move(key, state.z, scale)
    score = target.proxy(target.base.decode(z))
    return keep(state, z, score, ~(score <= state.score))


def scale_with_scores(scale, key, state, target):
    size = scale / (1 + jnp.abs(state.score).mean())
    return climb(size, key, state, target)


def tell_tracers(scale, key, state, target):
    seen = isinstance(state.score, jax.core.Tracer)
    return climb(scale * (1.0 if seen else 0.5), key, state, target)


def ask_the_clock(scale, key, state, target):
    shape = jax.ShapeDtypeStruct((), state.score.dtype)
    chance = jax.pure_callback(
        lambda x: np.asarray(np.random.default_rng().random(x.shape), x.dtype),
        shape, state.score[0], vmap_method="expand_dims",
    )  # fmt: skip
    return climb(scale * chance, key, state, target)


def look_at_other_seeds(scale, key, state, target):
    shape = jax.ShapeDtypeStruct((), state.score.dtype)
    mean = jax.pure_callback(
        lambda x: np.full(x.shape, 1 / (1 - x.mean()), x.dtype),
        shape, state.score[0], vmap_method="expand_dims",
    )  # fmt: skip
    return climb(scale * mean, key, state, target)


def use_the_policy(scale, key, state, target):
    z = target.base.policy.sample(target.base.policy.params, key, len(state.score))
    return keep_better(state, target, z)


def weigh_by_density(scale, key, state, target):
    dense = jnp.exp(target.base.log_prob(state.z)).mean()
    return climb(scale * dense, key, state, target)


def climb_by(key, state, target, *, scale):
    return climb(scale, key, state, target)


def stepping(step, **options):
    return lambda: hop(step=bind(step, jnp.asarray(0.3)), **options)


BROKEN = {
    "jit_and_eager_agree": stepping(tell_tracers),
    "it_spends_what_it_declares": lambda: hop(cost=Cost(init=1, queries=2)),
    "its_needs_are_all_it_needs": stepping(use_the_policy),
    "candidates_keep_their_form_and_stay_legal": lambda: hop(sample=bind(nudge_out)),
    "candidates_are_not_sorted": lambda: hop(sample=bind(sort)),
    "the_mean_proxy_does_not_fall": stepping(descend),
    "its_claimed_kl_is_no_less_than_its_scores_prove": lambda: hop(
        info=bind(claim_no_kl)
    ),
    "same_key_same_bits": stepping(ask_the_clock),
    "a_seed_stands_alone": stepping(look_at_other_seeds),
    "order_is_all_that_a_rank_attack_sees": stepping(scale_with_scores),
    "a_constant_proxy_is_no_gain": lambda: hop(info=bind(claim_power)),
    "what_is_not_a_number_is_never_best": stepping(take_undefined),
}


@pytest.mark.parametrize("promise", BROKEN)
def test_a_broken_promise_is_caught(promise):
    broken = SOUND._replace(make=BROKEN[promise], shares={"bowl": 0.0})
    with pytest.raises((AssertionError, AttributeError)):
        NAMED[promise](broken)


@pytest.mark.parametrize(
    ("step", "needs"), [(climb, ()), (weigh_by_density, ("move",))]
)
def test_a_need_that_every_place_meets_is_still_declared(step, needs):
    make = stepping(step, needs=needs)
    broken = SOUND._replace(make=make, shares={"bowl": 0.0})
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        NAMED["its_needs_are_all_it_needs"](broken)


def test_a_static_number_is_caught():
    row = Row(
        lambda: hop(step=bind(climb_by, scale=0.3)),
        lambda: hop(step=bind(climb_by, scale=0.2)), {"bowl": 0.0}, by_rank=True,
    )  # fmt: skip
    with pytest.raises(AssertionError, match="were traced"):
        NAMED["other_numbers_are_the_same_program"](row)


def test_a_share_that_is_not_reached_is_caught():
    row = SOUND._replace(shares={"bowl": 0.9999})
    with pytest.raises(AssertionError, match=r"bowl: share 0\.9\d\d, stated 0.9999"):
        NAMED["it_comes_near_the_optimum"](row)
