"""Can the proxy's gradient be followed?"""

import numpy as np

from robust.measure.diagnosis.finding import Finding, Status, grade


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
    status = grade(value, 0.0, 0.05)
    if status is Status.OK:
        return Finding(name, status, value, "the gradient is nowhere zero")
    return Finding(
        name, status, value,
        f"the gradient is zero or not finite at {value:.1%} of the start points",
        "the proxy is saturated, rounded or cut off: remove that, or rely on splitting",
    )  # fmt: skip


def nonfinite(share) -> Finding:
    """Share of the candidates at which the gradient is not a finite number.

    Args:
      share: per row and checkpoint `[S, T]`, or None for an attack without gradients.

    The worst checkpoint counts; any warns, more than 5 % fails. A gradient attack
    replaces such a gradient by zero and stands still. Thresholds as for zero
    gradients, not calibrated.
    """
    name = "non-finite gradient"
    if share is None:
        return Finding(name, Status.EXEMPT, float("nan"), "uses no gradient")
    value = float(np.max(np.mean(share, axis=0)))
    status = grade(value, 0.0, 0.05)
    if status is Status.OK:
        return Finding(name, status, value, "every gradient was finite")
    return Finding(
        name, status, value,
        f"the gradient is not finite for {value:.1%} of the candidates",
        "keep the proxy differentiable: no sqrt, log or division at zero",
    )  # fmt: skip


def slope_agreement(predicted, measured) -> Finding:
    """Correlation of gradient and central differences over points and directions.

    Per row the best over step lengths counts, since a bent proxy asks for short steps
    and rounding for long ones; rows are averaged. A gradient of zero under a score
    that moves correlates 0; rows whose score never moves say nothing.

    Args:
      predicted, measured: change of the score, `[S, D, H, P]` with step lengths on
        axis 2; None for an attack without gradients.

    Below .9 warns, below .7 fails. Calibrated on 12 networks in 16 dimensions: healthy
    .998 and more, half of the inputs stopped .49 to .82, shattered under .18, rounded
    0; saturated or dead ones pass, they are for `zero_gradient`. Reference: Athalye et
    al. 2018, arXiv:1802.00420 (gradient shattering).
    """
    name = "gradient against differences"
    if predicted is None:
        return Finding(name, Status.EXEMPT, float("nan"), "uses no gradient")
    rows, _, lengths, _ = np.shape(predicted)
    found = np.array([
        [_correlation(predicted[s, :, h], measured[s, :, h]) for h in range(lengths)]
        for s in range(rows)
    ])  # fmt: skip
    told = ~np.isnan(found).all(axis=1)
    if not told.any():
        message = "the score does not move over small steps"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    value = float(np.nanmax(found[told], axis=1).mean())
    status = grade(1 - value, 0.1, 0.3)
    if status is Status.OK:
        return Finding(name, status, value, "the gradient says where the score rises")
    return Finding(
        name, status, value,
        f"the gradient correlates {value:.2f} with what small steps do to the score",
        "remove noise, rounding or stop_gradient from the proxy, smooth it, or rely "
        "on splitting",
    )  # fmt: skip


def _correlation(predicted, measured) -> float:
    both = np.isfinite(predicted) & np.isfinite(measured)
    a, b = (np.asarray(v, float)[both] for v in (predicted, measured))
    if not b.any():
        return float("nan")
    if not a.any():
        return 0.0
    # Both are differences to either side: their mean is zero without centring.
    return float((a @ b) / np.sqrt((a @ a) * (b @ b)))


def masked(change, silent, zero, leaves: int, std) -> Finding:
    """Share of the input features that move the score but show no gradient at all.

    Args:
      change: of the score as a block of the input is moved, `[S, B, P]`; None for an
        attack without gradients. Blocks are the leaves, then single features.
      silent: whether the block's gradient is zero at every point, bool `[S, B]`.
      zero: share of all features whose gradient is zero at every point, `[S]`.
      leaves: how many blocks are whole leaves of the input.
      std: base deviation of the score, `[S]`.

    A silent block is masked if moving it moves the score, by more than 1e-4 base
    standard deviations, at more than a tenth of the points; fewer are left to chance
    (a kink near by). A masked leaf fails; any masked feature warns, more than 5 % of
    them fail. The limits are proposed; on 12 networks in 16 dimensions one stopped
    input in 16 is always found, and in healthy ones none.
    """
    name = "masked inputs"
    if change is None:
        return Finding(name, Status.EXEMPT, float("nan"), "uses no gradient")
    floor = 1e-4 * np.asarray(std)[:, None, None]
    hidden = silent & ((np.abs(change) > floor).mean(axis=2) > 0.1)
    tested = np.maximum(silent[:, leaves:].sum(axis=1), 1)
    value = float(np.mean(zero * hidden[:, leaves:].sum(axis=1) / tested))
    whole = hidden[:, :leaves].any(axis=0)
    status = Status.FAIL if whole.any() else grade(value, 0.0, 0.05)
    if status is Status.OK:
        return Finding(name, status, value, "no input that matters lacks a gradient")
    part = f"{value:.0%} of the input features"
    if whole.any() and leaves > 1:
        part = f"{whole.sum()} of {leaves} parts of the input"
    return Finding(
        name, status, value,
        f"{part} move the score though their gradient is zero everywhere",
        "look for stop_gradient, rounding or a cast to integers before the proxy",
    )  # fmt: skip
