"""Pressure on every proxy of the grid: what it says, and what the gold says."""

import functools
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._overoptimization_gold import DIM, gold_value
from benchmarks._overoptimization_model import Proxies, cut, score
from robust import (
    Policy,
    Target,
    best_of_n_curve,
    bind,
    conversions,
    gaussian,
    sweep,
    tunable,
)

_CHUNK = 4096  # base draws scored at a time
_MOST = 8  # draws for each that the largest n keeps
_RANKED = 2**16  # draws that rank the scores of other attacks
_KEPT = 100  # draws above a score, fewer of which do not rank it
_AT_ONCE = 2
PENALTIES = (0.0, 0.15, 0.3)  # sd of the proxy per nat, about


class Curves(NamedTuple):
    """What one attack finds on every row of `Proxies`, `[R, T]`; row 0 the base.

    Attributes:
      kl: nats, nan where unknown.
      power: nats, "at least" where `beyond`.
      proxy, gold: gains in base standard deviations.
      beyond: share of candidates beyond the power table.
    """

    kl: np.ndarray
    power: np.ndarray
    proxy: np.ndarray
    gold: np.ndarray
    beyond: np.ndarray


class Bank(NamedTuple):
    """Scores of base draws, rows as of `Proxies`.

    Attributes:
      proxy: of the first 65,536 at most, sorted, `[R, N]`.
      best_of_n: curves of best-of-n.
      halves: the same of either half of the draws alone, whose noise is independent.
      scales: (mean, sd) of proxy and of gold, `[R]` each.
    """

    proxy: np.ndarray
    best_of_n: Curves
    halves: tuple[Curves, Curves]
    scales: tuple[np.ndarray, ...]


def base():
    """Standard normal inputs, as a policy with a free mean and spread per axis."""
    params = {"mean": jnp.zeros(DIM), "log_std": jnp.zeros(DIM)}
    policy = Policy(params, bind(_policy_sample), bind(_policy_log_prob))
    return tunable(policy, gaussian(DIM).move)


def _policy_sample(params, key, num):
    noise = jax.random.normal(key, (num, DIM))
    return params["mean"][None] + jnp.exp(params["log_std"])[None] * noise


def _policy_log_prob(params, z):
    std = jnp.exp(params["log_std"])[None]
    return jax.scipy.stats.norm.logpdf(z, params["mean"][None], std).sum(axis=1)


def target(params, row) -> Target:
    """The proxy of one row, `[]`, of stacked weights."""
    return Target(bind(score, jax.tree.map(lambda leaf: leaf[row], params)), base())


