"""The concept "how good or bad is this word", judged by people.

The concept was rated by people: ten humans gave each of some 7,500 words, emoticons
and acronyms a valence from -4 (extremely negative) to 4 (extremely positive), and
VADER's lexicon keeps every rating (Hutto & Gilbert 2014, ICWSM; vaderSentiment 3.3.2,
MIT). It is read from the installed package. Here: the 7,174 entries of three letters
a-z or more.

Proxy: ridge regression of five raters' mean on the groups of three to five letters in
a word. Every seed learns from its own half of the entries.

Base: a random entry of the other half.

Judge: the other five raters of that very entry, one by one, so that their
disagreement is part of every interval. No model of any kind gives the true value. The
price is that it can be asked about entries only: an input is an entry's number, not a
string, so no attack can write a word of its own. Selection by score is all the
pressure there is, and at 5.5 nats the best fifteen entries of a half are left; beyond
that single words decide. A further judge, `teachers`, is the five raters that the
proxy learned from, asked about the words that it did not see.

What the judge cannot see: context, sense, other people. Its raters are the file's last
five columns; who sits in a column is not documented and may change from entry to
entry. The file keeps only entries whose ten ratings have a mean other than 0 and a
standard deviation up to 2.5, so teachers and judges were selected together, for some
agreement. Inflections of a stem fall into both halves: that is how a proxy that sees
letters knows anything, and it does better than it would on new stems. Seeds share one
lexicon, so intervals speak of other halves of it and other raters, not of other words.

`raters_people` has people as proxy: the mean of the five teachers about the entry
itself. What it fails to deliver is what five people cannot promise for five others.

Expected (`robust run`, 20 seeds, key 0; gains in base standard deviations, 95 %
intervals over seeds and raters): the proxy correlates .790 with the judges on words
that it did not see. Best-of-256 promises +2.26 [2.24, 2.29] and delivers +1.36 [1.24,
1.48], at 5 nats or more; the drop is 0.00 [0.00, 0.12], and so undecided by a hair at
a margin of 0.10. Splitting promises
+2.35 [2.32, 2.38] and delivers +1.33 [1.18, 1.49] at 5.6 nats: a plateau from 3.4 nats
on, undecided at a margin of 0.10. Of the divergence at 3.7 nats, 0.67 [0.61, 0.72],
0.42 is regressional and 0.22 [0.18, 0.26] extremal; what tops the list is "charmless"
and "conspiracy". The teachers say nearly the same of these words (+1.43 [1.29, 1.57]
under best-of-256), so most of the gap is the letters', not the raters'. With teachers
and judges swapped best-of-256 delivers +1.38 [1.29, 1.46] of +2.24. Pressed on to
single words, which was looked at before the settings were fixed, best-of-1024 ends at
+1.22 [1.03, 1.41] and splitting (12 levels) at +0.83 [0.37, 1.29], both undecided.

`raters_people`: the teachers correlate .93 with the judges. Best-of-256 promises +2.03
[2.01, 2.04] and delivers +1.64 [1.42, 1.86] at 5 nats; splitting (5 levels) +1.94
[1.92, 1.95] and +1.61 [1.44, 1.78] at 4 nats; both robust, drop 0.00. The gap at 3
nats is 0.28 [0.25, 0.30]: 0.13 regressional and 0.12 [0.11, 0.14] extremal, for the
scale ends at 4. At 5 nats the model's gap, 0.90 [0.78, 1.03], is more than twice that
of people, 0.38 [0.16, 0.61].
"""

import functools
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from robust import PerSeed, Target, Task, bind, card, keep, need, pool

_GROUPS = (3, 4, 5)  # letters, the marks of a word's begin and end among them
_RIDGE = 0.1
_RATERS = 5  # whom the proxy hears; the others judge


@card(extra="text", seconds=9, memory_mb=600, suites=("real",))
def raters(
    key: jax.Array | None = None, seeds: int = 20, swapped: bool = False
) -> Task:
    """A word's valence by its letters; judged by five people who rated that word.

    Args:
      key: for the halves of the entries; who judges is fixed.
      seeds: proxies to train, one per seed, each on its own half of the entries.
      swapped: the last five raters teach and the first five judge.

    Raises:
      ValueError: seeds below one, or vaderSentiment is not installed.
    """
    names, taught, judging = _entries(swapped)
    learn, held_out = _halves(key, seeds, len(names))
    ids, share = _letter_groups(names)
    target = taught.mean(axis=1)
    params = keep(
        "raters-proxy",
        {"learn": learn, "ids": ids, "target": target, "ridge": _RIDGE},
        functools.partial(_train, learn, ids, share, target),
    )
    weights = {**params, "held_out": held_out}
    score = bind(_valence, jnp.asarray(ids), jnp.asarray(share))
    return _task(score, weights, names, taught, judging)


@card(extra="text", seconds=7, memory_mb=800, suites=("real",))
def raters_people(key: jax.Array | None = None, seeds: int = 20) -> Task:
    """The same with people as proxy: the mean of five raters, judged by the others.

    Args:
      key, seeds: as of `raters`, with the same bases.

    Raises:
      ValueError: as `raters`.
    """
    names, taught, judging = _entries()
    _, held_out = _halves(key, seeds, len(names))
    score = bind(_look_up, jnp.asarray(taught.mean(axis=1), float))
    task = _task(score, {"held_out": held_out}, names, taught, judging)
    # Many entries share a mean, so a level is more than ln 2 nats deep.
    # The teachers are this proxy, so they are no further judge of it.
    return task._replace(
        attacks={**task.attacks, "splitting": {"levels": 5}}, judges={}
    )


