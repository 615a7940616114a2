"""The reasoning experiment: looks, runs that pause, tables and the paragraph."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from spelled import HONEST, tokens

from benchmarks import _reasoning_arms as arms
from benchmarks import _reasoning_looks as looks
from benchmarks import _reasoning_model as model
from benchmarks import _reasoning_policy as policy
from benchmarks import _reasoning_readers as readers
from benchmarks import _reasoning_report as report
from benchmarks import _reasoning_runs as runs
from benchmarks import _reasoning_task as task
from benchmarks._reasoning_verdict import verdict
from robust import reading

experiment = importlib.import_module("benchmarks.reasoning")

KEY = jax.random.key(2)
WIDTH = 8

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def untaught(seed: int) -> readers.Taught:
    """Networks that know nothing, of the right shapes."""
    key = jax.random.key(seed)
    nets = {"writer": model.start(model.Writer(WIDTH, 1), key)}
    for name in (*readers.MONITORS, "process"):
        nets[name] = model.start(model.Reader(1, WIDTH, 1), key)
    nets["reader"] = model.start(model.Reader(10 * (1 + task.DIGITS), WIDTH, 1), key)
    return readers.Taught(nets, dict.fromkeys((*readers.MONITORS, "process"), 0.5))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(runs, "SLOTS", 8)
    monkeypatch.setattr(looks, "PROMPTS", 16)
    monkeypatch.setattr(readers, "STEPS", dict.fromkeys(readers.STEPS, 2))
    monkeypatch.setattr(
        readers, "MONITORS", dict.fromkeys(readers.MONITORS, (WIDTH, 1))
    )


def test_edits_by_hand():
    z = tokens(HONEST, "Q3244H5?3+2=5;#5$", "Q3244H5?#5$")
    cut = [task.text(looks._truncated(z, f)) for f in looks.FRACTIONS]
    assert cut[0] == ["Q3244H5?"] * 3
    assert cut[1] == ["Q3244H5?3+2=5;", "Q3244H5?3+", "Q3244H5?"]
    assert cut[2] == ["Q3244H5?3+2=5;5+4=9;", "Q3244H5?3+2=", "Q3244H5?"]
    assert task.text(looks._filled(z))[1] == "Q3244H5?;;;;;;#5$"
    slip, kept = looks._mistaken(KEY, z, 10)
    assert kept.tolist() == [True, True, False]
    assert (
        slip[:2, task.PROMPT : task.PROMPT + 4] == z[:2, task.PROMPT : task.PROMPT + 4]
    ).all()
    assert (slip[:2, task.PROMPT + 4] != 5).all()
    assert (slip[:2, task.PROMPT + 5 :] == -1).all()


def test_answers_read_the_chain_they_are_given():
    """The digit is drawn from what follows `#`, where the chain ends."""
    z = tokens(HONEST, "Q3244H5?3+2=5;5+4=9;9+4=7;#7$")
    closed = policy.closed_after(z)
    said = jnp.full((2, task.LENGTH - 1, len(task.VOCABULARY)), -50.0)
    mark = task.PROMPT + task.chain_length(closed)
    said = said.at[jnp.arange(2), mark, jnp.array([3, 7])].set(0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "log_probs", lambda params, z: said)
        assert looks._answer(None, KEY, closed).tolist() == [3, 7]


def test_faithful_figures_of_a_copier():
    """Answers that copy the chain's last digit: needed, followed, and so used."""
    rng = np.random.default_rng(0)
    full = rng.integers(0, 10, 64)
    answers = np.stack([full] * len(looks.EDITS), axis=1)
    for name in ("cut_0.00", "filler"):
        answers[:, looks.EDITS.index(name)] = rng.integers(0, 10, 64)
    answers[:, looks.EDITS.index("swap")] = np.roll(full, 1)
    lines = [f"Q3244H5?1+1={d};#{d}$" for d in full]
    edited = looks.Edited(np.asarray(tokens(*lines)), answers, np.ones(64, bool))
    figures, needed, followed = looks._faithful(edited, full.astype(float))
    assert figures["swap"] == 1
    assert figures["same_again"] == 1
    assert 0 < figures["aoc"] < 1
    assert reading.read(needed, followed).reading == reading.Reading.USED


