"""Token search against enumeration, exact gradients and searches without gradient."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attacks import best_of_n, gradient_ascent, token_search
from robust import (
    Embedded,
    NeedsError,
    PerSeed,
    Target,
    bind,
    box,
    run,
    tokens,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("compiled_quickly")

KEY = jax.random.key(0)
LENGTH, VOCABULARY, WIDTH = 10, 16, 6
SMALL = np.array(list(itertools.product(range(3), repeat=6)))


def linear(weight, rows):
    return (rows * weight[None]).sum(axis=(1, 2))


def network(weights, rows):
    hidden = jnp.tanh(rows.reshape(len(rows), -1) @ weights[0])
    return (jnp.tanh(hidden @ weights[1]) @ weights[2])[:, 0]


def draw_weights(key):
    keys, flat = jax.random.split(key, 4), LENGTH * WIDTH
    shapes = ((VOCABULARY, WIDTH), (flat, 24), (24, 24), (24, 1))
    pairs = zip(keys, shapes, strict=True)
    table, *weights = (jax.random.normal(k, s) / s[0] ** 0.5 for k, s in pairs)
    # Rows of length near 1.5 bend the first layer.
    return 6 * table, weights


def seen(weights, open_share=1.0):
    """A target whose gradient in the embedded tokens is this share of the true one."""
    table, weights = weights
    head = bind(behind_a_wall, jnp.asarray(open_share), bind(network, weights))
    return Target(Embedded(table, head), tokens(LENGTH, VOCABULARY))


def behind_a_wall(open_share, head, rows):
    hidden = jax.lax.stop_gradient(rows)
    return head(open_share * rows + (1 - open_share) * hidden)


def partly_seen(params):
    return seen(*params)


def couplings(pairs, rows):
    """A chain of sites in which only neighbours count, on one-hot rows."""
    return jnp.einsum("sab,nsa,nsb->n", pairs, rows[:, :-1], rows[:, 1:])


def chain(pairs):
    """All tokens are legal but 2 at the first site."""
    logits = jnp.zeros((6, 3)).at[0, 2].set(-jnp.inf)
    return Target(Embedded(jnp.eye(3), bind(couplings, pairs)), tokens(6, 3, logits))


@pytest.fixture(scope="module")
def chains():
    """24 random chains: a run over them, and the best of their 486 sequences."""
    pairs = jax.random.normal(jax.random.key(3), (24, 5, 3, 3))
    trace = run(
        token_search(8, 2), PerSeed(chain, pairs), KEY, steps=[1, 5, 20],
        seeds=24, keep=64,
    )  # fmt: skip
    legal = SMALL[SMALL[:, 0] != 2]
    return trace, np.array([chain(p).proxy(legal).max() for p in pairs])


def single_swaps(x):
    """All sequences that differ from x in one site, `[L (V - 1), L]`."""
    swaps = itertools.product(range(LENGTH), range(VOCABULARY))
    rows = np.repeat(x[None], LENGTH * VOCABULARY, axis=0)
    for row, (site, token) in zip(rows, swaps, strict=True):
        row[site] = token
    return rows[(rows != x).any(axis=1)]


def test_hotflip_takes_the_best_swap_of_a_linear_proxy():
    """First order is exact there: each step is the best of all 150 single swaps."""
    keys = jax.random.split(KEY)
    table = jax.random.normal(keys[0], (VOCABULARY, WIDTH))
    weight = jax.random.normal(keys[1], (LENGTH, WIDTH))
    proxy = Embedded(table, bind(linear, weight))
    target = Target(proxy, tokens(LENGTH, VOCABULARY))
    trace = run(token_search(1), target, KEY, steps=[1, 2, 3, LENGTH], seeds=2, slots=3)
    for seed, slot in itertools.product(range(2), range(3)):
        for t in range(3):
            best = np.asarray(proxy(single_swaps(trace.x[seed, t, slot]))).max()
            np.testing.assert_allclose(trace.proxy[seed, t + 1, slot], best, rtol=1e-5)
    optimum = np.asarray(weight @ table.T).max(axis=1).sum()
    np.testing.assert_allclose(trace.proxy[:, -1], optimum, rtol=1e-5)


def test_swaps_are_ranked_by_the_gradient_of_one_hot_tokens():
    """HotFlip's swap is the argmax of the autodiff gradient of the relaxed proxy."""
    target = seen(draw_weights(KEY))
    z = target.base.sample(KEY, 20)
    attack = token_search(1)

    @jax.jit
    def step(z):
        return attack.step(KEY, attack.init(KEY, z, target), target).x

    def relaxed(rows):
        return target.proxy.head(rows @ target.proxy.table).sum()

    after = np.asarray(step(z))
    one_hot = jax.nn.one_hot(z, VOCABULARY)
    slope = jax.grad(relaxed)(one_hot)
    gain = slope - (slope * one_hot).sum(axis=2, keepdims=True)
    site, token = np.divmod(gain.reshape(20, -1).argmax(axis=1), VOCABULARY)
    want = np.asarray(z).copy()
    want[np.arange(20), site] = token
    np.testing.assert_array_equal(after, want)


