"""A curve of reward against true value, on the scales of the base."""

from typing import NamedTuple

import numpy as np

from robust.measure import bootstrap
from robust.measure.bootstrap import Interval
from robust.measure.divergence import Divergence, divergence
from robust.measure.realised import gain


class Curve(NamedTuple):
    """Proxy and true value along pressure.

    U independent units (prompts where there are several, else seeds), T checkpoints,
    0 the base. Intervals are Student's t over units and hold for this judge; they
    speak of the recipe of the proxy only where the task draws a proxy per seed.

    Attributes:
      power: realised pressure, nats, `[U, T]`; "at least" as far as `beyond`.
      beyond: share of candidates that score beyond the power table, `[U, T]`.
      kl: the attack's own claim, nats, `[U, T]`; nan where it makes none.
      proxy, true: mean gains in base standard deviations, `[U, T]`.
      steps, queries, grads: spent per slot, `[T]`.
      scales: (proxy mean, proxy sd, true mean, true sd) of the base, `[U]` each.
      rho: correlation of proxy and true value on the base, `[U]`.
      names: the attack, and what a unit is: "seeds" or "prompts".
      chi2: the attack's own claim of its chi-squared divergence to the base, `[U,
        T]`, for attacks that select by score alone; nan where it makes none.
      healthy: False when a diagnosis of the attack failed or was not made; the
        verdict is then neither robust nor weak.
    """

    power: np.ndarray
    beyond: np.ndarray
    kl: np.ndarray
    proxy: np.ndarray
    true: np.ndarray
    steps: np.ndarray
    queries: np.ndarray
    grads: np.ndarray
    scales: tuple[np.ndarray, ...]
    rho: np.ndarray
    names: dict[str, str]
    chi2: np.ndarray | float = np.nan
    healthy: bool = True

    @property
    def gain(self) -> np.ndarray:
        """The proxy's gain, base standard deviations, `[U, T]`."""
        return self.proxy

    @property
    def at_least(self) -> np.ndarray:
        """Where more than 1 % of the candidates lie beyond the power table, `[T]`."""
        return self.beyond.mean(axis=0) > 0.01

    @property
    def raw_true(self) -> np.ndarray:
        """The true value in the judge's own units, `[U, T]`."""
        return self.scales[2][:, None] + self.scales[3][:, None] * self.true

    def interval(self, field: str) -> Interval:
        """95 % t interval of `power`, `kl`, `proxy`, `true` or `raw_true`: `[T]`."""
        mean, low, high = bootstrap.t_interval(getattr(self, field))
        return Interval(np.asarray(mean), np.asarray(low), np.asarray(high))

    def divergence(self, **options) -> Divergence:
        """The metrics and verdict of this curve; options as in `divergence`."""
        zero, (_, proxy_std, _, true_std) = np.zeros(len(self.power)), self.scales
        # Values are standardised already; a scale of 0 still marks them degenerate.
        scales = (zero, (proxy_std > 0) * 1.0, zero, (true_std > 0) * 1.0)
        options = {"healthy": self.healthy, **options}
        return divergence(
            self.proxy, self.true, scales=scales, power=self.power, **options
        )


def mean_rater(true: np.ndarray) -> np.ndarray:
    """Average raters: `[S, T, K, R]` to `[S, T, K]`; a single judge stays as it is."""
    return true.mean(axis=-1) if true.ndim == 4 else true


def curve(trace, true, reference, key) -> Curve:
    """Put a judged trace on the scales of its reference.

    Args:
      trace: a `Trace`, S rows.
      true: the judge's scores `[S, T, K]`, or `[S, T, K, R]` for R raters, whose
        mean is taken.
      reference: the `Reference` of the same rows.
      key: for candidates that tie with base draws.
    """
    true = mean_rater(true)
    nats, beyond = reference.nats(trace.proxy, key)
    proxy_mean, proxy_std, true_mean, true_std = (s[:, None] for s in reference.scales)

    def per_unit(values):
        return bootstrap.by_unit(values, trace.unit)

    missing = np.full(trace.proxy.shape[:2], np.nan)
    return Curve(
        power=per_unit(nats.mean(axis=-1) - 1),
        beyond=per_unit(beyond.mean(axis=-1)),
        kl=per_unit(trace.info.get("kl", missing)),
        proxy=per_unit(
            gain(trace.proxy.astype(float).mean(axis=-1), proxy_mean, proxy_std)
        ),
        true=per_unit(gain(true.mean(axis=-1), true_mean, true_std)),
        steps=trace.steps,
        queries=trace.queries,
        grads=trace.grads,
        scales=tuple(per_unit(value) for value in reference.scales),
        rho=per_unit(reference.rho),
        names={**trace.names, "unit": _unit_name(trace)},
        chi2=per_unit(trace.info.get("chi2", missing)),
    )


def _unit_name(trace) -> str:
    several = trace.context is not None and len(np.unique(trace.unit)) > 1
    return "prompts" if several else "seeds"
