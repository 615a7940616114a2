"""Was the attack any good? Checks without which nobody may say robust.

What such checklists also hold, and is not here:

* An attack without bounds reaches the proxy's ceiling: it takes a run of its own, which
  `robust.canary` makes against an optimum that is known.
* R-hat and effective size of chains: they are annealed, so that no two checkpoints are
  draws of one distribution.
* Winners scored by the user's original function: nothing converts a proxy here, so
  `rescored` and `numeric_floor` do call it.
* Restarts side by side: slots begin at different inputs, so their ends differ in a
  healthy attack too. `restarts` reads those in time.
"""

from robust.measure.diagnosis.finding import Finding, Status, healthy
from robust.measure.diagnosis.population import (
    claimed_kl,
    mixing,
    plateau,
    population,
)
from robust.measure.diagnosis.samplers import chains, coverage, weights
from robust.measure.diagnosis.search import (
    black_box,
    both_families,
    budget_doubling,
    monotone,
    outdone,
    reach,
    restarts,
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
    "chains",
    "claimed_kl",
    "coverage",
    "healthy",
    "legal",
    "masked",
    "mixing",
    "monotone",
    "nonfinite",
    "numeric_floor",
    "oscillation",
    "outdone",
    "planted_optimum",
    "plateau",
    "population",
    "reach",
    "repeatable",
    "rescored",
    "restarts",
    "slope_agreement",
    "stuck",
    "tail",
    "unstable",
    "weights",
    "zero_gradient",
]
