"""What the base looks like to proxy and judge: the scales of every curve."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from robust.judge import ask, check_finite
from robust.measure import realised
from robust.measure.curve import mean_rater
from robust.rows import rows_of
from robust.target import as_pytree, check_scores, input_struct, resolve
from robust.trace import Trace

_CHUNK = 4096  # draws scored at a time, so that memory stays flat
_CHUNK_BYTES = 2**26  # of inputs drawn at a time, over all rows


class Reference(NamedTuple):
    """The base seen by proxy and judge, drawn once for all attacks.

    One row per seed (or prompt x seed), each with draws of its own, so that its
    error is part of the spread between seeds.

    Attributes:
      proxy: scores of base draws, `[S, N]`.
      true: the judge's scores of the first n of them, `[S, n]`.
      level, power, tie: the power table of a splitting run, `[S, L]`: scores, and
        -ln P(proxy > level), -ln P(proxy >= level) in nats. L may be 0.
      shell_proxy, shell_true: proxy and judge of that run's particles, `[S, Q]`.
    """

    proxy: np.ndarray
    true: np.ndarray
    level: np.ndarray
    power: np.ndarray
    tie: np.ndarray
    shell_proxy: np.ndarray
    shell_true: np.ndarray

    @property
    def scales(self) -> tuple[np.ndarray, ...]:
        """(proxy mean, proxy sd, true mean, true sd), each `[S]`."""
        moments = []
        for values in (self.proxy, self.true):
            values = np.asarray(values, np.float64)
            # Equal values have no spread, though rounding of their mean may give one.
            flat = np.ptp(values, axis=1) == 0
            std = np.where(flat, 0.0, values.std(axis=1, ddof=1))
            moments += [values.mean(axis=1), std]
        return tuple(moments)

    @property
    def rho(self) -> np.ndarray:
        """Correlation of proxy and true value on the base, `[S]`; nan if constant."""
        proxy = self.proxy[:, : self.true.shape[1]].astype(np.float64)
        a = proxy - proxy.mean(axis=1, keepdims=True)
        b = self.true - self.true.mean(axis=1, keepdims=True)
        spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
        safe = np.where(spread == 0, 1.0, spread)
        return np.where(spread == 0, np.nan, (a * b).sum(axis=1) / safe)

    def nats(self, scores, key) -> tuple[np.ndarray, np.ndarray]:
        """-ln P(base scores higher) of candidates `[S, ...]`, and which are beyond.

        Beyond the table a value is "at least". See `realised.rank_nats`.
        """
        entropy = np.asarray(jax.random.key_data(key)).tolist()
        uniform = np.random.default_rng(entropy).random(scores.shape)
        found = [
            realised.rank_nats(
                scores[s].reshape(-1), self.proxy[s], uniform[s].reshape(-1),
                (self.level[s], self.power[s], self.tie[s]),
            )
            for s in range(len(scores))
        ]  # fmt: skip
        nats, beyond = map(np.stack, zip(*found, strict=True))
        return nats.reshape(scores.shape), beyond.reshape(scores.shape)


class Draws(NamedTuple):
    """Base draws that wait for the judge."""

    proxy: np.ndarray  # [S, N]
    x: Any  # the first n of them, leaves [S, n, ...]
    context: Any  # the prompt of each row, leaves [S, ...], or None


def draw(
    target, key, *, seeds: int, num: int = 2**17, judged: int = 2048, context=None
) -> Draws:
    """Score `num` base draws per row and keep the inputs of the first `judged`.

    Raises:
      ValueError: the proxy gives non-finite scores, or the score of an input depends
        on the other inputs of its batch.
    """
    rows, unit = rows_of(key, seeds, context)
    first = None if context is None else jax.tree.map(lambda leaf: leaf[0], context)
    struct = jax.tree.leaves(input_struct(resolve(target, 0, first), 1))
    size = len(unit) * sum(leaf.size * leaf.dtype.itemsize for leaf in struct)
    chunk = min(_CHUNK, max(_CHUNK_BYTES // size, 1), num)
    counts = {"chunks": -(-num // chunk), "keeping": -(-min(judged, num) // chunk)}
    proxy, x, apart = jax.device_get(
        _draw(as_pytree(target), rows, chunk=chunk, judged=min(judged, num), **counts)
    )
    proxy = proxy[:, :num]
    check_finite("proxy", proxy, proxy.shape)
    if apart.max() > 1e-3:
        raise ValueError(
            f"the proxy scores an input {apart.max():.2g} base standard deviations "
            "apart when its batch is reordered; score each row on its own (no batch "
            "statistics, no noise)"
        )
    return Draws(proxy, x, jax.device_get(rows.context))


@functools.partial(jax.jit, static_argnames=("chunk", "chunks", "keeping", "judged"))
def _draw(target, rows, *, chunk, chunks, keeping, judged):
    def one(row):
        bound = resolve(target, row.seed, row.context)

        def draw_chunk(_, key):
            x = bound.base.decode(bound.base.sample(key, chunk))
            proxy = bound.proxy(x)
            check_scores(proxy, chunk)
            return None, (x, proxy)

        def score_chunk(_, key):
            return None, draw_chunk(None, key)[1][1]

        keys = jax.random.split(row.key, chunks)
        # Only the first chunks' inputs are wanted: of the others stack no inputs.
        _, (x, kept) = jax.lax.scan(draw_chunk, None, keys[:keeping])
        _, rest = jax.lax.scan(score_chunk, None, keys[keeping:])
        x = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:judged], x)
        proxy = jnp.concatenate([kept.reshape(-1), rest.reshape(-1)])
        return proxy, x, _batch_effect(bound.proxy, x, proxy)

    return jax.vmap(one)(rows)


def _batch_effect(proxy, x, scores):
    """Largest change of a score, in base sd, when its batch is reversed and halved."""
    num = len(jax.tree.leaves(x)[0])
    half = jax.tree.map(lambda leaf: leaf[::-1][: max(num // 2, 1)], x)
    again = proxy(half)
    apart = jnp.abs(again - scores[:num][::-1][: max(num // 2, 1)]).max()
    return apart / jnp.maximum(scores.std(), 1e-30)


def reference(draws: Draws, true: np.ndarray, table: Trace | None, shells) -> Reference:
    """Join judged draws and a splitting run to a Reference.

    Args:
      draws: from `draw`.
      true: the judge's scores of `draws.x`, `[S, n]`.
      table: a splitting trace on the same rows, whose `info` is the power table, or
        None: power then resolves to about ln N nats.
      shells: the judge's scores of that trace's candidates, `[S, T, K]`, with
        raters behind where it has several, or None.
    """
    rows = len(draws.proxy)
    empty = np.zeros((rows, 0))
    if table is None:
        return Reference(draws.proxy, true, *(empty,) * 5)
    level, power, tie = (table.info[n][:, 1:] for n in ("level", "power", "tie"))
    shells = mean_rater(shells)
    kept = table.proxy[:, :, : shells.shape[2]]
    return Reference(
        draws.proxy, true, level, power, tie,
        kept.reshape(rows, -1), shells.reshape(rows, -1),
    )  # fmt: skip


def judge_draws(draws: Draws, judge, *, name: str = "judge") -> np.ndarray:
    """Ask the judge about the kept base draws: `[S, n]`, raters averaged."""
    leaves = jax.tree.leaves(draws.x)
    lead = leaves[0].shape[:2]
    x = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), draws.x)
    context = draws.context
    if context is not None:
        context = jax.tree.map(lambda a: np.repeat(a, lead[1], axis=0), context)
    true = ask(judge, x, context, axes=lead, name=name)
    true = true.mean(axis=1) if true.ndim == 2 else true
    return true.reshape(lead)
