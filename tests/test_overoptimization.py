"""The over-optimization experiment: golds, training, power, and the tests of claims."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import robust.attack
from benchmarks import _overoptimization_claims as claims
from benchmarks import _overoptimization_gold as golden
from benchmarks import _overoptimization_model as model
from benchmarks import _overoptimization_runs as runs
from robust import cli as main
from robust.target import capabilities, resolve

command = importlib.import_module("benchmarks.overoptimization")
cell_task = importlib.import_module("benchmarks.overoptimization_cell")

pytestmark = pytest.mark.usefixtures("compiled_quickly")

CELLS = [
    model.Cell("sweetspot", 3, 200),
    model.Cell("sweetspot", 6, 400),
    model.Cell("gp", 6, 400),
]
REDRAWS, SCALED = 3, 2**12


@pytest.fixture(scope="module")
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "STEPS", 100)
        patch.setattr(golden, "_SCALED", SCALED)
        yield


@pytest.fixture(scope="module")
def proxies(few_steps):
    return jax.device_get(model.train_proxies(jax.random.key(0), CELLS, REDRAWS))


@pytest.mark.parametrize("kind", golden.GOLDS)
def test_golds_are_standardised(kind, few_steps):
    """Mean 0, standard deviation 1 on fresh draws.

    Both come from N = 4,096 draws, and so do the fresh ones: standard errors
    sqrt(2 / N) of the mean and sqrt((kurtosis - 1) / 2N) of the deviation. Five.
    """
    gold = golden.draw_gold(jax.random.key(1), kind)
    x = jax.random.normal(jax.random.key(2), (SCALED, golden.DIM))
    value = np.asarray(golden.gold_value(gold, x), float)
    spread = np.sqrt((np.mean((value - value.mean()) ** 4) - 1) / 2 / SCALED)
    assert abs(value.mean()) < 5 * np.sqrt(2 / SCALED)
    assert abs(value.std() - 1) < 5 * spread


def test_sweet_spot_is_the_sum_that_the_docstring_says():
    gold = golden.draw_gold(jax.random.key(1), "sweetspot")
    x = jax.random.normal(jax.random.key(3), (5, golden.DIM))
    raw = [
        -sum(
            gold["weight"][j]
            * (
                4
                * (
                    np.sqrt(1 + ((row @ gold["axes"])[j] - gold["best"][j]) ** 2 / 4)
                    - 1
                )
            )
            for j in range(golden.DIM)
        )
        for row in np.asarray(x)
    ]
    want = (np.array(raw) - gold["mean"]) / gold["std"]
    np.testing.assert_allclose(golden.gold_value(gold, x), want, rtol=1e-4, atol=1e-4)
    best = gold["axes"] @ gold["best"]
    assert golden.gold_value(gold, best[None])[0] == pytest.approx(
        float(-gold["mean"] / gold["std"]), abs=1e-4
    )


def test_labels_are_bradley_terry():
    """A pair is labelled by its gold with probability sigmoid(difference).

    Standard error of the mean of N independent labels less their probabilities:
    sqrt(mean p (1 - p) / N). Five of them.
    """
    gold, num = golden.draw_gold(jax.random.key(1), "sweetspot"), 20_000
    better, worse = model.preferences(jax.random.key(4), gold, num)
    apart = np.asarray(golden.gold_value(gold, better) - golden.gold_value(gold, worse))
    p = 1 / (1 + np.exp(-np.abs(apart)))
    error = np.sqrt(np.mean(p * (1 - p)) / num)
    assert abs(np.mean(apart > 0) - p.mean()) < 5 * error


def test_narrow_networks_stay_narrow_in_the_padded_program(proxies):
    """Units beyond the width are zero to the bit after training, the others not."""
    for i, cell in enumerate(CELLS):
        rows = slice(i * REDRAWS, (i + 1) * REDRAWS)
        second = proxies.params["second"][rows]
        assert not second[:, cell.width :].any()
        assert not second[:, :, cell.width :].any()
        assert not proxies.params["first_bias"][rows, cell.width :].any()
        assert second[:, : cell.width, : cell.width].all()


def test_rooms_change_nothing_but_rounding(few_steps):
    """A network computed in its own room learns what it learns in a wider one.

    Twenty steps, in which float32 sums of other lengths part by less than 1e-4.
    """
    keys = jax.random.split(jax.random.key(7), 3)
    better, worse = jax.random.normal(jax.random.key(8), (2, 1, 200, golden.DIM))

    def trained(rooms):
        return model.fit_all.__wrapped__(
            keys, np.array([3, 6, 3]), np.full(3, 200), np.zeros(3, int), better, worse,
            widest=8, rooms=rooms,
        )[0]  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "STEPS", 20)
        found, want = trained((4, 8, 4)), trained(None)
    assert found["second"].shape == (3, 8, 8)
    for name, leaf in want.items():
        np.testing.assert_allclose(found[name], leaf, rtol=1e-3, atol=1e-4)
    assert [model.room_of(w) for w in (1, 16, 17, 32, 33)] == [16, 16, 32, 32, 64]


def test_cut_networks_score_as_padded_ones(proxies):
    x = jax.random.normal(jax.random.key(5), (50, golden.DIM))
    cut = runs._narrow(proxies.params, np.arange(REDRAWS), 3)
    assert cut["second"].shape == (REDRAWS, 3, 3)
    for row in range(REDRAWS):
        params = [jax.tree.map(lambda a, r=row: a[r], p) for p in (cut, proxies.params)]
        np.testing.assert_allclose(
            *(model.score(p, x) for p in params), rtol=1e-5, atol=1e-5
        )


def test_training_and_validation_pairs(few_steps):
    """Preferences for a large first coordinate are learned; of 400 pairs the first 80
    give the accuracy, the others the weights, and what lies behind gives nothing.

    Correlations of what is learned from noise, which has no direction in 16, with that
    coordinate have standard deviation 1/4, their mean over two proxies .18. Four.
    """
    keys = jax.random.split(jax.random.key(6), 2)
    a, b = jax.random.normal(keys[0], (2, 2, 500, golden.DIM))
    first = (a[..., :1] > b[..., :1]) | jnp.zeros(a.shape, bool)
    better, worse = jnp.where(first, a, b), jnp.where(first, b, a)

    def trained(better):
        return model.fit_all(
            keys, np.array([16, 16]), np.array([400, 400]), np.arange(2), better, worse,
            widest=16,
        )  # fmt: skip

    weights, accuracy = trained(better)
    score = jax.vmap(model.score)(weights, a)
    rho = [np.corrcoef(*p)[0, 1] for p in zip(score, a[..., 0], strict=True)]
    assert np.mean(rho) > 4 * 0.18
    behind = trained(better.at[:, 400:].set(9.0))
    jax.tree.map(np.testing.assert_array_equal, behind, (weights, accuracy))
    assert (trained(better.at[:, 80:400].set(9.0))[0]["last"] != weights["last"]).any()
    assert (accuracy > 0).all()
    assert (trained(better.at[:, :80].set(worse[:, :80]))[1] == 0).all()


def test_same_key_same_bits(few_steps, proxies):
    again = model.train_proxies(jax.random.key(0), CELLS, REDRAWS)
    jax.tree.map(np.testing.assert_array_equal, again.params, proxies.params)


@pytest.mark.parametrize(
    ("cells", "redraws", "said"),
    [
        ([model.Cell("oracle", 4, 100)], 2, "gold='oracle'; give one of"),
        ([model.Cell("gp", 0, 100)], 2, "give a width of 1 and 10 pairs"),
        ([model.Cell("gp", 4, 100)], 0, "0 redraws of 1 cells"),
    ],
)
def test_bad_numbers_are_refused(cells, redraws, said):
    with pytest.raises(ValueError, match=said):
        model.train_proxies(jax.random.key(0), cells, redraws)


def test_power_is_the_rank_under_the_base():
    """Standard normal scores: -ln P is that of the normal distribution.

    Counted from 65,536 draws with at least 100 above, a standard error of .1 nats at
    the join; the table goes on exactly. Five of them.
    """
    draws = np.sort(np.random.default_rng(0).normal(size=(1, 2**16)), axis=1)
    power = np.arange(1, 60) * np.log(2)
    level = norm.isf(np.exp(-power))
    table = [a[0] for a in runs.power_table(draws, level[None], power[None])]
    assert (np.diff(table[1]) >= 0).all()
    scores = np.array([0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 9.5])
    found, beyond = runs.nats(scores, *table)
    np.testing.assert_allclose(found[:-1], -norm.logsf(scores[:-1]), atol=0.5)
    assert beyond.tolist() == [False] * 6 + [True]


def test_each_redraw_is_judged_by_its_own_gold(proxies):
    golds = proxies.golds["sweetspot"]
    x = np.random.default_rng(1).normal(size=(10, golden.DIM)).astype(np.float32)
    redraw = np.array([2, 0, 1, 0, 2, 1, 1, 0, 2, 0])
    found = cell_task._judge(golds, x, redraw)
    for i in range(10):
        gold = jax.tree.map(lambda leaf, d=redraw[i]: leaf[d], golds)
        want = float(golden.gold_value(gold, x[i][None])[0])
        assert found[i] == pytest.approx(want, abs=1e-5)


def test_the_task_meets_what_its_attacks_need(proxies, monkeypatch):
    made = {
        "gold": proxies.golds["sweetspot"],
        "params": jax.tree.map(lambda leaf: leaf[:REDRAWS], proxies.params),
        "accuracy": proxies.accuracy[:REDRAWS],
    }
    monkeypatch.setattr(cell_task, "keep", lambda *_: made)
    task = cell_task.overoptimization_cell(seeds=REDRAWS, width=3, pairs=200)
    target = resolve(task.target, 0, jnp.asarray(1))
    for attack, _ in command.attacks().values():
        robust.attack.check_needs(attack[0], target)
    assert {"gradient", "move", "policy", "log_prob"} <= capabilities(target)
    assert task.settings["seeds"] == 1
    assert set(task.attacks) == {"best_of_n", *command.attacks()}
    x = target.base.sample(jax.random.key(0), 6)
    others = [resolve(task.target, 0, jnp.asarray(i)).proxy(x) for i in (0, 1)]
    assert (others[0] != others[1]).any()
    assert task.judge(x, np.array([0, 1] * 3)).shape == (6,)


def test_an_experiment_needs_redraws_and_draws():
    for redraws, draws in ((1, 2**16), (8, 100)):
        with pytest.raises(ValueError, match="give at least 2 and 16384"):
            command.attacked_grids(
                jax.random.key(0), CELLS, redraws=redraws, draws=draws
            )


@pytest.mark.slow
def test_the_hump_and_its_scaling():
    """The headline at the experiment's own size and another key than the README's.

    All redraws and noise enter the t intervals, which the claims use themselves;
    nothing else is allowed for.
    """
    cells = command.cells_of("sweetspot", command.WIDTHS, command.PAIRS)
    grids, _ = command.attacked_grids(
        jax.random.key(1), cells, redraws=8, draws=command.DRAWS
    )
    said = {c.name: c.answer for c in claims.claims_of(grids["sweetspot"])}
    rises = [f"peak:{a}:up:{b}" for a in ("best_of_n", "splitting")
             for b in ("width", "pairs")]  # fmt: skip
    turns = [f"turns:{a}" for a in ("best_of_n", "splitting", "policy_gradient")]
    for name in (*turns, "proxy_rises", "form:r2", *rises):
        assert said[name] == "replicates", name
    assert said["rl_form:tempering"] == "does not"


@pytest.mark.slow
def test_the_command_writes_its_report(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "WIDTHS", (4, 8))
    monkeypatch.setattr(command, "PAIRS", (250, 1000))
    monkeypatch.setattr(command, "SECOND", ((4, 8), (250, 1000)))
    monkeypatch.setattr(command, "DRAWS", 2**16)
    out = tmp_path / "out"
    assert main.command(["run", "overoptimization", "--seeds=2", f"--out={out}"]) == 0
    report = (out / "report.md").read_text("utf8")
    assert "gold turns while the proxy rises" in report
    assert len(list(out.glob("*.png"))) == 6
