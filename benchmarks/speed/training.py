"""Time training many proxies in one program beside a Python loop over fits.

Run: python -m benchmarks.speed.training [redraws [step of the widths]]
"""

import itertools
import sys
import time

import jax
import numpy as np

from benchmarks._overoptimization_model import Cell, fit_all, train_proxies
from benchmarks._overoptimization_runs import draw_bank
from benchmarks.speed.clock import header, load, row

PAIRS = (250, 1000, 4000, 16000)


def main(redraws: int = 5, step: int = 4) -> None:
    """Print three Markdown tables; widths go up to 64 by `step`."""
    widths = range(step, 65, step)
    cells = [Cell("sweetspot", w, k) for w in widths for k in PAIRS]
    rows = len(cells) * redraws
    print(
        f"\nTraining {rows} proxies ({len(widths)} widths, {len(PAIRS)} numbers of "
        f"pairs, {redraws} redraws) of 1,000 steps; seconds, elapsed (CPU); {load()}:\n"
    )
    header("", "compile and train", "train again")
    together = twice(lambda: one_program(cells, redraws))
    apart = twice(lambda: loop(cells, redraws))
    row("one program, widths padded to 16, 32 and 64", *map(shown, together))
    row("Python loop, a program for each width", *map(shown, apart))
    row(
        "ratio",
        *(shown(np.divide(*pair)) for pair in zip(apart, together, strict=True)),
    )

    print(f"\nOne program, width 16, 1,000 pairs; seconds again; {load()}:\n")
    header("proxies", "elapsed (CPU)", "CPU ms a proxy")
    for count in (8, 32, 128):
        _, again = twice(lambda n=count: one_program([Cell("sweetspot", 16, 1000)], n))
        row(count, shown(again), f"{again[1] / count * 1e3:.3g}")

    print(f"\nBest-of-n on 8 of these, from N base draws; seconds again; {load()}:\n")
    header("N", "elapsed (CPU)", "CPU µs a draw and proxy")
    proxies = train_proxies(jax.random.key(0), [Cell("sweetspot", 16, 1000)], 8)
    for log in (15, 17, 19):
        _, again = twice(
            lambda n=log: draw_bank(jax.device_get(proxies), jax.random.key(1), 2**n)
        )
        row(f"2^{log}", shown(again), f"{again[1] / 8 / 2**log * 1e6:.3g}")


def twice(function):
    """Elapsed and CPU seconds of a first call, nothing compiled, and of a second."""
    jax.clear_caches()
    found = []
    for _ in range(2):
        began = time.perf_counter(), time.process_time()
        jax.block_until_ready(function())
        now = time.perf_counter(), time.process_time()
        found.append(np.subtract(now, began))
    return found


def shown(times) -> str:
    """Elapsed and CPU, as one cell."""
    return f"{times[0]:.3g} ({times[1]:.3g})"


def one_program(cells, redraws):
    """Train all cells at once."""
    return train_proxies(jax.random.key(0), cells, redraws).params


def loop(cells, redraws):
    """Train one after another, none wider than it is."""
    key_pairs, key_fit = jax.random.split(jax.random.key(0))
    better, worse = jax.random.normal(key_pairs, (2, redraws, max(PAIRS), 16))
    keys = jax.random.split(key_fit, len(cells) * redraws)
    sources = itertools.product(cells, range(redraws))
    return [
        fit_all(
            key[None], np.array([cell.width]), np.array([cell.pairs]),
            np.array([source]), better, worse, widest=cell.width,
        )[0]
        for key, (cell, source) in zip(keys, sources, strict=True)
    ]  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
