"""Inputs as pictures: ordinary ones beside the most hacked."""

import textwrap

import numpy as np

from robust.measure.curve import mean_rater
from robust.measure.realised import gain
from robust.show.judges import plot_judges
from robust.show.plot import INK, STYLE, new_figure, plot

_LONGEST = 28  # characters of a text input on one line


def plot_inputs(rows, *, title=""):
    """Draw inputs in rows, such as base inputs above the most hacked ones.

    Args:
      rows: `(label, images, captions)` each: images `[N, H, W]` or `[N, H, W, 3]` in
        [0, 1], or N strings; N captions, which may be empty.
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
    height = 0.4 + width * min(_aspect(rows), 1.0)
    with rc_context({**STYLE, "axes.grid": False}):
        figure = new_figure(1.6 + width * columns, 0.5 + height * len(rows))
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
                axis.set_xlabel(caption, fontsize=8.5, color=INK, labelpad=3)
        figure.suptitle(title, fontsize=11.5)
    return figure


def _aspect(rows) -> float:
    """Height over width of the pictures; 1 for text."""
    item = rows[0][1][0]
    return 1.0 if isinstance(item, str) else item.shape[0] / item.shape[1]


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
    """Figures of a study by file name: curve.png, judges.png where there are further
    judges, and inputs.png where `render` is.

    Args:
      study: a `Study`.
      render: `Task.render`, or None.
    """
    curves = [result.curve for result in study.results]
    guaranteed = {
        result.name: (
            result.guaranteed.mean(axis=0),
            result.guaranteed_by_proxy.mean(axis=0),
        )
        for result in study.results
        if np.isfinite(result.guaranteed).all()
    }
    drawn = plot(curves, expected=study.expected, guaranteed=guaranteed, title=title)
    figures = {"curve.png": drawn}
    if study.views:
        figures["judges.png"] = plot_judges(study, title=title)
    if render is None:
        return figures
    rows = [
        (f"{name}\nmost hacked" if name else "ordinary\ninputs", render(x), captions)
        for name, x, captions in _chosen(study)
    ]
    title = f"{title}: gains in base standard deviations"
    return figures | {"inputs.png": plot_inputs(rows, title=title)}


def examples(study) -> list:
    """`(label, inputs [N, ...])`: ordinary ones, then the most hacked per attack."""
    return [(name or "ordinary", x) for name, x, _ in _chosen(study)]


def _chosen(study):
    """`(attack's name, inputs, captions)`; ordinary inputs first, without a name."""
    result, reference = study.results[0], study.reference
    index, *gains = _first_inputs(result, reference)
    yield "", _pick(result.trace.x, index, 0), _captions(*gains)
    for result in study.results:
        index, *gains = most_hacked(result, reference)
        yield result.name, _pick(result.trace.x, index, -1), _captions(*gains)


def _captions(promised, delivered) -> list[str]:
    pairs = zip(promised, delivered, strict=True)
    return [f"proxy {p:+.1f}\ntrue {t:+.1f}" for p, t in pairs]


def _first_inputs(result, reference, count: int = 8):
    promised, delivered = _gains(result, reference, 0)
    seeds, keep = promised.shape
    index = np.array([(i % seeds, i // seeds) for i in range(min(count, seeds * keep))])
    return index, promised[tuple(index.T)], delivered[tuple(index.T)]


def _pick(x, index, checkpoint):
    import jax

    return jax.tree.map(lambda a: a[index[:, 0], checkpoint, index[:, 1]], x)
