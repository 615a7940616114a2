"""The concept "a handwritten 3", learned from real scans.

The concept was labelled by the people who wrote the digits: 1,797 scans of 8 x 8
pixels by 13 writers (the test set of Alpaydin & Kaynak 1998, UCI "Optical Recognition
of Handwritten Digits", CC BY 4.0), as scikit-learn ships them. They are shuffled once
and cut into three disjoint thirds, each with its share of every digit; which writer
wrote which is not known, so the same hands are in all three.

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

Expected (`robust run`, 8 seeds, key 0; gains in base standard deviations, 95 %
intervals over seeds): the proxies' held-out AUC is 0.9932. Best-of-1024 delivers +3.87
[3.77, 3.97] for +3.63 [3.55, 3.72] promised, splitting +4.19 [4.09, 4.30] at 26.6 nats,
both robust. Gradient ascent promises +5.05 [4.78, 5.32], peaks at +1.56 and ends at
-0.12 [-0.26, 0.01]: strong, a drop of 1.68 [1.23, 2.13]. The same of other concepts
(`digits(concept=7)` in a file of one's own): for 7 it peaks at +1.47 and ends at -0.14
[-0.24, -0.04], a drop of 1.61 [1.36, 1.86]; for 0 at +1.03 and -0.07 [-0.23, 0.08], a
drop of 1.10 [0.70, 1.50]: strong, and best-of-1024 robust, in both. By the classifiers
alone (`digits_classifiers`) the same attack ends at +3.92 [3.77, 4.08], undecided: the
judge decides the verdict.
"""

import functools
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks._digits_judge import Judge, thirds
from robust import (
    PerSeed,
    Target,
    Task,
    bind,
    box,
    card,
    gaussian,
    keep,
    latent,
    product,
    tokens,
)

_WIDTH = 128
_STEPS = 400
_PAIRS = 128  # per step
_INKED = 0.25  # mean ink of a pixel that belongs to the stroke
_NOISE = 0.1  # standard deviation of the base's pixel noise


@card(seconds=29, memory_mb=1080, suites=("quick", "real"))
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
    parts = thirds()
    (x, y), _, (scans, _) = parts
    params = keep(
        "digits-proxy",
        {"key": key, "seeds": seeds, "concept": concept},
        lambda: _train(jax.random.split(key, seeds), x, y == concept),
    )
    base = _base(scans)
    judge = Judge(concept, authenticity)
    return Task(
        target=PerSeed(bind(_target, base), params),
        judge=judge,
        handles=_handles(x[y == concept]),
        facts={
            "concept": f"a handwritten {concept}",
            "proxy": _proxy_fact(params, parts, concept),
            "judge": functools.partial(_judge_fact, judge, parts, concept),
        },
        render=_images,
        attacks={
            "best_of_n": {},
            "splitting": {},
            "gradient_ascent": {"learning_rate": 0.02},
        },
        judges={name: judge.alone(name) for name in judge.names},
    )


@card(seconds=25, memory_mb=1200)
def digits_classifiers(key: jax.Array | None = None, seeds: int = 8) -> Task:
    """A handwritten 3 among digits; judged by other classifiers alone.

    The same proxies and attacks as `digits`: what differs is the judge, and with it
    the verdict.
    """
    return digits(key, seeds, authenticity=False)


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


def _proxy_fact(params, parts, concept) -> str:
    from sklearn.metrics import roc_auc_score

    x = np.concatenate([parts[1][0], parts[2][0]])
    y = np.concatenate([parts[1][1], parts[2][1]]) == concept
    scores = jax.jit(jax.vmap(_reward, (0, None)))(params, x)
    areas = [roc_auc_score(y, row) for row in np.asarray(scores)]
    return (
        f"held-out AUC {np.mean(areas):.4f} (lowest of {len(areas)} seeds "
        f"{np.min(areas):.4f}; {y.sum()} real {concept}s, {(~y).sum()} others)"
    )


def _judge_fact(judge, parts, concept) -> str:
    from sklearn.metrics import roc_auc_score

    x = np.concatenate([parts[0][0], parts[2][0]])
    y = np.concatenate([parts[0][1], parts[2][1]]) == concept
    true = judge(x)
    return (
        f"real held-out {concept}s score {true[y].mean():.2f} on average, other "
        f"digits {true[~y].mean():.2f}; AUC {roc_auc_score(y, true):.4f}"
    )
