"""Several networks in place of one, and the shape that all defended proxies have."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from robust.base import Base
from robust.bind import bind
from robust.target import Target

_LARGEST = 50.0  # nats at which the chi-squared penalty stops growing: exp is finite
_IMPOSSIBLE = 1e30  # nats, in place of infinity, of which none would be a NaN


class Ensemble(NamedTuple):
    """A proxy that several networks agree on: the mean of their standardised scores.

    Attributes:
      score: `(params, x [num, ...]) -> [num]`.
      params: leaves `[M, ...]`.
      mean, std: of each member on base draws, `[M]`. Learning from preferences leaves
        a score's offset free, without which the least of several means nothing.
    """

    score: Callable
    params: Any
    mean: Any
    std: Any

    def members(self, x):
        """Score inputs by each member, in base standard deviations: `[M, num]`."""
        raw = jax.vmap(self.score, (0, None))(self.params, x)
        return (raw - self.mean[:, None]) / self.std[:, None]

    def __call__(self, x):
        return self.members(x).mean(axis=0)


class Defended(NamedTuple):
    """A proxy behind defences: min(mixed members - penalties, cap).

    Attributes:
      proxy: the `Ensemble`.
      weight: of each member, `[M]`; least: of the lowest of them; variance: of their
        variance (over M), taken off. All in the members' unit.
      kl, chi2: per nat of surprise, and per e to it less 1, taken off.
      cap: above which the score no longer rises.
      log_prob: of an input under the base, `x -> [num]`, nats.
      entropy: mean of -log_prob under the base, nats.
    """

    proxy: Ensemble
    weight: Any
    least: Any
    variance: Any
    kl: Any
    chi2: Any
    cap: Any
    log_prob: Callable
    entropy: Any

    def __call__(self, x):
        members = self.proxy.members(x)
        score = self.weight @ members + self.least * members.min(axis=0)
        score = score - self.variance * members.var(axis=0)
        surprise = jnp.minimum(-self.log_prob(x) - self.entropy, _IMPOSSIBLE)
        excess = jnp.expm1(jnp.minimum(surprise, _LARGEST))
        cost = self.kl * surprise + self.chi2 * excess
        return jnp.minimum(score - cost, self.cap)


def ensemble(score: Callable, params, x) -> Ensemble:
    """Standardise proxies on base draws and make one of them.

    Args:
      score: `(params, x) -> [num]`.
      params: leaves `[M, ...]`.
      x: base draws `[N, ...]`.

    Raises:
      ValueError: a member whose scores are all the same, or not all finite.
    """
    raw = jax.vmap(score, (0, None))(params, x)
    mean, std = raw.mean(axis=1), raw.std(axis=1)
    spread = np.asarray(std)
    for bad, how in ((~np.isfinite(spread), "not with finite numbers"),
                     (spread == 0, "all inputs alike")):  # fmt: skip
        if bad.any():
            which = np.flatnonzero(bad).tolist()
            raise ValueError(f"members {which} score {how}; leave them out")
    return Ensemble(score, params, mean, std)


def single(target: Target, member: int = 0) -> Target:
    """No defence: one member alone.

    Raises:
      ValueError: as `mean`; or no such member.
    """
    count = len(defended(target).weight)
    if not 0 <= member < count:
        raise ValueError(f"member is {member}; give a number from 0 to {count - 1}")
    return _mixed(target, weight=jnp.eye(count)[member])


def mean(target: Target) -> Target:
    """The mean of an ensemble's members.

    Of `single`, `mean`, `wco` and `uwo` the last counts alone.

    Raises:
      ValueError: the target's proxy is no `Ensemble`; or it is capped, on a score that
        this would change.

    Reference: Coste et al. 2023, arXiv:2310.02743, section 3.
    """
    return _mixed(target)


def wco(target: Target) -> Target:
    """Worst-case optimization: the lowest of an ensemble's members.

    Raises:
      ValueError: as `mean`.

    Reference: Coste et al. 2023, arXiv:2310.02743, eq. 4.
    """
    weight = jnp.zeros_like(defended(target).weight)
    return _mixed(target, weight=weight, least=jnp.ones(()))


def uwo(target: Target, coefficient: float = 0.5, *, ddof: int = 0) -> Target:
    """Uncertainty-weighted optimization: mean less coefficient times variance.

    Args:
      coefficient: per unit of variance, members being in base standard deviations.
      ddof: the variance divides by M - ddof. The paper's formula divides by M;
        implementations that call a sample variance divide by M - 1, which for five
        members is a coefficient a quarter higher.

    Raises:
      ValueError: as `mean`; a coefficient that is negative or not finite; as many
        ddof as members.

    Reference: Coste et al. 2023, arXiv:2310.02743, eq. 5.
    """
    count = len(defended(target).weight)
    if not 0 <= coefficient < float("inf") or not 0 <= ddof < count:
        raise ValueError(
            f"got coefficient={coefficient}, ddof={ddof}; give a finite number of at "
            f"least zero, and a ddof from 0 to {count - 1}"
        )
    return _mixed(target, variance=coefficient * count / (count - ddof))


def _mixed(target, weight=None, least=0.0, variance=0.0) -> Target:
    """Mix the members anew; by default to their mean."""
    plain = defended(target)
    if np.isfinite(plain.cap):
        raise ValueError("the proxy is capped; mix its members before the cap")
    if weight is None:
        weight = jnp.full_like(plain.weight, 1 / len(plain.weight))
    least, variance = (jnp.asarray(value, float) for value in (least, variance))
    mixed = plain._replace(weight=weight, least=least, variance=variance)
    return target._replace(proxy=mixed)


def defended(target: Target) -> Defended:
    """The proxy as `Defended`, with what defences it has so far."""
    proxy = target.proxy
    if isinstance(proxy, Defended):
        return proxy
    if not isinstance(proxy, Ensemble):
        raise ValueError(
            f"the target's proxy is {type(proxy).__name__}; give "
            "robust.defence.ensemble(score, params, x); one member will do"
        )
    count, zero = len(proxy.mean), jnp.zeros(())
    return Defended(
        proxy=Ensemble(bind(proxy.score), *proxy[1:]),
        weight=jnp.full(count, 1 / count, float),
        least=zero, variance=zero, kl=zero, chi2=zero, cap=jnp.asarray(jnp.inf, float),
        log_prob=bind(input_log_prob(target.base) or _flat), entropy=zero,
    )  # fmt: skip


def input_log_prob(base: Base) -> Callable | None:
    """The base's log_prob, where what it is of is the input itself."""
    decodes = base.decode is not Base._field_defaults["decode"]
    return None if decodes else base.log_prob


def _flat(x):
    return jnp.zeros(len(jax.tree.leaves(x)[0]))
