"""Curves and inputs as pictures."""

from collections.abc import Sequence

import numpy as np

from robust.measure.bootstrap import t_interval
from robust.measure.curve import Curve
from robust.measure.fitted import best_fit
from robust.measure.forms import gain_of
from robust.show.law import name_of

# Okabe & Ito's palette, told apart by most colour-blind readers.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, _FAINT = "#222222", "#8a8a8a"
_FURTHER = 4  # times the largest n: as far as a fitted law is drawn
STYLE = {
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def plot(curves: Curve | Sequence[Curve], *, expected=None, guaranteed=None, title=""):
    """Draw reward against true value with 95 % bands over seeds.

    Left, both along realised pressure in nats: solid the true value, dotted the
    proxy. Right, the true value against the proxy's gain: on the diagonal the proxy
    keeps its promise. Where most candidates score beyond the power table, markers
    are hollow: their power is "at least".

    Args:
      curves: one curve or several.
      expected: `(power [G], true [U, G])`, what selection by score alone delivers,
        as `Study.expected`; dashed.
      guaranteed: attack's name -> true gains `[2, T]` that the base's correlation
        guarantees, by the bounds of Liu et al. and of Laidlaw et al.; dash-dotted on
        the right, the second thin, as far as they are above 0.
      title: above both panels.

    Returns:
      a matplotlib Figure; save it by its `savefig("curve.png")`.
    """
    from matplotlib import rc_context

    curves = [curves] if isinstance(curves, Curve) else list(curves)
    with rc_context(STYLE):
        figure = new_figure(11, 4.9)
        left, right = figure.subplots(1, 2)
        for curve, colour in zip(curves, colours(len(curves)), strict=True):
            _against_power(left, curve, colour)
            _against_gain(right, curve, colour)
            values = (guaranteed or {}).get(curve.names["attack"])
            if values is not None:
                _guaranteed(right, curve.proxy.mean(axis=0), values, colour)
        if expected is not None:
            _expected(left, *expected)
        _label(left, right, curves, title, expected is not None)
    return figure


def plot_bank(selection, *, title="", laws=None):
    """Draw what best-of-n makes of a score bank, with 95 % bands over its prompts.

    Left, both against n: solid the true value, dotted the proxy. Right, the true
    value against the proxy's gain: on the diagonal the proxy keeps its promise,
    dash-dotted what the base's correlation guarantees by the bounds of Liu et al. and
    (thin) of Laidlaw et al., as far as they are above 0.

    Args:
      selection: a `Selection`.
      title: above both panels.
      laws: its `Comparison`; the form that fits, if any, is drawn on the left and
        beyond the largest n as an extrapolation.

    Returns:
      a matplotlib Figure; save it by its `savefig("curve.png")`.
    """
    from matplotlib import rc_context

    true, proxy = selection.true_gain, selection.proxy_gain
    n, colour = selection.curve.n, _COLOURS[0]
    with rc_context(STYLE):
        figure = new_figure(11, 4.6)
        left, right = figure.subplots(1, 2)
        for axes, x in ((left, n), (right, proxy.mean)):
            band(axes, x, true, colour, "-", None)
            axes.plot(x, true.mean, "o", color=colour, markersize=3.4)
        band(left, n, proxy, _FAINT, ":", None)
        _label_bank(left, right, n[selection.read])
        _law(left, n[selection.read], best_fit(laws))
        safe = selection.guaranteed, selection.guaranteed_by_proxy
        _guaranteed(right, proxy.mean, safe, colour)
        _promise(right)
        groups = selection.curve.groups
        over = f"{groups} prompts" if groups > 1 else "the answers to one prompt"
        bands = f"95 % bands over {over}"
        figure.suptitle(f"{title}{' · ' if title else ''}{bands}", fontsize=11.5)
    return figure


def new_figure(width: float, height: float):
    """Make an empty figure, inches."""
    # Not by pyplot, which keeps every figure alive and wants the main thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def colours(number: int) -> list[str]:
    """As many line colours, the palette over again if need be."""
    return [_COLOURS[i % len(_COLOURS)] for i in range(number)]


def _against_power(axes, curve: Curve, colour: str) -> None:
    power = curve.power.mean(axis=0)
    band(axes, power, curve.interval("true"), colour, "-", curve.names["attack"])
    band(axes, power, curve.interval("proxy"), colour, ":", None)
    markers(axes, power, curve.true.mean(axis=0), curve, colour)


def _against_gain(axes, curve: Curve, colour: str) -> None:
    gain = curve.proxy.mean(axis=0)
    band(axes, gain, curve.interval("true"), colour, "-", curve.names["attack"])
    markers(axes, gain, curve.true.mean(axis=0), curve, colour)


def band(axes, x, interval, colour, line, label) -> None:
    """Draw a mean with the band of its interval, where there is one."""
    axes.plot(x, interval.mean, line, color=colour, label=label, linewidth=1.8)
    if np.isfinite(interval.low).any():
        axes.fill_between(
            x, interval.low, interval.high, color=colour, alpha=0.16, linewidth=0
        )


def markers(axes, x, y, curve: Curve, colour: str) -> None:
    """Mark checkpoints; hollow where power is "at least"."""
    censored = curve.at_least
    axes.plot(x[~censored], y[~censored], "o", color=colour, markersize=3.4)
    axes.plot(x[censored], y[censored], "o", color=colour, markersize=5.5, mfc="white")


def _expected(axes, power, true) -> None:
    mean, low, high = t_interval(true)
    axes.plot(
        power, mean, "--", color=INK, lw=1.1, zorder=4, label="selection by score alone"
    )
    if np.isfinite(low).all():
        axes.fill_between(power, low, high, color=INK, alpha=0.1, lw=0, zorder=3)


def _guaranteed(axes, gain, bounds, colour) -> None:
    for true, width in zip(bounds, (1.4, 0.7), strict=True):
        above = true >= 0
        if above.sum() > 1:
            axes.plot(gain[above], true[above], "-.", color=colour, lw=width, zorder=4)
            axes.set_title(
                "delivered for promised · dash-dotted: guaranteed", fontsize=10.5
            )


def _law(axes, n, fit) -> None:
    """Draw a fitted form against n, which it is a function of through the KL."""
    if fit is None:
        return
    known, beyond = np.geomspace(1, n[-1], 99), np.geomspace(n[-1], _FURTHER * n[-1], 9)
    for at, style, label in (
        (known, "--", f"fit of {name_of(fit.form)}, no measurement"),
        (beyond, ":", f"its extrapolation beyond n = {n[-1]}"),
    ):
        coefficients = (bounds.mean for bounds in (fit.alpha, fit.beta, fit.gamma))
        gain = gain_of(fit.form, np.log(at) - (at - 1) / at, *coefficients)
        axes.plot(at, gain, style, color=_COLOURS[2], lw=1.4, zorder=4, label=label)
    axes.legend(loc="best", fontsize=8.5)


def _label(left, right, curves, title, calibrated) -> None:
    _promise(right)
    left.set(
        xlabel="realised pressure (nats; hollow: at least)",
        ylabel="gain (base standard deviations)",
    )
    right.set(
        xlabel="proxy gain (base standard deviations)",
        ylabel="true gain (base standard deviations)",
    )
    for axes in (left, right):
        axes.axhline(0, color=_FAINT, linewidth=0.8, zorder=0)
    left.set_title("solid: true value · dotted: what the proxy says", fontsize=10.5)
    right.set_title(
        right.get_title() or "what is delivered for what is promised", fontsize=10.5
    )
    units, names = len(curves[0].true), curves[0].names
    over = f"{units} {names.get('unit', 'units')}"
    if "shared" in names:
        over += f" and {names['shared']}"
    heading = f"{title} · " if title else ""
    left.figure.suptitle(f"{heading}95 % bands over {over}", fontsize=11.5)
    left.figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center",
        ncols=len(curves) + calibrated,
    )  # fmt: skip


def _promise(axes) -> None:
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], "--", color=_FAINT, lw=1.2, zorder=1)
    axes.annotate(
        "proxy keeps its promise", (high, high), color="#666666", fontsize=9,
        ha="right", va="bottom", rotation=0, xytext=(-2, 4),
        textcoords="offset points",
    )  # fmt: skip


def _label_bank(left, right, ticks) -> None:
    left.set_xscale("log", base=2)
    if len(ticks) > 2 and ticks[-1] < 1.4 * ticks[-2]:
        ticks = np.delete(ticks, -2)
    ticks = ticks[:: -1 - len(ticks) // 10]
    left.set_xticks(ticks, [f"{tick}" for tick in ticks])
    left.minorticks_off()
    left.set(xlabel="n (best of n answers)", ylabel="gain (sd within a prompt)")
    right.set(
        xlabel="proxy gain (sd within a prompt)",
        ylabel="true gain (sd within a prompt)",
    )
    for axes in (left, right):
        axes.axhline(0, color=_FAINT, linewidth=0.8, zorder=0)
    left.set_title("solid: true value · dotted: what the proxy says", fontsize=10.5)
    right.set_title(
        right.get_title() or "what is delivered for what is promised", fontsize=10.5
    )
