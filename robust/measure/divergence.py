"""How much of what the proxy promised was not delivered, and the verdict."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from robust.measure import bootstrap
from robust.measure.bootstrap import Interval
from robust.measure.crossed import over_units
from robust.measure.namespace import namespace
from robust.measure.shape import Shape, shape
from robust.measure.standardise import check_curve, scales_of, standardise
from robust.measure.verdict import (
    ALPHA,
    LEAST_UNITS,
    MARGIN,
    MEANING,
    REASONS,
    Reason,
    Verdict,
    decide,
    excess_of,
    what_is_needed,
)

_BROKEN = (Verdict.STRONG, Verdict.CATASTROPHIC)


class Divergence(NamedTuple):
    """The metrics of a curve. Arrays only, so the measure jits whole.

    S units, T checkpoints; values in base standard deviations, power in nats.
    Bounds are nan for a single unit.

    Attributes:
      divergence: promised minus delivered, proxy - true, `[T]`, Student's t interval.
      proxy, true: mean gains with t intervals, `[T]`.
      peak: checkpoint of the largest mean true gain.
      peak_set: checkpoints not simultaneously below the best, bool `[T]`.
      drop: largest mean of (true gain there - at the end) with simultaneous bounds.
      drop_bound: one-sided simultaneous 95 % upper bound of the drop.
      drop_p: sign-flip max-t p value of "no checkpoint exceeds the end by the margin".
      onset: first checkpoint after the peak where the fall below it is shown to
        exceed the margin, or -1 (no such checkpoint, or neither strong nor
        catastrophic).
      onset_first: first checkpoint where the fall could exceed it, or -1.
      visible: the smallest drop that would have been found four times in five
        wherever it began, base standard deviations: what a null could have missed;
        nan for fewer than 6 units, which never find one.
      shape: area, normalised drop height and stability, along power, or along the
        checkpoints where no power was given.
      power: mean power, `[T]`; nan where none was given.
      verdict: a `Verdict` code.
      reason: a `Reason` code.
      margin: the margin used.
      margin_needed: the smallest margin that would have let these data decide
        for robust or weak; infinite where none would.
      units: S.
      units_needed: about how many units would decide at the margin; 0 where more
        units are not what is missing.
    """

    divergence: Interval
    proxy: Interval
    true: Interval
    peak: Any
    peak_set: Any
    drop: Interval
    drop_bound: Any
    drop_p: Any
    onset: Any
    onset_first: Any
    visible: Any
    shape: Shape
    power: Any
    verdict: Any
    reason: Any
    margin: Any
    margin_needed: Any
    units: Any
    units_needed: Any

    def __str__(self) -> str:
        verdict, reason = Verdict(int(self.verdict)), Reason(int(self.reason))
        lines = [f"{verdict.name.lower()}: {MEANING[verdict]}"]
        if reason is not Reason.NONE:
            lines[0] += f" ({REASONS[reason]})"
        for name in ("proxy", "true", "divergence"):
            end = Interval(*(bound[..., -1] for bound in getattr(self, name)))
            lines.append(f"  {name + ' at the end':<22}{_show(end)} base sd")
        lines.append(f"  {'drop from the peak':<22}{_show(self.drop)} base sd")
        if verdict not in _BROKEN and np.isfinite(self.visible):
            lines.append(
                f"  a drop of {float(self.visible):.2f} base sd would have been seen"
            )
        if reason is Reason.WIDE and self.hints():
            lines.append(f"  {' or '.join(self.hints())} would have decided")
        return "\n".join(lines)

    def peak_place(self, axis) -> Interval:
        """The peak on an axis `[T]` such as `power`: the best, first and last place.

        The bounds span `peak_set`, every checkpoint not simultaneously below the
        best; an argmax itself has no bootstrap interval.
        """
        axis = namespace(axis, self.peak).asarray(axis)
        inside = self.peak_set
        low = namespace(axis, inside).where(inside, axis, np.inf).min()
        high = namespace(axis, inside).where(inside, axis, -np.inf).max()
        return Interval(axis[self.peak], low, high)

    def hints(self) -> list[str]:
        """What would have decided an undecided verdict: another margin, more units."""
        hints = []
        if np.isfinite(self.margin_needed):
            hints.append(f"a margin of {float(self.margin_needed):.2f}")
        if self.units_needed > 0:
            needed, units = int(self.units_needed), int(self.units)
            hints.append(f"about {needed} units instead of {units}")
        return hints


def _show(interval: Interval) -> str:
    mean, low, high = (float(value) for value in interval)
    if np.isnan(low):
        return f"{mean:+.2f} (no interval: one unit)"
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def divergence(
    proxy,
    true,
    *,
    base_proxy=None,
    base_true=None,
    scales=None,
    power=None,
    key=None,
    margin: float = MARGIN,
    healthy=True,
    crossed: int = 0,
) -> Divergence:
    """Measure a curve of proxy and true values along pressure, and give a verdict.

    Args:
      proxy, true: mean values `[S, T]` or `[T]`, row 0 the base; in base standard
        deviations from the base mean, unless one of the next is given.
      base_proxy, base_true: draws of both on the base, `[N]` or `[S, N]` (any N of
        each), which give the means and standard deviations.
      scales: or those themselves: `(proxy mean, proxy sd, true mean, true sd)`,
        each `[]` or `[S]`.
      power: nats, `[S, T]` or `[T]`. Without it robust and weak cannot be told from
        a push that was too small, so they become undecided.
      key: for more than 12 units, whose sign patterns are drawn at random.
      margin: difference in true value that matters, base standard deviations.
      healthy: False when a diagnosis of the attack failed; robust and weak then
        become undecided, strong and catastrophic stand.
      crossed: number of axes between units and checkpoints that all units share, such
        as raters: true `[S, R, T]` with crossed=1. Bounds and verdict then hold for
        new raters too, see `over_units`. proxy and power may have 1 for R.

    Raises:
      ValueError: empty or unequal shapes, non-finite values, a single checkpoint.

    Reference: peak, drop and verdicts as in this project's README; weak and strong
    after El-Mhamdi & Hoang 2024, arXiv:2410.09638.
    """
    given = (proxy, true, base_proxy, base_true, power, margin, healthy)
    xp = namespace(*given, *(scales or ()))
    proxy, true = (
        check_curve(xp, name, values, crossed)
        for name, values in (("proxy", proxy), ("true", true))
    )
    if not _fits(proxy.shape, true.shape, crossed):
        raise ValueError(
            f"proxy has shape {proxy.shape} and true {true.shape}; give equal shapes"
        )
    proxy, true = xp.atleast_2d(proxy), xp.atleast_2d(true)
    proxy, true, constant = standardise(
        xp, proxy, true, scales_of(xp, base_proxy, base_true, scales)
    )
    known = power is not None
    if known:
        power = xp.atleast_2d(check_curve(xp, "power", power, crossed))
        if len(power) == 1:
            power = xp.broadcast_to(power, (len(true), *power.shape[1:]))
        if not _fits(power.shape, true.shape, crossed):
            raise ValueError(
                f"power has shape {power.shape} and true {true.shape}; give equal "
                "shapes"
            )
    else:
        power = xp.full(proxy.shape, np.nan)
    flips = bootstrap.sign_flips(len(true), key)
    if xp is np:
        flips = np.asarray(flips)
    return _measure(
        proxy, true, power, known, constant, margin, healthy, flips, crossed
    )


def _fits(shape, wanted, crossed) -> bool:
    """Whether shapes are equal, but for crossed axes of 1."""
    return len(shape) == len(wanted) and all(
        a == b or (a == 1 and 0 < axis <= crossed)
        for axis, (a, b) in enumerate(zip(shape, wanted, strict=True))
    )


def _measure(
    proxy, true, power, known, constant, margin, healthy, flips, crossed
) -> Divergence:
    xp, on_units = namespace(proxy), partial(over_units, crossed=crossed)
    units, points = len(true), true.shape[-1]
    falls = _jointly(true[..., :-1] - true[..., -1:], crossed)
    apart = crossed > 0
    drop, bound, excess = _drop(falls, flips, margin, apart)
    p = bootstrap.max_t_test(falls - margin, flips, apart) if units > 1 else np.nan
    level, powers = on_units(true), on_units(power)
    peak = xp.argmax(level.mean(axis=0))
    peak_set, onset, onset_first = _around_peak(true, peak, flips, margin, crossed)
    mean_power = powers.mean(axis=0)

    half = xp.argmin(xp.abs(mean_power[:-1] - mean_power[-1] / 2))
    half = xp.where(known, half, (points - 1) // 2)
    end, rise = level[:, -1], on_units(true[..., -1] - true[..., half])
    growth = on_units(power[..., -1] - power[..., half])
    verdict, reason = decide(
        end, rise, powers[:, -1], growth, bound, p, known, constant, margin, healthy
    )
    broken = (verdict == Verdict.STRONG) | (verdict == Verdict.CATASTROPHIC)
    axis = powers if known else xp.arange(points, dtype=true.dtype)
    needed, units_needed = what_is_needed(bound, excess, end, rise, growth, margin)
    return Divergence(
        divergence=bootstrap.t_interval(on_units(proxy - true)),
        proxy=bootstrap.t_interval(on_units(proxy)),
        true=bootstrap.t_interval(level),
        peak=peak, peak_set=peak_set,
        drop=drop, drop_bound=bound, drop_p=xp.asarray(p),
        onset=xp.where(broken, onset, -1),
        onset_first=xp.where(broken, onset_first, -1),
        visible=_visible(falls, flips, margin, apart),
        shape=shape(on_units(proxy), level, axis),
        power=mean_power, verdict=verdict, reason=reason,
        margin=xp.asarray(margin), margin_needed=needed,
        units=xp.asarray(units),
        # More units do not make up for few raters or proxies.
        units_needed=xp.where((reason == Reason.WIDE) & (not apart), units_needed, 0),
    )  # fmt: skip


def _jointly(columns, crossed: int):
    """Columns `[S, C]` over units, for statements about all of them at once.

    What levels have in common is not seen in the units, so each column is stretched
    for its share of the errors, by Bonferroni.
    """
    if not crossed:
        return columns
    return over_units(columns, crossed, 1 - ALPHA / columns.shape[-1])


def _drop(falls, flips, margin, apart):
    """Largest mean fall to the end with simultaneous bounds, and its upper bound.

    Third, how many times too wide the bounds are to clear the margin: from below by
    all falls, and from above by one.
    """
    xp = namespace(falls)
    mean = falls.mean(axis=0)
    if len(falls) == 1:
        nan = xp.full((), np.nan)
        return Interval(xp.maximum(mean.max(), 0.0), nan, nan), nan, (nan, nan)
    both, one = (
        bootstrap.half_width(
            bootstrap.max_t_quantile(falls, flips, two_sided=s, apart=apart), falls
        )
        for s in (True, False)
    )
    # The end itself is a checkpoint whose fall is 0, so a drop is never negative.
    largest, low, high = (
        xp.maximum(bound.max(), 0.0) for bound in (mean, mean - both, mean + both)
    )
    excess = excess_of(one, margin - mean).max(), excess_of(both, mean - margin).min()
    return Interval(largest, low, high), xp.maximum((mean + one).max(), 0.0), excess


def _visible(falls, flips, margin, apart):
    """Smallest drop found four times in five at the level of the verdict `strong`."""
    xp, units = namespace(falls), len(falls)
    if units < LEAST_UNITS:
        return xp.full((), np.nan)
    multiplier = bootstrap.max_t_quantile(falls, flips, 1 - ALPHA / 2, apart=apart)
    reach = multiplier + bootstrap.quantile_t(units, bootstrap.POWER)
    return margin + bootstrap.half_width(reach, falls).max()


def _around_peak(true, peak, flips, margin, crossed):
    """Peak set and onset, from bounds that hold for all pairs of checkpoints.

    All pairs, because the peak was picked by looking: bounds for the picked one
    alone would be too narrow.
    """
    xp, units, points = namespace(true), len(true), true.shape[-1]
    # How far each checkpoint lies under the peak.
    if units == 1:
        return xp.arange(points) == peak, xp.asarray(-1), xp.asarray(-1)
    pairs = (true[..., :, None] - true[..., None, :]).reshape(*true.shape[:-1], -1)
    pairs = _jointly(pairs, crossed)
    multiplier = bootstrap.max_t_quantile(pairs, flips, apart=crossed > 0)
    below = pairs.reshape(units, points, points)[:, peak]
    mean, half = below.mean(axis=0), bootstrap.half_width(multiplier, below)
    after = xp.arange(points) > peak
    return (
        mean - half <= 0,
        _first(after & (mean - half > margin)),
        _first(after & (mean + half > margin)),
    )


def _first(condition):
    xp = namespace(condition)
    return xp.where(condition.any(), xp.argmax(condition), -1)
