"""Was the attack any good? Checks without which nobody may say robust."""

from robust.measure.diagnosis.finding import Finding, Status, healthy
from robust.measure.diagnosis.population import (
    claimed_kl,
    mixing,
    plateau,
    population,
)
from robust.measure.diagnosis.search import (
    black_box,
    both_families,
    budget_doubling,
    monotone,
    tail,
)
from robust.measure.diagnosis.slopes import (
    masked,
    nonfinite,
    slope_agreement,
    zero_gradient,
)
from robust.measure.diagnosis.slots import oscillation, planted_optimum, stuck
from robust.measure.diagnosis.winners import (
    legal,
    numeric_floor,
    repeatable,
    rescored,
    unstable,
)

__all__ = [
    "Finding",
    "Status",
    "black_box",
    "both_families",
    "budget_doubling",
    "claimed_kl",
    "healthy",
    "legal",
    "masked",
    "mixing",
    "monotone",
    "nonfinite",
    "numeric_floor",
    "oscillation",
    "planted_optimum",
    "plateau",
    "population",
    "repeatable",
    "rescored",
    "slope_agreement",
    "stuck",
    "tail",
    "unstable",
    "zero_gradient",
]
