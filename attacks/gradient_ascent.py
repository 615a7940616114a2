"""Climb the proxy's gradient in the space of legal inputs."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from robust import Attack, Cost, bind, finite_or_worst

_ADAM = optax.adam(1.0)


class State(NamedTuple):
    x: Any  # current inputs, leaves [M, ...]
    score: jax.Array  # [M]
    grad: Any  # gradient of the score at x, leaves [M, ...]
    start: Any  # where each slot began, leaves [M, ...]
    best: Any  # best inputs so far, leaves [M, ...]
    best_score: jax.Array  # [M]
    optimizer: Any


def gradient_ascent(
    learning_rate: float = 0.02,
    *,
    optimizer: optax.GradientTransformation = _ADAM,
    radius: float = float("inf"),
    norm: str = "linf",
    steps: int = 200,
) -> Attack:
    """Climb from base draws by an optax optimizer and keep the best input seen.

    After each step inputs are pulled back into a ball around their start and then
    made legal by the base's `project`. One step is one query and one gradient.

    Args:
      learning_rate: multiplies the optimizer's update, in units of the input.
      optimizer: any optax transformation that minimises, made with step size 1;
        make it once, since another object is another program.
      radius: of the ball, in units of the input; default none.
      norm: "linf" (largest coordinate) or "l2" (Euclidean, over the whole input).
      steps: last checkpoint; the others lie at 1, 2, 5, 10, 20, 50, ... below it,
        and at half of it.

    Raises:
      ValueError: an unknown norm, or a radius, step size or count that is not
        positive.

    Reference: Madry et al. 2018, arXiv:1706.06083 (projected gradient descent).
    """
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm is {norm!r}; give 'linf' or 'l2'")
    named = {"learning_rate": learning_rate, "radius": radius, "steps": steps}
    for name, value in named.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; give a number above zero")
    grid = {a * 10**b for a in (1, 2, 5) for b in range(9)}
    plan = {step for step in grid if step < steps} | {steps, max(steps // 2, 1)}
    rates = jnp.asarray(learning_rate, float), jnp.asarray(radius, float)
    return Attack(
        init=bind(_init, optimizer=optimizer),
        step=bind(_step, *rates, optimizer=optimizer, norm=norm),
        sample=bind(_sample),
        info=bind(_info),
        cost=Cost(init=1, queries=1, grads=1),
        steps=tuple(sorted(plan)),
        needs=frozenset({"continuous", "gradient"}),
        name="gradient_ascent",
    )


def _score_and_grad(target, x):
    score, pull = jax.vjp(target.proxy, x)
    (grad,) = pull(jnp.ones_like(score))
    return finite_or_worst(score), grad


def _init(key, z, target, *, optimizer):
    x = target.base.decode(z)
    score, grad = _score_and_grad(target, x)
    # Optimizers may take norms over a whole tree: one tree per slot keeps rows apart.
    return State(x, score, grad, x, x, score, jax.vmap(optimizer.init)(x))


def _step(learning_rate, radius, key, state, target, *, optimizer, norm):
    descent = jax.tree.map(lambda g: -jnp.where(jnp.isfinite(g), g, 0.0), state.grad)
    update, memory = jax.vmap(optimizer.update)(descent, state.optimizer, state.x)
    moved = jax.tree.map(lambda x, u: x + learning_rate * u, state.x, update)
    x = target.base.project(_into_ball(moved, state.start, radius, norm))
    score, grad = _score_and_grad(target, x)
    better = score > state.best_score

    def pick(new, old):
        return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    best = jax.tree.map(pick, x, state.best)
    best_score = jnp.maximum(score, state.best_score)
    return State(x, score, grad, state.start, best, best_score, memory)


def _into_ball(x, center, radius, norm):
    offset = jax.tree.map(jnp.subtract, x, center)
    if norm == "linf":
        inside = jax.tree.map(lambda o: jnp.clip(o, -radius, radius), offset)
    else:
        length = jax.vmap(optax.global_norm)(offset)
        shrink = jnp.minimum(1.0, radius / jnp.maximum(length, 1e-30))
        inside = jax.tree.map(
            lambda o: o * shrink.reshape(-1, *[1] * (o.ndim - 1)), offset
        )
    return jax.tree.map(jnp.add, center, inside)


def _sample(key, state, target):
    return state.best


def _info(key, state, target):
    def over_input(test):
        parts = [
            test(leaf).reshape(len(leaf), -1).all(axis=1)
            for leaf in jax.tree.leaves(state.grad)
        ]
        return jnp.stack(parts).all(axis=0)

    return {
        "zero_gradient": over_input(lambda g: g == 0).mean(),
        "nonfinite_gradient": 1 - over_input(jnp.isfinite).mean(),
    }
