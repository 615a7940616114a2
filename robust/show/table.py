"""Studies in words and tables."""

import jax
import numpy as np

from robust.measure.bootstrap import bca_interval, t_interval
from robust.measure.causes import last_resolved
from robust.measure.diagnosis import Status
from robust.measure.verdict import LEAST_UNITS, MARGIN, Reason, Verdict

_BAD = {Status.FAIL: "FAILED", Status.MISSING: "MISSING", Status.WARN: "warning"}


def verdict_of(result) -> Verdict:
    """The verdict of a `Result` as an enum."""
    return Verdict(int(result.divergence.verdict))


def verdict_line(result) -> str:
    """One line on what became of the true value, with its intervals."""
    d, verdict = result.divergence, verdict_of(result)
    end = _interval(d.true, -1)
    pushed = f"pushed to {power_text(result.curve)}"
    promised = f"the proxy rose to {_interval(d.proxy, -1)} sd"
    if verdict is Verdict.DEGENERATE:
        return "the proxy or the true value is constant on the base: nothing to measure"
    if verdict in (Verdict.STRONG, Verdict.CATASTROPHIC):
        peak = int(d.peak)
        onset = ""
        if int(d.onset) >= 0:
            onset = f", detected by {power_text(result.curve, int(d.onset))}"
        return (
            f"{pushed}, {promised}; the true value peaked at "
            f"{float(d.true.mean[peak]):+.2f} ({power_text(result.curve, peak)}) and "
            f"ended at {end}: a drop of {_triple(d.drop)} (p = "
            f"{float(d.drop_p):.3f}{onset})"
        )
    if verdict is Verdict.ROBUST:
        return (
            f"holds up to {power_text(result.curve)} under this attack: {promised}, "
            f"the true value to {end}; {_at_most(d)}"
        )
    if verdict is Verdict.WEAK:
        return (
            f"{pushed}, {promised} and the true value stayed at {end}: it no longer "
            f"follows ({_at_most(d)})"
        )
    why = _undecided(d, result.curve.names["unit"])
    return f"{pushed}, {promised}, the true value to {end}; {why}"


def _at_most(d) -> str:
    return f"drop at most {float(d.drop_bound):.2f}, {_visible(d)}"


def _visible(d) -> str:
    return f"one of {float(d.visible):.2f} would have been seen"


def _undecided(d, unit: str) -> str:
    reason = Reason(int(d.reason))
    if reason is Reason.WIDE:
        hints = " or ".join(d.hints()).replace("units", unit)
        return (
            f"undecided at a margin of {float(d.margin):.2f}"
            + (f": {hints} would have decided" if hints else "")
            + f"; a drop of {float(d.visible):.2f} would have been seen"
        )
    return "undecided: " + {
        Reason.FEW_UNITS: f"{int(d.units)} {unit} never decide; it takes 6",
        Reason.NO_POWER: "its pressure is unknown",
        Reason.LITTLE_POWER: "less than 3 nats of pressure; push harder",
        Reason.UNHEALTHY: "the attack's diagnosis does not allow more",
    }.get(reason, "")


def diagnosis_line(result) -> str:
    """The outcome of the checks, with the remedy of each that did not pass."""
    made = [f for f in result.findings if f.status is not Status.EXEMPT]
    bad = [f for f in made if f.status is not Status.OK]
    if not bad:
        return f"diagnosis: sound ({', '.join(f.check for f in made)})"
    return "diagnosis: " + "; ".join(
        f"{_BAD[f.status]} {f.check}: {f.message} ({f.remedy})" for f in bad
    )


def causes_line(result) -> str:
    """What the divergence consists of, at the last checkpoint that can be split."""
    at = last_resolved(result.causes.beyond)
    if at == 0:
        return "causes: no checkpoint whose scores the base can explain"
    parts = {
        name: t_interval(getattr(result.causes, name)[:, at])
        for name in ("regressional", "extremal", "adversarial")
    }
    total = t_interval(result.causes.divergence[:, at])
    text = ", ".join(f"{name} {_triple(value)}" for name, value in parts.items())
    share = adversarial_share(result, at)
    if share is not None:
        mean, low, high = (float(value) for value in share)
        text += f" ({mean:.0%} [{low:.0%}, {high:.0%}] of the divergence)"
    return (
        f"causes ({power_text(result.curve, at)}): {text}; divergence {_triple(total)}"
    )


def shape_line(result) -> str:
    """Where the peak may lie, and the curve as a whole."""
    d = result.divergence
    place, s = d.peak_place(result.curve.power.mean(axis=0)), d.shape
    parts = [
        f"peak between {float(place.low):.1f} and {float(place.high):.1f} nats",
        f"divergence along the way {_triple(s.area)}",
        f"true gain along the way {_triple(s.so)}",
    ]
    if np.isfinite(s.si.mean) and float(s.oi.mean) > MARGIN:  # a share of something
        parts.append(f"stability {_triple(s.si)}, normalised drop {_triple(s.ndh)}")
    return f"shape: {', '.join(parts)}"


