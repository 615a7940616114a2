"""Guarantees, handles and regret of whole studies with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attacks
from robust import Target, Task, bind, gaussian
from robust.show import summary
from robust.study import study

pytestmark = pytest.mark.usefixtures("compiled_quickly")

SMALL = {"seeds": 6, "keep": 64, "draws": 4096, "judged": 4096}
WEIGHT = jnp.array([1.0, 1.0, 0.0])


def linear(weight, x):
    return (x * weight[None]).sum(axis=1)


def judge(x):
    """Worth the first feature; what the second feigns costs double."""
    return x[:, 0] - 2 * np.abs(x[:, 1])


def oracle(x):
    return x[:, 0] - 2 * jnp.abs(x[:, 1])


TASK = Task(
    Target(bind(linear, WEIGHT), gaussian(3)), judge, oracle=oracle,
    handles={"honest": np.array([1, 0, 0], bool), "feigned": np.array([0, 1, 0], bool)},
)  # fmt: skip


@pytest.fixture(scope="module")
def found():
    climb = attacks.gradient_ascent(0.1, radius=3.0, steps=50)
    return study(
        TASK, [attacks.best_of_n(64), climb], key=jax.random.key(0),
        handles=True, regret=True, **SMALL,
    )  # fmt: skip


def test_handles_say_which_feature_is_hacked(found):
    by_name = {r.name: r for r in found.handles}
    assert set(by_name) == {"gradient_ascent@honest", "gradient_ascent@feigned"}
    honest, feigned = (by_name[f"gradient_ascent@{n}"] for n in ("honest", "feigned"))
    std = found.reference.scales[3].mean()
    # Each is free to move its one feature by 3 and no other.
    np.testing.assert_allclose(
        honest.curve.true[:, -1] - honest.curve.true[:, 0], 3 / std, rtol=0.05
    )
    assert (feigned.curve.true[:, -1] < feigned.curve.true[:, 0] - 1.5).all()
    moved = feigned.trace.x[:, -1] - feigned.trace.x[:, 0]
    np.testing.assert_array_equal(moved[..., [0, 2]], 0)


def test_regret_is_what_the_judge_would_have_given(found):
    """The judge's own climb gains 3 and sheds what |x1| there was, about .8 · 2."""
    regret = found.regret["gradient_ascent"]
    attack = found.results[1].curve.true[:, -1].mean()
    std = found.reference.scales[3].mean()
    ideal = regret.mean[-1] + attack
    assert ideal == pytest.approx((3 + 2 * np.sqrt(2 / np.pi)) / std, rel=0.1)
    assert regret.low[-1] > 2
    assert regret.mean[0] == pytest.approx(0)


def test_regret_at_equal_power_is_read_off_the_judges_own_curve(found):
    """Best-of-n on the judge has H_n - 1 nats of it, as best-of-n on the proxy has.

    So at equal power both regrets of best_of_n are one, up to the noise of power from
    6 x 64 candidates, 1/sqrt(384) nats, and as far as 4,096 judged draws reach.
    """
    best = found.results[0].curve
    equal, cost = found.regret_at_power["best_of_n"], found.regret["best_of_n"]
    known = np.isfinite(equal.mean)
    assert known.sum() >= 3
    np.testing.assert_allclose(equal.mean[known], cost.mean[known], atol=0.2)
    climb = found.regret_at_power["gradient_ascent"].mean
    assert np.isnan(climb[-1])  # the judge's own climb leaves what base draws resolve
    assert best.power.shape[1] == len(equal.mean)


def test_laws_are_fitted_where_the_kl_is_known(found):
    assert list(found.laws) == ["best_of_n"]
    assert summary.record(found)["laws"]["best_of_n"]["tested"] == pytest.approx(
        found.results[0].curve.kl.mean(axis=0)[-1]
    )


def test_guarantees_hold_where_they_are_given(found):
    best, climb = found.results
    assert np.isnan(climb.guaranteed).all()
    assert np.isfinite(best.guaranteed).all()
    np.testing.assert_array_equal(best.guaranteed[:, 0], 0)
    measured = best.curve.interval("true")
    assert (best.guaranteed.mean(axis=0) <= measured.high + 1e-9).all()
    assert np.isnan(climb.guaranteed_by_proxy).all()
    assert (best.guaranteed_by_proxy <= best.guaranteed + 1e-9).all()
    assert best.guaranteed_by_proxy.mean(axis=0).max() > 0


def test_all_of_it_is_said(found):
    text = "\n".join(summary.lines(found))
    for part in (
        "strongest of 2 attacks: gradient_ascent",
        "the proxy prefers the worse",
        "on the base, proxy and true value correlate",
        "tail of the proxy's error",
        "best-of-n by the calibration",
        "guaranteed for best_of_n",
        "; by Laidlaw et al. at most +",
        "gradient_ascent@feigned: proxy",
        "gradient_ascent on the judge itself would have reached",
        "best_of_n, law of the true gain",
        "sd more, at an equal power of",
    ):
        assert part in text
    record = summary.record(found)
    assert record["strongest"]["attack"] == "gradient_ascent"
    assert record["handles"].keys() == {
        "gradient_ascent@honest",
        "gradient_ascent@feigned",
    }
    assert len(record["guaranteed_by_proxy"]["best_of_n"]) > 1
    assert record["regret"]["gradient_ascent"]["mean"] > 2


@pytest.mark.parametrize(
    ("change", "option", "message"),
    [
        ({"handles": {}}, "handles", "the task names no handles; give Task"),
        ({"oracle": None}, "regret", "the task has no oracle"),
        ({}, "handles", "no attack searches inputs from a start"),
    ],
)
def test_what_a_task_lacks_is_said(change, option, message):
    with pytest.raises(ValueError, match=message):
        study(
            TASK._replace(**change), [attacks.best_of_n(4)], key=jax.random.key(0),
            **{option: True}, **SMALL,
        )  # fmt: skip


def test_prompts_and_their_oracle():
    """A judge of (x, prompt) as an oracle: its climb ends at the prompt."""
    prompts = jnp.array([[1.0, 0.0], [0.0, -2.0]])

    def near(x, prompt):
        return -((x - prompt) ** 2).sum(axis=1)

    task = Task(
        lambda prompt: Target(bind(linear, prompt), gaussian(2)),
        near, context=prompts, oracle=near,
    )  # fmt: skip
    found = study(
        task, [attacks.gradient_ascent(0.1, steps=60)], key=jax.random.key(0),
        regret=True, **(SMALL | {"seeds": 2}),
    )  # fmt: skip
    std, mean = found.reference.scales[3], found.reference.scales[2]
    best = np.asarray(found.regret["gradient_ascent"].mean[-1])
    reached = best + found.results[0].curve.true[:, -1].mean()
    assert reached == pytest.approx((-mean / std).mean(), rel=0.02)