def _task(score, params, names, taught, judging) -> Task:
    return Task(
        target=PerSeed(bind(_target, score), params),
        judge=functools.partial(_ask, judging),
        judges={"teachers": functools.partial(_ask, taught)},
        facts={
            "concept": "how good or bad a word is, from -4 to 4",
            "proxy": functools.partial(_proxy_fact, score, params, taught, judging),
            "judge": _judge_fact(taught, judging),
        },
        render=lambda x: [names[i] for i in np.asarray(x)],
        attacks={"best_of_n": {"most": 256}, "splitting": {"levels": 8}},
        settings={"draws": 2**15},
    )


@functools.cache
def _entries(swapped: bool = False):
    """Names, and ratings `[N, 5]` of those who teach and of those who judge."""
    module = need("vaderSentiment", extra="text", task="raters")
    text = (Path(module.__path__[0]) / "vader_lexicon.txt").read_text("utf8")
    found = {}
    for line in text.splitlines():
        name, _, _, ratings = line.split("\t")
        if re.fullmatch("[a-z]{3,}", name):
            found.setdefault(name, json.loads(ratings))
    ratings = np.array([*found.values()], np.float32)
    halves = ratings[:, :_RATERS], ratings[:, _RATERS:]
    return [*found], *(halves[::-1] if swapped else halves)


def _halves(key, seeds: int, size: int):
    """For each seed, entries to learn from and entries held out, `[S, size // 2]`."""
    if seeds < 1:
        raise ValueError(f"got seeds={seeds}; give at least one")
    keys = jax.random.split(jax.random.key(0) if key is None else key, seeds)
    order = jax.vmap(lambda key: jax.random.permutation(key, size))(keys)
    half = size // 2
    return order[:, :half], order[:, half : 2 * half]


def _letter_groups(names):
    """Groups of letters of each word, and the share of each.

    Returns:
      ids, int32 `[N, G]`, G the most of any word; share, `[N, G]`: 1 over the root of
      a word's number of groups, 0 in the places that it does not fill.
    """
    known, rows = {}, []
    for name in names:
        marked = f"<{name}>"
        groups = [
            marked[i : i + n] for n in _GROUPS for i in range(len(marked) - n + 1)
        ]
        rows.append([known.setdefault(group, len(known)) for group in groups])
    ids = np.zeros((len(rows), max(map(len, rows))), np.int32)
    share = np.zeros(ids.shape, np.float32)
    for i, row in enumerate(rows):
        ids[i, : len(row)], share[i, : len(row)] = row, len(row) ** -0.5
    return ids, share


def _train(learn, ids, share, target):
    """Ridge regressions in one program: weights `[S, groups]`, means `[S]`."""
    size = int(ids.max()) + 1
    return _train_program(learn, *map(jnp.asarray, (ids, share, target)), size=size)


@functools.partial(jax.jit, static_argnames="size")
def _train_program(learn, ids, share, target, *, size):
    def fit(learn):
        ids_, share_ = ids[learn], share[learn]
        mean = target[learn].mean()

        def weights_of(dual):
            return jnp.zeros(size).at[ids_].add(share_ * dual[:, None])

        def normal(dual):  # (F F' + ridge) dual
            return (share_ * weights_of(dual)[ids_]).sum(axis=1) + _RIDGE * dual

        dual, _ = jax.scipy.sparse.linalg.cg(
            normal, target[learn] - mean, tol=1e-6, maxiter=500
        )
        return {"weights": weights_of(dual), "mean": mean}

    return jax.vmap(fit)(learn)


def _valence(ids, share, params, x):
    return params["mean"] + (share[x] * params["weights"][ids[x]]).sum(axis=1)


def _look_up(mean, params, x):
    return mean[x]


def _target(score, params) -> Target:
    return Target(bind(score, params), pool(params["held_out"]))


def _ask(ratings, x) -> np.ndarray:
    """What each rater said of the entries: `[N]` to `[N, 5]`."""
    return ratings[np.asarray(x)]


def _proxy_fact(score, params, taught, judging) -> str:
    held_out = np.asarray(params["held_out"])
    found = np.asarray(jax.vmap(score)(params, held_out))
    found = list(zip(found, held_out, strict=True))
    judges, teachers = (
        [np.corrcoef(row, said.mean(axis=1)[x])[0, 1] for row, x in found]
        for said in (judging, taught)
    )
    return (
        f"held-out correlation {np.mean(judges):.3f} with the judges' mean and "
        f"{np.mean(teachers):.3f} with its teachers' (lowest of {len(found)} seeds "
        f"{np.min(judges):.3f} and {np.min(teachers):.3f})"
    )


def _judge_fact(taught, judging) -> str:
    both = np.corrcoef(taught.mean(axis=1), judging.mean(axis=1))[0, 1]
    single = np.corrcoef(judging.T)[np.triu_indices(_RATERS, 1)].mean()
    return (
        f"{_RATERS} people on {len(judging)} words; their mean correlates {both:.3f} "
        f"with the other {_RATERS} people's, two of them {single:.2f} with each other"
    )
