"""The driver: what it promises to attacks, to judges and to a run that goes on."""

import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attacks import best_of_n, gradient_ascent, splitting
from robust import PerSeed, Target, bind, box, gaussian, run
from robust.rows import rows_of
from robust.trace import checkpoints

KEY = jax.random.key(0)
CENTER = jnp.array([0.9, 0.2, 0.6])


def bowl(center, x):
    return -((x - center[None]) ** 2).sum(axis=1)


def aim(center):
    return Target(bind(bowl, center), box(3))


def aim_at_line(prompt):
    return Target(bind(bowl, prompt), gaussian(1))


def aim_at_shifted(shift):
    return bind(shifted, shift)


def shifted(shift, prompt):
    return Target(bind(bowl, prompt + shift), gaussian(1))


TARGET = aim(CENTER)
ATTACKS = (best_of_n(), gradient_ascent(0.05), splitting(moves=3))
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)


def push(attack, target=TARGET, key=KEY, **options):
    settings = {"steps": [1, 4], "seeds": 4, "slots": 16, "keep": 8} | options
    return run(attack, target, key, **settings)


def assert_same(a, b, rtol=0.0):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if isinstance(one, str):
            assert one == other
        else:
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


def rows(trace, index):
    return jax.tree.map(lambda leaf: leaf[index], (trace.x, trace.proxy, trace.info))


def test_row_zero_is_the_base_for_every_attack():
    traces = [push(attack) for attack in ATTACKS]
    for trace in traces:
        np.testing.assert_array_equal(trace.x[:, 0], traces[0].x[:, 0])
        np.testing.assert_array_equal(trace.proxy[:, 0], traces[0].proxy[:, 0])
        assert trace.x.shape == (4, 3, 8, 3)
        assert trace.proxy.shape == (4, 3, 16)
        flat = trace.x[:, 0].reshape(-1, 3)
        proxy = bowl(CENTER, flat).reshape(4, 8)
        np.testing.assert_allclose(trace.proxy[:, 0, :8], proxy, rtol=1e-5)


def test_kept_rows_do_not_depend_on_slots():
    few, many = push(best_of_n()), push(best_of_n(), slots=40)
    np.testing.assert_array_equal(few.x, many.x)
    assert many.proxy.shape == (4, 3, 40)


@every_attack
def test_same_key_same_bits_and_resumed_from_any_checkpoint(attack):
    saved = []
    whole = push(attack, on_checkpoint=saved.append)
    assert [point.done for point in saved] == [1, 2, 3]
    assert [len(point.looks) for point in saved] == [1, 2, 3]
    assert_same(push(attack), whole)
    for point in saved:
        thawed = point._replace(state=[np.asarray(leaf) for leaf in point.state])
        assert_same(push(attack, resume=thawed), whole)
    with pytest.raises(ValueError, match=r"steps \(0, 1, 4\).*resume with the same"):
        push(attack, steps=[2, 4], resume=saved[1])
    with pytest.raises(ValueError, match=r"\(2, 16\) rows and slots; resume"):
        push(attack, seeds=2, resume=saved[1])


def test_lone_seed_agrees_with_a_batch():
    batch, lone = push(ATTACKS[1], steps=[1]), push(ATTACKS[1], steps=[1], seeds=1)
    assert_same(rows(lone, 0), rows(batch, 0), rtol=1e-5)


@pytest.mark.parametrize("attack", ATTACKS[1:], ids=lambda a: a.name)
def test_lone_seed_gives_the_same_bits_when_deterministic(attack):
    batch = push(attack, deterministic=True)
    lone = push(attack, deterministic=True, seeds=1)
    assert_same(rows(lone, 0), rows(batch, 0))


def test_another_key_is_another_run():
    other = push(best_of_n(), key=jax.random.key(1))
    assert not np.any(other.x[:, 0] == push(best_of_n()).x[:, 0])


@every_attack
def test_looking_does_not_push(attack):
    often, once = push(attack), push(attack, steps=[4])
    assert_same(once.x[:, 1], often.x[:, 2])


def look_elsewhere(key, state, target):
    return target.base.sample(key, len(state.score))


def test_each_look_has_its_own_key():
    x = push(best_of_n()._replace(sample=bind(look_elsewhere)), steps=[1, 2]).x
    assert len(np.unique(x)) == x.size