@pytest.mark.slow
def test_it_finds_the_best_of_all_sequences(chains):
    """More often than as many base draws would, by 5 standard errors, and none better.

    They would find it with probability 1 - (1 - 1/486)^181 = 31 %. Standard error:
    sd over chains of the share of slots that found it / sqrt(chains).
    """
    trace, best = chains
    assert trace.queries[-1] == 181
    found = (trace.proxy[:, -1] >= best[:, None] - 1e-4).mean(axis=1)
    by_luck = 1 - (1 - 1 / 486) ** 181
    assert found.mean() - by_luck > 5 * found.std(ddof=1) / np.sqrt(24)
    assert np.all(trace.proxy.max(axis=(1, 2)) <= best + 1e-4)


def test_it_proposes_no_token_that_the_base_forbids(chains):
    x = chains[0].x
    assert np.all(x[..., 0] != 2)
    assert (x[..., 1:] == 2).any(axis=(0, 1, 2)).all()


def test_project_replaces_what_the_base_forbids_by_its_likeliest_token():
    base = tokens(2, 3, jnp.array([[-jnp.inf, 0.0, 1.0], [0.0, 1.0, -jnp.inf]]))
    x = jnp.array([[0, 0], [1, 2], [7, -1]], jnp.int32)
    np.testing.assert_array_equal(base.project(x), [[2, 0], [1, 1], [2, 0]])


@pytest.mark.parametrize("most", [1, 2])
def test_forbidden_tokens_take_no_place_among_the_best(most):
    """Scores rise with the token, 4 sites reach the last legal one in 4 steps."""
    tempting = jnp.tile(jnp.arange(9.0), (4, 1))
    forbidden = (jnp.arange(9) < 1) | (jnp.arange(9) > most)
    base = tokens(4, 9, jnp.where(forbidden, -jnp.inf, 0.0))
    target = Target(Embedded(jnp.eye(9), bind(linear, tempting)), base)
    assert np.all(
        run(token_search(1, 1), target, KEY, steps=[4], seeds=2).x[:, 1] == most
    )


@pytest.fixture(scope="module")
def races():
    """Final scores at 400 queries on a network per seed, `[16]` for each attack."""
    weights = jax.vmap(draw_weights)(jax.random.split(jax.random.key(1), 16))
    entries = {
        "gradient": (token_search(), 1.0), "hotflip": (token_search(1), 1.0),
        "blind": (token_search(), 0.0), "base": (best_of_n(), 1.0),
    }  # fmt: skip
    return {
        name: run(
            attack, PerSeed(partly_seen, (weights, jnp.full(16, open_share))), KEY,
            queries=400, seeds=16, slots=32,
        )
        for name, (attack, open_share) in entries.items()
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("better", "worse"),
    [("gradient", "base"), ("gradient", "blind"), ("gradient", "hotflip"),
     ("blind", "base")],
)  # fmt: skip
def test_at_equal_queries_it_beats(races, better, worse):
    """The gain over the other, paired over 16 networks, is 5 standard errors.

    Standard error: sd of the difference of a seed's mean over seeds / sqrt(seeds).
    "blind" is the same search behind stop_gradient: random single swaps.
    """
    spent = [races[name].queries[-1] for name in (better, worse)]
    assert max(spent) <= 400
    assert min(spent) > 380
    ends = (races[name].proxy[:, -1].mean(axis=1) for name in (better, worse))
    gain = np.subtract(*ends)
    assert gain.mean() > 5 * gain.std(ddof=1) / 4


def test_no_slot_ever_falls(races):
    for trace in races.values():
        assert np.all(np.diff(trace.proxy, axis=1) >= 0)


def test_hidden_gradients_are_reported(races):
    assert np.all(races["blind"].info["zero_gradient"] == 1)
    assert np.all(races["gradient"].info["zero_gradient"] == 0)
    assert np.all(races["gradient"].info["nonfinite_gradient"] == 0)


def on_host(rows):
    shape = jax.ShapeDtypeStruct((len(rows),), rows.dtype)
    return jax.pure_callback(
        lambda rows: np.asarray(rows).sum(axis=(1, 2)), shape, rows,
        vmap_method="sequential",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("attack", "target", "message"),
    [
        (
            token_search(), Target(lambda x: x.sum(axis=1) / 2, tokens(3, 4)),
            r"token_search needs 'embedding'.*give robust.Embedded\(table, head\)",
        ),
        (
            token_search(), Target(Embedded(jnp.eye(4), on_host), tokens(3, 4)),
            "token_search needs 'embedding'.*no differentiable embedding",
        ),
        (
            token_search(), Target(lambda x: x.sum(axis=1), box(3)),
            "token_search needs 'embedding'.*use gradient_ascent or splitting, or give",
        ),
        (
            gradient_ascent(), Target(Embedded(jnp.eye(4), on_host), tokens(3, 4)),
            "gradient_ascent needs 'continuous'",
        ),
    ],
)  # fmt: skip
def test_needs_are_refused_by_name(attack, target, message):
    with pytest.raises(NeedsError, match=message):
        run(attack, target, KEY)


@pytest.mark.parametrize("name", ["candidates", "top", "steps"])
def test_counts_must_be_positive(name):
    with pytest.raises(ValueError, match=f"{name} is 0; give a whole number"):
        token_search(**{name: 0})
