"""Drift beside its null: what a measure says of one checkpoint split in two.

Any measure of distance between two sets of texts is above zero for two sets from the
same writer. So the questions are split in halves: against the first checkpoint's texts
on one half stand the new texts on the other (drift) and the first checkpoint's own on
the same other half (null). Both sides have the same questions and about as many texts,
so neither topic nor sample size is called drift.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

SPLITS = 10


class Halves(NamedTuple):
    """A measure of sets of texts, over K random halves of the questions.

    Attributes:
      drift: new texts against the first checkpoint's on other questions, `[K]`.
      null: the first checkpoint's own against the same, `[K]`.
    """

    drift: np.ndarray
    null: np.ndarray


class CrossFitted(NamedTuple):
    """A measure of single texts given others, averaged per question, Q questions.

    Attributes:
      new, first: `[Q]`, of the new texts and of the first checkpoint's, each given the
        first checkpoint's texts on the other half of the questions; nan where a
        question has no such text. new - first is the drift, for `bootstrap`.
    """

    new: np.ndarray
    first: np.ndarray


def halves(
    measure: Callable[[Sequence[str], Sequence[str]], float],
    new: tuple[Sequence[str], Sequence],
    first: tuple[Sequence[str], Sequence],
    *,
    splits: int = SPLITS,
    key: int = 0,
) -> Halves:
    """Measure drift and its null on random halves of the questions.

    Splits overlap, so their spread is no interval over questions.

    Args:
      measure: `(texts, first) -> number`, such as `wording.divergence`.
      new, first: texts and the question of each, of equal length.
      splits: K.
      key: seed of the splits.

    Raises:
      ValueError: fewer than two questions.
    """
    drift, null = [], []
    for side, other in _splits(new[1], first[1], splits, key):
        known = _where(first, side)
        mine, own = _where(new, other), _where(first, other)
        size = min(len(mine), len(own))
        drift.append(measure(_spaced(mine, size), known) if size else np.nan)
        null.append(measure(_spaced(own, size), known) if size else np.nan)
    return Halves(np.array(drift, float), np.array(null, float))


def cross_fitted(
    measure: Callable[[Sequence[str], Sequence[str]], np.ndarray],
    new: tuple[Sequence[str], Sequence],
    first: tuple[Sequence[str], Sequence],
    *,
    key: int = 0,
) -> CrossFitted:
    """Measure each text given the first checkpoint's texts on the other questions.

    One split, both ways round, so that every question has a value; values are given
    those other texts, which is not in their intervals.

    Args:
      measure: `(texts, given) -> [N]`, such as `compression.bits_per_character`.
      new, first: texts and the question of each.
      key: seed of the split.

    Returns:
      Questions in the order of `np.unique` of those of `first` and `new` together.

    Raises:
      ValueError: fewer than two questions.
    """
    questions = _questions(new[1], first[1])
    values = {side: np.full(len(questions), np.nan) for side in ("new", "first")}
    (one, other), *_ = _splits(new[1], first[1], 1, key)
    for known, asked in ((one, other), (other, one)):
        given = _where(first, known)
        for side, (texts, labels) in (("new", new), ("first", first)):
            here = [i for i, label in enumerate(labels) if label in asked]
            if not here or not given:
                continue
            found = measure([texts[i] for i in here], given)
            at = np.searchsorted(questions, np.asarray(labels)[here])
            values[side] = _averaged(values[side], at, found)
    return CrossFitted(**values)


def _questions(new, first) -> np.ndarray:
    questions = np.unique(np.concatenate([np.asarray(new), np.asarray(first)]))
    if len(questions) < 2:
        raise ValueError(
            f"{len(questions)} question has no halves; drift takes at least two"
        )
    return questions


def _splits(new, first, splits: int, key: int):
    """Two halves of the questions, as sets; those of both checkpoints apart first."""
    _questions(new, first)
    both = np.intersect1d(np.asarray(new), np.asarray(first))
    single = np.setxor1d(np.asarray(new), np.asarray(first))
    rng = np.random.default_rng(key)
    for _ in range(splits):
        parts = [rng.permutation(some).tolist() for some in (both, single)]
        yield tuple({q for part in parts for q in part[at::2]} for at in (0, 1))


def _where(side, questions) -> list[str]:
    return [text for text, label in zip(*side, strict=True) if label in questions]


def _spaced(texts: list[str], size: int) -> list[str]:
    """So many of the texts, evenly from all."""
    at = np.linspace(0, len(texts) - 1, size).round().astype(int)
    return [texts[i] for i in at]


def _averaged(values, at, found):
    there = ~np.isnan(found)
    count = np.bincount(at[there], minlength=len(values))
    total = np.bincount(at[there], found[there], len(values))
    return np.where(count > 0, total / np.maximum(count, 1), values)
