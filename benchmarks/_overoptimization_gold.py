"""Gold rewards: what is truly wanted, by a formula of 16 standard normal numbers."""

import jax
import jax.numpy as jnp

DIM = 16
_HUB = 2.0  # where a sweet spot's parabola becomes a cone
_WAVES = 512
_SCALED = 2**16  # base draws that a gold is standardised on


def gold_value(params, x):
    """Value inputs `[num, DIM]` by the gold, in base standard deviations: `[num]`."""
    raw = _waves if "frequency" in params else _sweetspot
    return (raw(params, x) - params["mean"]) / params["std"]


def draw_gold(key, kind: str):
    """Draw a gold of a kind in `GOLDS`, standardised on base draws."""
    key_draw, key_scale = jax.random.split(key)
    params = GOLDS[kind](key_draw)
    raw = gold_value(params | {"mean": 0.0, "std": 1.0},
                     jax.random.normal(key_scale, (_SCALED, DIM)))  # fmt: skip
    return params | {"mean": raw.mean(), "std": raw.std()}


def _rotation(key):
    return jnp.linalg.qr(jax.random.normal(key, (DIM, DIM)))[0]


def _draw_sweetspot(key):
    keys = jax.random.split(key, 3)
    return {
        "axes": _rotation(keys[0]),
        "weight": jax.random.uniform(keys[1], (DIM,), minval=0.3, maxval=1.7),
        "best": 0.7 * jax.random.normal(keys[2], (DIM,)),
    }


def _sweetspot(params, x):
    """Minus a weighted sum over axes of how far each is from its best."""
    off = (x @ params["axes"] - params["best"][None]) / _HUB
    return -(_HUB**2 * (jnp.sqrt(1 + off**2) - 1)) @ params["weight"]


def _draw_waves(key):
    keys = jax.random.split(key, 4)
    length = 1.5 * jnp.arange(1, DIM + 1)
    frequency = jax.random.normal(keys[1], (DIM, _WAVES)) / length[:, None]
    return {
        "frequency": _rotation(keys[0]) @ frequency,
        "phase": 2 * jnp.pi * jax.random.uniform(keys[2], (_WAVES,)),
        "weight": jax.random.normal(keys[3], (_WAVES,)),
    }


def _waves(params, x):
    """A Gaussian process by random Fourier features (Rahimi & Recht 2007)."""
    wave = jnp.cos(x @ params["frequency"] + params["phase"][None])
    return wave @ params["weight"]


GOLDS = {"sweetspot": _draw_sweetspot, "gp": _draw_waves}
