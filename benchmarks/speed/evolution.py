"""Time CMA-ES beside pycma and EvoTorch.

Run: OPENBLAS_NUM_THREADS=1 python -m benchmarks.speed.evolution
"""

import logging
import os

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_info

from benchmarks.speed.clock import DIM, attack, header, in_turn, load, peer, ratio, row
from robust import Target, gaussian, run

POPULATION, GENERATIONS = 16, 300
VARIABLES = "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "XLA_FLAGS"


def main() -> None:
    """Print one Markdown table, for the thread counts of this process."""
    functions = {"robust, 1 run": ours(1), "robust, 16 runs at once": ours(16)}
    functions |= {"pycma": pycma(), "EvoTorch": evotorch()}
    times = in_turn({name: f for name, f in functions.items() if f}, seconds=20)
    print(
        f"\nCMA-ES on a sphere in {DIM} dimensions, population {POPULATION}, "
        f"{GENERATIONS} generations; how many times as long as ours for as many "
        f"evaluations, elapsed (CPU); {load()}; threads: {threads()}:\n"
    )
    header("", "evaluations a s", "evaluations a CPU s", "ms a generation",
           "times ours", "squared distance left")  # fmt: skip
    for name, function in functions.items():
        if not function:
            row(name, "absent", "", "", "", "")
            continue
        left, runs = function()
        seconds, first = times[name], times["robust, 1 run"]
        number = runs * POPULATION * GENERATIONS
        rates = (f"{number / np.median(part):,.0f}" for part in seconds)
        each = type(seconds)(seconds.wall / runs, seconds.cpu / runs)
        per = f"{np.median(each.wall) / GENERATIONS * 1e3:.3g}"
        row(name, *rates, per, ratio(each, first), f"{left:.0e}")


def distance(x):
    """Minus the squared distance to (1, ..., 1)."""
    return -((x - 1) ** 2).sum(axis=-1)


def ours(runs: int):
    """So many runs at once, from the driver: gives the distance left and `runs`."""
    made = attack("evolution", "cma_es", population=POPULATION)
    goal, key = Target(distance, gaussian(DIM)), jax.random.key(0)

    def call():
        # The base draws are the first generation.
        trace = run(made, goal, key, steps=(GENERATIONS - 1,), seeds=1,
                    slots=runs * POPULATION)  # fmt: skip
        best = trace.proxy[0, -1].reshape(-1, runs).max(axis=0)
        return -np.median(best), runs

    return call


def pycma():
    """Hansen's own, by its ask and tell."""
    cma = peer("cma")
    if not cma:
        return None

    def call():
        options = {"popsize": POPULATION, "verbose": -9, "seed": 1}
        search = cma.CMAEvolutionStrategy(np.zeros(DIM), 1.0, options)
        for _ in range(GENERATIONS):
            x = search.ask()
            search.tell(x, -distance(np.array(x)))
        return search.result.fbest, 1

    return call


def evotorch():
    """EvoTorch's, with a vectorized problem."""
    package = peer("evotorch")
    if not package:
        return None
    logging.getLogger("evotorch").setLevel(logging.WARNING)

    def call():
        problem = package.Problem(
            "max", distance, solution_length=DIM, initial_bounds=(-1, 1),
            vectorized=True, seed=1,
        )  # fmt: skip
        search = package.algorithms.CMAES(
            problem, stdev_init=1.0, popsize=POPULATION, center_init=DIM * [0.0]
        )
        search.run(GENERATIONS)
        return -search.status["best_eval"], 1

    return call


def threads() -> str:
    """Threads of each library, and what was set in the environment."""
    found = {}
    jnp.linalg.eigh(jnp.eye(2))  # loads the library that it calls
    for library in threadpool_info():
        name = library["filepath"].split("site-packages/")[-1].split("/")[0]
        found[name.removesuffix(".libs")] = library["num_threads"]
    set_here = [f"{n}={os.environ[n]}" for n in VARIABLES if n in os.environ]
    counts = [f"{name} {number}" for name, number in sorted(found.items())]
    return ", ".join(counts + (set_here or ["nothing set"]))


if __name__ == "__main__":
    main()
