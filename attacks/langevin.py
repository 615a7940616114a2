"""Sample the tempered base p0 exp(r/λ) by gradients: Langevin and Hamiltonian moves."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from robust import Attack, Cost, NeedsError, bind, finite_or_worst

_HOTTEST = 4.0  # base deviations of the proxy: about .03 nats away from the base
_START = 0.5  # step size, in base deviations of a coordinate
_PACE = 1.0  # of the step size's logarithm, per unit of acceptance above its goal
_MALA_GOAL, _HMC_GOAL = 0.574, 0.8  # shares of moves accepted


class State(NamedTuple):
    z: Any  # latents, leaves [M, ...]
    score: jax.Array  # [M], non-finite as -inf
    grad: Any  # gradient of the score at z, leaves [M, ...], non-finite as 0
    spread: jax.Array  # [D] variance of each latent coordinate over the base draws
    unit: jax.Array  # [] standard deviation of the proxy over the base draws
    steps: jax.Array  # [] temperings so far
    inverse_temperature: jax.Array  # [] β = 1/λ, in nats per unit of proxy
    step_size: jax.Array  # [] in base deviations
    acceptance: jax.Array  # [] share of the moves since the step size was frozen
    divergences: jax.Array  # [] share of them whose energy was off by 1000 nats
    outside: jax.Array  # [] share of them to where the density is 0


def langevin(
    temperature: float = 0.1,
    *,
    leapfrog: int = 1,
    temperings: int = 20,
    moves: int = 10,
) -> Attack:
    """Anneal base draws towards p0 exp(r/λ) by Metropolis-adjusted gradient moves.

    Each step lowers λ geometrically, from 4 base standard deviations of the proxy in
    the first to `temperature` in the last, so that checkpoints are ever more pressure;
    steps beyond stay there. In each, the first half of the moves adapts the step
    size to 57 % acceptance (80 % for several leapfrogs) and the second half is plain
    Markov chains at a frozen one; beyond the last tempering nothing adapts any more.
    Inputs that the base forbids are never accepted. Chains move in the base's latents,
    each coordinate in units of its base standard deviation.

    `info` holds `inverse_temperature`, `step_size`, and shares of the moves at a
    frozen step size: `acceptance`, `divergences`, and `outside`, to where the base or
    the proxy is undefined. Chains that begin there count in none of them. It claims no
    KL, since short chains need not have reached their temperature; `tempering` knows
    its KL.

    Args:
      temperature: λ at the end, in base standard deviations of the proxy.
      leapfrog: gradient steps per move; 1 is MALA, more is Hamiltonian Monte Carlo.
      temperings: steps down to `temperature`.
      moves: moves of every chain per step, at least 2.

    Raises:
      ValueError: a temperature or count out of range.
      NeedsError: in `init`, latents that are not floats.

    Reference: Roberts & Rosenthal 1998, JRSS B 60:255 (MALA and its 57 %); Neal 2011,
    arXiv:1206.1901 (HMC; one leapfrog is MALA); Betancourt et al. 2014, arXiv:1411.6669
    (80 %).
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; give a number above zero")
    if leapfrog < 1 or temperings < 1 or moves < 2:
        raise ValueError(
            f"got leapfrog={leapfrog}, temperings={temperings}, moves={moves}; "
            "give at least 1, 1 and 2"
        )
    cooling = jnp.asarray(temperature, float), jnp.asarray(temperings)
    queries = moves * leapfrog + 1
    return Attack(
        init=bind(_init),
        step=bind(_step, *cooling, jnp.asarray(moves), leapfrog=leapfrog),
        sample=bind(_sample),
        info=bind(_info),
        cost=Cost(init=1, queries=queries, grads=queries),
        steps=tuple(range(1, temperings + 1)),
        needs=frozenset({"continuous", "gradient", "log_prob"}),
        name="langevin",
    )


def _score_and_grad(target, z):
    score, pull = jax.vjp(lambda z: target.proxy(target.base.decode(z)), z)
    (grad,) = pull(jnp.ones_like(score))
    return finite_or_worst(score), _finite(grad)


def _finite(grad):
    return jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), grad)


def _init(key, z, target):
    kinds = {str(leaf.dtype) for leaf in jax.tree.leaves(z)}
    if not all(jnp.issubdtype(kind, jnp.floating) for kind in kinds):
        raise NeedsError(
            f"langevin moves in the base's latents, which are {', '.join(kinds)} here; "
            "give a base with float latents, or use tempering or splitting"
        )
    score, grad = _score_and_grad(target, z)
    defined = jnp.isfinite(score)
    unit = jnp.std(score, where=defined)
    columns = [leaf.reshape(len(score), -1) for leaf in jax.tree.leaves(z)]
    spread = jnp.var(jnp.concatenate(columns, axis=1), axis=0)
    return State(
        z, score, grad, jnp.where(spread > 0, spread, 1.0),
        jnp.where(defined.any(), unit, 0.0), jnp.zeros((), jnp.int32),
        inverse_temperature=jnp.zeros(()), step_size=jnp.full((), _START),
        acceptance=jnp.full((), jnp.nan), divergences=jnp.zeros(()),
        outside=jnp.zeros(()),
    )  # fmt: skip


