"""From judged traces to curves, causes, guarantees, diagnoses and verdicts."""

from typing import NamedTuple

import jax
import numpy as np

from robust import reference as ref
from robust.diagnose import diagnose
from robust.measure import (
    bootstrap,
    bounds,
    calibration,
    causes,
    diagnosis,
    extrapolation,
    hackable,
)
from robust.measure.curve import Curve, curve, mean_rater
from robust.measure.divergence import Divergence
from robust.measure.fitted import fitted
from robust.measure.realised import gain, rank_nats
from robust.trace import Trace


class Result(NamedTuple):
    """What one attack did.

    Attributes:
      name: of the attack.
      trace, true: what it found, and the judge's scores of it, `[S, T, K]`.
      curve: on the scales of the base.
      causes: parts of the divergence per unit and checkpoint, `[U, T]`.
      guaranteed, guaranteed_by_proxy: true gain that the base's correlation guarantees,
        by the bounds of Liu et al. and of Laidlaw et al., `[U, T]`; nan where the
        attack claims no chi-squared divergence.
      findings: the diagnosis.
      divergence: metrics and verdict.
    """

    name: str
    trace: Trace
    true: np.ndarray
    curve: Curve
    causes: causes.Causes
    guaranteed: np.ndarray
    guaranteed_by_proxy: np.ndarray
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
      regret_at_power: the same at equal power, each attack's on what it attacked; nan
        beyond what the judged base draws resolve, or the attack on the judge reached.
      laws: per attack that claims its KL, the forms compared on its true gain.
      views: judge -> results of the same traces in the eyes of a further judge.
    """

    reference: ref.Reference
    expected: tuple[np.ndarray, np.ndarray]
    calibrations: list[calibration.Calibration]
    results: list[Result]
    handles: list[Result]
    regret: dict[str, bootstrap.Interval]
    regret_at_power: dict[str, bootstrap.Interval]
    laws: dict[str, extrapolation.Comparison]
    views: dict[str, list[Result]]


class _Eyes(NamedTuple):
    """The base as one judge sees it, and what follows for selection by score."""

    reference: ref.Reference
    expected: list[calibration.Calibration]
    sharp: np.ndarray  # upper bound of the correlation ratio of each row
    key: jax.Array
    proxy_per_seed: bool


def assess(
    reference, found, offers, probed, key, handles=(), ideal=(), views=(),
    proxy_per_seed=False,
) -> Study:  # fmt: skip
    """Measure and diagnose judged traces.

    Args:
      reference: the base as proxy and judge see it.
      found: `[(attack, trace, true), ...]`.
      offers: what the target offers, as `capabilities` names it.
      probed: the `Probe` of the target and these traces.
      key: for scores that tie with base draws.
      handles: as `found`, of restricted attacks.
      ideal: `{attack's name: (trace, true)}` of the same attacks on the judge.
      views: `{judge: (reference, [true, ...])}` of further judges, in the order of
        `found`.
      proxy_per_seed: whether rows of the same seed share a proxy, see `curve`.
    """
    eyes = _eyes(reference, key, proxy_per_seed)
    results = [_measured(eyes, *one) for one in found]
    lines = [(a, t, r.curve) for (a, t, _), r in zip(found, results, strict=True)]
    health = diagnose(lines, offers, reference, probed)
    unit = found[0][1].unit
    regret, at_power = _regret(results, dict(ideal), reference, eyes.key)
    last = min(float(c.nats[-1]) for c in eyes.expected) - 1
    grid = np.linspace(0.0, max(last, 0.1), 200)
    delivered = np.stack([calibration.selected(c, grid) for c in eyes.expected])
    return Study(
        reference=reference,
        expected=(grid, bootstrap.by_unit(delivered, unit)),
        calibrations=eyes.expected,
        results=list(map(_diagnosed, results, health)),
        handles=[_measured(eyes, *one) for one in handles],
        regret=regret,
        regret_at_power=at_power,
        laws=_laws(results),
        views={
            judge: _view(_eyes(seen, key, proxy_per_seed), found, true, health)
            for judge, (seen, true) in dict(views).items()
        },
    )


def _eyes(reference, key, proxy_per_seed) -> _Eyes:
    key_base, key_shell, key_trace = jax.random.split(key, 3)
    known, expected = _calibrate(reference, key_base, key_shell)
    sharp = _correlation_ratio(known, reference.rho)
    return _Eyes(reference, expected, sharp, key_trace, proxy_per_seed)


def _measured(eyes: _Eyes, attack, trace, true) -> Result:
    # One key for all attacks: ties at row 0 are broken alike.
    line = curve(trace, true, eyes.reference, eyes.key, eyes.proxy_per_seed)
    part = _causes(trace, mean_rater(true), eyes.reference, eyes.expected, eyes.key)
    eta2 = bootstrap.by_unit(eyes.sharp, trace.unit)[:, None]
    # No policy gains more than the root of its chi-squared; a sample's mean may.
    most = np.minimum(line.proxy, np.sqrt(line.chi2))
    known = most, line.chi2, line.rho[:, None]
    safe = np.asarray(bounds.guaranteed(*known, eta2))
    weaker = np.asarray(bounds.guaranteed_by_proxy(*known))
    verdict = line.divergence()
    return Result(attack.name, trace, true, line, part, safe, weaker, [], verdict)


def _diagnosed(result: Result, findings) -> Result:
    line = result.curve._replace(healthy=diagnosis.healthy(findings))
    return result._replace(curve=line, findings=findings, divergence=line.divergence())


def _view(eyes: _Eyes, found, true, health) -> list[Result]:
    """The same traces by another judge; whether an attack was sound is no matter of
    judges."""
    pairs = zip(found, true, strict=True)
    results = [_measured(eyes, attack, trace, v) for (attack, trace, _), v in pairs]
    return list(map(_diagnosed, results, health))


def _laws(results) -> dict[str, extrapolation.Comparison]:
    found = {r.name: fitted(r.curve.kl.mean(axis=0), r.curve.true) for r in results}
    return {name: laws for name, laws in found.items() if laws is not None}


def _regret(results, ideal, reference, key):
    """What attacks on the judge reached more, at equal cost and at equal power."""
    _, _, mean, std = (scale[:, None] for scale in reference.scales)
    cost, power = {}, {}
    for result in results:
        if result.name not in ideal:
            continue
        trace, true = ideal[result.name]
        true, line = mean_rater(true), result.curve
        best = bootstrap.by_unit(gain(true.mean(-1), mean, std), trace.unit)
        cost[result.name] = hackable.regret(line.true, best)
        nats, known = _power_on_judge(true, reference, trace.unit, key)
        equal = hackable.at_power(best[:, known], nats[:, known], line.power)
        power[result.name] = hackable.regret(line.true, equal)
    return cost, power


def _power_on_judge(true, reference, unit, key):
    """Power of candidates by the judge's scores, `[U, T]`, and where it is resolved."""
    uniform = np.asarray(jax.random.uniform(key, true.shape))
    rows = zip(true, reference.true, uniform, strict=True)
    found = [rank_nats(v.ravel(), draws, u.ravel()) for v, draws, u in rows]
    nats, beyond = (
        np.stack(part).reshape(true.shape).mean(-1) for part in zip(*found, strict=True)
    )
    return bootstrap.by_unit(nats - 1, unit), beyond.mean(axis=0) <= 0.01


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
