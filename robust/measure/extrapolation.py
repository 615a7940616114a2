"""Whether a form of the over-optimization curve may be believed, and how far.

Held against measured checkpoints only. Beyond the largest of them every prediction is
extrapolation, and `robust.measure.verdict` never sees one.
"""

import enum
from typing import Any, NamedTuple

import numpy as np
from scipy.special import fdtrc

from robust.measure.bootstrap import Interval, t_interval
from robust.measure.forms import GAMMA, Form, bend, checked, coefficients, solve
from robust.measure.laws import Fit, fit, fit_first
from robust.measure.verdict import ALPHA, MARGIN

LEAST_CONTRASTS, MOST_CONTRASTS = 2, 8
UNITS_PER_CONTRAST = 3  # their covariance has to be estimated too
_ROUNDING = 1e-6  # of the largest gain: smaller contrasts count as none


class Status(enum.IntEnum):
    """What became of one form."""

    FITS = 0
    REJECTED = 1
    MISSES = 2
    WIDE = 3
    UNTESTED = 4


class Answer(enum.IntEnum):
    """What became of all of them."""

    SOME_FORM_FITS = 0
    NO_FORM_FITS = 1
    UNDECIDED = 2


STATUS = {
    Status.FITS: "fits",
    Status.REJECTED: "rejected by its lack of fit",
    Status.MISSES: "misses the checkpoints that it was not fitted to",
    Status.WIDE: "undecided: the error where it was not fitted is known too poorly",
    Status.UNTESTED: "cannot be tested: too few units (prompts, seeds) or checkpoints",
}

ANSWERS = {
    Answer.SOME_FORM_FITS: "some form fits",
    Answer.NO_FORM_FITS: "no form fits",
    Answer.UNDECIDED: "undecided: no form is shown to fit",
}


class LackOfFit(NamedTuple):
    """Test of "the mean curve has this form"; nan where it cannot be tested.

    Attributes:
      f: Hotelling's T² as an F statistic.
      p: its p value. Large is no evidence for the form.
      contrasts: its degrees of freedom, q; U - q are the others. 0: untested.
      used: checkpoints that entered, bool `[T]`.
    """

    f: Any
    p: Any
    contrasts: Any
    used: Any


class Extrapolation(NamedTuple):
    """A form fitted to low pressure and held against high; H checkpoints held out.

    Base standard deviations with pointwise 95 % intervals, nan for a single unit.

    Attributes:
      fit: of the checkpoints below, with predictions at those held out.
      measured: gains held out, `[H]`, t intervals.
      error: predicted - measured, `[H]`; t intervals, BCa for POWER.
      worst: largest absolute error.
      worst_bound: largest absolute end of an interval of the errors.
    """

    fit: Fit
    measured: Interval
    error: Interval
    worst: Any
    worst_bound: Any


class Comparison(NamedTuple):
    """All forms on one curve, in the order of `Form`.

    Attributes:
      answer: an `Answer` code; it speaks of the tested pressures only.
      status: `Status` codes, `[F]`.
      fits: to all checkpoints.
      lack_of_fit: of the same.
      held_out: fitted to low pressure.
      margin: base standard deviations.
      tested: the largest tested pressure, nats.
    """

    answer: Any
    status: Any
    fits: tuple[Fit, ...]
    lack_of_fit: tuple[LackOfFit, ...]
    held_out: tuple[Extrapolation, ...]
    margin: Any
    tested: Any

    def __str__(self) -> str:
        lines = [
            f"{ANSWERS[Answer(int(self.answer))]} up to {float(self.tested):.2f} nats "
            f"within {float(self.margin):g} base sd; beyond is extrapolation"
        ]
        for form, status, lack, held in zip(
            Form, self.status, self.lack_of_fit, self.held_out, strict=True
        ):
            p = "untested" if np.isnan(lack.p) else f"p {float(lack.p):.2g}"
            bound = float(held.worst_bound)
            known = "no interval" if np.isnan(bound) else f"at most {bound:.2f}"
            lines += [
                f"  {form.name.lower():<10}{STATUS[Status(int(status))]}",
                f"            lack of fit {p}; fitted to {float(held.fit.fitted):.2f} "
                f"nats it errs by {float(held.worst):.2f} beyond ({known})",
            ]
        return "\n".join(lines)


