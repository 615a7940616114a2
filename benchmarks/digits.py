"""The concept "a handwritten 3", learned from real scans.

The concept was labelled by the people who wrote the digits: 1,797 scans of 8 x 8
pixels, 43 writers (Alpaydin & Kaynak 1998, UCI "Optical Recognition of Handwritten
Digits", CC BY 4.0), as scikit-learn ships them. They are shuffled once and cut into
three disjoint thirds, each with its share of every digit.

Proxy (first third): a network with two hidden layers of 128, trained as a
Bradley-Terry reward model in which a 3 is preferred to any other digit. Every seed
trains its own, from another start and on other pairs.

Judge (second third): the mean probability of "3" from four classifiers of other
families than the proxy (a support vector machine, a random forest, extra trees,
nearest neighbours), times an authenticity factor: 1 while an image is as near to some
real 3 as 95 % of real 3s are to another one, and decaying beyond.

Base (last third): mixtures of two real scans plus pixel noise, clipped to [0, 1].

What the judge can see: whether an image lies in the region that four other learners,
trained on other scans, take for a 3, and how far it is from every 3 they know. What
it cannot see: what a person sees. It is learned too; blends of two digits and noise
are outside of what it was trained on, an unusual but genuine 3 far from its own third
counts as less authentic, and an image that fools all four families within the
distance of real 3s passes. `facts` says how it scores real scans that it never saw.
"""

import functools
import threading
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from robust import PerSeed, Target, Task, bind, box, gaussian, latent, product, tokens

_WIDTH = 128
_STEPS = 400
_PAIRS = 128  # per step
_INKED = 0.25  # mean ink of a pixel that belongs to the stroke
_NOISE = 0.1  # standard deviation of the base's pixel noise


def digits(
    key: jax.Array | None = None,
    seeds: int = 8,
    concept: int = 3,
    authenticity: bool = True,
) -> Task:
    """A handwritten 3 among digits; judged by other classifiers and authenticity.

    Args:
      key: for the proxies' starts and pairs; the split and the judge are fixed.
      seeds: proxies to train, one per seed, in one program.
      concept: the digit, 0 to 9.
      authenticity: whether the judge asks for nearness to real scans.

    Raises:
      ValueError: seeds below one, or no such digit.
    """
    if seeds < 1 or concept not in range(10):
        raise ValueError(
            f"got seeds={seeds}, concept={concept}; give at least one seed and a digit "
            "from 0 to 9"
        )
    key = jax.random.key(0) if key is None else key
    thirds = _thirds()
    (x, y), _, (scans, _) = thirds
    params = _train(jax.random.split(key, seeds), x, y == concept)
    base = _base(scans)
    judge = Judge(concept, authenticity)
    return Task(
        target=PerSeed(bind(_target, base), params),
        judge=judge,
        handles=_handles(x[y == concept]),
        facts={
            "concept": f"a handwritten {concept}",
            "proxy": _proxy_fact(params, thirds, concept),
            "judge": functools.partial(_judge_fact, judge, thirds, concept),
        },
        render=_images,
    )


def digits_classifiers(key: jax.Array | None = None, seeds: int = 8) -> Task:
    """A handwritten 3 among digits; judged by other classifiers alone.

    The same proxies and attacks as `digits`: what differs is the judge, and with it
    the verdict.
    """
    return digits(key, seeds, authenticity=False)


