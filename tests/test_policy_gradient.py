"""Policy gradients against the tilts they should converge to, and their KL."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special

from attacks import policy_gradient
from robust import NeedsError, Policy, Target, bind, gaussian, pressure, run, tunable

SEEDS, SLOTS, STEPS = 16, 256, 300
SLOPE = np.array([0.6, -0.8, 0.0])
SCORES = np.array([0.0, 1.0, -1.0, 0.5, 2.0, 1.5])
LOGITS = np.array([0.0, 0.3, -0.5, 1.0, -1.0, 0.0])
# Rates that fall to 0 leave no noise of the last steps in the policy.
FALLING = optax.adam(optax.cosine_decay_schedule(1.0, STEPS))
FALLING_4 = optax.adam(optax.cosine_decay_schedule(1.0, 4 * STEPS))


def sample_normal(mean, key, num):
    return mean[None] + jax.random.normal(key, (num, len(mean)))


def log_normal(mean, z):
    return jax.scipy.stats.norm.logpdf(z, mean[None]).sum(axis=1)


def sample_wide(params, key, num):
    return params["mean"] + jnp.exp(params["log_std"]) * jax.random.normal(key, (num,))


def log_wide(params, z):
    return jax.scipy.stats.norm.logpdf(z, params["mean"], jnp.exp(params["log_std"]))


def sample_letter(logits, key, num):
    return jax.random.categorical(key, logits, shape=(num,))


def log_letter(logits, z):
    return jax.nn.log_softmax(logits)[z]


def linear(weights, x):
    scale, hole = weights
    score = scale * (x * jnp.asarray(SLOPE)[None]).sum(axis=1)
    return jnp.where(x[:, 0] > hole, jnp.nan, score)


def slope(scale=1.0, hole=np.inf):
    return bind(linear, (jnp.asarray(np.array(scale)), jnp.asarray(np.array(hole))))


def table(x):
    return jnp.asarray(SCORES)[x]


BELL = tunable(Policy(jnp.zeros(3), sample_normal, log_normal))
LETTER = tunable(Policy(jnp.asarray(LOGITS), sample_letter, log_letter))
WIDE = tunable(
    Policy({"mean": jnp.zeros(()), "log_std": jnp.zeros(())}, sample_wide, log_wide)
)


def push(proxy, base, algorithm, *, rate=0.05, coefficient=0.5, steps=(STEPS,)):
    attack = policy_gradient(
        rate, kl_coefficient=coefficient, algorithm=algorithm,
        optimizer=FALLING if algorithm == "reinforce" else FALLING_4,
    )  # fmt: skip
    return run(
        attack, Target(proxy, base), jax.random.key(0), steps=steps, seeds=SEEDS,
        slots=SLOTS, keep=SLOTS,
    )  # fmt: skip


def assert_agree(difference):
    """Mean over seeds within 4 standard errors, sd / sqrt(seeds)."""
    error = difference.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    assert np.all(np.abs(difference.mean(axis=0)) <= 4 * error)


def test_a_normal_policy_converges_to_the_tilt():
    """E[r] - λ KL is greatest at mean 1/λ along the score, KL 1/(2λ²).

    There r - λ ln(p/p0) is constant, and with it the gradient has no noise: the KL
    of all seeds is right to 1e-4. Candidates agree within 4 standard errors, sd over
    seeds / sqrt(seeds).
    """
    trace = push(slope(), BELL, "reinforce")
    assert_agree(trace.proxy[:, -1].mean(axis=1) - 2.0)
    assert_agree(trace.x[:, -1].mean(axis=1) - 2.0 * SLOPE)
    np.testing.assert_allclose(trace.info["kl"][:, -1], 2.0, rtol=1e-4)
    assert np.all(trace.info["kl_error"][:, -1] < 1e-4)


def test_group_relative_policies_reach_the_same_tilt():
    """Scores of deviation 1 make GRPO's unit the proxy's: mean 1/λ, KL 1/(2λ²).

    Within 4 standard errors: sd over seeds / sqrt(seeds).
    """
    trace = push(slope(), BELL, "grpo", coefficient=1.0)
    assert_agree(trace.proxy[:, -1].mean(axis=1) - 1.0)
    assert_agree(trace.info["kl"][:, -1] - 0.5)
    assert np.all(np.abs(trace.info["kl"][:, -1] - 0.5) < 0.1)


def test_group_relative_scores_have_a_unit_of_their_own():
    """A power of two of the scores changes no bit of GRPO's candidates."""
    small, large = (
        push(slope(scale), BELL, "grpo", steps=(5,)) for scale in (1.0, 128.0)
    )
    np.testing.assert_array_equal(small.x, large.x)


