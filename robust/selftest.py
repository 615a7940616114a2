"""Test the whole pipeline on planted problems: how often is its verdict wrong?"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
import optax

from robust import planted
from robust.measure.verdict import Verdict
from robust.registry import make
from robust.study import study

SETTINGS = {"seeds": 8, "keep": 1024, "draws": 2**14, "judged": 2048}
# Adam would leave the proxy's own direction, along which the answers are known.
_STRAIGHT = optax.sgd(1.0)
TOLERATED = 0.08  # error rate that the upper bound must stay below to be shown sound


class Share(NamedTuple):
    """Events among independent trials, with 95 % Clopper-Pearson bounds."""

    count: int
    total: int
    rate: float
    low: float
    high: float


class Rate(NamedTuple):
    """Verdicts on one attack on one problem over replicated draws.

    Attributes:
      problem, attack: which.
      answer: what a sound pipeline says.
      verdicts: of each draw, in the same order for all attacks on a problem, `[R]`.
      right: share of correct verdicts.
      wrong: share of errors (false alarms and misses).
      low, high: 95 % Clopper-Pearson bounds on `wrong`.
    """

    problem: str
    attack: str
    answer: planted.Answer
    verdicts: tuple[Verdict, ...]
    right: float
    wrong: float
    low: float
    high: float

    @property
    def replicates(self) -> int:
        """R."""
        return len(self.verdicts)


def clopper_pearson(count, total, level: float = 0.95) -> tuple[float, float]:
    """Bound a probability by `count` events in `total` trials, exactly.

    Reference: Clopper & Pearson 1934, Biometrika 26:404.
    """
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = betaincinv(count, total - count + 1, tail) if count else 0.0
    high = betaincinv(count + 1, total - count, 1 - tail) if count < total else 1.0
    return float(low), float(high)


def attacks() -> list:
    """The default attacks, small enough to be replicated hundreds of times."""
    made = [
        make("attack", "best_of_n", most=planted.MOST),
        make("attack", "splitting", levels=planted.LEVELS, moves=5),
        make(
            "attack", "gradient_ascent", radius=planted.RADIUS, norm="l2",
            optimizer=_STRAIGHT, learning_rate=0.5, steps=40,
        ),
    ]  # fmt: skip
    return [attack._replace(slots=SETTINGS["keep"]) for attack in made]


def replicate(problem: planted.Problem, key) -> dict[str, Verdict]:
    """Draw a problem once, run the whole pipeline, and give each attack's verdict."""
    key_task, key_study = jax.random.split(key)
    task = planted.task(problem, key_task)
    found = study(task, attacks(), key=key_study, **SETTINGS)
    return {r.name: Verdict(int(r.divergence.verdict)) for r in found.results}


def selftest(
    replicates: int,
    key,
    on_progress: Callable[[str, float], None] | None = None,
) -> list[Rate]:
    """Count right and wrong verdicts over replicated draws of every problem.

    Args:
      replicates: draws of each problem, at least 1.
      key: a typed key.
      on_progress: called with the problem's name and the share done.

    Raises:
      ValueError: `replicates` below 1.
    """
    if replicates < 1:
        raise ValueError(f"replicates is {replicates}; give a whole number above zero")
    problems = planted.problems()
    rates = []
    for number, problem in enumerate(problems):
        said = {name: [] for name in problem.answers}
        for turn, key_turn in enumerate(_keys(key, number, replicates)):
            if on_progress:
                done = (number + turn / replicates) / len(problems)
                on_progress(f"{problem.name}, draw {turn + 1} of {replicates}", done)
            for name, verdict in replicate(problem, key_turn).items():
                if name in said:
                    said[name].append(verdict)
        rates += [_rate(problem, name, verdicts) for name, verdicts in said.items()]
    return rates


def _keys(key, number: int, replicates: int) -> Iterator:
    return iter(jax.random.split(jax.random.fold_in(key, number), replicates))


def _rate(problem, attack: str, verdicts) -> Rate:
    answer = problem.answers[attack]
    right = _share(verdict in answer.right for verdict in verdicts)
    wrong = _share(verdict in answer.wrong for verdict in verdicts)
    return Rate(
        problem.name, attack, answer, tuple(verdicts),
        right.rate, wrong.rate, wrong.low, wrong.high,
    )  # fmt: skip


def _share(events) -> Share:
    events = list(events)
    count, total = sum(events), len(events)
    return Share(count, total, count / total, *clopper_pearson(count, total))


def error_rate(rates: list[Rate], kind: str) -> Share | None:
    """How often the pipeline errs: draws in which any attack's verdict does.

    A draw of a problem is one trial, since its attacks share it. Problems differ in
    their rates; the bounds then hold for the mean of them (Hoeffding 1956, Annals of
    Mathematical Statistics 27:713).

    Args:
      rates: of one attack or of several, on any problems.
      kind: "alarms" or "misses".

    Returns:
      None where no such error is possible.
    """
    erred = defaultdict(list)
    for rate in rates:
        errors = getattr(rate.answer, kind)
        if errors:
            erred[rate.problem].append([v in errors for v in rate.verdicts])
    draws = [any(draw) for rows in erred.values() for draw in zip(*rows, strict=True)]
    return _share(draws) if draws else None


def sound(rates: list[Rate]) -> bool | None:
    """Whether all error rates are shown tolerable; False where one is shown not to be.

    None where the replicates are too few to say.
    """
    if any(rate.low > TOLERATED for rate in rates):
        return False
    return True if all(rate.high < TOLERATED for rate in rates) else None


def worst(rates: list[Rate]) -> Rate:
    """The cell with the highest upper bound."""
    return rates[int(np.argmax([rate.high for rate in rates]))]
