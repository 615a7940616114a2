"""What the proxy means: E[true | proxy] over the base, on the power axis."""

from typing import Any, NamedTuple

import numpy as np

from robust.measure.namespace import namespace


class Calibration(NamedTuple):
    """Mean true value of base inputs by how rare their score is.

    Attributes:
      nats: mean -ln P(base scores higher) of each bin, increasing, `[B]`.
      true: mean true value there, `[B]`.
      error: its standard error within the bin, `[B]`.
    """

    nats: Any
    true: Any
    error: Any

    def __call__(self, nats):
        """True value of ordinary inputs as rare as these: `[...]` to `[...]`.

        Linear between bins, constant beyond the outermost.
        """
        return namespace(nats, self.nats).interp(nats, self.nats, self.true)


def calibrate(nats, true, bins: int = 32) -> Calibration:
    """Regress the true value on the rarity of the score.

    Given the score, neutral attacks do not choose between inputs, so base draws and
    the particles of splitting can be joined in any proportion.

    Args:
      nats: -ln P(base scores higher) of judged inputs, `[Q]`, from `rank_nats`.
      true: their true values, `[Q]`.
      bins: bins of equal count; at most Q.

    Raises:
      ValueError: fewer inputs than bins.

    Reference: the regressogram, Tukey 1961, Curves as Parameters, and Touch Estimation.
    """
    xp, num = namespace(nats, true), nats.shape[0]
    if num < bins:
        raise ValueError(f"got {num} judged inputs for {bins} bins; judge more inputs")
    order = xp.argsort(nats)
    edge = np.arange(bins + 1) * num // bins
    count = np.diff(edge)

    def mean(values):
        # Differences of a running sum: bins of unequal count in one pass.
        total = xp.concatenate([xp.zeros(1), xp.cumsum(values)])
        return (total[edge[1:]] - total[edge[:-1]]) / count

    center = mean(true[order])
    variance = mean((true[order] - xp.repeat(center, count)) ** 2)
    return Calibration(
        mean(nats[order]), center, xp.sqrt(variance / np.maximum(count - 1, 1))
    )


def selected(calibration: Calibration, power):
    """True value of the base given a score rarer than e^-power: `[...]` to `[...]`.

    What selection by score alone delivers (a quantilizer, or splitting): above a
    threshold the rarity of the score is the threshold's plus an exponential. Exact
    for the chain of chords that a calibration is.

    Args:
      power: nats, at least 0; -ln P(base scores above the threshold).

    Reference: Taylor 2016, Quantilizers; by parts, the mean of m(power + e) over an
    exponential e is m(power) plus the integral of m'(power + s) e^-s.
    """
    xp = namespace(power, *calibration[:2])
    power = xp.asarray(power, float)
    nats, true = xp.asarray(calibration.nats), xp.asarray(calibration.true)
    # A bin above the threshold adds its slope times the share of e^-t on it.
    above = xp.maximum(-xp.subtract.outer(power, nats), 0.0)
    width = xp.diff(nats)
    slope = xp.diff(true) / xp.where(width > 0, width, 1.0)
    slope = xp.expand_dims(slope, tuple(range(power.ndim)))
    share = -xp.expm1(-xp.diff(above)) * xp.exp(-above[..., :-1])
    return calibration(power) + (slope * share).sum(axis=-1)
