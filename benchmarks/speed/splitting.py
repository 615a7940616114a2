"""Time splitting beside as many evaluations of its proxy in a bare loop.

Run: python -m benchmarks.speed.splitting
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed.clock import (
    DIM,
    attack,
    header,
    in_turn,
    load,
    row,
    target,
    weights,
)
from robust import run

SLOTS, LEVELS, MOVES = 1024, 10, 10


def main() -> None:
    """Print one Markdown table."""
    print(
        f"\nSplitting, {SLOTS} particles, {LEVELS} levels of {MOVES} moves, a "
        f"checkpoint each; the bare loops make as many evaluations and normal draws; "
        f"median shares, elapsed (CPU); {load()}:\n"
    )
    header("proxy", "ms", "CPU ms", "proxy's share", "normal draws' share",
           "nats", "evaluations a nat", "ms a nat")  # fmt: skip
    made = attack("splitting", levels=LEVELS, moves=MOVES)
    queries = made.cost.init + made.cost.queries * LEVELS
    # The driver scores the base and what it sees at each checkpoint.
    evaluations = queries + 1 + LEVELS
    for width in (256, 1024):
        goal = target(weights(width=width))
        key = jax.random.key(0)
        x = jax.random.normal(key, (SLOTS, DIM))
        climb = functools.partial(run, made, goal, key, seeds=1, slots=SLOTS)
        times = in_turn(
            {
                "run": climb,
                "proxy": functools.partial(evaluate, goal.proxy, x, evaluations),
                "draws": functools.partial(draw, key, x, queries),
            },
            seconds=15,
        )
        nats = climb().info["power"][0, -1]
        whole = times["run"]
        row(
            f"{DIM}-{width}-{width}-1", *whole.cells(),
            share(times["proxy"], whole), share(times["draws"], whole),
            f"{nats:.2f}", f"{SLOTS * queries / nats:,.0f}",
            f"{np.median(whole.wall) * 1e3 / nats:.3g}",
        )  # fmt: skip


def share(part, whole) -> str:
    """Median over rounds, as one cell."""
    wall, cpu = (np.median(a / b) for a, b in zip(part, whole, strict=True))
    return f"{wall:.0%} ({cpu:.0%})"


def evaluate(proxy, x, number):
    """Evaluate the proxy so often, on inputs that differ each time."""
    return jax.device_get(_evaluate(proxy, x, number))


@jax.jit
def _evaluate(proxy, x, number):
    def again(_, carry):
        x, score = carry
        # Made of the last scores, so that no evaluation can be left out.
        return x, proxy(x + 1e-9 * score[:, None])

    return jax.lax.fori_loop(1, number, again, (x, proxy(x)))[1]


def draw(key, x, number):
    """Draw as many normal numbers as the moves of so many steps."""
    return jax.device_get(_draw(key, x, number))


@jax.jit
def _draw(key, x, number):
    def again(i, total):
        return total + jax.random.normal(jax.random.fold_in(key, i), x.shape)

    return jax.lax.fori_loop(0, number, again, jnp.zeros_like(x))


if __name__ == "__main__":
    main()
