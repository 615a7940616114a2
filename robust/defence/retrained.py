"""Adversarial training: what an attack found is labelled and learned."""

from collections.abc import Callable

import jax

from robust.trace import run


def adversarial_training(
    target, attack, label: Callable, refit: Callable, *, key, rounds: int = 3, **options
):
    """Attack, label what was found, refit on all of it, and again.

    Args:
      target: as for `robust.run`.
      attack: that finds the inputs to label.
      label: `x [S, T, keep, ...] -> values`, the truth; what this defence costs.
      refit: `[(x, values), ...], one per round so far -> target`.
      key: a typed key.
      rounds: at least 1.
      **options: of `robust.run`: seeds, keep, context, steps.

    Raises:
      ValueError: no rounds.

    Reference: Madry et al. 2018, arXiv:1706.06083, for classifiers.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; give at least 1")
    found = []
    for key_round in jax.random.split(key, rounds):
        x = run(attack, target, key_round, **options).x
        found.append((x, label(x)))
        target = refit(found)
    return target
