"""Rows: the driver's leading axis of variants, prompts and seeds."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec


class Row(NamedTuple):
    """One row of the driver's leading axis."""

    key: jax.Array
    seed: jax.Array
    context: Any
    variant: Any = None  # of a stacked attack, None where there is one only


def rows_of(key, seeds: int, context=None, variants: int | None = None):
    """Lay out rows as variant x prompt x seed; give them and their units `[S]`."""
    rows = _shard(_lay_out(key, context, seeds=seeds, variants=variants))
    each = len(rows.key) // (variants or 1)
    row = np.arange(len(rows.key)) % each
    return rows, row if each == seeds else row // seeds


@functools.partial(jax.jit, static_argnames=("seeds", "variants"))
def _lay_out(key, context, *, seeds, variants) -> Row:
    fold, seed = jax.vmap(jax.random.fold_in, (None, 0)), jnp.arange(seeds)
    rows = Row(fold(key, seed), seed, None)
    if context is not None:
        prompts = len(jax.tree.leaves(context)[0])
        keys = jax.vmap(fold, (0, None))(rows.key, jnp.arange(prompts)).T.reshape(-1)
        context = jax.tree.map(lambda leaf: jnp.repeat(leaf, seeds, axis=0), context)
        rows = Row(keys, jnp.tile(seed, prompts), context)
    if variants is None:
        return rows
    variant, row = jnp.divmod(jnp.arange(variants * len(rows.key)), len(rows.key))
    return jax.tree.map(lambda leaf: leaf[row], rows)._replace(variant=variant)


def _shard(rows: Row) -> Row:
    """Spread rows over the devices there are, as far as they divide evenly."""
    share = math.gcd(len(rows.key), jax.device_count())
    if share == 1:
        return rows
    devices = jax.devices()[:share]
    mesh = jax.make_mesh((share,), ("rows",), (AxisType.Auto,), devices=devices)
    return jax.device_put(rows, NamedSharding(mesh, PartitionSpec("rows")))


def attack_of(functions, row: Row):
    """The row's own attack, where several are stacked."""
    if row.variant is None:
        return functions
    return jax.tree.map(lambda leaf: leaf[row.variant], functions)


def over_rows(function, rows, *rest, deterministic: bool):
    """Map a function of one row over all: at once, or one by one for equal bits."""
    if deterministic:
        return jax.lax.map(lambda row: function(*row), (rows, *rest))
    return jax.vmap(function)(rows, *rest)


def streams(key):
    """Keys of one row for: base draws, init, steps, looks."""
    return jax.random.split(key, 4)
