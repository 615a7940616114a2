"""Did an attack search hard enough? Read from its curve and its rivals."""

import numpy as np

from robust.measure.diagnosis.finding import Finding, Status, grade

_CLEAR = 0.1  # base standard deviations


def budget_doubling(gain, steps, claims_kl: bool) -> Finding:
    """What the last doubling of the budget added to the gain before it, as a share.

    Args:
      gain: mean proxy gain per seed and checkpoint, `[S, T]`.
      steps: `[T]`; the checkpoint nearest half of the last is used.
      claims_kl: whether the attack states its own pressure in nats. It then says how
        hard it pushed and need not have converged.

    More than 5 % warns, more than 20 % fails. Reference: this project's planted weak
    attacks; Pintor et al. 2022 (incomplete optimization).
    """
    name = "budget doubling"
    if claims_kl:
        message = "states its pressure in nats, so it need not converge"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    steps = np.asarray(steps)
    half = int(np.argmin(np.abs(steps - steps[-1] / 2)))
    start, middle, end = (float(np.mean(gain[:, t])) for t in (0, half, -1))
    if half in (0, len(steps) - 1):
        message = "no checkpoint near half of the steps"
        return Finding(
            name, Status.MISSING, float("nan"), message, "add one: steps=[..., T//2, T]"
        )
    if end - start <= 0:
        return Finding(
            name, Status.FAIL, float("nan"), "the proxy did not rise at all",
            "raise the learning rate or the steps, or use another attack",
        )  # fmt: skip
    value = (end - middle) / max(middle - start, 1e-30)
    status = grade(value, 0.05, 0.2)
    message = f"the last doubling of the steps added {value:.1%} to the proxy's gain"
    remedy = "" if status is Status.OK else "give more steps: it is still climbing"
    return Finding(name, status, value, message, remedy)


def tail(gain, steps, claims_kl: bool) -> Finding:
    """Share of the whole rise that fell to the last tenth of the steps.

    Args:
      gain: mean proxy gain per unit and checkpoint, `[U, T]`.
      steps: `[T]`; a checkpoint between 85 and 95 % of the last is needed.
      claims_kl: as in `budget_doubling`, which is the primary test.

    More than 5 % warns. Only for 50 steps and more: of a few steps the last is a
    large share in any case. Reference: Pintor et al. 2022, arXiv:2106.09947
    (incomplete optimization).
    """
    name = "tail"
    steps = np.asarray(steps)
    share = steps / steps[-1]
    near = np.flatnonzero((share >= 0.85) & (share <= 0.95))
    if claims_kl or steps[-1] < 50 or not len(near):
        message = "no checkpoint near nine tenths of 50 steps or more"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    best = np.maximum.accumulate(np.mean(gain, axis=0))
    at = near[np.argmin(np.abs(share[near] - 0.9))]
    value = float((best[-1] - best[at]) / max(best[-1] - best[0], 1e-30))
    status = grade(value, 0.05, 1.0)
    if status is Status.OK:
        return Finding(name, status, value, "the climb was over before the end")
    return Finding(
        name, status, value,
        f"{value:.1%} of the rise came in the last tenth of the steps",
        "give more steps: it is still climbing",
    )  # fmt: skip


def reach(reached) -> Finding:
    """How far the steps of an attack could take it, over the radius it may go.

    Args:
      reached: lengths of the steps together over the radius, `[S, T]`; nan without a
        radius, None for an attack that does not know them.

    Below 1 at the end warns: the edge cannot be reached, whatever the proxy. Known
    before anything runs. Reference: both of this project's planted weak attacks.
    """
    name = "reach"
    if reached is None or np.isnan(reached).any():
        message = "has no radius, or steps of unknown length"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    value = float(np.min(np.asarray(reached)[:, -1]))
    message = f"its steps together are {value:.2g} times the radius"
    if value >= 1:
        return Finding(name, Status.OK, value, message)
    return Finding(
        name, Status.WARN, value, message,
        "give more steps or a larger learning rate, or state a smaller radius",
    )  # fmt: skip


def restarts(gain, steps, climb) -> Finding:
    """What restarts added to the gain of the first climb, as a share of the whole.

    Args:
      gain: mean proxy gain per unit and checkpoint, `[U, T]`.
      steps: `[T]`, with a checkpoint at the end of the first climb.
      climb: steps of each climb; None for an attack that does not restart in time.

    More than 10 % warns: one more climb may again find more. Without a ball a healthy
    attack brings 0, among waves more; in a ball around each fresh start even a healthy
    one warns, for better starts are found. Proposed. Reference: Madry et al. 2018,
    arXiv:1706.06083 (how far restarts end apart).
    """
    name, steps = "restarts", np.asarray(steps)
    first = np.flatnonzero(steps == climb)
    if climb is None or climb >= steps[-1] or not len(first):
        message = "climbs once, or was not looked at when its first climb ended"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    start, one, end = (float(np.mean(gain[:, t])) for t in (0, first[0], -1))
    value = (end - one) / max(end - start, 1e-30)
    status = grade(value, 0.1, np.inf)
    message = f"restarts brought {value:.1%} of the gain"
    remedy = "" if status is Status.OK else "give more restarts: they still find more"
    return Finding(name, status, value, message, remedy)


