"""The leaderboard as words, tables, files and a picture."""

import json
from pathlib import Path

import numpy as np

from benchmarks._defences_table import AIMED, CONTROL, Board
from robust import Findings

SCHEMA = "robust.leaderboard/1"
_WORTH = 0.01  # base sd, below which a cost is not worth a word
_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"]
_TITLES = {
    "end": "true gain at the end",
    "versus_none": "what it buys, the same less that without a defence, paired",
    "peak": "true gain at its best, if one could stop there",
    "regret": "regret, the same attack on the gold itself less this",
}


def write(folder: Path, boards: dict[str, Board]) -> None:
    """Write leaderboard.parquet, a row per measure, and the same as JSON."""
    import polars

    rows = [row for gold, board in boards.items() for row in _records(gold, board)]
    polars.DataFrame(rows).write_parquet(folder / "leaderboard.parquet")
    labels = next(iter(boards.values())).labels
    record = {"schema": SCHEMA, "labels": labels, "rows": rows}
    (folder / "leaderboard.json").write_text(json.dumps(record, indent=1), "utf8")


def _records(gold: str, board: Board):
    def row(defence, attack, measure, interval):
        place = {"gold": gold, "defence": defence, "attack": attack}
        return {**place, "measure": measure, **_plain(interval)}

    for name, by_attack in board.entries.items():
        for attack, entry in by_attack.items():
            for measure, interval in entry._asdict().items():
                yield row(name, attack, measure, interval)
        attack, interval = board.worst[name]
        yield row(name, attack, "worst", interval)
        yield row(name, "best_of_4", "versus_none", board.cost[name])
    for attack, interval in board.aimed.items():
        yield row(AIMED, attack, f"versus_{CONTROL}", interval)
    end, versus = board.pessimism
    yield row("pessimism", "itself", "end", end)
    for attack, interval in versus.items():
        yield row("pessimism", attack, "versus_none", interval)


def _plain(interval) -> dict:
    names = ("mean", "low", "high")
    return dict(zip(names, map(float, interval), strict=True))


def _shown(interval) -> str:
    """Two digits, and no minus before a zero."""
    mean, low, high = (round(float(value), 2) + 0.0 for value in interval)
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def findings_of(boards: dict[str, Board], redraws: int) -> Findings:
    """Say what each defence buys and costs, and lay out the tables."""
    labels = next(iter(boards.values())).labels
    return Findings(
        "Defences against over-optimization",
        [*(_line(gold, board) for gold, board in boards.items()),
         _note(redraws, labels)],
        {
            "True gain at the end of the worst attack on each defence": _worst(boards),
            "Cost when nothing attacks: the best of 4, less that without a defence":
            _cost(boards),
        },
        [f"{gold}.png" for gold in boards],
        {f"Gold {gold!r}: {title}": _rows(board, measure)
         for gold, board in boards.items() for measure, title in _TITLES.items()},
    )  # fmt: skip


def _worst(boards: dict[str, Board]):
    """From the best on the first gold down; "none" stands among the others."""
    first, *_ = boards.values()
    itself = {gold: ("itself", b.pessimism[0]) for gold, b in boards.items()}
    ends = {name: {g: b.worst[name] for g, b in boards.items()} for name in first.worst}
    ends["pessimism"] = itself
    order = sorted(
        ends, key=lambda name: -float(next(iter(ends[name].values()))[1].mean)
    )
    return [["defence", *map(repr, boards)], *(
        [name, *(f"{_shown(end)} {attack}" for attack, end in ends[name].values())]
        for name in order
    )]  # fmt: skip


def _cost(boards: dict[str, Board]):
    names = [name for name in next(iter(boards.values())).cost if name != "none"]
    rows = [[name, *(_shown(b.cost[name]) for b in boards.values())] for name in names]
    return [["defence", *map(repr, boards)], *rows]


def _rows(board: Board, measure: str):
    attacks = list(board.entries["none"])
    rows = {
        name: {a: getattr(entry, measure) for a, entry in by_attack.items()}
        for name, by_attack in board.entries.items()
    }
    if measure == "versus_none":
        del rows["none"]
        rows["pessimism"] = board.pessimism[1]
        if board.aimed:
            rows[f"{AIMED}, less {CONTROL}"] = board.aimed
    return [
        ["defence", *attacks],
        *([name, *(_shown(row[a]) for a in attacks)] for name, row in rows.items()),
    ]


