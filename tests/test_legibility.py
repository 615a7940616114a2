"""Readers, the copier of the last number, likelihood."""

import jax
import numpy as np
import pytest

from robust.measure.interventions import hide_last_number, last_number
from robust.measure.legibility import copier_success, legibility, nats_per_token


def test_rates_by_hand():
    found = legibility(
        [1, 0, 1, np.nan], [1, 0, 0, 0.5], [[1, 0], [1, np.nan], [0, 0], [np.nan] * 2]
    )
    assert found.rate == pytest.approx(2 / 3)
    assert found.hidden == pytest.approx(1.5 / 4)
    assert found.copied == pytest.approx(1 / 3)
    np.testing.assert_allclose(found.recovery_by_chain, [0.5, 1, 0, np.nan])
    assert found.recovery == 0.5


def test_without_the_guards_they_are_not_measured():
    found = legibility([1.0, 0.0])
    assert found.rate == 0.5
    assert np.isnan([found.hidden, found.copied, found.recovery]).all()


def gibberish(number=400, seed=0):
    """Random digits and letters that end in the answer in nine of ten chains."""
    rng = np.random.default_rng(seed)
    answers = rng.integers(0, 10, number).astype(str)
    noise = ["".join(rng.choice([*"qzx#"], 12)) for _ in answers]
    ends = np.where(rng.random(number) < 0.9, answers, "?")
    return [f"{n}{e}" for n, e in zip(noise, ends, strict=True)], answers


def test_blind_spot_a_copier_reads_gibberish():
    """A reader that copies scores .9 (standard error .015), and 0 once it is hidden."""
    chains, answers = gibberish()

    def read(some):
        return [float(last_number(c) == a) for c, a in zip(some, answers, strict=True)]

    hidden = read([hide_last_number(chain) for chain in chains])
    found = legibility(read(chains), hidden)
    assert abs(found.rate - 0.9) < 5 * 0.015
    assert found.hidden == 0
    assert found.copied == found.rate
    np.testing.assert_array_equal(copier_success(chains, answers), found.by_chain)


def test_a_real_reader_survives_the_hidden_number():
    rng = np.random.default_rng(0)
    pairs = rng.integers(10, 50, (50, 2))
    chains = [f"{a} and {b} give {a + b}" for a, b in pairs]

    def adds(chain):
        return sum(int(word) for word in chain.split() if word.isdigit())

    hidden = [
        adds(hide_last_number(c)) == sum(p) for c, p in zip(chains, pairs, strict=True)
    ]
    assert legibility(np.ones(50), hidden).copied == 0


def test_the_copier_compares_numbers():
    chains = ["so 1,200", "so 7.0", "none", "so 8", "so -3"]
    answers = ["1200", "7", "7", "9", "-3"]
    np.testing.assert_array_equal(copier_success(chains, answers), [1, 1, 0, 0, 1])


def test_nats_per_token_by_hand():
    log_prob = np.log([[0.5, 0.25, 1e-9], [0.1, 0.1, 0.1]])
    log_prob[0, 2] = np.nan  # padding may hold anything
    mask = np.array([[True, True, False], [False, False, False]])
    found = nats_per_token(log_prob, mask)
    np.testing.assert_allclose(found, [np.log(8) / 2, np.nan])
    traced = jax.jit(nats_per_token)(log_prob, mask)
    np.testing.assert_allclose(traced, found, rtol=1e-6)


def test_blind_spot_fluent_falsehood_is_likely():
    """Under a model of single characters a wrong sum costs what a right one does."""
    text = {"right": "2+3=5 3+2=5", "wrong": "2+3=2 3+2=3"}
    frequent = dict.fromkeys("235", 0.2) | dict.fromkeys("+= ", 0.13)
    nats = [
        nats_per_token(np.log([[frequent[c] for c in t]]), np.ones((1, len(t))))
        for t in text.values()
    ]
    np.testing.assert_allclose(*nats)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (([1, 2],), "1 of 2 values of read lie outside 0..1, such as 2; give shares"),
        (([1], [0, 1]), "1 chains are read, 2 with the last number hidden"),
        (([[1]],), r"read has shape \(1, 1\); give \[N\]"),
        (([1], None, [1]), r"recovered has shape \(1,\); give \[N, K\]"),
    ],
)
def test_bad_input(arguments, wanted):
    with pytest.raises(ValueError, match=wanted):
        legibility(*arguments)
