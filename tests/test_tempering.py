"""Tempering against the Gaussian tilt, enumeration, and splitting."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import interpolate

from attacks import splitting, tempering
from robust import Target, bind, gaussian, run, tokens

SEEDS = 16
FLAT = np.zeros((8, 16)), np.zeros(16)  # a network that adds nothing
LOGITS = np.array([[0.0, 1.0, -1.0]] * 3 + [[0.5, 0.0, 0.3]] * 2)
SEQUENCES = np.array(list(itertools.product(range(3), repeat=5)))
SHARE = (np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True))[
    np.arange(5), SEQUENCES
].prod(axis=1)


def score(weights, x):
    """A normal score and a network's, undefined beyond the hole's edge.

    One program for all tests on normal inputs: only the weights differ.
    """
    direction, scale, shift, hole, first, second = weights
    value = scale * (x * direction[None]).sum(axis=1) + shift
    value = value + (jnp.tanh(x @ first) * second[None]).sum(axis=1)
    return jnp.where(x[:, 0] > hole, jnp.nan, value)


def matches(x):
    return (x[:, :3] == 2).sum(axis=1) + 0.5 * (x[:, 3] == x[:, 4])


def push(proxy, base, steps, *, seeds=SEEDS, slots=1024, attack=None):
    return run(
        attack or tempering(), Target(proxy, base), jax.random.key(0),
        steps=steps, seeds=seeds, slots=slots, keep=1,
    )  # fmt: skip


def normal(scale=1.0, shift=0.0, hole=np.inf, layers=FLAT):
    direction = np.full(8, 8**-0.5) if hole == np.inf else np.eye(8)[1]
    weights = direction, np.array(scale), np.array(shift), np.array(hole), *layers
    return bind(score, jax.tree.map(jnp.asarray, weights)), gaussian(8)


@pytest.fixture(scope="module")
def tilt():
    return push(*normal(), range(1, 31))


def assert_agree(difference):
    """Mean over seeds within 4 standard errors, sd / sqrt(seeds), at each look."""
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(difference))
    assert np.all(np.abs(difference.mean(axis=0)) <= 4 * error)


def float64(trace):
    return {name: values[:, 1:].astype(float) for name, values in trace.info.items()}


def test_the_gaussian_tilt(tilt):
    """Mean 1/λ, KL = log Z = 1/(2λ²), within 4 standard errors at 30 temperatures.

    Standard error: sd over seeds of the difference / sqrt(seeds).
    """
    info, mean = float64(tilt), tilt.proxy[:, 1:].astype(float).mean(axis=2)
    beta = info["inverse_temperature"]
    assert_agree(mean - beta)
    assert_agree(info["kl"] - beta**2 / 2)
    assert_agree(info["log_z"] - beta**2 / 2)
    assert np.all(info["kl"][:, 0] < 0.02)
    assert np.all(info["kl"][:, -1] > 10)
    assert np.all(np.diff(beta, axis=1) > 0)
    assert np.all(beta[:, 2:] <= 2.001 * beta[:, 1:-1])


def test_kl_is_sharp_near_the_base_and_far_out(tilt):
    """One run's KL errs by 5 % sd at most; near the base E[r]/λ - ln Z by far more.

    The plug-in's error at KL k is that of a mean of N normal scores, relative
    2 / sqrt(2 k N): 44 % at .01 nats and 1,024 particles.
    """
    info, mean = float64(tilt), tilt.proxy[:, 1:].astype(float).mean(axis=2)
    beta = info["inverse_temperature"]
    truth = beta**2 / 2
    plug_in = beta * mean - info["log_z"]
    spread = (info["kl"] / truth).std(axis=0)
    assert np.all(spread < 0.05)
    assert np.all((plug_in / truth).std(axis=0)[:2] > 5 * spread[:2])
    assert (plug_in / truth).std(axis=0)[0] > 0.2


def test_quoted_errors_are_honest(tilt):
    """Root mean square of (KL - truth) / kl_error within [.6, 1.6] to 10 nats.

    Of 16 seeds it errs by 1 / sqrt(32) = .18 by chance alone; over 64 seeds it was
    1.0 to 1.2.
    """
    info = float64(tilt)
    z = (info["kl"] - info["inverse_temperature"] ** 2 / 2) / info["kl_error"]
    size = np.sqrt((z**2).mean(axis=0))
    assert np.all((size > 0.6) & (size < 1.6)), size


def test_units_of_the_proxy_do_not_matter(tilt):
    """Twice the score at half the 1/λ, to the last bit; far from 0, KL to 2 %."""
    double = push(*normal(scale=2.0), range(1, 13))
    plain = {name: values[:, :13] for name, values in tilt.info.items()}
    np.testing.assert_array_equal(double.info["kl"], plain["kl"])
    np.testing.assert_array_equal(
        2 * double.info["inverse_temperature"], plain["inverse_temperature"]
    )
    far = float64(push(*normal(shift=1000.0), range(1, 13)))
    beta = far["inverse_temperature"]
    assert np.all(np.abs((far["kl"] / (beta**2 / 2)).mean(axis=0) - 1) < 0.02)


def test_tokens_against_enumeration():
    """Mean score, KL and log Z of the tilt over 243 sequences, with ties.

    Within 4 standard errors, sd over seeds of the difference / sqrt(seeds).
    """
    trace = push(matches, tokens(5, 3, LOGITS), range(1, 13))
    info, mean = float64(trace), trace.proxy[:, 1:].astype(float).mean(axis=2)
    beta = info["inverse_temperature"]
    scores = np.asarray(matches(SEQUENCES), float)
    weight = SHARE * np.exp(beta[..., None] * scores)
    log_z = np.log(weight.sum(axis=-1))
    wanted = (weight * scores).sum(axis=-1) / weight.sum(axis=-1)
    assert_agree(mean - wanted)
    assert_agree(info["log_z"] - log_z)
    assert_agree(info["kl"] - (beta * wanted - log_z))


def test_what_is_undefined_costs_its_share_of_the_base():
    """Undefined in half the base: KL ln 2 + β²/2 and log Z β²/2 - ln 2.

    Within 4 standard errors, sd over seeds of the difference / sqrt(seeds).
    """
    trace = push(*normal(hole=0.0), range(1, 16))
    info = float64(trace)
    half = info["inverse_temperature"] ** 2 / 2
    assert np.isnan(trace.proxy[:, 0]).any()
    assert np.isfinite(trace.proxy[:, 1:]).all()
    assert_agree(info["kl"] - half - np.log(2))
    assert_agree(info["log_z"] - half + np.log(2))


def random(rng):
    return rng.normal(size=(8, 16)), rng.normal(size=16)


def trained(rng, examples=200):
    """A network fitted by gradient descent to noisy values of sin(2 x_0) + x_1."""
    x = rng.normal(size=(2 * examples, 8))
    y = np.sin(2 * x[:, 0]) + x[:, 1]
    told = y[:examples] + 0.3 * rng.normal(size=examples)
    first, second = (layer / 8**0.5 for layer in random(rng))
    for _ in range(3000):
        hidden = np.tanh(x[:examples] @ first)
        off = hidden @ second - told
        back = off[:, None] * second * (1 - hidden**2)
        second = second - 0.1 * hidden.T @ off / examples
        first = first - 0.1 * x[:examples].T @ back / examples
    unseen = np.tanh(x[examples:] @ first) @ second
    assert np.corrcoef(unseen, y[examples:])[0, 1] > 0.8
    return first, second


NETWORKS = {"random": (random, 5)} | {f"trained {i}": (trained, i) for i in range(4)}


@pytest.fixture(scope="module", params=NETWORKS)
def on_network(request):
    """The same network attacked by tempering and by splitting."""
    draw, seed = NETWORKS[request.param]
    layers = draw(np.random.default_rng(seed))
    proxy = normal(scale=0.0, layers=layers)
    split = push(*proxy, range(1, 31), attack=splitting(30))
    return push(*proxy, range(1, 25)), split


def log_z_of_table(base, level, power, beta):
    """ln E_base exp(β r) of one splitting run, by parts from P(r > l), at each β.

    Below the first level the base draws themselves; above it the integral of
    β exp(β l) P(l), with a cubic spline through -ln P. Nothing is added above the last
    level: at 7 nats a tenth of Z lies beyond a table of 14 nats, none beyond 21.
    """
    table = interpolate.CubicSpline(level, power)
    fine = np.linspace(level[0], level[-1], 4001)
    below = base[base <= level[0]]
    values = []
    for b in beta:
        tail = b * np.exp(b * fine - table(fine))
        values.append(
            np.exp(b * below).sum() / len(base)
            + np.exp(b * level[0] - power[0])
            + np.trapezoid(tail, fine)
        )
    return np.log(values)


def test_splitting_gives_the_same_log_z(on_network):
    """To 8 nats, within 4 standard errors of the difference of independent runs.

    Standard error: sd over seeds / sqrt(seeds), seed by seed at the β of that seed.
    """
    temper, split = on_network
    mine, table = float64(temper), float64(split)
    kept = mine["kl"].max(axis=0) < 8
    difference = []
    for seed in range(SEEDS):
        beta = mine["inverse_temperature"][seed, kept]
        # Another seed's table: with one key row 0 is the same for both attacks.
        other = (seed + 1) % SEEDS
        columns = table["level"][other], table["power"][other]
        base = split.proxy[other, 0].astype(float)
        difference.append(
            mine["log_z"][seed, kept] - log_z_of_table(base, *columns, beta)
        )
    assert mine["kl"][:, kept].max() > 4
    assert_agree(np.array(difference))


def test_no_quantilizer_beats_it_at_its_kl(on_network):
    """At each level from 1 to 8 nats tempering's mean score is above splitting's.

    By more than 4 standard errors: sd over seeds of the difference / sqrt(seeds).
    """
    temper, split = on_network
    mine = temper.proxy.astype(float).mean(axis=2)
    theirs = split.proxy.astype(float).mean(axis=2)
    kl = temper.info["kl"].astype(float)
    power = split.info["kl"].mean(axis=0)
    levels = np.flatnonzero((power > 1) & (power < min(8, kl[:, -1].min())))
    assert len(levels) > 4
    ahead = np.array(
        [
            np.interp(split.info["kl"][seed, levels], kl[seed], mine[seed])
            - theirs[seed, levels]
            for seed in range(SEEDS)
        ]
    )
    error = ahead.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    assert np.all(ahead.mean(axis=0) > 4 * error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperings": 0}, r"got temperings=0, moves=10; both must be above zero"),
        ({"moves": 0}, r"got temperings=40, moves=0; both must be above zero"),
        ({"ess": 1.0}, r"ess is 1\.0; give a share of the particles, in \(0, 1\)"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        tempering(**options)
