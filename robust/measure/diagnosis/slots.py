"""Did each slot of an attack climb?"""

import numpy as np

from robust.measure.diagnosis.finding import Finding, Status


def oscillation(proxy, claims_kl: bool) -> Finding:
    """Share of the checkpoints at which a slot's best score rose, until its last rise.

    Args:
      proxy: scores of the slots, `[S, T, M]`.
      claims_kl: as in `budget_doubling`; draws need not rise each time.

    A rise is more than a thousandth of the slot's gain; slots without a gain do not
    count, nor what follows the last rise. Below .75 warns. Calibrated on planted
    defects: healthy and too weak attacks 1, shattered slopes .49 to .66. A step that
    is too large for the last decimals passes. Reference: Croce & Hein 2020,
    arXiv:2003.01690 (the step-size rule of APGD).
    """
    name = "oscillation"
    best = np.maximum.accumulate(np.asarray(proxy, float), axis=1)
    gained = best[:, -1:] - best[:, :1]
    rose = (np.diff(best, axis=1) > 1e-3 * gained) & (gained > 0)
    climbing = np.maximum.accumulate(rose[:, ::-1], axis=1)[:, ::-1]
    if claims_kl or not climbing.any():
        message = "its slots are draws" if claims_kl else "no slot rose"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    value = float(rose.sum() / climbing.sum())
    if value >= 0.75:
        return Finding(name, Status.OK, value, "the climb is steady")
    return Finding(
        name, Status.WARN, value,
        f"only {value:.0%} of the checkpoints of the climb found a higher score",
        "halve the learning rate; if that does not help, the slopes mislead",
    )  # fmt: skip


def stuck(start, end, std, claims_kl: bool) -> Finding:
    """Share of the slots that gained nothing and lie below the best.

    Args:
      start, end: scores of the slots at the first and last checkpoint, `[S, M]`.
      std: base deviation of the score, `[S]`.
      claims_kl: as in `budget_doubling`; little pressure moves few slots.

    Nothing is less than 1e-6 base standard deviations. More than 5 % fails: the
    gradient is masked there. Slots at the row's highest score have nowhere to go;
    more than 5 % of those warn, as a ceiling. Calibrated on 12 networks: healthy 0,
    saturated .31 and more, clipped from below .09 and more, shattered from .047.
    """
    name = "stuck slots"
    if claims_kl:
        message = "states its pressure in nats, so it need not move every slot"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    scale = np.where(np.asarray(std) > 0, std, 1.0)[:, None]
    end = np.asarray(end, float)
    still = ~((end - start) / scale >= 1e-6)
    topped = still & ((end.max(axis=1, keepdims=True) - end) / scale < 1e-6)
    value, ceiling = float((still & ~topped).mean()), float(topped.mean())
    if not value <= 0.05:
        return Finding(
            name, Status.FAIL, value,
            f"{value:.1%} of the slots gained nothing, though others score higher",
            "the proxy is saturated, rounded or cut off there: remove that",
        )  # fmt: skip
    if ceiling > 0.05:
        return Finding(
            name, Status.WARN, ceiling,
            f"{ceiling:.1%} of the slots began at the highest score found",
            "none if the proxy has a ceiling: the base reaches it unaided",
        )  # fmt: skip
    return Finding(name, Status.OK, value, "nearly every slot gained")


def planted_optimum(share) -> Finding:
    """Share of the way to a planted optimum that the attack covered.

    Args:
      share: per seed, `[S]`, from `robust.canary.canary`.

    Below .9 fails. Calibrated on planted defects: healthy .99, shattered .42, too few
    or too small steps .2 to .3; not a test of black-box attacks, which cover .6 to .8
    of 16 dimensions. Reference: Zimmermann et al. 2022, arXiv:2206.13991.
    """
    name = "planted optimum"
    value = float(np.mean(share))
    if value >= 0.9:
        return Finding(name, Status.OK, value, "the attack finds a planted optimum")
    return Finding(
        name, Status.FAIL, value,
        f"the attack covers {value:.0%} of the way to a planted optimum",
        "give more or larger steps, or smooth the proxy",
    )  # fmt: skip
