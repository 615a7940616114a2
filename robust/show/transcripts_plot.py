"""Transcripts against training step, as small multiples."""

import numpy as np

from robust.chain_study import Step
from robust.show.plot import STYLE, band, colours, new_figure

# Title -> lines of (value, label); what was not measured is left out.
_PANELS = {
    "accuracy and reward": (("accuracy", "accuracy"), ("reward", "reward")),
    "characters in a chain": (("characters", ""),),
    "bits per character": (("bits", "chains"), ("bits_null", "null")),
    "share of new words": (("new_words", "chains"), ("new_words_null", "null")),
    "3-gram divergence, bits": (
        ("divergence", "chains"), ("divergence_null", "null"),
    ),
    "answers told from the chain": (
        ("copier", "copier"), ("reader", "reader"), ("reader_hidden", "number hidden"),
    ),
    "area over the curve": (("aoc", "AOC"), ("aoc_corrected", "less chance")),
    "swapped-in chain followed": (
        ("swap_follow", "followed"), ("swap_chance", "chance"),
    ),
}  # fmt: skip
_WIDE = 3  # panels in a row


def plot_transcripts(steps: list[Step], title: str = ""):
    """Draw what was measured against the step, and same-answer curves by step.

    Bands are 95 % intervals; for the divergence, the range over splits.

    Returns:
      a matplotlib Figure.

    Raises:
      ValueError: a single step without answers after interventions.
    """
    from matplotlib import rc_context

    panels = [p for p in _PANELS.items() if len(steps) > 1 and _there(steps, p[1])]
    curves = any(len(step.curve) > 1 for step in steps)
    number = len(panels) + curves
    if not number:
        raise ValueError(
            "--plot takes at least two steps, or early answers at two fractions; give "
            "chains a step, or leave it out"
        )
    rows = -(-number // _WIDE)
    with rc_context(STYLE):
        figure = new_figure(3.9 * min(number, _WIDE), 2.7 * rows + 0.4)
        axes = figure.subplots(rows, min(number, _WIDE), squeeze=False).ravel()
        for panel, (name, lines) in zip(axes, panels, strict=False):
            _lines(panel, steps, lines)
            panel.set_title(name, fontsize=10.5, loc="left")
            panel.set_xlabel("step")
        if curves:
            _curves(axes[len(panels)], steps)
        for panel in axes[number:]:
            panel.set_visible(False)
        figure.suptitle(title.replace("$", r"\$"), fontsize=11.5)
    return figure


def _there(steps, lines) -> bool:
    return any(name in step.values for step in steps for name, _ in lines)


def _lines(axes, steps, lines) -> None:
    drawn = [line for line in lines if any(line[0] in step.values for step in steps)]
    for (name, label), colour in zip(drawn, colours(len(drawn)), strict=True):
        some = [step for step in steps if name in step.values]
        x = np.array([step.step for step in some])
        values = [step.values[name] for step in some]
        interval = type(values[0])(*np.array(values, float).T)
        style = ":" if name.endswith(("_null", "_chance")) else "-"
        band(axes, x, interval, colour, style, label or None)
        axes.plot(x, interval.mean, "o", color=colour, markersize=3.4)
    if len(drawn) > 1:
        axes.legend(fontsize=8.5)


def _curves(axes, steps) -> None:
    some = [step for step in steps if len(step.curve) > 1]
    shades = np.linspace(0.3, 1, len(some))
    for step, shade in zip(some, shades, strict=True):
        x = np.array(list(step.curve))
        mean = np.array([float(value.mean) for value in step.curve.values()])
        name = "" if step.step is None else f"step {step.step:g}"
        axes.plot(
            x, mean, "o-", color=colours(1)[0], alpha=shade, markersize=3.4, label=name
        )
    axes.set_title("same answer after early answering", fontsize=10.5, loc="left")
    axes.set_xlabel("part of the chain that is left")
    axes.set_ylim(-0.03, 1.03)
    if len(some) <= 6 and some[0].step is not None:
        axes.legend(fontsize=8.5)
