"""The extension point: an attack is four pure functions, a cost and its needs."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from robust.target import Target, capabilities


class Cost(NamedTuple):
    """What an attack spends on each slot; a test counts it.

    Attributes:
      init: proxy evaluations in `init`.
      queries: proxy evaluations in one `step`.
      grads: gradients in one `step`.
      init_grads: gradients in `init`. Default: one with each of its evaluations if
        `grads` > 0.
    """

    init: int
    queries: int
    grads: int = 0
    init_grads: int | None = None

    @property
    def first_grads(self) -> int:
        """Gradients in `init`."""
        given = self.init_grads
        return self.init * (self.grads > 0) if given is None else given


class Attack(NamedTuple):
    """An optimizer of proxies, in the manner of optax and blackjax algorithms.

    All four functions are pure, traced and batched over slots (parallel
    candidates). Bind hyperparameters with `robust.bind`, so that another value
    costs no recompile.

    Attributes:
      init: `(key, z, target) -> state`; z are base draws `[num, ...]`, made by the
        driver. They are row 0 of every curve.
      step: `(key, state, target) -> state`, one unit of pressure.
      sample: `(key, state, target) -> x`, look without pushing; exchangeable over
        slots, never sorted.
      info: `(key, state, target) -> dict` of arrays, read once per checkpoint.
        Reserved names, in nats: `kl`, `level`, `power`, `tie`; `chi2`, claimed only
        by attacks that select by score alone; and `families`, `[2]`, how many searches
        with and without gradients an attack made of others runs.
      cost: what is spent per slot.
      steps: natural checkpoints.
      needs: among "gradient", "continuous", "tokens", "embedding", "move",
        "log_prob", "policy".
      name: what the command line calls it.
      slots: how many slots the attack works well with.
    """

    init: Callable
    step: Callable
    sample: Callable
    info: Callable
    cost: Cost
    steps: tuple[int, ...]
    needs: frozenset[str]
    name: str
    slots: int = 256


def choose(which, new, old):
    """Take, slot by slot, the new where `which`, else the old.

    Args:
      which: bool `[M]`.
      new, old: pytrees of one structure, leaves `[M, ...]`.
    """

    def pick(new, old):
        return jnp.where(which.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    return jax.tree.map(pick, new, old)


def round_steps(last: int) -> tuple[int, ...]:
    """Checkpoints at 1, 2, 5, 10, 20, ..., at half of the last, and at the last.

    Half of the budget is where the diagnosis asks what doubling it brought.
    """
    grid = {a * 10**b for a in (1, 2, 5) for b in range(len(str(last)))}
    return tuple(sorted({s for s in grid if s < last} | {last, max(last // 2, 1)}))


class NeedsError(ValueError):
    """An attack needs something that the target does not offer."""


_LACK = {  # of each need: why a target lacks it, and how to offer it
    "gradient": ("the proxy is not differentiable in its inputs", ""),
    "continuous": ("its inputs are not floats", ""),
    "tokens": ("its inputs are not integer tokens", ""),
    "embedding": (
        "its proxy shows no differentiable embedding of tokens [num, length]",
        ", or give robust.Embedded(table, head)",
    ),
    "move": (
        "its base has no move that leaves it invariant", ", or give Base(move=...)",
    ),
    "log_prob": ("its base has no log_prob", ", or give Base(log_prob=...)"),
    "policy": (
        "its base is not a tunable policy", ", or build the base with robust.tunable",
    ),
}  # fmt: skip
_INSTEAD = {  # what runs where its needs are met, the strongest first
    "gradient_ascent": {"continuous", "gradient"},
    "token_search": {"tokens", "embedding"},
    "splitting": {"move"},
    "best_of_n": set(),
}


def check_needs(attack: Attack, target: Target) -> None:
    """Refuse an attack on a target that lacks what the attack needs.

    Raises:
      NeedsError: one line with the attack, the lack, the reason, an alternative.
    """
    unknown = attack.needs - _LACK.keys()
    if unknown:
        raise NeedsError(
            f"attack {attack.name} needs {sorted(unknown)}; "
            f"needs are among {', '.join(_LACK)}"
        )
    offers = capabilities(target)
    missing = sorted(attack.needs - offers)
    if missing:
        reason, remedy = _LACK[missing[0]]
        instead = [name for name, needs in _INSTEAD.items() if needs <= offers]
        raise NeedsError(
            f"{attack.name} needs '{missing[0]}', which this target lacks: "
            f"{reason}; use {' or '.join(instead[:2])}{remedy}"
        )