def test_a_categorical_policy_converges_to_the_tilt():
    """Probabilities, score and KL of softmax(logits + r/λ), by enumeration.

    The KL to 1e-4 in all seeds, as for the normal policy; candidates within 4
    standard errors: sd over seeds / sqrt(seeds).
    """
    trace = push(table, LETTER, "ppo", rate=0.2)
    log_p = special.log_softmax(LOGITS + SCORES / 0.5)
    p, log_base = np.exp(log_p), special.log_softmax(LOGITS)
    assert_agree(trace.proxy[:, -1].mean(axis=1) - (p * SCORES).sum())
    share = (trace.x[:, -1, :, None] == np.arange(6)).mean(axis=1)
    assert_agree((share - p)[:, p > 0.01])
    want = (p * (log_p - log_base)).sum()
    np.testing.assert_allclose(trace.info["kl"][:, -1], want, rtol=1e-4)


def test_without_a_penalty_the_best_is_found():
    trace = push(table, LETTER, "ppo", coefficient=0.0, rate=0.2)
    assert np.all(trace.proxy[:, -1].mean(axis=1) > 0.98 * SCORES.max())
    best = -special.log_softmax(LOGITS)[SCORES.argmax()]
    np.testing.assert_allclose(trace.info["kl"][:, -1], best, rtol=0.05)


def claims(base, params, draws, *, runs):
    """KL and its error as `info` gives them, for a policy put there by hand."""
    attack, target = policy_gradient(), Target(lambda x: x.astype(float), base)

    @jax.jit
    def look(key):
        z = base.sample(key, draws)
        state = attack.init(key, z, target)._replace(params=params)
        return attack.info(key, state, target)

    info = jax.vmap(look)(jax.random.split(jax.random.key(1), runs))
    return np.asarray(info["kl"], float), np.asarray(info["kl_error"], float)


@pytest.mark.parametrize(
    ("mean", "log_std"), [(0.1, 0.05), (1.0, -0.5), (0.5, 0.7), (4.0, -1.0)]
)
def test_kl_of_a_curved_family_by_monte_carlo(mean, log_std):
    """Against the closed form: 95 % intervals cover 92 to 98 % of 800 runs.

    Coverage errs by sqrt(.95 .05 / 800) = .8 %; the mean z, by .035, is within .2.
    Errors are below those of the mean log ratio, sqrt(var / draws) in closed form.
    """
    params = {"mean": jnp.asarray(mean), "log_std": jnp.asarray(log_std)}
    kl, error = claims(WIDE, params, 256, runs=800)
    z = (kl - float(pressure.kl_gaussian(mean, np.exp(log_std)))) / error
    assert 0.92 <= np.mean(np.abs(z) < 1.96) <= 0.98
    assert abs(z.mean()) < 0.2
    std = np.exp(log_std)
    variance = (mean * std) ** 2 + (std**2 - 1) ** 2 / 2
    assert error.mean() < 0.75 * np.sqrt(variance / 256)


def test_kl_of_logits_is_exact():
    """In an exponential family's natural parameters nothing random is left."""
    log_p = special.log_softmax(LOGITS + SCORES)
    kl, error = claims(LETTER, jnp.asarray(LOGITS + SCORES), 64, runs=20)
    want = (np.exp(log_p) * (log_p - special.log_softmax(LOGITS))).sum()
    np.testing.assert_allclose(kl, want, rtol=1e-4)
    assert np.all(error < 1e-5)


def test_the_base_is_where_it_starts():
    trace = push(slope(), BELL, "reinforce", steps=(1,))
    np.testing.assert_array_equal(trace.info["kl"][:, 0], 0)
    assert trace.queries.tolist() == [0, 1]
    assert trace.grads.tolist() == [0, 0]


def test_what_is_undefined_is_avoided():
    trace = push(slope(hole=0.0), BELL, "reinforce", coefficient=0.0,
                 steps=(30, STEPS))  # fmt: skip
    share = np.isnan(trace.proxy).mean(axis=(0, 2))
    assert 0.45 < share[0] < 0.55
    assert share[1] < 0.4
    assert share[2] < 0.1
    assert np.isfinite(trace.info["kl"]).all()


