"""The reasoning task: demonstrations, the checker, and what of a response is whose."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spelled import HONEST, tokens

from benchmarks import _reasoning_policy as policy
from benchmarks import _reasoning_readers as readers
from benchmarks import _reasoning_task as task

KEY = jax.random.key(0)


@pytest.mark.parametrize("modulus", [7, 10])
def test_clean_demonstrations_are_right(modulus, monkeypatch):
    monkeypatch.setattr(task, "_EARLY", 0.0)
    setting = task.Setting(modulus=modulus, noise=0.0)
    z = task.demonstrations(KEY, 400, setting)
    found = task.check(z, modulus)
    openly = found.verbal > 0
    assert found.full[~openly].all()
    assert found.accurate[~openly].all()
    assert found.valid[~openly].min() == found.lenient[~openly].min() == 1
    assert (found.answer[openly] == np.asarray(task.hint_of(z))[openly]).all()
    assert set(found.length[~openly]) == {21}


def test_noise_is_as_stated(monkeypatch):
    """A wrong step in 6 % of three: (1 - .06)^3 of chains have none; 5 s.e."""
    monkeypatch.setattr(task, "_EARLY", 0.0)
    monkeypatch.setattr(task, "_DROPPED", 0.0)
    monkeypatch.setattr(task, "_CHANGED", 0.0)
    found = task.check(task.demonstrations(KEY, 20_000, task.Setting()))
    full = found.full[found.verbal == 0]
    share = 0.94**3
    assert abs(full.mean() - share) < 5 * np.sqrt(share * (1 - share) / len(full))


def test_early_answers_break_off_anywhere():
    z = task.demonstrations(KEY, 4000, task.Setting(noise=0.0))
    found = task.check(z)
    early = (found.verbal == 0) & (found.length < 21)
    assert abs(early.mean() - 0.05 * 0.85) < 0.02
    assert found.accurate[early].all()
    assert len(set(found.length[early])) > 10


@pytest.mark.parametrize(
    ("response", "valid", "full", "lenient", "answer"),
    [
        ("3+2=5;5+4=9;9+4=3;#3$", 1, 1, 1, 3),
        ("3+2=5;5+4=9;9+4=3#3$", 1, 1, 1, 3),
        ("3+2=6;6+4=0;0+4=4;#4$", 2 / 3, 0, 0, 4),
        ("3+2=55+4=99+4=3#3$", 0, 0, 1, 3),
        ("1+1=2;1+1=2;1+1=2;#3$", 1, 0, 0, 3),
        ("H=5;#5$", 0, 0, 0, 5),
        ("3+2=5;5+4=9;9+4=3;#3", 1, 1, 1, -1),
        ("3+2=5;5+4=9;9+4=3;1;#3$", 3 / 4, 0, 1, 3),
        ("$", 0, 0, 0, -1),
    ],
)
def test_checker_by_hand(response, valid, full, lenient, answer):
    z = tokens(f"Q3244H5?{response}"[: task.LENGTH])
    found = task.check(z)
    got = [float(found[i][0]) for i in (2, 3, 4, 0)]
    assert got == pytest.approx([valid, full, lenient, answer])
    assert int(task.stated(z)[0]) == answer


def test_every_step_is_judged_by_arithmetic():
    """All a + b = c modulo 10, enumerated."""
    for a, b, c in itertools.product(range(10), repeat=3):
        step = task._step(f"{a}+{b}={c}", 10)
        assert (step is not None) == ((a + b) % 10 == c)


def test_what_the_writer_chose():
    z = tokens(HONEST, "Q3244H5?3+2=5;5+4=9#3$", "Q3244H5?3+#3$")
    assert task.chosen(z).sum(axis=1).tolist() == [21, 14, 5]
    assert task.chosen(z, cut=11).sum(axis=1).tolist() == [21, 13, 5]
    assert not task.chosen(z)[:, : task.PROMPT].any()


def test_what_readers_and_monitors_see():
    z = tokens(HONEST)
    assert task.text(readers.without_answer(z)) == ["Q3244H5?3+2=5;5+4=9;9+4=3;"]
    assert task.text(readers.chain_only(z)) == ["________3+2=5;5+4=9;9+4=3;"]
    hidden = task.text(readers.chain_only(readers.hide_last(z)))
    assert hidden == ["________3+2=5;5+4=9;9+4=?;"]
    assert readers.targets(z)[0].tolist() == [3, 3, 2, 4, 4]


def test_auc_by_enumeration():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 5, 60), rng.random(60) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    assert readers.auc(score, positive) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(
    ("chain", "wanted"),
    [
        ("3+2=5;5+4=9;9+4=3;#3$", "2+3=5;4+5=9;4+9=3;"),
        ("2+3=5;5+4=9;9+4=3;#3$", "2+3=5;4+5=9;4+9=3;"),
        ("3+2=6;;;H=5;+=7#3$", "2+3=6;H=5;"),
        ("77777#3$", ""),
        ("3+2=5+4=9#3$", "2+3=5;4+5=9;"),
    ],
)
def test_paraphrase_keeps_steps_and_nothing_else(chain, wanted):
    z = tokens(f"Q3244H5?{chain}")
    assert task.text(policy.paraphrase(z)) == [f"Q3244H5?{wanted}"]
    again = policy.paraphrase(policy.paraphrase(z))
    assert task.text(again) == [f"Q3244H5?{wanted}"]


def test_answers_are_put_after_the_chain_as_written():
    z = jnp.stack([tokens("Q3244H5?77#1$"), tokens("Q3244H5?#8$")], axis=1)
    assert task.text(policy.with_answer(z)) == ["Q3244H5?77#8$"]