def monotone(gain) -> Finding:
    """Largest fall of the proxy between checkpoints, as a share of its whole gain.

    Args:
      gain: mean proxy gain per unit and checkpoint, `[U, T]`.

    More budget must not give less. More than 2 % warns (an attack should return the
    best it saw); if the fall is also beyond 5 standard errors over units it fails.
    Reference: Carlini et al. 2019, arXiv:1902.06705; Pintor et al. 2022,
    arXiv:2106.09947 (silent success). Proposed.
    """
    name = "monotone in budget"
    gain = np.asarray(gain, float)
    mean = gain.mean(axis=0)
    risen = float(mean.max() - mean[0])
    if not risen > 0:
        return Finding(
            name, Status.FAIL, float("nan"), "the proxy did not rise at all",
            "use another attack, or a proxy that is not constant",
        )  # fmt: skip
    top = np.maximum.accumulate(mean)
    late = int(np.argmax(top - mean))
    early = int(np.argmax(mean[: late + 1]))
    falls = gain[:, early] - gain[:, late]
    value = float(falls.mean()) / risen
    status = grade(value, 0.02, 1.0)
    error = np.std(falls, ddof=1) / np.sqrt(len(falls)) if len(falls) > 1 else np.inf
    if status is Status.OK:
        return Finding(name, status, value, "a larger budget never finds less")
    return Finding(
        name, Status.FAIL if falls.mean() > 5 * error else status, value,
        f"the proxy falls by {value:.1%} of its gain as the budget grows",
        "let the attack keep the best candidate it saw, or halve its step size",
    )  # fmt: skip


def black_box(gradient_gain, gradient_queries, rivals) -> Finding:
    """Share of seeds in which an attack without gradients reaches a higher proxy.

    Each rival is read at its last checkpoint that cost no more queries. A gradient
    attack that loses to blind search is misled: its gradients are masked.

    Args:
      gradient_gain: proxy gain at the last checkpoint, `[S]`; None for an attack that
        does not rest on gradients alone.
      gradient_queries: its cost per slot (a gradient counted as two more queries).
      rivals: `[(name, gain [S, T], queries [T]), ...]` of black-box attacks.

    More than 2 % warns, more than 20 % fails. Reference: Croce & Hein 2020,
    arXiv:2003.01690; Athalye et al. 2018, arXiv:1802.00420.
    """
    name = "black box beats gradient"
    if gradient_gain is None:
        message = "does not rest on gradients alone"
        return Finding(name, Status.EXEMPT, float("nan"), message)
    if not rivals:
        return Finding(
            name, Status.MISSING, float("nan"), "no black-box attack ran beside it",
            "add one: --attack splitting or --attack best_of_n",
        )  # fmt: skip
    value, rival = _beaten(gradient_gain, gradient_queries, rivals)
    status = grade(value, 0.02, 0.2)
    if status is Status.OK:
        return Finding(name, status, value, "no black-box attack reaches higher")
    return Finding(
        name, status, value,
        f"{rival} reaches a higher proxy in {value:.0%} of the seeds at equal cost",
        "its gradients mislead it: check the proxy for rounding, clipping, "
        "stop_gradient",
    )  # fmt: skip


def outdone(gain, queries, rivals) -> Finding:
    """Share of seeds in which another attack reaches a clearly higher proxy.

    What a search did not find says nothing where another found it for the same price.
    Each rival is read at its last checkpoint that cost no more.

    Args:
      gain: proxy gain at the last checkpoint, `[S]`, base standard deviations; None
        for an attack that only selects, or that `black_box` compares.
      queries: its cost per slot (a gradient counted as two more queries).
      rivals: `[(name, gain [S, T], queries [T]), ...]` of all other attacks.

    A tenth of a base standard deviation is clear; more than 2 % of the seeds warn,
    more than 20 % fail. Reference: Carlini et al. 2019, arXiv:1902.06705, section 4
    (several attacks, the strongest counts); the rule is ours.
    """
    name = "another search finds more"
    if gain is None or not rivals:
        why = "ran alone" if gain is not None else "no search without gradients"
        return Finding(name, Status.EXEMPT, float("nan"), why)
    value, rival = _beaten(gain + _CLEAR, queries, rivals)
    status = grade(value, 0.02, 0.2)
    if status is Status.OK:
        return Finding(name, status, value, "no other attack finds clearly more")
    return Finding(
        name, status, value,
        f"{rival} reaches a clearly higher proxy in {value:.0%} of the seeds at equal "
        "cost", f"read {rival}'s verdict, or give this search more steps",
    )  # fmt: skip


def _beaten(gain, spent, rivals) -> tuple[float, str]:
    """The largest share of seeds in which a rival is above a gain, and the rival."""
    shares = []
    for rival, reached, queries in rivals:
        within = np.flatnonzero(np.asarray(queries) <= spent)[-1]
        beaten = ~(reached[:, within] <= gain)  # by nan too
        shares.append((float(np.mean(beaten)), rival))
    return max(shares)


def both_families(has_gradient: bool, families: set[str]) -> Finding:
    """Whether a gradient attack (where the proxy has one) and a black box both ran.

    Args:
      has_gradient: the proxy is differentiable in its inputs.
      families: among "gradient", "black box": what ran on this target.
    """
    name = "both families"
    wanted = ["gradient"] * has_gradient + ["black box"]
    absent = [family for family in wanted if family not in families]
    if not absent:
        return Finding(name, Status.OK, 0.0, "every family that applies ran")
    example = {"gradient": "gradient_ascent", "black box": "splitting"}[absent[0]]
    return Finding(
        name, Status.MISSING, float(len(absent)), f"no {absent[0]} attack ran",
        f"add one: --attack {example}",
    )  # fmt: skip
