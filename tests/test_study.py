"""Planted proxies with known answers, through the whole pipeline."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attacks
from robust import PerSeed, Target, Task, bind, box, gaussian, stress
from robust.measure.causes import last_resolved
from robust.measure.verdict import MARGIN, Reason, Verdict
from robust.study import study

pytestmark = pytest.mark.usefixtures("compiled_quickly")

DIM = 4
SMALL = {"seeds": 8, "keep": 64, "draws": 2**14, "judged": 2048}


def linear(x):
    return x.sum(axis=1) / jnp.sqrt(x.shape[1])


def planted(judge, proxy=linear, base=None) -> Task:
    return Task(Target(bind(proxy), base or gaussian(DIM)), judge)


def run_all(task, **options):
    chosen = [attacks.splitting(12, 10), attacks.gradient_ascent(0.05, steps=100)]
    options = {**SMALL, "key": jax.random.key(3), **options}
    return {r.name: r for r in study(task, chosen, **options).results}


def verdicts(results):
    return {name: Verdict(int(r.divergence.verdict)) for name, r in results.items()}


def np_linear(x):
    return np.asarray(x, np.float64).sum(axis=1) / np.sqrt(x.shape[1])


def test_perfect_proxy_follows_the_judge():
    """Every attack delivers what it promises: gain = true gain, verdict robust.

    The base is a box, so gradient ascent converges (to the corner).
    """
    results = run_all(planted(np_linear, base=box(DIM)))
    assert set(verdicts(results).values()) == {Verdict.ROBUST}
    for result in results.values():
        curve = result.curve
        # Means of 64 kept slots against means of all: 5 standard errors of 64 draws.
        assert np.abs(curve.proxy - curve.true).max() < 5 / np.sqrt(64)
        assert result.divergence.divergence.low[-1] < 0.1


def test_reversed_judge_is_catastrophic():
    assert set(verdicts(run_all(planted(lambda x: -np_linear(x)))).values()) == {
        Verdict.CATASTROPHIC
    }


def test_hump_is_strong():
    """True value r - r^2 / 3 falls from r = 1.5 on; by its end it is below the base."""
    results = run_all(planted(lambda x: np_linear(x) - np_linear(x) ** 2 / 3))
    assert verdicts(results)["gradient_ascent"] is Verdict.CATASTROPHIC
    assert verdicts(results)["splitting"] in (Verdict.STRONG, Verdict.CATASTROPHIC)
    for result in results.values():
        assert result.divergence.drop.low > 0.1
        assert int(result.divergence.onset) > int(result.divergence.peak)


def test_judge_of_another_feature_is_never_robust():
    """A judge that the proxy says nothing about gains nothing."""
    results = run_all(planted(lambda x: np.asarray(x[:, 0] - x[:, 1], np.float64)))
    for result in results.values():
        assert verdicts({"": result})[""] in (Verdict.WEAK, Verdict.UNDECIDED)
        low, high = (result.curve.interval("true")[i][-1] for i in (1, 2))
        assert low < 0.1
        assert high > -0.1


def test_constant_proxy_is_degenerate():
    results = run_all(planted(np_linear, proxy=lambda x: 0 * x[:, 0]))
    assert set(verdicts(results).values()) == {Verdict.DEGENERATE}


def test_constant_judge_is_degenerate():
    results = run_all(planted(lambda x: np.ones(len(x))))
    assert set(verdicts(results).values()) == {Verdict.DEGENERATE}


def test_adversarial_part_is_of_the_optimizer_alone():
    """Judge: the proxy minus what leaves the plane of ordinary inputs.

    The proxy adds 2 x_3, which ordinary inputs (x_3 of deviation .1) barely use; the
    judge pays for |x_3|. Selection by score stays near the base and is not
    adversarial; the gradient goes along x_3.
    """
    std = jnp.array([1.0, 1.0, 1.0, 0.1])

    def proxy(x):
        return x[:, :3].sum(axis=1) + 2 * x[:, 3]

    def judge(x):
        x = np.asarray(x, np.float64)
        return x[:, :3].sum(axis=1) - 20 * np.maximum(np.abs(x[:, 3]) - 0.4, 0)

    task = planted(judge, proxy, gaussian(4, std=std))
    results = run_all(task)
    neutral, ascent = (results[n].causes for n in ("splitting", "gradient_ascent"))
    at = last_resolved(neutral.beyond)
    spread = neutral.adversarial[:, at]
    assert abs(spread.mean()) < 4 * spread.std(ddof=1) / np.sqrt(len(spread))
    at = last_resolved(ascent.beyond)
    assert ascent.adversarial[:, at].min() > 0.5


def test_causes_add_up_to_the_divergence_of_the_kept():
    results = run_all(planted(lambda x: np.tanh(np_linear(x))))
    for result in results.values():
        keep = result.true.shape[2]
        proxy = result.trace.proxy[:, :, :keep].mean(axis=2, dtype=np.float64)
        mean, std = result.curve.scales[:2]
        gap = (proxy - mean[:, None]) / std[:, None] - result.curve.true
        np.testing.assert_allclose(result.causes.divergence, gap, atol=1e-5)


def test_selection_agrees_with_what_calibration_predicts():
    """Splitting's true value lands on the curve that calibration predicts.

    Both are means over 8 seeds: 5 standard errors of their difference, and a tenth
    of the margin for the width of the calibration's bins.
    """
    task = planted(lambda x: np.tanh(np_linear(x)))
    found = study(task, [attacks.splitting(12, 10)], key=jax.random.key(5), **SMALL)
    power, expected = found.expected
    curve = found.results[0].curve
    for t in range(1, 10):
        predicted = [
            np.interp(p, power, line)
            for p, line in zip(curve.power[:, t], expected, strict=True)
        ]
        gap = curve.true[:, t] - predicted
        error = gap.std(ddof=1) / np.sqrt(len(gap))
        assert abs(gap.mean()) < 5 * error + MARGIN / 10


def test_one_proxy_per_seed():
    """Each seed's scales are its own: a proxy twice as large gains no more."""
    weights = jnp.linspace(1, 3, 8)[:, None] * jnp.ones((8, DIM))
    task = Task(PerSeed(bind(_weighted), weights), np_linear)
    results = run_all(task)
    assert results["splitting"].curve.proxy[:, -1].std() < 0.5
    with pytest.raises(ValueError, match="drawn for 8 seeds and 6 were asked"):
        run_all(task, seeds=6)


