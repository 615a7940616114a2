"""Which Goodhart: the divergence as a sum of causes."""

from typing import Any, NamedTuple

from robust.measure.namespace import namespace


class Causes(NamedTuple):
    """Parts that add up to the divergence, base standard deviations, `[...]`.

    Attributes:
      regressional: lack of linear correlation on the base: noise and curvature.
      extremal: the relation bends where high scores are.
      adversarial: inputs worth less than ordinary inputs of the same score. Zero
        for every attack that selects by score alone.
      unsplit: extremal + adversarial of candidates beyond the resolved scores.
      beyond: share of such candidates.
    """

    regressional: Any
    extremal: Any
    adversarial: Any
    unsplit: Any
    beyond: Any

    @property
    def divergence(self):
        """Promised minus delivered: the sum of the four parts."""
        return self.regressional + self.extremal + self.adversarial + self.unsplit


def split(proxy, true, expected, beyond, rho) -> Causes:
    """Split promised minus delivered, averaged over candidates.

    Args:
      proxy, true: of each candidate, `[..., K]`, in base standard deviations from
        the base mean.
      expected: what ordinary inputs of the same score are worth, `[..., K]`.
      beyond: bool `[..., K]`, True where `expected` is an extrapolation.
      rho: base correlation, broadcasting with `[...]`.

    Reference: the four variants of Manheim & Garrabrant 2018, arXiv:1803.04585, made
    additive.
    """
    linear = namespace(proxy, rho).asarray(rho)[..., None] * proxy
    inside = ~beyond
    return Causes(
        regressional=(proxy - linear).mean(axis=-1),
        extremal=(inside * (linear - expected)).mean(axis=-1),
        adversarial=(inside * (expected - true)).mean(axis=-1),
        unsplit=(beyond * (linear - true)).mean(axis=-1),
        beyond=beyond.mean(axis=-1),
    )


def last_resolved(beyond, most: float = 0.1) -> int:
    """Last checkpoint up to which at most a share `most` of candidates is beyond.

    Args:
      beyond: share per unit and checkpoint, `[U, T]`.
    """
    fine = beyond.mean(axis=0) <= most
    return int(fine.argmin()) - 1 if not fine.all() else len(fine) - 1
