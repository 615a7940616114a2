"""The planted answers are true, the error bounds exact, and the pipeline sound."""

import json

import jax
import numpy as np
import pytest
from scipy import stats

from robust import planted, selftest
from robust.cli import command
from robust.measure.verdict import Verdict

PROBLEMS = {problem.name: problem for problem in planted.problems()}


@pytest.mark.parametrize(("count", "total"), [(0, 20), (3, 20), (20, 20), (7, 400)])
def test_clopper_pearson_agrees_with_scipy(count, total):
    want = stats.binomtest(count, total).proportion_ci(0.95, method="exact")
    assert selftest.clopper_pearson(count, total) == pytest.approx(tuple(want))


def test_the_planted_fall_is_three_margins():
    """The drop of best-of-n from its peak, by 400,000 draws a value of n; standard
    error of a mean 1/sqrt(400,000), of which 5 for two means."""
    rng, slope = np.random.default_rng(0), planted.fall_of_hump()
    worth = planted._hump(slope)

    def delivered(n):
        best = stats.norm.ppf(rng.random(400_000) ** (1 / n))
        return worth(best).mean()

    base = worth(rng.normal(size=10**6))
    sd = np.sqrt(base.var() + planted._NOISE**2)
    gains = np.array([delivered(2**k) for k in range(9)]) / sd
    assert gains.max() - gains[-1] == pytest.approx(planted.FALL, abs=5 * 0.0016 * 1.4)


def test_every_planted_problem_has_answers_of_known_attacks():
    made = {attack.name for attack in selftest.attacks()}
    for problem in PROBLEMS.values():
        assert problem.answers
        assert set(problem.answers) <= made
        for answer in problem.answers.values():
            assert answer.right
            assert not answer.right & answer.wrong
            assert not answer.alarms & answer.misses


def test_the_planted_scores_are_what_they_say():
    """Of 200,000 draws: the linear score is standard normal and independent of the
    other direction, the heavy one Student's t with 2 degrees plus a normal."""
    task = planted.task(PROBLEMS["heavy tail"], jax.random.key(0))
    x = task.target.base.sample(jax.random.key(1), 200_000)
    noise = np.asarray(task.target.proxy(x) - x[:, 0], np.float64)
    assert stats.kstest(noise, stats.t(2).cdf).pvalue > 1e-4
    np.testing.assert_allclose(task.judge(np.asarray(x)), x[:, 0], rtol=1e-6)
    linear = planted.task(PROBLEMS["flat"], jax.random.key(0))
    scores = np.asarray(linear.target.proxy(x))
    assert stats.kstest(scores, stats.norm.cdf).pvalue > 1e-4
    true = linear.judge(np.asarray(x, np.float64))
    assert abs(np.corrcoef(scores, true)[0, 1]) < 5 / np.sqrt(200_000)


@pytest.fixture(scope="module")
def rates():
    return selftest.selftest(2, jax.random.key(0))


def test_the_pipeline_gives_the_planted_answers(rates):
    """A sound pipeline errs in at most 5 % of 40 verdicts: 6 or more errors would be
    seen once in 50 runs."""
    assert sum(rate.wrong * rate.replicates for rate in rates) < 6
    falls = [rate for rate in rates if rate.problem in ("hump", "reversed")]
    assert np.mean([rate.right for rate in falls]) > 0.8
    assert selftest.sound(rates) is None


def test_a_pipeline_that_calls_everything_robust_is_found_out():
    cells = [
        selftest._rate(problem, name, [Verdict.ROBUST] * 60)
        for problem in PROBLEMS.values()
        for name in problem.answers
    ]
    wrong = {(c.problem, c.attack) for c in cells if c.wrong == 1}
    assert ("hump", "splitting") in wrong
    assert ("masked gradient", "gradient_ascent") in wrong
    assert ("truly robust", "splitting") not in wrong
    assert selftest.sound(cells) is False
    fine = [c for c in cells if c.wrong == 0]
    assert selftest.sound(fine) is True
    alarms, misses = (selftest.error_rate(cells, k) for k in ("alarms", "misses"))
    assert (alarms.count, alarms.total) == (0, 4 * 60)  # of four problems
    assert (misses.rate, misses.total) == (1.0, 6 * 60)  # of all but the robust one


def test_false_alarms_and_misses_are_told_apart():
    """A draw counts once, whichever of its attacks errs; bounds as scipy's."""
    worse = Verdict.CATASTROPHIC
    said = {
        ("flat", "best_of_n"): [Verdict.STRONG, Verdict.WEAK, Verdict.ROBUST],
        ("flat", "splitting"): [worse, Verdict.WEAK, Verdict.UNDECIDED],
        ("reversed", "splitting"): [Verdict.STRONG, Verdict.UNDECIDED, worse],
        ("truly robust", "splitting"): [Verdict.WEAK] * 3,
        ("masked gradient", "gradient_ascent"): [Verdict.UNDECIDED] * 3,
    }  # fmt: skip
    cells = [selftest._rate(PROBLEMS[p], name, v) for (p, name), v in said.items()]
    alarms, misses = (selftest.error_rate(cells, k) for k in ("alarms", "misses"))
    assert (alarms.count, alarms.total) == (1, 6)  # flat and truly robust
    assert (misses.count, misses.total) == (3, 9)  # flat, reversed, masked gradient
    want = stats.binomtest(3, 9).proportion_ci(0.95, method="exact")
    assert (misses.low, misses.high) == pytest.approx(tuple(want))
    assert selftest.error_rate(cells[-1:], "alarms") is None
    assert selftest.error_rate(cells[:1], "misses").count == 1


def test_replicates_must_be_positive(capsys):
    assert command(["selftest", "--replicates", "0"]) == 64
    assert "replicates is 0" in capsys.readouterr().err


@pytest.mark.parametrize("format_", ["table", "json", "markdown"])
def test_the_command_prints_and_says_how_it_ended(monkeypatch, capsys, rates, format_):
    monkeypatch.setattr(selftest, "selftest", lambda *_: rates)
    assert command(["selftest", "--format", format_]) == 0
    out = capsys.readouterr().out
    assert "masked gradient" in out
    if format_ == "json":
        record = json.loads(out)
        assert record["sound"] is None
        assert len(record["rates"]) == len(rates)
        assert record["false_alarm"]["total"] == 4 * 2
        assert record["miss"]["high"] > record["miss"]["rate"] >= record["miss"]["low"]
        assert record["rates"][0]["false_alarm"] is None
    else:
        assert "whole pipeline, any attack: false alarms " in " ".join(out.split())
    bad = [rate._replace(low=0.5, wrong=0.9) for rate in rates]
    monkeypatch.setattr(selftest, "selftest", lambda *_: bad)
    assert command(["selftest", "--format", format_]) == 1
