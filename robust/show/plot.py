"""Curves and inputs as pictures."""

import textwrap
from collections.abc import Sequence

import numpy as np

from robust.measure.curve import Curve, mean_rater
from robust.measure.realised import gain

# Okabe & Ito's palette, told apart by most colour-blind readers.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LONGEST = 28  # characters of a text input on one line
_INK, _FAINT = "#222222", "#8a8a8a"
_STYLE = {
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def plot(curves: Curve | Sequence[Curve], *, expected=None, title=""):
    """Draw reward against true value with 95 % bands over seeds.

    Left, both along realised pressure in nats: solid the true value, dotted the
    proxy. Right, the true value against the proxy's gain: on the diagonal the proxy
    keeps its promise. Where most candidates score beyond the power table, markers
    are hollow: their power is "at least".

    Args:
      curves: one curve or several.
      expected: `(power [G], true [U, G])`, what selection by score alone delivers,
        as `Study.expected`; dashed.
      title: above both panels.

    Returns:
      a matplotlib Figure; save it by its `savefig("curve.png")`.
    """
    from matplotlib import rc_context

    curves = [curves] if isinstance(curves, Curve) else list(curves)
    with rc_context(_STYLE):
        figure = _figure(11, 4.9)
        left, right = figure.subplots(1, 2)
        for curve, colour in zip(curves, _cycle(len(curves)), strict=True):
            _against_power(left, curve, colour)
            _against_gain(right, curve, colour)
        if expected is not None:
            _expected(left, *expected)
        _label(left, right, curves, title, expected is not None)
    return figure


def plot_bank(selection, *, title=""):
    """Draw what best-of-n makes of a score bank, with 95 % bands over prompts.

    Left, both against n: solid the true value, dotted the proxy. Right, the true
    value against the proxy's gain: on the diagonal the proxy keeps its promise.

    Args:
      selection: a `Selection`.
      title: above both panels.

    Returns:
      a matplotlib Figure; save it by its `savefig("curve.png")`.
    """
    from matplotlib import rc_context

    true, proxy = selection.true_gain, selection.proxy_gain
    n, colour = selection.curve.n, _COLOURS[0]
    with rc_context(_STYLE):
        figure = _figure(11, 4.6)
        left, right = figure.subplots(1, 2)
        for axes, x in ((left, n), (right, proxy.mean)):
            _band(axes, x, true, colour, "-", None)
            axes.plot(x, true.mean, "o", color=colour, markersize=3.4)
        _band(left, n, proxy, _FAINT, ":", None)
        _label_bank(left, right, n[selection.read])
        _promise(right)
        groups = selection.curve.groups
        bands = f"95 % bands over {groups} prompts" if groups > 1 else "one prompt"
        figure.suptitle(f"{title}{' · ' if title else ''}{bands}", fontsize=11.5)
    return figure


def plot_inputs(rows, *, title=""):
    """Draw inputs in rows, such as base inputs above the most hacked ones.

    Args:
      rows: `(label, images, captions)` each: images `[N, H, W]` in [0, 1] or N
        strings; N captions, which may be empty.
      title: above all.

    Returns:
      the matplotlib Figure.
    """
    from matplotlib import rc_context

    columns = max(len(items) for _, items, _ in rows)
    longest = max(
        (len(i) for _, items, _ in rows for i in items if isinstance(i, str)), default=0
    )
    width = max(1.15, 0.09 * min(longest, _LONGEST))
    with rc_context({**_STYLE, "axes.grid": False}):
        figure = _figure(1.6 + width * columns, 0.5 + 1.55 * len(rows))
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for axes, (label, items, captions) in zip(grid, rows, strict=True):
            for axis in axes:
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
            axes[0].set_ylabel(
                label, rotation=0, ha="right", va="center", labelpad=8, fontsize=10.5
            )
            for axis, item, caption in zip(axes, items, captions, strict=False):
                _show_input(axis, item)
                axis.set_xlabel(caption, fontsize=8.5, color=_INK, labelpad=3)
        figure.suptitle(title, fontsize=11.5)
    return figure


def _figure(width: float, height: float):
    # Not by pyplot, which keeps every figure alive and wants the main thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _cycle(number: int) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(number)]


def _against_power(axes, curve: Curve, colour: str) -> None:
    power = curve.power.mean(axis=0)
    _band(axes, power, curve.interval("true"), colour, "-", curve.names["attack"])
    _band(axes, power, curve.interval("proxy"), colour, ":", None)
    _markers(axes, power, curve.true.mean(axis=0), curve, colour)


def _against_gain(axes, curve: Curve, colour: str) -> None:
    gain = curve.proxy.mean(axis=0)
    _band(axes, gain, curve.interval("true"), colour, "-", curve.names["attack"])
    _markers(axes, gain, curve.true.mean(axis=0), curve, colour)


def _band(axes, x, interval, colour, line, label) -> None:
    axes.plot(x, interval.mean, line, color=colour, label=label, linewidth=1.8)
    if np.isfinite(interval.low).all():
        axes.fill_between(
            x, interval.low, interval.high, color=colour, alpha=0.16, linewidth=0
        )


def _markers(axes, x, y, curve: Curve, colour: str) -> None:
    censored = curve.at_least
    axes.plot(x[~censored], y[~censored], "o", color=colour, markersize=3.4)
    axes.plot(x[censored], y[censored], "o", color=colour, markersize=5.5, mfc="white")


def _expected(axes, power, true) -> None:
    axes.plot(
        power, true.mean(axis=0), "--", color=_INK, lw=1.1, zorder=4,
        label="selection by score alone",
    )  # fmt: skip


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
    right.set_title("what is delivered for what is promised", fontsize=10.5)
    units, unit = len(curves[0].true), curves[0].names.get("unit", "units")
    heading = f"{title} · " if title else ""
    left.figure.suptitle(f"{heading}95 % bands over {units} {unit}", fontsize=11.5)
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
    right.set_title("what is delivered for what is promised", fontsize=10.5)


def _show_input(axis, item) -> None:
    if isinstance(item, str):
        lines = textwrap.wrap(item, _LONGEST, max_lines=6) or [""]
        text = "\n".join(lines)
        axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, clip_on=True)
        return
    axis.imshow(item, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    axis.spines[:].set_visible(True)
    axis.spines[:].set_color("#cccccc")


def most_hacked(result, reference, count: int = 8):
    """The kept candidates at the last checkpoint that promise most and deliver least.

    Args:
      result: a `Result`; reference: its `Reference`.

    Returns:
      `(seed, slot)` index pairs `[count, 2]` of as many seeds as there are, and the
      standardised proxy and true value of each, `[count]`.
    """
    promised, delivered = _gains(result, reference, -1)
    gap = np.asarray(promised - delivered)
    # The worst of each seed before the second worst of any: many proxies, not one.
    slots = np.argsort(-gap, axis=1)
    order = [
        (seed, slots[seed, rank])
        for rank in range(slots.shape[1])
        for seed in np.argsort(-np.take_along_axis(gap, slots, 1)[:, rank])
    ][:count]
    index = np.array(order)
    return index, promised[tuple(index.T)], delivered[tuple(index.T)]


def _gains(result, reference, checkpoint: int):
    """Standardised proxy and true value of the kept candidates, `[S, K]` each."""
    true = mean_rater(result.true)[:, checkpoint]
    proxy = result.trace.proxy[:, checkpoint, : true.shape[1]]
    mean_r, std_r, mean_v, std_v = (scale[:, None] for scale in reference.scales)
    return gain(proxy, mean_r, std_r), gain(true, mean_v, std_v)


def pictures(study, render, title: str) -> dict:
    """Figures of a study by file name: curve.png, and inputs.png where `render` is.

    Args:
      study: a `Study`.
      render: `Task.render`, or None.
    """
    curves = [result.curve for result in study.results]
    figures = {"curve.png": plot(curves, expected=study.expected, title=title)}
    if render is None:
        return figures
    rows = [_base_row(study.results[0], study.reference, render)]
    for result in study.results:
        index, promised, delivered = most_hacked(result, study.reference)
        x = _pick(result.trace.x, index, -1)
        captions = _captions(promised, delivered)
        rows.append((f"{result.name}\nmost hacked", render(x), captions))
    title = f"{title}: gains in base standard deviations"
    return figures | {"inputs.png": plot_inputs(rows, title=title)}


def _captions(promised, delivered) -> list[str]:
    pairs = zip(promised, delivered, strict=True)
    return [f"proxy {p:+.1f}\ntrue {t:+.1f}" for p, t in pairs]


def _base_row(result, reference, render, count: int = 8):
    promised, delivered = _gains(result, reference, 0)
    seeds, keep = promised.shape
    index = np.array([(i % seeds, i // seeds) for i in range(min(count, seeds * keep))])
    captions = _captions(promised[tuple(index.T)], delivered[tuple(index.T)])
    return "ordinary\ninputs", render(_pick(result.trace.x, index, 0)), captions


def _pick(x, index, checkpoint):
    import jax

    return jax.tree.map(lambda a: a[index[:, 0], checkpoint, index[:, 1]], x)
