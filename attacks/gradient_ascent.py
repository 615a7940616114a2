"""Climb the proxy's gradient in the space of legal inputs."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from attacks import _auto_pgd as auto_pgd
from robust import Attack, Cost, bind, choose, finite_or_worst, round_steps

_ADAM = optax.adam(1.0)


class State(NamedTuple):
    x: Any  # current inputs, leaves [M, ...]
    score: jax.Array  # [M]
    grad: Any  # gradient of the score at x, leaves [M, ...]
    start: Any  # where each slot began, leaves [M, ...]
    best: Any  # best inputs so far, leaves [M, ...]
    best_score: jax.Array  # [M]
    optimizer: Any
    t: jax.Array  # [] steps made


def gradient_ascent(
    learning_rate: float | None = None,
    *,
    optimizer: optax.GradientTransformation | str | None = None,
    radius: float = float("inf"),
    norm: str = "linf",
    restarts: int = 1,
    steps: int = 200,
) -> Attack:
    """Climb from base draws by a first-order optimizer and keep the best input seen.

    After each step inputs are pulled back into a ball around their start and then
    made legal by the base's `project`. One step is one query and one gradient. Slots
    are restarts side by side; `restarts` are restarts in time, of every slot.

    Args:
      learning_rate: multiplies the optimizer's update, in units of the input, by
        default 0.02; with "auto", the first step, by default 1.
      optimizer: "auto": steps along the sign of the gradient ("linf") or along the
        gradient, which need no step size: the first is twice the radius, without one
        twice the base draws' standard deviation, and each slot halves its own where it
        stops climbing. Or any optax transformation that minimises and asks for no
        value_fn, made with step size 1; make it once, since another object is another
        program. Default: "auto", or Adam where a learning rate is given. In an l2 or
        l1 ball Adam's steps, alike in all coordinates, end beside the best point:
        take "auto" or `optax.sgd(1.0)` there.
      radius: of the ball, in units of the input; default none.
      norm: "linf" (largest coordinate), "l2" (Euclidean) or "l1" (sum of absolute
        values), over the whole input.
      restarts: share the steps out among so many climbs, each from a fresh base
        draw; slots keep the best input of all of them. More than one is another
        program.
      steps: last checkpoint; the others lie at 1, 2, 5, 10, 20, 50, ... below it,
        at half of it, and at the end of the first climb.

    Raises:
      ValueError: an unknown norm or optimizer, an optimizer that evaluates the proxy
        itself, or a number that is not positive.

    Reference: Madry et al. 2018, arXiv:1706.06083 (projected gradient descent);
    "auto": Croce & Hein 2020, arXiv:2003.01690 (Auto-PGD); "l1": Duchi et al. 2008.
    """
    if norm not in ("linf", "l2", "l1"):
        raise ValueError(f"norm is {norm!r}; give 'linf', 'l2' or 'l1'")
    if isinstance(optimizer, str) and optimizer != "auto":
        raise ValueError(f"optimizer is {optimizer!r}; give 'auto' or optax's own")
    if optimizer is None:
        optimizer = "auto" if learning_rate is None else _ADAM
    _check_asks(optimizer)
    if learning_rate is None:
        learning_rate = 1.0 if optimizer == "auto" else 0.02
    named = {
        "learning_rate": learning_rate, "radius": radius, "restarts": restarts,
        "steps": steps,
    }  # fmt: skip
    for name, value in named.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; give a number above zero")
    climb = jnp.asarray(-(-steps // restarts))  # steps of each
    numbers = jnp.asarray(learning_rate, float), jnp.asarray(radius, float), climb
    shape = {"optimizer": optimizer, "norm": norm}
    return Attack(
        init=bind(_init, numbers, **shape),
        step=bind(_step, numbers, restarts=restarts, **shape),
        sample=bind(_sample),
        info=bind(_info, numbers, norm=norm, paced=optimizer is _ADAM),
        cost=Cost(init=1, queries=1, grads=1),
        steps=tuple(sorted({*round_steps(steps), -(-steps // restarts)})),
        needs=frozenset({"continuous", "gradient"}),
        name="gradient_ascent",
    )


@functools.cache
def _check_asks(optimizer) -> None:
    """Refuse an optimizer that wants more than value and gradient."""
    if optimizer == "auto":
        return
    try:
        jax.eval_shape(
            lambda x: _update(optimizer, x.sum(), x, optimizer.init(x), x), jnp.ones(2)
        )
    except TypeError as error:
        raise ValueError(
            f"the optimizer does not run on values and gradients alone ({error}); give "
            "one without a line search, which would spend queries that nobody counts"
        ) from None


def _update(optimizer, value, grad, memory, x):
    """One update of one slot; some optimizers read the value that they minimise."""
    if isinstance(optimizer, optax.GradientTransformationExtraArgs):
        return optimizer.update(grad, memory, x, value=value, grad=grad)
    return optimizer.update(grad, memory, x)


def _score_and_grad(target, x):
    score, pull = jax.vjp(target.proxy, x)
    (grad,) = pull(jnp.ones_like(score))
    return finite_or_worst(score), grad


def _begin(numbers, x, score, grad, *, optimizer, norm):
    """What the optimizer remembers of climbs that begin at x."""
    learning_rate, radius, _ = numbers
    if optimizer == "auto":
        return auto_pgd.begin(x, score, grad, learning_rate, radius, norm)
    # Optimizers may take norms over a whole tree: one tree per slot keeps rows apart.
    return jax.vmap(optimizer.init)(x)


def _init(numbers, key, z, target, *, optimizer, norm):
    x = target.base.decode(z)
    score, grad = _score_and_grad(target, x)
    memory = _begin(numbers, x, score, grad, optimizer=optimizer, norm=norm)
    return State(x, score, grad, x, x, score, memory, jnp.zeros((), jnp.int32))


def _step(numbers, key, state, target, *, optimizer, norm, restarts):
    learning_rate, radius, climb = numbers
    x, start, memory, t = state.x, state.start, state.optimizer, state.t
    ascent = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), state.grad)

    def legal(moved):
        return target.base.project(_into_ball(moved, start, radius, norm))

    if optimizer == "auto":
        x = auto_pgd.move(memory, x, ascent, legal, norm)
    else:
        descent = jax.tree.map(jnp.negative, ascent)
        update = jax.vmap(functools.partial(_update, optimizer))
        update, memory = update(-state.score, descent, memory, x)
        x = legal(jax.tree.map(lambda x, u: x + learning_rate * u, x, update))
    anew = (t > 0) & (t % climb == 0)
    if restarts > 1:
        fresh = target.base.decode(target.base.sample(key, len(state.score)))
        x, start = _either(anew, (fresh, fresh), (x, start))
    score, grad = _score_and_grad(target, x)
    better = score > state.best_score
    best = choose(better, x, state.best)
    best_score = jnp.maximum(score, state.best_score)
    reached = x, score, grad
    if optimizer == "auto":
        memory, reached = auto_pgd.learn(memory, reached, state, t % climb, climb)
    if restarts > 1:
        begun = _begin(numbers, x, score, grad, optimizer=optimizer, norm=norm)
        arrived = x, score, grad
        memory, reached = _either(anew, (begun, arrived), (memory, reached))
    x, score, grad = reached
    return State(x, score, grad, start, best, best_score, memory, t + 1)


def _either(chosen, new, old):
    return jax.tree.map(lambda a, b: jnp.where(chosen, a, b), new, old)


def _into_ball(x, center, radius, norm):
    """The nearest inputs in balls around the centers, over the whole tree."""
    offset = jax.tree.map(jnp.subtract, x, center)
    if norm == "linf":
        inside = jax.tree.map(lambda o: jnp.clip(o, -radius, radius), offset)
    elif norm == "l2":
        length = jax.vmap(optax.tree.norm)(offset)
        shrink = jnp.minimum(1.0, radius / jnp.maximum(length, 1e-30))
        inside = jax.tree.map(lambda o: o * _rows(shrink, o), offset)
    else:
        flat = jax.vmap(lambda o: ravel_pytree(o)[0])(offset)
        cut = _l1_threshold(jnp.abs(flat), radius)

        def shorten(o):
            return jnp.sign(o) * jnp.maximum(jnp.abs(o) - _rows(cut, o), 0.0)

        inside = jax.tree.map(shorten, offset)
    return jax.tree.map(jnp.add, center, inside)


def _rows(values, leaf):
    """Per-slot values `[M]` with the axes of a leaf."""
    return values.reshape(-1, *[1] * (leaf.ndim - 1))


def _l1_threshold(sizes, radius):
    """What to take off sizes `[M, n]`, down to 0, for a sum of `radius`: `[M]`.

    Reference: Duchi et al. 2008, figure 1.
    """
    falling = -jnp.sort(-sizes, axis=1)
    excess = jnp.cumsum(falling, axis=1) - radius
    cut = excess / jnp.arange(1, sizes.shape[1] + 1)[None]
    held = (falling > cut).sum(axis=1)
    last = jnp.take_along_axis(cut, jnp.maximum(held - 1, 0)[:, None], axis=1)[:, 0]
    return jnp.where(jnp.isfinite(radius), jnp.maximum(last, 0.0), 0.0)


def _sample(key, state, target):
    return state.best


def _info(numbers, key, state, target, *, norm, paced):
    learning_rate, radius, climb = numbers

    def over_input(test):
        parts = [
            test(leaf).reshape(len(leaf), -1).all(axis=1)
            for leaf in jax.tree.leaves(state.grad)
        ]
        return jnp.stack(parts).all(axis=0)

    found = {
        "zero_gradient": over_input(lambda g: g == 0).mean(),
        "nonfinite_gradient": 1 - over_input(jnp.isfinite).mean(),
        "climb": climb,
    }
    if paced:  # Adam moves a coordinate by about the learning rate, not more
        sites = sum(leaf[0].size for leaf in jax.tree.leaves(state.x))
        length = {"linf": 1.0, "l2": float(sites) ** 0.5, "l1": float(sites)}[norm]
        moved = jnp.minimum(state.t, climb) * learning_rate * length
        found["reach"] = jnp.where(jnp.isfinite(radius), moved / radius, jnp.nan)
    return found
