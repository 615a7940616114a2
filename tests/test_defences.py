"""The leaderboard: planted curves through its tables, and its setting."""

import importlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import polars
import pytest

from benchmarks import _defences_setting as setup
from benchmarks import _defences_table as table
from benchmarks import _overoptimization_model as model
from robust import defence

command = importlib.import_module("benchmarks.defences")
D, T = 8, 6

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def planted():
    """`good` is worth 1 more than none at every end, to the digit; `b` is the worst."""
    rng = np.random.default_rng(0)
    noise = {a: rng.normal(size=(D, T)) for a in ("best_of_n", "b")}
    fall = {"best_of_n": np.linspace(0, 2, T), "b": np.linspace(0, -8, T)}
    none = {a: fall[a] + 0.1 * noise[a] for a in fall}
    curves = {a: {"none": c, "good": c + np.linspace(0, 1, T)} for a, c in none.items()}
    oracle = {a: 3.0 + np.zeros((D, T)) for a in fall}
    return table.board_of(curves, oracle, none["b"][:, -1] + 0.5, {"good": 7}), none


def test_ends_are_compared_by_redraw():
    board, none = planted()
    entry = board.entries["good"]["b"]
    np.testing.assert_allclose(entry.versus_none, 1.0, atol=1e-9)
    assert entry.end.mean == pytest.approx(none["b"][:, -1].mean() + 1)
    assert entry.regret.mean == pytest.approx(2 - none["b"][:, -1].mean())
    np.testing.assert_allclose(board.pessimism[1]["b"], 0.5, atol=1e-9)
    assert board.entries["none"]["b"].peak.mean == pytest.approx(0, abs=0.2)
    assert board.cost["good"].mean == pytest.approx(2 / (T - 1))


def test_the_worst_attack_is_picked_without_luck():
    """Of K attacks that are all noise, the one picked on others has mean 0.

    Standard error 1 / sqrt(400); five. The plain minimum is far below.
    """
    rng = np.random.default_rng(1)
    ends = {str(i): rng.normal(size=400) for i in range(6)}
    _, honest = table._worst(ends)
    assert abs(honest.mean) < 5 / 20
    assert table._worst({"a": np.ones(D), "b": np.zeros(D)}) == ("b", (0.0, 0.0, 0.0))


def test_files_and_words(tmp_path):
    board, _ = planted()
    table.write(tmp_path, {"gold": board})
    rows = polars.read_parquet(tmp_path / "leaderboard.parquet")
    kept = rows.filter(defence="good", attack="b", measure="versus_none")
    assert kept["mean"].item() == pytest.approx(1)
    record = json.loads((tmp_path / "leaderboard.json").read_text())
    assert record["schema"] == table.SCHEMA
    assert len(record["rows"]) == len(rows)
    table.draw(tmp_path / "gold.png", "gold", board)
    assert (tmp_path / "gold.png").stat().st_size > 10_000
    said = table.findings_of({"gold": board}, D)
    assert "the worst attack is b" in said.lines[0]
    assert "Against that attack good help" in said.lines[0]
    summary = said.tables["Gold 'gold': worst case and cost"]
    assert [row[0] for row in summary] == ["defence", "good", "none", "pessimism"]
    assert summary[1][1] == "b"
    assert summary[1][4] == "7"
    assert all(len(row) == len(rows[0]) for rows in said.details.values()
               for row in rows)  # fmt: skip


@pytest.fixture(scope="module")
def setting():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "STEPS", 40)
        patch.setattr(model, "_SCALED", 2**10)
        yield setup.draw_setting(jax.random.key(0), "sweetspot", 2)


def test_rows_are_the_targets(setting):
    plain = setup.plain_targets(jax.random.key(1), setting.params)
    targets = [defence.mean(plain[0]), defence.wco(plain[1])]
    x = jax.random.normal(jax.random.key(2), (5, model.DIM))
    goal = setup.stacked(targets)
    for row, target in enumerate(targets):
        found = goal(jnp.asarray(row)).proxy(x)
        np.testing.assert_allclose(found, target.proxy(x), rtol=1e-4, atol=1e-4)
    values = setup.gold_of(setting.golds, jnp.stack([x, x]))
    for target, value in zip(setup.gold_targets(setting), values, strict=True):
        np.testing.assert_allclose(target.proxy(x), value, rtol=1e-4, atol=1e-4)


def test_members_share_pairs_and_differ_in_their_start(setting):
    first = setting.params["first"]
    assert first.shape == (2, setup.MEMBERS, model.DIM, setup.WIDTH)
    assert len(np.unique(np.asarray(first)[0].reshape(setup.MEMBERS, -1)[:, 0])) == 5


def test_new_pairs_are_of_what_was_found_and_go_behind(setting):
    found = [(jnp.full((2, 3, 4, model.DIM), 9.0 + i), None) for i in range(2)]
    better, worse = setup.more_pairs(jax.random.key(3), setting, found)
    assert better.shape == (2, setup.PAIRS + 2 * setup.EXTRA, model.DIM)
    np.testing.assert_array_equal(better[:, : setup.PAIRS],
                                  setting.better[:, : setup.PAIRS])  # fmt: skip
    new = np.concatenate([better, worse])[:, setup.PAIRS :, 0]
    share = np.isin(new, (9.0, 10.0)).mean()
    assert share == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(new.size))
    assert not (new[:, : setup.EXTRA] == 10).any()


@pytest.mark.slow
def test_what_the_leaderboard_says_at_another_key(tmp_path):
    """Capping the score keeps the gold above the base under the worst attack; the mean
    of an ensemble does not. The t intervals of the board are all that is allowed."""
    said = command.defences(tmp_path, key=1, seeds=8, say=lambda phase, done: None)
    assert len(list(tmp_path.glob("*.png"))) == 2
    assert len(said.tables) == 2
    rows = polars.read_parquet(tmp_path / "leaderboard.parquet")
    worst = rows.filter(measure="worst", gold="sweetspot")
    low = dict(zip(worst["defence"], worst["low"], strict=True))
    high = dict(zip(worst["defence"], worst["high"], strict=True))
    assert low["quantilizer"] > 0
    assert low["early_stopping"] > 0
    assert high["mean"] < 0
