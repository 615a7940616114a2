"""Ask a proxy what attacks rely on: slopes, repeatability, calm around the winners."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from robust.blame import blame
from robust.rows import Row, rows_of
from robust.target import as_pytree, capabilities, resolve
from robust.trace import Trace

_DIRECTIONS = 16
_LADDER = (0.02, 0.06, 0.2)  # lengths of the steps, base standard deviations
_FEATURES = 32  # single features that are moved, those without a gradient first
_TIMES = 5  # evaluations of the same batch
_ALONE = 8  # candidates that are scored one by one
_NEIGHBOURS = 8  # pairs, one on each side of a winner
_RADIUS = 0.01  # of their offsets, base standard deviations per coordinate


class Slopes(NamedTuple):
    """A proxy's gradient beside its finite differences at base draws.

    S rows, D directions, H step lengths, P points, B blocks (first the L leaves of
    the input, then single features). NaN is left as it is.

    Attributes:
      predicted, measured: change of the score over each step, `[S, D, H, P]`.
      change: of the score as a block is moved, `[S, B, P]`.
      silent: whether a block's gradient is zero at all points, bool `[S, B]`.
      leaves: L.
      zero: share of the features whose gradient is zero at all points, `[S]`.
      dead: share of the points whose gradient is zero or not finite, `[S]`.
    """

    predicted: np.ndarray
    measured: np.ndarray
    change: np.ndarray
    silent: np.ndarray
    leaves: int
    zero: np.ndarray
    dead: np.ndarray


class Rescored(NamedTuple):
    """Candidates of an attack, scored again. S rows, K candidates.

    Attributes:
      recorded: the scores in the trace, `[S, K]`.
      repeats: of the same batch by the same program, `[5, S, K]`.
      precise: with the highest matmul precision, `[S, K]`.
      alone: of the first few, one by one, `[S, k]`.
      eager: of row 0, without compiling, `[K]`.
      near: of neighbours within a hundredth of a base standard deviation per
        coordinate, `[N, S, K]`; None where inputs are not continuous.
      illegal: distance to the nearest legal input, in base standard deviations of
        the worst coordinate (integers: as they are), `[S, K]`.
    """

    recorded: np.ndarray
    repeats: np.ndarray
    precise: np.ndarray
    alone: np.ndarray
    eager: np.ndarray
    near: np.ndarray | None
    illegal: np.ndarray


class Probe(NamedTuple):
    """What was asked of a proxy.

    Attributes:
      slopes: None where the proxy has no gradient in continuous inputs.
      rescored: one per trace, in the order given.
    """

    slopes: Slopes | None
    rescored: list[Rescored]


class _Asked(NamedTuple):
    """A target and the rows on which it is asked."""

    target: Any
    rows: Row


def probe(
    target, key, draws, traces: list[Trace], *, seeds, context=None, points: int = 64,
    on_step: Callable[[float], None] | None = None,
) -> Probe:  # fmt: skip
    """Probe a target at base draws, and around the last candidates of each trace.

    Costs up to 170 evaluations per row and point, and 25 per row and kept candidate.

    Args:
      target: as for `robust.run`.
      key: a typed key, for the directions.
      draws: inputs drawn from the base, pytree of `[S, n, ...]`.
      traces: found on this target with as many seeds and these prompts.
      seeds, context: as for `robust.run`.
      points: base draws of each row at which slopes are compared.
      on_step: called with the share that is done, 0 to 1.

    Raises:
      ValueError: the proxy failed.
    """
    rows, _ = rows_of(key, seeds, context)
    bound = resolve(target, 0, jax.tree.map(lambda leaf: leaf[0], rows.context))
    offers, asked = capabilities(bound), _Asked(as_pytree(target), rows)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
    scale = jax.tree.map(_spread, draws)
    flat, restore = _flatten(scale)
    slopes, ways, sides = None, [], _NEIGHBOURS if "continuous" in offers else 0
    walks = _DIRECTIONS * len(_LADDER) + min(_FEATURES, flat.shape[1])
    walks = walks + len(jax.tree.leaves(scale)) if "gradient" in offers else 0
    fetch = _counted(walks + len(traces) * (_TIMES + 1 + sides), on_step)
    try:
        if walks:
            x = jax.tree.map(lambda leaf: leaf[:, :points], draws)
            slopes = _slopes(asked, x, scale, rng, fetch)
        if sides:
            noise = rng.standard_normal((sides, *flat.shape), np.float32)
            ways = [restore(way) for way in _RADIUS * flat * noise]
        rescored = [_again(asked, bound, trace, scale, ways, fetch) for trace in traces]
    except Exception as error:
        raise ValueError(f"the proxy failed when probed: {blame(error)}") from error
    return Probe(slopes, rescored)


def _counted(steps, on_step):
    """Fetch results from the device one by one, and say after each how far it is."""
    done = 0

    def fetch(result):
        nonlocal done
        result, done = jax.device_get(result), done + 1
        if on_step:
            on_step(done / steps)
        return result

    return fetch


def _spread(leaf):
    """Deviation of each coordinate, `[S, 1, ...]`; of the leaf where one is constant.

    Integers have steps of one.
    """
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return np.ones((len(leaf), 1, *leaf.shape[2:]), np.float32)
    std = np.asarray(leaf[:, :1024], np.float32).std(axis=1, keepdims=True)
    return np.where(std > 0, std, max(float(std.mean()), 1e-30))


def _flatten(scale):
    """Leaves `[S, 1, ...]` as one `[S, features]`, and the way back."""
    leaves, structure = jax.tree.flatten(scale)
    cuts = np.cumsum([leaf[0].size for leaf in leaves])[:-1]

    def restore(flat):
        parts = np.split(flat, cuts, axis=1)
        return structure.unflatten(
            [part.reshape(s.shape) for part, s in zip(parts, leaves, strict=True)]
        )

    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], 1), restore


def _slopes(asked, x, scale, rng, fetch) -> Slopes:
    """Walk from each point in random directions, then along each block."""
    flat, restore = _flatten(scale)
    x = jax.tree.map(jnp.asarray, x)
    gradient = _pull(asked, x)
    leaves = [np.asarray(g) for g in jax.tree.leaves(gradient)]
    g = np.concatenate([g.reshape(*g.shape[:2], -1) for g in leaves], axis=2)
    still = (g == 0).all(axis=1)
    blocks = _blocks(still, [leaf[0, 0].size for leaf in leaves])
    ways = rng.standard_normal((_DIRECTIONS, *flat.shape), np.float32)
    ways /= np.linalg.norm(ways, axis=2, keepdims=True)
    walks = [flat * length * way for way in ways for length in _LADDER]
    signs = _LADDER[-1] * (1 - 2 * rng.integers(0, 2, flat.shape))
    walks += [flat * (signs * block).astype(np.float32) for block in blocks]
    found = [fetch(_step(asked, x, gradient, restore(w))) for w in walks]
    predicted, ends = (np.stack(part, axis=1) for part in zip(*found, strict=True))
    measured = ends[:, :, 0] - ends[:, :, 1]
    walked = _DIRECTIONS * len(_LADDER)
    shape = (len(flat), _DIRECTIONS, len(_LADDER), -1)
    dead = (g == 0).all(axis=2) | ~np.isfinite(g).all(axis=2)
    return Slopes(
        predicted=predicted[:, :walked].reshape(shape),
        measured=measured[:, :walked].reshape(shape),
        change=measured[:, walked:],
        silent=np.stack([(still | ~block).all(axis=1) for block in blocks], axis=1),
        leaves=len(leaves),
        zero=still.mean(axis=1),
        dead=dead.mean(axis=1),
    )


def _blocks(still, sizes) -> list[np.ndarray]:
    """Masks `[S, features]` of whole leaves, then of features, the still ones first."""
    owner = np.repeat(np.arange(len(sizes)), sizes)
    whole = [np.tile(owner == i, (len(still), 1)) for i in range(len(sizes))]
    chosen = np.argsort(~still, axis=1, kind="stable")[:, :_FEATURES]
    return whole + [np.arange(len(owner)) == feature[:, None] for feature in chosen.T]


def _again(asked, bound, trace, scale, ways, fetch) -> Rescored:
    x = jax.tree.map(lambda leaf: jnp.asarray(leaf[:, -1]), trace.x)
    eager = np.asarray(bound.proxy(jax.tree.map(lambda leaf: leaf[0], x)))
    repeats = np.stack([fetch(_score(asked, x)) for _ in range(_TIMES)])
    precise, alone, illegal = fetch(_vary(asked, x, scale))
    still = jax.tree.map(jnp.zeros_like, x)
    steps = [fetch(_step(asked, x, still, way))[1] for way in ways]
    near = np.concatenate(steps, axis=1).swapaxes(0, 1) if steps else None
    recorded = trace.proxy[:, -1, : len(eager)]
    return Rescored(recorded, repeats, precise, alone, eager, near, illegal)


def _by_row(function, asked, *arrays):
    def one(row, *arrays):
        return function(resolve(asked.target, row.seed, row.context), *arrays)

    return jax.vmap(one)(asked.rows, *arrays)


@jax.jit
def _pull(asked, x):
    def one(bound, x):
        return jax.grad(lambda x: bound.proxy(x).sum())(x)

    return _by_row(one, asked, x)


@jax.jit
def _step(asked, x, gradient, offset):
    """Step to both sides, made legal: predicted change `[S, P]`, scores `[S, 2, P]`."""

    def one(bound, x, gradient, offset):
        def end(sign):
            moved = jax.tree.map(lambda a, o: (a + sign * o).astype(a.dtype), x, offset)
            return bound.base.project(moved)

        ahead, behind = end(1), end(-1)
        parts = jax.tree.map(
            lambda g, a, b: (g * (a - b)).reshape(len(a), -1).sum(axis=1),
            gradient, ahead, behind,
        )  # fmt: skip
        predicted = sum(jax.tree.leaves(parts))
        return predicted, jnp.stack([bound.proxy(ahead), bound.proxy(behind)])

    return _by_row(one, asked, x, gradient, offset)


@jax.jit
def _score(asked, x):
    return _by_row(lambda bound, x: bound.proxy(x), asked, x)


@jax.jit
def _vary(asked, x, scale):
    """Scores of a batch in two further ways, and how far it is from legal."""

    def one(bound, x, scale):
        few = jax.tree.map(lambda leaf: leaf[:_ALONE, None], x)
        alone = jax.lax.map(lambda x: bound.proxy(x)[0], few)
        with jax.default_matmul_precision("highest"):
            precise = bound.proxy(x)
        off = jax.tree.map(_off, x, bound.base.project(x), scale)
        illegal = jnp.stack(jax.tree.leaves(off)).max(axis=0)
        return precise, alone, illegal

    return _by_row(one, asked, x, scale)


def _off(x, legal, scale):
    apart = jnp.abs(x.astype(float) - legal.astype(float)) / scale
    return apart.reshape(len(x), -1).max(axis=1)
