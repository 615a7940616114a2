"""What each defence buys against each attack, and what it costs when nothing attacks.

The setting is one cell of the over-optimization grid (`overoptimization`): 16 normal
coordinates, networks of width 16 that learned from 1,000 noisy preferences, and two
golds, for what helps on one need not on another: `sweetspot`, which is best near the
middle of the base, where a penalty on surprise pulls, and `gp`, which knows no middle.
Gold, preferences and starts are drawn anew for each redraw.

Attacks: best_of_n (n to 4,096), splitting (neutral selection to 28 nats), tempering
(the KL-optimal policy), policy_gradient and gradient_ascent, each on what the defence
makes of the proxy. Judge: the gold, which only those defences ask that say so.

Defences, of `robust.defence`, with strengths that were fixed beforehand by rules that
do not look at the gold. An ensemble has five members that learned from the same pairs.
All others defend its first member alone, so that each row differs from "none" in one
thing: uwo takes off half the variance; the quantilizer pays for the top percent;
early_stopping has 1,000 base draws judged; kl_penalty is .3 sd per nat, which stops a
linear proxy at 5.6 nats, and chi2_penalty stops one there too; pessimism is at .05 sd;
adversarial_training has three rounds of splitting and 250 comparisons each.
"more_labels" is its control: as many more comparisons of base draws.
"""

import functools
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _defences_setting as setup
from benchmarks._defences_report import draw, findings_of, write
from benchmarks._defences_table import Board, board_of
from benchmarks._overoptimization_gold import DIM
from robust import Findings, best_of_n_curve, card, defence, run

GOLDS = "sweetspot", "gp"
NAMES = (
    "none", "mean", "wco", "uwo", "quantilizer", "early_stopping", "kl_penalty",
    "chi2_penalty", "adversarial_training", "more_labels",
)  # fmt: skip
LABELS = {
    "early_stopping": setup.JUDGED,
    "adversarial_training": setup.ROUNDS * setup.EXTRA,
    "more_labels": setup.ROUNDS * setup.EXTRA,
}
_KL, _STRENGTH = 0.3, 0.05
_AT = 1 / _KL  # where both penalties stop a linear proxy, base sd
_CHI2 = np.exp(-(_AT**2) / 2) / _AT
_DRAWS, _MOST = 2**16, 2**12  # base draws, and the largest n among them
_CHUNK = 2**12


@card(seconds=300, memory_mb=2000)
def defences(
    folder: Path, *, key: int = 0, seeds: int = 8, say: Callable[[str, float], None]
) -> Findings:
    """Every attack on every defence: what it buys, and what it costs.

    Args:
      folder: for leaderboard.parquet and .json, and a picture for each gold.
      key: seed of all randomness.
      seeds: redraws of gold, preferences and starts; at least 2.
      say: is told what goes on and which share is done.

    Raises:
      ValueError: one redraw, which has no interval.
    """
    if seeds < 2:
        raise ValueError(f"got {seeds} redraws; give at least 2")
    boards = {}
    for i, gold in enumerate(GOLDS):
        say_part = functools.partial(_say_part, say, gold, i / len(GOLDS))
        boards[gold] = board(jax.random.key(key), gold, seeds, say_part)
        draw(folder / f"{gold}.png", gold, boards[gold])
    write(folder, boards)
    return findings_of(boards, seeds)


def _say_part(say, gold, start, phase, done):
    say(f"{gold}: {phase}", start + done / len(GOLDS))


def board(key, gold: str, redraws: int, say) -> Board:
    """The leaderboard of one gold."""
    keys = jax.random.split(key, 5)
    say("training proxies", 0.02)
    setting = setup.draw_setting(keys[0], gold, redraws)
    say("adversarial training", 0.1)
    targets = defended(keys[1], setting)
    say("best of n", 0.35)
    itself = {"gold": setup.gold_targets(setting)}
    curves = {"best_of_n": _best_of_n(keys[2], setting, targets)}
    oracle = {"best_of_n": _best_of_n(keys[2], setting, itself)["gold"]}
    for i, (name, (attack, options)) in enumerate(attacks().items()):
        say(name, 0.45 + 0.13 * i)
        go = functools.partial(_attacked, attack, options, keys[3], setting)
        curves[name], oracle[name] = go(targets), go(itself)["gold"]
    return board_of(curves, oracle, _pessimism(keys[4], setting), LABELS)


def attacks() -> dict:
    """The attacks and their options of `run`."""

    def make(name, *arguments, **options):
        return entry_points(group="robust.attacks")[name].load()(*arguments, **options)

    def every(step, last):
        return tuple(range(step, last + 1, step))

    return {
        "splitting": (make("splitting", 40, 8), {"slots": 256, "steps": every(2, 40)}),
        "tempering": (make("tempering", 60, moves=6),
                      {"slots": 256, "steps": every(3, 60)}),
        "policy_gradient": (make("policy_gradient", 0.03, steps=120),
                            {"slots": 256, "steps": every(6, 120)}),
        "gradient_ascent": (make("gradient_ascent", 0.05),
                            {"slots": 64, "steps": every(5, 100)}),
    }  # fmt: skip


