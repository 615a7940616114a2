"""The leaderboard: attack x defence, what it buys, what it costs."""

from typing import NamedTuple

import numpy as np

from robust import bootstrap

_MILD = 2  # index of n = 4 on the best-of-n curve: when nothing attacks
AIMED, CONTROL = "adversarial_training", "more_labels"


class Entry(NamedTuple):
    """One attack on one defence; each `Interval`s over redraws, base sd of the gold.

    Attributes:
      end: true gain at the end.
      peak: true gain at the best checkpoint, which the other redraws pick.
      drop: peak less end.
      versus_none: end less that without a defence, paired.
      regret: end of the same attack on the gold itself less this end, paired.
    """

    end: bootstrap.Interval
    peak: bootstrap.Interval
    drop: bootstrap.Interval
    versus_none: bootstrap.Interval
    regret: bootstrap.Interval


class Board(NamedTuple):
    """The leaderboard.

    Attributes:
      entries: defence -> attack -> `Entry`.
      worst: defence -> (attack, the lowest of its true ends as `Interval`).
      cost: defence -> true gain of the best of 4 less that without a defence.
      helps: defences that raise the end of the attack that is worst without one, which
        the other redraws pick, by simultaneous 95 % intervals over all defences.
      aimed: attack -> end after adversarial training less that after as many labels
        of base draws, paired; empty where there are not both.
      pessimism: true gain of what that policy draws, and the same less what each
        attack reaches without a defence.
      labels: defence -> further labels that it asked for.
    """

    entries: dict
    worst: dict
    cost: dict
    helps: list
    aimed: dict
    pessimism: tuple
    labels: dict


def board_of(curves: dict, oracle: dict, itself, labels) -> Board:
    """Compare all ends, paired by redraw.

    Args:
      curves: attack -> defence -> gold `[D, T]`, "none" among the defences.
      oracle: attack -> gold `[D, T]` of the same attack on the gold.
      itself: gold of what pessimism draws, `[D]`.
      labels: defence -> further labels.
    """
    names = list(next(iter(curves.values())))
    entries = {
        name: {
            attack: _entry(by_name[name], by_name["none"], oracle[attack])
            for attack, by_name in curves.items()
        }
        for name in names
    }
    ends = {a: {n: c[:, -1] for n, c in found.items()} for a, found in curves.items()}
    mild = {name: c[:, _MILD] for name, c in curves["best_of_n"].items()}
    worst = {n: lowest({a: ends[a][n] for a in ends}) for n in names}
    t = bootstrap.t_interval
    return Board(
        entries=entries,
        worst=worst,
        cost={n: t(mild[n] - mild["none"]) for n in names},
        helps=_helps(_against_worst(ends) | {"pessimism": itself}),
        aimed={a: t(e[AIMED] - e[CONTROL]) for a, e in ends.items() if AIMED in e},
        pessimism=(t(itself), {a: t(itself - ends[a]["none"]) for a in ends}),
        labels=dict(labels),
    )


def _entry(gold, none, oracle) -> Entry:
    others = gold.sum(axis=0) - gold
    best = others.argmax(axis=1)[:, None]
    peak, end = np.take_along_axis(gold, best, axis=1)[:, 0], gold[:, -1]
    t = bootstrap.t_interval
    return Entry(
        t(end), t(peak), t(peak - end), t(end - none[:, -1]), t(oracle[:, -1] - end)
    )


def lowest(ends: dict):
    """The attack with the lowest mean end, and the lowest of K true means.

    The lowest mean of K is too low by the luck of the pick, which the interval has to
    cover. Its low end is the lowest of the attacks' own 95 % intervals: it lies above
    the truth only if that of the truly worst attack does. Its high end is the lowest
    of K intervals at once (Bonferroni).

    Args:
      ends: attack -> `[D]`.

    Returns:
      name, `Interval`.
    """
    values = np.stack(list(ends.values()), axis=1)
    mean = values.mean(axis=0)
    low = bootstrap.t_interval(values).low.min()
    high = bootstrap.t_interval(values, 1 - 0.05 / len(ends)).high.min()
    name = list(ends)[int(mean.argmin())]
    return name, bootstrap.Interval(mean.min(), low, high)


def _against_worst(ends: dict) -> dict:
    """Ends `[D]` under the attack that is lowest without a defence: defence -> `[D]`.

    Each redraw's attack is picked by the others, else "none" were low by its own luck.
    """
    none = np.stack([by_name["none"] for by_name in ends.values()])
    pick = (none.sum(axis=1, keepdims=True) - none).argmin(axis=0)
    rows = np.arange(none.shape[1])
    names = next(iter(ends.values()))
    return {n: np.stack([e[n] for e in ends.values()])[pick, rows] for n in names}


def _helps(ends: dict) -> list:
    coverage = 1 - 0.05 / (len(ends) - 1)
    return [
        name for name, end in ends.items()
        if bootstrap.t_interval(end - ends["none"], coverage).low > 0
    ]  # fmt: skip
