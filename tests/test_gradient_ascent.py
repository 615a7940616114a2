"""Gradient ascent: exact projections, step halving, restarts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from attacks import gradient_ascent
from robust import Target, bind, box, gaussian, product, run
from robust.measure import diagnosis

KEY = jax.random.key(0)
NORMS = {
    "linf": lambda o: np.abs(o).max(axis=-1),
    "l2": lambda o: np.sqrt((o**2).sum(axis=-1)),
    "l1": lambda o: np.abs(o).sum(axis=-1),
}
BEST = {"linf": "l1", "l2": "l2", "l1": "linf"}  # the norm dual to each
WEIGHTS = np.array([3.0, -1.0, 0.5, 0.0, -2.0], np.float32)


def linear(weights, x):
    return (x * weights[None]).sum(axis=1)


def quadratic(widths, x):
    return -((x * widths[None]) ** 2).sum(axis=1)


def push(attack, proxy, base, **options):
    options = {"seeds": 1, "slots": 32, "keep": 32} | options
    return run(attack, Target(proxy, base), KEY, **options)


def nearest_in_l1(point, radius):
    """By a general solver: positive and negative parts, both at least 0."""
    n = len(point)

    def far(parts):
        return ((parts[:n] - parts[n:] - point) ** 2).sum()

    def slope(parts):
        off = 2 * (parts[:n] - parts[n:] - point)
        return np.concatenate([off, -off])

    room = {
        "type": "ineq", "fun": lambda parts: radius - parts.sum(),
        "jac": lambda parts: -np.ones(2 * n),
    }  # fmt: skip
    found = optimize.minimize(
        far, np.zeros(2 * n), jac=slope, bounds=[(0, None)] * 2 * n,
        constraints=[room], method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    return found.x[:n] - found.x[n:]


def stepped_to(point, radius, norm):
    """Where one plain step towards `point` from 0 ends: its projection."""
    point = jnp.asarray(point, jnp.float32)
    attack = gradient_ascent(1.0, optimizer=_SGD, radius=radius, norm=norm)
    target = Target(bind(linear, point), gaussian(len(point)))
    state = attack.init(KEY, jnp.zeros((1, len(point))), target)
    return np.asarray(attack.step(KEY, state, target).x[0], float)


_SGD = optax.sgd(1.0)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-40, 40), min_size=4, max_size=4), st.integers(1, 40))
def test_l1_projection_is_the_nearest_point(tenths, radius):
    """Against a general solver, which finds it to about 1e-4."""
    point, radius = np.array(tenths) / 10, radius / 10
    got, want = stepped_to(point, radius, "l1"), nearest_in_l1(point, radius)
    assert np.abs(got).sum() <= radius * (1 + 1e-5)
    np.testing.assert_allclose(got, want, atol=2e-3)


@pytest.mark.parametrize("optimizer", ["sgd", "auto"])
@pytest.mark.parametrize("norm", NORMS)
def test_a_linear_score_gains_the_dual_norm(norm, optimizer):
    """The best in a ball of radius r gains r times the dual norm of the weights."""
    optimizer = _SGD if optimizer == "sgd" else optimizer
    attack = gradient_ascent(radius=0.5, norm=norm, optimizer=optimizer)
    trace = push(attack, bind(linear, jnp.asarray(WEIGHTS)), gaussian(5))
    gain = trace.proxy[:, -1] - trace.proxy[:, 0]
    most = 0.5 * NORMS[BEST[norm]](WEIGHTS)
    assert np.all(gain >= 0.99 * most)
    assert np.all(gain <= most * (1 + 1e-4))
    assert NORMS[norm](trace.x - trace.x[:, :1]).max() <= 0.5 * (1 + 1e-4)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_a_tree_has_one_ball(norm):
    base = product(a=gaussian(2), b=box((2, 2)))

    def proxy(x):
        return x["a"].sum(axis=1) - x["b"].sum(axis=(1, 2))

    x = push(gradient_ascent(radius=0.3, norm=norm), proxy, base).x
    flat = np.concatenate([x["a"], x["b"].reshape(*x["b"].shape[:3], -1)], axis=-1)
    assert NORMS[norm](flat - flat[:, :1]).max() <= 0.3 * (1 + 1e-4)
    assert flat[..., 2:].min() >= 0


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_auto_needs_no_step_size(norm, unit):
    """A bowl 30 times steeper one way, in any unit: 99.9 % of the way in 100 steps."""
    widths = jnp.array([1.0, 30.0, 1.0]) / unit
    attack = gradient_ascent(optimizer="auto", norm=norm, steps=100)
    proxy = push(attack, bind(quadratic, widths), gaussian(3, std=unit)).proxy
    assert proxy[:, -1].mean() > 1e-3 * proxy[:, 0].mean()


def test_auto_halves_as_in_the_paper():
    """On a score that never rises all 8 checkpoints halve, and nothing moves.

    100 steps: at 22, 41, 57, 70, 80, 87, 93 and 99 (Croce & Hein 2020, section 3.2).
    """
    attack = gradient_ascent(optimizer="auto", steps=100)
    target = Target(lambda x: -jnp.abs(x).sum(axis=1), gaussian(2))
    z = jnp.zeros((4, 2))
    step = jax.jit(lambda key, state: attack.step(key, state, target))
    state, seen = attack.init(KEY, z, target), []
    for t in range(100):
        before = state.optimizer.rate
        state = step(KEY, state)
        if np.all(state.optimizer.rate == before / 2):
            seen.append(t + 1)
    assert seen == [22, 41, 57, 70, 80, 87, 93, 99]
    np.testing.assert_array_equal(state.best, z)


def test_auto_keeps_its_step_while_scores_rise():
    attack = gradient_ascent(optimizer="auto", steps=100)
    target = Target(bind(linear, jnp.ones(2)), gaussian(2))
    state = attack.init(KEY, target.base.sample(KEY, 4), target)
    for _ in range(30):
        state = attack.step(KEY, state, target)
    np.testing.assert_array_equal(state.optimizer.rate, 2.0)


def valleys(x):
    """Two basins either side of 0; the left one is better, by 1."""
    return jnp.where(x[:, 0] < -1, 1.0, 0.0) - (jnp.abs(x[:, 0] + 1) - 1) ** 2


@pytest.mark.parametrize("optimizer", ["adam", "auto"])
def test_restarts_find_basins_that_one_climb_misses(optimizer):
    """A slot's 12 climbs all miss the better basin as often as one does, to the 12th.

    Within 5 standard errors: of two binomial shares, the first to the 12th power.
    """
    options = {"optimizer": "auto"} if optimizer == "auto" else {}
    options = {"steps": 240} | options
    shares = []
    for restarts in (1, 12):
        attack = gradient_ascent(restarts=restarts, **options)
        trace = push(attack, valleys, gaussian(1), slots=1000, keep=1000)
        assert np.all(np.diff(trace.proxy, axis=1) >= 0)
        shares.append((trace.x[0, -1, :, 0] < -1).mean())
    once, often = shares
    missed = (1 - once) ** 12
    error = np.sqrt(missed * (1 - missed) / 1000 + 144 * once * (1 - once) / 1000)
    assert abs((1 - often) - missed) <= 5 * error


def diagnosed(proxy, base, **options):
    """Status of the checks of reach and of restarts."""
    trace = push(gradient_ascent(**options), proxy, base, slots=256)
    gain = trace.proxy.mean(axis=2, dtype=float)
    climb = int(trace.info["climb"][0, -1])
    found = (
        diagnosis.reach(trace.info.get("reach")),
        diagnosis.restarts(gain, trace.steps, climb),
    )
    return [finding.status.name for finding in found]


def waves(x):
    return jnp.cos(3 * x).sum(axis=1) + jnp.sin(x).sum(axis=1)


def test_its_diagnosis_knows_what_steps_and_restarts_can_do():
    """Five small steps do not reach an edge, restarts among waves find ever more."""
    proxy = bind(linear, jnp.asarray(WEIGHTS))
    for norm, length in (("linf", 1), ("l2", 5**0.5), ("l1", 5)):
        options = {"learning_rate": 0.1, "steps": 5, "norm": norm}
        for radius, status in ((0.49 * length, "OK"), (0.51 * length, "WARN")):
            assert diagnosed(proxy, gaussian(5), radius=radius, **options)[0] == status
    assert diagnosed(proxy, gaussian(5), optimizer="auto", radius=9.0)[0] == "EXEMPT"
    assert diagnosed(proxy, gaussian(5)) == ["EXEMPT", "EXEMPT"]
    climbs = {"restarts": 5, "optimizer": "auto", "steps": 200}
    bowl = bind(quadratic, jnp.ones(5))
    assert diagnosed(bowl, gaussian(5), **climbs)[1] == "OK"
    assert diagnosed(waves, gaussian(5), **climbs)[1] == "WARN"


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_by_default_it_needs_no_step_size(norm, unit):
    """In any ball and any unit it reaches a linear proxy's optimum: the dual norm."""
    dual = {"linf": 1, "l2": 2, "l1": np.inf}[norm]
    best = np.linalg.norm(WEIGHTS, dual)
    proxy = bind(linear, jnp.asarray(WEIGHTS / unit))
    attack = gradient_ascent(radius=0.5 * unit, norm=norm, steps=50)
    trace = push(attack, proxy, gaussian(5, std=unit))
    gain = trace.proxy[:, -1] - trace.proxy[:, 0]
    np.testing.assert_allclose(gain, 0.5 * best, rtol=1e-3)


