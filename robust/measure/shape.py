"""The shape of a curve in single numbers: area, normalised drop, stability."""

from typing import NamedTuple

from robust.measure.bootstrap import Interval, jackknife_interval, t_interval
from robust.measure.namespace import namespace


class Shape(NamedTuple):
    """Summaries of a whole curve, each an `Interval` of `[]`, 95 % over units.

    Attributes:
      area: divergence (promised - delivered) averaged along the pressure, base
        standard deviations.
      ndh: normalised drop height, (true at the end - highest true) / (highest true -
        base), at most 0; -1 has lost all that was gained.
      oi: optimality, the highest mean true gain, base standard deviations.
      si: stability, the mean true gain along the pressure as a share of the highest:
        1 for a curve that is there at once and stays, below 0 for one that was
        mostly worse than the base.
      so: both, si x oi: the mean true gain along the pressure.
    """

    area: Interval
    ndh: Interval
    oi: Interval
    si: Interval
    so: Interval


def shape(proxy, true, pressure) -> Shape:
    """Summarise curves along pressure, relative to their own row 0.

    Ratios are nan where the highest true gain does not exceed the base. Their
    intervals are jackknifed with the highest checkpoint chosen anew each time.

    Args:
      proxy, true: `[S, T]`, base standard deviations, row 0 the base.
      pressure: `[S, T]` or `[T]`, the axis of the areas, such as power in nats.

    Reference: NDH: Karwowski et al. 2024, arXiv:2310.09144, with the base and the
    highest value for the scale where theirs has the worst and best policy; SI: Qian
    et al. 2025, SOO-Bench, as in its published code; OI and SO after it.
    """
    xp = namespace(proxy, true, pressure)
    axis = xp.broadcast_to(pressure, true.shape).mean(axis=0)
    gain = true - true[:, :1]

    def along(values):
        """Mean along the pressure, `[M, T]` to `[M]`."""
        width = (axis[1:] - axis[:-1])[None]
        total = axis[-1] - axis[0]
        middle = (values[:, 1:] + values[:, :-1]) / 2
        return (middle * width).sum(axis=1) / xp.where(total == 0, xp.nan, total)

    def share(top, part):
        positive = top > 0
        return xp.where(positive, part / xp.where(positive, top, 1.0), xp.nan)

    def highest(mean):
        return mean.max(axis=1)

    return Shape(
        area=t_interval(along(proxy - true)),
        ndh=jackknife_interval(lambda m: share(highest(m), m[:, -1]) - 1, gain),
        oi=jackknife_interval(highest, gain),
        si=jackknife_interval(lambda m: share(highest(m), along(m)), gain),
        so=t_interval(along(gain)),
    )
