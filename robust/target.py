"""What an attack may see: the proxy and the base. The judge is never in it."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from robust.base import Base
from robust.bind import bind
from robust.blame import blame


class Target(NamedTuple):
    """All that an attack sees.

    Attributes:
      proxy: `x -> [num]`, the score to maximise. Row i of the output depends on
        row i of the input only.
      base: the distribution of ordinary inputs.
    """

    proxy: Callable
    base: Base

    def score(self, z):
        """Score latents: `z -> [num]`, with non-finite scores as -inf.

        Attacks compare scores; a NaN that compared false everywhere would be
        neither better nor worse. The driver keeps the raw scores and counts them.
        """
        return finite_or_worst(self.proxy(self.base.decode(z)))


class Embedded(NamedTuple):
    """A proxy on tokens that shows its embedding: `head(table[x])`.

    Integers have no gradient; the embedded tokens have one, from which an attack
    reads what each swap of a token would gain to first order.

    Attributes:
      table: `[vocabulary, ...]`; `jnp.eye(vocabulary)` for a head on one-hot rows.
      head: `[num, length, ...] -> [num]`.
    """

    table: Any
    head: Callable

    def __call__(self, x):
        return self.head(self.embed(x))

    def embed(self, x):
        """Look tokens up: `[num, length]` to `[num, length, ...]`."""
        return jnp.asarray(self.table)[x]


class PerSeed(NamedTuple):
    """One target for each seed, such as a proxy that is trained anew per seed.

    Attributes:
      bind: `params -> Target` (or, with prompts, `params -> context -> Target`).
      params: pytree whose leaves have a leading seed axis [S, ...].
    """

    bind: Callable
    params: Any

    @property
    def seeds(self) -> int:
        return len(jax.tree.leaves(self.params)[0])


def finite_or_worst(scores):
    """Replace non-finite scores by -inf, below every finite score."""
    return jnp.where(jnp.isfinite(scores), scores, -jnp.inf)


def as_pytree(target):
    """Wrap plain functions in a target so that it can be an argument of jit."""
    return jax.tree.map(lambda leaf: bind(leaf) if callable(leaf) else leaf, target)


def resolve(target, seed=0, context=None) -> Target:
    """Bind a target to one seed and one prompt; both may be traced."""
    if isinstance(target, PerSeed):
        target = target.bind(jax.tree.map(lambda leaf: leaf[seed], target.params))
    if not isinstance(target, Target):
        if not callable(target):
            raise ValueError(
                f"the task's target is {target!r}; give a robust.Target, a "
                "robust.PerSeed, or with prompts a function of one prompt"
            )
        target = target(context)
    return target


def input_struct(target: Target, num: int):
    """Shapes and dtypes of `num` inputs, without drawing any."""

    def draw(key):
        return target.base.decode(target.base.sample(key, num))

    return jax.eval_shape(draw, jax.random.key(0))


def check_scores(scores, num: int) -> None:
    """Raise ValueError unless `scores` is one number per candidate, shape [num]."""
    shape = getattr(scores, "shape", None)
    if shape != (num,):
        got = type(scores).__name__ if shape is None else f"shape {shape}"
        raise ValueError(
            f"proxy returned {got} for {num} candidates; "
            f"return one score per candidate, shape ({num},)"
        )
    if not jnp.issubdtype(scores.dtype, jnp.floating):
        raise ValueError(
            f"proxy returned {scores.dtype} scores; return floats, "
            "for instance scores.astype(float)"
        )


def capabilities(target: Target) -> frozenset[str]:
    """Name what the target offers to attacks, in the words of `Attack.needs`.

    "move", "log_prob", "policy": the base has them. "continuous": inputs are
    floats. "tokens": inputs are integers. "gradient": the proxy is differentiable
    in continuous inputs. "embedding": an `Embedded` proxy on tokens `[num, length]`,
    whose head is differentiable. Nothing is evaluated, only traced.

    Raises:
      ValueError: the proxy fails, or does not return one float per candidate.
    """
    leaves, tree = jax.tree.flatten(as_pytree(target))
    return _capabilities(tree, tuple(map(_struct, leaves)))


def _struct(leaf):
    dtype = getattr(leaf, "dtype", None)
    return jax.ShapeDtypeStruct(
        jnp.shape(leaf), jnp.result_type(leaf) if dtype is None else dtype
    )


@functools.lru_cache(maxsize=64)
def _capabilities(tree, leaves) -> frozenset[str]:
    """The same for any target of this structure; tracing a network takes a while."""
    target = tree.unflatten(leaves)
    base = target.base
    fields = ("move", "log_prob", "policy")
    found = {name for name in fields if getattr(base, name) is not None}
    part = "base"
    try:
        x = jax.eval_shape(_two_inputs, target)
        part = "proxy"
        scores = jax.eval_shape(lambda t, x: t.proxy(x), target, x)
    except Exception as error:
        raise ValueError(f"the {part} failed: {blame(error)}") from error
    check_scores(scores, 2)
    kinds = [leaf.dtype for leaf in jax.tree.leaves(x)]
    if all(jnp.issubdtype(kind, jnp.integer) for kind in kinds):
        found.add("tokens")
        if isinstance(target.proxy, Embedded) and x.ndim == 2:
            rows = jax.eval_shape(lambda t, x: t.proxy.embed(x), target, x)
            if _differentiable(lambda t, rows: t.proxy.head(rows), target, rows):
                found.add("embedding")
    if all(jnp.issubdtype(kind, jnp.floating) for kind in kinds):
        found.add("continuous")
        if _differentiable(lambda t, x: t.proxy(x), target, x):
            found.add("gradient")
    return frozenset(found)


def _two_inputs(target):
    return target.base.decode(target.base.sample(jax.random.key(0), 2))


def _differentiable(score, target, x) -> bool:
    try:
        jax.eval_shape(jax.grad(lambda x, t: score(t, x).sum()), x, target)
    except Exception:
        # JAX raises many types here (a callback, an integer output, a custom rule
        # that is missing); each means that this proxy has no gradient to offer.
        return False
    return True
