"""From a task and attacks to curves, causes, diagnoses and verdicts."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import jax
import numpy as np

from robust import reference as ref
from robust.attack import Attack, check_needs
from robust.judge import check_finite, score
from robust.measure import bootstrap, calibration, causes, diagnosis
from robust.measure.curve import Curve, curve, mean_rater
from robust.measure.divergence import Divergence
from robust.measure.realised import gain
from robust.progress import Job, Phase, Progress, Stopped
from robust.registry import make, names
from robust.target import PerSeed, capabilities, resolve
from robust.task import Task
from robust.trace import Checkpoint, Trace, run

_TABLE = "splitting"  # the attack whose levels are the power table
_TABLE_RUN = "power table"
_POPULATION = ("survivors", "ancestors", "plateau")
_PLATEAU = ("plateau", "top", "at_top")
_AT_ONCE = 2  # one attack compiles while another runs


class Result(NamedTuple):
    """What one attack did.

    Attributes:
      name: of the attack.
      trace, true: what it found, and the judge's scores of it, `[S, T, K]`.
      curve: on the scales of the base.
      causes: parts of the divergence per unit and checkpoint, `[U, T]`.
      findings: the diagnosis.
      divergence: metrics and verdict.
    """

    name: str
    trace: Trace
    true: np.ndarray
    curve: Curve
    causes: causes.Causes
    findings: list[diagnosis.Finding]
    divergence: Divergence


class Study(NamedTuple):
    """All attacks on one task.

    Attributes:
      reference: the base as proxy and judge see it.
      expected: what selection by score alone delivers: power `[G]` in nats and true
        gain `[U, G]` in base standard deviations.
      results: one per attack, in the order given.
    """

    reference: ref.Reference
    expected: tuple[np.ndarray, np.ndarray]
    results: list[Result]


def study(
    task: Task,
    attacks: Sequence[Attack],
    *,
    key: jax.Array,
    seeds: int = 8,
    keep: int = 64,
    draws: int = 2**17,
    judged: int = 2048,
    on_phase: Callable[[Phase], None] | None = None,
    on_trace: Callable[[str, Trace], None] | None = None,
    on_checkpoint: Callable[[str, Checkpoint], None] | None = None,
    traces: dict[str, Trace] | None = None,
    resume: dict[str, Checkpoint] | None = None,
) -> Study:
    """Run attacks on a task, judge what they found, measure and diagnose.

    The judge works in a thread of its own while attacks go on, so a judge that must
    be trained or asked over a network costs less waiting.

    Args:
      task: what is tested.
      attacks: made by their factories; names must differ.
      key: a typed key. Attacks with as many slots share row 0.
      seeds: independent repetitions.
      keep: candidates per seed and checkpoint that the judge sees.
      draws: base draws per seed for the scales of the proxy.
      judged: how many of them the judge sees.
      on_phase: called with progress.
      on_trace: called with the name and trace of each attack as it ends.
      on_checkpoint: called with the attack's name and what `resume` wants back.
      traces: finished traces of an earlier run with the same arguments, by name.
      resume: an unfinished one.

    Raises:
      NeedsError: an attack needs what the target lacks; before anything runs.
      ValueError: wrong shapes or non-finite scores of proxy or judge.
    """
    _check(task, attacks, seeds, keep, draws, judged)
    target = resolve(task.target, 0, _first(task.context))
    for attack in attacks:
        check_needs(attack, target)
    offers = capabilities(target)
    key_draws, key_table, key_run, key_ties = jax.random.split(key, 4)
    jobs = {a.name: Job(a, key_run, resume=(resume or {}).get(a.name)) for a in attacks}
    table_attack = _table_attack(attacks, offers)
    if table_attack is not None:
        jobs = {_TABLE_RUN: Job(table_attack, key_table), **jobs}
    progress = Progress(jobs, on_phase)
    rows = {"seeds": seeds, "context": task.context}

    def draw():
        return ref.draw(task.target, key_draws, num=draws, judged=judged, **rows)

    def attack(name: str) -> Trace:
        trace, is_table = (traces or {}).get(name), name == _TABLE_RUN
        if trace is None:
            job = jobs[name]
            watch = progress.watch(name, None if is_table else on_checkpoint)
            trace = run(
                job.attack, task.target, job.key,
                keep=keep, on_checkpoint=watch, resume=job.resume, **rows,
            )  # fmt: skip
            if on_trace and not is_table:
                on_trace(name, trace)
        check_finite("proxy", trace.proxy, trace.proxy.shape)
        return trace

    drawn, found = _attack_and_judge(task.judge, draw, attack, list(jobs), progress)
    table = found.pop(_TABLE_RUN, (None, None))
    reference = ref.reference(*drawn, *table)
    progress.say("measuring")
    runs = [(jobs[name].attack, *pair) for name, pair in found.items()]
    measured = _measure(reference, runs, offers, key_ties)
    progress.say("done", 1.0)
    return measured


def _attack_and_judge(judge, draw, attack, names, progress):
    """Run all jobs, and the judge beside them on what is already found.

    Returns:
      base draws and their true values; per name, the trace and its true values.
    """
    asked: list[Future] = []
    with _pool(1) as judge_pool, _pool(_AT_ONCE) as attack_pool:

        def then_judge(make, score, *arguments):
            result = make(*arguments)
            future = judge_pool.submit(score, result, judge)
            future.add_done_callback(progress.stop_if_failed)
            asked.append(future)
            return result, future

        try:
            drawn = attack_pool.submit(then_judge, draw, ref.judge_draws)
            running = [attack_pool.submit(then_judge, attack, score, n) for n in names]
            pairs = [future.result() for future in (drawn, *running)]
            progress.say("judging")
            done = [(result, true.result()) for result, true in pairs]
        except BaseException as error:
            progress.stop.set()
            if isinstance(error, Stopped):
                for future in asked:
                    future.result()  # raises the judge's own error
            raise
    return done[0], dict(zip(names, done[1:], strict=True))


def _check(task, attacks, seeds, keep, draws, judged) -> None:
    counts = {"seeds": seeds, "keep": keep, "draws": draws, "judged": judged}
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; give a whole number above zero")
    if min(draws, judged) < 100:
        raise ValueError(
            f"draws is {draws} and judged {judged}; the scales need at least 100 each"
        )
    given = [attack.name for attack in attacks]
    if not given or len(set(given)) < len(given):
        raise ValueError(f"attacks are {given}; give at least one, each name once")
    if isinstance(task.target, PerSeed) and task.target.seeds != seeds:
        raise ValueError(
            f"the task is drawn for {task.target.seeds} seeds and {seeds} were asked; "
            f"make it with seeds={seeds}"
        )


def _first(context):
    return None if context is None else jax.tree.map(lambda leaf: leaf[0], context)


def _table_attack(attacks, offers) -> Attack | None:
    """The splitting run whose levels turn scores into nats; the user's if given."""
    for attack in attacks:
        if attack.name == _TABLE:
            return attack
    if "move" not in offers or _TABLE not in names("attack"):
        return None
    return make("attack", _TABLE)


