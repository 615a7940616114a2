"""Best-of-n on a score bank in words, tables and JSON."""

import numpy as np

from robust.measure.verdict import LEAST_POWER, LEAST_UNITS, Reason, Verdict

SCHEMA = 1
COLUMNS = ("n", "KL", "proxy", "true", "true gain (sd)")
_NEAR = 10  # n above N / 10 rests on few answers
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
    proxy, true = _shower(curve, "proxy"), _shower(curve, "true")
    gain = _triple(_at(selection.true_gain, end))
    values = f"from {true(0, bare=True)} to {true(end)}, {gain} sd"
    promise = f"the proxy rises from {proxy(0, bare=True)} to {proxy(end)}"
    below = f"the drop is at most {float(d.drop_bound):.2f} sd"
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
            f"drop of {_triple(d.drop)} sd (p = {float(d.drop_p):.3f})"
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
    return (
        f"undecided: up to n = {n} the true value goes {values}; {_reason(selection)}"
    )


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
            return "a single prompt has no interval and never decides"
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
    # Many prompts are merged to fewer units; what is needed is said in prompts.
    more = int(d.units_needed) * groups / int(d.units)
    return (
        f"the intervals are too wide for a margin of {float(d.margin):.2f} sd: "
        f"{float(d.margin_needed):.2f} would have decided, or about {more:.0f} prompts "
        f"instead of {groups}"
    )


def notes(selection, scores) -> list[str]:
    """What a reader must know beside the table, one line each.

    Args:
      selection: a `Selection`.
      scores: the `Scores` that it was made from.
    """
    least, most = int(scores.size.min()), int(scores.size.max())
    groups, lines = len(scores.size), []
    if scores.dropped_rows:
        lines.append(
            f"{_count(scores.dropped_rows, 'row')} left out: a score or prompt is "
            "missing, NaN or infinite"
        )
    if scores.lost_prompts:
        lines.append(
            f"{_count(scores.lost_prompts, 'prompt')} left out with them: no answer "
            "remained"
        )
    if scores.dropped_prompts:
        lines.append(
            f"{_count(scores.dropped_prompts, 'prompt')} left out: fewer answers than "
            f"the largest, {most}"
        )
    if least < most:
        short = _count(np.sum(scores.size < most), "prompt")
        lines.append(
            f"prompts have {least} to {most} answers: the curve ends at n = {least}; "
            f"--drop-short leaves out {short} with fewer than {most}"
        )
    if groups == 1:
        where = (
            "" if scores.column else ", all rows answer one (name a column: --group)"
        )
        lines.append(f"a single prompt{where}: it has no interval and never decides")
    if selection.ties:
        lines.append(
            f"{100 * selection.ties:.2g} % of the answers share their proxy score with "
            "another to the same prompt; ties are broken at random, exactly, and KL is "
            "then an upper bound"
        )
    if (selection.curve.n[selection.asked] * _NEAR > least).any():
        lines.append(
            f"* n above a tenth of the {least} answers: rests on the best few of a "
            f"prompt, on one at n = {least}"
        )
    lines.append(_units(selection, groups))
    return lines


def _count(number, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _units(selection, groups) -> str:
    over = f"brackets: 95 % intervals over {groups} prompts; " if groups > 1 else ""
    read = ", ".join(str(n) for n in selection.curve.n[selection.read])
    return (
        f"{over}KL in nats; sd: standard deviations of an answer within its prompt "
        f"(proxy {selection.proxy_std:.3g}, true {selection.true_std:.3g}); verdict "
        f"read at n = {read}"
    )


def rows(selection, scores) -> list[list[str]]:
    """Cells under `COLUMNS`, one row per n that was asked for."""
    curve, least = selection.curve, scores.size.min()
    proxy, true = _shower(curve, "proxy"), _shower(curve, "true")
    return [
        [
            f"{curve.n[i]}{'*' if curve.n[i] * _NEAR > least else ' '}",
            f"{curve.kl[i]:.2f}",
            proxy(i),
            true(i),
            _triple(_at(selection.true_gain, i)) if i else "0",
        ]
        for i in selection.asked
    ]


def text(selection, scores) -> str:
    """The table as lines of text."""
    cells = [list(COLUMNS), *rows(selection, scores)]
    cells[0][0] += " "
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    )


def markdown(selection, scores) -> str:
    """Verdict, table and notes in GitHub's Markdown."""
    lines = [f"**{verdict_line(selection)}**", "", f"| {' | '.join(COLUMNS)} |"]
    lines.append("|" + "---:|" * len(COLUMNS))
    for row in rows(selection, scores):
        lines.append(f"| {' | '.join(cell.strip() for cell in row)} |")
    lines += ["", *(f"* {line}" for line in notes(selection, scores))]
    # A star would begin emphasis in the table, and a list in a note.
    return "\n".join([lines[0], *(_escaped(line) for line in lines[1:])])


def _escaped(line: str) -> str:
    return line[:2] + line[2:].replace("*", r"\*")


def record(selection, scores) -> dict:
    """The same as plain data for JSON; nan becomes None."""
    d, curve, asked = selection.divergence, selection.curve, selection.asked
    verdict, reason = Verdict(int(d.verdict)), Reason(int(d.reason))
    known = {name: getattr(curve, name) for name in ("kl", "proxy", "true")}
    for name in ("proxy", "true"):
        for bound in ("low", "high"):
            known[f"{name}_{bound}"] = getattr(curve, f"{name}_{bound}")
        for bound, values in getattr(selection, f"{name}_gain")._asdict().items():
            known[f"{name}_gain{'' if bound == 'mean' else '_' + bound}"] = values
    return {
        "schema": SCHEMA,
        "verdict": verdict.name.lower(),
        "reason": None if reason is Reason.NONE else reason.name.lower(),
        "summary": verdict_line(selection),
        "n": curve.n[asked].tolist(),
        **{name: [_number(v) for v in values[asked]] for name, values in known.items()},
        "power": [_number(v) for v in selection.power[asked]],
        "read_at": curve.n[selection.read].tolist(),
        "drop": {name: _number(value) for name, value in d.drop._asdict().items()},
        "drop_bound": _number(d.drop_bound),
        "drop_p": _number(d.drop_p),
        "proxy_sd": selection.proxy_std,
        "true_sd": selection.true_std,
        "ties": selection.ties,
        "groups": curve.groups,
        "answers": int(scores.size.sum()),
        "answers_least": int(scores.size.min()),
        "answers_most": int(scores.size.max()),
        "dropped_rows": scores.dropped_rows,
        "dropped_prompts": scores.dropped_prompts,
        "lost_prompts": scores.lost_prompts,
        "notes": notes(selection, scores),
    }


def _number(value):
    return float(value) if np.isfinite(value) else None


def _at(interval, at):
    return type(interval)(*(bound[at] for bound in interval))


def _triple(interval) -> str:
    mean, low, high = (float(value) for value in interval)
    if np.isnan(low):
        return f"{mean:+z.2f}"
    return f"{mean:+z.2f} [{low:+z.2f}, {high:+z.2f}]"


def _shower(curve, name: str):
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
