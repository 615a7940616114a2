"""One point of the over-optimization grid as a task, for any attack.

The concept is settled by a formula, the gold reward, on 16 standard normal
coordinates; see `benchmarks/overoptimization.py`, which says what the golds and the
proxies are, for what was found on the whole grid.

Judge: the gold itself, without noise. It is independent of the proxy in all but the
labels. What it cannot see: anything; it is the truth by definition. No datum comes
from elsewhere.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks._overoptimization_gold import gold_value
from benchmarks._overoptimization_model import Cell, train_proxies
from benchmarks._overoptimization_runs import target
from robust import Task, bind, card, keep

_CHUNK = 4096  # inputs that the gold values at a time


@card(seconds=70, memory_mb=1100)
def overoptimization_cell(
    key: jax.Array | None = None,
    seeds: int = 8,
    *,
    width: int = 16,
    pairs: int = 1000,
    gold: str = "sweetspot",
) -> Task:
    """One point of the grid: a gold reward, and proxies that learned from its labels.

    The gold is redrawn too, and judges must know which one an input is for: each
    redraw is a prompt, its number, and there is one repetition of each.

    Args:
      key: of golds, pairs and starts.
      seeds: redraws.
      width: of both hidden layers.
      pairs: preferences, validation among them.
      gold: "sweetspot" or "gp".

    Raises:
      ValueError: an unknown gold, or a number that is too small.
    """
    key = jax.random.key(0) if key is None else key
    cell = Cell(gold, width, pairs)
    recipe = {"key": key, "seeds": seeds, "cell": list(cell)}
    make = functools.partial(_trained, key, cell, seeds)
    kept = keep("overoptimization-proxy", recipe, make)
    accuracy = np.asarray(kept["accuracy"])
    return Task(
        target=bind(target, kept["params"]),
        judge=functools.partial(_judge, kept["gold"]),
        context=jnp.arange(seeds),
        facts={
            "concept": f"a gold reward of kind {gold!r}, redrawn {seeds} times",
            "proxy": f"width {width}, {pairs} pairs; it orders {accuracy.mean():.1%} "
            f"of held-out pairs as labelled (lowest of {seeds} redraws "
            f"{accuracy.min():.1%})",
            "judge": "the gold itself, exact",
            "prompts": "each prompt is a redraw of gold, pairs and start",
        },
        attacks={
            "best_of_n": {"most": 4096},
            "splitting": {"levels": 58},
            "tempering": {"temperings": 72},
            "policy_gradient": {"learning_rate": 0.02, "steps": 100},
            "gradient_ascent": {
                "optimizer": "auto", "norm": "l2", "radius": 4.0, "steps": 50,
            },
        },
        settings={"seeds": 1, "draws": 2**16},
    )  # fmt: skip


def _trained(key, cell, seeds):
    proxies = train_proxies(key, [cell], seeds)
    return {
        "gold": proxies.golds[cell.gold],
        "params": proxies.params,
        "accuracy": proxies.accuracy,
    }


def _judge(golds, x, context) -> np.ndarray:
    """Value inputs `[N, 16]` by the gold of each one's redraw."""
    x, context = np.asarray(x), np.asarray(context)
    value = np.empty(len(x))
    for redraw in np.unique(context):
        mine = context == redraw
        gold = jax.tree.map(lambda leaf, at=redraw: leaf[at], golds)
        value[mine] = _value(gold, x[mine])
    return value


def _value(gold, x):
    # In whole chunks, so that a batch of another size is not another program.
    padded = np.zeros((-(-len(x) // _CHUNK) * _CHUNK, x.shape[1]), np.float32)
    padded[: len(x)] = x
    chunks = padded.reshape(-1, _CHUNK, x.shape[1])
    return np.concatenate([np.asarray(_chunk(gold, c)) for c in chunks])[: len(x)]


_chunk = jax.jit(gold_value)
