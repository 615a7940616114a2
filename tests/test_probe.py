"""Probes of proxies: against closed forms, and on networks with planted defects."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attacks
from robust import PerSeed, Target, bind, box, gaussian, product, run, tokens
from robust.canary import canary
from robust.measure import diagnosis
from robust.measure.diagnosis import Status
from robust.probe import probe

pytestmark = pytest.mark.usefixtures("compiled_quickly")

NETS, DIM = 16, 16
WALL = 1.7  # of the box: about unit deviation
KEY = jax.random.key(0)
NOISE = np.random.default_rng(0)


class Fitted(NamedTuple):
    """A network, and mean, deviation and fifth percentile of its scores."""

    layers: list
    mean: jax.Array
    std: jax.Array
    low: jax.Array


def forward(layers, x):
    *hidden, (w, b) = layers
    for v, c in hidden:
        x = jax.nn.relu(x @ v + c[None])
    return (x @ w + b[None])[:, 0]


def fit(key):
    """Fit a network of two hidden layers to tanh + sin + square of three directions."""
    key_truth, key_x, *keys = jax.random.split(key, 5)
    ways = jax.random.normal(key_truth, (3, DIM)) / 4
    x = jax.random.uniform(key_x, (512, DIM), minval=-WALL, maxval=WALL)
    y = jnp.tanh(x @ ways[0]) + jnp.sin(x @ ways[1]) + 0.3 * (x @ ways[2]) ** 2
    sizes = [(DIM, 32), (32, 32), (32, 1)]
    layers = [
        (jax.random.normal(k, s) * jnp.sqrt(2 / s[0]), jnp.zeros(s[1]))
        for k, s in zip(keys, sizes, strict=True)
    ]

    def loss(layers):
        return ((forward(layers, x) - y) ** 2).mean()

    def step(carry, _):
        layers, speed = carry
        speed = jax.tree.map(
            lambda v, g: 0.9 * v - 0.01 * g, speed, jax.grad(loss)(layers)
        )
        return (jax.tree.map(jnp.add, layers, speed), speed), None

    start = (layers, jax.tree.map(jnp.zeros_like, layers))
    (layers, _), _ = jax.lax.scan(step, start, length=300)
    scores = forward(layers, x)
    return Fitted(layers, scores.mean(), scores.std(), jnp.quantile(scores, 0.2))


def healthy(net, x):
    return forward(net.layers, x)


def quantized(net, x):
    return forward(net.layers, jnp.round(4 * x) / 4)


def shattered(net, x):
    return forward(net.layers, x) + 0.05 * net.std * jnp.sin(500 * x).sum(axis=1)


def half_stopped(net, x):
    open_, shut = jnp.split(x, 2, axis=1)
    shut = jax.lax.stop_gradient(shut)
    return forward(net.layers, jnp.concatenate([open_, shut], axis=1))


def saturated(net, x):
    return jax.nn.sigmoid(300 * (forward(net.layers, x) - net.mean) / net.std)


def clipped(net, x):
    return jnp.maximum(forward(net.layers, x), net.low)


def noisy(net, x):
    def draw(x):
        return NOISE.standard_normal(x.shape).astype(np.float32)

    struct = jax.ShapeDtypeStruct((len(x),), x.dtype)
    x_still = jax.lax.stop_gradient(x)
    noise = jax.pure_callback(draw, struct, x_still[:, 0], vmap_method="broadcast_all")
    return forward(net.layers, x) + 0.01 * net.std * noise


def aim(net, *, proxy) -> Target:
    return Target(bind(proxy, net), box(DIM, -WALL, WALL))


@pytest.fixture(scope="module")
def networks():
    return jax.jit(jax.vmap(fit))(jax.random.split(KEY, NETS))


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(0)
    return rng.uniform(-WALL, WALL, (NETS, 1024, DIM)).astype(np.float32)


def aimed(networks, proxy):
    return PerSeed(bind(aim, proxy=proxy), networks)


def ascend(networks, proxy, rate=0.05, steps=100):
    """Gradient ascent on every network, and the deviation of its scores."""
    attack = attacks.gradient_ascent(rate, steps=steps)
    trace = run(attack, aimed(networks, proxy), KEY, seeds=NETS, slots=64)
    return trace, np.maximum(trace.proxy[:, 0].std(axis=1), 1e-30)


def again(networks, proxy, trace, draws):
    target = aimed(networks, proxy)
    return probe(target, KEY, draws, [trace], seeds=NETS).rescored[0]


def statuses(make, *per_net):
    """The outcome of a check on each network alone."""
    return [make(*(a[[i]] for a in per_net)).status for i in range(NETS)]


def slope_checks(networks, proxy, draws):
    """Outcomes of the two checks that compare slopes, per network."""
    s, _ = probe(aimed(networks, proxy), KEY, draws, [], seeds=NETS)

    def masked(change, silent, zero, std):
        return diagnosis.masked(change, silent, zero, s.leaves, std)

    std = np.asarray(networks.std)
    agree = statuses(diagnosis.slope_agreement, s.predicted, s.measured)
    return agree, statuses(masked, s.change, s.silent, s.zero, std)


def at_least(share, found, status):
    """Whether a share may hold: at most 4 binomial standard errors below it."""
    error = np.sqrt(share * (1 - share) / len(found))
    return np.mean([f is status for f in found]) >= share - 4 * error


def test_slopes_of_healthy_networks_agree(networks, draws):
    """No false alarm in 16 networks: below .17 each at 95 % (1 - .05^(1/16))."""
    agree, masked = slope_checks(networks, healthy, draws)
    assert {*agree, *masked} == {Status.OK}


@pytest.mark.parametrize(
    ("proxy", "blind"),
    [(quantized, Status.FAIL), (half_stopped, Status.FAIL), (shattered, Status.OK)],
)
def test_masked_gradients_are_found(networks, draws, proxy, blind):
    """Fails in at least .9 of the networks, within 4 sqrt(.9 .1 / 16)."""
    agree, masked = slope_checks(networks, proxy, draws)
    bad = [Status.OK if s is Status.OK else Status.FAIL for s in agree]
    assert at_least(0.9, bad, Status.FAIL)
    assert at_least(0.9, masked, blind)


@pytest.mark.parametrize(
    ("proxy", "status"),
    [(healthy, Status.OK), (saturated, Status.FAIL), (clipped, Status.FAIL)],
)
def test_stuck_slots_are_counted(networks, proxy, status):
    """In at least .9 of the networks, within 4 sqrt(.9 .1 / 16)."""
    trace, std = ascend(networks, proxy)

    def stuck(start, end, std):
        return diagnosis.stuck(start, end, std, claims_kl=False)

    found = statuses(stuck, trace.proxy[:, 0], trace.proxy[:, -1], std)
    assert at_least(0.9, found, status)


@pytest.mark.parametrize(
    ("proxy", "status"), [(healthy, Status.OK), (shattered, Status.WARN)]
)
def test_shattered_slopes_shake_the_climb_and_its_winners(
    networks, draws, proxy, status
):
    """In at least .9 of the networks, within 4 sqrt(.9 .1 / 16)."""
    trace, std = ascend(networks, proxy)
    found = again(networks, proxy, trace, draws)

    def unstable(near, fresh, start, std):
        gain = (fresh.mean(axis=1) - start.mean(axis=1)) / std
        return diagnosis.unstable(near.swapaxes(0, 1), fresh, gain, std)

    def oscillation(proxy):
        return diagnosis.oscillation(proxy, claims_kl=False)

    near, fresh = found.near.swapaxes(0, 1), found.repeats[0]
    shaken = statuses(unstable, near, fresh, trace.proxy[:, 0], std)
    assert at_least(0.9, shaken, status)
    assert at_least(0.9, statuses(oscillation, trace.proxy), status)


def test_winners_of_healthy_networks_keep_their_scores(networks, draws):
    trace, std = ascend(networks, healthy)
    found = again(networks, healthy, trace, draws)
    fresh = found.repeats[0]
    assert diagnosis.repeatable(found.repeats, std).value == 0
    assert diagnosis.rescored(found.recorded, fresh, std).value < 1e-5
    variants = [found.precise, found.alone, found.eager[None]]
    floor = diagnosis.numeric_floor(fresh, variants, np.ones(NETS), std)
    assert floor.value < 1e-5
    assert diagnosis.legal(found.illegal).status is Status.OK
    changed = diagnosis.rescored(found.recorded + 0.01 * std[:, None], fresh, std)
    assert changed.status is Status.FAIL


def test_a_random_proxy_is_found(networks, draws):
    """Noise of .01 sd: five normal draws range over 2.326 (Tippett 1925).

    Their range deviates by .864: 5 standard errors of the mean over candidates.
    """
    trace, std = ascend(networks, noisy, steps=1)
    found = again(networks, noisy, trace, draws)
    assert diagnosis.repeatable(found.repeats, std).status is Status.FAIL
    assert diagnosis.rescored(found.recorded, found.repeats[0], std).value > 0.01
    scale = np.asarray(networks.std)[:, None] * 0.01
    ranges = np.ptp(found.repeats, axis=0) / scale
    assert abs(ranges.mean() - 2.326) < 5 * 0.864 / np.sqrt(ranges.size)


def test_canaries_separate_good_attacks_from_bad(networks):
    """Healthy reaches .9; shattered slopes and too short a climb do not."""
    good = attacks.gradient_ascent(0.05, steps=200)
    one = jax.tree.map(lambda leaf: leaf[0], networks)
    for attack, proxy, status in (
        (good, healthy, Status.OK),
        (good, shattered, Status.FAIL),
        (attacks.gradient_ascent(0.05, steps=5), healthy, Status.FAIL),
        (attacks.gradient_ascent(0.001, steps=200), healthy, Status.FAIL),
    ):
        share = canary(attack, aim(one, proxy=proxy), KEY)
        assert share.shape == (4,)
        assert diagnosis.planted_optimum(share).status is status
    with pytest.raises(ValueError, match="not all floats"):
        canary(good, Target(lambda x: x.sum(axis=1) * 1.0, tokens(3, 4)), KEY)


def climb(target, **options):
    attack = attacks.gradient_ascent(0.01, steps=2)
    return run(attack, target, KEY, seeds=2, slots=8, **options)


def test_slopes_of_a_parabola_are_exact():
    """Central differences of a quadratic are exact: g (x+ - x-).

    The gradient ignores one coordinate, and so does the score: that is not masked.
    """
    target = Target(lambda x: -(x[:, :3] ** 2).sum(axis=1), gaussian(4, std=2.0))
    draws = np.random.default_rng(0).normal(0, 2, (2, 1024, 4)).astype(np.float32)
    slopes, _ = probe(target, KEY, draws, [], seeds=2)
    np.testing.assert_allclose(slopes.predicted, slopes.measured, atol=1e-4)
    assert slopes.predicted.shape == (2, 16, 3, 64)
    # A step of .2 sd to both sides along a coordinate changes -x^2 by .4 sd 2 |x|.
    wanted = 0.4 * draws.std(axis=1)[:, None] * 2 * np.abs(draws[:, :64])
    order = [3, 0, 1, 2]  # the silent one first
    np.testing.assert_allclose(
        np.abs(slopes.change[:, 1:]),
        np.moveaxis(wanted * [1, 1, 1, 0], 1, 2)[:, order], atol=1e-4,
    )  # fmt: skip
    assert slopes.silent.tolist() == [[False, True, False, False, False]] * 2
    np.testing.assert_allclose(slopes.zero, 0.25)
    args = slopes.change, slopes.silent, slopes.zero, slopes.leaves
    assert diagnosis.masked(*args, np.ones(2)).status is Status.OK


@pytest.mark.parametrize("rise", [jnp.abs, jnp.sqrt])
def test_dead_points_are_counted(rise):
    """Below zero the gradient of |max(x, 0)| is 0, that of sqrt(max(x, 0)) nan."""
    target = Target(lambda x: rise(jnp.maximum(x[:, 0], 0.0)), gaussian(2))
    draws = np.random.default_rng(0).normal(size=(2, 64, 2)).astype(np.float32)
    slopes, _ = probe(target, KEY, draws, [], seeds=2)
    np.testing.assert_allclose(slopes.dead, (draws[:, :, 0] < 0).mean(axis=1))


def test_steps_stay_legal():
    """Beyond its box this proxy is not a number; slopes at the walls are one-sided."""

    def proxy(x):
        return jnp.where((x > 1) | (x < 0), jnp.nan, x).sum(axis=1)

    walls = np.random.default_rng(0).integers(0, 2, (2, 64, 3)).astype(np.float32)
    target = Target(proxy, box(3))
    slopes, (again,) = probe(target, KEY, walls, [climb(target)], seeds=2)
    np.testing.assert_allclose(slopes.predicted, slopes.measured, atol=1e-6)
    assert np.isfinite(slopes.change).all()
    assert np.isfinite(again.near).all()


def test_a_stopped_leaf_is_masked():
    def proxy(x):
        return x["a"].sum(axis=1) + jax.lax.stop_gradient(x["b"]) ** 2

    base = product(a=gaussian(3), b=gaussian(()))
    target = Target(proxy, base)
    trace = climb(target)
    draws = jax.tree.map(lambda leaf: leaf[:, 0], trace.x)
    slopes, _ = probe(target, KEY, draws, [trace], seeds=2)
    assert slopes.leaves == 2
    assert slopes.silent[:, :2].tolist() == [[False, True]] * 2
    args = slopes.change, slopes.silent, slopes.zero, slopes.leaves
    found = diagnosis.masked(*args, np.ones(2))
    assert (found.status, found.value) == (Status.FAIL, 0.25)
    assert "1 of 2 parts" in found.message


def test_neighbours_lie_as_far_as_said():
    """A linear proxy moves by .01 |w sd|: variance within 5 standard errors.

    Both neighbours of a pair, and all candidates, share an offset: 8 independent
    squares per row, each of relative variance 2.
    """
    rows, weights, std = 64, np.array([1.0, -2.0, 0.5]), np.array([1.0, 0.1, 3.0])
    target = Target(lambda x: x @ jnp.asarray(weights, float), gaussian(3, std=std))
    attack = attacks.best_of_n(2)
    trace = run(attack, target, KEY, seeds=rows, slots=4)
    draws = np.random.default_rng(1).normal(0, std, (rows, 2048, 3)).astype(np.float32)
    _, (again,) = probe(target, KEY, draws, [trace], seeds=rows)
    assert again.near.shape == (16, rows, 4)
    moved = ((again.near - again.repeats[0]) ** 2).mean()
    wanted = (0.01**2) * (weights**2 * std**2).sum()
    assert abs(moved / wanted - 1) < 5 * np.sqrt(2 / (8 * rows))


def test_progress_is_told_of_every_step():
    """16 x 3 walks, one leaf and three features, then 5 + 1 + 8 calls of a trace."""
    target = Target(lambda x: x.sum(axis=1), gaussian(3))
    trace = run(attacks.best_of_n(2), target, KEY, seeds=2, slots=4)
    draws, said = np.zeros((2, 8, 3), np.float32), []
    probe(target, KEY, draws, [trace], seeds=2, on_step=said.append)
    np.testing.assert_allclose(said, np.arange(1, 67) / 66)


def test_illegal_winners_are_measured_in_base_deviations():
    target = Target(lambda x: x.sum(axis=1), box(2))
    trace = climb(target)
    moved = trace._replace(x=trace.x.copy())
    moved.x[0, -1, 3, 1] = 1.5
    draws = np.random.default_rng(0).random((2, 64, 2), np.float32)
    _, (found,) = probe(target, KEY, draws, [moved], seeds=2)
    wanted = np.zeros((2, 8))
    wanted[0, 3] = 0.5 / draws[0, :, 1].std()
    np.testing.assert_allclose(found.illegal, wanted, rtol=1e-5)
    legal = diagnosis.legal(found.illegal)
    assert (legal.status, legal.value) == (Status.FAIL, 1 / 16)


def test_tokens_have_neither_slopes_nor_neighbours():
    target = Target(lambda x: x.sum(axis=1) * 1.0, tokens(3, 4))
    trace = run(attacks.best_of_n(4), target, KEY, seeds=2, slots=8)
    slopes, (again,) = probe(target, KEY, trace.x[:, 0], [trace], seeds=2)
    assert slopes is None
    assert again.near is None
    assert not again.illegal.any()
    np.testing.assert_array_equal(again.recorded, trace.x[:, -1].sum(axis=2))


def test_each_prompt_has_its_own_proxy():
    def aimed(context):
        return Target(lambda x: -((x - context) ** 2).sum(axis=1), gaussian(2))

    prompts = jnp.array([-1.0, 1.0, 3.0])
    trace = climb(aimed, context=prompts)
    draws = trace.x[:, 0]
    slopes, (again,) = probe(aimed, KEY, draws, [trace], seeds=2, context=prompts)
    np.testing.assert_allclose(slopes.predicted, slopes.measured, atol=1e-4)
    x, place = trace.x[:, -1], np.repeat([-1.0, 1.0, 3.0], 2)[:, None, None]
    np.testing.assert_allclose(again.repeats[0], -((x - place) ** 2).sum(2), rtol=1e-4)


def test_a_proxy_of_the_whole_batch_differs_alone():
    target = Target(lambda x: x.sum(axis=1) - x.mean(), gaussian(2))
    trace = climb(target)
    _, (again,) = probe(target, KEY, trace.x[:, 0], [trace], seeds=2)
    fresh, x = again.repeats[0], trace.x[:, -1]
    np.testing.assert_allclose(again.alone, x.sum(2) - x.mean(2), atol=1e-5)
    floor = diagnosis.numeric_floor(fresh, [again.alone], np.ones(2), np.ones(2))
    assert floor.status is Status.FAIL


def test_a_failing_proxy_is_named():
    def proxy(x):
        if len(x) < 8:
            raise RuntimeError("at least eight")
        return x.sum(axis=1)

    target = Target(proxy, gaussian(2))
    with pytest.raises(ValueError, match=r"proxy failed.*eight"):
        probe(target, KEY, np.zeros((2, 8, 2), np.float32), [], seeds=2)
    trace = climb(Target(lambda x: x.sum(axis=1), gaussian(2)))
    with pytest.raises(ValueError, match=r"the proxy failed.*at test_probe.py"):
        probe(target, KEY, trace.x[:, 0], [trace], seeds=2)