def _weighted(weights) -> Target:
    return Target(bind(_dot, weights), gaussian(DIM))


def _dot(weights, x):
    return x @ weights


def test_prompts_are_the_units():
    """Each prompt wants its own place; the judge agrees, so nothing breaks."""
    prompts = jnp.linspace(-0.5, 0.5, 7)

    def judge(x, context):
        return -((np.asarray(x) - np.asarray(context)[:, None]) ** 2).sum(axis=1)

    task = Task(_near, judge, context=prompts)
    results = run_all(task, seeds=2)
    curve = results["gradient_ascent"].curve
    assert curve.true.shape[0] == 7
    assert verdicts(results)["gradient_ascent"] in (Verdict.ROBUST, Verdict.WEAK)
    ends = results["gradient_ascent"].trace
    wanted = np.repeat(np.asarray(prompts), 2)[:, None] * np.ones(DIM)
    np.testing.assert_allclose(ends.x[:, -1].mean(axis=1), wanted, atol=0.05)


def _near(context) -> Target:
    return Target(bind(_minus_distance, context), gaussian(DIM))


def _minus_distance(context, x):
    return -((x - context) ** 2).sum(axis=1)


def test_raters_are_averaged():
    """Two raters whose mean is the judge give the judge's curve."""
    task = planted(np_linear)

    def raters(x):
        return np.stack([np_linear(x) + x[:, 0], np_linear(x) - x[:, 0]], axis=1)

    one, two = (run_all(t)["splitting"] for t in (task, task._replace(judge=raters)))
    assert two.true.shape == (*one.true.shape, 2)
    np.testing.assert_allclose(one.curve.true, two.curve.true, atol=1e-6)


def test_too_few_seeds_never_decide():
    result = run_all(planted(np_linear), seeds=4)["splitting"]
    assert result.divergence.verdict == Verdict.UNDECIDED
    assert result.divergence.reason == Reason.FEW_UNITS


def test_a_weak_attack_is_never_robust():
    """Five steps of a tiny rate: still climbing, so no verdict of robust."""
    chosen = [
        attacks.splitting(12, 10),
        attacks.gradient_ascent(1e-3, steps=5),
    ]
    found = study(planted(np_linear), chosen, key=jax.random.key(0), **SMALL)
    weak = found.results[1]
    assert {f.check for f in weak.findings if f.status.name == "FAIL"} >= {
        "budget doubling", "black box beats gradient"
    }  # fmt: skip
    assert weak.divergence.verdict == Verdict.UNDECIDED


