"""Defences: closed forms on a linear proxy of a normal base, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import attacks
from robust import Target, bind, box, defence, gaussian, pool, registry, run
from robust.base import latent

DIM = 4
KEY = jax.random.key(0)
NAMES = {
    "adversarial_training", "chi2_penalty", "early_stopping", "kl_penalty", "mean",
    "pessimism", "quantilizer", "uwo", "wco",
}  # fmt: skip


def linear(weights, x):
    return x @ weights


def aim(weights, mean=0.0, std=1.0):
    """A target whose members are linear, standardised by what is given."""
    weights = jnp.asarray(weights, float)
    count = len(weights)
    proxy = defence.Ensemble(
        bind(linear), weights, jnp.full(count, mean), jnp.full(count, std)
    )
    return Target(proxy, gaussian(weights.shape[1]))


@pytest.fixture
def lone():
    """The first coordinate is the proxy: N(0, 1) under the base."""
    return aim([[1.0, 0, 0, 0]])


@pytest.fixture
def several():
    return aim(np.random.default_rng(0).normal(size=(5, DIM)))


def test_members_are_mixed_as_said(several):
    x = jax.random.normal(KEY, (7, DIM))
    members = np.asarray(several.proxy.members(x))
    assert members.shape == (5, 7)
    np.testing.assert_allclose(several.proxy(x), members.mean(axis=0), rtol=1e-5)
    want = {
        "mean": members.mean(axis=0), "wco": members.min(axis=0),
        "uwo": members.mean(axis=0) - 0.5 * members.var(axis=0), "single": members[0],
    }  # fmt: skip
    for name, values in want.items():
        found = getattr(defence, name)(several).proxy(x)
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5)
    unbiased = defence.uwo(several, 0.3, ddof=1).proxy(x)
    values = members.mean(axis=0) - 0.3 * members.var(axis=0, ddof=1)
    np.testing.assert_allclose(unbiased, values, rtol=1e-4, atol=1e-5)


def test_an_ensemble_is_standardised_on_the_draws():
    x = jax.random.normal(KEY, (1000, DIM)) + 3
    made = defence.ensemble(bind(linear), 5 * jnp.eye(DIM), x)
    members = made.members(x)
    np.testing.assert_allclose(members.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(members.std(axis=1), 1, rtol=1e-4)


def test_splitting_on_the_quantilizer_is_the_top_share(lone):
    """What reaches the cap is N(0, 1) above the quantile: mean φ(z) / q.

    The cap, a quantile of 2^14 draws, has standard error sqrt(q (1 - q) / 2^14) / φ;
    the mean of the particles, that of as many draws at best, here taken four times as
    large since particles are kin. Five.
    """
    q = 0.05
    target = defence.quantilizer(lone, q, key=KEY)
    z = norm.isf(q)
    cap_error = np.sqrt(q * (1 - q) / 2**14) / norm.pdf(z)
    assert float(target.proxy.cap) == pytest.approx(z, abs=5 * cap_error)
    trace = run(
        attacks.splitting(8, 10),
        target,
        jax.random.key(1),
        seeds=8,
        slots=256,
        keep=256,
    )
    at_cap = np.asarray(trace.proxy[:, -1]) == float(target.proxy.cap)
    assert at_cap.mean() > 0.5
    top = np.asarray(trace.x[:, -1, :, 0])[at_cap]
    spread = np.sqrt(1 + z * norm.pdf(z) / q - (norm.pdf(z) / q) ** 2)
    error = np.hypot(4 * spread / np.sqrt(top.size), cap_error)
    assert top.mean() == pytest.approx(norm.pdf(z) / q, abs=5 * error)


@pytest.mark.parametrize(
    ("name", "coefficient", "best"),
    [("kl_penalty", 0.4, 2.5), ("chi2_penalty", np.exp(-2.0) / 2, 2.0)],
)
def test_penalties_are_best_where_the_docstring_says(lone, name, coefficient, best):
    """A linear proxy along its axis, the others at their typical length.

    The entropy is a mean of 2^14 -log p0 of standard deviation sqrt(4 / 2), so the
    surprise of such an input is d^2 / 2 to .011 nats, which moves the chi-squared
    optimum by half of that relative to its slope: .01. Five, and the grid's step.
    """
    target = getattr(defence, name)(lone, coefficient, key=KEY)
    along = np.linspace(0, 5, 501)
    x = np.zeros((501, DIM), np.float32)
    # -log p0 of the others: on average as much as three coordinates and the first.
    x[:, 0], x[:, 1] = along, np.sqrt(DIM)
    found = along[np.asarray(target.proxy(jnp.asarray(x))).argmax()]
    assert found == pytest.approx(best, abs=5 * 0.01 + 0.01)


@pytest.mark.parametrize("name", ["kl_penalty", "chi2_penalty"])
def test_no_distance_outruns_a_penalty(lone, name):
    """1 / (2 c) is the most of r - c r²/2; outside a box nothing is worth a visit."""
    x = jnp.zeros((4, DIM)).at[:, 0].set(jnp.array([20.0, 50, 200, 1000]))
    far = getattr(defence, name)(lone, 0.3, key=KEY).proxy(x)
    assert (np.asarray(far) < 1 / 0.6).all()
    boxed = lone._replace(base=box(DIM))
    outside = getattr(defence, name)(boxed, 0.3, key=KEY).proxy(x)
    assert (np.asarray(outside) < -1e3).all()
    assert np.isfinite(defence.mean(boxed).proxy(x)).all()


def test_surprise_of_a_shifted_policy_is_its_kl(lone):
    """E under N(δ, I) is |δ|²/2; of 2^16 draws, standard deviation sqrt(d/2 + δ²)."""
    target = defence.kl_penalty(lone, 1.0, key=KEY, draws=2**16)
    shift = jnp.array([[2.0, 0, 0, 0]])
    x = jax.random.normal(jax.random.key(2), (2**16, DIM)) + shift
    cost = np.asarray(lone.proxy(x) - target.proxy(x))
    error = np.sqrt((DIM / 2 + 4) / 2**16 + (DIM / 2) / 2**16)
    assert cost.mean() == pytest.approx(2.0, abs=5 * error)


def test_early_stopping_finds_where_selection_delivers_most(lone):
    """True value r - .3 r² of a normal r: the best n is that of the order statistics.

    The cap is the mean of a best-of-n that delivers within .01 of the most.
    """
    x = lone.base.sample(KEY, 20_000)
    r = np.asarray(x[:, 0], float)
    target = defence.early_stopping(lone, x, r - 0.3 * r**2, key=jax.random.key(1))

    def moment(n, power):
        density = lambda r: r**power * n * norm.pdf(r) * norm.cdf(r) ** (n - 1)  # noqa: E731
        return quad(density, -8, 8, limit=200)[0]

    n = np.arange(2, 80)
    top, square = (np.array([moment(k, p) for k in n]) for p in (1, 2))
    value = top - 0.3 * (square - 1)
    good = top[value > value.max() - 0.01]
    assert good.min() <= float(target.proxy.cap) <= good.max()


@pytest.mark.parametrize("strength", [0.01, 0.3, 5.0])
def test_pessimistic_weights_have_mean_one_above_a_threshold(strength):
    scores = np.random.default_rng(1).normal(size=500)
    weights = np.asarray(defence.pessimistic_weights(jnp.asarray(scores), strength))
    assert weights.mean() == pytest.approx(1, rel=1e-4)
    assert (weights >= 0).all()
    kept = weights > 0
    threshold = scores[kept] - strength * weights[kept]
    np.testing.assert_allclose(threshold, threshold[0], atol=1e-4)
    assert (scores[~kept] <= threshold[0] + 1e-4).all()


def test_pessimism_draws_by_those_weights(lone):
    """The mean score of N = 20,000 draws; its standard error is sd / sqrt(N). Five."""
    policy = defence.pessimism(lone, 0.2, key=KEY, draws=2000)
    scores = np.asarray(lone.proxy(lone.base.sample(KEY, 2000)))
    weights = np.asarray(defence.pessimistic_weights(jnp.asarray(scores), 0.2))
    drawn = np.asarray(lone.proxy(policy.sample(jax.random.key(1), 20_000)))
    want = (weights * scores).mean()
    assert drawn.mean() == pytest.approx(want, abs=5 * drawn.std() / np.sqrt(20_000))


def test_all_defences_are_one_program(several):
    traced = []

    def counted(weights, x):
        traced.append(x.shape)
        return x @ weights

    several = several._replace(proxy=several.proxy._replace(score=bind(counted)))
    attack = attacks.gradient_ascent(0.1, steps=3)
    run(attack, defence.mean(several), KEY, seeds=2, slots=4)
    once = len(traced)
    for made in (
        defence.wco(several), defence.uwo(several, 2.0), defence.single(several, 3),
        defence.kl_penalty(several, 0.2, key=KEY),
    ):  # fmt: skip
        count = len(traced)
        run(attack, made, KEY, seeds=2, slots=4)
        assert len(traced) == count
    assert once > 0


def test_adversarial_training_refits_on_all_that_was_found(lone):
    seen = []

    def refit(found):
        seen.append([(x.shape, float(values.sum())) for x, values in found])
        return aim([[0.0, 1.0, 0, 0]])

    made = defence.adversarial_training(
        lone, attacks.best_of_n(8), lambda x: x.sum(axis=-1), refit,
        key=KEY, rounds=3, seeds=2, slots=4, keep=4,
    )  # fmt: skip
    assert [len(found) for found in seen] == [1, 2, 3]
    assert seen[2][:2] == seen[1]
    np.testing.assert_array_equal(made.proxy.params, [[0.0, 1.0, 0, 0]])
    assert seen[0][0] != seen[1][1]


def test_defences_combine(several):
    x = jax.random.normal(KEY, (2**14, DIM))
    both = defence.quantilizer(defence.wco(several), 0.1, key=KEY).proxy
    least = np.asarray(several.proxy.members(x)).min(axis=0)
    assert float(both.cap) == pytest.approx(np.quantile(least, 0.9), abs=0.1)
    np.testing.assert_allclose(both(x), np.minimum(least, both.cap), atol=1e-5)


def test_the_last_way_to_mix_counts_alone(several):
    x = jax.random.normal(KEY, (7, DIM))
    for name in ("single", "mean", "wco", "uwo"):
        last = getattr(defence, name)
        want = last(several).proxy(x)
        for first in (defence.single, defence.wco, defence.uwo):
            np.testing.assert_array_equal(last(first(several)).proxy(x), want)


def double(z):
    return jnp.concatenate([z, z], axis=1)


@pytest.mark.parametrize("base", [
    pool(np.random.default_rng(0).normal(size=(500, DIM)).astype(np.float32)),
    latent(double, gaussian(DIM // 2)),
], ids=["pool", "latent"])  # fmt: skip
def test_defences_that_need_no_density_stand_behind_any_base(several, base):
    """An attack runs on each, and no score is above the cap where there is one."""
    target = several._replace(base=base)
    x = base.decode(base.sample(jax.random.key(2), 400))
    true = np.asarray(target.proxy(x))
    for made in (
        defence.mean(target), defence.wco(target), defence.uwo(target),
        defence.quantilizer(target, 0.1, key=KEY),
        defence.early_stopping(target, x, true, key=KEY, draws=2000),
    ):  # fmt: skip
        trace = run(attacks.best_of_n(8), made, KEY, seeds=2, slots=4)
        assert np.isfinite(trace.proxy).all()
        assert (trace.proxy <= np.asarray(made.proxy.cap)).all()
    with pytest.raises(ValueError, match="no log_prob of its inputs"):
        defence.kl_penalty(target, 1.0, key=KEY)


def test_all_nine_are_listed():
    assert set(registry.names("defence")) == NAMES
    assert all(registry.find("defence", name).__doc__ for name in NAMES)


def identity(x):
    return x


def not_a_number(target):
    """The same with a member that has lost its weights."""
    broken = target.proxy.params.at[0].set(jnp.nan)
    return target._replace(proxy=target.proxy._replace(params=broken))


MISTAKES = {
    "no ensemble": (
        lambda t: defence.mean(Target(bind(linear, jnp.ones(DIM)), gaussian(DIM))),
        "give robust.defence.ensemble",
    ),
    "no member": (lambda t: defence.single(t, 5), "from 0 to 4"),
    "ddof": (lambda t: defence.uwo(t, ddof=5), "from 0 to 4"),
    "share": (lambda t: defence.quantilizer(t, 2.0, key=KEY), "share in"),
    "rare": (lambda t: defence.quantilizer(t, 1e-6, key=KEY), "at least 10 draws"),
    "few labels": (
        lambda t: defence.early_stopping(t, jnp.zeros((9, DIM)), np.zeros(9), key=KEY),
        "100 or more",
    ),
    "unlike many": (
        lambda t: defence.early_stopping(
            t, jnp.zeros((300, DIM)), np.zeros(500), key=KEY
        ),
        "as many inputs",
    ),
    "unknown truth": (
        lambda t: defence.early_stopping(
            t, jnp.zeros((200, DIM)), np.full(200, np.nan), key=KEY
        ),
        "judge returned NaN",
    ),
    "negative": (lambda t: defence.kl_penalty(t, -1.0, key=KEY), "at least zero"),
    "chi2 of nan": (
        lambda t: defence.chi2_penalty(t, np.nan, key=KEY),
        "at least zero",
    ),
    "endless penalty": (
        lambda t: defence.kl_penalty(t, np.inf, key=KEY),
        "finite number",
    ),
    "no draws": (
        lambda t: defence.kl_penalty(t, 1.0, key=KEY, draws=0),
        "at least one draw",
    ),
    "endless variance": (lambda t: defence.uwo(t, np.inf), "finite number"),
    "late mixing": (
        lambda t: defence.wco(defence.quantilizer(t, 0.1, key=KEY)),
        "before the cap",
    ),
    "no score": (
        lambda t: defence.quantilizer(not_a_number(t), key=KEY),
        "proxy returned NaN",
    ),
    "no score to weigh": (
        lambda t: defence.pessimism(not_a_number(t), 1.0, key=KEY),
        "proxy returned NaN",
    ),
    "no density": (
        lambda t: defence.kl_penalty(
            t._replace(base=latent(identity, box(DIM))), 1.0, key=KEY
        ),
        "use quantilizer",
    ),
    "late penalty": (
        lambda t: defence.chi2_penalty(
            defence.quantilizer(t, 0.1, key=KEY), 1.0, key=KEY
        ),
        "before the cap",
    ),
    "strength": (lambda t: defence.pessimism(t, 0.0, key=KEY), "above zero"),
    "endless strength": (
        lambda t: defence.pessimism(t, np.inf, key=KEY),
        "finite number",
    ),
    "nan member": (
        lambda t: defence.ensemble(linear, jnp.full((2, DIM), jnp.nan), jnp.eye(DIM)),
        "members \\[0, 1\\] score not with finite numbers",
    ),
    "constant": (
        lambda t: defence.ensemble(linear, jnp.zeros((2, DIM)), jnp.ones((9, DIM))),
        "score all inputs alike",
    ),
    "rounds": (
        lambda t: defence.adversarial_training(t, None, None, None, key=KEY, rounds=0),
        "at least 1",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name, several):
    go, said = MISTAKES[name]
    with pytest.raises(ValueError, match=said):
        go(several)
