"""Preferences that a gold reward labels, and proxies that learn from these.

Everything is drawn anew per redraw: gold, data, and the proxies' starts.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from benchmarks._overoptimization_gold import DIM, GOLDS, draw_gold, gold_value

STEPS, BATCH = 1000, 128
_LOOKS = 20  # at the validation loss
_VALIDATION = 1000  # pairs at most; a fifth of few
_RATE = 3e-3
_LEAK = 0.1  # of the leaky ReLU; plain ReLUs of width 4 die


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

    A network of width w is one of a wider room whose further units are zero, in and
    out: their gradients are exactly zero, so they stay so. Of each cell's
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
        better, worse, widest=int(width.max()), rooms=tuple(map(room_of, width)),
    )  # fmt: skip
    return Proxies(cells, golds, params, np.asarray(accuracy))


@functools.partial(jax.jit, static_argnames=("kind", "most"))
def draw_data(keys, *, kind: str, most: int):
    """Draw golds and the pairs that they label, `[D, ...]`."""

    def redraw(key):
        key_gold, key_data = jax.random.split(key)
        params = draw_gold(key_gold, kind)
        return params, preferences(key_data, params, most)

    # One after the other: random numbers of many keys at once take long to compile.
    return jax.lax.map(redraw, keys)


def room_of(width: int) -> int:
    """Units in which a network is computed: the next power of two, at least 16."""
    return max(16, 1 << (int(width) - 1).bit_length())


@functools.partial(jax.jit, static_argnames=("widest", "rooms"))
def fit_all(keys, width, pairs, source, better, worse, *, widest, rooms=None):
    """Train a proxy per row: weights `[R, ...]` and held-out accuracies `[R]`.

    Args:
      keys, width, pairs: `[R]`.
      source: which of the data sets each row learns from, `[R]`.
      better, worse: the two of each pair, `[sets, most, DIM]`.
      widest: what the weights are padded to, and drawn as.
      rooms: units in which each row is computed, at least its width; R numbers, of
        which the program holds one training for each kind. Default: the widest.
    """
    rooms = np.minimum(widest if rooms is None else rooms, widest)
    rooms = np.broadcast_to(rooms, len(source))
    kinds = [np.flatnonzero(rooms == room) for room in np.unique(rooms)]
    found = []
    for rows in kinds:
        one = functools.partial(_fit, better, worse, widest, int(rooms[rows[0]]))
        found.append(jax.vmap(one)(*(a[rows] for a in (keys, width, pairs, source))))
    back = np.argsort(np.concatenate(kinds))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves)[back], *found)


def _fit(better, worse, widest, room, key, width, pairs, source):
    key_init, key_steps = jax.random.split(key)
    start, unravel = ravel_pytree(cut(_init(key_init, width, widest), room))
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
    return _pad(unravel(best), widest - room), right


def cut(params, room: int):
    """Weights `[...]` of a network without the units beyond a room, which are zero."""
    at = {"first": (slice(None), slice(room)), "second": (slice(room), slice(room))}
    return {
        name: leaf[(..., *at.get(name, (slice(room),)))]
        for name, leaf in params.items()
    }


def _pad(params, more: int):
    at = {"first": ((0, 0), (0, more)), "second": ((0, more), (0, more))}
    return {
        name: jnp.pad(leaf, at.get(name, ((0, more),))) for name, leaf in params.items()
    }


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
