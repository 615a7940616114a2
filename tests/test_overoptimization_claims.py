"""The over-optimization experiment's laws and claims, on curves that are planted."""

import json

import numpy as np
import pytest

from benchmarks import _overoptimization_claims as claims
from benchmarks import _overoptimization_figures as figures
from benchmarks import _overoptimization_laws as laws
from benchmarks import _overoptimization_report as report
from benchmarks import _overoptimization_runs as runs

WIDTHS, PAIRS = np.array([4, 8, 16]), np.array([250, 1000])
D, T = 8, 16
SHAPE = (len(WIDTHS), len(PAIRS), D)
N = 2.0 ** np.arange(T)
BEST_KL = np.log(N) - (N - 1) / N
RL = "RL"  # d(α − β ln d)


def falling(width, pairs):
    return 0.3 - 0.03 * width - 0.02 * pairs


def rising(width, pairs):
    return 0.3 + 0.03 * width + 0.02 * pairs


def level(width, pairs):
    return 0.3 + 0 * width * pairs


def by_cell(rule):
    """A rule of doublings from the middle, for each cell and redraw."""
    width, pairs = np.log2(WIDTHS) - 3, np.log2(PAIRS) - np.log2(PAIRS).mean()
    return np.broadcast_to(rule(width[:, None, None], pairs[None, :, None]), SHAPE)


def curves(kl, gold, proxy=None, power=None):
    """Curves whose proxy gain is 1.1 d and whose power is the KL, if not said."""
    kl = np.broadcast_to(kl, gold.shape)
    proxy = 1.1 * np.sqrt(kl) if proxy is None else proxy
    return runs.Curves(kl, kl if power is None else power, proxy, gold, 0 * kl)


def follow(root, alpha, beta, form):
    """Gold along d: d(α − β ln d), or d(α − βd)."""
    alpha, beta = alpha[..., None], beta[..., None]
    bend = np.log(np.maximum(root, 1e-12)) if form == RL else root
    return root * (alpha - beta * bend)


def world(
    *, beta=falling, alpha=1.2, noise=0.02, key=0, best_form=None, bend=0.0, late=0.0,
    measured=0.0, tuned_form=RL, tuned_beta=falling, tuned_alpha=None, slow=1.0,
    push=1.0, proxy_turns=False, gap=0.0, climb=1.0,
):  # fmt: skip
    """A grid of all attacks, of known laws.

    Args:
      beta, alpha: of best_of_n and splitting; noise: of redraws in β.
      best_form: of best_of_n; bend: the size of waves in it, late: what is lost beyond
        n = 1,024, measured: noise of the last point of each half of the draws.
      tuned_form, tuned_beta, tuned_alpha: of tempering and policy_gradient.
      slow: how many times the KL they need, where they follow best_of_n's law.
      push: proxy and root of the power that they gain at a KL, beside best_of_n's.
      proxy_turns: whether policy_gradient's proxy falls in the end.
      gap: gold that a penalised policy has more than one stopped at its KL.
      climb: how far gradient_ascent's gold falls.
    """
    rng = np.random.default_rng(key)
    luck = noise * rng.normal(size=SHAPE)
    alphas, betas = np.full(SHAPE, alpha), by_cell(beta) + luck
    root = np.sqrt(BEST_KL)
    gold = follow(root, alphas, betas, best_form) + bend * np.sin(4 * root)
    gold = gold - late * (np.arange(T) > np.log2(laws.FITTED_TO))
    found = {"best_of_n": curves(BEST_KL, gold)}
    for name in laws.HALVES:
        jump = measured * rng.normal(size=SHAPE)
        half = gold + jump[..., None] * (np.arange(T) == T - 1)
        found[name] = curves(BEST_KL, half)
    deep = np.linspace(0, np.sqrt(laws.REACH), 30)
    found["splitting"] = curves(deep**2, follow(deep, alphas, betas, None))
    d = np.linspace(0, 5.5, 45)
    if tuned_form == RL:
        high = by_cell(tuned_alpha or (lambda w, k: 0.7 + 0 * w * k))
        gold, reach = follow(d, high, by_cell(tuned_beta) + luck, RL), d
    else:
        reach = d / np.sqrt(slow)
        gold = follow(reach, alphas, betas, None)
    proxy = np.broadcast_to(1.1 * push * reach, gold.shape)
    if proxy_turns:
        proxy = proxy - 2 * np.maximum(0, d - 2)
    made = curves(d**2, gold, proxy, np.broadcast_to((push * reach) ** 2, gold.shape))
    found |= dict.fromkeys(laws.TUNED, made)
    for i in range(1, len(runs.PENALTIES)):
        stop = 20 // i
        held = runs.Curves(*(a[..., np.minimum(np.arange(45), stop)] for a in made))
        found[f"policy_gradient_{i}"] = held._replace(gold=held.gold + gap)
    there = np.linspace(0, 1, 11)
    climbs = np.broadcast_to(2 * there - (2 + climb) * np.maximum(0, there - 0.5) * 2,
                             (*SHAPE, 11)) + luck[..., None]  # fmt: skip
    found["gradient_ascent"] = curves(np.nan, climbs, climbs, 10 * there + 0 * climbs)
    return laws.Grid(WIDTHS, PAIRS, found)


