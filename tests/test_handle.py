"""A restricted attack moves its handle's features and no others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attacks
from robust import PerSeed, Target, bind, box, gaussian, run
from robust.handle import merged, restrict

HANDLE = jnp.array([True, False, True, False])


def quadratic(center, x):
    return -((x - center[None]) ** 2).sum(axis=1)


def of_prompt(prompt):
    return Target(bind(quadratic, prompt), gaussian(4))


CENTER = jnp.array([3.0, 3.0, -2.0, 1.0])
TARGETS = {
    "plain": (Target(bind(quadratic, CENTER), gaussian(4)), {}),
    "per seed": (PerSeed(of_prompt, jnp.stack([CENTER] * 3)), {}),
    "prompts": (of_prompt, {"context": jnp.stack([CENTER, CENTER])}),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_only_the_handle_reaches_its_optimum(kind):
    target, options = TARGETS[kind]
    climb = attacks.gradient_ascent(0.1, steps=100)
    trace = run(
        climb, restrict(target, HANDLE), jax.random.key(0),
        seeds=3, slots=16, keep=16, **options,
    )  # fmt: skip
    x = merged(trace.x, HANDLE)
    np.testing.assert_allclose(x[:, -1, :, ::2] - np.asarray(CENTER)[::2], 0, atol=0.05)
    np.testing.assert_array_equal(x[:, -1, :, 1::2], x[:, 0, :, 1::2])
    want = np.asarray(quadratic(CENTER, x.reshape(-1, 4)))
    np.testing.assert_allclose(trace.proxy.reshape(-1), want, rtol=1e-5, atol=1e-5)


def test_starts_are_those_of_the_whole_attack():
    target, climb = TARGETS["plain"][0], attacks.gradient_ascent(steps=2)
    options = {"seeds": 2, "slots": 8, "keep": 8}
    whole = run(climb, target, jax.random.key(1), **options)
    part = run(climb, restrict(target, HANDLE), jax.random.key(1), **options)
    np.testing.assert_array_equal(merged(part.x, HANDLE)[:, 0], whole.x[:, 0])


def test_inputs_stay_legal():
    target = Target(bind(quadratic, jnp.full(4, 9.0)), box(4))
    climb = attacks.gradient_ascent(0.5, steps=20)
    trace = run(climb, restrict(target, HANDLE), jax.random.key(2), seeds=2, slots=8)
    x = merged(trace.x, HANDLE)
    assert np.all((x >= 0) & (x <= 1))
    np.testing.assert_allclose(x[:, -1, :, ::2], 1)


def test_selection_is_refused():
    with pytest.raises(ValueError, match="splitting needs 'move'"):
        run(
            attacks.splitting(2),
            restrict(TARGETS["plain"][0], HANDLE),
            jax.random.key(0),
        )
