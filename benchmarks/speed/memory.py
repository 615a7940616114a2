"""Weigh runs of more steps and of more checkpoints, each in a process of its own.

Run: python -m benchmarks.speed.memory
"""

import argparse
import os
import resource
import subprocess
import sys

import jax
import numpy as np
import optax

from benchmarks.speed.clock import attack, header, load, row
from robust import Target, gaussian, run

SLOTS, SITES, KEEP = 256, 1024, 16
MIB = 2**20
# Else glibc keeps arrays that were freed, and the peak says nothing of what is held.
FREED = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_ARENA_MAX": "1"}
PLANS = ((10, 1), (100, 1), (1000, 1), (10_000, 1), (100, 10), (100, 50))


def main() -> None:
    """Print one Markdown table; with --run, one run's figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=int, nargs=2, metavar=("STEPS", "CHECKPOINTS"))
    plan = parser.parse_args().run
    if plan:
        print(*weigh(*plan), sep="\t")
        return
    print(
        f"\nGradient ascent, {SLOTS} slots of {SITES} coordinates ("
        f"{SLOTS * SITES * 4 / MIB:.0f} MiB), {KEEP} kept for the judge; live "
        "arrays at most at a checkpoint, and by how much the process's peak rose over "
        f"that of a run of one step; {load()}:\n"
    )
    header("steps", "checkpoints", "live arrays, MiB", "peak's rise, MiB",
           "result on the host, MiB")  # fmt: skip
    for steps, checkpoints in PLANS:
        command = [sys.executable, "-m", "benchmarks.speed.memory", "--run"]
        answer = subprocess.run(
            [*command, str(steps), str(checkpoints)], check=True,
            stdout=subprocess.PIPE, text=True, env=os.environ | FREED,
        )  # fmt: skip
        row(f"{steps:,}", checkpoints, *answer.stdout.rstrip("\n").split("\t"))


def bowl(x):
    """Minus the squared length."""
    return -(x**2).sum(axis=1)


def weigh(steps: int, checkpoints: int) -> list[str]:
    """MiB of a run: live arrays, rise of the peak, result."""
    made = attack("gradient_ascent", 0.02, optimizer=optax.sgd(1.0))
    plan = tuple(steps * (i + 1) // checkpoints for i in range(checkpoints))
    goal, live = Target(bowl, gaussian(SITES)), []

    def look(_):
        live.append(sum(array.nbytes for array in jax.live_arrays()))

    def go(plan, **options):
        return run(made, goal, jax.random.key(0), steps=plan, seeds=1, slots=SLOTS,
                   keep=KEEP, **options)  # fmt: skip

    go((1,))  # compiles
    before = peak()
    trace = go(plan)
    rise = peak() - before
    go(plan, on_checkpoint=look)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(trace) if np.ndim(leaf))
    return [f"{number / MIB:.1f}" for number in (max(live), rise, size)]


def peak() -> int:
    """Largest resident memory of this process so far, bytes."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


if __name__ == "__main__":
    main()
