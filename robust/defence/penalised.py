"""A score less what an input costs in surprise: KL and chi-squared penalties."""

import jax
import numpy as np

from robust.defence.ensembles import defended, input_log_prob
from robust.target import Target


def kl_penalty(
    target: Target, coefficient: float, *, key: jax.Array, draws: int = 2**14
) -> Target:
    """Take off a coefficient times an input's surprise, -log p0(x) - H(p0), nats.

    Under a policy the mean surprise is KL(policy ‖ base) + H(policy) - H(base): the
    KL itself for one that has moved without narrowing. A point has no KL; this is
    what can be asked of it. `policy_gradient` has the true penalty as an option.

    Args:
      coefficient: base standard deviations of the proxy per nat. A linear proxy on a
        normal base is then best at 1 / (2 coefficient²) nats.
      key: of base draws that give H(p0).
      draws: how many.

    Raises:
      ValueError: the target's proxy is no `Ensemble`, or capped; the base has no
        log_prob of its inputs; a coefficient that is negative or not finite; no draws.
    """
    return _penalised(target, key, draws, kl=coefficient)


def chi2_penalty(
    target: Target, coefficient: float, *, key: jax.Array, draws: int = 2**14
) -> Target:
    """Take off a coefficient times e^surprise - 1, see `kl_penalty`.

    Chi-squared is E_policy[policy / base] - 1, and e^surprise is that ratio at an
    input for a policy as concentrated as the base. Surprise counts up to 50 nats.

    Args:
      coefficient: base standard deviations of the proxy. A linear proxy on a normal
        base is then best where coefficient = e^(-d²/2) / d, d²/2 being the nats.
      key, draws: as in `kl_penalty`.

    Raises:
      ValueError: as `kl_penalty`.

    Reference: Laidlaw et al. 2025, arXiv:2403.03185 (chi-squared, not KL, bounds what
    is lost); this pointwise form is ours.
    """
    return _penalised(target, key, draws, chi2=coefficient)


def _penalised(target, key, draws, kl=0.0, chi2=0.0) -> Target:
    base, plain = target.base, defended(target)
    log_prob = input_log_prob(base)
    if log_prob is None:
        raise ValueError(
            "the base has no log_prob of its inputs; use quantilizer, early_stopping "
            "or pessimism, which need none"
        )
    coefficient = kl + chi2  # one of them is 0
    if not 0 <= coefficient < float("inf") or draws < 1:
        raise ValueError(
            f"got coefficient={coefficient} and {draws} draws; give a finite number of "
            "at least zero, and at least one draw"
        )
    if np.isfinite(plain.cap):
        raise ValueError("the proxy is capped; put penalties before the cap")
    penalised = plain._replace(
        entropy=-log_prob(base.sample(key, draws)).mean(),
        kl=plain.kl + kl, chi2=plain.chi2 + chi2,
    )  # fmt: skip
    return target._replace(proxy=penalised)
