"""Defences: what is put between a learned proxy and those who optimize it.

Each maps a `Target` to a `Target`, so that every attack runs on every defence; but
`pessimism`, which is a policy of its own and gives the `Base` that it draws from.
Targets behind any of these are of one shape: an attack that is compiled for one runs on
all, and other coefficients cost no recompile.
"""

from robust.defence.capped import early_stopping, quantilizer
from robust.defence.ensembles import (
    Defended,
    Ensemble,
    ensemble,
    mean,
    single,
    uwo,
    wco,
)
from robust.defence.penalised import chi2_penalty, kl_penalty
from robust.defence.pessimistic import pessimism, pessimistic_weights
from robust.defence.retrained import adversarial_training

__all__ = [
    "Defended", "Ensemble", "adversarial_training", "chi2_penalty", "early_stopping",
    "ensemble", "kl_penalty", "mean", "pessimism", "pessimistic_weights", "quantilizer",
    "single", "uwo", "wco",
]  # fmt: skip