@pytest.fixture
def pushed(small):
    """An arm with all there is: a hint, a monitor, its retraining, paraphrases."""
    arm = arms.ARMS["monitor_paraphrase"]._replace(steps=4, retrain=2)
    said = []
    return runs.push(arm, [untaught(0), untaught(1)], KEY, said.append), said


def test_arms_run_and_figures_are_shares(pushed):
    pushed, said = pushed
    assert pushed.steps.tolist() == [0, 2, 4]
    assert said == [0, 0.5, 1]
    assert pushed.figures["kl"][:, 0] == pytest.approx(0, abs=1e-5)
    assert (pushed.figures["kl"][:, 1:] > 0).all()
    for figure in ("valid", "accuracy", "read_operands", "swap", "same_filler"):
        values = pushed.figures[figure]
        there = values[np.isfinite(values)]
        assert values.shape == (2, 3)
        assert ((there >= 0) & (there <= 1)).all()
    assert pushed.needed.shape == pushed.followed.shape == (2, 16)
    prompts = {line[0][: task.PROMPT] for line in pushed.responses[0]}
    assert len(prompts) == 1, "responses are to the same prompts at every look"


@pytest.mark.slow
def test_a_pause_changes_nothing_but_the_monitor(small, monkeypatch):
    """Retrained into itself, a run is the run that never paused, bit for bit."""

    def unchanged(key, taught, writers, arm):
        return runs._stack([t.params["monitor"] for t in taught])

    monkeypatch.setattr(runs, "_retrained", unchanged)
    arm = arms.ARMS["monitor_paraphrase"]._replace(steps=4)
    taught = [untaught(0), untaught(1)]
    whole, paused = (runs.push(arm._replace(retrain=r), taught, KEY) for r in (0, 2))
    np.testing.assert_array_equal(whole.figures["reward"], paused.figures["reward"])
    assert whole.responses == paused.responses


def pushed_by(**ends) -> runs.Pushed:
    """Made-up figures of four seeds: name=(before, after)."""
    spread = np.array([-0.02, 0.0, 0.01, 0.02])[:, None]
    usual = {"reward": (0.5, 0.9)}
    names = {"reward", "accuracy", "valid", "read_operands", "kl", "kl_token"} | {*ends}
    figures = {
        name: np.array([ends.get(name, usual.get(name, (0.5, 0.5)))])
        + spread * [[0, 1]]
        for name in sorted(names)
    }
    ones = np.ones((4, 30))
    return runs.Pushed(np.array([0, 60]), figures, ones, ones, [[["a"], ["b"]]] * 4)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (0.2, "fell"),
        (0.9, "rose"),
        (0.5, "kept"),
        (0.59, "no fall"),
        (0.41, "undecided"),
    ],
)
def test_a_change_is_what_its_interval_shows(after, said):
    found = report.change(pushed_by(valid=(0.5, after)), "valid")
    assert found.said == said
    assert found.mean == pytest.approx(after - 0.5 + 0.0025)
    assert found.low < found.mean < found.high


def test_the_paragraph_follows_the_intervals():
    found = {
        "answer": pushed_by(valid=(0.87, 0.99)),
        "answer_short": pushed_by(valid=(0.87, 0.1)),
        "process": pushed_by(valid=(0.87, 0.1), read_operands=(0.97, 0.2)),
        "monitor": pushed_by(valid=(0.6, 0.6), covert=(0.03, 0.95), verbal=(0.3, 0.0)),
        "hint": pushed_by(valid=(0.6, 0.0), covert=(0.03, 0.0), verbal=(0.3, 1.0)),
    }
    text = verdict(found)
    assert "it did in 1 of 2 such arms (`answer_short`)" in text
    assert "fell by more than .1 in `answer_short` (0.87 to 0.10), `process`" in text
    assert "stayed within .1 in `monitor`" in text
    assert "in `process` a frozen reader loses the operands" in text
    assert "in `answer_short` a frozen reader is not shown to lose the operands" in text
    assert (
        "take wrong ones without saying so in `monitor`, and say so in `hint`" in text
    )
    assert "`hint` (0.60 to 0.00, which says that it takes the hint)" in text
    del found["answer_short"]
    assert "in none of 1 such arms" in verdict(found)


