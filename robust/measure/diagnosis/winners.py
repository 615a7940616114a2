"""Do the winners of an attack keep their score, and are they legal?"""

import numpy as np

from robust.measure.diagnosis.finding import Finding, Status, grade


def repeatable(repeats, std) -> Finding:
    """Largest difference between evaluations of the same batch.

    Args:
      repeats: scores `[R, S, K]`.
      std: base deviation of the score, `[S]`.

    In base standard deviations; more than 1e-4 warns (the limit of AutoAttack's check
    for randomized defences), more than 1e-3 fails (where `study` refuses a base).
    Separates noise of .01 from none; not calibrated in between. Reference:
    Croce & Hein 2020, arXiv:2003.01690; Athalye et al. 2018, arXiv:1802.00420 (EOT).
    """
    name = "repeatability"
    value = _worst(np.ptp(repeats, axis=0), std)
    status = grade(value, 1e-4, 1e-3)
    if status is Status.OK:
        return Finding(name, status, value, "the same input scores the same")
    return Finding(
        name, status, value,
        f"the same input scores up to {value:.2g} sd apart: the proxy is random",
        "fix its seed, or average it over about 20 draws of its noise",
    )  # fmt: skip


def rescored(recorded, fresh, std) -> Finding:
    """Largest difference between a winner's recorded score and a fresh one.

    Args:
      recorded, fresh: scores `[S, K]`.
      std: base deviation of the score, `[S]`.

    More than 1e-3 base standard deviations fails: a winner's curse of a random proxy,
    or a trace that another proxy made. Proposed. Reference: Carlini et al. 2019,
    arXiv:1902.06705.
    """
    name = "winners re-scored"
    value = _worst(np.abs(recorded - fresh), std)
    if value <= 1e-3:
        return Finding(name, Status.OK, value, "the winners keep their scores")
    return Finding(
        name, Status.FAIL, value,
        f"a winner scores {value:.2g} sd otherwise when it is scored again",
        "make the proxy deterministic; do not resume a run of another proxy",
    )  # fmt: skip


def numeric_floor(fresh, variants, gain, std) -> Finding:
    """Largest effect of how the proxy is computed, as a share of the attack's gain.

    Args:
      fresh: scores of the winners `[S, K]`.
      variants: the same from other programs: one by one, more precisely, without
        compiling; `[s, k]` each, of the first s rows and k winners.
      gain: mean gain of the attack, base standard deviations, `[S]`.
      std: base deviation of the score, `[S]`.

    More than a tenth fails: the gain may be rounding. Without a gain it fails too.
    Proposed; healthy networks have about 1e-7.
    """
    name = "numeric floor"
    effects = [
        _worst(np.abs(fresh[: len(v), : v.shape[1]] - v), std[: len(v)])
        for v in variants
    ]
    floor = float(np.max(effects))
    gained = float(np.mean(gain))
    value = floor / gained if gained > 0 else float("inf")
    if value <= 0.1:
        return Finding(name, Status.OK, value, "the gain is no rounding error")
    return Finding(
        name, Status.FAIL, value,
        f"a gain of {gained:.2g} sd, where rounding alone moves a score by "
        f"{floor:.2g} sd",
        "compute the proxy in float32 or float64 with the highest matmul precision",
    )  # fmt: skip


def unstable(near, fresh, gain, std) -> Finding:
    """Mean change of a winner's score in a tiny neighbourhood, as a share of the gain.

    Args:
      near: scores of neighbours, `[N, S, K]`; None where inputs are not continuous.
      fresh: scores of the winners, `[S, K]`.
      gain: mean gain of the attack, base standard deviations, `[S]`.
      std: base deviation of the score, `[S]`.

    A neighbour whose score is not finite fails: its share is the value then. Each
    change is cut at 1; more than .1 warns: the winners sit on needles. Threshold
    of Pintor et al. 2022, arXiv:2106.09947 (unstable predictions), where the share is
    of the score itself; a score has no zero of its own. On 12 networks: healthy .003,
    shattered .23 and more, needles .28 and more.
    """
    name = "instability"
    if near is None:
        message = "inputs are not continuous"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    undefined = float(np.mean(~np.isfinite(near)))
    if undefined:
        return Finding(
            name, Status.FAIL, undefined,
            f"the score is not a number at {undefined:.1%} of the winners' neighbours",
            "let the proxy score all legal inputs: where it does not, attacks take it "
            "for the worst, and turn away",
        )  # fmt: skip
    risen = np.maximum(np.asarray(gain, float) * _scale(std), 1e-30)[:, None]
    value = float(np.minimum(np.abs(near - fresh) / risen, 1.0).mean())
    status = grade(value, 0.1, 1.0)
    if status is Status.OK:
        return Finding(name, status, value, "the winners' neighbours score alike")
    return Finding(
        name, status, value,
        f"moving a winner by .01 sd changes its score by {value:.0%} of the gain",
        "trust only what holds in a neighbourhood: smooth the proxy",
    )  # fmt: skip


def legal(apart) -> Finding:
    """Share of the winners that the base's `project` would change.

    Args:
      apart: distance to the nearest legal input, base standard deviations, `[S, K]`;
        nan for an input that is not finite.

    Any beyond 1e-5 fails. The tolerance is for rounding, not calibrated. Reference:
    Carlini et al. 2019, arXiv:1902.06705.
    """
    name = "legal winners"
    value = float(np.mean(~(np.asarray(apart) <= 1e-5)))
    if value == 0:
        return Finding(name, Status.OK, value, "every winner is legal")
    return Finding(
        name, Status.FAIL, value, f"{value:.1%} of the winners are not legal inputs",
        "let the attack end each step with target.base.project, and let project "
        "leave base draws as they are",
    )  # fmt: skip


def _scale(std):
    std = np.asarray(std, float)
    return np.where(std > 0, std, 1.0)


def _worst(difference, std) -> float:
    return float(np.max(np.asarray(difference, float) / _scale(std)[:, None]))
