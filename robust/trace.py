"""Drive an attack against a target: the only optimization loop in the library."""

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import numpy as np

from robust.attack import Attack, Cost, check_needs
from robust.rows import attack_of, over_rows, rows_of, streams
from robust.target import (
    PerSeed,
    Target,
    as_pytree,
    capabilities,
    check_scores,
    input_struct,
    resolve,
)


class Trace(NamedTuple):
    """What an attack found along pressure. All arrays are host numpy.

    S rows (seeds, or prompts x seeds), T checkpoints (0 is the base), M slots, of
    which the first K are kept for the judge.

    Attributes:
      x: kept inputs, pytree of `[S, T, K, ...]`.
      proxy: raw proxy scores of all slots, `[S, T, M]`.
      info: what the attack says of itself, name -> `[S, T, ...]`.
      steps, queries, grads: spent per slot at each checkpoint, `[T]`.
      unit: the independent unit of each row, `[S]`: its seed, or its prompt where
        there are several.
      context: the prompt of each row, pytree of `[S, ...]`, or None.
      names: what made it: attack, and the like.
    """

    x: Any
    proxy: np.ndarray
    info: dict[str, np.ndarray]
    steps: np.ndarray
    queries: np.ndarray
    grads: np.ndarray
    unit: np.ndarray
    context: Any
    names: dict[str, str]


class Checkpoint(NamedTuple):
    """A run that can go on: pass it as `run(resume=...)`.

    Attributes:
      done: number of checkpoints that `looks` holds, the base included.
      steps: step counts of all checkpoints of the run, `[T]`.
      state: leaves of the attack's state after the last of them, `[S, ...]` each.
      looks: per checkpoint done, the leaves of `(x, proxy, info)`, `[S, ...]` each.
    """

    done: int
    steps: tuple[int, ...]
    state: list
    looks: list[list]


def run(
    attack: Attack,
    target,
    key: jax.Array,
    *,
    steps: int | Sequence[int] | None = None,
    queries: int | None = None,
    seeds: int = 8,
    slots: int | None = None,
    keep: int = 64,
    context: Any = None,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
    resume: Checkpoint | None = None,
    deterministic: bool = False,
    variants: int | None = None,
) -> Trace:
    """Run an attack over seeds and checkpoints and return what it found.

    Row 0 is the base, and the same draws for every attack that gets the same key
    and slots. Same key, shapes and machine: same bits, resumed or not.

    Args:
      attack: see `Attack`.
      target: a `Target`, a `PerSeed`, or with `context` a function from one prompt
        to a `Target`.
      key: a typed key, `jax.random.key(0)`.
      steps: checkpoints to stop at, or the last of them. Default: the attack's own.
      queries: instead of steps, a budget of proxy evaluations per slot.
      seeds: independent repetitions S.
      slots: parallel candidates M. Default: what the attack asks for.
      keep: candidates K <= M to keep for the judge.
      context: pytree of prompts `[P, ...]`; rows are then prompt x seed.
      on_checkpoint: called after each checkpoint, for progress and for saving.
      resume: a `Checkpoint` of the same run.
      deterministic: run seeds one after the other, so that a seed gives the same
        bits whatever seeds run beside it.
      variants: number A of attacks stacked in one, leaves `[A, ...]`; rows are then
        variant x prompt x seed. `robust.sweep` stacks and takes apart.

    Raises:
      NeedsError: the target lacks what the attack needs.
      ValueError: counts below one, wrong shapes, a checkpoint of another run.
    """
    slots = attack.slots if slots is None else slots
    for name, value in (("seeds", seeds), ("slots", slots), ("keep", keep)):
        if value < 1:
            raise ValueError(f"{name} is {value}; give a whole number above zero")
    if isinstance(target, PerSeed) and target.seeds != seeds:
        raise ValueError(
            f"the target is drawn for {target.seeds} seeds and {seeds} were asked; "
            f"make the task with seeds={seeds}"
        )
    if not (callable(target) or isinstance(target, Target | PerSeed)):
        resolve(target)  # says what a target is
    keep = min(keep, slots)
    plan = checkpoints(attack, steps=steps, queries=queries)
    rows, unit = rows_of(key, seeds, context, variants)
    target = as_pytree(target)
    functions = tuple(attack[:4])
    options = {"deterministic": deterministic, "keep": keep}
    open_run = functools.partial(_open, attack, target, rows, slots, **options)
    if resume is None:
        state, look = open_run()
        looks = [jax.tree.leaves(look)]
    else:
        state, look = _restore(resume, open_run, plan, (len(unit), slots))
        looks = [*resume.looks]
    for done in range(len(looks), len(plan) + 1):
        if on_checkpoint:
            looks[-1] = _on_host(looks[-1])
            on_checkpoint(Checkpoint(done, plan, jax.tree.leaves(state), [*looks]))
        if done < len(plan):
            bounds = np.asarray(plan[done - 1 : done + 1])
            state, look = _advance(functions, target, rows, state, bounds, **options)
            looks[-1] = _on_host(looks[-1])  # while steps run
            looks.append(jax.tree.leaves(look))
    spent = _spent(attack.cost, plan)
    context = None if rows.context is None else jax.device_get(rows.context)
    x, proxy, info = jax.tree.unflatten(jax.tree.structure(look), _stack(looks))
    return Trace(x, proxy, info, *spent, unit, context, {"attack": attack.name})