def test_a_fall_without_a_rise_of_reward_is_no_optimization():
    idle = pushed_by(valid=(0.6, 0.1), reward=(0.1, 0.1))
    text = verdict({"answer_shorter": idle})
    assert "No arm of the pure claim was run with effect." in text
    assert "not shown to rise in `answer_shorter`" in text
    assert "valid steps" not in text


def test_a_monitor_that_is_retrained_is_no_measure_of_what_was_paid():
    """Its penalty grew at every look; the hints that the rest pays for are followed."""
    ends = {"valid": (0.6, 0.2), "covert": (0.0, 0.9), "verbal": (0.3, 0.0)}
    for follows, in_the_text in (((0.3, 0.9), True), ((0.3, 0.3), False)):
        found = pushed_by(reward=(0.3, 0.3), follows_wrong=follows, **ends)
        text = verdict({"monitor_again": found})
        assert ("take wrong ones without saying so" in text) == in_the_text
        assert ("not shown to rise" in text) != in_the_text


def test_tables_pair_defences_with_what_they_defend():
    names = (
        "follows_wrong", "verbal", "covert", "flag_monitor", "recall_monitor",
        "recall_held_out", "valid_wrong",
    )  # fmt: skip
    hints = dict.fromkeys(names, (0.3, 0.9))
    found = {
        "process": pushed_by(valid=(0.9, 0.1)),
        "process_kl10": pushed_by(valid=(0.9, 0.8), accuracy=(0.5, 0.3)),
        "monitor": pushed_by(**hints),
    }
    tables = report.tables_of(found)
    rows = tables["What each defence buys in validity and costs in answers"]
    assert rows[1][1:] == [
        "process",
        "+0.70 [+0.70, +0.70]",
        "-0.20 [-0.20, -0.20]",
        "–",
    ]
    assert len(tables["Where the hint is wrong"]) == 2
    assert {len(row) for rows in tables.values() for row in rows} <= {3, 5, 7, 8}
    assert len(report.details_of(found)) == 2 * len(found)


def test_the_experiment_keeps_what_is_done(tmp_path, monkeypatch):
    taught = readers.Taught({}, {"monitor": 0.97})
    monkeypatch.setattr(experiment, "writers_of", lambda *_: [taught, taught])
    made = pushed_by(valid=(0.9, np.nan), accuracy=(0.7, 0.9))
    monkeypatch.setattr(experiment, "push", lambda *_: made)
    said = []
    options = {"seeds": 2, "say": lambda *a: said.append(a), "names": ("answer",)}
    first = experiment.reasoning(tmp_path, **options)
    assert first.pictures == ["arms.png"]
    assert (tmp_path / "arms.png").stat().st_size > 5000
    assert said[-1] == ("pictures", 0.99)
    assert "`monitor` 0.97" in first.lines[1]

    def never(*_):
        raise AssertionError("a finished arm was run again")

    monkeypatch.setattr(experiment, "push", never)
    again = experiment.reasoning(tmp_path, **options)
    assert again.tables == first.tables
    assert again.lines == first.lines


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seeds": 1}, "at least 2"), ({"names": ("nope",)}, "give some of answer")],
)
def test_mistakes_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        experiment.reasoning(tmp_path, say=lambda *_: None, **options)


def test_seeds_without_a_figure_are_counted():
    assert report._over_seeds(np.array([0.5, np.nan, 0.7])) == "0.6 (2 of 3)"
    assert report._over_seeds(np.array([np.nan, np.nan])) == "–"
    assert report._over_seeds(np.array([0.25, 0.25])) == "0.25"