def lack_of_fit(pressure, true, form: Form) -> LackOfFit:
    """Test whether the mean curve over units has a form, checkpoints correlated.

    Generalised least squares with the covariance of the mean over units: the squares
    it leaves are Hotelling's T² of the contrasts orthogonal to the form's columns, so
    T² (U - q) / (q (U - 1)) is F with q and U - q degrees for normal units. For POWER
    the least T² over γ, which holds for many units. At most one contrast for three
    units and 8 in all, from evenly spaced checkpoints; fewer than 2: nan.

    Args, raises: as `fit`.

    Reference: Rao 1959, Biometrika 46:49 (growth curves); Hotelling 1931.
    """
    root, gains = checked(pressure, true)
    (units, points), free = gains.shape, coefficients(form)
    contrasts = min(points - free, units // UNITS_PER_CONTRAST, MOST_CONTRASTS)
    used = np.zeros(points + 1, bool)
    if contrasts < LEAST_CONTRASTS:
        return LackOfFit(np.nan, np.nan, 0, used)
    pick = np.linspace(0, points - 1, contrasts + free).round().astype(int)
    used[1 + pick] = True
    root, gains = root[pick], gains[:, pick] / (np.abs(gains).max() or 1.0)

    def squares(gamma):
        columns = np.stack([root, root * bend(form, root, gamma)], axis=1)
        orthogonal = np.linalg.qr(columns, mode="complete")[0][:, 2:]
        return _hotelling(gains @ orthogonal)

    if form == Form.POWER:
        t2 = _least(squares, float(solve(form, root, gains.mean(axis=0))[2]))
    else:
        t2 = squares(np.nan)
    f = t2 * (units - contrasts) / (contrasts * (units - 1))
    p = fdtrc(contrasts, units - contrasts, f) if np.isfinite(f) else 0.0
    return LackOfFit(f, p, contrasts, used)


def _hotelling(values):
    """Hotelling's T² of "all columns have mean 0", `[U, C]` to `[]`."""
    values = np.where(np.abs(values) > _ROUNDING, values, 0.0)
    variance, axes = np.linalg.eigh(np.cov(values.T))
    mean = values.mean(axis=0) @ axes
    spread = variance > max(1e-12 * variance[-1], _ROUNDING**2)
    if (np.abs(mean[~spread]) > _ROUNDING).any():
        return np.inf  # every unit is off the form by the same
    return len(values) * np.sum(mean[spread] ** 2 / variance[spread])


def _least(squares, start):
    """Minimise over γ: the best of a grid and of `start`, and around it."""
    from scipy.optimize import minimize_scalar

    first, last = np.log(GAMMA)
    grid = np.append(np.linspace(first, last, 61), np.log(start))
    values = [squares(gamma) for gamma in np.exp(grid)]
    best = grid[np.argmin(values)]
    around = np.clip([best - 0.1, best + 0.1], first, last)
    found = minimize_scalar(
        lambda g: squares(np.exp(g)), bounds=around, method="bounded"
    )
    return min(found.fun, *values)


def extrapolate(
    pressure, true, form: Form, upto, *, rounds: int = 1, key=None
) -> Extrapolation:
    """Fit a form to low pressure and predict the measured rest.

    Args:
      upto: nats; checkpoints at or below it are fitted. Others as `fit`.

    Raises:
      ValueError: as `fit`, or no checkpoint above `upto`.

    Reference: Alabdulmohsin et al. 2022, arXiv:2209.06640 (laws are to be judged by
    their error in extrapolation, not by their fit).
    """
    root, gains = checked(pressure, true)
    pressure = np.asarray(pressure, float)[1:]
    first = int(np.sum(pressure <= upto))
    if first == len(root):
        raise ValueError(
            f"got upto={upto:g} nats and no checkpoint above; hold out at least one "
            f"of those up to {pressure[-1]:g}"
        )
    at = pressure[first:]
    low, error = fit_first(form, root, gains, first, at, rounds, key)
    bound = np.maximum(np.abs(error.low), np.abs(error.high)).max()
    measured = t_interval(gains[:, first:])
    return Extrapolation(low, measured, error, np.abs(error.mean).max(), bound)


def compare(
    pressure, true, *, upto=None, at=None, rounds=1, margin: float = MARGIN, key=None
) -> Comparison:
    """Ask which forms are not rejected and extrapolate within the margin, if any.

    A form fits when its lack of fit is tested and not rejected at 5 % and every
    interval of its error on the checkpoints held out lies within the margin. That is
    a statement on measured pressures. Predictions at any larger one are marked
    `extrapolated`, and no verdict reads them: on a real pair of assays the best-of-n
    form fitted at n <= 64 promises +1.83 at n = 4,096, where the truth is -1.59.

    Args:
      upto: nats, where the held-out checkpoints begin; default half of the largest
        pressure, or the third checkpoint above the base if that is higher.
      margin: base standard deviations. Others as `fit`; rounds are for RL.

    Raises:
      ValueError: as `fit` and `extrapolate`; fewer than 4 checkpoints above the base.

    Reference: Gao, Schulman & Hilton 2022, arXiv:2210.10760 (two of the forms); both
    conditions: as `lack_of_fit` and `extrapolate`.
    """
    pressure = np.asarray(pressure, float)
    if len(checked(pressure, true)[0]) < 4:
        raise ValueError(
            f"got {len(pressure) - 1} checkpoints above the base; give at least 4, to "
            "fit three coefficients and hold one out"
        )
    upto = max(pressure[-1] / 2, pressure[3]) if upto is None else upto
    k = {form: rounds if form == Form.RL else 1 for form in Form}
    fits = tuple(fit(pressure, true, f, at=at, rounds=k[f], key=key) for f in Form)
    lacks = tuple(lack_of_fit(pressure, true, f) for f in Form)
    held = tuple(
        extrapolate(pressure, true, f, upto, rounds=k[f], key=key) for f in Form
    )
    status = np.array(
        [_status(*pair, margin) for pair in zip(lacks, held, strict=True)]
    )
    if (status == Status.FITS).any():
        answer = Answer.SOME_FORM_FITS
    elif np.isin(status, [Status.REJECTED, Status.MISSES]).all():
        answer = Answer.NO_FORM_FITS
    else:
        answer = Answer.UNDECIDED
    return Comparison(answer, status, fits, lacks, held, margin, pressure[-1])


def _status(lack, held, margin):
    if lack.p <= ALPHA:
        return Status.REJECTED
    if ((held.error.low > margin) | (held.error.high < -margin)).any():
        return Status.MISSES
    if np.isnan(lack.p) or np.isnan(held.worst_bound):
        return Status.UNTESTED
    return Status.FITS if held.worst_bound <= margin else Status.WIDE
