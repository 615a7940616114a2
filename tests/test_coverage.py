"""Intervals over prompts hold the truth as often as they say."""

import pytest

from benchmarks.coverage import coverage


def test_fifty_prompts_of_light_tails():
    """93 to 97 % of 2,000 banks: 4 standard errors, each sqrt(.05 .95 / 2,000)."""
    t, bca = coverage("normal", 50, 2000)
    assert 0.93 <= t <= 0.97
    assert 0.93 <= bca <= 0.97


@pytest.mark.parametrize("kind", ["normal", "exponential (skewness 2)"])
def test_few_prompts_are_covered_as_the_readme_says(kind):
    """At 8 prompts 94 % and 91 % were measured; 500 banks err by 1.3 %, of which 4."""
    t, _ = coverage(kind, 8, 500)
    assert abs(t - (0.942 if kind == "normal" else 0.911)) < 4 * 0.013
