"""Does a population attack, or a claimed KL, say what it did?"""

import numpy as np

from robust.measure.diagnosis.finding import Finding, Status, grade
from robust.measure.pressure import donsker_varadhan


def population(survivors, ancestors, plateau) -> Finding:
    """Whether a population attack kept enough independent particles.

    Args:
      survivors: share of particles above each level, `[S, T]`; None for an attack
        that keeps no population.
      ancestors: distinct base draws that the particles descend from, `[S, T]`.
      plateau: whether the run had ended, bool `[S, T]`; nobody survives that.

    Under 5 % survivors at a level or fewer than 100 ancestors at the end warn: the
    particles then repeat each other, and only the spread between seeds shows the
    error. Reference: Lee & Whiteley 2018, Biometrika 105:609.
    """
    name = "population"
    if survivors is None:
        return Finding(name, Status.EXEMPT, float("nan"), "keeps no population")
    fewest = float(np.mean(ancestors[:, -1]))
    least = float(np.min(np.where(plateau, 1.0, survivors)))
    if least < 0.05:
        return Finding(
            name, Status.WARN, least,
            f"only {least:.1%} of the particles survived a level",
            "give more slots; many scores are equal or the proxy has a cliff",
        )  # fmt: skip
    if fewest < 100:
        return Finding(
            name, Status.WARN, fewest,
            f"its particles descend from {fewest:.0f} base draws",
            "trust the spread between seeds, or give more slots",
        )  # fmt: skip
    return Finding(name, Status.OK, fewest, f"{fewest:.0f} distinct ancestors")


def mixing(refreshed) -> Finding:
    """Whether the particles of a population still move where it is deepest.

    Args:
      refreshed: share of the latents' variance that the moves after each level renew,
        `[S, T]`; None for an attack that keeps no population.

    Over the last quarter of the checkpoints, below .02 warns and below .005 fails:
    the particles are then where earlier levels left them, and no longer the base given
    a high score. Reference: this project's cases: .12 for linear proxies of 8 to 512
    inputs at 28 nats, .04 on `digits`, .0005 where three inputs must all but vanish.
    """
    name = "mixing"
    if refreshed is None:
        return Finding(name, Status.EXEMPT, float("nan"), "keeps no population")
    late = np.asarray(refreshed)[:, -max(np.shape(refreshed)[1] // 4, 1) :]
    value = float(np.mean(late))
    status = grade(-value, -0.02, -0.005)
    message = (
        f"moves renew {value:.2%} of the particles' variance at the deepest levels"
    )
    if status is Status.OK:
        return Finding(name, status, value, message)
    return Finding(
        name, status, value, message,
        "give more moves per level, or read its true values as those of an attack",
    )  # fmt: skip


def plateau(ended, top, at_top) -> Finding:
    """Whether a population attack came to a score that nothing exceeds.

    Args:
      ended: bool `[S, T]`; None for an attack that keeps no population.
      top: the highest score found, `[S, T]`.
      at_top: -ln P(base scores it), nats, `[S, T]`.
    """
    name = "plateau"
    if ended is None:
        return Finding(name, Status.EXEMPT, float("nan"), "keeps no population")
    there = np.asarray(ended)[:, -1].astype(bool)
    if not there.any():
        return Finding(name, Status.OK, 0.0, "scores went on rising")
    nats = float(np.mean(at_top[:, -1][there]))
    return Finding(
        name, Status.WARN, float(there.mean()),
        f"in {there.mean():.0%} of the rows nothing scores above "
        f"{np.mean(top[:, -1][there]):.4g}; the base does so with P = e^-{nats:.1f}",
        "power ends there: the proxy has a ceiling, or rounds",
    )  # fmt: skip


def claimed_kl(kl, power) -> Finding:
    """Whether a claimed KL is at least what the scores prove.

    Args:
      kl: the attack's claim per unit, nats, `[S]`; nan where it makes none.
      power: realised power, nats, `[S]`.

    Fails where the claim lies more than 3 standard errors below the
    Donsker-Varadhan bound of the power.
    """
    name = "claimed KL"
    if not np.isfinite(kl).all():
        return Finding(name, Status.EXEMPT, float("nan"), "claims none")
    slack = kl - np.asarray(donsker_varadhan(np.asarray(power)))
    error = np.std(slack, ddof=1) / np.sqrt(len(slack)) if len(slack) > 1 else 0.0
    value = float(np.mean(slack))
    if value >= -3 * error - 1e-6:
        return Finding(name, Status.OK, value, "the scores do not contradict it")
    return Finding(
        name, Status.FAIL, value,
        f"the scores prove {-value:.2f} nats more than the attack claims",
        "mend the attack's kl",
    )  # fmt: skip
