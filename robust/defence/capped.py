"""A score that stops paying: the quantilizer, and early stopping."""

import jax
import jax.numpy as jnp
import numpy as np

from robust.defence.ensembles import defended
from robust.judge import check_finite
from robust.target import Target

_PER_BIN = 10  # judged draws


def quantilizer(
    target: Target, q: float = 0.01, *, key: jax.Array, draws: int = 2**14
) -> Target:
    """Stop paying at the score that a share q of the base exceeds.

    What selects among base inputs by such a score can do no more than condition the
    base on its top q: that is the quantilizer, whose KL is ln 1/q. What searches is
    only capped.

    Args:
      q: in (0, 1).
      key: of the base draws whose quantile it is.
      draws: how many.

    Raises:
      ValueError: the target's proxy is no `Ensemble`; q or the draws do not say which
        score that is; a score that is not finite.

    Reference: Taylor 2016, "Quantilizers: a safer alternative to maximizers".
    """
    if not 0 < q < 1 or q * draws < 10:
        raise ValueError(
            f"got q={q} of {draws} draws; give a share in (0, 1) of at least 10 draws"
        )
    plain = defended(target)
    scores = plain(target.base.decode(target.base.sample(key, draws)))
    check_finite("proxy", scores)
    return target._replace(proxy=plain._replace(cap=jnp.quantile(scores, 1 - q)))


def early_stopping(
    target: Target, x, true, *, key: jax.Array, draws: int = 2**16
) -> Target:
    """Stop paying at the score where selection is predicted to deliver most.

    HedgeTune finds the n at which best-of-n delivers most from what judged base draws
    say; the cap is the mean score of that best-of-n. It sees no further than the
    judged draws do. (Where occupancies are known, as in the task `gridworld`, the rule
    of Karwowski et al. 2024, arXiv:2310.09144, stops a path by its angle instead.)

    Args:
      x: judged base draws `[N, ...]`.
      true: their true values, `[N]`: labels that this defence costs.
      key: of base draws that are not judged, among which the others are ranked.
      draws: how many.

    Raises:
      ValueError: the target's proxy is no `Ensemble`; fewer than 100 judged draws, or
        1,000 others; draws and true values of unequal number; a score or true value
        that is not finite.

    Reference: Khalaf et al. 2025, arXiv:2506.19248.
    """
    from robust.measure.bank import best_of_n_curve
    from robust.measure.calibration import calibrate
    from robust.measure.policies import hedge
    from robust.measure.realised import rank_nats

    true, num = np.asarray(true, float), len(jax.tree.leaves(x)[0])
    if true.ndim != 1 or len(true) < 100 or len(true) != num or draws < 1000:
        raise ValueError(
            f"got {num} judged inputs, true values of shape {true.shape} and {draws} "
            "draws; give [N] of 100 or more, as many inputs, and at least 1000 draws"
        )
    check_finite("judge", true)
    plain = defended(target)
    others = plain(target.base.decode(target.base.sample(key, draws)))
    others, scores = np.asarray(others, float), np.asarray(plain(x), float)
    check_finite("proxy", np.append(others, scores))
    nats, _ = rank_nats(scores, others, np.full(len(scores), 0.5))
    # Narrow bins: the integral averages their noise, and the rarest matter most.
    n = np.array([round(hedge([calibrate(nats, true, len(true) // _PER_BIN)]).n)])
    curve = best_of_n_curve(others, others, np.zeros(draws, int), n)
    cap = jnp.asarray(curve.proxy_by_group[0, 0], float)
    return target._replace(proxy=plain._replace(cap=cap))
