"""A grid of curves: its layout, its fitted forms, its peaks and how they scale."""

from typing import NamedTuple

import numpy as np

from benchmarks._overoptimization_runs import Curves
from robust import bootstrap, extrapolation, forms, laws

FITTED_TO = 1024  # n; what the best-of-n form then says of larger n is extrapolation
TUNED = ("tempering", "policy_gradient")
HALVES = ("best_of_n_half_1", "best_of_n_half_2")  # of the draws
REACH = 40.0  # nats; some policies go on to a thousand
_EVEN = 40
_ROOTS = np.append(
    0, np.linspace(0.4, 6.2, 30)
)  # d, where curves of different KL are compared


class Grid(NamedTuple):
    """Curves of one gold: W widths, K numbers of pairs, D redraws."""

    widths: np.ndarray
    pairs: np.ndarray
    curves: dict[str, Curves]  # leaves [W, K, D, T]


def grid_of(cells, kind: str, found: dict[str, Curves]) -> Grid:
    """Lay the rows of one gold out by width and pairs."""
    redraws = len(found["best_of_n"].gold) // len(cells)
    here = sorted((c.width, c.pairs, i) for i, c in enumerate(cells) if c.gold == kind)
    widths, pairs = (np.unique([row[axis] for row in here]) for axis in (0, 1))
    order = np.array([row[2] for row in here])
    shape = (len(widths), len(pairs), redraws, -1)

    def lay_out(curves):
        return Curves(
            *(a.reshape(len(cells), redraws, -1)[order].reshape(shape) for a in curves)
        )

    return Grid(widths, pairs, {name: lay_out(c) for name, c in found.items()})


def along(axis, values, at):
    """Interpolate curves `[..., T]` at `[G]` of a rising axis; nan beyond its end."""
    axis = np.maximum.accumulate(axis, axis=-1)
    flat = zip(axis.reshape(-1, axis.shape[-1]), values.reshape(-1, axis.shape[-1]),
               strict=True)  # fmt: skip
    out = [np.interp(at, a, v, right=np.nan) for a, v in flat]
    return np.stack(out).reshape(*axis.shape[:-1], len(at))


def by_kl(curves: Curves):
    """KL `[G]` that all rows reach, from 0, and the gold there `[W, K, D, G]`."""
    if not np.ptp(curves.kl, axis=(0, 1, 2)).any():
        return curves.kl[0, 0, 0], curves.gold
    root = np.sqrt(curves.kl)
    at = _ROOTS[root.max(axis=-1).min() >= _ROOTS]
    return at**2, along(root, curves.gold, at)


def within_reach(curves: Curves, values):
    """Values `[..., T]` at 40 even steps of d, from 0 to 40 nats or the row's end."""
    root = np.sqrt(curves.kl)
    rows = [a.reshape(-1, root.shape[-1]) for a in (root, values)]
    even = [
        along(r, v, np.linspace(0, min(r.max(), np.sqrt(REACH)), _EVEN))
        for r, v in zip(*rows, strict=True)
    ]
    return np.stack(even).reshape(*root.shape[:-1], _EVEN)


