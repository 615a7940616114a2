"""Planted targets whose best score is known, and a proxy that counts its callers."""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from robust.base import Base, Policy, box, gaussian, tokens, tunable
from robust.bind import bind
from robust.target import Embedded, Target

SITES, VOCABULARY = 6, 4  # of the motif


class Weights(NamedTuple):
    """Of a planted proxy; only these numbers differ between targets at one place.

    Attributes:
      center: where the best score lies, `[sites]`.
      scale: multiplies scores; 0 is a constant proxy.
      knee: scores above it are divided by 4, which keeps their order.
      hole: where the first coordinate exceeds it neither score nor gradient is a
        number.
    """

    center: Any
    scale: Any
    knee: Any
    hole: Any


class Place(NamedTuple):
    """A planted problem; its best score is 0.

    Attributes:
      score: `(center, x) -> [num]`, at most 0, and 0 at the center; of tokens, x are
        the one-hot rows.
      base: the ordinary inputs, whose first coordinate stands for itself.
      center: of the problem. Inputs there lie beyond `hole`.
      elsewhere: another center.
      knee: a score that base draws reach and pass.
      hole: a value that some base draws exceed in their first coordinate.
    """

    score: Callable
    base: Base
    center: tuple[float, ...]
    elsewhere: tuple[float, ...]
    knee: float
    hole: float


def _quadratic(center, x):
    return -((x - center[None]) ** 2).sum(axis=1)


def _rastrigin(center, x):
    # Ten wells a side, as in the usual box of -5.12 to 5.12.
    offset = 10 * (x - center[None])
    ripple = 10 * (1 - jnp.cos(2 * jnp.pi * offset))
    return -(offset**2 + ripple).sum(axis=1)


def _matches(center, rows):
    wanted = jax.nn.one_hot(center, VOCABULARY)
    return (rows * wanted[None]).sum(axis=(1, 2)) - float(SITES)


def _normal_sample(params, key, num):
    mean, log_std = params
    noise = jax.random.normal(key, (num, len(mean)))
    return mean[None] + jnp.exp(log_std)[None] * noise


def _normal_log_prob(params, z):
    mean, log_std = (param[None] for param in params)
    return jax.scipy.stats.norm.logpdf(z, mean, jnp.exp(log_std)).sum(axis=1)


def _token_sample(logits, key, num):
    return tokens(SITES, VOCABULARY, logits).sample(key, num)


def _token_log_prob(logits, z):
    table = jax.nn.log_softmax(logits)
    return table[jnp.arange(SITES)[None], z].sum(axis=1)


def _places() -> dict[str, Place]:
    normal, sequence = gaussian(4), tokens(SITES, VOCABULARY)
    bell = Policy((jnp.zeros(4), jnp.zeros(4)), _normal_sample, _normal_log_prob)
    letters = jnp.zeros((SITES, VOCABULARY))
    writer = Policy(letters, _token_sample, _token_log_prob)
    motif = tunable(writer, sequence.move)._replace(project=sequence.project)
    return {
        "bowl": Place(
            _quadratic, box(4), (0.8, 0.3, 0.6, 0.5), (0.5,) * 4, knee=-0.1, hole=0.6
        ),
        "rugged": Place(
            _rastrigin, box(4), (0.7, 0.4, 0.2, 0.5), (0.5,) * 4, knee=-60.0, hole=0.6
        ),
        "motif": Place(
            _matches, motif, (2, 0, 3, 1, 1, 2), (1,) * SITES, knee=-4.0, hole=1.5
        ),
        "hill": Place(
            _quadratic, tunable(bell, normal.move), (1.5, -1.0, 0.5, 0.0), (0.5,) * 4,
            knee=-2.0, hole=0.8,
        ),
    }  # fmt: skip


PLACES = _places()


def aim(place: str, **weights) -> Target:
    """Build a planted target: "bowl", "rugged", "motif" or "hill".

    "bowl": a quadratic in a box; "rugged": Rastrigin's function there; "motif": how
    many of six tokens match, through a one-hot embedding; "hill": a quadratic on a
    normal base. The last two have a tunable base.

    Args:
      place: which of them.
      **weights: those of `Weights` that differ from the plain problem.
    """
    found = PLACES[place]
    inf = float("inf")
    plain = Weights(found.center, scale=1.0, knee=inf, hole=inf)
    # Centers of tokens are whole numbers and stay so.
    wanted = jax.tree.map(jnp.asarray, plain._replace(**weights), is_leaf=_is_center)
    proxy = bind(_planted, wanted, score=found.score)
    if place == "motif":
        proxy = Embedded(jnp.eye(VOCABULARY), proxy)
    return Target(proxy, found.base)


def _is_center(node):
    return isinstance(node, tuple) and not isinstance(node, Weights)


def _planted(weights, x, *, score):
    raw = weights.scale * score(weights.center, x)
    first = x[:, 0] if x.ndim == 2 else x[:, 0].argmax(axis=1)
    defined = jnp.where(first > weights.hole, jnp.nan, 1.0)
    return jnp.where(raw > weights.knee, raw / 4, raw) * defined


class Tally:
    """A proxy that counts the rows it scores and the rows it is differentiated at."""

    def __init__(self, proxy: Callable):
        self.spent = Counter()

        def count(what, x):
            def add(x):
                self.spent[what] += len(x)

            jax.debug.callback(add, jax.tree.leaves(x)[0])

        head = proxy.head if isinstance(proxy, Embedded) else proxy

        @jax.custom_vjp
        def counted(x):
            count("queries", x)
            return head(x)

        def forward(x):
            count("queries", x)
            return head(x), x

        def backward(x, weight):
            count("grads", x)
            return jax.vjp(head, x)[1](weight)

        counted.defvjp(forward, backward)
        embedded = isinstance(proxy, Embedded)
        self.proxy = proxy._replace(head=counted) if embedded else counted

    def take(self) -> tuple[int, int]:
        """Queries and gradients since the last time."""
        jax.effects_barrier()
        spent, self.spent = self.spent, Counter()
        return spent["queries"], spent["grads"]