def test_rounded_proxy_is_masked():
    """A rounded proxy has no gradient; splitting still climbs it."""

    def rounded(x):
        return jnp.round(4 * linear(x)) / 4

    result = run_all(planted(np_linear, proxy=rounded))["gradient_ascent"]
    failed = {f.check: f.value for f in result.findings if f.status.name == "FAIL"}
    assert failed["zero gradient"] == 1.0
    assert failed["black box beats gradient"] == 1.0


def test_every_attack_is_asked_what_it_can_tell():
    """The statuses of the checks that only some attacks can answer."""
    chosen = [
        attacks.splitting(8, 5),
        attacks.gradient_ascent(0.01, radius=1.0, restarts=2, steps=40),
        attacks.langevin(),
        attacks.tempering(10),
        attacks.evolution(steps=20),
    ]
    found = study(planted(np_linear), chosen, key=jax.random.key(0), **SMALL)
    asked = ("reach", "restarts", "chains", "weights", "coverage")
    said = {
        result.name: {
            f.check: f.status.name for f in result.findings if f.check in asked
        }
        for result in found.results
    }
    exempt = dict.fromkeys(asked, "EXEMPT")
    assert said == {
        "splitting": exempt,
        "gradient_ascent": exempt | {"reach": "WARN", "restarts": "WARN"},
        "langevin": exempt | {"chains": "OK"},
        "tempering": exempt | {"weights": "OK"},
        "evolution": exempt | {"coverage": "OK"},
    }


def test_one_family_alone_may_not_say_robust():
    task = planted(np_linear)
    curve = stress(task, attacks.splitting(12), key=jax.random.key(0), **SMALL)
    assert curve.names["attack"] == "splitting"
    found = study(task, [attacks.splitting(12)], key=jax.random.key(0), **SMALL)
    assert found.results[0].divergence.reason == Reason.UNHEALTHY


def test_the_curve_knows_its_diagnosis():
    """What `stress` returns says no more than the study that made it."""
    task = planted(np_linear, base=box(DIM))
    curve = stress(task, attacks.splitting(12), key=jax.random.key(0), **SMALL)
    assert not curve.healthy
    assert curve.divergence().reason == Reason.UNHEALTHY
    assert curve.divergence(healthy=True).verdict == Verdict.ROBUST


def test_a_ceiling_is_reported():
    """A capped proxy: P(top) = P(z > 1) = .159, so splitting ends below 2 nats."""

    def capped(x):
        return jnp.minimum(linear(x), 1.0)

    result = run_all(planted(np_linear, proxy=capped))["splitting"]
    (found,) = [f for f in result.findings if f.check == "plateau"]
    assert found.status.name == "WARN"
    assert "nothing scores above 1; the base does so with P = e^-1.8" in found.message


def test_nan_gradients_are_not_sound():
    """sqrt of a clipped input: finite scores, infinite gradient at half the base."""

    def kinked(x):
        return jnp.sqrt(jnp.maximum(x, 0.0)).sum(axis=1)

    result = run_all(planted(np_linear, proxy=kinked))["gradient_ascent"]
    (found,) = [f for f in result.findings if f.check == "zero gradient"]
    assert found.status.name == "FAIL"


def test_bad_scores_are_counted_and_located():
    def sometimes_nan(x):
        return np.where(np_linear(x) > 2, np.nan, 1.0)

    with pytest.raises(ValueError, match=r"judge returned NaN .* seed \d, draw \d+"):
        run_all(planted(sometimes_nan))
    with pytest.raises(ValueError, match=r"proxy returned NaN .* draw \d+"):
        run_all(planted(np_linear, proxy=lambda x: jnp.log(x[:, 0])))
    with pytest.raises(ValueError, match="one score per candidate, shape"):
        run_all(planted(lambda x: np.ones((len(x), 2, 2))))


def test_batch_dependence_is_refused():
    with pytest.raises(ValueError, match="score each row on its own"):
        run_all(planted(np_linear, proxy=lambda x: linear(x) + x[0, 0]))


def test_further_judges_see_the_same_inputs():
    """A reversed second judge mirrors the first, with the same diagnosis."""
    task = planted(np_linear)._replace(judges={"reversed": lambda x: -np_linear(x)})
    found = study(task, [attacks.best_of_n(64)], key=jax.random.key(3), **SMALL)
    (first,), (second,) = found.results, found.views["reversed"]
    np.testing.assert_allclose(second.curve.true, -first.curve.true, atol=1e-9)
    assert second.findings == first.findings
    assert Verdict(int(second.divergence.verdict)) is Verdict.CATASTROPHIC
