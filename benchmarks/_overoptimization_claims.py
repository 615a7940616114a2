"""What Gao, Schulman & Hilton 2022 found, each as a claim tested over redraws."""

from typing import Any, NamedTuple

import numpy as np

from benchmarks._overoptimization_laws import (
    FITTED_TO,
    HALVES,
    REACH,
    TUNED,
    Grid,
    along,
    coefficients,
    drops,
    held_out_error,
    peaks,
    slopes,
    within_reach,
)
from benchmarks._overoptimization_runs import PENALTIES
from robust import bootstrap, forms

MARGIN = 0.1  # base standard deviations of the gold that matter
_LEAST = 6  # redraws; fewer decide nothing


class Claim(NamedTuple):
    """One finding, tested.

    Attributes:
      name, finding: what is claimed.
      measured: what the estimate is, and what it must be for the claim to hold.
      estimate: mean and 95 % t interval over redraws.
      answer: "replicates", "does not" or "undecided".
      note: what else a reader should know.
    """

    name: str
    finding: str
    measured: str
    estimate: Any
    answer: str
    note: str = ""


def claims_of(grid: Grid) -> list[Claim]:
    """Test all findings on one gold."""
    return [
        *_turns(grid), *_form_of_best_of_n(grid), *_sizes(grid), *_tuned(grid),
        *_peak(grid), *_exchange(grid), _penalty(grid),
    ]  # fmt: skip


def claim(name, finding, measured, values, bound, *, within=False, note="") -> Claim:
    """Compare a mean over redraws `[D]` with a bound fixed beforehand.

    Fewer than six never decide, as everywhere.

    Args:
      bound: the claim holds where the mean is above it; or, with `within`, where it
        lies between minus and plus the bound.
    """
    estimate = bootstrap.t_interval(np.asarray(values, float))
    low, high = estimate[1:]
    measured += f" (within ± {bound:.3g})" if within else f" (> {bound:.3g})"
    holds, fails = low > bound, high < bound
    if within:
        holds = low > -bound and high < bound
        fails = low > bound or high < -bound
    answer = "replicates" if holds else "does not" if fails else "undecided"
    if len(values) < _LEAST:
        answer, note = "undecided", "too few redraws to decide"
    return Claim(name, finding, measured, estimate, answer, note)


def _over_cells(values):
    return values.mean(axis=(0, 1))


