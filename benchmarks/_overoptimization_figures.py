"""Figures of the over-optimization experiment."""

from pathlib import Path

import numpy as np

from benchmarks._overoptimization_laws import (
    FITTED_TO,
    TUNED,
    Grid,
    along,
    coefficients,
    held_out_error,
    peaks,
)
from robust import bootstrap, forms

_COLOURS = {
    "best_of_n": "#0072B2",
    "splitting": "#009E73",
    "tempering": "#D55E00",
    "policy_gradient": "#CC79A7",
    "gradient_ascent": "#E69F00",
}
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8a8a",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "legend.frameon": False,
    "savefig.facecolor": "white",
}
_POINTS = 60
_BEYOND = 0.01  # share of candidates
_ROWS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"]


def draw(folder: Path, kind: str, grid: Grid) -> list[str]:
    """Draw one gold's curves against sqrt(KL) and power, and how they scale.

    Returns:
      names of the files.
    """
    from matplotlib import rc_context

    with rc_context(_STYLE):
        figures = {axis: multiples(grid, kind, axis) for axis in ("kl", "power")}
        figures["scaling"] = scaling(grid, kind)
        names = {f"{kind}_{part}.png": figure for part, figure in figures.items()}
        for name, figure in names.items():
            figure.savefig(folder / name, dpi=110)
    return list(names)


def _figure(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def multiples(grid: Grid, kind: str, axis: str):
    """Gold and proxy of every width (columns) and number of pairs (rows)."""
    wide, high = len(grid.widths), len(grid.pairs)
    figure = _figure(max(2.6 * wide, 9) + 1.2, 2.2 * high + 1.4)
    panels = figure.subplots(high, wide, sharex=True, sharey=True, squeeze=False)
    names = [n for n in _COLOURS if axis == "power" or n != "gradient_ascent"]
    for j, pairs in enumerate(grid.pairs):
        for i, width in enumerate(grid.widths):
            axes = panels[j, i]
            for name in names:
                _line(axes, grid.curves[name], (i, j), axis, name)
            if axis == "kl":
                _fitted(axes, grid, (i, j))
            axes.axhline(0, color="#8a8a8a", lw=0.8)
            axes.set_title(f"width {width}, {pairs:,} pairs", fontsize=9)
    panels[0, 0].set_ylim(-4.2, 6.2)
    panels[0, 0].set_xlim(0, 6.3 if axis == "kl" else 40)
    label = "d, root of the KL in nats" if axis == "kl" else "power (nats)"
    for axes in panels[-1]:
        axes.set_xlabel(label)
    figure.supylabel("gain over the base (sd)")
    units = grid.curves["best_of_n"].gold.shape[2]
    fitted = "; dashed: d(α − βd) fitted to best-of-n" if axis == "kl" else ""
    figure.suptitle(
        f"gold {kind!r}. Solid: gold, a dot at its peak; dotted: proxy{fitted}. "
        f"95 % bands over {units} redraws of gold, data and start",
        fontsize=10,
    )
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside lower center",
        ncols=len(names) + 1,
    )  # fmt: skip
    return figure


def _line(axes, curves, cell, axis, name):
    curves = type(curves)(*(a[cell] for a in curves))
    where = np.sqrt(curves.kl) if axis == "kl" else np.maximum(curves.power, 0)
    # Beyond the power table "at least" is all that is known.
    known = where if axis == "kl" else np.where(curves.beyond > _BEYOND, 0, where)
    at = np.linspace(0, known.max(axis=-1).min(), _POINTS)
    gold, proxy = (along(where, a, at) for a in (curves.gold, curves.proxy))
    mean, low, high = bootstrap.t_interval(gold)
    colour = _COLOURS[name]
    axes.plot(at, mean, color=colour, lw=1.6, label=name)
    axes.fill_between(at, low, high, color=colour, alpha=0.2, lw=0)
    top = mean.argmax()
    if 0 < top < len(at) - 1:
        axes.plot(at[top], mean[top], "o", color=colour, ms=4, mec="white", mew=0.6)
    axes.plot(at, proxy.mean(axis=0), ":", color=colour, lw=1.4)


def _fitted(axes, grid, cell):
    curves = grid.curves["best_of_n"]
    root = np.sqrt(curves.kl[cell][0])
    form = forms.Form.BEST_OF_N
    gold = curves.gold[cell].mean(axis=0)
    alpha, beta, _ = forms.solve(form, root[1:], gold[1:])
    at = np.linspace(0, 6.3, _POINTS)
    fit = forms.gain_of(form, at**2, alpha, beta)
    axes.plot(at, fit, "--", color="#222222", lw=0.9, label="fit", zorder=1)


def scaling(grid: Grid, kind: str):
    """α, β, the error of a prediction and the peak against the width.

    A line for each number of pairs.
    """
    best, rl = forms.Form.BEST_OF_N, forms.Form.RL
    fitted = {
        "best_of_n": coefficients(grid.curves["best_of_n"], best),
        **{name: coefficients(grid.curves[name], rl) for name in TUNED},
    }
    error = held_out_error(grid.curves["best_of_n"])
    root, height = peaks(grid.curves["best_of_n"])
    deep, high = peaks(grid.curves["splitting"])
    shown = {
        **{f"α of {name}": values[0] for name, values in fitted.items()},
        f"best_of_n: error at its end\nof the fit to n ≤ {FITTED_TO:,}, sd": error,
        **{f"β of {name}": values[1] for name, values in fitted.items()},
        "": None,  # the legend
        "peak of best_of_n, d\n(its reach: dashed)": root,
        "gold at that peak, sd": height,
        "peak of splitting, d": deep, "gold at that peak, sd ": high,
    }  # fmt: skip
    figure = _figure(13, 8.4)
    panels = dict(zip(shown, figure.subplots(3, 4).flat, strict=True))
    legend = panels.pop("")
    for title, axes in panels.items():
        values = shown[title]
        _against_width(axes, grid, values, title)
        if "reach" in title:
            reach = np.sqrt(grid.curves["best_of_n"].kl.max())
            axes.axhline(reach, ls="--", color="#8a8a8a", lw=1)
        if "error" in title:
            axes.axhline(0, color="#8a8a8a", lw=0.8)
    legend.axis("off")
    legend.legend(*figure.axes[0].get_legend_handles_labels(), loc="center")
    units = grid.curves["best_of_n"].gold.shape[2]
    figure.suptitle(
        f"gold {kind!r}; best_of_n follows d(α − βd), {' and '.join(TUNED)} "
        f"d(α − β ln d); 95 % intervals over {units} redraws",
        fontsize=10,
    )
    return figure


def _against_width(axes, grid, values, title):
    for j, pairs in enumerate(grid.pairs):
        mean, low, high = bootstrap.t_interval(values[:, j].T)
        shift = 1 + 0.03 * (j - len(grid.pairs) / 2)
        axes.errorbar(
            grid.widths * shift, mean, [mean - low, high - mean], marker="o", ms=4,
            lw=1.4, capsize=2, color=_ROWS[j % len(_ROWS)], label=f"{pairs:,} pairs",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(grid.widths, [str(w) for w in grid.widths])
    axes.minorticks_off()
    axes.set_title(title, fontsize=9.5)
    axes.set_xlabel("width")
