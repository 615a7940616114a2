"""Fits of the over-optimization curve: true gain against the root of the KL.

A form describes; it never decides. `robust.measure.verdict` reads measured gains only
and knows nothing of this module, so no prediction can enter a verdict.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from scipy.special import expit, logit

from robust.measure import bootstrap
from robust.measure.bootstrap import Interval
from robust.measure.forms import (
    GAMMA,
    Form,
    checked,
    coefficients,
    gain_of,
    solve,
    turning_point,
)
from robust.measure.namespace import namespace

_TURN = np.array([3, 4])  # where `_describe` lists ln d* and ln R(d*)
_MOST_UNITS = 256  # above it they are merged for BCa


class Fit(NamedTuple):
    """One form fitted to a mean curve; 95 % intervals over units, nan for one unit.

    Attributes:
      form: a `Form` code.
      rounds: k of the iterated form, 1 for all others.
      alpha, beta: base standard deviations, `[]`; t intervals, BCa for POWER.
      gamma: `[]`, BCa; nan but for POWER. At an end of `GAMMA` it is that end.
      peak: KL where the fitted form is highest, nats, `[]`, BCa. Infinite where it
        never turns down, 0 where it never rises.
      height: the gain there, base standard deviations, `[]`, BCa.
      peak_extrapolated: True where the peak lies beyond the largest fitted pressure.
      pressure: nats, `[P]`.
      predicted: gains of the form there, `[P]`; t intervals, BCa for POWER.
      extrapolated: bool `[P]`, True beyond the largest fitted pressure.
      r_squared: share of the mean curve's variance over checkpoints above the base;
        a description: points of one curve share samples, which flatters it.
      fitted: the largest fitted pressure, nats.
      units: U.
    """

    form: Any
    rounds: Any
    alpha: Interval
    beta: Interval
    gamma: Interval
    peak: Interval
    height: Interval
    peak_extrapolated: Any
    pressure: Any
    predicted: Interval
    extrapolated: Any
    r_squared: Any
    fitted: Any
    units: Any

    def __str__(self) -> str:
        form = Form(int(self.form))
        lines = [f"{form.name.lower()}, fitted up to {float(self.fitted):.2f} nats"]
        lines[0] += f" (R² {float(self.r_squared):.3f}, a description and no test)"
        names = ["alpha", "beta", *["gamma"] * (form is Form.POWER), "peak", "height"]
        lines += [f"  {name:<8}{show(getattr(self, name))}" for name in names]
        if np.isinf(self.peak.mean):
            lines[-2] += " nats: the fitted form never turns down"
        elif self.peak.mean == 0:
            lines[-2] += " nats: the fitted form never rises"
        else:
            lines[-2] += " nats" + ", extrapolated" * bool(self.peak_extrapolated)
        if form is Form.POWER and np.isclose(self.gamma.mean, GAMMA).any():
            lines[3] += ": at the end of the search, so only a limit is known"
        if np.any(self.extrapolated):
            where = f"{int(np.sum(self.extrapolated))} of {np.size(self.extrapolated)}"
            lines.append(f"  {where} predictions are extrapolation")
        return "\n".join(lines)


def show(interval: Interval) -> str:
    """Write an estimate and its bounds."""
    mean, low, high = (float(value) for value in interval)
    bounds = "no interval: one unit" if np.isnan(low) else f"{low:+.3g}, {high:+.3g}"
    return f"{mean:+.3g} [{bounds}]"


def fit(pressure, true, form: Form, *, at=None, rounds: int = 1, key=None) -> Fit:
    """Fit one form to the mean curve over units by least squares.

    Args:
      pressure: KL to the base in nats, `[T]`, rising from row 0, the base, at 0.
      true: gains over the base in base standard deviations, `[U, T]` (units: prompts
        or seeds) or `[T]`. Row 0 is not fitted: every form has R(0) = 0.
      form: which.
      at: pressures to predict at, nats, `[P]`; default `pressure`.
      rounds: k of the iterated RL form. Given k it spans the same curves as k = 1.
      key: of the bootstrap.

    Raises:
      ValueError: shapes that do not match, non-finite values, pressures that do not
        rise from 0, fewer checkpoints than coefficients, rounds not for RL.

    Reference: Gao, Schulman & Hilton 2022, arXiv:2210.10760, the forms of best-of-n
    and RL; BCa intervals: Efron 1987, JASA 82:171.
    """
    root, gains = checked(pressure, true)
    if rounds < 1 or (rounds != 1 and form != Form.RL):
        raise ValueError(
            f"got rounds={rounds} for {form.name}; only RL has more than 1"
        )
    pressure = np.asarray(pressure, float)
    at = pressure if at is None else np.asarray(at, float)
    return fit_first(form, root, gains, len(root), at, rounds, key)[0]


def fit_first(form: Form, root, gains, first: int, at, rounds: int = 1, key=None):
    """Fit the first checkpoints: the `Fit`, and predicted - measured on the others.

    Args:
      root, gains: `[T]` and `[U, T]`, from `checked`.
      at: nats, `[P]`.

    Returns:
      `Fit` and `Interval` `[T - first]`: t intervals, BCa for POWER.

    Raises:
      ValueError: `first` below the number of coefficients.
    """
    if first < coefficients(form):
        raise ValueError(
            f"got {first} checkpoints above the base to fit the {coefficients(form)} "
            f"coefficients of {form.name} to; give more"
        )
    got = _estimates(form, first, rounds, root, at, gains, key)
    alpha, beta, gamma, turn, height = (
        Interval(*(b[i] for b in got)) for i in range(5)
    )
    with np.errstate(over="ignore"):
        peak = Interval(*(np.exp(2 * np.asarray(bound)) for bound in turn))
        height = Interval(*(np.exp(np.asarray(bound)) for bound in height))
    mean, low = gains.mean(axis=0)[:first], root[:first]
    left = mean - gain_of(form, low**2, alpha.mean, beta.mean, gamma.mean, rounds)
    spread = np.sum((mean - mean.mean()) ** 2)
    last = low[-1] ** 2 * (1 + 1e-12)  # squaring the root may round down
    done = Fit(
        form=form, rounds=rounds, alpha=alpha, beta=beta, gamma=gamma, peak=peak,
        height=height, peak_extrapolated=peak.mean > last, pressure=at,
        predicted=Interval(*(bound[5 : 5 + len(at)] for bound in got)),
        extrapolated=at > last,
        r_squared=1 - np.sum(left**2) / spread if spread > 0 else np.nan,
        fitted=low[-1] ** 2, units=len(gains),
    )  # fmt: skip
    return done, Interval(*(bound[5 + len(at) :] for bound in got))


def _describe(form, first, rounds, root, at, curve):
    """List α, β, γ, ln d*, ln R(d*), gains `at`, errors beyond `first`: `[..., Q]`."""
    xp = namespace(curve)
    got = solve(form, root[:first], curve[..., :first], rounds)
    turn = turning_point(form, *got, rounds)
    alpha, beta, gamma = (value[..., None] for value in got)
    gains = gain_of(form, at, alpha, beta, gamma, rounds)
    beyond = gain_of(form, root[first:] ** 2, alpha, beta, gamma, rounds)
    rows = [alpha, beta, gamma, *(value[..., None] for value in turn)]
    return xp.concatenate([*rows, gains, beyond - curve[..., first:]], axis=-1)


def _estimates(form, first, rounds, root, at, gains, key):
    """Bound what `_describe` lists: exact t where it is linear in the curve, or BCa."""
    point = _describe(form, first, rounds, root, at, gains.mean(axis=0))
    if len(gains) == 1:
        return Interval(point, *np.full((2, len(point)), np.nan))
    low, high = _bca(form, first, rounds, root, at, _merged(gains), key)
    if form == Form.POWER:
        return Interval(point, low, high)
    bent = np.isin(np.arange(len(point)), _TURN)
    single = _describe(form, first, rounds, root, at, gains)
    exact = bootstrap.t_interval(np.where(bent, 0.0, single))
    return Interval(
        point, np.where(bent, low, exact.low), np.where(bent, high, exact.high)
    )


def _bca(form, first, rounds, root, at, gains, key):
    def statistic(curves):
        got = _describe(form, first, rounds, root, at, curves)
        # Bounded, for BCa cannot average the infinite peak of what rises on.
        got[:, _TURN] = expit(got[:, _TURN])
        return got

    seed = 0 if key is None else np.asarray(jax.random.key_data(key)).tolist()
    _, low, high = bootstrap.bca_of_mean(statistic, gains, seed)
    for bound in (low, high):
        bound[_TURN] = logit(bound[_TURN])
    return low, high


def _merged(gains):
    """Average many units to fewer, at random but each time the same."""
    if len(gains) <= _MOST_UNITS:
        return gains
    order = np.random.default_rng(0).permutation(len(gains))
    parts = np.array_split(order, _MOST_UNITS)
    return np.stack([gains[part].mean(axis=0) for part in parts])
