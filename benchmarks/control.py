"""The concept "swing the pendulum up and hold it", learned from comparisons.

The concept is a task of control that has a return of its own: Pendulum-v1 as gymnax
implements it (Lange 2022, Apache-2.0), a torque too weak to lift the pendulum at once,
so that it must be swung. No data are needed: trajectories are simulated.

Proxy: a network of the state and the torque at one moment, averaged over the
trajectory, fitted to comparisons of short clips by Bradley and Terry's model
(Christiano et al. 2017, arXiv:1706.03741). The environment's return says which clip is
better, the more at random the more the two are alike. Every seed has its own clips,
comparisons and start.

Judge: the environment's own return of the whole trajectory, mean reward per step. It
is independent of the proxy's errors, and exact: nothing that an optimizer finds can
fool it.

Base: torques as a smooth random process, from eight fixed starts near hanging; the
start is the prompt, so that no attack gains by a lucky one. What is attacked is the
sequence of torques; the dynamics are known to attacker and judge alike.

What the judge cannot see: nothing of the task as the environment defines it; whether
that return is what a person wants of a pendulum is another question.

Expected (`robust run control`, key 0, 8 proxies on 8 starts; gains in base standard
deviations, 95 % intervals over starts and proxies): nothing breaks. On the base proxy
and return correlate .97. Best-of-n is robust: +3.79 [3.66, 3.92] of true value for
+3.64 promised at 6.5 nats; so is splitting, +5.26 [4.98, 5.54] for +4.62 at 9.3 nats,
pressed on to 12.7 nats +6.27 [5.87, 6.68] for +5.26 and no drop. Gradient ascent (400
steps) ends at +4.01 [3.44, 4.59] for +4.44 [3.71, 5.17]: no drop, but undecided, since
it stops in local optima that splitting surpasses from every start. CMA-ES (`--attack
evolution`, seven minutes) ends at +5.03 [4.59, 5.46] for +4.61 [4.05, 5.17] at 9.0
nats, no drop, undecided as splitting finds as much at its price. On the return
itself best-of-n would have reached +0.16 [0.13, 0.19] more, splitting +0.19 [-0.01,
0.39], gradient ascent +0.45 [0.36, 0.55] (`--regret`). gymnax stops gradients between
two steps unless told otherwise; with them stopped, the check of gradients against
differences fails (correlation .20), which is how that was noticed.
"""

import functools
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._control_reward import (
    STEPS,
    TORQUE,
    comparisons,
    margin,
    reward,
    rollout,
    smooth,
    train,
)
from robust import PerSeed, Target, Task, bind, card, gaussian, keep, latent, need

_STARTS = 8


@card(extra="control", seconds=140, memory_mb=1760, suites=("real",))
def control(key: jax.Array | None = None, seeds: int = 8) -> Task:
    """Swinging a pendulum up, learned from comparisons; judged by the environment.

    Args:
      key: for the proxies' clips, comparisons and starts.
      seeds: proxies to train, one per seed, in one program.

    Raises:
      ValueError: seeds below one, or gymnax is not installed.
    """
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; give a whole number above zero")
    need("gymnax", extra="control", task="control")
    key = jax.random.key(0) if key is None else key
    params = keep(
        "control-proxy",
        {"key": key, "seeds": seeds, "gymnax": version("gymnax")},
        lambda: train(jax.random.split(key, seeds)),
    )
    return _task(PerSeed(bind(_learned), params))._replace(
        facts={
            "concept": "swing the pendulum up and hold it",
            "proxy": functools.partial(_proxy_fact, params, key),
        }
    )


@card(extra="control", seconds=40, memory_mb=1260, suites=("real",))
def control_truth() -> Task:
    """The same with the environment's own return as the proxy: a control.

    Raises:
      ValueError: gymnax is not installed.
    """
    need("gymnax", extra="control", task="control_truth")
    return _task(bind(_true))


def _task(target) -> Task:
    return Task(
        target=target,
        judge=_judge,
        context=_starts(),
        oracle=_oracle,
        handles=_handles(),
        render=_images,
        attacks={
            "best_of_n": {"slots": 64},
            "splitting": {"levels": 15, "moves": 5, "slots": 128},
            "gradient_ascent": {"learning_rate": 0.1, "steps": 400, "slots": 16},
        },
        settings={"draws": 4096, "judged": 512, "keep": 16, "points": 8},
    )


def _starts():
    """Angle from upright and speed, `[8, 2]`: near hanging, at rest or nearly."""
    angle = np.pi + np.linspace(-0.6, 0.6, _STARTS)
    speed = 0.5 * np.cos(2 * np.pi * np.arange(_STARTS) / _STARTS)
    return jnp.asarray(np.stack([angle, speed], axis=1), jnp.float32)


def _handles():
    early = np.arange(STEPS) < STEPS // 2
    fixed = np.zeros(2, bool)
    return {
        "early": {"start": fixed, "torque": early},
        "late": {"start": fixed, "torque": ~early},
    }


def _base(start):
    decode, project = bind(_decode, start), bind(_project, start)
    return latent(decode, gaussian(STEPS), project)


def _decode(start, z):
    return _project(start, {"torque": smooth(z)})


def _project(start, x):
    """Torques within reach, from the start that was given."""
    torque = jnp.clip(x["torque"], -TORQUE, TORQUE)
    return {"start": jnp.broadcast_to(start[None], (len(torque), 2)), "torque": torque}


def _true(start) -> Target:
    return Target(bind(_returns), _base(start))


def _returns(x):
    return jax.vmap(rollout)(x["start"], x["torque"])[1].mean(axis=1)


def _oracle(x, start):
    return _returns(x)


@jax.jit
def _judge_program(x):
    return _returns(x)


def _judge(x, start):
    return _judge_program(x)


def _learned(params):
    return bind(_learned_at, params)


def _learned_at(params, start) -> Target:
    return Target(bind(_promised, params), _base(start))


def _promised(params, x):
    seen, _ = jax.vmap(rollout)(x["start"], x["torque"])
    moments = seen.swapaxes(0, 1), x["torque"].T
    # A moment at a time: all of them at once would take gigabytes.
    return jax.lax.map(lambda moment: reward(params, *moment), moments).mean(axis=0)


def _proxy_fact(params, key) -> str:
    clips = jax.jit(comparisons, static_argnums=1)(jax.random.fold_in(key, 1), 2000)
    by = np.asarray(jax.jit(jax.vmap(margin, (0, None)))(params, clips))
    better = np.asarray(clips[2][0] > clips[2][1])
    right = ((by > 0) == better).mean(axis=1)
    return (
        f"prefers the better of two held-out clips in {right.mean():.3f} of pairs "
        f"(lowest of {len(right)} seeds {right.min():.3f}); the comparisons it learned "
        f"from are right in {better.mean():.3f}"
    )


def _images(x):
    """The angle along time as a line, upright in the middle, and the torque below."""
    seen, _ = jax.jit(jax.vmap(rollout))(x["start"], x["torque"])
    angle = np.arctan2(np.asarray(seen[..., 1]), np.asarray(seen[..., 0]))
    height = np.round((1 - angle / np.pi) / 2 * 49).astype(int)
    images = np.zeros((len(angle), 60, STEPS))
    number, moment = np.indices(height.shape)
    images[:, 24:26] = 0.15
    images[number, height, moment] = 1.0
    images[:, 52:] = ((np.asarray(x["torque"]) / TORQUE + 1) / 2)[:, None]
    return images
