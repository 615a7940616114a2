"""The strongest of all attacks: who takes part, who wins, at what cost."""

import jax
import numpy as np
import pytest

import attacks
from robust import Target, Task, bind, capabilities, gaussian, run, tokens
from robust.cli import command
from robust.measure.diagnosis import Status
from robust.show.summary import lines
from robust.study import study

pytestmark = pytest.mark.usefixtures("compiled_quickly")

TOKENS = Target(bind(lambda x: -(x != 2).sum(axis=1).astype(float)), tokens(5, 4))


@pytest.fixture(scope="module")
def trace():
    attack = attacks.worst_case(capabilities(TOKENS), steps=3)
    return run(attack, TOKENS, jax.random.key(0), seeds=3, slots=32, keep=32)


def test_winners_are_counted_and_shares_add_up(trace):
    won = np.stack([v for k, v in trace.info.items() if k.startswith("won_")])
    assert np.all(won[:, :, 0] == 0)
    risen = (trace.proxy > trace.proxy[:, :1]).mean(axis=2)
    total = won.sum(axis=0)
    assert np.all(total <= 1 + 1e-6)
    # A slot whose base draw was the best already has no winner.
    np.testing.assert_allclose(total, risen, atol=1e-6)


def test_no_attack_beats_it(trace):
    """Slot by slot it is the best of its parts, so no part is better in the mean."""
    best = trace.proxy[:, -1].mean()
    for part in (attacks.best_of_n(64), attacks.annealing(steps=30)):
        alone = run(part, TOKENS, jax.random.key(0), seeds=3, slots=32, steps=30)
        assert best >= alone.proxy[:, -1].mean() - 1e-6


def test_who_takes_part_is_decided_by_what_the_target_offers():
    names = {
        name.removeprefix("won_")
        for name in jax.eval_shape(
            lambda: run_info(attacks.worst_case(capabilities(TOKENS)))
        )
    }
    assert {"best_of_n", "splitting", "genetic", "annealing", "tempering"} <= names
    assert not names & {"gradient_ascent", "square", "langevin", "token_search"}
    assert "gradient" in attacks.worst_case().needs


def run_info(attack):
    key = jax.random.key(0)
    z = TOKENS.base.sample(key, 4)
    return attack.info(key, attack.init(key, z, TOKENS), TOKENS)


def test_costs_match():
    """Each part spends as near as whole steps allow to what the dearest does in one.

    So within half of one of its own steps; and the counts of all are the whole's.
    """
    names = ("annealing", "best_of_n", "genetic", "splitting", "tempering")
    attack = attacks.worst_case(frozenset({"move"}))
    parts = {name: getattr(attacks, name)().cost.queries for name in names}
    alone = {
        name: attacks.worst_case(attacks={name: {}, "tempering": {}}).cost.queries
        for name in names
    }
    dearest = max(parts.values())
    shares = {name: total - 2 - dearest for name, total in alone.items()}
    shares["tempering"] = dearest  # which stands beside itself once
    for name, own in parts.items():
        assert abs(shares[name] - dearest) <= own / 2, name
    assert attack.cost.queries == sum(shares.values()) + len(parts)
    assert attack.cost.grads == attack.cost.first_grads == 0


def test_parts_keep_the_radius_they_are_given():
    start = {"radius": 0.3}
    attack = attacks.worst_case(attacks={
        "gradient_ascent": {**start, "slots": 16}, "square": start,
    }, steps=3)  # fmt: skip
    target = Target(bind(lambda x: x.sum(axis=1)), gaussian(4))
    trace = run(attack, target, jax.random.key(0), seeds=2, slots=16, keep=16)
    moved = np.abs(trace.x - trace.x[:, :1]).max()
    assert 0.29 < moved <= 0.3 + 1e-6
    assert attack.slots == 16


def test_winners_are_named_by_slot(trace):
    names = [k for k in trace.info if k.startswith("won_")]
    winner = trace.info["winner"]
    assert winner.shape == trace.proxy.shape
    for place, name in enumerate(names):
        share = (winner == place).mean(axis=2)
        np.testing.assert_allclose(trace.info[name], share, atol=1e-6)
    np.testing.assert_array_equal(winner[:, 0], -1)


def test_a_lone_worst_case_is_both_families():
    """And no black box can show up a climb that it stands beside."""
    target = Target(bind(lambda x: x.sum(axis=1)), gaussian(3))
    task = Task(target, judge=lambda x: x.sum(axis=1))
    both = attacks.worst_case(attacks={"gradient_ascent": {}, "best_of_n": {}}, steps=4)
    small = {"seeds": 6, "keep": 16, "draws": 1024, "judged": 512, "table": False}
    found = study(task, [both], key=jax.random.key(0), **small)
    findings = {f.check: f for f in found.results[0].findings}
    assert findings["both families"].status is Status.OK
    assert findings["black box beats gradient"].status is Status.EXEMPT
    (line,) = (one for one in lines(found) if one.startswith("who found"))
    assert "of worst_case: gradient_ascent 100%" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attacks": {"worst_case": {}}}, "attacks names 'worst_case'; give names of"),
        ({"attacks": {"luck": {}}}, "attacks names 'luck'; give names of installed"),
        ({"attacks": {}}, "none of no attacks fits a target that offers continuous"),
        ({"attacks": {"token_search": {}}}, "none of token_search fits a target that"),
    ],
)
def test_parts_that_cannot_run_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        attacks.worst_case(**options)


def test_steps_must_be_positive():
    with pytest.raises(ValueError, match="steps is 0"):
        attacks.worst_case(steps=0)


@pytest.mark.slow
def test_the_command_makes_it_for_the_task(tmp_path, capsys, monkeypatch):
    file = tmp_path / "words.py"
    file.write_text(
        "import jax.numpy as jnp\n"
        "from robust import Target, Task, tokens\n"
        "def score(x):\n    return -(x != 2).sum(axis=1).astype(float)\n"
        "def task():\n"
        "    return Task(Target(score, tokens(5, 4)), judge=lambda x: x.mean(axis=1))\n"
    )
    monkeypatch.chdir(tmp_path)
    options = ["--attack", "worst_case", "--seeds", "2", "--out", "out"]
    assert command(["run", f"{file}:task", *options]) == 0
    assert "worst_case" in capsys.readouterr().out