def test_budgets():
    attack = best_of_n(64)
    assert checkpoints(attack) == (0, 1, 3, 7, 15, 31, 63)
    assert checkpoints(attack, steps=10) == (0, 1, 3, 7, 10)
    assert checkpoints(attack, steps=[2, 5]) == (0, 2, 5)
    assert checkpoints(attack, queries=16) == (0, 1, 3, 7, 15)
    assert checkpoints(splitting(moves=10), queries=35)[-1] == 3
    trace = push(gradient_ascent(), steps=None, queries=5)
    np.testing.assert_array_equal(trace.steps, [0, 1, 2, 4])
    np.testing.assert_array_equal(trace.queries, [0, 2, 3, 5])
    np.testing.assert_array_equal(trace.grads, [0, 2, 3, 5])
    np.testing.assert_array_equal(push(splitting(moves=3)).queries, [0, 4, 13])


@pytest.mark.parametrize("steps", [[], [0], 0, [3, 3], [4, 2], [-1], -5])
def test_steps_must_increase(steps):
    with pytest.raises(ValueError, match="give increasing whole numbers above zero"):
        checkpoints(best_of_n(), steps=steps)


def test_budgets_are_refused_by_name():
    with pytest.raises(ValueError, match="give one budget, not both"):
        checkpoints(best_of_n(), steps=3, queries=3)
    with pytest.raises(ValueError, match="splitting needs at least 11 per slot"):
        checkpoints(splitting(moves=10), queries=10)
    for name in ("seeds", "slots", "keep"):
        with pytest.raises(ValueError, match=f"{name} is 0; give a whole number"):
            push(best_of_n(), **{name: 0})


def test_each_seed_has_its_own_proxy():
    centers = jnp.stack([CENTER, 1 - CENTER, CENTER / 2, CENTER**2])
    each = push(ATTACKS[1], PerSeed(aim, centers), steps=[1])
    for seed, center in enumerate(centers):
        alone = push(ATTACKS[1], aim(center), steps=[1])
        assert_same(rows(each, seed), rows(alone, seed), rtol=1e-5)
    with pytest.raises(ValueError, match="for 4 seeds and 3 were asked; make the task"):
        push(best_of_n(), PerSeed(aim, centers), seeds=3)


def test_each_prompt_is_optimised_for_itself():
    prompts = jnp.array([[-1.0], [0.5], [2.0]])
    trace = push(ATTACKS[1], aim_at_line, context=prompts, seeds=2, steps=[200])
    np.testing.assert_array_equal(trace.unit, [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(trace.context, np.repeat(prompts, 2, axis=0))
    np.testing.assert_allclose(trace.x[:, 1, :, 0] - trace.context, 0, atol=0.05)
    assert len(np.unique(trace.x[:, 0])) == trace.x[:, 0].size
    np.testing.assert_array_equal(rows_of(KEY, 2, prompts[:1])[1], [0, 1])


def test_prompts_with_a_proxy_per_seed():
    prompts = jnp.array([[-1.0], [0.5], [2.0]])
    target = PerSeed(aim_at_shifted, jnp.array([0.0, 4.0]))
    trace = push(ATTACKS[1], target, context=prompts, seeds=2, steps=[1000])
    end = trace.x[:, 1, 0] - trace.context
    np.testing.assert_allclose(end[:, 0], [0, 4] * 3, atol=0.05)


def test_rows_spread_over_devices():
    code = (
        "import json, test_trace as t\n"
        "spread = [len(t.rows_of(t.KEY, n)[0].key.devices()) for n in (4, 6, 5)]\n"
        "found = t.push(t.ATTACKS[2], steps=[1]).proxy.tolist()\n"
        "print(json.dumps([spread, found]))"
    )
    env = os.environ | {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", code]
    spread, found = json.loads(subprocess.check_output(command, env=env))
    assert spread == [4, 2, 1]
    one = push(ATTACKS[2], steps=[1]).proxy
    np.testing.assert_allclose(found, one, rtol=1e-5, atol=1e-5)


def test_steps_are_whole_numbers():
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        checkpoints(best_of_n(8), steps=[1.5, 2])
