"""Was the attack any good? Checks without which nobody may say robust."""

import enum
from typing import NamedTuple

import numpy as np

from robust.measure.pressure import donsker_varadhan


class Status(enum.IntEnum):
    """Outcome of a check; FAIL and MISSING bar the verdicts robust and weak."""

    OK = 0
    WARN = 1
    FAIL = 2
    MISSING = 3
    EXEMPT = 4


class Finding(NamedTuple):
    """One check of one attack.

    Attributes:
      check: its name.
      status: a `Status`.
      value: what was measured; nan where the check was not made.
      message: what that means.
      remedy: what to do about it; empty where nothing is to be done.
    """

    check: str
    status: Status
    value: float
    message: str
    remedy: str = ""


def healthy(findings) -> bool:
    """Whether a verdict of robust or weak may rest on an attack with these findings."""
    return all(f.status not in (Status.FAIL, Status.MISSING) for f in findings)


def zero_gradient(share) -> Finding:
    """Share of start points at which the gradient is exactly zero or not finite.

    Args:
      share: per seed `[S]`, or None for an attack without gradients.

    Any warns, more than 5 % fails. Reference: Carlini et al. 2019, arXiv:1902.06705;
    Pintor et al. 2022, arXiv:2106.09947.
    """
    name = "zero gradient"
    if share is None:
        return Finding(name, Status.EXEMPT, float("nan"), "uses no gradient")
    value = float(np.mean(share))
    status = _grade(value, 0.0, 0.05)
    if status is Status.OK:
        return Finding(name, status, value, "the gradient is nowhere zero")
    return Finding(
        name, status, value,
        f"the gradient is zero or not finite at {value:.1%} of the start points",
        "the proxy is saturated, rounded or cut off: remove that, or rely on splitting",
    )  # fmt: skip


def budget_doubling(gain, steps, claims_kl: bool) -> Finding:
    """What the last doubling of the budget added to the gain before it, as a share.

    Args:
      gain: mean proxy gain per seed and checkpoint, `[S, T]`.
      steps: `[T]`; the checkpoint nearest half of the last is used.
      claims_kl: whether the attack states its own pressure in nats. It then says how
        hard it pushed and need not have converged.

    More than 5 % warns, more than 20 % fails. Reference: this project's planted weak
    attacks; Pintor et al. 2022 (incomplete optimization).
    """
    name = "budget doubling"
    if claims_kl:
        message = "states its pressure in nats, so it need not converge"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    steps = np.asarray(steps)
    half = int(np.argmin(np.abs(steps - steps[-1] / 2)))
    start, middle, end = (float(np.mean(gain[:, t])) for t in (0, half, -1))
    if half in (0, len(steps) - 1):
        message = "no checkpoint near half of the steps"
        return Finding(
            name, Status.MISSING, float("nan"), message, "add one: steps=[..., T//2, T]"
        )
    if end - start <= 0:
        return Finding(
            name, Status.FAIL, float("nan"), "the proxy did not rise at all",
            "raise the learning rate or the steps, or use another attack",
        )  # fmt: skip
    value = (end - middle) / max(middle - start, 1e-30)
    status = _grade(value, 0.05, 0.2)
    message = f"the last doubling of the steps added {value:.1%} to the proxy's gain"
    remedy = "" if status is Status.OK else "give more steps: it is still climbing"
    return Finding(name, status, value, message, remedy)


def black_box(gradient_gain, gradient_queries, rivals) -> Finding:
    """Share of seeds in which an attack without gradients reaches a higher proxy.

    Each rival is read at its last checkpoint that cost no more queries. A gradient
    attack that loses to blind search is misled: its gradients are masked.

    Args:
      gradient_gain: proxy gain at the last checkpoint, `[S]`; None for an attack that
        uses no gradient.
      gradient_queries: its cost per slot (a gradient counted as two more queries).
      rivals: `[(name, gain [S, T], queries [T]), ...]` of black-box attacks.

    More than 2 % warns, more than 20 % fails. Reference: Croce & Hein 2020,
    arXiv:2003.01690; Athalye et al. 2018, arXiv:1802.00420.
    """
    name = "black box beats gradient"
    if gradient_gain is None:
        return Finding(name, Status.EXEMPT, float("nan"), "uses no gradient")
    if not rivals:
        return Finding(
            name, Status.MISSING, float("nan"), "no black-box attack ran beside it",
            "add one: --attack splitting or --attack best_of_n",
        )  # fmt: skip
    shares = []
    for rival, gain, queries in rivals:
        within = np.flatnonzero(np.asarray(queries) <= gradient_queries)[-1]
        beaten = ~(gain[:, within] <= gradient_gain)  # by nan too
        shares.append((float(np.mean(beaten)), rival))
    value, rival = max(shares)
    status = _grade(value, 0.02, 0.2)
    if status is Status.OK:
        return Finding(name, status, value, "no black-box attack reaches higher")
    return Finding(
        name, status, value,
        f"{rival} reaches a higher proxy in {value:.0%} of the seeds at equal cost",
        "its gradients mislead it: check the proxy for rounding, clipping, "
        "stop_gradient",
    )  # fmt: skip


def both_families(has_gradient: bool, families: set[str]) -> Finding:
    """Whether a gradient attack (where the proxy has one) and a black box both ran.

    Args:
      has_gradient: the proxy is differentiable in its inputs.
      families: among "gradient", "black box": what ran on this target.
    """
    name = "both families"
    wanted = ["gradient"] * has_gradient + ["black box"]
    absent = [family for family in wanted if family not in families]
    if not absent:
        return Finding(name, Status.OK, 0.0, "every family that applies ran")
    example = {"gradient": "gradient_ascent", "black box": "splitting"}[absent[0]]
    return Finding(
        name, Status.MISSING, float(len(absent)), f"no {absent[0]} attack ran",
        f"add one: --attack {example}",
    )  # fmt: skip


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


def _grade(value: float, warn: float, fail: float) -> Status:
    if not value <= fail:  # nan is no proof of health
        return Status.FAIL
    return Status.WARN if value > warn else Status.OK
