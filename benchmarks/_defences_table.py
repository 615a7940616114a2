"""The leaderboard: attack x defence, what it buys, what it costs."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robust import Findings, bootstrap

SCHEMA = "robust.leaderboard/1"
_MILD = 2  # index of n = 4 on the best-of-n curve: when nothing attacks
_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"]


class Entry(NamedTuple):
    """One attack on one defence; each `Interval`s over redraws, base sd of the gold.

    Attributes:
      end: true gain at the end.
      peak: true gain at the best checkpoint, which the other redraws pick.
      drop: peak less end.
      versus_none: end less that without a defence, paired.
      regret: end of the same attack on the gold itself less this end, paired.
    """

    end: bootstrap.Interval
    peak: bootstrap.Interval
    drop: bootstrap.Interval
    versus_none: bootstrap.Interval
    regret: bootstrap.Interval


class Board(NamedTuple):
    """The leaderboard.

    Attributes:
      entries: defence -> attack -> `Entry`.
      worst: defence -> (attack, its end as `Interval`): the attack under which the
        gold ends lowest, for each redraw picked on the others.
      cost: defence -> true gain of the best of 4 less that without a defence.
      pessimism: true gain of what that policy draws, and the same less what each
        attack reaches without a defence.
      labels: defence -> further labels that it asked for.
    """

    entries: dict
    worst: dict
    cost: dict
    pessimism: tuple
    labels: dict


def board_of(curves: dict, oracle: dict, itself, labels) -> Board:
    """Compare all ends, paired by redraw.

    Args:
      curves: attack -> defence -> gold `[D, T]`, "none" among the defences.
      oracle: attack -> gold `[D, T]` of the same attack on the gold.
      itself: gold of what pessimism draws, `[D]`.
      labels: defence -> further labels.
    """
    names = list(next(iter(curves.values())))
    entries = {
        name: {
            attack: _entry(by_name[name], by_name["none"], oracle[attack])
            for attack, by_name in curves.items()
        }
        for name in names
    }
    ends = {a: {n: c[:, -1] for n, c in found.items()} for a, found in curves.items()}
    mild = {name: c[:, _MILD] for name, c in curves["best_of_n"].items()}
    t = bootstrap.t_interval
    return Board(
        entries=entries,
        worst={n: _worst({a: ends[a][n] for a in ends}) for n in names},
        cost={n: t(mild[n] - mild["none"]) for n in names},
        pessimism=(t(itself), {a: t(itself - ends[a]["none"]) for a in ends}),
        labels=dict(labels),
    )


def _entry(gold, none, oracle) -> Entry:
    others = gold.sum(axis=0) - gold
    best = others.argmax(axis=1)[:, None]
    peak, end = np.take_along_axis(gold, best, axis=1)[:, 0], gold[:, -1]
    t = bootstrap.t_interval
    return Entry(
        t(end), t(peak), t(peak - end), t(end - none[:, -1]), t(oracle[:, -1] - end)
    )


def _worst(ends: dict):
    """The attack with the lowest end, and that end without the luck of the pick."""
    names, values = list(ends), np.stack(list(ends.values()))
    others = values.sum(axis=1, keepdims=True) - values
    pick = others.argmin(axis=0)
    honest = values[pick, np.arange(values.shape[1])]
    return names[int(values.mean(axis=1).argmin())], bootstrap.t_interval(honest)


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
    end, versus = board.pessimism
    yield row("pessimism", "itself", "end", end)
    for attack, interval in versus.items():
        yield row("pessimism", attack, "versus_none", interval)


def _plain(interval) -> dict:
    names = ("mean", "low", "high")
    return dict(zip(names, map(float, interval), strict=True))


def _shown(interval) -> str:
    return "{:+.2f} [{:+.2f}, {:+.2f}]".format(*map(float, interval))


def findings_of(boards: dict[str, Board], redraws: int) -> Findings:
    """Say what each defence buys and costs, and lay out the tables."""
    titles = {
        "end": "true gain at the end",
        "versus_none": "what it buys, the same less that without a defence, paired",
        "peak": "true gain at its best, if one could stop there",
        "regret": "regret, the same attack on the gold itself less this",
    }
    return Findings(
        "Defences against over-optimization",
        [*(_line(gold, board) for gold, board in boards.items()), _note(redraws)],
        {f"Gold {g!r}: worst case and cost": _summary_rows(b)
         for g, b in boards.items()},
        [f"{gold}.png" for gold in boards],
        {f"Gold {gold!r}: {title}": _rows(board, measure)
         for gold, board in boards.items() for measure, title in titles.items()},
    )  # fmt: skip


def _summary_rows(board: Board):
    head = ["defence", "worst attack", "true gain at its end", "best of 4, less none's",
            "more labels"]  # fmt: skip
    rows = [
        [name, attack, _shown(end), _shown(board.cost[name]),
         f"{board.labels.get(name, 0):,}"]
        for name, (attack, end) in board.worst.items()
    ]  # fmt: skip
    itself = ["pessimism", "none can", _shown(board.pessimism[0]), "–", "0"]
    return [head, *sorted(rows, key=lambda r: -float(r[2].split()[0])), itself]


def _rows(board: Board, measure: str):
    attacks = list(board.entries["none"])
    rows = [
        [name, *(_shown(getattr(by_attack[a], measure)) for a in attacks)]
        for name, by_attack in board.entries.items()
    ]
    if measure == "versus_none":
        versus = board.pessimism[1]
        rows = [*rows[1:], ["pessimism", *(_shown(versus[a]) for a in attacks)]]
    return [["defence", *attacks], *rows]


def _line(gold: str, board: Board) -> str:
    ends = {name: interval for name, (_, interval) in board.worst.items()}
    none, attack = ends["none"], board.worst["none"][0]
    better = [n for n, e in board.entries.items() if e[attack].versus_none.low > 0]
    holds = [n for n, e in ends.items() if e.low > 0]
    cost = {n: float(c.mean) for n, c in board.cost.items() if n != "none"}
    least, most = min(cost, key=cost.__getitem__), max(cost, key=cost.__getitem__)
    return (
        f"Gold {gold!r}: without a defence the worst attack is {attack}, and the gold "
        f"ends at {_shown(none)} base standard deviations. Against that attack "
        f"{_list(better)} help: their interval over paired redraws lies above zero. "
        f"Under its own worst attack the gold ends above the base behind "
        f"{_list(holds)}. When nothing attacks (the best of 4), the defences change "
        f"the true gain by {cost[least]:+.3f} ({least}) to {cost[most]:+.3f} ({most})."
    )


def _note(redraws: int) -> str:
    return (
        f"95 % t intervals over {redraws} redraws of gold, preferences and starts; no "
        "correction for the number of entries. The worst attack on a defence is "
        "picked, for each redraw, on the others. Strengths were fixed beforehand; "
        "another strength is another defence. No attack can be run on pessimism, which "
        "is its own policy."
    )


def _list(names) -> str:
    return ", ".join(names) or "none of them"


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
        axes.plot(peak, place, "o", mfc="white", mec=colour, ms=5, label="at its best")
        axes.axvline(0, color="#8a8a8a", lw=0.8)
        axes.set_title(attack, fontsize=10)
        axes.set_yticks(place, names)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.supxlabel(
        f"true gain over the base (sd of the gold), gold {gold!r}", fontsize=10
    )
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower right", ncols=2, frameon=False)
    figure.savefig(file, dpi=120, facecolor="white")
