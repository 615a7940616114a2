"""Does an attack find an optimum that was planted for it?"""

import jax
import jax.numpy as jnp
import numpy as np

from robust.attack import Attack
from robust.bind import bind
from robust.target import Target, capabilities
from robust.trace import run

_DRAWS = 1024  # base draws for the scales
_HEIGHT = 10.0  # spread of the planted bowl over that of the proxy


def canary(attack: Attack, target: Target, key, *, seeds=4, slots=64) -> np.ndarray:
    """Plant a known optimum in a proxy and measure how near an attack comes to it.

    A bowl around one base draw, as wide as the base and ten times as deep as the
    proxy varies, is added to the proxy. An attack that works comes near its bottom.
    A search hindered by the proxy's own slopes, or too short, does not. What the
    proxy does to its input first (rounding, stop_gradient) hides nothing from the
    bowl: that is for `slope_agreement`. Black-box attacks may fall short in many
    dimensions without being broken; an attack confined to a small radius must.

    Args:
      attack: of continuous inputs.
      target: one `Target`; of several take one by `resolve`.
      key: a typed key.
      seeds, slots: of the extra run, which costs as much as the attack.

    Returns:
      share of the squared distance to the optimum that was covered, `[S]`; for
      `diagnosis.canary`.

    Raises:
      ValueError: inputs are not continuous.

    Reference: Zimmermann et al. 2022, arXiv:2206.13991 (active tests).
    """
    if "continuous" not in capabilities(target):
        raise ValueError("the inputs are not all floats; a canary needs floats")
    key_draw, key_run = jax.random.split(key)
    draws = target.base.decode(target.base.sample(key_draw, _DRAWS))
    place = jax.tree.map(lambda leaf: leaf[:1], target.base.project(draws))
    scale = jax.tree.map(_spread, draws)
    bowl = bind(_bowl, place, scale)
    depth = _HEIGHT * target.proxy(draws).std() / jnp.maximum(bowl(draws).std(), 1e-30)
    planted = target._replace(proxy=bind(_sum, target.proxy, bowl, depth))
    trace = run(attack, planted, key_run, seeds=seeds, slots=slots, keep=slots)
    heights = jax.vmap(jax.vmap(bowl))(trace.x).mean(axis=2)
    return np.asarray(1 - heights[:, -1] / heights[:, 0])


def _spread(leaf):
    std = leaf.std(axis=0, keepdims=True)
    return jnp.where(std > 0, std, jnp.maximum(std.mean(), 1e-30))


def _bowl(place, scale, x):
    """Minus the mean squared distance to a place, in base standard deviations."""
    apart = jax.tree.map(lambda a, p, s: ((a - p) / s) ** 2, x, place, scale)
    flat = [leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(apart)]
    return -jnp.concatenate(flat, axis=1).mean(axis=1)


def _sum(proxy, bowl, depth, x):
    return proxy(x) + depth * bowl(x)
