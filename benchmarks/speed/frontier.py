"""Time resampled best-of-n curves and tilt frontiers beside a peer and plain NumPy.

Run: OPENBLAS_NUM_THREADS=1 python -m benchmarks.speed.frontier [--largest 1e4]

The peer is reward-lens 3.1, installed apart or not at all; its columns are then empty.
All times are CPU seconds of all threads, the best of some runs.
"""

import argparse
import importlib
import time
from collections.abc import Callable
from statistics import NormalDist
from types import ModuleType

import numpy as np

from benchmarks.speed.bank import machine
from robust import (
    best_of_n_curve,
    ranking_within,
    resampled_best_of_n,
    resampled_tilt,
    tilt_curve,
)

PEER = "reward-lens==3.1.0"
BEST_OF = 16
FLOOR = 0.05  # the peer's
RESAMPLES, PEAKS = 400, 200  # of best-of-n and of the frontier
FEW = 40  # of those of best-of-n, for the peer: its time is scaled up


def main() -> None:
    """Print three Markdown tables and the machine they were measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=float, default=1e4, help="answers")
    sizes = 10 ** np.arange(3, round(np.log10(parser.parse_args().largest)) + 1)
    peer = find_peer()
    print(f"Measured on {machine()}.\n")
    print(
        f"Best of {BEST_OF}, {RESAMPLES} resamples of the answers to one prompt, the "
        f"same for all, CPU seconds (the peer: {FEW} of them, times "
        f"{RESAMPLES // FEW}):\n"
    )
    header("answers", "peer", "NumPy", "robust", "peer/robust", "NumPy/robust",
           "one numpy.sort", "largest difference")  # fmt: skip
    for size in sizes:
        row(f"{size:,}", *best_of_n(peer, *bank(size)))
    print(
        f"\nTilts at 65 temperatures to the horizon (ESS {FLOOR:.0%}), and {PEAKS} "
        "resamples of the peak, CPU seconds:\n"
    )
    header("answers", "peer", "NumPy", "robust", "peer/robust", "NumPy/robust",
           "one numpy.sort", "largest difference")  # fmt: skip
    for size in sizes:
        row(f"{size:,}", *frontier(peer, *bank(size)))
    print("\n200 prompts of 64 answers, true = -0.8 proxy within a prompt:\n")
    header("", "best of 16 gains", "95 % interval", "expected", "concordance")
    for line in difficulty():
        row(*line)


def header(*names: str) -> None:
    """Print the first two lines of a table."""
    row(*names)
    print("|" + "---:|" * len(names))


def row(*cells: str) -> None:
    """Print one line of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def find_peer() -> ModuleType | None:
    """Import the peer's frontier, or say how to install it."""
    try:
        return importlib.import_module("reward_lens.measure.frontier")
    except ImportError as error:
        print(f"The peer is not there ({error}): pip install --no-deps {PEER}\n")
        return None