def _step(temperature, temperings, moves, key, state, target, *, leapfrog):
    from blackjax.mcmc import hmc

    steps = state.steps + 1
    beta = _cooled(temperature, temperings, state.unit, steps)
    adapting = jnp.where(steps <= temperings, moves // 2, 0)
    move = _mover(target, beta, state.spread, len(state.score), leapfrog)

    def body(i, carry):
        chains, step_size, sums = carry
        chains, shares = move(jax.random.fold_in(key, i), chains, step_size)
        frozen = i >= adapting
        excess = shares[0] - (_MALA_GOAL if leapfrog == 1 else _HMC_GOAL)
        step_size = step_size * jnp.where(frozen, 1.0, jnp.exp(_PACE * excess))
        return chains, step_size, sums + frozen * shares

    chains = hmc.HMCState._make((state.z, *_lifted(target, state, beta)))
    carry = chains, state.step_size, jnp.zeros(3)
    chains, step_size, sums = jax.lax.fori_loop(0, moves, body, carry)
    score, grad = _score_and_grad(target, chains.position)
    return State(
        chains.position, score, grad, state.spread, state.unit, steps, beta,
        step_size, *(sums / (moves - adapting)),
    )  # fmt: skip


def _mover(target, beta, spread, count, leapfrog):
    """One move of all chains, with shares accepted, divergent and outside, `[3]`."""
    from blackjax.mcmc import hmc

    density, kernel = _tempered(target, beta), hmc.build_kernel()

    def move(key, chain, step_size):
        return kernel(key, chain, density, step_size, spread, leapfrog)

    def move_all(key, chains, step_size):
        keys = jax.random.split(key, count)
        # A chain that begins where the proxy is undefined says nothing of the step.
        defined = jnp.isfinite(chains.logdensity)
        chains, seen = jax.vmap(move, (0, 0, None))(keys, chains, step_size)
        outside = seen.energy == jnp.inf
        tallies = seen.acceptance_rate, seen.is_divergent & ~outside, outside
        sums = jnp.stack([jnp.where(defined, tally, 0.0).sum() for tally in tallies])
        return chains, sums / jnp.maximum(defined.sum(), 1)

    return move_all


def _tempered(target, beta):
    """The log density of one latent, whose gradient is 0 where it is not a number."""

    def density(z):
        # A chain is one candidate; what a target holds takes many.
        batch = jax.tree.map(lambda leaf: leaf[None], z)
        score = target.proxy(target.base.decode(batch))
        prior = target.base.log_prob(batch)
        return jnp.where(jnp.isfinite(score), prior + beta * score, -jnp.inf)[0]

    @jax.custom_vjp
    def tempered(z):
        return density(z)

    def forward(z):
        return jax.vjp(density, z)

    def backward(pull, weight):
        # Any force leaves the rule exact, but one that is not a number ends a chain.
        return _finite(pull(weight))

    tempered.defvjp(forward, backward)
    return tempered


def _lifted(target, state, beta):
    """Log density and its gradient at another β, from what is known of the scores."""
    prior, pull = jax.vjp(target.base.log_prob, state.z)
    force = _finite(pull(jnp.ones_like(prior))[0])
    # Where the proxy is flat β is 0, which must not meet a score of -inf.
    defined = jnp.isfinite(state.score)
    value = jnp.where(defined, prior + beta * state.score, -jnp.inf)
    return value, jax.tree.map(lambda a, b: a + beta * b, force, state.grad)


def _cooled(temperature, temperings, unit, steps):
    """β at a step, in nats per unit of proxy; 0 where the proxy does not vary."""
    first = jnp.log(jnp.maximum(_HOTTEST, temperature))
    left = (temperings - jnp.minimum(steps, temperings)) / jnp.maximum(
        temperings - 1, 1
    )
    log_temperature = left * first + (1 - left) * jnp.log(temperature)
    varies = unit > 0
    return jnp.where(varies, jnp.exp(-log_temperature) / jnp.where(varies, unit, 1), 0)


def _sample(key, state, target):
    return target.base.decode(state.z)


def _info(key, state, target):
    return {
        "inverse_temperature": state.inverse_temperature,
        "acceptance": state.acceptance,
        "step_size": state.step_size,
        "divergences": state.divergences,
        "outside": state.outside,
    }
