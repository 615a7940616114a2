"""Do chains mix, weights stay even, and strategies keep looking?"""

import numpy as np

from robust.measure.diagnosis.finding import Finding, Status


def chains(acceptance, divergences) -> Finding:
    """Share of the moves that gradient chains accept where they are coldest.

    Args:
      acceptance, divergences: shares of the moves at a frozen step size, `[S, T]`;
        None for an attack that runs no such chains.

    Over the last quarter of the checkpoints. Outside .4 to .95 warns, as do
    divergences in more than 1 % of the moves. The range spans those proposed for
    Langevin (.4 to .8) and Hamiltonian moves (.6 to .95); langevin's own lie within
    .1 of .574 and .8 on products of normals. Not calibrated on defects. Reference:
    Roberts & Rosenthal 1998, JRSS B 60:255; Betancourt et al. 2014, arXiv:1411.6669.
    """
    name = "chains"
    if acceptance is None:
        return Finding(name, Status.EXEMPT, float("nan"), "runs no gradient chains")
    value, wild = _late(acceptance), _late(divergences)
    if not wild <= 0.01:
        return Finding(
            name, Status.WARN, value,
            f"{wild:.1%} of the moves at the lowest temperatures diverge",
            "give more moves, so that the step size can shrink, or a smoother proxy",
        )  # fmt: skip
    message = f"chains accept {value:.0%} of their moves at the lowest temperatures"
    if 0.4 <= value <= 0.95:
        return Finding(name, Status.OK, value, message)
    return Finding(
        name, Status.WARN, value, message,
        "give more moves per tempering, so that the step size can adapt, or cool less",
    )  # fmt: skip


def weights(ess) -> Finding:
    """Least effective share of a weighted population.

    Args:
      ess: effective share of the particles before each resampling, `[S, T]`; None for
        an attack without weights.

    Below a quarter warns: few particles then carry the estimate. Reference: Chopin
    2002, Biometrika 89:539 (resampling by effective size); the limit is proposed.
    """
    name = "weights"
    if ess is None:
        return Finding(name, Status.EXEMPT, float("nan"), "weighs no particles")
    value = float(np.min(np.mean(ess, axis=0)))
    message = f"at least {value:.0%} of the particles count at every step"
    if value >= 0.25:
        return Finding(name, Status.OK, value, message)
    return Finding(
        name, Status.WARN, value,
        f"a step leaves only {value:.0%} of the particles effective",
        "cool in smaller steps: a larger ess, more temperings",
    )  # fmt: skip


def coverage(spread, condition, steps) -> Finding:
    """Spread of a search distribution, over that at its start, at half of the budget.

    Args:
      spread: of the distribution that proposes candidates, `[S, T]`; None for an
        attack that adapts none.
      condition: of its covariance, squared ratio of its longest axis to its shortest,
        `[S, T]`.
      steps: `[T]`; the last checkpoint up to half of the last step is read.

    Below 1e-4 warns, as does a spread that is not a number at any checkpoint, or a
    condition beyond 1e14: what is left of the budget then goes to one place, or to
    rounding. Two seeds each: on a bowl of 16 and a valley of 8 dimensions CMA-ES keeps
    .003 and .03 at half of 200 generations, in a box it grows; on a flat proxy nothing
    is left. Conditions are 4 to 9e7, and 2e15. A search that is done early warns too.
    Reference: Hansen 2016, arXiv:1604.00772 (termination, appendix B.3).
    """
    name = "coverage"
    if spread is None:
        return Finding(name, Status.EXEMPT, float("nan"), "adapts no distribution")
    mean, steps = np.mean(spread, axis=0, dtype=float), np.asarray(steps)
    half = np.flatnonzero(steps <= steps[-1] / 2)[-1]
    value = float(mean[half] / mean[0])
    if not np.isfinite(mean).all():
        said = "its search distribution broke down: the spread is not a number"
    elif value < 1e-4:
        said = f"its search shrank to {value:.1g} of its width in half of the budget"
    elif not np.max(condition) <= 1e14:
        said = f"its covariance has a condition of {np.max(condition):.1g}"
    else:
        message = f"its search kept {value:.2g} of its width for half of the budget"
        return Finding(name, Status.OK, value, message)
    return Finding(
        name, Status.WARN, value, said,
        "give more runs (more slots) rather than steps, or look for a plateau",
    )  # fmt: skip


def _late(values) -> float:
    """Mean over the last quarter of the checkpoints of `[S, T]`."""
    values = np.asarray(values, float)
    return float(np.mean(values[:, -max(values.shape[1] // 4, 1) :]))