def answers(found):
    return {c.name: c.answer for c in found}


def names(*parts):
    """Names of claims, each part before each ending."""
    return [f"{part}:{end}" for part, ends in parts for end in ends]


TUNED = laws.TUNED
PEAKS = names(*(
    (f"peak:{a}:{way}", ("width", "pairs"))
    for a in ("best_of_n", "splitting") for way in ("ri", "up")
))  # fmt: skip
SLOW = {"tuned_form": None, "slow": 3.0}
WORLDS = {
    "all turns, laws hold, β falls": ({}, [*names(
        ("turns", ("best_of_n", "splitting", *TUNED, "gradient_ascent")),
        ("form", ("r2", "preferred", "extrapolates")), ("beta", ("width", "pairs")),
        ("rl_form", TUNED), ("rl_beta", TUNED), ("rl_alpha", TUNED),
    ), "proxy_rises", "penalty", *PEAKS], []),
    "nothing turns": (
        {"beta": lambda w, k: 0.01 + 0 * w * k, "noise": 0.001, "climb": -2.0,
         "tuned_beta": lambda w, k: 0.01 + 0 * w * k},
        [], names(("turns", ("best_of_n", "splitting", *TUNED, "gradient_ascent"))),
    ),
    "β rises": ({"beta": rising, "tuned_beta": rising}, [],
                [*names(("beta", ("width", "pairs")), ("rl_beta", TUNED)), *PEAKS]),
    "best-of-n is wavy": ({"bend": 0.3}, [], ["form:r2"]),
    "best-of-n as RL": ({"best_form": RL, "alpha": 0.7}, [], ["form:preferred"]),
    "it bends late": ({"late": 0.5}, [], ["form:extrapolates"]),
    "RL as best-of-n, thrice the KL": (
        SLOW,
        names(("rl_spends_more", ("gold", "proxy")), ("compare", ("proxy", "power"))),
        names(("rl_form", TUNED)),
    ),
    "RL at the same price, by an idle proxy": (
        {"tuned_form": None, "push": 2.0}, [],
        ["rl_spends_more:gold", "rl_spends_more:proxy", "compare:proxy",
         "compare:power"],
    ),
    "α rises with the width": (
        {"tuned_alpha": lambda w, k: 0.7 + 0.1 * w + 0 * k}, [],
        names(("rl_alpha", TUNED)),
    ),
    "the proxy falls too": ({"proxy_turns": True}, [], ["proxy_rises"]),
    "penalties cost": ({"gap": -0.3}, [], ["penalty"]),
    "penalties pay": ({"gap": 0.3}, [], ["penalty"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WORLDS)
def test_claims_say_what_was_planted(name):
    options, hold, fail = WORLDS[name]
    said = answers(claims.claims_of(world(**options)))
    assert {n: said[n] for n in hold} == dict.fromkeys(hold, "replicates")
    assert {n: said[n] for n in fail} == dict.fromkeys(fail, "does not")


def test_every_claim_is_planted_both_ways():
    everything = set(answers(claims.claims_of(world())))
    assert everything == {n for _, hold, _ in WORLDS.values() for n in hold}
    assert everything == {n for _, _, fail in WORLDS.values() for n in fail}


def test_a_small_slope_is_undecided_among_loud_redraws():
    """.002 a doubling beside a standard error of .2 / sqrt(8 x 4) = .035: decided in 5
    % of the draws, so in 7 or more of 20 once in 30,000 tests."""
    rule = lambda w, k: 0.3 - 0.002 * w + 0 * k  # noqa: E731
    said = [
        answers(claims._sizes(world(beta=rule, noise=0.2, key=key)))["beta:width"]
        for key in range(20)
    ]
    assert said.count("undecided") >= 14


@pytest.mark.parametrize("key", range(5))
def test_noise_of_the_rarest_draws_is_no_error_of_a_form(key):
    """The exact form, the last point of each half measured with noise of .2 sd.

    Products of independent noise: of 48 rows, standard error .2² / sqrt(48) = .006,
    so .01 is not excluded by chance alone but in a few of a thousand.
    """
    grid = world(measured=0.2, key=key)
    found = {c.name: c for c in claims._form_of_best_of_n(grid)}["form:extrapolates"]
    assert found.answer != "does not"
    assert abs(found.estimate.mean) < 4 * 0.2**2 / np.sqrt(48)
    squares = laws.held_out_error(grid.curves[laws.HALVES[0]]) ** 2
    assert squares.mean() > 2 * claims.MARGIN**2, "as the plain square would say"


def test_estimates_are_those_that_were_planted():
    """β falls by .03 a doubling of the width and .02 of the pairs, by the form 0.5.

    Standard errors of the slopes, for noise of .02 in 8 redraws of 6 cells: .02 /
    sqrt(8 x 4) = .0035 and .0029. Five of them.
    """
    grid = world(late=0.5, gap=0.06, slow=3.0, tuned_form=None)
    alpha, _, r2 = laws.coefficients(world().curves["best_of_n"], claims.forms.Form(0))
    np.testing.assert_allclose(alpha, 1.2, atol=1e-8)
    np.testing.assert_allclose(r2, 1, atol=1e-8)
    found = {c.name: c.estimate.mean for c in claims.claims_of(grid)}
    assert found["form:extrapolates"] == pytest.approx(0.25, abs=1e-6)
    assert found["penalty"] == pytest.approx(0.06, abs=1e-6)
    assert found["rl_spends_more:proxy"] == pytest.approx(np.log(3), rel=0.05)
    found = {c.name: c.estimate.mean for c in claims.claims_of(world())}
    assert found["beta:width"] == pytest.approx(0.03, abs=5 * 0.0035)
    assert found["beta:pairs"] == pytest.approx(0.02, abs=5 * 0.0029)
    assert found["rl_alpha:tempering"] == pytest.approx(0, abs=0.005)
    assert found["turns:gradient_ascent"] == pytest.approx(2, abs=1e-6)


def test_cells_hold_what_was_planted():
    """Each redraw is of the form, so their mean is, and nothing is left over."""
    rows = laws.cell_table(world(beta=level), "best_of_n")
    assert [(r["width"], r["pairs"]) for r in rows[:3]] == [
        (4, 250), (4, 1000), (8, 250),
    ]  # fmt: skip
    for row in rows:
        assert row["alpha"].mean == pytest.approx(1.2, abs=1e-6)
        assert row["r_squared"] == pytest.approx(1, abs=1e-6)
        assert row["r_squared_of_the_other"] < 1
        assert row["held_out_error"] == pytest.approx(0, abs=1e-6)
        assert row["peak_gold"].mean == pytest.approx(1.2**2 / 4 / 0.3, rel=0.1)
    (row, *_) = laws.climb_table(world(climb=0.5, noise=0.0), "gradient_ascent")
    assert row["peak_power"].mean == pytest.approx(5)
    assert row["peak_gold"].mean == pytest.approx(1)
    assert row["gold_at_the_end"].mean == pytest.approx(-0.5)


def test_rows_that_reach_unlike_far_are_compared_where_all_have_been():
    kl = np.stack([np.linspace(0, 9, 50), np.linspace(0, 400, 50)])[None, None]
    curves = runs.Curves(kl, kl, kl, 2 * np.sqrt(kl), 0 * kl)
    at, gold = laws.by_kl(curves)
    assert at[0] == 0
    assert at[-1] <= 9
    assert np.isfinite(gold).all()
    ends = laws.within_reach(curves, kl)[..., -1]
    np.testing.assert_allclose(ends, [[[9, 40]]], rtol=2e-3)


@pytest.mark.parametrize(
    ("values", "within", "answer"),
    [
        ([1.0, 1.1, 0.9, 1.0, 1.1, 0.9], False, "replicates"),
        ([0.1, 0.2, 0.3, 0.2, 0.1, 0.3], False, "does not"),
        ([0.4, 0.6, 0.5, 0.5, 0.4, 0.6], False, "undecided"),
        ([0.1, -0.1, 0.1, 0.0, 0.1, -0.1], True, "replicates"),
        ([0.9, 1.0, 1.1, 1.0, 0.9, 1.1], True, "does not"),
        ([-0.9, -1.0, -1.1, -1.0, -0.9, -1.1], True, "does not"),
        ([0.4, 0.6, 0.5, 0.5, 0.4, 0.6], True, "undecided"),
        ([1.0, 1.1, 0.9, 1.0, 1.1], False, "undecided"),
    ],
)
def test_a_claim_is_an_interval_beside_a_bound(values, within, answer):
    found = claims.claim("name", "finding", "measured", values, 0.5, within=within)
    assert found.answer == answer
    assert found.estimate.mean == pytest.approx(np.mean(values))


def test_noise_alone_does_not_fall_from_a_peak():
    """The peak's place comes from other redraws, so flat curves fall by 0.

    Of N independent cells of D redraws of unit noise: the mean of N D differences of
    variance at most 2, standard error at most sqrt(2 / N), redraws of a cell being
    dependent. Five.
    """
    gold = np.random.default_rng(2).normal(size=(1000, 1, D, T))
    assert abs(laws.drops(gold).mean()) < 5 * np.sqrt(2 / 1000)
    plain = gold.max(axis=-1) - gold[..., -1]
    assert plain.mean() > 1


def test_curves_are_read_off_between_checkpoints():
    axis = np.array([[0.0, 1.0, 0.9, 3.0]])
    values = np.array([[0.0, 2.0, 2.0, 6.0]])
    found = laws.along(axis, values, np.array([0.5, 2.0, 4.0]))
    np.testing.assert_allclose(found, [[1.0, 4.0, np.nan]])


def test_report_and_figures_hold_all_of_it(tmp_path):
    """Every claim and cell in the report, no number lost; six pictures that differ."""
    grids = {"sweetspot": world(), "gp": world(beta=rising, key=1)}
    found = {kind: claims.claims_of(grid) for kind, grid in grids.items()}
    fits = report.fits_of(grids)
    report.write(tmp_path, grids, fits, found)
    record = json.loads((tmp_path / "report.json").read_text("utf8"))
    assert len(record["claims"]["gp"]) == len(found["gp"]) == 30
    by_attack = {"best_of_n", "splitting", *TUNED, "gradient_ascent"}
    assert set(record["cells"]["gp"]) == by_attack
    assert len(record["cells"]["gp"]["tempering"]) == 6
    with np.load(tmp_path / "curves.npz") as arrays:
        beta = arrays["gp/best_of_n/gold"]
    np.testing.assert_array_equal(beta, grids["gp"].curves["best_of_n"].gold)
    (rows,) = report.claims_table(found).values()
    assert len(rows) == 31
    assert len(report.cell_tables(fits)) == 2 * len(by_attack)
    pictures = [name for kind, grid in grids.items()
                for name in figures.draw(tmp_path, kind, grid)]  # fmt: skip
    assert len({(tmp_path / name).read_bytes() for name in pictures}) == 6


def test_figures_draw_what_was_planted():
    grid = world(noise=0.0)
    panel = figures.multiples(grid, "planted", "kl").axes[0]
    lines = {line.get_label(): line for line in panel.get_lines()}
    at, gold = lines["tempering"].get_data()
    planted = grid.curves["tempering"]
    want = laws.along(np.sqrt(planted.kl), planted.gold, at)[0, 0, 0]
    np.testing.assert_allclose(gold, want, atol=1e-9)
    dots = [line.get_data() for line in panel.get_lines() if line.get_marker() == "o"]
    peak = grid.curves["splitting"].gold[0, 0, 0]
    assert any(abs(y[0] - peak.max()) < 0.02 for _, y in dots)
    drawn = {a.get_title(): a for a in figures.scaling(grid, "planted").axes}
    beta = drawn["β of policy_gradient"].get_lines()[0].get_ydata()
    np.testing.assert_allclose(beta, by_cell(falling)[:, 0, 0], atol=1e-6)
