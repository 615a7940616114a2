"""The strongest of all attacks that apply, slot by slot, at matched cost."""

import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from robust import Attack, Cost, bind, choose, finite_or_worst, round_steps

_CONTINUOUS = frozenset({"continuous", "gradient", "move", "log_prob"})
_USUAL = (
    "annealing", "best_of_n", "evolution", "genetic", "gradient_ascent", "langevin",
    "splitting", "square", "tempering", "token_search",
)  # fmt: skip


class State(NamedTuple):
    parts: tuple  # one state per attack
    x: Any  # best inputs so far, leaves [M, ...]
    score: jax.Array  # [M]
    winner: jax.Array  # [M] which attack found it, -1 for the base draw


def worst_case(
    offers: frozenset[str] = _CONTINUOUS,
    *,
    attacks: Mapping[str, Mapping[str, Any]] | None = None,
    steps: int = 40,
) -> Attack:
    """Run every attack that applies side by side and keep the best input of each slot.

    One step gives each attack as many of its own steps as cost what the dearest
    spends in one, a gradient counted as two queries. A slot holds the input with the
    highest score that any attack has shown there: `info["winner"]` says whose it is,
    `[M]`, by its place among the names of `info["won_NAME"]`, -1 for the base draw;
    those are shares of the slots. The winner is picked by the proxy alone, so judged
    values need no correction for the picking; a winner picked by its true value does:
    see `robust.strongest`.

    Args:
      offers: what the target offers, from `robust.capabilities`; by default a
        continuous one with gradients. It decides which attacks take part.
      attacks: name -> options, such as the radius that all have to keep: only these
        take part, all for as long, and in as many slots as the fewest asked for.
        Default: the searches of this package as they come, less those that repeat
        another (`quantilizer`, `beam`) or tune a policy (`policy_gradient`).
      steps: the last checkpoint; the others as `robust.round_steps`.

    Raises:
      ValueError: `steps` below 1; a name that is not installed; none applies.

    Reference: Croce & Hein 2020, arXiv:2003.01690 (an ensemble of unlike attacks,
    worst case per input).
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; give a whole number above zero")
    wanted = {name: {} for name in _USUAL} if attacks is None else attacks
    made = {name: _make(name, options) for name, options in wanted.items()}
    made = {name: part for name, part in made.items() if part.needs <= offers}
    if not made:
        raise ValueError(
            f"none of {', '.join(wanted) or 'no attacks'} fits a target that offers "
            f"{', '.join(sorted(offers)) or 'nothing'}; name others"
        )
    spent = [part.cost.queries + 2 * part.cost.grads for part in made.values()]
    turns = tuple(max(1, round(max(spent) / one)) for one in spent)
    pairs = [
        (many, _make(name, wanted[name], steps=many * steps))
        for many, name in zip(turns, made, strict=True)
    ]
    parts = [part for _, part in pairs]
    functions = tuple(tuple(part[:3]) for part in parts)
    climbers = sum(part.cost.grads > 0 for part in parts)
    return Attack(
        init=bind(_init, functions),
        step=bind(_step, functions, turns=turns),
        sample=bind(_sample),
        info=bind(_info, names=tuple(made), families=(climbers, len(parts) - climbers)),
        cost=Cost(
            init=1 + sum(part.cost.init for part in parts),
            queries=sum(n * part.cost.queries for n, part in pairs) + len(parts),
            grads=sum(n * part.cost.grads for n, part in pairs),
            init_grads=sum(part.cost.first_grads for part in parts),
        ),
        steps=round_steps(steps),
        needs=frozenset().union(*(part.needs for part in parts)),
        name="worst_case",
        slots=min(options.get("slots", 512) for options in wanted.values()),
    )


def _make(name: str, options: Mapping[str, Any], **budget) -> Attack:
    """Make an installed attack, by options and, where it has a schedule, its length."""
    installed = entry_points(group="robust.attacks")
    if name not in installed.names or name == "worst_case":
        raise ValueError(
            f"attacks names {name!r}; give names of installed attacks, not worst_case"
        )
    factory = installed[name].load()
    known = inspect.signature(factory).parameters
    options = {k: v for k, v in options.items() if k not in ("steps", "slots")}
    return factory(**options, **{k: v for k, v in budget.items() if k in known})


def _init(functions, key, z, target):
    keys = jax.random.split(key, len(functions))
    states = tuple(
        init(k, z, target) for k, (init, _, _) in zip(keys, functions, strict=True)
    )
    score = target.score(z)
    nobody = jnp.full(score.shape, -1, jnp.int32)
    return State(states, target.base.decode(z), score, nobody)


def _step(functions, key, state, target, *, turns):
    x, best, winner, states = state.x, state.score, state.winner, []
    for i, (_, step, sample) in enumerate(functions):
        key_step, key_look = jax.random.split(jax.random.fold_in(key, i))

        def push(turn, inner, step=step, key_step=key_step):
            return step(jax.random.fold_in(key_step, turn), inner, target)

        states.append(jax.lax.fori_loop(0, turns[i], push, state.parts[i]))
        shown = sample(key_look, states[-1], target)
        score = finite_or_worst(target.proxy(shown))
        better = score > best

        x = choose(better, shown, x)
        best, winner = jnp.maximum(best, score), jnp.where(better, i, winner)
    return State(tuple(states), x, best, winner)


def _sample(key, state, target):
    return state.x


def _info(key, state, target, *, names, families):
    won = {f"won_{name}": (state.winner == i).mean() for i, name in enumerate(names)}
    return {**won, "winner": state.winner, "families": jnp.asarray(families)}
