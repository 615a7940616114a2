"""Evolution strategies: search the legal inputs by rank, without a gradient."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

from robust import Attack, Cost, bind, choose, finite_or_worst, round_steps

_ALGORITHMS = {
    "cma_es": "CMA_ES", "sep_cma_es": "Sep_CMA_ES", "snes": "SNES",
    "open_es": "Open_ES",
}  # fmt: skip
_ADAM = optax.adam(0.1)  # of open_es, in base standard deviations
_DRAWS = 256  # unscored, for the mean and the standard deviation of the base


class State(NamedTuple):
    search: Any  # evosax states, leaves [runs, ...]
    center: jax.Array  # [n] mean of the base, the origin of all runs
    unit: jax.Array  # [n] its standard deviation
    best: Any  # best input of each slot so far, leaves [M, ...]
    best_score: jax.Array  # [M]


def evolution(
    algorithm: str = "cma_es",
    *,
    population: int = 16,
    scale: float | None = None,
    steps: int = 200,
) -> Attack:
    """Run M / population independent evolution strategies and keep each slot's best.

    Slots are the members of the runs: slot i is one of run i mod (M / population), so
    the first slots, which the judge sees, are spread over all runs. A slot keeps the
    best input that this member has had. The base draws are the first generation, in
    coordinates where they have mean 0 and standard deviation 1; one step is one
    later generation. Members are made legal by the base's `project` before they are
    scored, and the search learns from where they then are.

    Sees the order of scores only; those that are not finite are the lowest. "cma_es"
    keeps an n x n covariance for each run: use "sep_cma_es" or "snes" (a deviation
    per coordinate) or "open_es" (a fixed one) beyond a few hundred coordinates.
    Its eigenvectors come from OpenBLAS, whose threads cost such small matrices several
    times the CPU time of one: start Python with OPENBLAS_NUM_THREADS=1.

    Args:
      algorithm: "cma_es", "sep_cma_es", "snes" or "open_es".
      population: members of each run, at least 4, even; slots are a multiple of it.
      scale: standard deviation of the second generation, in those of the base; of
        all generations for "open_es". Default 1, and 0.3 for "open_es".
      steps: last checkpoint; the others lie at 1, 2, 5, 10, 20, 50, ... below it,
        and at half of it.

    Raises:
      ValueError: an unknown algorithm, a number out of range, or, when it runs,
        slots that the population does not divide.

    Reference: Hansen 2016, arXiv:1604.00772 (CMA-ES); Ros & Hansen 2008 (separable);
    Wierstra et al. 2014 (SNES); Salimans et al. 2017 (OpenES), all by evosax (Lange
    2022, arXiv:2212.04180).
    """
    if algorithm not in _ALGORITHMS:
        known = ", ".join(_ALGORITHMS)
        raise ValueError(f"algorithm is {algorithm!r}; give one of {known}")
    if population < 4 or population % 2:
        raise ValueError(f"population is {population}; give an even number from 4 up")
    if scale is None:
        scale = 0.3 if algorithm == "open_es" else 1.0
    for name, value in {"scale": scale, "steps": steps}.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; give a number above zero")
    shape = {"algorithm": algorithm, "population": population}
    start = jnp.asarray(scale, float)
    return Attack(
        init=bind(_init, start, **shape),
        step=bind(_step, start, **shape),
        sample=bind(_sample),
        info=bind(_info),
        cost=Cost(init=1, queries=1),
        steps=round_steps(steps),
        needs=frozenset({"continuous"}),
        name="evolution",
    )


@functools.cache
def _strategy(algorithm, population, sites):
    from evosax import algorithms

    options = {"optimizer": _ADAM} if algorithm == "open_es" else {}
    made = getattr(algorithms, _ALGORITHMS[algorithm])
    with jax.ensure_compile_time_eval():  # it keeps arrays, for any later trace
        strategy = made(population, jnp.zeros(sites), **options)
        return strategy, strategy.default_params


def _flat(x):
    """Inputs as rows, `[M, n]`."""
    return jax.vmap(lambda leaf: ravel_pytree(leaf)[0])(x)


def _init(scale, key, z, target, *, algorithm, population):
    x, score = target.base.decode(z), target.score(z)
    flat = _flat(x)
    num, sites = flat.shape
    if num % population:
        raise ValueError(
            f"slots is {num}; give a multiple of the population, {population}"
        )
    key_scale, key_begin, key_tell = jax.random.split(key, 3)
    draws = _flat(target.base.decode(target.base.sample(key_scale, _DRAWS)))
    center, unit = draws.mean(axis=0), draws.std(axis=0)
    # Coordinates that all draws share can still be searched: in the others' unit.
    unit = jnp.where(unit > 0, unit, unit.mean())
    unit = jnp.where(unit > 0, unit, 1.0)
    strategy, params = _strategy(algorithm, population, sites)
    begin = functools.partial(strategy.init, mean=jnp.zeros(sites))
    search = jax.vmap(lambda key: begin(key, params=params))(
        jax.random.split(key_begin, num // population)
    )
    state = State(search, center, unit, x, score)
    learnt = _learn(scale, key_tell, state, flat, score, strategy, params)
    return state._replace(search=learnt)


def _learn(scale, key, state, flat, score, strategy, params):
    """Tell each run what its members, `[M, n]`, scored; fitness is minimised."""
    runs = len(flat) // strategy.population_size
    members = (flat - state.center[None]) / state.unit[None]
    # Slot i belongs to run i mod runs.
    members = members.reshape(-1, runs, members.shape[1]).swapaxes(0, 1)
    fitness = -score.reshape(-1, runs).T

    def tell(key, members, fitness, search):
        first = search.generation_counter == 0
        with jax.numpy_rank_promotion("allow"):
            learnt, _ = strategy.tell(key, members, fitness, search, params)
        again = first | hasattr(strategy, "std_schedule")
        return learnt.replace(std=learnt.std * jnp.where(again, scale, 1.0))

    return jax.vmap(tell)(jax.random.split(key, runs), members, fitness, state.search)


def _step(scale, key, state, target, *, algorithm, population):
    num, sites = len(state.best_score), len(state.center)
    strategy, params = _strategy(algorithm, population, sites)
    key_ask, key_tell = jax.random.split(key)

    def ask(key, search):
        with jax.numpy_rank_promotion("allow"):
            return strategy.ask(key, search, params)

    keys = jax.random.split(key_ask, num // population)
    members, search = jax.vmap(ask)(keys, state.search)
    flat = members.swapaxes(0, 1).reshape(num, sites)
    flat = state.center[None] + state.unit[None] * flat
    _, restore = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], state.best))
    x = target.base.project(jax.vmap(restore)(flat))
    score = finite_or_worst(target.proxy(x))
    better = score > state.best_score

    state = state._replace(
        search=search,
        best=choose(better, x, state.best),
        best_score=jnp.maximum(score, state.best_score),
    )
    learnt = _learn(scale, key_tell, state, _flat(x), score, strategy, params)
    return state._replace(search=learnt)


def _sample(key, state, target):
    return state.best


def _info(key, state, target):
    """Spread of the search, in base standard deviations, over runs and coordinates.

    And the largest condition of a run: squared ratio of longest to shortest axis.
    """
    search = state.search
    axes = getattr(search, "D", search.std).reshape(len(search.std), -1)
    ratio = axes.max(axis=1) / axes.min(axis=1)
    return {"spread": jnp.mean(search.std), "condition": (ratio**2).max()}