def test_a_learning_rate_is_adams():
    proxy, base = bind(linear, jnp.asarray(WEIGHTS)), gaussian(5)
    x = push(gradient_ascent(0.1, steps=1), proxy, base).x
    wanted = np.broadcast_to(0.1 * np.sign(WEIGHTS), x[:, 0].shape)
    np.testing.assert_allclose(x[:, -1] - x[:, 0], wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["polyak_sgd", "sm3", "lion", "adafactor", "rprop"])
def test_optimizers_of_every_kind_climb(name):
    """Those that read the value, keep factored states, or take signs."""
    made = getattr(optax, name)
    optimizer = made() if name in ("polyak_sgd", "adafactor") else made(1.0)
    bowl = bind(quadratic, jnp.ones(5))
    trace = push(gradient_ascent(0.1, optimizer=optimizer, steps=40), bowl, gaussian(5))
    start, end = trace.proxy[:, 0].mean(), trace.proxy[:, -1].mean()
    assert end > 0.5 * start  # the optimum is 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l3"}, "norm is 'l3'; give 'linf', 'l2' or 'l1'"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd'; give 'auto' or optax's own"),
        (
            {"optimizer": optax.lbfgs()},
            "does not run on values and gradients alone .*'value_fn'.*a line search",
        ),
        ({"restarts": 0}, "restarts is 0; give a number above zero"),
        ({"radius": -1.0}, "radius is -1.0; give a number above zero"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        gradient_ascent(**options)
