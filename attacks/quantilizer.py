"""Mild optimization: a draw from the top q of the base."""

import math

import jax.numpy as jnp

from attacks.splitting import _info, _init, _raise_to, _sample
from robust import Attack, Cost, bind


def quantilizer(q: float = 0.01, *, moves: int = 10, mixing: int = 10) -> Attack:
    """Condition the base on its top share q of scores, and no further.

    Raises splitting's levels, halving the population's share P of the base at each,
    the last one only as far as q; from there on each step moves the particles at
    that level. `info["kl"]` is ln 1/P as estimated, which ends within 2/M of ln 1/q
    for M slots. It ends lower where many inputs share one score: no level then has
    exactly the share q, and the next that has more is taken. Estimates carry
    splitting's `error`, and `plateau` says that all particles score the same.

    Args:
      q: share of the base, in (0, 1); traced.
      moves: moves of every particle per step.
      mixing: steps at the last level, for particles to forget whom they copy.

    Raises:
      ValueError: q not inside (0, 1), or a count below 1.

    Reference: Taylor 2016 (quantilizers); levels: Cérou et al. 2012.
    """
    if not 0 < q < 1:
        raise ValueError(f"q is {q}; give a share between 0 and 1")
    if moves < 1 or mixing < 1:
        raise ValueError(f"got moves={moves}, mixing={mixing}; both must be above zero")
    levels = math.ceil(-math.log2(q))
    return Attack(
        init=bind(_init),
        step=bind(_step, jnp.asarray(q, float), jnp.asarray(moves)),
        sample=bind(_sample),
        info=bind(_info),
        cost=Cost(init=1, queries=moves),
        steps=tuple(range(1, levels + mixing + 1)),
        needs=frozenset({"move"}),
        name="quantilizer",
        slots=1024,
    )


def _step(q, moves, key, state, target):
    wanted = len(state.score) * q * jnp.exp(state.power)
    level = _next_level(wanted, state)
    moved = _raise_to(level, moves, key, state, target)
    held = level == state.level
    moved = moved._replace(tie=jnp.where(held, state.tie, moved.tie))
    low, high = state.score.min(), state.score.max()
    flat = held & (low == high) & ~_reached(wanted, len(state.score))
    return moved._replace(
        plateau=moved.plateau | flat,
        top=jnp.where(flat, high, moved.top),
        at_top=jnp.where(flat, state.power, moved.at_top),
    )


def _reached(wanted, num):
    return wanted > num - 1.5  # a share of the base is resolved to one particle


def _next_level(wanted, state):
    """The highest score up to the median that at least `wanted` particles exceed.

    The present level where there is none, or where the share is reached.
    """
    num, ordered = len(state.score), jnp.sort(state.score)
    above = num - jnp.searchsorted(ordered, ordered, side="right")
    wanted = jnp.where(_reached(wanted, num), num, jnp.maximum(jnp.round(wanted), 1))
    allowed = (ordered <= ordered[(num - 1) // 2]) & (above >= wanted)
    highest = jnp.where(allowed, ordered, -jnp.inf).max()
    return jnp.where(allowed.any(), highest, state.level)
