"""Lay what a study found before the checks of its attacks."""

import numpy as np

from robust.measure import diagnosis
from robust.measure.realised import gain

_POPULATION = ("survivors", "ancestors", "plateau")
_PLATEAU = ("plateau", "top", "at_top")


def diagnose(found, offers, reference, probed) -> list[list[diagnosis.Finding]]:
    """Check each attack of a study.

    Args:
      found: `[(attack, trace, curve), ...]`.
      offers: what the target offers, as `capabilities` names it.
      reference: the `Reference` of the same rows.
      probed: the `Probe` of the target and these traces.

    Returns:
      the findings of each attack, in the order given.
    """
    gradients = {a.name for a, _, _ in found if a.cost.grads > 0}
    ran = {a.name: _families(a, trace) for a, trace, _ in found}
    families = set().union(*ran.values())
    everyone = [
        (a.name, line.proxy, np.asarray(trace.queries) + 2 * np.asarray(trace.grads))
        for a, trace, line in found
    ]
    rivals = [rival for rival in everyone if rival[0] not in gradients]
    std, health = reference.scales[1], []
    for (attack, trace, line), again in zip(found, probed.rescored, strict=True):
        uses = attack.name in gradients
        climbs = ran[attack.name] == {"gradient"}
        claims = bool(np.isfinite(line.kl[:, -1]).all())
        selects = claims or "power" in trace.info
        spent = float(trace.queries[-1] + 2 * trace.grads[-1])
        health.append([
            *_gradient_checks(trace, probed.slopes if uses else None, reference),
            diagnosis.budget_doubling(line.proxy, trace.steps, claims),
            diagnosis.tail(line.proxy, trace.steps, claims),
            *_budget_checks(trace, line),
            diagnosis.monotone(line.proxy),
            diagnosis.oscillation(trace.proxy, claims),
            diagnosis.stuck(trace.proxy[:, 0], trace.proxy[:, -1], std, claims),
            diagnosis.black_box(line.proxy[:, -1] if climbs else None, spent, rivals),
            diagnosis.outdone(
                None if climbs or selects else line.proxy[:, -1],
                spent, [rival for rival in everyone if rival[0] != attack.name],
            ),
            diagnosis.population(*map(trace.info.get, _POPULATION)),
            diagnosis.mixing(trace.info.get("refreshed")),
            *_sampler_checks(trace),
            diagnosis.plateau(*map(trace.info.get, _PLATEAU)),
            diagnosis.claimed_kl(line.kl[:, -1], line.power[:, -1]),
            *_winner_checks(trace, again, reference),
            diagnosis.both_families("gradient" in offers, families),
        ])  # fmt: skip
    return health


def _families(attack, trace) -> set[str]:
    """Which kinds of search an attack is, or runs inside."""
    climbs = attack.cost.grads > 0
    inside = trace.info.get("families")
    counts = (climbs, not climbs) if inside is None else inside[0, -1]
    kinds = zip(("gradient", "black box"), counts, strict=True)
    return {kind for kind, count in kinds if count}


def _gradient_checks(trace, slopes, reference) -> list[diagnosis.Finding]:
    zero, bad = (trace.info.get(n) for n in ("zero_gradient", "nonfinite_gradient"))
    std = reference.scales[1]
    dead = None
    agree = diagnosis.slope_agreement(None, None)
    hidden = diagnosis.masked(None, None, None, 0, std)
    if slopes is not None:
        # What an attack does not tell of its gradients, the probe does.
        dead = slopes.dead
        agree = diagnosis.slope_agreement(slopes.predicted, slopes.measured)
        hidden = diagnosis.masked(
            slopes.change, slopes.silent, slopes.zero, slopes.leaves, std
        )
    if zero is not None and bad is not None:
        dead = (zero + bad)[:, 0]
    return [diagnosis.zero_gradient(dead), diagnosis.nonfinite(bad), agree, hidden]


def _budget_checks(trace, line) -> list[diagnosis.Finding]:
    climb = trace.info.get("climb")
    climb = None if climb is None else int(climb[0, -1])
    return [
        diagnosis.reach(trace.info.get("reach")),
        diagnosis.restarts(line.proxy, trace.steps, climb),
    ]


def _sampler_checks(trace) -> list[diagnosis.Finding]:
    info = trace.info
    # Other attacks tell an acceptance of other moves, or the spread of a beam.
    acceptance = info.get("acceptance") if "divergences" in info else None
    spread = info.get("spread") if "condition" in info else None
    return [
        diagnosis.chains(acceptance, info.get("divergences")),
        diagnosis.weights(info.get("ess")),
        diagnosis.coverage(spread, info.get("condition"), trace.steps),
    ]


def _winner_checks(trace, again, reference) -> list[diagnosis.Finding]:
    mean, std, *_ = reference.scales
    risen = gain(trace.proxy[:, -1].mean(axis=1, dtype=float), mean, std)
    fresh = again.repeats[0]
    variants = [again.precise, again.alone, again.eager[None]]
    return [
        diagnosis.repeatable(again.repeats, std),
        diagnosis.rescored(again.recorded, fresh, std),
        diagnosis.numeric_floor(fresh, variants, risen, std),
        diagnosis.unstable(again.near, fresh, risen, std),
        diagnosis.legal(again.illegal),
    ]
