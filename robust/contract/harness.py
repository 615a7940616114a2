"""Run an attack against planted targets, and watch what it asks and traces."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from robust.attack import Attack, Cost
from robust.bind import bind
from robust.contract.targets import Tally, aim
from robust.target import Target
from robust.trace import run

SEEDS, SLOTS, STEPS = 8, 64, (2, 8, 31)
KEY = jax.random.key(0)
TRACED = Counter()  # how often Python passed through: (attack, place, function)
_NO_OPTIMIZATIONS = "jax_disable_most_optimizations"


class Row(NamedTuple):
    """One attack under the contract.

    Attributes:
      make: the attack.
      other: the same program with another hyperparameter.
      shares: planted place -> the share of the way from the base's mean to the best
        score that it reaches at least, for each place it can attack. All checks but
        those of scores and shapes run at the first of them.
      by_rank: it sees no more of the proxy than the order of its scores.
      steps: where it is looked at; `shares` are its scores after the last of them.
    """

    make: Callable[[], Attack]
    other: Callable[[], Attack]
    shares: dict[str, float]
    by_rank: bool
    steps: tuple[int, ...] = STEPS

    @property
    def home(self) -> str:
        return next(iter(self.shares))


def _traced(inner, *args, part):
    TRACED[part] += 1
    return inner(*args)


def push(
    row: Row, place: str, *, other=False, steps=None, seeds=SEEDS, deterministic=False,
    **weights,
):  # fmt: skip
    """Run an attack whose four functions count how often Python passes through."""
    attack = row.other() if other else row.make()

    def watch(part):
        return bind(_traced, getattr(attack, part), part=(row.make, place, part))

    watched = attack._replace(
        init=watch("init"), step=watch("step"), sample=watch("sample"),
        info=watch("info"),
    )  # fmt: skip
    return run(
        watched, aim(place, **weights), KEY,
        steps=steps or row.steps, seeds=seeds, slots=SLOTS, keep=SLOTS,
        deterministic=deterministic,
    )  # fmt: skip


def pushed(row: Row, place: str):
    """The run of the row's attack at a plain place, made once."""
    return _pushed(row.make, row.steps, place)


@functools.cache
def _pushed(make, steps, place):
    return push(Row(make, make, {place: 0.0}, False, steps), place)


@functools.cache
def base_scores(place):
    """Scores of 100,000 base draws."""
    target = aim(place)
    draw = jax.jit(lambda key: target.proxy(target.base.sample(key, 100_000)))
    return np.asarray(draw(jax.random.key(1)))


@functools.cache
def base_draws(place):
    """Row 0 as the driver draws it, looked at by an attack that does nothing."""
    still = Attack(
        init=bind(_stay), step=bind(_stay), sample=bind(_decode), info=bind(_silent),
        cost=Cost(0, 0), steps=(1,), needs=frozenset(), name="still",
    )  # fmt: skip
    return run(still, aim(place), KEY, seeds=SEEDS, slots=SLOTS, keep=SLOTS)


def _stay(key, state, target):
    return state


def _decode(key, state, target):
    return target.base.decode(state)


def _silent(key, state, target):
    return {}


def assert_same(a, b, rtol=0.0):
    """Leaf by leaf equal, or within a relative and absolute error of `rtol`."""
    compare = functools.partial(np.testing.assert_allclose, rtol=rtol, atol=rtol)
    jax.tree.map(compare, a, b)


@functools.cache
def by_hand(make, place):
    """Call the four functions without jit; what they return and what they spent."""
    attack, (proxy, base) = make(), aim(place)
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


def compiled_quickly(check):
    """Spare XLA its optimizations: small programs, of which compiling is the cost."""

    @functools.wraps(check)
    def quick(row):
        before = jax.config.read(_NO_OPTIMIZATIONS)
        jax.config.update(_NO_OPTIMIZATIONS, True)
        try:
            check(row)
        finally:
            jax.config.update(_NO_OPTIMIZATIONS, before)

    return quick
