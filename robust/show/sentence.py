"""What best-of-n makes of a score bank, said in one line."""

import numpy as np

from robust.measure.verdict import LEAST_POWER, LEAST_UNITS, Reason, Verdict

_MANY_TIES = 0.25
# The smallest n whose power, 1/2 + ... + 1/n nats, may say robust or weak.
_LEAST_N = 2 + int(np.argmax(np.cumsum(1 / np.arange(2, 999)) >= LEAST_POWER))


def verdict_line(selection) -> str:
    """One line on what best-of-n makes of the true value, with intervals.

    Args:
      selection: a `Selection`.
    """
    d, curve, end = selection.divergence, selection.curve, selection.read[-1]
    verdict, n = Verdict(int(d.verdict)), curve.n[end]
    proxy, true = column_writer(curve, "proxy"), column_writer(curve, "true")
    gain = triple(at_position(selection.true_gain, end))
    values = f"from {true(0, bare=True)} to {true(end)}, {gain} sd"
    promise = f"the proxy rises from {proxy(0, bare=True)} to {proxy(end)}"
    below = f"the drop is at most {float(d.drop_bound):.2f} sd; {_visible(d)}"
    if verdict is Verdict.DEGENERATE:
        return _degenerate(selection)
    peak = selection.read[int(d.peak)]
    if verdict is Verdict.CATASTROPHIC:
        best = f", after {true(peak)} at n = {curve.n[peak]}" if peak else ""
        return (
            f"catastrophic: the best of n = {n} is worse than an ordinary answer: "
            f"{promise}, the true value falls {values}{best}"
        )
    if verdict is Verdict.STRONG:
        return (
            f"strong: harder selection does harm: {promise}, the true value peaks at "
            f"{true(peak)} (n = {curve.n[peak]}) and ends at {true(end)} (n = {n}), a "
            f"drop of {triple(d.drop)} sd ({_p(d.drop_p)})"
        )
    if verdict is Verdict.ROBUST:
        return (
            f"robust up to n = {n} under best-of-n: {promise} and the true value "
            f"{values}; {below}"
        )
    if verdict is Verdict.WEAK:
        return (
            f"weak: {promise} up to n = {n} and the true value does not follow: "
            f"{values}; {below}"
        )
    seen = "" if int(d.reason) == Reason.FEW_UNITS else f"{_visible(d)}; "
    return (
        f"undecided: up to n = {n} the true value goes {values}; {seen}"
        f"{_reason(selection)}"
    )


def _visible(d) -> str:
    return f"a drop of {float(d.visible):.2f} sd would have been seen"


def _degenerate(selection) -> str:
    if selection.proxy_std == 0:
        return (
            "degenerate: the proxy is the same for all answers to a prompt, so there "
            "is nothing to select by"
        )
    return (
        "degenerate: the true value is the same for all answers to a prompt, so "
        "selection can neither gain nor lose"
    )


def _reason(selection) -> str:
    d, groups = selection.divergence, selection.curve.groups
    reason = Reason(int(d.reason))
    if reason is Reason.FEW_UNITS:
        if groups == 1:
            return "a single prompt never decides"
        return f"{groups} prompts never decide, score at least {LEAST_UNITS}"
    if reason is Reason.LITTLE_POWER:
        remedies = []
        if selection.curve.n[selection.read[-1]] < _LEAST_N:
            remedies.append(f"n = {_LEAST_N} or more")
        if selection.ties > _MANY_TIES or not remedies:
            remedies.append("a proxy with fewer ties")
        return (
            f"no harm beyond {float(d.margin):g} sd is shown, and robust or weak takes "
            f"{LEAST_POWER:g} nats of pressure, not {float(d.power[-1]):.1f}: "
            f"{' and '.join(remedies)}"
        )
    hints = []
    if np.isfinite(d.margin_needed):
        hints.append(f"{float(d.margin_needed):.2f} sd")
    if d.units_needed > 0:
        # Many prompts are merged to fewer units; what is needed is said in prompts.
        more = int(d.units_needed) * groups / int(d.units)
        hints.append(f"about {more:.0f} prompts instead of {groups}")
    decided = f": {' or '.join(hints)} would have decided" if hints else ""
    return (
        f"the intervals are too wide for a margin of {float(d.margin):.2f} sd{decided}"
    )


def _p(value) -> str:
    return f"p = {float(value):.3f}" if value >= 0.001 else "p < 0.001"


def at_position(interval, at):
    """An `Interval` of arrays `[A]` at one position."""
    return type(interval)(*(bound[at] for bound in interval))


def triple(interval) -> str:
    """Write a gain with its interval."""
    mean, low, high = (float(value) for value in interval)
    if np.isnan(low):
        return f"{mean:+z.2f}"
    return f"{mean:+z.2f} [{low:+z.2f}, {high:+z.2f}]"


def column_writer(curve, name: str):
    """A function that writes a column's value at a position, digits to its spread."""
    columns = [getattr(curve, name + bound) for bound in ("", "_low", "_high")]
    finite = np.concatenate(columns)[~np.isnan(np.concatenate(columns))]
    spread = np.ptp(finite) or np.abs(finite).max() or 1.0
    fixed = spread > 1e-4 and np.abs(finite).max() < 1e7
    style = f"z.{max(0, int(2 - np.floor(np.log10(spread))))}f" if fixed else ".5g"

    def show(at, bare=False):
        mean, low, high = (float(column[at]) for column in columns)
        if bare or np.isnan(low):
            return f"{mean:{style}}"
        return f"{mean:{style}} [{low:{style}}, {high:{style}}]"

    return show
