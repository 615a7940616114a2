"""Our attacks under the contract: one row each. See `robust.contract`."""

import pytest

import attacks
from robust import capabilities
from robust.contract import CHECKS, Row
from robust.contract.targets import aim

TOKENS = capabilities(aim("motif"))
CHAINS = {name: {} for name in ("annealing", "genetic", "splitting", "token_search")}
# One step is many of theirs: with all that apply, MALA carries rounding beyond 1e-5.
CLIMBS = {name: {} for name in ("gradient_ascent", "square", "splitting")}

TABLE = {
    "best_of_n": Row(
        lambda: attacks.best_of_n(32), lambda: attacks.best_of_n(16),
        {"bowl": 0.8, "rugged": 0.55, "motif": 0.48}, by_rank=True,
    ),
    "evolution": Row(
        lambda: attacks.evolution(), lambda: attacks.evolution(scale=0.5),
        {"bowl": 0.99, "rugged": 0.75, "hill": 0.99}, by_rank=True,
    ),
    "gradient_ascent": Row(
        lambda: attacks.gradient_ascent(0.1),
        lambda: attacks.gradient_ascent(0.03, radius=0.2),
        {"bowl": 0.99, "rugged": 0.15, "hill": 0.95}, by_rank=False,
    ),
    "gradient_ascent, auto": Row(
        lambda: attacks.gradient_ascent(optimizer="auto", restarts=3, steps=31),
        lambda: attacks.gradient_ascent(0.5, optimizer="auto", restarts=3, steps=31),
        {"bowl": 0.98, "rugged": 0.65, "hill": 0.98}, by_rank=False,
    ),
    "splitting": Row(
        lambda: attacks.splitting(moves=5), lambda: attacks.splitting(moves=3),
        {"bowl": 0.99, "rugged": 0.9, "motif": 0.95}, by_rank=True,
    ),
    "quantilizer": Row(
        lambda: attacks.quantilizer(0.01, moves=5),
        lambda: attacks.quantilizer(0.1, moves=3),
        {"bowl": 0.9, "rugged": 0.67, "motif": 0.55}, by_rank=True,
    ),
    "square": Row(
        lambda: attacks.square(steps=31), lambda: attacks.square(0.2, steps=31),
        {"bowl": 0.9, "rugged": 0.74, "hill": 0.9}, by_rank=True,
    ),
    "token_search": Row(
        lambda: attacks.token_search(8, 3), lambda: attacks.token_search(1, 3),
        {"motif": 1.0}, by_rank=False,
    ),
    "genetic": Row(
        lambda: attacks.genetic(), lambda: attacks.genetic(0.2, 0.0),
        {"bowl": 0.98, "rugged": 0.67, "motif": 0.87}, by_rank=True,
    ),
    "annealing": Row(
        lambda: attacks.annealing(steps=31), lambda: attacks.annealing(1.0, 0.1),
        {"bowl": 0.94, "rugged": 0.67, "motif": 0.63}, by_rank=False,
    ),
    "worst_case": Row(
        lambda: attacks.worst_case(TOKENS, attacks=CHAINS),
        lambda: attacks.worst_case(TOKENS, attacks={**CHAINS, "annealing": {"hot": 1}}),
        {"motif": 0.9}, by_rank=False, steps=(1, 3),
    ),
    "worst_case, continuous": Row(
        lambda: attacks.worst_case(attacks=CLIMBS),
        lambda: attacks.worst_case(attacks={**CLIMBS, "square": {"radius": 0.2}}),
        {"bowl": 0.95, "rugged": 0.6}, by_rank=False, steps=(1, 3),
    ),
    "beam": Row(
        lambda: attacks.beam(), lambda: attacks.beam(branches=2, scale=0.1),
        {"bowl": 0.99, "rugged": 0.86, "motif": 0.99}, by_rank=True,
    ),
    "langevin": Row(
        lambda: attacks.langevin(0.02, temperings=31), lambda: attacks.langevin(0.3),
        {"bowl": 0.97, "rugged": 0.55, "hill": 0.97}, by_rank=False,
        steps=(12, 20, 31),
    ),
    "langevin, hmc": Row(
        lambda: attacks.langevin(0.02, leapfrog=3, temperings=31),
        lambda: attacks.langevin(0.3, leapfrog=3),
        {"bowl": 0.96, "rugged": 0.67}, by_rank=False, steps=(12, 20, 31),
    ),
    "tempering": Row(
        lambda: attacks.tempering(), lambda: attacks.tempering(ess=0.6),
        {"bowl": 0.99, "rugged": 0.95, "motif": 0.98}, by_rank=False,
        steps=(4, 16, 40),
    ),
    "policy_gradient": Row(
        lambda: attacks.policy_gradient(0.1),
        lambda: attacks.policy_gradient(0.05, kl_coefficient=0.1),
        {"hill": 0.98, "motif": 0.98}, by_rank=False, steps=(5, 30, 100),
    ),
    "policy_gradient, grpo": Row(
        lambda: attacks.policy_gradient(0.1, algorithm="grpo"),
        lambda: attacks.policy_gradient(0.05, kl_coefficient=0.1, algorithm="grpo"),
        {"motif": 0.99}, by_rank=False, steps=(5, 30, 100),
    ),
}  # fmt: skip


def test_every_attack_has_a_row():
    assert {name.split(",")[0] for name in TABLE} == set(attacks.__all__)


# Second rows of one attack, and the attack made of all others: `pytest -m slow`.
SLOW = {
    "gradient_ascent, auto", "langevin, hmc", "policy_gradient, grpo", "worst_case",
    "worst_case, continuous",
}  # fmt: skip
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
    for name in TABLE
]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check):
    check(TABLE[name])
