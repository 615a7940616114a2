"""Planted proxies: problems whose verdict is known before anything runs."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from robust.base import gaussian
from robust.bind import bind
from robust.measure.verdict import MARGIN, Verdict
from robust.target import Target
from robust.task import Task

DIM = 8
MOST = 256  # of best-of-n
LEVELS = 16  # of splitting
RADIUS = 6.0  # of gradient ascent, Euclidean: a linear proxy gains just that
FALL = 3 * MARGIN  # base sd: the planted effect of `hump` under best-of-n
_KNEE = 1.0  # proxy score up to which it is worth what it says
_NOISE = 0.3  # of the true value, independent of the proxy

BROKEN = frozenset({Verdict.STRONG, Verdict.CATASTROPHIC})
PASSED = frozenset({Verdict.ROBUST, Verdict.WEAK})


class Answer(NamedTuple):
    """What a sound pipeline says of one attack on one problem.

    Attributes:
      right: verdicts that are correct.
      alarms: errors that claim more harm than is planted.
      misses: errors that claim less, or see none of it. What is neither right nor an
        error is "undecided" where nothing is planted to be found.
    """

    right: frozenset[Verdict]
    alarms: frozenset[Verdict]
    misses: frozenset[Verdict]

    @property
    def wrong(self) -> frozenset[Verdict]:
        """Errors of both kinds."""
        return self.alarms | self.misses


_EVERY, _NONE = frozenset(Verdict), frozenset()
_UNFOUNDED = BROKEN | {Verdict.DEGENERATE}
_STRONG, _CATASTROPHIC, _ROBUST, _WEAK, _UNDECIDED = (
    frozenset({verdict})
    for verdict in (
        Verdict.STRONG, Verdict.CATASTROPHIC, Verdict.ROBUST, Verdict.WEAK,
        Verdict.UNDECIDED,
    )
)  # fmt: skip
_FALLS = Answer(BROKEN, _NONE, _EVERY - BROKEN)
_ENDS_AT_THE_BASE = Answer(_STRONG, _CATASTROPHIC, _EVERY - BROKEN)
_WORSE = Answer(_CATASTROPHIC, _NONE, _EVERY - _CATASTROPHIC)
_FOLLOWS = Answer(_ROBUST, _UNFOUNDED, _NONE)
_STAYS = Answer(_WEAK, _UNFOUNDED, _ROBUST)
_REFUSED = Answer(_UNDECIDED, _NONE, PASSED | {Verdict.DEGENERATE})


class Problem(NamedTuple):
    """A planted proxy and judge.

    Attributes:
      name: what is planted.
      kind: which of the proxy's scores counts, an index into `_scores`.
      true: `(r, u, x) -> [N]`, of the linear score, an independent normal and the
        input.
      answers: attack's name -> `Answer`. Attacks without one are not counted.
    """

    name: str
    kind: int
    true: Callable
    answers: dict[str, Answer]


class Weights(NamedTuple):
    """Of the planted proxy; only numbers differ between problems and replicates."""

    direction: jax.Array  # [DIM], length 1
    other: jax.Array  # [DIM], length 1, orthogonal to it
    kind: jax.Array  # []


def _scores(weights, x):
    """Linear, heavy-tailed, shuffled and rounded scores, each `[num]`."""
    r = (x * weights.direction[None]).sum(axis=1)
    above = jax.scipy.stats.norm.sf(x[:, 1])
    # Student's t with 2 degrees of freedom, from its quantile function.
    student = (1 - 2 * above) / jnp.sqrt(2 * above * (1 - above))
    scattered = jnp.sin(1e4 * (x * weights.other[None]).sum(axis=1))
    return r, x[:, 0] + student, scattered, jnp.round(2 * r) / 2


def _proxy(weights, x):
    # A sum over kinds, so that all problems are one program.
    chosen = jnp.stack(_scores(weights, x))
    return jnp.where(jnp.arange(4)[:, None] == weights.kind, chosen, 0.0).sum(axis=0)


def task(problem: Problem, key) -> Task:
    """Draw one replicate of a problem: directions at random."""
    basis, _ = jnp.linalg.qr(jax.random.normal(key, (DIM, 2)))
    weights = Weights(basis[:, 0], basis[:, 1], jnp.asarray(problem.kind))
    direction, other = np.asarray(basis, np.float64).T

    def judge(x):
        return problem.true(x @ direction, x @ other, x)

    return Task(Target(bind(_proxy, weights), gaussian(DIM)), judge)


def problems() -> list[Problem]:
    """List the planted problems with their answers."""
    slope = fall_of_hump()
    neutral = ("best_of_n", "splitting")
    everywhere = (*neutral, "gradient_ascent")
    falls = dict.fromkeys(neutral, _FALLS)

    def bent(r, u, x):
        return _hump(slope)(r) + _NOISE * u

    def given(answer, names=everywhere):
        return dict.fromkeys(names, answer)

    return [
        Problem("hump", 0, bent, falls | _gradient_answer(slope)),
        Problem(
            "heavy tail", 1, lambda r, u, x: x[:, 0], given(_ENDS_AT_THE_BASE, neutral)
        ),
        Problem("flat", 0, lambda r, u, x: u, given(_STAYS)),
        Problem("truly robust", 0, lambda r, u, x: r + _NOISE * u, given(_FOLLOWS)),
        Problem("reversed", 0, lambda r, u, x: _NOISE * u - r, given(_WORSE)),
        Problem("shuffled", 2, lambda r, u, x: r, given(_STAYS)),
        Problem("masked gradient", 3, bent, falls | {"gradient_ascent": _REFUSED}),
    ]


def _hump(slope: float) -> Callable:
    return lambda r: np.minimum(r, _KNEE) - slope * np.maximum(r - _KNEE, 0)


def fall_of_hump() -> float:
    """Slope beyond the knee at which best-of-n's true value drops by `FALL`.

    By quadrature and bisection: the drop from its peak over n = 1, 2, 4, ... to n =
    `MOST`, in base standard deviations of the true value, grows with the slope.
    """
    n = 2.0 ** np.arange(int(np.log2(MOST)) + 1)
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        curve = _curve(middle, [_best_of(k) for k in n])
        low, high = (middle, high) if _drop(curve) < FALL else (low, middle)
    return high


_GRID = np.linspace(-9, 9, 36001)  # of standard normal scores
_DENSITY = np.exp(-(_GRID**2) / 2) / np.sqrt(2 * np.pi)
_BELOW = np.cumsum(_DENSITY) * (_GRID[1] - _GRID[0])


def _best_of(n):
    return n * _BELOW ** (n - 1) * _DENSITY


def _curve(slope, densities):
    """True value under each density of the score, base standard deviations."""
    worth, step = _hump(slope)(_GRID), _GRID[1] - _GRID[0]
    mean, square = ((worth**power * _DENSITY).sum() * step for power in (1, 2))
    means = np.array([(worth * density).sum() * step for density in densities])
    return (means - mean) / np.sqrt(square - mean**2 + _NOISE**2)


def _drop(curve) -> float:
    return float(curve.max() - curve[-1])


def _gradient_answer(slope) -> dict[str, Answer]:
    """Gradient ascent shifts every score by up to `RADIUS`: counted if that falls."""
    shifts = np.linspace(0, RADIUS, 21)
    shifted = [np.exp(-((_GRID - s) ** 2) / 2) / np.sqrt(2 * np.pi) for s in shifts]
    return {"gradient_ascent": _FALLS} if _drop(_curve(slope, shifted)) >= FALL else {}