def draw_bank(proxies: Proxies, key, draws: int) -> Bank:
    """Score base draws, the same for all cells of a redraw, and take the best of n."""
    redraws = len(proxies.accuracy) // len(proxies.cells)
    n = 2 ** np.arange(int(np.log2(draws // _MOST)) + 1)
    found, chunks = {}, draws // _CHUNK
    for (kind, golds), d in itertools.product(proxies.golds.items(), range(redraws)):
        key_draw = jax.random.fold_in(key, d)
        gold = bind(gold_value, jax.tree.map(lambda leaf, d=d: leaf[d], golds))
        gold = np.asarray(_over_base(key_draw, gold, chunks=chunks), float)
        for width in sorted({c.width for c in proxies.cells if c.gold == kind}):
            rows = [
                i * redraws + d for i, cell in enumerate(proxies.cells)
                if (cell.gold, cell.width) == (kind, width)
            ]  # fmt: skip
            narrow = bind(_score_all, _narrow(proxies.params, np.array(rows), width))
            proxy = np.asarray(_over_base(key_draw, narrow, chunks=chunks))
            found |= dict(zip(rows, _best_of_n(proxy, gold, n), strict=True))
    parts = [found[row] for row in range(len(proxies.accuracy))]
    proxy, scales, *gains = (np.stack(part) for part in zip(*parts, strict=True))
    kl, power = np.log(n) - (n - 1) / n, conversions.power_best_of_n(n)

    def curves(gain, value):
        spent = np.broadcast_to(kl, gain.shape), np.broadcast_to(power, gain.shape)
        return Curves(*spent, gain, value, np.zeros(gain.shape))

    whole, one, other = map(curves, gains[::2], gains[1::2])
    return Bank(proxy, whole, (one, other), tuple(scales.T))


def _narrow(params, rows, room):
    """The proxies of some rows, without the units beyond a room, which are zero."""
    return cut({name: leaf[rows] for name, leaf in params.items()}, room)


def _score_all(params, x):
    return jax.vmap(score, (0, None))(params, x)


@functools.partial(jax.jit, static_argnames="chunks")
def _over_base(key, function, *, chunks):
    """Apply a function to base draws: `[..., chunks x _CHUNK]`."""

    def chunk(_, key):
        return None, function(jax.random.normal(key, (_CHUNK, DIM)))

    _, values = jax.lax.scan(chunk, None, jax.random.split(key, chunks))
    values = jnp.moveaxis(values, 0, -2)
    return values.reshape(*values.shape[:-2], -1)


def _best_of_n(proxy, gold, n):
    """Sorted scores, scales, proxy's gain and gold's gain of each row `[C, N]`.

    The gains are those of all draws, of the first half of them, and of the second.
    """
    mean, std = proxy.mean(axis=1), proxy.std(axis=1)

    def gains(part):
        scores, true = proxy[:, part], gold[part]
        rows = np.repeat(np.arange(len(scores)), len(true))
        curve = best_of_n_curve(scores.ravel(), np.tile(true, len(scores)), rows, n)
        yield (curve.proxy_by_group - mean[:, None]) / std[:, None]
        yield (curve.true_by_group - gold.mean()) / gold.std()

    half, even = len(gold) // 2, np.ones(len(proxy))
    parts = slice(None), slice(half), slice(half, None)
    scales = mean, std, gold.mean() * even, gold.std() * even
    ranked = np.sort(proxy[:, :_RANKED], axis=1)
    found = [values for part in parts for values in gains(part)]
    return zip(ranked, np.stack(scales, axis=1), *found, strict=True)


def attack_all(proxies: Proxies, bank: Bank, attacks: dict, key) -> dict[str, Curves]:
    """Run attacks on all rows as prompts of one run, the gold having the last word.

    Args:
      attacks: name -> (attacks that differ in numbers alone, options of `run`);
        "splitting" among them, whose levels are the power table of all.
    """
    rows = jnp.arange(len(proxies.accuracy))
    goal = bind(target, proxies.params)

    def traces_of(settings):
        made, options = settings
        return sweep(made, goal, key, seeds=1, context=rows, **options)

    # Side by side, for an attack on many small networks keeps one core busy.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        traces = dict(zip(attacks, pool.map(traces_of, attacks.values()), strict=True))
    info = traces["splitting"][0].info
    table = power_table(bank.proxy, info["level"][:, 1:], info["power"][:, 1:])
    return {
        name if i == 0 else f"{name}_{i}": _curves(proxies, bank.scales, table, trace)
        for name, several in traces.items()
        for i, trace in enumerate(several)
    }


def _curves(proxies, scales, table, trace) -> Curves:
    mean, std, gold_mean, gold_std = (a[:, None] for a in scales)
    proxy = (trace.proxy.mean(axis=2) - mean) / std
    gold = (gold_of(proxies, trace.x).mean(axis=2) - gold_mean) / gold_std
    found = [nats(*row) for row in zip(trace.proxy, *table, strict=True)]
    ranks, past = (np.stack(part) for part in zip(*found, strict=True))
    power, beyond = ranks.mean(axis=2) - 1, past.mean(axis=2)
    if "power" in trace.info:  # the table itself, and exact
        power, beyond = trace.info["power"], np.zeros(power.shape)
    kl = trace.info.get("kl", np.full(power.shape, np.nan))
    return Curves(np.maximum(kl, 0), power, proxy, gold, beyond)


def gold_of(proxies: Proxies, x) -> np.ndarray:
    """Value inputs `[R, ..., DIM]` by the gold of each row."""
    redraws = len(proxies.accuracy) // len(proxies.cells)
    by_cell = x.reshape(len(proxies.cells), redraws, -1, DIM)
    value = np.empty(by_cell.shape[:3])
    for i, cell in enumerate(proxies.cells):
        value[i] = _value(proxies.golds[cell.gold], by_cell[i])
    return value.reshape(x.shape[:-1])


_value = jax.jit(jax.vmap(gold_value))


def power_table(draws, level, power):
    """Join base draws to a splitting run: scores `[R, L]` and their nats `[R, L]`.

    Args:
      draws: scores of base draws `[R, N]`, sorted.
      level, power: of splitting, `[R, T]`.
    """
    size = draws.shape[1]
    above = np.unique(np.geomspace(_KEPT, size - 1, 500).astype(int))[::-1]
    counted = -np.log((above + 1) / (size + 1))
    known = draws[:, size - 1 - above]
    scores, nats = [], []
    for row in range(len(draws)):
        deep = level[row] > known[row, -1]
        # The run's own error so far is what parts it from the draws where they meet.
        meet = np.interp(known[row, -1], level[row], power[row]) - counted[-1]
        scores.append(np.append(known[row], np.where(deep, level[row], known[row, -1])))
        nats.append(np.append(counted, np.where(deep, power[row] - meet, counted[-1])))
    return np.stack(scores), np.stack(nats)


def nats(scores, level, power):
    """-ln P(base scores higher) of scores, and whether they are beyond the table."""
    return np.interp(scores, level, power), scores > level[-1]