def _turns(grid):
    finding = "gold turns while the proxy rises"
    for name in ("best_of_n", "splitting", *TUNED, "gradient_ascent"):
        curves = grid.curves[name]
        gold, end, note = curves.gold, "the end of its steps", "KL unknown; "
        if name != "gradient_ascent":
            gold, end = within_reach(curves, gold), f"{REACH:.0f} nats or the end"
            last = np.median(np.minimum(curves.kl[..., -1], REACH))
            note = f"{last:.0f} nats at the end; "
        fall = drops(gold)
        share = (fall.mean(axis=2) > MARGIN).mean()
        below = (gold[..., -1].mean(axis=2) < 0).mean()
        yield claim(
            f"turns:{name}", finding,
            f"{name}: fall of the gold from its peak to {end}, sd; mean over cells",
            _over_cells(fall), MARGIN,
            note=f"{note}{share:.0%} of the cells fall by more than {MARGIN}, "
            f"{below:.0%} end below the base",
        )  # fmt: skip
    curves = grid.curves["policy_gradient"]
    gold, proxy = (within_reach(curves, v) for v in (curves.gold, curves.proxy))
    then = np.take_along_axis(proxy, gold.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    yield claim(
        "proxy_rises",
        finding,
        "policy_gradient: rise of the proxy from the gold's peak to the end, sd",
        _over_cells(proxy[..., -1] - then),
        0,
    )


def _form_of_best_of_n(grid):
    curves = grid.curves["best_of_n"]
    r2 = coefficients(curves, forms.Form.BEST_OF_N)[2]
    other = coefficients(curves, forms.Form.RL)[2]
    finding = "best-of-n follows d(α − βd)"
    yield claim("form:r2", finding, "R² of a curve, median over cells; its points "
                "share samples, which flatters it", np.median(r2, axis=(0, 1)),
                0.95)  # fmt: skip
    yield claim("form:preferred", finding, "R² above that of d(α − β ln d), median",
                np.median(r2 - other, axis=(0, 1)), 0)  # fmt: skip
    # The square of one measured error is mostly the noise of the rarest draws; the
    # product of two, each from a half of the draws, is on average the true square.
    square = _over_cells(np.prod([held_out_error(grid.curves[h]) for h in HALVES], 0))
    largest = 2 ** (curves.kl.shape[-1] - 1)
    yield claim("form:extrapolates", finding, f"fitted to n ≤ {FITTED_TO}, the square "
                f"of its error at n = {largest}, sd²: product over two halves of the "
                "draws, mean over cells", square, MARGIN**2, within=True,
                note=f"root {np.sqrt(max(square.mean(), 0)):.2f} sd")  # fmt: skip


def _sizes(grid):
    beta = coefficients(grid.curves["best_of_n"], forms.Form.BEST_OF_N)[1]
    width, pairs = slopes(grid, beta)
    yield claim("beta:width", "β falls with the proxy's size", "best_of_n: fall of β "
                "per doubling of the width", -width, 0)  # fmt: skip
    yield claim("beta:pairs", "β falls with data", "best_of_n: fall of β per doubling "
                "of the pairs", -pairs, 0)  # fmt: skip


def _tuned(grid):
    for name in TUNED:
        alpha, beta, r2 = coefficients(grid.curves[name], forms.Form.RL)
        other = coefficients(grid.curves[name], forms.Form.BEST_OF_N)[2]
        yield claim(f"rl_form:{name}", "RL follows d(α − β ln d)", f"{name}: R² above "
                    "that of d(α − βd), median over cells",
                    np.median(r2 - other, axis=(0, 1)), 0)  # fmt: skip
        yield claim(f"rl_beta:{name}", "β falls with the proxy's size", f"{name}: fall "
                    "of β of d(α − β ln d) per doubling of the width",
                    -slopes(grid, beta)[0], 0)  # fmt: skip
        yield claim(f"rl_alpha:{name}", "α moves little for RL", f"{name}: change of α "
                    "of d(α − β ln d) per doubling of the width",
                    slopes(grid, alpha)[0], 0.05, within=True)  # fmt: skip


def _peak(grid):
    finding = "the peak moves right and up"
    for name in ("best_of_n", "splitting"):
        places = zip(
            ("right, in d", "up, in sd"), peaks(grid.curves[name]), strict=True
        )
        for way, values in places:
            sizes = zip(("width", "pairs"), slopes(grid, values), strict=True)
            for size, change in sizes:
                yield claim(f"peak:{name}:{way[:2].strip(',')}:{size}", finding,
                            f"{name}: {way}, per doubling of the {size}", change,
                            0)  # fmt: skip


def _exchange(grid):
    """What a nat, or a unit of proxy, buys in gold under two optimizers."""
    best, tuned = (grid.curves[name] for name in ("best_of_n", "policy_gradient"))
    for value, most in (("gold", "peak"), ("proxy", "gain")):
        goal = 0.8 * np.minimum(
            *(getattr(c, value).max(axis=-1) for c in (best, tuned))
        )
        spent = [_first_reached(c.kl, getattr(c, value), goal) for c in (tuned, best)]
        yield claim(
            f"rl_spends_more:{value}", f"RL spends far more KL for the same {value}",
            "ln of the KL that policy_gradient needs over what best_of_n needs, for "
            f"80 % of the lower {most}; mean over cells",
            _over_cells(np.log(spent[0] / spent[1])), np.log(2),
        )  # fmt: skip
    apart = {}
    for axis in ("kl", "proxy", "power"):
        axes = [np.sqrt(np.maximum(getattr(c, axis), 0)) for c in (best, tuned)]
        last = min(a.max(axis=-1).min() for a in axes)
        at = np.linspace(0.1, last, 24)
        gold = [along(a, c.gold, at) for a, c in zip(axes, (best, tuned), strict=True)]
        gap = ((gold[0] - gold[1]) ** 2).mean(axis=-1)
        apart[axis] = np.sqrt(_over_cells(gap))
    for axis in ("proxy", "power"):
        yield claim(
            f"compare:{axis}",
            "KL does not compare optimizers; proxy gain and power do",
            "gap in gold between best_of_n and policy_gradient at equal KL, sd, root "
            f"mean square, less that at equal {axis}", apart["kl"] - apart[axis], 0,
            note=f"{apart['kl'].mean():.2f} and {apart[axis].mean():.2f}",
        )  # fmt: skip


def _first_reached(kl, values, goal):
    """KL where values `[..., T]` first reach a goal `[...]`, linear between points."""
    after = np.maximum((values >= goal[..., None]).argmax(axis=-1), 1)[..., None]
    (kl0, kl1), (v0, v1) = (
        [np.take_along_axis(a, after - i, axis=-1)[..., 0] for i in (1, 0)]
        for a in (kl, values)
    )
    return kl0 + (kl1 - kl0) * np.clip((goal - v0) / (v1 - v0), 0.05, 1)


def _penalty(grid):
    free, gaps = grid.curves["policy_gradient"], []
    for i in range(1, len(PENALTIES)):
        held = grid.curves[f"policy_gradient_{i}"]
        kl, gold = held.kl[..., -5:].mean(axis=-1), held.gold[..., -5:].mean(axis=-1)
        flat = [a.reshape(-1, a.shape[-1]) for a in (free.kl, free.gold)]
        at = [
            np.interp(k, np.maximum.accumulate(a), g)
            for k, a, g in zip(kl.ravel(), *flat, strict=True)
        ]
        gaps.append(gold - np.reshape(at, kl.shape))
    return claim(
        "penalty",
        "a KL penalty is like early stopping",
        f"policy_gradient: gold at the end under penalties of {PENALTIES[1:]} less "
        "that without, stopped at the same KL; mean over cells",
        _over_cells(np.mean(gaps, axis=0)),
        MARGIN,
        within=True,
    )