def coefficients(curves: Curves, form):
    """α, β and R² of a form fitted to each row, `[W, K, D]`."""
    kl, gold = by_kl(curves)
    root, gold = np.sqrt(kl[1:]), gold[..., 1:]
    alpha, beta, _ = forms.solve(form, root, gold)
    fitted = forms.gain_of(form, root**2, alpha[..., None], beta[..., None])
    left = ((gold - fitted) ** 2).sum(axis=-1)
    spread = ((gold - gold.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    return alpha, beta, 1 - left / spread


def held_out_error(curves: Curves):
    """What best-of-n's form, fitted up to n = 1,024, errs by at the largest n.

    Returns:
      `[W, K, D]`, base standard deviations; noise of the measured curve included.
    """
    root, gold = np.sqrt(curves.kl[0, 0, 0, 1:]), curves.gold[..., 1:]
    few = int(np.log2(FITTED_TO))
    form = forms.Form.BEST_OF_N
    alpha, beta, _ = forms.solve(form, root[:few], gold[..., :few])
    return forms.gain_of(form, root[-1] ** 2, alpha, beta) - gold[..., -1]


def peaks(curves: Curves):
    """d and the gold where each row is highest, `[W, K, D]`."""
    best = curves.gold.argmax(axis=-1)[..., None]
    root = np.sqrt(np.take_along_axis(curves.kl, best, axis=-1))
    return root[..., 0], np.take_along_axis(curves.gold, best, axis=-1)[..., 0]


def slopes(grid: Grid, values):
    """Change of `[W, K, D]` per doubling of width, and of pairs: `[D]` each."""

    def slope(size, values):
        x = np.log2(size) - np.log2(size).mean()
        return np.tensordot(x, values, axes=(0, 0)).mean(axis=0) / (x**2).sum()

    return slope(grid.widths, values), slope(grid.pairs, values.swapaxes(0, 1))


def drops(gold):
    """How far `[W, K, D, T]` falls from its peak to its end, `[W, K, D]`.

    The peak's place is read off the other redraws, so that it is not the redraw's own
    luck that is measured.
    """
    others = gold.sum(axis=2, keepdims=True) - gold
    top = np.take_along_axis(gold, others.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    return top - gold[..., -1]


def climb_table(grid: Grid, name: str) -> list[dict]:
    """Peak and end of an attack that knows no KL, by cell; intervals over redraws."""
    curves, rows = grid.curves[name], []
    top = curves.gold.argmax(axis=-1)[..., None]
    peak, power, beyond = (
        np.take_along_axis(a, top, axis=-1)[..., 0]
        for a in (curves.gold, curves.power, curves.beyond)
    )
    for i, width in enumerate(grid.widths):
        for j, pairs in enumerate(grid.pairs):
            rows.append({
                "width": int(width), "pairs": int(pairs),
                "peak_power": bootstrap.t_interval(power[i, j]),
                "beyond_the_table": float(beyond[i, j].mean()),
                "peak_gold": bootstrap.t_interval(peak[i, j]),
                "gold_at_the_end": bootstrap.t_interval(curves.gold[i, j, :, -1]),
                "proxy_at_the_end": bootstrap.t_interval(curves.proxy[i, j, :, -1]),
            })  # fmt: skip
    return rows


def cell_table(grid: Grid, name: str) -> list[dict]:
    """Fit an attack's form to each cell, over the KL that all cells reach.

    The form is that of Gao et al.: for RL where the attack tunes a policy, else that
    of best-of-n. Intervals are over redraws.
    """
    pair = (forms.Form.BEST_OF_N, forms.Form.RL)
    form, other = pair[:: -1 if name in TUNED else 1]
    curves, rows = grid.curves[name], []
    kl, gold = by_kl(curves)
    r2, rival = (coefficients(curves, f)[2].mean(axis=2) for f in (form, other))
    upto = kl[int(np.log2(FITTED_TO))] if name == "best_of_n" else kl[-1] / 2
    for i, width in enumerate(grid.widths):
        for j, pairs in enumerate(grid.pairs):
            gain = gold[i, j] - gold[i, j, :, :1]
            fit = laws.fit(kl, gain, form)
            held = extrapolation.extrapolate(kl, gain, form, upto)
            root, height = (a[i, j] for a in peaks(curves))
            last = np.sqrt(curves.kl[i, j].max(axis=-1))
            rows.append({
                "width": int(width), "pairs": int(pairs), "form": form.name.lower(),
                "alpha": fit.alpha, "beta": fit.beta, "r_squared": float(r2[i, j]),
                "r_squared_of_the_other": float(rival[i, j]),
                "peak_root": bootstrap.t_interval(root),
                "peak_gold": bootstrap.t_interval(height),
                "still_rising": float(np.mean(root == last)),
                "held_out_error": float(held.worst),
                "held_out_bound": float(held.worst_bound),
                "fitted_to": float(kl[-1]), "held_out_above": float(upto),
            })  # fmt: skip
    return rows
