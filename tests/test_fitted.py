"""Laws of measured curves: what is fitted, what is said, what is drawn."""

import json

import numpy as np
import polars as pl
import pytest

from robust.cli import command
from robust.measure.extrapolation import Answer, Status
from robust.measure.fitted import best_fit, fitted
from robust.measure.forms import Form, gain_of
from robust.measure.selection import select_best
from robust.show import law
from robust.show.plot import plot_bank

KL = np.log(2.0 ** np.arange(10)) - 1 + 2.0 ** -np.arange(10)


def curve(form=Form.BEST_OF_N, *coefficients, spread=0.02, units=40, kl=KL):
    """Gains of units that scatter about a form."""
    gains = gain_of(form, kl, *coefficients)
    rng = np.random.default_rng(0)
    return gains * (1 + spread * rng.normal(size=(units, 1)))


def test_the_form_that_made_the_curve_is_found():
    laws = fitted(KL, curve(Form.BEST_OF_N, 1.4, 0.4))
    fit = best_fit(laws)
    assert Form(int(fit.form)) is Form.BEST_OF_N
    assert fit.alpha.mean == pytest.approx(1.4, abs=0.03)
    assert fit.beta.mean == pytest.approx(0.4, abs=0.03)
    said = law.line(laws)
    assert "law of the true gain: d(α − βd) with d² the KL fits up to 5.2 nats" in said
    assert "it errs by 0.00 sd beyond" in said
    assert "\n" not in said


def test_no_form_fits_is_an_answer():
    bump = np.exp(-((KL - 2.5) ** 2) / 0.1) * np.ones((40, 1))
    noise = 0.01 * np.random.default_rng(0).normal(size=(40, len(KL)))
    laws = fitted(KL, np.where(KL > 0, bump + noise, 0.0))
    assert laws.answer == Answer.NO_FORM_FITS
    assert best_fit(laws) is None
    assert law.line(laws).startswith("law of the true gain: no form fits up to 5.2")


def test_few_units_are_not_tested():
    laws = fitted(KL, curve(Form.BEST_OF_N, 1.0, 0.2, units=4))
    assert (laws.status == Status.UNTESTED).any()
    assert best_fit(laws) is None
    assert "undecided" in law.line(laws)


@pytest.mark.parametrize(
    "kl",
    [KL[:4], KL * np.nan, np.where(np.arange(10) > 3, KL[3], KL), KL + 0.1],
    ids=["three above the base", "unknown", "stops rising", "no base"],
)
def test_what_has_no_law(kl):
    assert fitted(kl, curve(Form.BEST_OF_N, 1.0, 0.2)[:, : len(kl)]) is None
    assert "not fitted" in law.line(None)
    assert law.record(None) is None


def test_long_curves_are_thinned_and_plateaus_skipped():
    kl = np.repeat(np.linspace(0, 8, 50), 2)
    laws = fitted(kl, curve(Form.BEST_OF_N, 1.0, 0.1, kl=kl))
    assert len(laws.fits[0].pressure) == 16
    assert laws.tested == 8
    assert best_fit(laws) is not None


def bank(slope, bend, groups=200, size=64):
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=groups * size)
    true = slope * proxy - bend * proxy**2 + 0.2 * rng.normal(size=len(proxy))
    return proxy, true, np.repeat(np.arange(groups), size)


def test_the_guarantee_of_a_bank():
    """ρ = s/√(s² + .04) of a line; at n = 2, χ² = 1/3 and the gain is ρ-free 1/√π."""
    selection = select_best(*bank(0.3, 0.0, groups=500))
    rho = 0.3 / np.hypot(0.3, 0.2)
    assert selection.rho == pytest.approx(rho, abs=0.01)
    gain = 1 / np.sqrt(np.pi)
    wanted = rho * gain - np.sqrt((1 - rho**2) * (1 / 3 - gain**2))
    assert selection.guaranteed[1] == pytest.approx(wanted, abs=0.03)
    weaker = (gain - np.sqrt((1 - rho**2) / 3)) / rho
    assert selection.guaranteed_by_proxy[1] == pytest.approx(weaker, abs=0.03)
    assert 0 < weaker < wanted
    for bound in (selection.guaranteed, selection.guaranteed_by_proxy):
        assert bound[0] == 0
        assert (bound <= selection.true_gain.high + 1e-9).all()


def test_a_constant_guarantees_nothing():
    proxy, true, group = bank(1.0, 0.0, groups=8)
    selection = select_best(np.zeros_like(proxy), true, group)
    assert np.isnan(selection.rho)
    assert np.isnan(selection.guaranteed[1:]).all()
    assert np.isnan(selection.guaranteed_by_proxy[1:]).all()


def test_the_picture_labels_fit_and_extrapolation():
    selection = select_best(*bank(1.0, 0.2))
    at = selection.read
    laws = fitted(selection.curve.kl[at], selection.true_gains[:, at])
    left, right = plot_bank(selection, laws=laws).axes
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == [
        "fit of d(α − βd), no measurement",
        "its extrapolation beyond n = 64",
    ]
    dotted = left.get_lines()[-1].get_xdata()
    assert dotted.min() >= 64
    assert "guaranteed" in right.get_title()
    thick, thin = (line for line in right.get_lines() if line.get_linestyle() == "-.")
    assert thick.get_linewidth() > thin.get_linewidth()
    drawn = thin.get_ydata()
    np.testing.assert_array_equal(drawn, selection.guaranteed_by_proxy[: len(drawn)])
    assert (drawn <= thick.get_ydata()[: len(drawn)]).all()
    assert drawn.max() > 0.1
    assert plot_bank(selection).axes[0].get_legend() is None


def test_laws_reach_json_and_table_and_no_verdict(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    proxy, true, group = bank(1.0, 0.2)
    table = pl.DataFrame({"prompt": group, "proxy": proxy, "true": true})
    table.write_csv("bank.csv")
    assert command(["curve", "bank.csv", "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["laws"]["answer"] == "some_form_fits"
    form = said["laws"]["forms"]["best_of_n"]
    assert form["status"] == "fits"
    assert form["alpha"]["low"] < form["alpha"]["mean"] < form["alpha"]["high"]
    assert len(said["guaranteed"]) == len(said["n"])
    assert len(said["guaranteed_by_proxy"]) == len(said["n"])
    assert command(["curve", "bank.csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("law of the true gain" in line for line in lines) == 1
    # Of too few values of n there is no law, and the verdict is the same.
    assert command(["curve", "bank.csv", "--n", "4", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["laws"] is None
