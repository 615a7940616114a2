"""Langevin and Hamiltonian chains against closed forms of the tempered base."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attacks import langevin
from robust import NeedsError, Target, bind, box, gaussian, pool, product, run
from robust.measure.diagnosis import chains

STD = np.array([0.01, 1.0, 100.0])
MEAN = np.array([1.0, -2.0, 0.0])
SLOPE = np.array([2.0, -1.0, 0.5])  # of the proxy, per base deviation


def linear(slope, x):
    return (x * slope[None]).sum(axis=1)


def linear_in_tree(slope, x):
    return linear(slope, jnp.concatenate([x["a"], x["b"][:, None]], axis=1))


def push(proxy, base, *, steps, **options):
    return run(
        langevin(**options), Target(proxy, base), jax.random.key(0),
        steps=steps, seeds=16, slots=256, keep=256,
    )  # fmt: skip


def mean_error(values):
    """Mean over seeds and its standard error, sd / sqrt(seeds)."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))


@pytest.fixture(scope="module", params=[1, 4], ids=["mala", "hmc"])
def tilted(request):
    """A tree of very different units, with ten steps beyond the last tempering."""
    proxy = bind(linear_in_tree, jnp.asarray(SLOPE / STD))
    base = product(a=gaussian(2, MEAN[:2], STD[:2]), b=gaussian((), MEAN[2], STD[2]))
    return push(
        proxy, base, leapfrog=request.param, temperature=0.25,
        steps=[*range(1, 21), 30],
    )  # fmt: skip


def test_every_temperature_reaches_the_gaussian_tilt(tilted):
    """Mean score base mean + β |slope|^2 and variance |slope|^2, within 4.5 errors.

    The tilt of N(mean, std) by exp(β r) moves each coordinate by β slope std. Standard
    error: sd over seeds / sqrt(seeds); 22 checkpoints, two figures each.
    """
    square = (SLOPE**2).sum()
    beta = tilted.info["inverse_temperature"]
    scores = tilted.proxy.astype(float)
    moved = scores.mean(axis=2) - (SLOPE * MEAN / STD).sum() - beta * square
    for difference in (moved, scores.var(axis=2, ddof=1) - square):
        mean, error = mean_error(difference)
        assert np.all(np.abs(mean) <= 4.5 * error)
    assert np.all(beta[:, -1] * np.sqrt(square) > 3.2)


def test_step_size_adapts_then_freezes(tilted, request):
    """At its goal within .1 over the last temperings, and constant bits after them."""
    info = tilted.info
    goal = 0.574 if "mala" in request.node.name else 0.8
    acceptance = info["acceptance"].mean(axis=0)
    assert np.all(np.abs(acceptance[10:] - goal) < 0.1)
    np.testing.assert_array_equal(info["step_size"][:, -1], info["step_size"][:, -2])
    assert np.all(info["step_size"][:, 1] != info["step_size"][:, 2])
    assert np.all(info["divergences"][:, 5:] == 0)
    assert np.all(info["outside"] == 0)


def test_temperatures_fall_geometrically_in_deviations_of_the_proxy(tilted):
    beta = tilted.info["inverse_temperature"].astype(float)
    unit = tilted.proxy[:, 0].astype(float).std(axis=1)
    temperature = 1 / (beta[:, 1:21] * unit[:, None])
    want = np.geomspace(4, 0.25, 20)
    np.testing.assert_allclose(temperature, np.tile(want, (16, 1)), rtol=1e-4)
    np.testing.assert_array_equal(beta[:, -1], beta[:, -2])
    assert np.all(beta[:, 0] == 0)
    assert "kl" not in tilted.info


def test_walls_are_respected():
    """In a box each coordinate is a truncated exponential, within 4.5 errors.

    E x = 1 / (1 - e^-k) - 1 / k on [0, 1] with k = β slope. Standard error: sd over
    seeds / sqrt(seeds).
    """
    slope = np.array([3.0, -1.0, 0.0])
    trace = push(
        bind(linear, jnp.asarray(slope)), box(3), steps=[20, 60], temperature=0.3,
    )  # fmt: skip
    assert np.all((trace.x >= 0) & (trace.x <= 1))
    assert np.all(trace.info["outside"][:, 1:] > 0.05)
    k = trace.info["inverse_temperature"][:, -1, None].astype(float) * slope[:2]
    want = 1 / -np.expm1(-k) - 1 / k
    mean, error = mean_error(trace.x[:, -1, :, :2].mean(axis=1) - want)
    assert np.all(np.abs(mean) <= 4.5 * error)
    mean, error = mean_error(trace.x[:, -1, :, 2].mean(axis=1) - 0.5)
    assert abs(mean) <= 4.5 * error


def test_its_diagnosis_tells_chains_that_stand_still(tilted):
    """One move of adaptation a tempering cannot follow a cooling of 1e5 in two."""
    info = tilted.info
    assert chains(info["acceptance"], info["divergences"]).status.name == "OK"
    hurried = push(
        bind(linear, jnp.asarray(SLOPE)), gaussian(3), temperings=2, moves=2,
        temperature=1e-5, steps=[1, 2],
    )  # fmt: skip
    found = chains(hurried.info["acceptance"], hurried.info["divergences"])
    assert found.status.name == "WARN"


def cliff(x):
    """Undefined, with an undefined gradient, in half of the base's inputs."""
    return jnp.log(x[:, 0])


def test_what_is_undefined_is_left_and_never_entered():
    trace = push(cliff, gaussian(2), steps=[1, 5, 20], temperature=0.5)
    undefined = ~np.isfinite(trace.proxy)
    share = undefined.mean(axis=(0, 2))
    assert 0.4 < share[0] < 0.6
    assert np.all(np.diff(undefined.astype(int), axis=1) <= 0)
    assert share[-1] < 0.1
    assert np.isfinite(trace.x).all()


def test_integer_latents_are_refused():
    items = np.arange(5.0)
    with pytest.raises(NeedsError, match="latents, which are int32 here"):
        push(jnp.sin, pool(items), steps=[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature is 0\.0; give a number above zero"),
        ({"moves": 1}, r"got leapfrog=1, temperings=20, moves=1; give at least 1, 1"),
        ({"leapfrog": 0}, r"got leapfrog=0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        langevin(**options)