@contextlib.contextmanager
def _pool(workers: int):
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        yield pool
    finally:
        # After an error nobody waits for what is still queued.
        pool.shutdown(wait=True, cancel_futures=True)


def _measure(reference, found, offers, key) -> Study:
    key_base, key_shell, key_trace = jax.random.split(key, 3)
    expected = _calibrate(reference, key_base, key_shell)
    parts = []
    for attack, trace, true in found:
        # One key for all attacks: ties at row 0 are broken alike.
        line = curve(trace, true, reference, key_trace)
        part = _causes(trace, mean_rater(true), reference, expected, key_trace)
        parts.append((attack, trace, true, line, part))
    health = _diagnose([(p[0], p[1], p[3]) for p in parts], offers)
    results = []
    for (attack, trace, true, line, part), findings in zip(parts, health, strict=True):
        line = line._replace(healthy=diagnosis.healthy(findings))
        results.append(
            Result(attack.name, trace, true, line, part, findings, line.divergence())
        )
    unit = found[0][1].unit
    grid = np.linspace(0.0, max(min(float(c.nats[-1]) for c in expected) - 1, 0.1), 200)
    delivered = np.stack([calibration.selected(c, grid) for c in expected])
    return Study(reference, (grid, bootstrap.by_unit(delivered, unit)), results)


def _calibrate(reference, key_base, key_shell) -> list[calibration.Calibration]:
    """One calibration per row, true values in base standard deviations."""
    num = reference.true.shape[1]
    nats = [reference.nats(reference.proxy[:, :num], key_base)[0]]
    true = [reference.true]
    if reference.shell_proxy.shape[1]:
        nats.append(reference.nats(reference.shell_proxy, key_shell)[0])
        true.append(reference.shell_true)
    nats, true = np.concatenate(nats, axis=1), np.concatenate(true, axis=1)
    _, _, mean, std = reference.scales
    true = gain(true, mean[:, None], std[:, None])
    return list(map(calibration.calibrate, nats, true))


def _causes(trace, true, reference, expected, key) -> causes.Causes:
    keep = true.shape[2]
    nats, beyond = (array[:, :, :keep] for array in reference.nats(trace.proxy, key))
    means = np.stack([c(n) for c, n in zip(expected, nats, strict=True)])
    # Past the middle of its last bin a calibration is an extrapolation.
    last = np.array([c.nats[-1] for c in expected])
    beyond = beyond | (nats > last[:, None, None])
    proxy_mean, proxy_std, true_mean, true_std = (
        scale[:, None, None] for scale in reference.scales
    )
    parts = causes.split(
        gain(trace.proxy[:, :, :keep].astype(float), proxy_mean, proxy_std),
        gain(true, true_mean, true_std),
        means, beyond, reference.rho[:, None],
    )  # fmt: skip
    return causes.Causes(*(bootstrap.by_unit(part, trace.unit) for part in parts))


def _diagnose(found, offers) -> list[list[diagnosis.Finding]]:
    gradients = {a.name for a, _, _ in found if a.cost.grads > 0}
    families = {"gradient" if a.name in gradients else "black box" for a, _, _ in found}
    rivals = [
        (a.name, line.proxy, line.queries)
        for a, _, line in found
        if a.name not in gradients
    ]
    health = []
    for attack, trace, line in found:
        uses = attack.name in gradients
        zero, bad = (trace.info.get(n) for n in ("zero_gradient", "nonfinite_gradient"))
        claims = bool(np.isfinite(line.kl[:, -1]).all())
        spent = float(trace.queries[-1] + 2 * trace.grads[-1])
        health.append([
            diagnosis.zero_gradient(None if zero is None else (zero + bad)[:, 0]),
            diagnosis.budget_doubling(line.proxy, trace.steps, claims),
            diagnosis.black_box(line.proxy[:, -1] if uses else None, spent, rivals),
            diagnosis.population(*map(trace.info.get, _POPULATION)),
            diagnosis.plateau(*map(trace.info.get, _PLATEAU)),
            diagnosis.claimed_kl(line.kl[:, -1], line.power[:, -1]),
            diagnosis.both_families("gradient" in offers, families),
        ])  # fmt: skip
    return health
