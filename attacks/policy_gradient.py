"""Tune the base itself towards the proxy: REINFORCE, GRPO and PPO-clip."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from robust import Attack, Cost, bind, round_steps

_ADAM = optax.adam(1.0)
_CLIP = 0.2  # of the ratio of new to old probabilities
_MOST = (
    20.0  # nats of a log ratio beyond which it has no gradient: exp must not overflow
)
_EPOCHS = {"reinforce": 1, "grpo": 4, "ppo": 4}


class State(NamedTuple):
    params: Any  # of the policy
    optimizer: Any
    score: jax.Array  # [M] of the last group, undefined ones as the worst so far
    worst: jax.Array  # [] lowest score so far; +inf before there is one


def policy_gradient(
    learning_rate: float = 0.05,
    *,
    kl_coefficient: float = 0.0,
    entropy_coefficient: float = 0.0,
    algorithm: str = "reinforce",
    group: int | None = None,
    optimizer: optax.GradientTransformation = _ADAM,
    steps: int = 200,
) -> Attack:
    """Climb E[proxy] - kl_coefficient KL(policy ‖ base) in the policy's parameters.

    Each step draws one candidate per slot from the policy and scores it: the slots
    are one group, each measured against the mean of the others. The proxy is a black
    box. Undefined scores count as the worst so far. A look draws anew.

    "reinforce": one step up the gradient, the KL penalty being part of the reward.
    "ppo": the same reward, four passes over the group, ratios clipped at 1 ± 0.2.
    "grpo": four clipped passes too, rewards divided by the group's standard deviation
    (so `kl_coefficient` is in that unit), and the penalty's gradient that of Schulman's
    k3 estimator, whose mean is the gradient of KL(base ‖ policy) and whose pull is lost
    in noise beyond a few nats.

    `info["kl"]` is KL(policy ‖ base) in nats, by Monte Carlo over as many draws as
    slots, with its standard `kl_error`. The estimator is the mean log ratio with the
    score function along the way from the base as control variate: it has mean 0 and
    bounded weight, and where the base is an exponential family in its natural
    parameters, such as logits, nothing random is left. A policy that brings its own
    `kl` is asked for that instead.

    Args:
      learning_rate: multiplies the optimizer's update, in units of the parameters.
      kl_coefficient: λ, in units of the proxy per nat; at the optimum the policy is
        the tilt p0 exp(r/λ) if it can be. 0: no penalty.
      entropy_coefficient: bonus per nat of the policy's entropy, in units of the
        proxy.
      algorithm: "reinforce", "grpo" or "ppo".
      group: consecutive slots that a score is compared with, for a policy that gives
        each prompt it draws to that many slots. None: all slots.
      optimizer: any optax transformation that minimises, made with step size 1;
        make it once, since another object is another program.
      steps: last checkpoint; the others lie at 1, 2, 5, 10, 20, 50, ... below it,
        and at half of it.

    Raises:
      ValueError: an unknown algorithm, or a number out of range.

    Reference: Williams 1992, Machine Learning 8:229; Kool et al. 2019 (leave-one-out
    baseline); Schulman et al. 2017, arXiv:1707.06347 (PPO); Shao et al. 2024,
    arXiv:2402.03300 (GRPO); Assaraf & Caffarel 1999, PRL 83:4682 (control variate).
    """
    if algorithm not in _EPOCHS:
        raise ValueError(
            f"algorithm is {algorithm!r}; give one of {', '.join(_EPOCHS)}"
        )
    if group is not None and group < 2:
        raise ValueError(f"group is {group}; give at least 2 slots, or None for all")
    for name, value in {"learning_rate": learning_rate, "steps": steps}.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; give a number above zero")
    prices = {"kl_coefficient": kl_coefficient,
              "entropy_coefficient": entropy_coefficient}  # fmt: skip
    for name, value in prices.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value}; give a number of at least zero")
    rates = [jnp.asarray(v, float) for v in (learning_rate, *prices.values())]
    return Attack(
        init=bind(_init, optimizer=optimizer),
        step=bind(_step, *rates, algorithm=algorithm, group=group, optimizer=optimizer),
        sample=bind(_sample),
        info=bind(_info),
        cost=Cost(init=0, queries=1),
        steps=round_steps(steps),
        needs=frozenset({"policy"}),
        name="policy_gradient",
    )


def _init(key, z, target, *, optimizer):
    params = target.base.policy.params
    count = len(jax.tree.leaves(z)[0])
    return State(params, optimizer.init(params), jnp.zeros(count), jnp.asarray(jnp.inf))


def _step(
    learning_rate, kl_coefficient, bonus, key, state, target,
    *, algorithm, group, optimizer,
):  # fmt: skip
    policy, count = target.base.policy, len(state.score)
    z = policy.sample(state.params, key, count)
    score, worst = _worst_filled(target.score(z), state.worst)
    before = policy.log_prob(state.params, z)
    base = policy.log_prob(policy.params, z)
    score = score - bonus * before
    if algorithm == "grpo":
        penalty, reward = kl_coefficient, _in_groups(score, group)
        spread = reward.std(axis=1, keepdims=True)
        advantage = _against_the_others(reward) / jnp.where(spread > 0, spread, 1.0)
    else:
        penalty, reward = 0.0, score - kl_coefficient * (before - base)
        advantage = _against_the_others(_in_groups(reward, group))
    advantage = advantage.ravel()

    def loss(params):
        after = policy.log_prob(params, z)
        ratio = jnp.exp(jnp.clip(after - before, -_MOST, _MOST))
        gain = ratio * advantage
        if _EPOCHS[algorithm] > 1:
            gain = jnp.minimum(gain, jnp.clip(ratio, 1 - _CLIP, 1 + _CLIP) * advantage)
        behind = jnp.expm1(jnp.minimum(base - after, _MOST)) - (base - after)
        return (penalty * behind - gain).mean()

    def climb(_, carry):
        params, memory = carry
        slope = jax.grad(loss)(params)
        slope = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0.0), slope)
        update, memory = optimizer.update(slope, memory, params)
        update = jax.tree.map(lambda u: learning_rate * u, update)
        return optax.apply_updates(params, update), memory

    carry = state.params, state.optimizer
    params, memory = jax.lax.fori_loop(0, _EPOCHS[algorithm], climb, carry)
    return State(params, memory, score, worst)


def _worst_filled(score, worst):
    """Scores with the worst so far in place of undefined ones, and the worst so far."""
    defined = jnp.isfinite(score)
    worst = jnp.minimum(worst, jnp.where(defined, score, jnp.inf).min())
    filler = jnp.where(jnp.isfinite(worst), worst, 0.0)
    return jnp.where(defined, score, filler), worst


def _in_groups(reward, group):
    """Rewards `[M]` as `[groups, slots of each]`."""
    count = len(reward)
    if count % (group or count):
        raise ValueError(
            f"{count} slots are no whole number of groups of {group}; give slots that "
            f"{group} divides"
        )
    return reward.reshape(-1, group or count)


def _against_the_others(reward):
    """Rewards less the mean of all others in their group."""
    count = reward.shape[1]
    mean = reward.mean(axis=1, keepdims=True)
    return (reward - mean) * (count / max(count - 1, 1))


def _sample(key, state, target):
    z = target.base.policy.sample(state.params, key, len(state.score))
    return target.base.decode(z)


def _info(key, state, target):
    kl, error = _kl(key, state.params, target.base.policy, len(state.score))
    return {"kl": kl, "kl_error": error}


def _kl(key, params, policy, count):
    """KL(policy ‖ base) in nats and its standard error, both `[]`."""
    z = policy.sample(params, key, count)
    if policy.kl is not None:
        each = policy.kl(params, policy.params, z)
        return each.mean(), each.std() / jnp.sqrt(max(count - 1, 1))
    way = jax.tree.map(jnp.subtract, params, policy.params)
    log_prob, slope = jax.jvp(lambda p: policy.log_prob(p, z), (params,), (way,))
    ratio = log_prob - policy.log_prob(policy.params, z)
    centered, control = ratio - ratio.mean(), slope - slope.mean()
    square = (control**2).sum()
    weight = (centered * control).sum() / jnp.where(square > 0, square, 1.0)
    kept = centered - weight * control
    error = jnp.sqrt((kept**2).sum() / max(count - 2, 1) / count)
    return (ratio - weight * slope).mean(), error