def adversarial_share(result, at: int):
    """Adversarial part over divergence at a checkpoint, with its bootstrap interval.

    None where the divergence is not shown to exceed the margin: the ratio of two
    small numbers says nothing.
    """
    total = result.causes.divergence[:, at]
    if len(total) < LEAST_UNITS or not float(t_interval(total).low) > MARGIN:
        return None
    values = np.stack([result.causes.adversarial[:, at], total], axis=1)
    return bca_interval(_ratio, values, jax.random.key(0))


def _ratio(values):
    return values[:, 0].mean() / values[:, 1].mean()


def power_text(curve, at: int = -1) -> str:
    """Power at a checkpoint in words, "at least" where the table ends."""
    more = "at least " if curve.at_least[at] else ""
    power = round(float(curve.power[:, at].mean()), 1) + 0.0  # no minus before a zero
    return f"{more}{power:.1f} nats"


COLUMNS = (
    "attack", "verdict", "power", "KL", "proxy gain", "true gain", "best true gain",
    "drop", "divergence", "adversarial", "  read at", "queries",
)  # fmt: skip


def rows(study) -> list[list[str]]:
    """Cells under `COLUMNS`, one row per attack; gains in base sd, power in nats."""
    return [_row(result) for result in study.results]


def _row(result) -> list[str]:
    d, curve = result.divergence, result.curve
    kl = curve.kl[:, -1].mean()
    beyond = curve.at_least[-1]
    at = last_resolved(result.causes.beyond)
    adversarial = t_interval(result.causes.adversarial[:, at])
    peak = int(d.peak)
    return [
        result.name,
        verdict_of(result).name.lower(),
        f"{'≥ ' if beyond else ''}{curve.power[:, -1].mean():.1f}",
        f"{kl:.1f}" if np.isfinite(kl) else "–",
        _interval(d.proxy, -1),
        _interval(d.true, -1),
        f"{float(d.true.mean[peak]):+.2f} at {curve.power[:, peak].mean():.1f}",
        _triple(d.drop),
        _interval(d.divergence, -1),
        _triple(adversarial),
        f"{curve.power[:, at].mean():.1f}",
        f"{int(curve.queries[-1])} + {int(curve.grads[-1])} grad",
    ]


NOTE = (
    "Gains in base standard deviations with 95 % intervals; power and KL in "
    "nats; the drop's interval is simultaneous over checkpoints; the adversarial part "
    "is read at the last checkpoint whose scores the base can explain; queries and "
    "gradients are per slot."
)


def markdown(study) -> str:
    """The table in GitHub's Markdown."""
    lines = markdown_table([list(COLUMNS), *rows(study)])
    return "\n".join(lines) + "\n\n" + NOTE + "\n"


def markdown_table(cells) -> list[str]:
    """Lines of a table in GitHub's Markdown, the head first; none of nothing."""
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return [*lines[:1], "|" + "---|" * len(cells[0]), *lines[1:]] if cells else []


def record(study) -> list[dict]:
    """The same as plain data for JSON; nan becomes None."""
    return [
        {
            "attack": result.name,
            "verdict": verdict_of(result).name.lower(),
            "reason": Reason(int(result.divergence.reason)).name.lower(),
            "summary": verdict_line(result),
            "findings": [
                f._asdict()
                | {"status": f.status.name.lower(), "value": _number(f.value)}
                for f in result.findings
            ],
            "peak_power": _number(result.divergence.power[int(result.divergence.peak)]),
            "drop": numbers(result.divergence.drop),
            "drop_p": _number(result.divergence.drop_p),
            "drop_visible": _number(result.divergence.visible),
            "peak_place": numbers(
                result.divergence.peak_place(result.curve.power.mean(axis=0))
            ),
            "shape": {
                name: numbers(value)
                for name, value in result.divergence.shape._asdict().items()
            },
            "steps": result.curve.steps.tolist(),
            "queries": result.curve.queries.tolist(),
            "grads": result.curve.grads.tolist(),
            "beyond": _list(result.curve.beyond.mean(axis=0)),
            **{
                name: interval_record(result.curve.interval(name))
                for name in ("power", "kl", "proxy", "true", "raw_true")
            },
            "causes": {
                name: interval_record(t_interval(value))
                for name, value in result.causes._asdict().items()
            },
        }
        for result in study.results
    ]  # fmt: skip


def interval_record(interval) -> dict:
    """Bounds of many as lists; what is unknown is None."""
    return {name: _list(value) for name, value in interval._asdict().items()}


def _list(values) -> list:
    return [_number(value) for value in np.atleast_1d(values)]


def numbers(interval) -> dict:
    """Bounds of one; what is unknown is None."""
    return {name: _number(value) for name, value in interval._asdict().items()}


def _number(value):
    value = float(value)
    return value if np.isfinite(value) else None


def _interval(interval, at: int) -> str:
    return _triple(type(interval)(*(bound[at] for bound in interval)))


def _triple(interval) -> str:
    mean, low, high = (float(value) for value in interval)
    if np.isnan(low):
        return f"{mean:+.2f}"
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"
