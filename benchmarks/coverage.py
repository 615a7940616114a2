"""Measure how often intervals over prompts hold the truth, on simulated score banks.

Run: python -m benchmarks.coverage [--banks 2000]
"""

import argparse
from collections.abc import Iterator

import jax
import numpy as np

from robust import best_of_n_curve, bootstrap

ANSWERS, BEST_OF = 40, 4  # n at a tenth of the answers
EXPECTED_BEST = 1.0293753730  # of four standard normals
SLOPE = 0.7

# How prompts differ in what an answer is worth; the mean of each is 1.
DIFFICULTY = {
    "normal": lambda rng, shape: rng.normal(1.0, 1.0, shape),
    "exponential (skewness 2)": lambda rng, shape: rng.exponential(1.0, shape),
    "lognormal (skewness 6.2)": lambda rng, shape: rng.lognormal(-0.5, 1.0, shape),
}


def main() -> None:
    """Print the coverage of 95 % intervals by kind of value and number of prompts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--banks", type=int, default=2000)
    banks = parser.parse_args().banks
    error = np.sqrt(0.05 * 0.95 / banks)
    print(
        f"Share of {banks} banks whose 95 % interval of the true value under best-of-"
        f"{BEST_OF} holds it, {ANSWERS} answers to a prompt (standard error "
        f"{100 * error:.1f} %):\n\n"
        "| prompts differ by | prompts | Student's t (the tool's) | BCa |\n"
        "|---|---:|---:|---:|"
    )
    for kind in DIFFICULTY:
        for prompts in (8, 16, 30, 50, 100):
            t, bca = coverage(kind, prompts, banks)
            print(f"| {kind} | {prompts} | {t:.1%} | {bca:.1%} |", flush=True)


def coverage(kind: str, prompts: int, banks: int, seed: int = 0) -> tuple[float, float]:
    """Share of t and of BCa intervals that hold the true value under best-of-n."""
    truth = 1.0 + SLOPE * EXPECTED_BEST
    by_prompt, hits = [], 0
    for curve in curves(kind, prompts, banks, seed):
        hits += curve.true_low[0] <= truth <= curve.true_high[0]
        by_prompt.append(curve.true_by_group[:, 0])
    low, high = _bca(np.stack(by_prompt).astype(np.float32), jax.random.key(seed))
    return hits / banks, float(np.mean((low <= truth) & (truth <= high)))


def curves(kind: str, prompts: int, banks: int, seed: int) -> Iterator:
    """Draw banks and give the curve of each at the one n."""
    rng = np.random.default_rng([seed, prompts])
    group = np.repeat(np.arange(prompts), ANSWERS)
    for _ in range(banks):
        difficulty = np.repeat(DIFFICULTY[kind](rng, prompts), ANSWERS)
        proxy = rng.normal(size=len(group))
        true = difficulty + SLOPE * proxy + rng.normal(size=len(group))
        yield best_of_n_curve(proxy + 3 * difficulty, true, group, n=BEST_OF)


@jax.jit
def _bca(by_prompt, key):
    def one(values):
        found = bootstrap.bca_interval(lambda v: v.mean(), values, key, resamples=1000)
        return found.low, found.high

    return jax.lax.map(one, by_prompt)


if __name__ == "__main__":
    main()