def checkpoints(
    attack: Attack,
    *,
    steps: int | Sequence[int] | None = None,
    queries: int | None = None,
) -> tuple[int, ...]:
    """Step counts to look at, 0 (the base) first.

    Raises:
      ValueError: both or neither budget fits, or steps do not increase.
    """
    if steps is not None and queries is not None:
        raise ValueError("got steps and queries; give one budget, not both")
    if queries is not None:
        if attack.cost.queries < 1:
            raise ValueError(f"{attack.name} makes no queries; give steps instead")
        steps = (queries - attack.cost.init) // attack.cost.queries
        if steps < 1:
            least = attack.cost.init + attack.cost.queries
            raise ValueError(
                f"queries is {queries}; {attack.name} needs at least {least} per slot"
            )
    if steps is None:
        steps = attack.steps
    elif isinstance(steps, int):
        steps = (*(step for step in attack.steps if step < steps), steps)
    plan = (0, *(operator.index(step) for step in steps))
    if len(plan) < 2 or any(a >= b for a, b in itertools.pairwise(plan)):
        raise ValueError(
            f"steps are {plan[1:]}; give increasing whole numbers above zero"
        )
    return plan


def _open(attack, target, rows, slots, *, deterministic, keep):
    """State and look at the base, row 0."""
    how = {"deterministic": deterministic}
    z, x, proxy = _draw_base(target, rows, slots=slots, keep=keep, **how)
    who = {"needs": attack.needs, "name": attack.name}
    state, info = _begin(tuple(attack[:4]), target, rows, z, **who, **how)
    return state, (x, proxy, info)


def _restore(resume: Checkpoint, open_run, plan, shape: tuple[int, int]):
    """State of a checkpoint in this run's structure, and the shape of its looks."""
    state, look = jax.eval_shape(open_run)
    got = [leaf.shape for leaf in resume.looks[-1]]
    if resume.steps != plan or got != [leaf.shape for leaf in jax.tree.leaves(look)]:
        raise ValueError(
            f"the checkpoint is of a run with steps {resume.steps} and arrays {got}, "
            f"this run has {plan} and {shape} rows and slots; resume with the same "
            "settings"
        )
    return jax.tree.unflatten(jax.tree.structure(state), resume.state), look


def _spent(cost: Cost, plan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    steps = np.asarray(plan)
    # Row 0 is scored by the driver; an attack has spent nothing there yet.
    begun = steps > 0
    queries = cost.init + cost.queries * steps
    return steps, begun * queries, begun * (cost.first_grads + cost.grads * steps)


def _on_host(look: list) -> list[np.ndarray]:
    """Copies, once: a view would hold on to the device's memory."""
    return [a if isinstance(a, np.ndarray) else np.array(a) for a in look]


def _stack(looks: list[list]) -> list[np.ndarray]:
    """Looks as one array per leaf, `[S, T, ...]`; the last is waited for last."""
    stacked = [
        np.empty((len(leaf), len(looks), *leaf.shape[1:]), leaf.dtype)
        for leaf in looks[-1]
    ]
    for t, look in enumerate(looks):
        for whole, leaf in zip(stacked, look, strict=True):
            whole[:, t] = leaf
    return stacked


def _look(functions, target, state, key, keep: int):
    """What is recorded at a checkpoint; the driver scores, never the attack."""
    key_sample, key_info = jax.random.split(key)
    x = functions[2](key_sample, state, target)
    proxy = target.proxy(x)
    num = len(jax.tree.leaves(x)[0])
    check_scores(proxy, num)
    chex.assert_trees_all_equal_shapes_and_dtypes(x, input_struct(target, num))
    kept = jax.tree.map(lambda leaf: leaf[:keep], x)
    return kept, proxy, functions[3](key_info, state, target)


@functools.partial(jax.jit, static_argnames=("slots", "keep", "deterministic"))
def _draw_base(target, rows, *, slots, keep, deterministic):
    """Row 0: a program of its own, which all attacks with as many slots share."""

    def one(row):
        bound = resolve(target, row.seed, row.context)
        capabilities(bound)  # names what is wrong with a target
        z = bound.base.sample(streams(row.key)[0], slots)
        x = bound.base.decode(z)
        proxy = bound.proxy(x)
        check_scores(proxy, slots)
        return z, jax.tree.map(lambda leaf: leaf[:keep], x), proxy

    return over_rows(one, rows, deterministic=deterministic)


@functools.partial(jax.jit, static_argnames=("deterministic", "needs", "name"))
def _begin(functions, target, rows, z, *, deterministic, needs, name):
    """State at the base; needs are checked here, where another call costs nothing."""

    def one(row, z):
        bound = resolve(target, row.seed, row.context)
        init, step, look, info = attack_of(functions, row)
        own = Attack(init, step, look, info, Cost(0, 0), (), needs, name)
        check_needs(own, bound)
        _, key_init, _, key_look = streams(row.key)
        state = init(key_init, z, bound)
        # Weakly typed leaves would make the second call of _advance another program.
        state = jax.tree.map(lambda a: jax.lax.convert_element_type(a, a.dtype), state)
        return state, info(jax.random.fold_in(key_look, 0), state, bound)

    return over_rows(one, rows, z, deterministic=deterministic)


@functools.partial(jax.jit, static_argnames=("deterministic", "keep"))
def _advance(functions, target, rows, state, bounds, *, deterministic, keep):
    def go(row, state):
        bound, own = resolve(target, row.seed, row.context), attack_of(functions, row)
        _, _, key_step, key_look = streams(row.key)

        def push(t, state):
            return own[1](jax.random.fold_in(key_step, t), state, bound)

        state = jax.lax.fori_loop(bounds[0], bounds[1], push, state)
        key = jax.random.fold_in(key_look, bounds[1])
        return state, _look(own, bound, state, key, keep)

    return over_rows(go, rows, state, deterministic=deterministic)
