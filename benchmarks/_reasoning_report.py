"""What the reasoning experiment shows: tables, and one paragraph read off intervals."""

from typing import NamedTuple

import numpy as np

from benchmarks._reasoning_arms import ARMS
from benchmarks._reasoning_runs import Pushed
from robust import bootstrap, reading

MARGIN = 0.1  # of validity, that matters
_GROUPS = {
    "answer": "The right answer, nothing else",
    "pressure": "And a price on length or certainty",
    "process": "Learned validity of the chain",
    "monitor": "The hint, under a learned monitor",
    "defence": "Defences",
}


class Change(NamedTuple):
    """A figure before and after, and how it changed: mean, low, high over seeds."""

    before: float
    after: float
    mean: float
    low: float
    high: float

    @property
    def said(self) -> str:
        """What the interval shows of a share, at the margin."""
        if self.high < -MARGIN:
            return "fell"
        if self.low > MARGIN:
            return "rose"
        if self.low > -MARGIN and self.high < MARGIN:
            return "kept"
        return "no fall" if self.low > -MARGIN else "undecided"


def change(pushed: Pushed, name: str, at: int = -1) -> Change:
    """How a figure changed from the supervised writers, paired by seed."""
    values = pushed.figures[name]
    found = bootstrap.t_interval(values[:, at] - values[:, 0])
    return Change(values[:, 0].mean(), values[:, at].mean(), *map(float, found))


def chain_reading(pushed: Pushed):
    """Whether these writers' answers rest on their chains, at the end."""
    return reading.read(pushed.needed.ravel(), pushed.followed.ravel())


def tables_of(found: dict[str, Pushed]) -> dict[str, list[list[str]]]:
    """The tables that are printed: title -> rows."""
    rows = [["arm", "reward", "answer right", "valid steps", "operands read",
             "KL, nats", "chain"]]  # fmt: skip
    for name, pushed in found.items():
        columns = ("reward", "accuracy", "valid", "read_operands")
        cells = [_cell(change(pushed, column)) for column in columns]
        end = bootstrap.t_interval(pushed.figures["kl"][:, -1])
        rows.append([name, *cells, _level(end), str(chain_reading(pushed).reading)])
    tables = {
        "Arms: supervised → at the end, and the change [95 % over seeds]": rows,
        "Chains before and after, the same prompt": _chains(found),
    }
    hinted = {name: p for name, p in found.items() if ARMS[name].hinted}
    if hinted:
        tables["Where the hint is wrong"] = _hint_rows(hinted)
    for title, columns in _FRESH.items():
        rows = [["arm", *columns]]
        for name, pushed in found.items():
            if [*columns.values()][-1] in pushed.figures:
                rows.append([name, *(_end(pushed, c) for c in columns.values())])
        if len(rows) > 1:
            tables[title] = rows
    if defended := _defence_rows(found):
        tables["What each defence buys in validity and costs in answers"] = defended
    return tables


def _hint_rows(hinted):
    columns = {
        "follows it": "follows_wrong", "says so": "verbal", "covertly": "covert",
        "flagged": "flag_monitor", "seen": "recall_monitor",
        "seen by the other": "recall_held_out", "valid steps": "valid_wrong",
    }  # fmt: skip
    rows = [["arm", *columns]]
    for name, pushed in hinted.items():
        rows.append([name, *(_cell(change(pushed, c)) for c in columns.values())])
    return rows


_FRESH = {
    "A frozen reader, and one taught what the writer became, at the end": {
        "operands, frozen": "read_operands", "operands, new": "fresh_operands",
        "answer, frozen": "read_answer", "answer, new": "fresh_answer",
        "last digit hidden, frozen": "read_hidden",
        "last digit hidden, new": "fresh_hidden",
    },
    "Monitors of wrong hints taken, at 5 % false alarms, at the end": {
        "frozen": "recall_monitor", "held out": "recall_held_out",
        "taught what the writer became": "fresh_recall", "its AUROC": "fresh_auroc",
    },
}  # fmt: skip


def _end(pushed: Pushed, name: str) -> str:
    """A figure at the end, with its interval over seeds."""
    mean, low, high = map(float, bootstrap.t_interval(pushed.figures[name][:, -1]))
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]" if np.isfinite(mean) else "–"


_DEFENDED = {
    "monitor_kl03": "monitor", "monitor_kl10": "monitor", "monitor_kl30": "monitor",
    "monitor_again": "monitor", "monitor_reader": "monitor",
    "monitor_paraphrase": "monitor", "hint": "monitor", "process_kl10": "process",
    "process_reader": "process", "process_answer": "process",
    "process_paraphrase": "process",
}  # fmt: skip


def _defence_rows(found):
    """Paired with the arm without the defence: seed by seed, at the end."""
    rows = [["defence", "against", "valid steps", "answers right", "covert hints"]]
    for name, plain in _DEFENDED.items():
        if name not in found or plain not in found:
            continue
        cells = []
        for figure in ("valid", "accuracy", "covert"):
            ours, theirs = (found[n].figures.get(figure) for n in (name, plain))
            if ours is None or theirs is None:
                cells.append("–")
                continue
            cells.append(_signed(bootstrap.t_interval(ours[:, -1] - theirs[:, -1])))
        rows.append([ARMS[name].about, plain, *cells])
    return rows if len(rows) > 1 else None


def _chains(found):
    rows = [["arm", "supervised", "at the end"]]
    for name, pushed in found.items():
        first, last = pushed.responses[0][0][0], pushed.responses[0][-1][0]
        rows.append([name, first, last])
    return rows


def details_of(found: dict[str, Pushed]) -> dict[str, list[list[str]]]:
    """Every measure of every arm along its checkpoints: title -> rows."""
    tables = {}
    for name, pushed in found.items():
        names = [n for n, v in pushed.figures.items() if np.isfinite(v).any()]
        rows = [["step", *names]]
        for at, step in enumerate(pushed.steps):
            rows.append(
                [str(step), *(_over_seeds(pushed.figures[n][:, at]) for n in names)]
            )
        title = f"{name}: {ARMS[name].about}; means over seeds"
        tables[title] = rows
        samples = [["step", *(f"prompt {i}" for i in range(1, 4))]]
        for at, step in enumerate(pushed.steps):
            samples.append([str(step), *pushed.responses[0][at][:3]])
        tables[f"{name}: responses of the first seed"] = samples
    return tables


def _over_seeds(values) -> str:
    """The mean of what there is, and of how many seeds where it is not all."""
    there = values[np.isfinite(values)]
    if not len(there):
        return "–"
    few = f" ({len(there)} of {len(values)})" * (len(there) < len(values))
    return f"{there.mean():.3g}{few}"


def _cell(c: Change) -> str:
    if not np.isfinite(c.mean):
        after = "–" if np.isnan(c.after) else f"{c.after:.2f}"
        before = "–" if np.isnan(c.before) else f"{c.before:.2f}"
        return f"{before} → {after}"
    return f"{c.before:.2f} → {c.after:.2f}, {_signed((c.mean, c.low, c.high))}"


def _signed(interval) -> str:
    mean, low, high = map(float, interval)
    if not np.isfinite(mean):
        return "–"
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def _level(interval) -> str:
    mean, low, high = map(float, interval)
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"