def defended(key, setting) -> dict[str, list]:
    """A target for each redraw behind each defence of `NAMES`."""
    keys = jax.random.split(key, 6)
    plain = setup.plain_targets(keys[0], setting.params)
    one = [defence.single(target) for target in plain]
    x = jax.random.normal(keys[1], (len(one), setup.JUDGED, DIM))
    judged = np.asarray(setup.gold_of(setting.golds, x))
    stop = functools.partial(defence.early_stopping, key=keys[2])
    trained, more = _retrained(keys[3], keys[4], setting, one)
    return {
        "none": one,
        "mean": [defence.mean(target) for target in plain],
        "wco": [defence.wco(target) for target in plain],
        "uwo": [defence.uwo(target) for target in plain],
        "quantilizer": [defence.quantilizer(target, key=keys[2]) for target in one],
        "early_stopping": [stop(*each) for each in zip(one, x, judged, strict=True)],
        "kl_penalty": [defence.kl_penalty(t, _KL, key=keys[2]) for t in one],
        "chi2_penalty": [defence.chi2_penalty(t, _CHI2, key=keys[2]) for t in one],
        "adversarial_training": trained,
        "more_labels": more,
    }


def _retrained(key, key_scale, setting, one):
    """The single proxies after adversarial training, and after as many more labels."""
    key_attack, key_pairs, key_fit = jax.random.split(key, 3)
    kept = []

    def trained(better, worse, pairs):
        params = setup.fit(key_fit, better, worse, pairs, 1)
        # One network, but of the shape that the others have: one program for all.
        params = jax.tree.map(lambda a: jnp.repeat(a, setup.MEMBERS, axis=1), params)
        return [defence.single(t) for t in setup.plain_targets(key_scale, params)]

    def refit(found):
        pairs = setup.more_pairs(key_pairs, setting, found)
        kept[:] = trained(*pairs, setup.PAIRS + setup.EXTRA * len(found))
        return setup.stacked(kept)

    attack, options = attacks()["splitting"]
    defence.adversarial_training(
        setup.stacked(one), attack, lambda x: setup.gold_of(setting.golds, x), refit,
        key=key_attack, rounds=setup.ROUNDS, seeds=1, keep=64,
        context=jnp.arange(len(one)), **options,
    )  # fmt: skip
    most = setup.PAIRS + setup.EXTRA * setup.ROUNDS
    return list(kept), trained(setting.better, setting.worse, most)


def _attacked(attack, options, key, setting, targets: dict) -> dict:
    """Gold along an attack on each: name -> `[D, T]`, base standard deviations."""
    rows = [target for each in targets.values() for target in each]
    trace = run(
        attack, setup.stacked(rows), key, seeds=1, keep=64,
        context=jnp.arange(len(rows)), **options,
    )  # fmt: skip
    x = trace.x.reshape(len(targets), -1, *trace.x.shape[1:])
    return {
        name: np.asarray(setup.gold_of(setting.golds, x[i])).mean(axis=-1)
        for i, name in enumerate(targets)
    }


def _best_of_n(key, setting, targets: dict) -> dict:
    """Gold of the best of n = 1, 2, 4, ... base draws: name -> `[D, T]`."""
    n = 2 ** np.arange(int(np.log2(_MOST)) + 1)
    goal = setup.stacked([target for each in targets.values() for target in each])
    redraws = len(setting.better)
    x = jax.random.normal(key, (_DRAWS // _CHUNK, _CHUNK, DIM))
    rows = jnp.arange(len(targets) * redraws)
    proxy = np.asarray(_scored(goal, rows, x)).reshape(len(targets), redraws, _DRAWS)
    same = jnp.broadcast_to(x.reshape(1, _DRAWS, DIM), (redraws, _DRAWS, DIM))
    gold = np.asarray(setup.gold_of(setting.golds, same), float)
    prompt = np.repeat(np.arange(redraws), _DRAWS)
    return {
        name: best_of_n_curve(proxy[i].ravel(), gold.ravel(), prompt, n).true_by_group
        for i, name in enumerate(targets)
    }


@jax.jit
def _scored(goal, rows, x):
    def chunk(x):
        return jax.vmap(lambda row: goal(row).proxy(x))(rows)

    return jnp.moveaxis(jax.lax.map(chunk, x), 0, 1)


def _pessimism(key, setting) -> np.ndarray:
    """Gold of what pessimism on the single proxies draws, `[D]`."""
    key_scale, key_draw, key_sample = jax.random.split(key, 3)
    plain = setup.plain_targets(key_scale, setting.params)
    policies = [
        defence.pessimism(defence.single(target), _STRENGTH, key=key_draw)
        for target in plain
    ]
    x = jnp.stack([policy.sample(key_sample, 4096) for policy in policies])
    return np.asarray(setup.gold_of(setting.golds, x), float).mean(axis=-1)
