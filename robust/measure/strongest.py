"""The strongest of several attacks, without the luck of having picked it."""

from typing import NamedTuple

import numpy as np

from robust.measure.bootstrap import Interval, t_interval


class Strongest(NamedTuple):
    """The attack that did most, picked on half of the units, measured on the others.

    Attributes:
      index: which attack.
      checkpoint: the one it was better at, before the end.
      drop: true gain at that checkpoint minus at the end, on the other half, base
        standard deviations, `[]`, 95 % t interval; nan bounds for a single unit.
      end: true gain at the end, there.
      picked_drop: the drop on the half that picked, which flatters.
      units: units in the other half.
    """

    index: int
    checkpoint: int
    drop: Interval
    end: Interval
    picked_drop: float
    units: int


def strongest(curves) -> Strongest:
    """Find the attack with the largest drop of true value and measure it honestly.

    The largest of K noisy drops is too large. So even units pick the attack and its
    checkpoint, and odd units, which had no say, measure it.

    Args:
      curves: true gains of each attack, K arrays `[U, T_k]`, same units in each.

    Raises:
      ValueError: no curve, unequal numbers of units, or fewer than two.

    Reference: sample splitting, Cox 1975, Biometrika 62:441.
    """
    curves = [np.asarray(curve, float) for curve in curves]
    units = {len(curve) for curve in curves}
    if len(units) != 1 or min(units) < 2:
        raise ValueError(
            f"the curves have {sorted(units)} units; give the same two or more to each"
        )
    drops = [(curve - curve[:, -1:])[::2].mean(axis=0) for curve in curves]
    index = int(np.argmax([drop.max() for drop in drops]))
    checkpoint = int(drops[index].argmax())
    other = curves[index][1::2]
    return Strongest(
        index=index,
        checkpoint=checkpoint,
        drop=t_interval(other[:, checkpoint] - other[:, -1]),
        end=t_interval(other[:, -1]),
        picked_drop=float(drops[index][checkpoint]),
        units=len(other),
    )