def test_a_base_without_a_policy_is_refused():
    with pytest.raises(
        NeedsError,
        match="not a tunable policy; use gradient_ascent or splitting, or build",
    ):
        run(policy_gradient(), Target(slope(), gaussian(3)), jax.random.key(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"algorithm": "trpo"},
            "algorithm is 'trpo'; give one of reinforce, grpo, ppo",
        ),
        ({"learning_rate": 0.0}, r"learning_rate is 0\.0; give a number above zero"),
        ({"steps": 0}, "steps is 0; give a number above zero"),
        ({"kl_coefficient": -1.0}, r"kl_coefficient is -1\.0; give a number of at"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        policy_gradient(**options)


def test_an_entropy_bonus_leads_to_the_softmax_of_scores():
    """E[r] + c H is greatest at softmax(r/c), whatever the base, by enumeration.

    Mean score within 4 standard errors, sd over seeds / sqrt(seeds).
    """
    attack = policy_gradient(0.05, entropy_coefficient=0.5, optimizer=FALLING)
    trace = run(
        attack, Target(table, LETTER), jax.random.key(0), steps=(STEPS,), seeds=SEEDS,
        slots=SLOTS, keep=1,
    )  # fmt: skip
    share = special.softmax(SCORES / 0.5)
    assert_agree(trace.proxy[:, -1].mean(axis=1) - share @ SCORES)
    kl = pressure.kl_categorical(np.log(share), special.log_softmax(LOGITS))
    np.testing.assert_allclose(trace.info["kl"][:, -1], float(kl), rtol=0.02)


def sample_pair(params, key, num):
    """A prompt, easy or hard, twice each; and a letter."""
    key_prompt, key_letter = jax.random.split(key)
    hard = jnp.repeat(jax.random.bernoulli(key_prompt, 0.5, (num // 2,)), 2)
    letter = jax.random.categorical(key_letter, params, shape=(num,))
    return jnp.stack([hard.astype(int), letter], axis=1)


def log_pair(params, z):
    return jax.nn.log_softmax(params)[z[:, 1]]


def prompted(z):
    return jnp.where(z[:, 0] > 0, -1000.0, 0.0) + (z[:, 1] == 0)


def test_groups_take_the_prompt_out_of_the_score():
    """Hard prompts score 1,000 less: within pairs that cancels, over all it drowns."""
    base = tunable(Policy(jnp.zeros(4), sample_pair, log_pair))
    found = {}
    for group in (2, None):
        attack = policy_gradient(0.1, group=group, optimizer=optax.sgd(1.0))
        trace = run(
            attack, Target(prompted, base), jax.random.key(0), steps=(100,),
            seeds=SEEDS, slots=SLOTS, keep=SLOTS,
        )  # fmt: skip
        found[group] = (trace.x[:, -1, :, 1] == 0).mean(axis=1)
    assert found[2].min() > 0.5
    assert found[None].min() < 0.1


@pytest.mark.parametrize("group", [1, 0, -2])
def test_groups_of_one_are_refused(group):
    with pytest.raises(ValueError, match="at least 2 slots"):
        policy_gradient(group=group)


def test_slots_must_be_whole_groups():
    with pytest.raises(ValueError, match="7 slots are no whole number of groups of 2"):
        run(
            policy_gradient(group=2), Target(table, LETTER), jax.random.key(0),
            steps=(1,), seeds=1, slots=7,
        )  # fmt: skip


def kl_letter(logits, base, z):
    ours, theirs = jax.nn.log_softmax(logits), jax.nn.log_softmax(base)
    return jnp.full(z.shape, (jnp.exp(ours) * (ours - theirs)).sum())


def test_a_policy_that_knows_its_kl_is_asked():
    """Exact, with no error at all."""
    base = tunable(Policy(jnp.asarray(LOGITS), sample_letter, log_letter, kl_letter))
    trace = run(
        policy_gradient(0.05), Target(table, base), jax.random.key(0), steps=(20,),
        seeds=2, slots=SLOTS, keep=1,
    )  # fmt: skip
    same = run(
        policy_gradient(0.05), Target(table, LETTER), jax.random.key(0), steps=(20,),
        seeds=2, slots=SLOTS, keep=1,
    )  # fmt: skip
    np.testing.assert_allclose(trace.info["kl"], same.info["kl"], atol=1e-4)
    assert trace.info["kl_error"].max() < 1e-6