def _line(gold: str, board: Board) -> str:
    """What is shown of one gold: who helps, who holds, who costs."""
    attack, end = board.worst["none"]
    holds = [
        name for name, by_attack in board.entries.items()
        if all(entry.end.low > 0 for entry in by_attack.values())
    ] + ["pessimism"] * bool(board.pessimism[0].low > 0)  # fmt: skip
    selected = {n: e["best_of_n"].versus_none for n, e in board.entries.items()}
    selected["pessimism"] = board.pessimism[1]["best_of_n"]
    none = board.entries["none"]["best_of_n"].end
    aimed = [a for a, interval in board.aimed.items() if interval.low > 0]
    return "\n".join([
        f"Gold {gold!r}. Without a defence the gold ends lowest under {attack}, at "
        f"{_shown(end)} base standard deviations.\n",
        f"* Above the base under every attack: {_list(holds)}.",
        f"* Better than none against {attack}: {_list(board.helps)}.",
        f"* Cost when nothing attacks, in the best of 4: {_dear(board.cost)}.",
        "* Cost in the best of many, which ends at "
        f"{_shown(none)} without a defence: {_dear(selected)}.",
        f"* {AIMED} ends higher than as many labels of base draws do, under: "
        f"{_list(aimed)}.",
    ])  # fmt: skip


def _dear(cost: dict) -> str:
    return _list(f"{n} {_shown(c)}" for n, c in cost.items() if c.high < -_WORTH)


def _note(redraws: int, labels: dict) -> str:
    asked = ", ".join(f"{name} {count:,}" for name, count in labels.items())
    return (
        f"True gain: of the gold over the base, in its standard deviations; 95 % t "
        f"intervals over {redraws} redraws of gold, preferences and starts. The worst "
        'case\'s interval allows for the pick among attacks, "better than none" for '
        "the number of defences, nothing else for any number. mean, wco and uwo need "
        f"five networks; further labels: {asked}. {CONTROL} is a control and pessimism "
        "a policy of its own, on which no attack can be run. Strengths were fixed "
        "beforehand; another strength is another defence."
    )


def _list(names) -> str:
    return ", ".join(names) or "none"


def draw(file: Path, gold: str, board: Board) -> None:
    """Dots by defence, a panel for each attack: end, and peak beside it."""
    from matplotlib.figure import Figure

    names, attacks = list(board.entries), list(board.entries["none"])
    figure = Figure(figsize=(2.6 * len(attacks) + 1.6, 4.6), layout="constrained")
    panels = figure.subplots(1, len(attacks), sharey=True, sharex=True)
    place = np.arange(len(names))[::-1]
    for axes, attack, colour in zip(panels, attacks, _COLOURS, strict=False):
        entries = [board.entries[name][attack] for name in names]
        end = np.array([entry.end for entry in entries], float).T
        peak = [float(entry.peak.mean) for entry in entries]
        axes.hlines(place, end[0], peak, color="#c8c8c8", lw=1, zorder=1)
        axes.errorbar(
            end[0], place, xerr=[end[0] - end[1], end[2] - end[0]], fmt="o",
            color=colour, ms=5, capsize=2, label="at the end, 95 %",
        )  # fmt: skip
        axes.plot(peak, place, "o", mfc="none", mec=colour, ms=8, label="at its best")
        axes.axvline(0, color="#8a8a8a", lw=0.8)
        axes.set_title(attack, fontsize=10)
        axes.set_yticks([*place, -1], [*names, "pessimism"])
        _itself(axes, board.pessimism[0])
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.supxlabel(
        f"true gain over the base (sd of the gold), gold {gold!r}", fontsize=10
    )
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower right", ncols=3, frameon=False)
    figure.savefig(file, dpi=120, facecolor="white")


def _itself(axes, interval) -> None:
    mean, low, high = map(float, interval)
    axes.errorbar(
        mean, -1, xerr=[[mean - low], [high - mean]], fmt="D", color="#555555", ms=4,
        capsize=2, label="its own policy",
    )  # fmt: skip
