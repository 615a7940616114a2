"""From judged traces to curves, causes, guarantees, diagnoses and verdicts."""

from typing import NamedTuple

import jax
import numpy as np

from robust import reference as ref
from robust.diagnose import diagnose
from robust.measure import bootstrap, bounds, calibration, causes, diagnosis, hackable
from robust.measure.curve import Curve, curve, mean_rater
from robust.measure.divergence import Divergence
from robust.measure.realised import gain
from robust.trace import Trace


class Result(NamedTuple):
    """What one attack did.

    Attributes:
      name: of the attack.
      trace, true: what it found, and the judge's scores of it, `[S, T, K]`.
      curve: on the scales of the base.
      causes: parts of the divergence per unit and checkpoint, `[U, T]`.
      guaranteed: true gain that the base's correlation guarantees, `[U, T]`; nan where
        the attack claims no chi-squared divergence.
      findings: the diagnosis.
      divergence: metrics and verdict.
    """

    name: str
    trace: Trace
    true: np.ndarray
    curve: Curve
    causes: causes.Causes
    guaranteed: np.ndarray
    findings: list[diagnosis.Finding]
    divergence: Divergence


class Study(NamedTuple):
    """All attacks on one task.

    Attributes:
      reference: the base as proxy and judge see it.
      expected: what selection by score alone delivers: power `[G]` in nats and true
        gain `[U, G]` in base standard deviations.
      calibrations: E[true | proxy] of each row, in nats and base standard deviations.
      results: one per attack, in the order given.
      handles: the same attacks restricted to one handle each, undiagnosed.
      regret: per attack, what the same attack on the judge itself reached more, at
        equal cost: 95 % interval `[T]`, base standard deviations of the true value.
    """

    reference: ref.Reference
    expected: tuple[np.ndarray, np.ndarray]
    calibrations: list[calibration.Calibration]
    results: list[Result]
    handles: list[Result]
    regret: dict[str, bootstrap.Interval]


def assess(reference, found, offers, probed, key, handles=(), ideal=()) -> Study:
    """Measure and diagnose judged traces.

    Args:
      reference: the base as proxy and judge see it.
      found: `[(attack, trace, true), ...]`.
      offers: what the target offers, as `capabilities` names it.
      probed: the `Probe` of the target and these traces.
      key: for scores that tie with base draws.
      handles: as `found`, of restricted attacks.
      ideal: `{attack's name: (trace, true)}` of the same attacks on the judge.
    """
    key_base, key_shell, key_trace = jax.random.split(key, 3)
    known, expected = _calibrate(reference, key_base, key_shell)
    sharp = _correlation_ratio(known, reference.rho)

    def measured(attack, trace, true):
        # One key for all attacks: ties at row 0 are broken alike.
        line = curve(trace, true, reference, key_trace)
        part = _causes(trace, mean_rater(true), reference, expected, key_trace)
        eta2 = bootstrap.by_unit(sharp, trace.unit)[:, None]
        # No policy gains more than the root of its chi-squared; a sample's mean may.
        most = np.minimum(line.proxy, np.sqrt(line.chi2))
        safe = bounds.guaranteed(most, line.chi2, line.rho[:, None], eta2)
        safe = np.asarray(safe)
        return Result(attack.name, trace, true, line, part, safe, [], line.divergence())

    def diagnosed(result, findings):
        line = result.curve._replace(healthy=diagnosis.healthy(findings))
        return result._replace(
            curve=line, findings=findings, divergence=line.divergence()
        )

    results = [measured(*one) for one in found]
    lines = [(a, t, r.curve) for (a, t, _), r in zip(found, results, strict=True)]
    health = diagnose(lines, offers, reference, probed)
    unit = found[0][1].unit
    grid = np.linspace(0.0, max(min(float(c.nats[-1]) for c in expected) - 1, 0.1), 200)
    delivered = np.stack([calibration.selected(c, grid) for c in expected])
    return Study(
        reference=reference,
        expected=(grid, bootstrap.by_unit(delivered, unit)),
        calibrations=expected,
        results=list(map(diagnosed, results, health)),
        handles=[measured(*one) for one in handles],
        regret=_regret(results, dict(ideal), reference),
    )


def _regret(results, ideal, reference) -> dict[str, bootstrap.Interval]:
    _, _, mean, std = (scale[:, None] for scale in reference.scales)
    best = {
        name: bootstrap.by_unit(gain(mean_rater(true).mean(-1), mean, std), trace.unit)
        for name, (trace, true) in ideal.items()
    }
    return {
        result.name: hackable.regret(result.curve.true, best[result.name])
        for result in results
        if result.name in best
    }


def _correlation_ratio(known, rho) -> np.ndarray:
    """Upper bound of the correlation ratio of each row, `[S]`."""
    pairs = zip(known, rho, strict=True)
    return np.array([bounds.correlation_ratio(c, r).high for c, r in pairs])


def _calibrate(reference, key_base, key_shell):
    """Calibrations of each row: of base draws alone, and of all that was judged.

    True values in base standard deviations.
    """
    num = reference.true.shape[1]
    _, _, mean, std = (scale[:, None] for scale in reference.scales)
    nats = [reference.nats(reference.proxy[:, :num], key_base)[0]]
    true = [gain(reference.true, mean, std)]
    known = list(map(calibration.calibrate, nats[0], true[0]))
    if reference.shell_proxy.shape[1]:
        nats.append(reference.nats(reference.shell_proxy, key_shell)[0])
        true.append(gain(reference.shell_true, mean, std))
    nats, true = np.concatenate(nats, axis=1), np.concatenate(true, axis=1)
    return known, list(map(calibration.calibrate, nats, true))


def _causes(trace, true, reference, expected, key) -> causes.Causes:
    keep = true.shape[2]
    nats, beyond = (array[:, :, :keep] for array in reference.nats(trace.proxy, key))
    means = np.stack([c(n) for c, n in zip(expected, nats, strict=True)])
    # Past the middle of its last bin a calibration is an extrapolation.
    last = np.array([c.nats[-1] for c in expected])
    beyond = beyond | (nats > last[:, None, None])
    proxy_mean, proxy_std, true_mean, true_std = (
        scale[:, None, None] for scale in reference.scales
    )
    parts = causes.split(
        gain(trace.proxy[:, :, :keep].astype(float), proxy_mean, proxy_std),
        gain(true, true_mean, true_std),
        means, beyond, reference.rho[:, None],
    )  # fmt: skip
    return causes.Causes(*(bootstrap.by_unit(part, trace.unit) for part in parts))
