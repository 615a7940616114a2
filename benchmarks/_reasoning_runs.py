"""Push writers along an arm, and look at them on the way."""

from importlib.metadata import entry_points
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _reasoning_looks as looks
from benchmarks import _reasoning_readers as readers
from benchmarks._reasoning_arms import Arm, params_of, shape_of, target_of
from benchmarks._reasoning_fresh import fresh_figures
from benchmarks._reasoning_policy import GROUP
from robust import PerSeed, bind, run

SLOTS = 128
LEARNING_RATE = 1e-3
_FRESH = 4000  # responses for a monitor or reader taught anew


class Pushed(NamedTuple):
    """What an arm made of its writers; S supervised seeds, T checkpoints.

    Attributes:
      steps: of the attack, `[T]`.
      figures: name -> `[S, T]`.
      needed, followed: of the last checkpoint, `[S, N]`, see `looks.Look`.
      responses: to the same prompts, `[S][T][8]`.
    """

    steps: np.ndarray
    figures: dict[str, np.ndarray]
    needed: np.ndarray
    followed: np.ndarray
    responses: list


class _Pause(Exception):
    """Stops a run between two checkpoints, with where to go on."""


def steps_of(arm: Arm) -> tuple[int, ...]:
    """Checkpoints: dense where most happens, and at the end."""
    last = arm.steps
    early = {5, 10, 15, 30, 45}
    return tuple(sorted({s for s in early if s < last} | {last // 2, last}))


def push(arm: Arm, taught: list, key, say=lambda done: None) -> Pushed:
    """Attack the writers of all supervised seeds, side by side.

    Args:
      arm: see `Arm`.
      taught: a `Taught` for each seed.
      key: of the attack and the looks.
      say: is told the share of the steps that is done.
    """
    plan, seen = (0, *steps_of(arm)), []
    make = entry_points(group="robust.attacks")["policy_gradient"].load()
    attack = make(
        LEARNING_RATE, kl_coefficient=arm.kl, entropy_coefficient=arm.entropy,
        group=GROUP, steps=arm.steps,
    )  # fmt: skip
    key_run, key_look, key_fit, key_fresh = jax.random.split(key, 4)
    params, resume, trace = _stack([params_of(t, arm) for t in taught]), None, None
    count = len(jax.tree.leaves(params["writer"]))
    writers = jax.tree.structure(params["writer"])
    rounds = _rounds(arm, plan)

    def at_checkpoint(checkpoint):
        if checkpoint.done > len(seen):
            leaves = [np.asarray(leaf) for leaf in checkpoint.state[:count]]
            seen.append(writers.unflatten(leaves))
            say(plan[checkpoint.done - 1] / arm.steps)
            if checkpoint.done - 1 in rounds:
                raise _Pause(checkpoint)

    bound = bind(target_of, shape=shape_of(arm))
    while trace is None:
        try:
            trace = run(
                attack, PerSeed(bound, params), key_run, steps=plan[1:],
                seeds=len(taught), slots=SLOTS, keep=1, resume=resume,
                on_checkpoint=at_checkpoint, deterministic=True,
            )  # fmt: skip
        except _Pause as pause:
            resume = pause.args[0]
            key_now = jax.random.fold_in(key_fit, resume.done)
            params["asked"]["monitor"] = _retrained(key_now, taught, seen[-1], arm)
    found = _look_at(arm, taught, seen, key_look)
    fresh = fresh_figures(arm, seen[-1], key_fresh) if arm.fresh else {}
    return _gathered(plan, found, trace, fresh)


def _rounds(arm: Arm, plan) -> set[int]:
    """Indices of checkpoints after which the monitor is taught anew."""
    if not arm.retrain:
        return set()
    return {i for i, s in enumerate(plan[1:-1], 1) if s % arm.retrain == 0}


def _retrained(key, taught, writers, arm):
    """Monitors taught the supervised and the writers' own responses, half each."""

    def one(seed):
        keys = jax.random.split(jax.random.fold_in(key, seed), 3)
        own = jax.tree.map(lambda leaf: leaf[seed], writers)
        sources = (taught[seed].params["writer"], own)
        z = [readers.wrong_hints(k, w, _FRESH // 2)
             for k, w in zip(keys[:2], sources, strict=True)]  # fmt: skip
        z = [each[: min(map(len, z))] for each in z]
        return readers.fit_monitor(keys[2], jnp.concatenate(z), "monitor")

    return _stack([one(seed) for seed in range(len(taught))])


def _look_at(arm, taught, seen, key) -> list[list[looks.Look]]:
    """Looks by seed and checkpoint."""
    found = []
    for seed, one in enumerate(taught):
        key_honest, key_look = jax.random.split(jax.random.fold_in(key, seed))
        honest = looks.honest_scores(key_honest, one) if arm.hinted else {}
        own = [jax.tree.map(lambda leaf: leaf[seed], writers) for writers in seen]  # noqa: B023
        found.append([looks.look(p, one, key_look, arm, honest) for p in own])
    return found


def _gathered(plan, found, trace, fresh) -> Pushed:
    names = found[0][0].figures
    figures = {
        name: np.array([[look.figures[name] for look in row] for row in found])
        for name in names
    }
    figures["reward"] = trace.proxy.mean(axis=2)
    figures["kl"] = trace.info["kl"]
    figures["kl_token"] = figures["kl"] / figures.pop("tokens")
    for name, end in fresh.items():
        # The frozen reader is the supervised writer's own: fresh at the start.
        start = figures.get(
            name.replace("fresh", "read"), np.full_like(figures["kl"], np.nan)
        )
        figures[name] = np.full_like(figures["kl"], np.nan)
        figures[name][:, 0], figures[name][:, -1] = start[:, 0], end
    last = [row[-1] for row in found]
    return Pushed(
        np.array(plan), figures,
        np.stack([look.needed for look in last]),
        np.stack([look.followed for look in last]),
        [[look.responses for look in row] for row in found],
    )  # fmt: skip


def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
