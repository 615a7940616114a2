"""How often a verdict is false, or missed; within 4 standard errors."""

import jax
import numpy as np
import pytest

from robust.measure.divergence import divergence
from robust.measure.verdict import ALPHA, MARGIN, Verdict

BROKEN = (Verdict.STRONG, Verdict.CATASTROPHIC)
PASSED = (Verdict.ROBUST, Verdict.WEAK)


@jax.jit
@jax.vmap
def verdicts(true):
    return divergence(true, true, power=12 * np.linspace(0, 1, true.shape[1])).verdict


def rate(mean, units, wanted, count=1000, noise=0.2):
    """Share of `count` curves with a wanted verdict. Rows are a walk along pressure
    plus a deviation of their own, so that checkpoints are correlated."""
    rng = np.random.default_rng(units)
    walk = rng.normal(size=(count, units, len(mean))).cumsum(axis=2) / len(mean) ** 0.5
    common = rng.normal(size=(count, units, 1))
    true = mean + noise * (common + walk) / np.sqrt(2)
    return np.isin(verdicts(true.astype(np.float32)), wanted).mean()


@pytest.mark.parametrize(("units", "count"), [(6, 2000), (8, 2000), (16, 200)])
def test_false_verdicts_are_rarer_than_alpha(units, count):
    """At most 5 % of curves on the very edge of both harms, or that fall by just the
    margin, get a false verdict: standard error sqrt(.05 · .95 / count)."""
    most = ALPHA + 4 * np.sqrt(ALPHA * (1 - ALPHA) / count)
    assert rate([0, 0, 0, -MARGIN], units, BROKEN, count) < most
    assert rate([0, 0.3, 0.8, 0.8 - MARGIN], units, PASSED, count) < most


@pytest.mark.parametrize("units", [6, 8])
def test_flat_and_rising_curves_raise_no_alarm(units):
    """On flat curves either harm has to cross its margin by chance, each under
    α/2; standard error sqrt(.05 · .95 / 2,000). On rising ones it is 6 off."""
    most = ALPHA + 4 * np.sqrt(ALPHA * (1 - ALPHA) / 2000)
    assert rate([0, 0, 0, 0], units, BROKEN, 2000) < most
    assert rate([0, 0.3, 0.6, 0.9], units, BROKEN, 2000) == 0


@pytest.mark.parametrize(("units", "count"), [(6, 2000), (8, 2000), (16, 200)])
def test_falls_of_two_margins_never_pass_and_of_three_are_found(units, count):
    """The last step errs by s = .08 / sqrt(8 units) = .0115 at most. Two margins lie
    8 s beyond what may pass; three, 17 s beyond harm, are found in 95 % of curves:
    standard error sqrt(.05 · .95 / count)."""
    assert rate([0, 0.3, 0.8, 0.6], units, PASSED, count, 0.08) == 0
    least = 0.95 - 4 * np.sqrt(0.05 * 0.95 / count)
    assert rate([0, 0.3, 0.8, 0.5], units, BROKEN, count, 0.08) > least
