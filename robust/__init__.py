"""Measure how badly learned human concepts break under optimization pressure."""

from robust.attack import Attack, Cost, NeedsError
from robust.base import (
    Base,
    Policy,
    box,
    gaussian,
    latent,
    pool,
    product,
    tokens,
    tunable,
)
from robust.bind import bind
from robust.judge import batched, score
from robust.measure import pressure
from robust.measure.bank import best_of_n_curve
from robust.measure.curve import Curve
from robust.measure.divergence import divergence
from robust.show.plot import plot
from robust.store import load
from robust.target import PerSeed, Target, finite_or_worst
from robust.task import Task, stress
from robust.trace import Checkpoint, Trace, run

__all__ = [
    "Attack",
    "Base",
    "Checkpoint",
    "Cost",
    "Curve",
    "NeedsError",
    "PerSeed",
    "Policy",
    "Target",
    "Task",
    "Trace",
    "batched",
    "best_of_n_curve",
    "bind",
    "box",
    "divergence",
    "finite_or_worst",
    "gaussian",
    "latent",
    "load",
    "plot",
    "pool",
    "pressure",
    "product",
    "run",
    "score",
    "stress",
    "tokens",
    "tunable",
]
