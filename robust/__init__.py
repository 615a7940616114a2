"""Measure how badly learned human concepts break under optimization pressure."""

from robust import defence
from robust.attack import Attack, Cost, NeedsError, choose, round_steps
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
from robust.canary import canary
from robust.cards import Card, card, need
from robust.experiments import Findings
from robust.fetch import Dataset, fetched
from robust.judge import batched, score
from robust.kept import keep
from robust.measure import (
    arithmetic,
    bootstrap,
    bounds,
    calibration,
    causes,
    compression,
    conversions,
    drift,
    extrapolation,
    faithfulness,
    forms,
    hackable,
    interventions,
    laws,
    legibility,
    monitoring,
    policies,
    pressure,
    reading,
    reweighting,
    tail_index,
    tails,
    wording,
)
from robust.measure.answers import over_answers
from robust.measure.bank import best_of_n_curve
from robust.measure.curve import Curve
from robust.measure.divergence import divergence
from robust.measure.poisson import best_of_poisson_curve
from robust.measure.resample import resampled_best_of_n, resampled_tilt
from robust.measure.strongest import strongest
from robust.measure.tilt import tilt_curve
from robust.measure.within import ranking_within
from robust.show.plot import plot
from robust.store import load
from robust.sweep import sweep
from robust.target import Embedded, PerSeed, Target, capabilities, finite_or_worst
from robust.task import Task, stress
from robust.trace import Checkpoint, Trace, run

__all__ = [
    "Attack",
    "Base",
    "Card",
    "Checkpoint",
    "Cost",
    "Curve",
    "Dataset",
    "Embedded",
    "Findings",
    "NeedsError",
    "PerSeed",
    "Policy",
    "Target",
    "Task",
    "Trace",
    "arithmetic",
    "batched",
    "best_of_n_curve",
    "best_of_poisson_curve",
    "bind",
    "bootstrap",
    "bounds",
    "box",
    "calibration",
    "canary",
    "capabilities",
    "card",
    "causes",
    "choose",
    "compression",
    "conversions",
    "defence",
    "divergence",
    "drift",
    "extrapolation",
    "faithfulness",
    "fetched",
    "finite_or_worst",
    "forms",
    "gaussian",
    "hackable",
    "interventions",
    "keep",
    "latent",
    "laws",
    "legibility",
    "load",
    "monitoring",
    "need",
    "over_answers",
    "plot",
    "policies",
    "pool",
    "pressure",
    "product",
    "ranking_within",
    "reading",
    "resampled_best_of_n",
    "resampled_tilt",
    "reweighting",
    "round_steps",
    "run",
    "score",
    "stress",
    "strongest",
    "sweep",
    "tail_index",
    "tails",
    "tilt_curve",
    "tokens",
    "tunable",
    "wording",
]
