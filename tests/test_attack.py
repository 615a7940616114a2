"""What an attack needs and a target lacks is said by name, before anything runs."""

import jax
import numpy as np
import pytest

from attacks import best_of_n, gradient_ascent, splitting
from robust import NeedsError, Target, box, run, tokens

KEY = jax.random.key(0)


def total(x):
    return x.sum(axis=1)


def count_zeros(x):
    return (x == 0).sum(axis=1).astype(float)


def on_host(x):
    shape = jax.ShapeDtypeStruct((len(x),), x.dtype)
    return jax.pure_callback(
        lambda x: np.asarray(x).sum(axis=1), shape, x, vmap_method="sequential"
    )


@pytest.mark.parametrize(
    ("attack", "target", "message"),
    [
        (
            gradient_ascent(), Target(count_zeros, tokens(3, 4)),
            "gradient_ascent needs 'continuous'.*not floats.*splitting or best_of_n",
        ),
        (
            splitting(), Target(total, box(3)._replace(move=None)),
            "splitting needs 'move'.*no move that leaves it invariant; use gradient",
        ),
        (
            splitting(), Target(on_host, box(3)._replace(move=None)),
            r"splitting needs 'move'.*; use best_of_n, or give Base\(move=...\)",
        ),
        (
            gradient_ascent(), Target(on_host, box(3)),
            "gradient_ascent needs 'gradient'.*not differentiable.*; use splitting or",
        ),
        (
            best_of_n()._replace(needs=frozenset({"luck"})), Target(total, box(3)),
            r"best_of_n needs \['luck'\]; needs are among gradient, continuous",
        ),
    ],
)  # fmt: skip
def test_needs_are_refused_by_name(attack, target, message):
    with pytest.raises(NeedsError, match=message):
        run(attack, target, KEY)


def test_the_alternative_runs_on_the_host():
    trace = run(best_of_n(), Target(on_host, box(3)), KEY, steps=[3], seeds=2, slots=8)
    np.testing.assert_allclose(trace.proxy, trace.x.sum(axis=-1), rtol=1e-6)


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        (lambda x: x[:, :1], r"shape \(2, 1\) for 2 candidates; .* shape \(2,\)"),
        (lambda x: x.sum(), r"shape \(\) for 2 candidates; return one score per"),
        (lambda x: (x[:, 0] > 0).astype(int), "returned int32 scores; return floats"),
    ],
)
def test_wrong_scores_are_refused(proxy, message):
    with pytest.raises(ValueError, match=message):
        run(best_of_n(), Target(proxy, box(3)), KEY)
