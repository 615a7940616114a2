"""Targets whose optimum is known, and a proxy that counts what is asked of it."""

from collections import Counter
from typing import NamedTuple

import jax
import jax.numpy as jnp

from robust import Target, bind, box, tokens

OPTIMUM = {"bowl": 0.0, "motif": 6.0}
MOTIF = jnp.array([2, 0, 3, 1, 1, 2])


class Weights(NamedTuple):
    """Of a concave quadratic in a box, and of what may be wrong with a proxy."""

    center: jax.Array = jnp.array([0.8, 0.3, 0.6, 0.5])
    scale: float = 1.0  # 0: a constant proxy
    knee: float = 1.0  # scores above it are raised, in their order
    hole: float = 1.0  # beyond it neither score nor gradient is a number


def bowl(weights, x):
    center, scale, knee, hole = weights
    score = -scale * ((x - center[None]) ** 2).sum(axis=1)
    defined = jnp.where(x[:, 0] > hole, jnp.nan, 1.0)
    return jnp.where(score > knee, score / 4, score) * defined


def motif(x):
    return (x == MOTIF[None]).sum(axis=1).astype(float)


def aim(place, **weights):
    """The target "bowl", of which only numbers change, or "motif"."""
    if place == "motif":
        return Target(motif, tokens(6, 4))
    return Target(bind(bowl, jax.tree.map(jnp.asarray, Weights(**weights))), box(4))


class Tally:
    """A proxy that counts the rows it scores and the rows it is differentiated at."""

    def __init__(self, proxy):
        self.spent = Counter()

        def count(what, x):
            def add(x):
                self.spent[what] += len(x)

            jax.debug.callback(add, x)

        @jax.custom_vjp
        def counted(x):
            count("queries", x)
            return proxy(x)

        def forward(x):
            count("queries", x)
            return proxy(x), x

        def backward(x, weight):
            count("grads", x)
            return jax.vjp(proxy, x)[1](weight)

        counted.defvjp(forward, backward)
        self.proxy = counted

    def take(self):
        """Queries and gradients since the last time."""
        jax.effects_barrier()
        spent, self.spent = self.spent, Counter()
        return spent["queries"], spent["grads"]