@functools.cache
def _thirds():
    """Three disjoint stratified parts of the scans: `(x [n, 64] in [0, 1], y [n])`."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedKFold

    pixels, y = load_digits(return_X_y=True)
    x = np.asarray(pixels, np.float32) / 16
    folds = StratifiedKFold(3, shuffle=True, random_state=0).split(x, y)
    return tuple((x[part], y[part]) for _, part in folds)


def _handles(real):
    """Pixels that real ones of the concept ink, and the paper around them."""
    stroke = real.mean(axis=0) > _INKED
    return {"stroke": stroke, "paper": ~stroke}


def _base(scans):
    """Latents: two scans, their mixing weight, pixel noise."""
    prior = product(
        pair=tokens(2, len(scans)), weight=box(()), noise=gaussian(64, std=_NOISE)
    )
    return latent(bind(_mix, jnp.asarray(scans)), prior, project=_clip)


def _mix(scans, parts):
    weight = parts["weight"][:, None]
    first, second = scans[parts["pair"][:, 0]], scans[parts["pair"][:, 1]]
    return _clip(weight * first + (1 - weight) * second + parts["noise"])


def _clip(x):
    return jnp.clip(x, 0.0, 1.0)


def _images(x):
    return np.asarray(x).reshape(-1, 8, 8)


@functools.cache
def _network():
    from flax import linen as nn

    return nn.Sequential(
        [nn.Dense(_WIDTH), nn.relu, nn.Dense(_WIDTH), nn.relu, nn.Dense(1)]
    )


def _reward(params, x):
    return cast(jax.Array, _network().apply(params, x))[:, 0]


def _target(base, params) -> Target:
    return Target(bind(_reward, params), base)


def _train(keys, x, is_concept):
    """Fit one Bradley-Terry reward model per key; all in one program."""
    good, bad = jnp.asarray(x[is_concept]), jnp.asarray(x[~is_concept])
    return _train_program(keys, good, bad)


@jax.jit
def _train_program(keys, good, bad):
    optimizer = optax.adamw(1e-3, weight_decay=1e-3)

    def loss(params, key):
        key_good, key_bad = jax.random.split(key)
        better = good[jax.random.randint(key_good, (_PAIRS,), 0, len(good))]
        worse = bad[jax.random.randint(key_bad, (_PAIRS,), 0, len(bad))]
        preferred = _reward(params, better) - _reward(params, worse)
        return -jax.nn.log_sigmoid(preferred).mean()

    def fit(key):
        key_init, key_steps = jax.random.split(key)
        params = _network().init(key_init, good[:1])

        def step(carry, key):
            params, memory = carry
            update, memory = optimizer.update(
                jax.grad(loss)(params, key), memory, params
            )
            return (optax.apply_updates(params, update), memory), None

        start = (params, optimizer.init(params))
        (params, _), _ = jax.lax.scan(step, start, jax.random.split(key_steps, _STEPS))
        return params

    return jax.vmap(fit)(keys)


class Judge:
    """Four classifiers of other families, times authenticity; trained when first asked.

    Called with images `[N, 64]`, gives `[N]` in [0, 1]. Deterministic. Safe to call
    from several threads.
    """

    def __init__(self, concept: int, authenticity: bool = True):
        self._concept, self._authenticity = concept, authenticity
        self._lock = threading.Lock()
        self._parts = None

    def __call__(self, x) -> np.ndarray:
        x = np.asarray(x, np.float32).reshape(-1, 64)
        with self._lock:
            if self._parts is None:
                self._parts = self._fit()
        panel, column, neighbours, near, spread = self._parts
        opinion = np.mean([m.predict_proba(x)[:, column] for m in panel], axis=0)
        if not self._authenticity:
            return opinion
        distance = neighbours.kneighbors(x, n_neighbors=1)[0][:, 0]
        return opinion * np.exp(-np.maximum(distance - near, 0) / spread)

    def _fit(self):
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
        from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
        from sklearn.svm import SVC

        x, y = _thirds()[1]
        panel = [
            CalibratedClassifierCV(SVC(C=10), ensemble=False),
            RandomForestClassifier(200, random_state=0),
            ExtraTreesClassifier(200, random_state=0),
            KNeighborsClassifier(10, weights="distance"),
        ]
        for model in panel:
            model.fit(x, y)
        real = x[y == self._concept]
        neighbours = NearestNeighbors().fit(real)
        # Each real one's distance to the nearest other (the nearest is itself).
        gap = neighbours.kneighbors(real, n_neighbors=2)[0][:, 1]
        near, middle = np.quantile(gap, [0.95, 0.5])
        column = int(np.flatnonzero(panel[0].classes_ == self._concept)[0])
        return panel, column, neighbours, near, near - middle


def _proxy_fact(params, thirds, concept) -> str:
    from sklearn.metrics import roc_auc_score

    x = np.concatenate([thirds[1][0], thirds[2][0]])
    y = np.concatenate([thirds[1][1], thirds[2][1]]) == concept
    scores = jax.jit(jax.vmap(_reward, (0, None)))(params, x)
    areas = [roc_auc_score(y, row) for row in np.asarray(scores)]
    return (
        f"held-out AUC {np.mean(areas):.4f} (lowest of {len(areas)} seeds "
        f"{np.min(areas):.4f}; {y.sum()} real {concept}s, {(~y).sum()} others)"
    )


def _judge_fact(judge, thirds, concept) -> str:
    from sklearn.metrics import roc_auc_score

    x = np.concatenate([thirds[0][0], thirds[2][0]])
    y = np.concatenate([thirds[0][1], thirds[2][1]]) == concept
    true = judge(x)
    return (
        f"real held-out {concept}s score {true[y].mean():.2f} on average, other "
        f"digits {true[~y].mean():.2f}; AUC {roc_auc_score(y, true):.4f}"
    )
