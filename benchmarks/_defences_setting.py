"""What is defended: proxies of one cell of the over-optimization grid."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._overoptimization_gold import DIM, gold_value
from benchmarks._overoptimization_model import draw_data, fit_all, score
from benchmarks._overoptimization_runs import base
from robust import Target, bind, defence

WIDTH, PAIRS, MEMBERS = 16, 1000, 5
ROUNDS, EXTRA = 3, 250  # adversarial training, and pairs that each round labels
JUDGED = 1000  # base draws that early stopping has judged
_SCALED = 2**14  # base draws on which proxies are standardised


class Setting(NamedTuple):
    """One draw of everything, D times.

    Attributes:
      golds: leaves `[D, ...]`.
      better, worse: the pairs that the gold labelled, `[D, pairs, DIM]`; the last
        ROUNDS x EXTRA are for who may ask for more labels.
      params: of the trained members, leaves `[D, MEMBERS, ...]`.
    """

    golds: dict
    better: jax.Array
    worse: jax.Array
    params: dict


def draw_setting(key, gold: str, redraws: int) -> Setting:
    """Draw golds and pairs, and train the members of an ensemble on the same pairs."""
    key_data, key_fit = jax.random.split(key)
    most = PAIRS + ROUNDS * EXTRA
    golds, (better, worse) = draw_data(
        jax.random.split(key_data, redraws), kind=gold, most=most
    )
    params = fit(key_fit, better, worse, PAIRS, MEMBERS)
    return Setting(golds, better, worse, params)


def fit(key, better, worse, pairs: int, members: int) -> dict:
    """Train members on the first pairs of each redraw: leaves `[D, members, ...]`."""
    redraws = len(better)
    source = np.repeat(np.arange(redraws), members)
    rows = len(source)
    params, _ = fit_all(
        jax.random.split(key, rows), np.full(rows, WIDTH), np.full(rows, pairs),
        source, better, worse, widest=WIDTH,
    )  # fmt: skip
    return jax.tree.map(lambda a: a.reshape(redraws, members, *a.shape[1:]), params)


def plain_targets(key, params) -> list[Target]:
    """The ensemble of each redraw as a target, standardised on base draws."""
    x = jax.random.normal(key, (_SCALED, DIM))
    redraws = len(jax.tree.leaves(params)[0])
    each = [jax.tree.map(lambda a, d=d: a[d], params) for d in range(redraws)]
    return [Target(defence.ensemble(bind(score), p, x), base()) for p in each]


def stacked(targets: list[Target]):
    """A target for each row, which the attacks take as prompts."""
    proxies = [target.proxy for target in targets]
    return bind(_of_row, jax.tree.map(lambda *a: jnp.stack(a), *proxies))


def _of_row(proxies, row) -> Target:
    return Target(jax.tree.map(lambda leaf: leaf[row], proxies), base())


def gold_targets(setting: Setting) -> list[Target]:
    """The gold itself as target: what there was to be had."""
    redraws = len(setting.better)
    each = [jax.tree.map(lambda a, d=d: a[d], setting.golds) for d in range(redraws)]
    return [Target(bind(gold_value, gold), base()) for gold in each]


@jax.jit
def gold_of(golds, x):
    """Value inputs `[D, ..., DIM]` by the gold of each redraw: `[D, ...]`."""
    flat = x.reshape(len(x), -1, DIM)
    return jax.vmap(gold_value)(golds, flat).reshape(x.shape[:-1])


def more_pairs(key, setting: Setting, found):
    """Have the gold compare what attacks found: the pairs so far, better and worse.

    Half of the inputs of these pairs were found, at any pressure, half are base draws.

    Args:
      found: `[(x [D, T, keep, DIM], values), ...]`, one per round.
    """
    better, worse = setting.better[:, :PAIRS], setting.worse[:, :PAIRS]
    keys = jax.random.split(key, len(found))
    for key_round, (x, _) in zip(keys, found, strict=True):
        new = _compare(key_round, setting.golds, x)
        better, worse = (
            jnp.concatenate(pair, axis=1)
            for pair in zip((better, worse), new, strict=True)
        )
    return better, worse


@jax.jit
def _compare(key, golds, x):
    redraws = len(x)
    keys = jax.random.split(key, 4)
    pool = x.reshape(redraws, -1, DIM)
    rows = jax.random.randint(keys[0], (redraws, 2 * EXTRA), 0, pool.shape[1])
    hacked = jnp.take_along_axis(pool, rows[..., None], axis=1)
    usual = jax.random.normal(keys[1], hacked.shape)
    coin = jax.random.bernoulli(keys[2], 0.5, hacked.shape[:2])
    a, b = jnp.split(jnp.where(coin[..., None], hacked, usual), 2, axis=1)
    odds = gold_of(golds, a) - gold_of(golds, b)
    swap = jax.random.uniform(keys[3], odds.shape) > jax.nn.sigmoid(odds)
    swap = swap[..., None]
    return jnp.where(swap, b, a), jnp.where(swap, a, b)
