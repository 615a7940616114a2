"""Time functions in turns, so that a busy machine slows all of them alike."""

import importlib
import itertools
import os
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, entry_points, version
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from robust import Target, bind, gaussian

DIM = 64


class Times(NamedTuple):
    """Seconds of one function in each round, `[rounds]`.

    Attributes:
      wall: elapsed.
      cpu: of all threads of the process.
    """

    wall: np.ndarray
    cpu: np.ndarray

    def cells(self) -> list[str]:
        """Medians, in milliseconds."""
        return [f"{np.median(times) * 1e3:.3g}" for times in self]


def in_turn(functions: dict[str, Callable], seconds: float = 15) -> dict[str, Times]:
    """Call all functions once a round, five rounds at least, after two warm calls.

    Every other round goes backwards, so that none is always after the same one.
    """
    names = list(functions)
    for function in 2 * list(functions.values()):
        function()
    found = {name: [] for name in names}
    begun, rounds = time.monotonic(), 0
    while rounds < 5 or (rounds < 200 and time.monotonic() - begun < seconds):
        for name in names[:: -1 if rounds % 2 else 1]:
            wall, cpu = time.perf_counter(), time.process_time()
            functions[name]()
            elapsed = time.perf_counter() - wall, time.process_time() - cpu
            found[name].append(elapsed)
        rounds += 1
    return {name: Times(*np.array(rows).T) for name, rows in found.items()}


def ratio(above: Times, below: Times) -> str:
    """Median over rounds of elapsed and CPU times' ratios, as two cells in one."""
    wall, cpu = (np.median(a / b) for a, b in zip(above, below, strict=True))
    return f"{wall:.3g} ({cpu:.3g})"


def header(*names: str) -> None:
    """Print the first two lines of a table."""
    row(*names)
    print(f"|---|{'---:|' * (len(names) - 1)}")


def row(*cells) -> None:
    """Print one line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def attack(name: str, *arguments, **options):
    """Make an attack, found as a stranger's is, by entry point."""
    return entry_points(group="robust.attacks")[name].load()(*arguments, **options)


def weights(seed: int = 0, width: int = 256) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw the layers of a 64-width-width-1 network: matrices and biases."""
    rng, sizes = np.random.default_rng(seed), (DIM, width, width, 1)
    return [
        (
            (rng.normal(size=(a, b)) / np.sqrt(a)).astype(np.float32),
            (0.1 * rng.normal(size=b)).astype(np.float32),
        )
        for a, b in itertools.pairwise(sizes)
    ]


def network(layers, x):
    """Score inputs `[num, 64]` by a tanh network: `[num]`."""
    for matrix, bias in layers[:-1]:
        x = jnp.tanh(x @ matrix + bias[None])
    matrix, bias = layers[-1]
    return (x @ matrix + bias[None])[:, 0]


def target(layers) -> Target:
    """The network on 64 standard normal coordinates."""
    return Target(bind(network, jax.tree.map(jnp.asarray, layers)), gaussian(DIM))


def peer(module: str) -> ModuleType | None:
    """Import a peer, or None where it is absent."""
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def installed(*packages: str) -> list[str]:
    """Versions of packages, or that they are absent."""
    found = []
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} absent")
    return found


def load() -> str:
    """How busy the machine is: load averages of 1 and 5 minutes."""
    return "load {:.1f} and {:.1f}".format(*os.getloadavg()[:2])