def bank(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw answers whose true value peaks inside, and resamples of them."""
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=size)
    true = proxy - 0.3 * proxy**2 + rng.normal(size=size)
    return proxy, true, rng.integers(0, size, (RESAMPLES, size))


def best_of_n(peer, proxy, true, index) -> list[str]:
    """Time resampled best-of-n three ways; the peer's estimate is the plug-in."""

    def ours():
        found = resampled_best_of_n(proxy, true, BEST_OF, index, plug_in=True)
        return found.true[:, 0]

    def plain():
        rank = np.arange(len(proxy) + 1) / len(proxy)
        order = np.argsort(proxy[index], axis=1)
        return np.take_along_axis(true[index], order, 1) @ np.diff(rank**BEST_OF)

    def theirs():
        expected = peer.concomitant_expectation
        return [expected(proxy[row], true[row], BEST_OF)[0] for row in index[:FEW]]

    return compared(ours, plain, theirs if peer else None, proxy, RESAMPLES / FEW)


def frontier(peer, proxy, true, index) -> list[str]:
    """Time a frontier three ways: the peak's 95 % intervals and the horizon."""
    index = np.random.default_rng(0).integers(0, len(proxy), (PEAKS, len(proxy)))

    def peak(kl, gold):
        at = gold.argmax(axis=1)[:, None]
        figures = np.take_along_axis(np.stack([kl, gold], 1), at[:, None], 2)[:, :, 0]
        return np.quantile(figures, [0.025, 0.975], axis=0).T.ravel()

    def ours():
        tilt = tilt_curve(proxy, true, floor=FLOOR)
        found = resampled_tilt(proxy, true, tilt.inverse_temperature, index)
        own = [tilt.horizon_kl, tilt.true.mean.max()]
        return np.append(own, peak(found.kl, found.true))

    def plain():
        tilt = tilt_curve(proxy, true, floor=FLOOR)
        kl, gold = np.empty((2, PEAKS, len(tilt.inverse_temperature)))
        score, value = (proxy - proxy.max()) / tilt.proxy_std, true[index]
        for column, strength in enumerate(tilt.inverse_temperature):
            exponent = strength * score
            weight = np.exp(exponent)[index]
            total = weight.sum(axis=1)
            gold[:, column] = np.einsum("bn,bn->b", weight, value) / total
            mean = np.einsum("bn,bn->b", weight, exponent[index]) / total
            kl[:, column] = mean - np.log(total / len(proxy))
        own = [tilt.horizon_kl, tilt.true.mean.max()]
        return np.append(own, peak(kl, gold))

    def theirs():
        found = peer.measure_frontier(proxy, true, floor=FLOOR, resamples=PEAKS, seed=0)
        own = [found.kl_max, found.peak_gold]
        return np.concatenate([own, found.peak_kl_ci, found.peak_gold_ci])

    return compared(ours, plain, theirs if peer else None, proxy)


def compared(ours, plain, theirs, proxy, scale=1.0) -> list[str]:
    """Cells: three CPU times, two ratios, one sort, and how far results differ.

    scale: how much longer the whole of what `theirs` computes in part would take.
    """
    wanted, seconds = cpu(ours)
    figures, numpy_seconds = cpu(plain)
    _, sort = cpu(lambda: np.sort(proxy))
    difference, peer_cells = np.abs(wanted - figures).max(), ["", ""]
    if theirs:
        figures, peer_seconds = cpu(theirs)
        difference = max(difference, np.abs(wanted[: len(figures)] - figures).max())
        peer_seconds *= scale
        peer_cells = [f"{peer_seconds:.2f}", f"{peer_seconds / seconds:.0f}"]
    return [
        peer_cells[0], f"{numpy_seconds:.3f}", f"{seconds:.4f}", peer_cells[1],
        f"{numpy_seconds / seconds:.1f}", f"{sort:.6f}", f"{difference:.0e}",
    ]  # fmt: skip


def cpu(function: Callable):
    """Result and CPU seconds of the fastest of ten runs, or of as many as take 2 s."""
    fastest, begun = np.inf, time.process_time()
    for _ in range(10):
        started = time.process_time()
        result = function()
        fastest = min(fastest, time.process_time() - started)
        if time.process_time() - begun > 2:
            break
    return result, fastest


def difficulty():
    """Compare pooled and per-prompt best of 16 where prompts differ in difficulty.

    proxy = D + e and true = D - 0.8 e, e ~ N(0, 1.06^2) and D the quantiles of
    N(0, 1.86^2), one a prompt. With m the mean of the largest of 16 normals, 1.766, a
    prompt's gain is -0.8 m sd(e); pooled, the regression of the true value on a
    proxy of variance V = 1.86^2 + 1.06^2 gives m (1.86^2 - 0.8 1.06^2) / sqrt(V).
    """
    rng, largest = np.random.default_rng(0), 1.7659913931
    prompt, hard, spread = np.repeat(np.arange(200), 64), 1.86, 1.06
    place = (np.arange(200) + 0.5) / 200
    level = hard * np.array([NormalDist().inv_cdf(p) for p in place])[prompt]
    effort = spread * rng.normal(size=len(prompt))
    proxy, true = level + effort, level - 0.8 * effort
    ranking = ranking_within(proxy, true, prompt)
    pooled = best_of_n_curve(proxy, true, n=[1, 16])
    curve = best_of_n_curve(proxy, true, prompt, n=[1, 16])
    gain = curve.true_by_group[:, 1] - curve.true_by_group[:, 0]
    error = 1.972 * gain.std(ddof=1) / np.sqrt(200)  # Student's t, 199 degrees
    yield (
        "pooled", f"{pooled.true[1] - pooled.true[0]:+.2f}", "",
        f"{largest * (hard**2 - 0.8 * spread**2) / np.hypot(hard, spread):+.2f}",
        f"{ranking.pooled_concordance:.2f}",
    )  # fmt: skip
    yield (
        "per prompt", f"{gain.mean():+.2f}",
        f"[{gain.mean() - error:+.2f}, {gain.mean() + error:+.2f}]",
        f"{-0.8 * largest * spread:+.2f}", f"{ranking.concordance.mean:.2f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
