"""Bases against closed forms and enumeration."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from robust import Policy, bind, box, gaussian, latent, pool, product, tokens, tunable
from robust.target import as_pytree

NUM = 40_000
LOGITS = np.array([[0.0, 1.0, -1.0, 0.5], [0.3, 0.0, 0.0, -2.0], [1.0, 0, 2, -1]])
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
CODE = np.array([16, 4, 1])  # numbers the sequences of 3 tokens
LOW, HIGH = np.array([-1.0, 0.0]), np.array([1.0, 3.0])
LEGAL = {"box": (LOW, HIGH), "tokens": (0, 3), "latent": (-1, 1)}


def generate(weights, z):
    return jnp.tanh(z @ weights)


def draw_circle(length, key, num):
    return length * jax.random.uniform(key, (num, 1))


def density_on_circle(length, z):
    return jnp.full(len(z), -jnp.log(length))


def turn(key, z, scale):
    return (z + scale * jax.random.uniform(key, z.shape, minval=-0.5, maxval=0.5)) % 1


def make(name, weight=1.0):
    """A base of each kind; `weight` is a weight of it, which no program depends on."""
    match name:
        case "gaussian":
            mean = weight * np.array([1.0, -2.0, 0.0])
            return gaussian(3, mean=mean, std=np.array([0.5, 1.0, 3.0]))
        case "box":
            return box(2, low=weight * LOW, high=HIGH)
        case "tokens":
            return tokens(3, 4, weight * LOGITS)
        case "pool":
            return pool({"a": weight * np.arange(7.0), "b": np.ones((7, 2), int)})
        case "product":
            return product(site=make("tokens", weight), place=make("box", weight))
        case "latent":
            weights = weight * np.array([[1.0, 0.5], [-0.3, 2.0]])
            legal = box(2, -1.0, 1.0).project
            return latent(bind(generate, weights), gaussian(2), project=legal)
        case "tunable":
            policy = Policy(jnp.asarray(weight), draw_circle, density_on_circle)
            return tunable(policy, turn)


NAMES = ("gaussian", "box", "tokens", "pool", "product", "latent", "tunable")
every_base = pytest.mark.parametrize("name", NAMES)


def features(z):
    """Numbers that tell distributions of z apart: `[num, F]`."""
    columns = []
    for leaf in jax.tree.leaves(z):
        flat = leaf.reshape(len(leaf), -1)
        if np.issubdtype(flat.dtype, np.integer):
            columns += [column == value for column in flat.T for value in range(3)]
            columns += [flat[:, 0] == column for column in flat.T[1:]]
        else:
            columns += [*flat.T, *(flat**2).T, np.abs(flat[:, 0]) < 0.5]
            columns += [flat[:, 0] * column for column in flat.T[1:]]
    return np.stack(columns, axis=1).astype(float)


@jax.jit
def draw(base, key, scale, moves):
    def push(i, z):
        return base.move(jax.random.fold_in(key, i), z, scale)

    z = base.sample(key, NUM)
    return z, jax.lax.fori_loop(1, moves + 1, push, z)


@functools.cache
def flow(name, scale, moves, seed=1):
    """Base draws and where `moves` moves bring them."""
    base = as_pytree(make(name))
    return jax.device_get(draw(base, jax.random.key(seed), scale, moves))


@every_base
@pytest.mark.parametrize("scale", [0.1, 0.5, 1.0])
def test_move_leaves_the_base_invariant(name, scale):
    """Means of features after 8 moves equal those of base draws, within 4.5 errors.

    Standard error: sqrt((Var before + Var after) / num), from unpaired draws.
    """
    moved = features(flow(name, scale, 8)[1])
    fresh = features(flow(name, 1.0, 1, seed=2)[0])
    error = np.sqrt((moved.var(axis=0) + fresh.var(axis=0)) / NUM)
    difference = np.abs(moved.mean(axis=0) - fresh.mean(axis=0))
    np.testing.assert_array_less(difference, 4.5 * error + 1e-7)


@every_base
def test_move_of_scale_one_is_a_fresh_draw(name):
    """Features before and after one move are uncorrelated.

    Standard error of a correlation at 0: 1 / sqrt(num).
    """
    before, after = (features(z) for z in flow(name, 1.0, 1))
    count = before.shape[1]
    both = np.corrcoef(before.T, after.T)[:count, count:]
    np.testing.assert_array_less(np.abs(both), 4.5 / np.sqrt(NUM))


@every_base
def test_move_is_reversible(name):
    """E[f(z) g(z')] = E[g(z) f(z')] for all features f and g, within 4.5 errors.

    Standard error: sd of f(z) g(z') - g(z) f(z') over draws / sqrt(num).
    """
    before, after = (features(z) for z in flow(name, 0.5, 1))
    flows = before[:, :, None] * after[:, None, :]
    odd = flows - flows.transpose(0, 2, 1)
    error = odd.std(axis=0) / np.sqrt(NUM)
    np.testing.assert_array_less(np.abs(odd.mean(axis=0)), 4.5 * error + 1e-7)


def test_tokens_flow_alike_both_ways():
    """Flows between all 64 sequences are balanced, and those of resampling sites.

    Standard errors: sqrt(n_ij + n_ji) of n_ij - n_ji, and sqrt(num p (1 - p)) of a
    count, 4.5 allowed where at least 10 are expected.
    """
    start, end = (z @ CODE for z in flow("tokens", 0.5, 1))
    counts = np.zeros((64, 64))
    np.add.at(counts, (start, end), 1)
    assert np.all(np.abs(counts - counts.T) <= 4.5 * np.sqrt(counts + counts.T))
    site = [p[:, None] * (np.eye(4) + p) / 2 for p in SOFTMAX]
    want = functools.reduce(np.kron, site)
    error = np.sqrt(NUM * want * (1 - want))
    often = NUM * want >= 10
    assert np.all(np.abs(counts - NUM * want)[often] <= 4.5 * error[often])


@jax.jit
def density(base, z):
    return base.log_prob(z)


def test_tokens_density_and_frequencies():
    """Frequencies of all 64 sequences; standard error: sqrt(p (1 - p) / num)."""
    every = np.array(list(itertools.product(range(4), repeat=3)))
    share = np.exp(density(as_pytree(make("tokens")), every))
    want = functools.reduce(np.kron, SOFTMAX)
    np.testing.assert_allclose(share, want, rtol=1e-5)
    np.testing.assert_allclose(share.sum(), 1, rtol=1e-6)
    counts = np.bincount(flow("tokens", 1.0, 1)[0] @ CODE, minlength=64) / NUM
    error = np.sqrt(want * (1 - want) / NUM)
    assert np.all(np.abs(counts - want) <= 4.5 * error)


def test_densities():
    pair, triple = jnp.array([[0.5, -1.0]]), jnp.array([[0.5, -1.0, 4.0]])
    site = {"site": jnp.array([[1, 0, 2]]), "place": pair}
    sequence = np.log(SOFTMAX[[0, 1, 2], [1, 0, 2]]).sum()
    corners = jnp.array([[0.0, 1.0], [-1.0, 3.0], [0.0, 3.1], [-1.1, 1.0]])
    for name, z, want in (
        ("gaussian", triple, stats.norm([1, -2, 0], [0.5, 1, 3]).logpdf(triple).sum()),
        ("box", corners, [-np.log(6)] * 2 + [-np.inf] * 2),
        ("pool", jnp.arange(7), [-np.log(7)] * 7),
        ("tunable", pair, 0),
        ("latent", pair, stats.norm.logpdf(pair).sum()),
        ("product", site, -np.inf),
        ("product", site | {"place": -pair}, sequence - np.log(6)),
    ):
        got = density(as_pytree(make(name)), z)
        assert got.shape == jax.tree.leaves(z)[0].shape[:1]
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_product_lacks_what_a_part_lacks():
    joint = product(a=gaussian(2)._replace(move=None, log_prob=None), b=box(2))
    assert (joint.move, joint.log_prob) == (None, None)


def test_product_draws_parts_apart_and_in_one_order():
    base = product(late=gaussian(2), early=gaussian(2))
    again = jax.jit(lambda base: base)(as_pytree(base))
    got, want = (base.sample(jax.random.key(0), 5) for base in (again, base))
    jax.tree.map(np.testing.assert_array_equal, got, want)
    assert not np.any(got["late"] == got["early"])


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-24])
def test_tokens_never_draw_what_the_base_forbids(monkeypatch, uniform):
    constant = np.full((3, 200), uniform, np.float32)
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape: jnp.array(constant))
    some = 2 * np.random.default_rng(0).normal(size=(200, 12))
    some[:, [0, 5, 6, 10, 11]] = -np.inf
    z = tokens(200, 12, some).sample(jax.random.key(0), 3)
    np.testing.assert_array_equal(z, 1 if uniform == 0 else 9)


def legal(name, x):
    if name == "product":
        return legal("tokens", x["site"]) and legal("box", x["place"])
    low, high = LEGAL.get(name, (-np.inf, np.inf))
    return all(
        (low <= leaf).all() and (leaf <= high).all() for leaf in jax.tree.leaves(x)
    )


@jax.jit
def project(base, key):
    x = base.decode(base.sample(key, 100))
    once = base.project(jax.tree.map(lambda leaf: 5 * leaf - 4, x))
    return x, base.project(x), once, base.project(once)


@every_base
def test_project_is_legal_and_idempotent(name):
    base = as_pytree(make(name))
    x, same, once, twice = jax.device_get(project(base, jax.random.key(0)))
    assert legal(name, once)
    jax.tree.map(np.testing.assert_array_equal, (same, twice), (x, once))
    assert jax.tree.map(jax.typeof, x) == jax.tree.map(jax.typeof, once)


@every_base
def test_other_weights_are_the_same_program(name):
    traces = []

    @jax.jit
    def use(base, key):
        traces.append(name)
        z = base.sample(key, 3)
        x = base.project(base.decode(z))
        return x, base.log_prob(z), base.move(key, z, 0.5)

    for weight in (1.0, 0.5):
        use.eval_shape(as_pytree(make(name, weight)), jax.random.key(0))
    assert len(traces) == 1


def test_binding_twice_keeps_both_weights_traced():
    traces = []

    def scaled(a, b, x):
        traces.append(None)
        return a * b * x

    call = jax.jit(lambda f, x: f(x))
    values = [
        float(call(bind(bind(scaled, a), b), 2.0)) for a, b in ((2.0, 3.0), (4.0, 5.0))
    ]
    assert values == [12.0, 40.0]
    assert len(traces) == 1
