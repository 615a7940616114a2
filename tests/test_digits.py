"""The default task: what its proxy, judge and base are, and that it breaks."""

import jax
import numpy as np
import pytest

import attacks
import benchmarks
from benchmarks._digits_judge import Judge, thirds
from robust import PerSeed
from robust.measure.verdict import Verdict
from robust.study import study
from robust.target import resolve


@pytest.fixture(scope="module")
def task():
    return benchmarks.digits(seeds=6)


def test_thirds_are_disjoint_and_complete():
    parts = [x for x, _ in thirds()]
    assert sum(map(len, parts)) == 1797
    rows = {row.tobytes() for part in parts for row in part}
    assert sum(len({row.tobytes() for row in part}) for part in parts) == len(rows)


def test_proxy_ranks_held_out_scans(task):
    """Held-out AUC of every seed at or above .99, as the fact says."""
    assert isinstance(task.target, PerSeed)
    lowest = float(task.facts["proxy"].split("lowest of 6 seeds ")[1].split(";")[0])
    assert lowest >= 0.99


def test_judge_scores_real_scans():
    """Real scans that the judge never saw: 3s high, others low, order nearly right."""
    text = benchmarks.digits(seeds=1).facts["judge"]()
    area = float(text.rpartition("AUC ")[2])
    assert area > 0.99


def test_authenticity_falls_with_distance_from_real_threes():
    """A real 3 loses its value as it is pushed out of the region of real 3s."""
    x, y = thirds()[2]
    three = x[y == 3][:20]
    judge, panel = Judge(3), Judge(3, authenticity=False)
    assert (judge(three) <= panel(three)).all()
    alone = {name: judge.alone(name)(three) for name in judge.names}
    np.testing.assert_allclose(
        judge(three), alone["all four"] * alone["authenticity"], rtol=1e-12
    )
    flipped = 1 - three
    assert judge(flipped).max() < 0.05
    noise = np.random.default_rng(0).random((20, 64), np.float32)
    assert judge(noise).max() < 0.05


def test_base_stays_legal_and_its_move_leaves_it_invariant(task):
    """Moved base draws have the scores of fresh ones: two-sample z of the mean.

    Standard error sqrt(2 var / N); 5 of them.
    """
    target = resolve(task.target, 0)
    keys = jax.random.split(jax.random.key(2), 3)
    z = target.base.sample(keys[0], 8192)
    moved = target.base.move(keys[1], z, 0.3)
    x, fresh = target.base.decode(moved), target.base.decode(z)
    assert float(x.min()) >= 0
    assert float(x.max()) <= 1
    a, b = target.proxy(x), target.proxy(fresh)
    assert abs(a.mean() - b.mean()) < 5 * np.sqrt(2 * b.var() / len(b))
    assert abs(a.std() / b.std() - 1) < 0.05


def test_images_are_squares(task):
    assert task.render(np.zeros((3, 64))).shape == (3, 8, 8)


def test_bad_arguments():
    with pytest.raises(ValueError, match="a digit from 0 to 9"):
        benchmarks.digits(concept=11)


def test_gradient_breaks_it_and_selection_does_not():
    """The finding that the README shows, with other proxies and other randomness."""
    task = benchmarks.digits(jax.random.key(11), seeds=8)
    chosen = [attacks.splitting(16), attacks.gradient_ascent(0.02)]
    found = study(
        task, chosen, key=jax.random.key(7), seeds=8, draws=2**15, judged=1024
    )
    neutral, ascent = found.results
    assert ascent.divergence.verdict in (Verdict.STRONG, Verdict.CATASTROPHIC)
    assert ascent.divergence.drop.low > 0.5
    assert neutral.divergence.verdict == Verdict.ROBUST
    assert neutral.curve.interval("true").low[-1] > 3
    for result in found.results:
        x = result.trace.x
        assert x.min() >= 0
        assert x.max() <= 1
