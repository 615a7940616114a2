"""Used, ignored or undecided: the rules, and their error rates by enumeration."""

import numpy as np
import pytest
from scipy.stats import binom

from robust.measure.reading import MEANING, REASONS, Reading, Reason, read

ones, zeros = np.ones(60), np.zeros(60)


@pytest.mark.parametrize(
    ("needed", "followed", "reading", "reason"),
    [
        (ones, ones, Reading.USED, Reason.NONE),
        (zeros, zeros, Reading.IGNORED, Reason.NONE),
        (zeros, ones, Reading.UNDECIDED, Reason.NOT_NEEDED),
        (ones, zeros, Reading.UNDECIDED, Reason.NOT_FOLLOWED),
        (ones[:5], ones[:5], Reading.UNDECIDED, Reason.FEW_UNITS),
        (zeros[:20], zeros[:20], Reading.UNDECIDED, Reason.WIDE),
        (ones, np.full(60, np.nan), Reading.UNDECIDED, Reason.NOT_MEASURED),
        (np.empty(0), ones, Reading.UNDECIDED, Reason.NOT_MEASURED),
    ],
)
def test_truncation_and_swap_together(needed, followed, reading, reason):
    found = read(needed, followed)
    assert (found.reading, found.reason) == (reading, reason)


def test_neither_measure_alone_decides():
    """Truncation says "ignored" with certainty; the swap must not be forgotten."""
    assert read(zeros, ones).reading is not Reading.IGNORED
    assert "truncation alone would have said ignored" in REASONS[Reason.NOT_NEEDED]


@pytest.mark.parametrize("number", [6, 20, 29, 50, 100, 200])
def test_error_rates_of_one_test_at_the_margin(number):
    """Answers that change with probability .1 = the margin: both claims are wrong.

    The other measure is certain. P(claim), summed over the binomial: at most 6 %.
    """
    chance = binom.pmf(np.arange(number + 1), number, 0.1)
    claims = {Reading.USED: 0.0, Reading.IGNORED: 0.0}
    for changed, p in enumerate(chance):
        values = np.arange(number) < changed
        for reading, other in ((Reading.USED, 1), (Reading.IGNORED, 0)):
            sure = np.full(1000, other)
            claims[reading] += p * (read(values, sure).reading is reading)
    assert max(claims.values()) < 0.06


def test_units_are_seeds_where_they_are_given():
    """All answers of a seed agree: 60 answers are 6 units, and their spread counts."""
    unit = np.repeat(np.arange(6), 10)
    values = np.repeat([1, 1, 1, 0, 0, 0], 10)
    found = read(values, values, unit)
    assert found.units == 6
    assert found.reading is Reading.UNDECIDED
    assert read(values, values).reading is Reading.USED  # as if independent
    assert found.needed[0] == pytest.approx(0.5)


def test_bounds_contain_the_mean_and_one_made_up_answer():
    """Six that agree on 0: shift 1/7 and error 1/7, times t(5, .95) = 2.015."""
    found = read(np.zeros(6), np.ones(6))
    np.testing.assert_allclose(found.needed, [0, 0, (1 + 2.01505) / 7], atol=1e-5)
    np.testing.assert_allclose(found.followed[1], 1 - (1 + 2.01505) / 7, atol=1e-5)


def test_every_code_has_its_words():
    assert {*MEANING} == {*Reading}
    assert {*REASONS} == {*Reason}
    assert str(Reading.USED) == "used"
    assert str(Reason.NOT_NEEDED) == "not_needed"
