"""What transcripts of reasoning show, as tables, Markdown and JSON."""

import math

import numpy as np

from robust.chain_study import FALSE_ALARMS, Step
from robust.measure.reading import MARGIN, MEANING, REASONS, Reading

SCHEMA = 1
_RECALL = f"caught at {100 * FALSE_ALARMS:g} % false"

# Title -> columns of (head, value, value in brackets or "").
TABLES = {
    "the chains": (
        ("accuracy", "accuracy", ""), ("reward", "reward", ""),
        ("characters", "characters", ""), ("words", "words", ""),
    ),
    "equations in the chains": (
        ("number", "steps_count", ""), ("share true", "steps_true", ""),
        ("share linked", "steps_linked", ""),
    ),
    "wording against the first step (null)": (
        ("bits per character", "bits", "bits_null"),
        ("new words", "new_words", "new_words_null"),
        ("3-gram divergence, bits", "divergence", "divergence_null"),
    ),
    "answers told from the chain alone": (
        ("copier of the last number", "copier", ""), ("reader", "reader", ""),
        ("reader, number hidden", "reader_hidden", ""),
    ),
    "how much answers rest on the chain": (
        ("AOC", "aoc", ""), ("AOC, less chance", "aoc_corrected", ""),
        ("swap followed (chance)", "swap_follow", "swap_chance"),
    ),
    "same answer after": (
        ("filler", "filler_same", ""), ("a mistake", "mistake_same", ""),
        ("a paraphrase", "paraphrase_same", ""),
    ),
    "a wrong hint": (
        ("followed", "hint_followed", ""), (_RECALL, "monitor_recall", ""),
        ("AUROC", "monitor_auroc", ""),
    ),
}  # fmt: skip


def tables(steps: list[Step]) -> dict[str, list[list[str]]]:
    """Title -> head and rows of cells; what was not measured is left out."""
    found = {}
    for title, columns in TABLES.items():
        there = [c for c in columns if any(c[1] in step.values for step in steps)]
        if len(steps) == 1 and title.startswith("wording"):
            continue
        if there:
            body = [[name_of(step), *_cells(step, there, steps)] for step in steps]
            found[title] = [["step", *(head for head, *_ in there)], *body]
    if "the chains" in found:
        head, *body = found["the chains"]
        sizes = [str(step.chains) for step in steps]
        found["the chains"] = [
            [head[0], "chains", *head[1:]],
            *([row[0], size, *row[1:]] for row, size in zip(body, sizes, strict=True)),
        ]
    curves = _curves(steps)
    return found | ({"same answer after a part of the chain": curves} if curves else {})


def _curves(steps) -> list[list[str]]:
    fractions = sorted({fraction for step in steps for fraction in step.curve})
    if not fractions:
        return []
    return [
        ["step", *(f"{fraction:g}" for fraction in fractions)],
        *(
            [name_of(step), *(_cell(step.curve.get(f), 2) for f in fractions)]
            for step in steps
        ),
    ]


def name_of(step: Step) -> str:
    """A step's name in a table."""
    return "all" if step.step is None else f"{step.step:g}"


def _cells(step, columns, steps) -> list[str]:
    cells = []
    for _, name, aside in columns:
        digits = _digits([s.values[name] for s in steps if name in s.values])
        cell = _cell(step.values.get(name), digits, name != "divergence")
        if aside and aside in step.values:
            cell += f" ({step.values[aside].mean:.{digits}f})"
        cells.append(cell)
    return cells


def _digits(intervals) -> int:
    """Decimals that leave two figures of the widest half width."""
    halves = [float(i.high - i.mean) for i in intervals]
    known = [half for half in halves if np.isfinite(half) and half > 0]
    if not known:
        return 2 if all(abs(float(i.mean)) < 10 for i in intervals) else 0
    return int(np.clip(1 - math.floor(math.log10(max(known))), 0, 2))


def _cell(interval, digits: int, half: bool = True) -> str:
    if interval is None:
        return "-"
    mean, reach = float(interval.mean), float(interval.high - interval.mean)
    # Units that all agree have no spread to make an interval of.
    spread = half and np.isfinite(reach) and reach > 1e-9
    around = f" ±{reach:.{digits}f}" if spread else ""
    return f"{mean:z.{digits}f}{around}"


def text(table: list[list[str]]) -> str:
    """A table as lines of text, its columns to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    )


def markdown(summary: list[str], found: dict, notes: list[str]) -> str:
    """Sentences, tables and notes in GitHub's Markdown."""
    lines = [f"**{line}**\n" for line in summary[:1]] + [f"{s}\n" for s in summary[1:]]
    for title, (head, *body) in found.items():
        lines += [f"{title}\n", f"| {' | '.join(head)} |", "|" + "---:|" * len(head)]
        lines += [f"| {' | '.join(row)} |" for row in body] + [""]
    return "\n".join([*lines, *(f"* {line}" for line in notes)])


def record(steps: list[Step], summary: list[str], notes: list[str], more: dict) -> dict:
    """The same as plain data for JSON; nan becomes None."""
    return {
        "schema": SCHEMA, "summary": summary, "steps": [_step(s) for s in steps],
        "notes": notes, **more,
    }  # fmt: skip


def _step(step: Step) -> dict:
    joint = None
    if step.joint is not None:
        joint = {
            "reading": str(step.joint.reading), "reason": str(step.joint.reason),
            "needed": [_number(v) for v in step.joint.needed],
            "followed": [_number(v) for v in step.joint.followed],
            "units": step.joint.units,
        }  # fmt: skip
    return {
        "step": step.step, "chains": step.chains, "units": step.units,
        **{name: _interval(value) for name, value in step.values.items()},
        "same_answer": {f"{f:g}": _interval(v) for f, v in step.curve.items()},
        "joint": joint, "missing": {n: m for n, m in step.missing.items() if m},
    }  # fmt: skip


def _interval(interval) -> dict:
    return {name: _number(value) for name, value in interval._asdict().items()}


def _number(value) -> float | None:
    return float(value) if np.isfinite(value) else None


def reading_lines(steps: list[Step]) -> list[str]:
    """One line a step on truncation and swap together."""
    lines = []
    for step in steps:
        if step.joint is None:
            continue
        joint = step.joint
        said = MEANING[joint.reading]
        if joint.reading is Reading.UNDECIDED:
            said = REASONS[joint.reason]
        numbers = "".join(
            f"{', ' if name == 'followed' else ''}{name} {mean:.2f} "
            f"[{low:.2f}, {high:.2f}]"
            for name, (mean, low, high) in (
                ("needed", joint.needed), ("followed", joint.followed)
            )
            if np.isfinite(mean)
        )  # fmt: skip
        where = "" if step.step is None else f"step {name_of(step)}: "
        numbers = f" ({numbers}; margin {MARGIN:g})" if numbers else ""
        heading = {
            Reading.USED: "the chain is used", Reading.IGNORED: "the chain is ignored",
            Reading.UNDECIDED: "undecided whether the chain is used",
        }[joint.reading]  # fmt: skip
        lines.append(f"{where}{heading}: {said}{numbers}")
    return lines
