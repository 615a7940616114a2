"""Gold rewards, preferences that they label, and proxies that learn from these.

Everything is drawn anew per redraw: gold, data, and the proxies' starts.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

DIM = 16
STEPS, BATCH = 1000, 128
_LOOKS = 20  # at the validation loss
_VALIDATION = 1000  # pairs at most; a fifth of few
_RATE = 3e-3
_LEAK = 0.1  # of the leaky ReLU; plain ReLUs of width 4 die
_HUB = 2.0  # where a sweet spot's parabola becomes a cone
_WAVES = 512
_SCALED = 2**16  # base draws that a gold is standardised on


class Cell(NamedTuple):
    """One point of the grid: a gold in `GOLDS`, a width, a number of pairs."""

    gold: str
    width: int
    pairs: int


class Proxies(NamedTuple):
    """Trained proxies: C cells, each redrawn D times; row = cell x D + redraw.

    Attributes:
      cells: C of them.
      golds: kind -> its parameters, leaves `[D, ...]`: cells of a kind share them.
      params: leaves `[C x D, ...]`, padded with zeros to the largest width.
      accuracy: on the pairs that were held out of training, `[C x D]`.
    """

    cells: tuple[Cell, ...]
    golds: dict
    params: dict
    accuracy: np.ndarray


def train_proxies(key, cells, redraws: int) -> Proxies:
    """Train Bradley-Terry proxies of all cells and redraws in one program.

    A network of width w is one of the largest width whose further units are zero,
    in and out: their gradients are exactly zero, so they stay so. Of each cell's
    pairs a fifth, at most 1,000, are validation: the weights with the least loss on
    them, of 20 looks, are kept. Within a redraw the pairs of a smaller cell are among
    those of a larger one.

    Args:
      key: of everything that is drawn.
      cells: of type `Cell`.
      redraws: D.

    Raises:
      ValueError: an unknown gold, or a number that is too small.
    """
    cells = tuple(cells)
    for cell in cells:
        if cell.gold not in GOLDS:
            raise ValueError(f"got gold={cell.gold!r}; give one of {', '.join(GOLDS)}")
        if cell.width < 1 or cell.pairs < 10:
            raise ValueError(f"got {cell}; give a width of 1 and 10 pairs at least")
    if redraws < 1 or not cells:
        raise ValueError(
            f"got {redraws} redraws of {len(cells)} cells; give one of each"
        )
    key_data, key_fit = jax.random.split(key)
    kinds = tuple(sorted({cell.gold for cell in cells}))
    most = max(cell.pairs for cell in cells)
    golds, data = {}, []
    for kind in kinds:
        # The same key for each kind, and for each cell below: paired comparisons.
        keys = jax.random.split(key_data, redraws)
        golds[kind], pairs = draw_data(keys, kind=kind, most=most)
        data.append(pairs)
    better, worse = (jnp.concatenate(part) for part in zip(*data, strict=True))
    source = [kinds.index(c.gold) * redraws + d for c in cells for d in range(redraws)]
    width, pairs = (np.repeat([c[i] for c in cells], redraws) for i in (1, 2))
    params, accuracy = fit_all(
        jax.random.split(key_fit, len(source)), width, pairs, np.array(source),
        better, worse, widest=int(width.max()),
    )  # fmt: skip
    return Proxies(cells, golds, params, np.asarray(accuracy))


@functools.partial(jax.jit, static_argnames=("kind", "most"))
def draw_data(keys, *, kind: str, most: int):
    """Draw golds and the pairs that they label, `[D, ...]`."""

    def redraw(key):
        key_gold, key_data = jax.random.split(key)
        params = draw_gold(key_gold, kind)
        return params, preferences(key_data, params, most)

    return jax.vmap(redraw)(keys)


@functools.partial(jax.jit, static_argnames="widest")
def fit_all(keys, width, pairs, source, better, worse, *, widest: int):
    """Train a proxy per row: weights `[R, ...]` and held-out accuracies `[R]`.

    Args:
      keys, width, pairs: `[R]`.
      source: which of the data sets each row learns from, `[R]`.
      better, worse: the two of each pair, `[sets, most, DIM]`.
    """
    one = functools.partial(_fit, better, worse, widest)
    return jax.vmap(one)(keys, width, pairs, source)


def _fit(better, worse, widest, key, width, pairs, source):
    key_init, key_steps = jax.random.split(key)
    start, unravel = ravel_pytree(_init(key_init, width, widest))
    held = jnp.minimum(pairs // 5, _VALIDATION)
    top = min(better.shape[1], _VALIDATION)
    is_held = jnp.arange(top) < held
    optimizer = optax.adam(optax.cosine_decay_schedule(_RATE, STEPS))

    def margin(weights, rows):
        params = unravel(weights)
        return score(params, better[source, rows]) - score(params, worse[source, rows])

    def loss(weights, key):
        rows = jax.random.randint(key, (BATCH,), held, pairs)
        return jax.nn.softplus(-margin(weights, rows)).mean()

    def step(carry, key):
        weights, memory = carry
        update, memory = optimizer.update(jax.grad(loss)(weights, key), memory)
        return (optax.apply_updates(weights, update), memory), None

    def look(carry, keys):
        now, best, least, right = carry
        now, _ = jax.lax.scan(step, now, keys)
        apart = margin(now[0], jnp.arange(top))
        value = jnp.where(is_held, jax.nn.softplus(-apart), 0.0).sum() / held
        share = (is_held & (apart > 0)).sum() / held
        lower = value < least
        kept = [(now[0], best), (value, least), (share, right)]
        return (now, *(jnp.where(lower, a, b) for a, b in kept)), None

    keys = jax.random.split(key_steps, (_LOOKS, STEPS // _LOOKS))
    begun = (start, optimizer.init(start)), start, jnp.inf, 0.0
    (_, best, _, right), _ = jax.lax.scan(look, begun, keys)
    return unravel(best), right


def _init(key, width, widest):
    keys = jax.random.split(key, 3)
    unit = (jnp.arange(widest) < width).astype(float)

    def normal(key, rows, columns, fan_in):
        return jax.random.normal(key, (rows, columns)) * jnp.sqrt(2 / fan_in)

    return {
        "first": normal(keys[0], DIM, widest, DIM) * unit[None],
        "first_bias": jnp.zeros(widest),
        "second": normal(keys[1], widest, widest, width) * unit[:, None] * unit[None],
        "second_bias": jnp.zeros(widest),
        "last": normal(keys[2], widest, 1, width)[:, 0] * unit,
    }


def score(params, x):
    """Score inputs `[num, DIM]` by a proxy: `[num]`."""
    h = jax.nn.leaky_relu(x @ params["first"] + params["first_bias"][None], _LEAK)
    h = jax.nn.leaky_relu(h @ params["second"] + params["second_bias"][None], _LEAK)
    return h @ params["last"]


def preferences(key, params, num: int):
    """Draw pairs from the base and let the gold choose: better, worse `[num, DIM]`.

    By Bradley-Terry at temperature 1, that is one base standard deviation of gold.
    """
    key_x, key_label = jax.random.split(key)
    a, b = jax.random.normal(key_x, (2, num, DIM))
    odds = gold_value(params, a) - gold_value(params, b)
    swap = jax.random.uniform(key_label, (num, 1)) > jax.nn.sigmoid(odds)[:, None]
    return jnp.where(swap, b, a), jnp.where(swap, a, b)


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
