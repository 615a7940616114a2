"""Writers: the cached sampler, densities and divergences, and what is rewarded."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spelled import HONEST, tokens

from benchmarks import _reasoning_arms as arms
from benchmarks import _reasoning_model as model
from benchmarks import _reasoning_policy as policy
from benchmarks import _reasoning_readers as readers
from benchmarks import _reasoning_task as task

KEY = jax.random.key(1)
WIDTH = 8

pytestmark = pytest.mark.usefixtures("compiled_quickly")


@pytest.fixture(scope="module")
def writer():
    """Random parameters, far from uniform."""
    params = model.start(model.Writer(WIDTH, 1), KEY)
    return jax.tree.map(
        lambda a: a + 0.3 * jnp.cos(jnp.arange(a.size).reshape(a.shape)), params
    )


def test_cached_sampler_is_the_full_model(writer):
    """Token by token from whole sequences, with the same keys: the same tokens."""
    prompts = task.prompts(KEY, 5, 0.5)
    z = np.asarray(jax.jit(model.answer)(writer, KEY, prompts))
    keys = jax.random.split(KEY, task.LENGTH - 1)
    said = jax.jit(model.log_probs)(writer, jnp.asarray(z))
    ended = np.zeros(5, bool)
    for at in range(task.PROMPT, task.LENGTH):
        drawn = jax.random.categorical(keys[at - 1], said[:, at - 1])
        ended |= z[:, at - 1] == task.END
        np.testing.assert_array_equal(z[:, at], np.where(ended, task.PAD, drawn))


def test_writers_never_hide_in_padding(writer):
    z = np.asarray(jax.jit(model.answer)(writer, KEY, task.prompts(KEY, 64, 0.5)))
    never = np.flatnonzero(task.NEVER)
    assert not np.isin(z, never)[np.asarray(task.chosen(jnp.asarray(z)))].any()


def test_kl_agrees_with_log_ratios(writer):
    """Mean log ratio over 2,000 draws, within 5 standard errors of the difference."""
    other = jax.tree.map(lambda a: 0.8 * a, writer)
    base = policy.base_of(writer, hinted=0.5, modulus=10).policy
    z = jax.jit(base.sample, static_argnums=2)(writer, KEY, 2000)
    ratio = base.log_prob(writer, z) - base.log_prob(other, z)
    exact = base.kl(writer, other, z)
    error = float((ratio - exact).std() / np.sqrt(len(z) / policy.GROUP))
    assert float(exact.mean()) > 20 * error
    assert abs(float((ratio - exact).mean())) < 5 * error
    assert float(exact.std()) < float(ratio.std())


def test_prompts_come_in_groups(writer):
    z = policy.base_of(writer, hinted=1.0, modulus=10).sample(KEY, 10)
    prompts = np.asarray(z[:, : task.PROMPT]).reshape(-1, task.PROMPT)
    assert (prompts[:4] == prompts[0]).all()
    assert (prompts[4:8] == prompts[4]).all()
    assert (prompts[0] != prompts[4]).any()


def test_chains_are_closed_where_they_are_cut(writer):
    """The `#` that is put there has no probability, so it cannot be learned."""
    base = policy.base_of(writer, hinted=0.0, modulus=10, cut=3)
    z = base.sample(KEY, 64)
    assert int(task.chain_length(z).max()) <= 3
    forced = np.asarray(task.chain_length(z)) == 3
    assert forced.any()
    said = model.token_log_prob(writer, z)
    place = task.PROMPT + 3 - 1
    mine = (said * task.chosen(z)[:, 1:]).sum(axis=1)
    apart = np.asarray(base.log_prob(z) - mine)[forced]
    np.testing.assert_allclose(apart, -np.asarray(said)[forced, place], rtol=1e-4)


def test_paraphrased_writers_answer_what_they_read(writer):
    base = policy.paraphrased(writer, hinted=0.5, modulus=10)
    z = base.sample(KEY, 32)
    assert z.shape == (32, 2, task.LENGTH)
    x = base.decode(z)
    np.testing.assert_array_equal(task.stated(x), task.stated(z[:, 1]))
    np.testing.assert_array_equal(task.chain_length(x), task.chain_length(z[:, 0]))
    chain = policy.paraphrase(z[:, 0])
    read = policy.closed_after(chain)
    seen = np.where(np.asarray(read) < 0, np.asarray(z[:, 1]), np.asarray(read))
    np.testing.assert_array_equal(seen, z[:, 1])
    assert np.isfinite(np.asarray(base.log_prob(z))).all()


@pytest.mark.parametrize(
    ("price", "paid"),
    [
        (arms.Price(right=1.0), [1, 0, 0, 0]),
        (arms.Price(hint=1.0), [0, 1, 1, 0]),
        (arms.Price(right=1.0, shrink=0.03), [1 - 0.03 * 21, 0, 0, 0]),
        (arms.Price(right=1.0, cost=0.01), [1 - 0.21, -0.07, -0.21, -0.05]),
    ],
)
def test_what_is_paid(writer, price, paid):
    z = tokens(
        HONEST, "Q3244H5?H=5;#5$", "Q3244H5?3+2=5;5+4=9;9+4=5;#5$", "Q3244H5?33#4$"
    )
    arm = arms.Arm("", "", price)
    params = {"writer": writer, "asked": {}, "price": jax.tree.map(jnp.asarray, price)}
    target = arms.target_of(params, shape=arms.shape_of(arm))
    np.testing.assert_allclose(target.proxy(z), paid, atol=1e-6)


def test_learned_judges_are_paid_as_they_say(writer):
    z = tokens(HONEST, "Q3244H5?H=5;#5$")
    nets = {
        name: model.start(model.Reader(outputs, WIDTH, 1), jax.random.key(i))
        for i, (name, outputs) in enumerate(
            {"process": 1, "monitor": 1, "reader": 50}.items()
        )
    }
    taught = readers.Taught({"writer": writer, **nets}, {})
    arm = arms.Arm("", "", arms.Price(process=2.0, monitor=0.5, reader=3.0))
    target = arms.target_of(arms.params_of(taught, arm), shape=arms.shape_of(arm))
    valid, flag = (readers.probability(nets[n], z) for n in ("process", "monitor"))
    read = np.exp(np.asarray(readers.readings(nets["reader"], z)))[:, 1:]
    digits = np.take_along_axis(read, np.array([[[3], [2], [4], [4]]] * 2), 2)
    wanted = 2 * valid - 0.5 * flag + 3 * digits.mean(axis=(1, 2))
    np.testing.assert_allclose(target.proxy(z), wanted, rtol=1e-5)


def test_every_arm_can_be_attacked():
    for name, arm in arms.ARMS.items():
        assert set(map(bool, arm.price)) == {False, True}, name
        assert arm.group in {"answer", "pressure", "process", "monitor", "defence"}
    kls = [arms.shape_of(arms.ARMS[f"monitor_kl{i}"]) for i in ("03", "10", "30")]
    assert len(set(kls)) == 1, "arms that differ in numbers share a program"


def test_fit_learns(writer):
    """A monitor learns to tell chains that say `H`."""
    z = task.demonstrations(KEY, 400, task.Setting())
    says = jnp.asarray(task.check(z).verbal)
    fit = functools.partial(readers._fit_labels, KEY, z, says, "monitor", 16, 1)
    score = np.asarray(readers.probability(fit(), z))
    assert readers.auc(score, np.asarray(says) > 0) > 0.95
