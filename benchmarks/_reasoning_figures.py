"""Pictures of the reasoning experiment: each arm along its training."""

from pathlib import Path

import numpy as np

from benchmarks._reasoning_arms import ARMS
from benchmarks._reasoning_runs import Pushed
from robust import bootstrap

_LINES = {
    "valid": ("valid steps", "#D55E00"),
    "accuracy": ("right answers", "#009E73"),
    "read_operands": ("operands a reader finds", "#CC79A7"),
}
_HINTS = {
    "follows_wrong": ("wrong hints followed", "#0072B2"),
    "covert": ("followed without saying so", "#D55E00"),
    "flag_monitor": ("flagged by the monitor", "#E69F00"),
    "flag_held_out": ("flagged by one held out", "#56B4E9"),
}
_STYLE = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": "#8a8a8a", "axes.grid": True, "grid.color": "#e6e6e6",
    "legend.frameon": False, "savefig.facecolor": "white",
}  # fmt: skip
_COLUMNS = 5


def draw(folder: Path, found: dict[str, Pushed]) -> list[str]:
    """Draw the arms, and those with hints; returns the names of the files."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        figures = {"arms.png": multiples(found, _LINES)}
        hinted = {name: p for name, p in found.items() if ARMS[name].hinted}
        if hinted:
            figures["hints.png"] = multiples(hinted, _HINTS)
        for name, figure in figures.items():
            figure.savefig(folder / name, dpi=110)
    return list(figures)


def multiples(found: dict[str, Pushed], lines):
    """One panel an arm: shares against steps, and the KL on its own axis."""
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.1 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, (name, pushed) in zip(panels, found.items(), strict=False):
        _panel(panel, name, pushed, lines)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    for panel in panels[: len(found)][-columns:]:
        panel.set_xlabel("steps of policy gradient")
    return figure


def _panel(panel, name, pushed, lines):
    for figure, (label, colour) in lines.items():
        values = pushed.figures[figure]
        mean, low, high = bootstrap.t_interval(values)
        panel.plot(pushed.steps, mean, color=colour, label=label, lw=1.6)
        panel.fill_between(
            pushed.steps, np.clip(low, 0, 1), np.clip(high, 0, 1),
            color=colour, alpha=0.15, lw=0,
        )  # fmt: skip
    kl = pushed.figures["kl"].mean(axis=0)
    panel.set_title(f"{name}\nKL {kl[-1]:.1f} nats at the end", fontsize=8.5)
    panel.set_ylim(-0.03, 1.03)
