"""Best-of-n on a score bank as a table, Markdown and JSON."""

import numpy as np

from robust.measure.verdict import Reason, Verdict
from robust.show import law
from robust.show.sentence import at_position, column_writer, triple, verdict_line

SCHEMA = 1
COLUMNS = ("n", "KL", "proxy", "true", "true gain (sd)")
_NEAR = 10  # n above N / 10 rests on few answers


def notes(selection, scores, laws) -> list[str]:
    """What a reader must know beside the table, one line each.

    Args:
      selection: a `Selection`.
      scores: the `Scores` that it was made from.
      laws: its `Comparison`, or None.
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
        lines.append(
            f"a single prompt{where}: brackets say how sure its answers make its own "
            "curve, nothing of other prompts, and it never decides"
        )
        if least in selection.curve.n[selection.asked]:
            lines.append(
                f"no brackets at n = {least}: without one of the answers there is no "
                "best of so many"
            )
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
    if selection.ranking.groups:
        lines.append(_ranking(selection.ranking, groups))
    if laws is not None:
        lines.append(f"{law.line(laws)} (a description; no verdict reads it)")
    lines.append(_units(selection, groups))
    return lines


def _count(number, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _ranking(ranking, groups) -> str:
    """Say how well the proxy ranks two answers, within a prompt and pooled."""
    mean, low, high = (float(value) for value in np.clip(ranking.concordance, 0, 1))
    between = f" [{low:.3f}, {high:.3f}]" if ranking.groups > 1 else ""
    line = (
        "the better of two answers to a prompt has the higher proxy with probability "
        f"{mean:.3f}{between} (chance: 0.5)"
    )
    if groups > 1:
        line += (
            f"; pooled over prompts {ranking.pooled_concordance:.3f}, which mixes in "
            "how prompts differ"
        )
    read = ranking.groups + ranking.groups_without
    if read < groups:
        line += f"; read from {read} prompts drawn at random"
    if ranking.groups_without:
        left_out = _count(ranking.groups_without, "prompt")
        line += f"; {left_out} left out whose proxies or true values are all equal"
    return line


def _units(selection, groups) -> str:
    units = f"{groups} prompts" if groups > 1 else "the prompt's answers"
    read = ", ".join(str(n) for n in selection.curve.n[selection.read])
    return (
        f"brackets: 95 % intervals over {units}; KL in nats; sd: standard deviations "
        f"of an answer within its prompt (proxy {selection.proxy_std:.3g}, true "
        f"{selection.true_std:.3g}); verdict read at n = {read}"
    )


def rows(selection, scores) -> list[list[str]]:
    """Cells under `COLUMNS`, one row per n that was asked for."""
    curve, least = selection.curve, scores.size.min()
    proxy, true = column_writer(curve, "proxy"), column_writer(curve, "true")
    return [
        [
            f"{curve.n[i]}{'*' if curve.n[i] * _NEAR > least else ' '}",
            f"{curve.kl[i]:.2f}",
            proxy(i),
            true(i),
            triple(at_position(selection.true_gain, i)) if i else "0",
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


def markdown(selection, scores, laws) -> str:
    """Verdict, table and notes in GitHub's Markdown."""
    lines = [f"**{verdict_line(selection)}**", "", f"| {' | '.join(COLUMNS)} |"]
    lines.append("|" + "---:|" * len(COLUMNS))
    for row in rows(selection, scores):
        lines.append(f"| {' | '.join(cell.strip() for cell in row)} |")
    lines += ["", *(f"* {line}" for line in notes(selection, scores, laws))]
    # A star would begin emphasis in the table, and a list in a note.
    return "\n".join([lines[0], *(_escaped(line) for line in lines[1:])])


def _escaped(line: str) -> str:
    return line[:2] + line[2:].replace("*", r"\*")


def record(selection, scores, laws) -> dict:
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
        "drop_visible": _number(d.visible),
        "proxy_sd": selection.proxy_std,
        "true_sd": selection.true_std,
        "ties": selection.ties,
        **_ranking_record(selection.ranking),
        "groups": curve.groups,
        "intervals_over": "prompts" if curve.groups > 1 else "answers",
        "answers": int(scores.size.sum()),
        "answers_least": int(scores.size.min()),
        "answers_most": int(scores.size.max()),
        "dropped_rows": scores.dropped_rows,
        "dropped_prompts": scores.dropped_prompts,
        "lost_prompts": scores.lost_prompts,
        "rho": _number(selection.rho),
        **{
            bound: [_number(v) for v in getattr(selection, bound)[asked]]
            for bound in ("guaranteed", "guaranteed_by_proxy")
        },
        "laws": law.record(laws),
        "notes": notes(selection, scores, laws),
    }


def _ranking_record(ranking) -> dict:
    mean, low, high = (_number(bound) for bound in ranking.concordance)
    return {
        "within_concordance": mean,
        "within_concordance_low": low,
        "within_concordance_high": high,
        "within_kendall": _number(ranking.kendall.mean),
        "within_spearman": _number(ranking.spearman.mean),
        "pooled_concordance": _number(ranking.pooled_concordance),
        "groups_ranked": ranking.groups,
        "groups_without": ranking.groups_without,
    }


def _number(value):
    return float(value) if np.isfinite(value) else None
