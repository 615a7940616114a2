"""From a task and attacks to what they show: run, judge, assess."""

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import jax

from robust import reference as ref
from robust.assess import Study, assess
from robust.attack import Attack, check_needs
from robust.handle import merged, on_oracle, restrict
from robust.judge import check_finite, score
from robust.probe import probe
from robust.progress import Job, Phase, Progress, Stopped
from robust.registry import make, names
from robust.target import PerSeed, capabilities, resolve
from robust.task import Task
from robust.trace import Checkpoint, Trace, run

_TABLE = "splitting"  # the attack whose levels are the power table
_TABLE_RUN = "power table"
_AT_ONCE = 2  # one attack compiles while another runs


def study(
    task: Task,
    attacks: Sequence[Attack],
    *,
    key: jax.Array,
    seeds: int = 8,
    keep: int = 64,
    draws: int = 2**17,
    judged: int = 2048,
    handles: bool = False,
    regret: bool = False,
    table: bool = True,
    points: int = 64,
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
      handles: also restrict each attack that searches inputs to each of the task's
        handles, to see which features carry the adversarial part.
      regret: also run each attack on the task's oracle, to see what optimizing the
        judge itself would have given.
      table: also run splitting for the power table where it is not among the attacks;
        without it, power resolves to the logarithm of `draws`.
      points: base draws per row at which gradients are checked against differences.
      on_phase: called with progress.
      on_trace: called with the name and trace of each attack as it ends.
      on_checkpoint: called with the attack's name and what `resume` wants back.
      traces: finished traces of an earlier run with the same arguments, by name.
      resume: an unfinished one.

    Raises:
      NeedsError: an attack needs what the target lacks; before anything runs.
      ValueError: wrong shapes or non-finite scores of proxy or judge; handles or
        regret of a task that names no handles or has no oracle.
    """
    _check(task, attacks, seeds, keep, draws, judged)
    target = resolve(task.target, 0, _first(task.context))
    for attack in attacks:
        check_needs(attack, target)
    offers = capabilities(target)
    key_draws, key_table, key_run, key_ties, key_probe = jax.random.split(key, 5)
    jobs = {a.name: Job(a, key_run, task.target) for a in attacks}
    apart = _on_handles(task, attacks, key_run) if handles else {}
    ideal = _on_oracle(task, attacks, key_run) if regret else {}
    jobs = jobs | apart | ideal
    table_attack = _table_attack(attacks, offers, table)
    if table_attack is not None:
        jobs = {_TABLE_RUN: Job(table_attack, key_table, task.target), **jobs}
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
                job.attack, job.target, job.key, keep=keep, on_checkpoint=watch,
                resume=(resume or {}).get(name), **rows,
            )  # fmt: skip
            if job.handle is not None:
                trace = trace._replace(x=merged(trace.x, job.handle))
            if on_trace and not is_table:
                on_trace(name, trace)
        check_finite("proxy", trace.proxy, trace.proxy.shape)
        return trace

    judges = {"judge": task.judge}
    judges |= {f"judge {name!r}": judge for name, judge in task.judges.items()}
    drawn, found = _attack_and_judge(judges, draw, attack, list(jobs), progress)
    seen = [_by_judge(drawn, found, i) for i in range(len(judges))]
    reference, trued = seen[0]
    whole = [(a, *trued[a.name]) for a in attacks]
    probed = probe(
        task.target, key_probe, drawn[0].x, [w[1] for w in whole], points=points,
        on_step=progress.probed, **rows,
    )  # fmt: skip
    progress.say("measuring")
    measured = assess(
        reference, whole, offers, probed, key_ties,
        handles=[(apart[name].attack, *trued[name]) for name in apart],
        proxy_per_seed=isinstance(task.target, PerSeed),
        ideal={a.name: trued[_on_judge(a)] for a in attacks if _on_judge(a) in ideal},
        views={
            judge: (reference, [trued[a.name][1] for a in attacks])
            for judge, (reference, trued) in zip(task.judges, seen[1:], strict=True)
        },
    )  # fmt: skip
    progress.say("done", 1.0)
    return measured


def _by_judge(drawn, found, index: int):
    """What the judge of this index says of the base, and of each trace by name."""
    draws, true = drawn
    trued = {name: (trace, said[index]) for name, (trace, said) in found.items()}
    table = trued.get(_TABLE_RUN, (None, None))
    return ref.reference(draws, true[index], *table), trued


def _on_handles(task, attacks, key) -> dict[str, Job]:
    """The attacks that search inputs, each restricted to each handle."""
    if not task.handles:
        raise ValueError("the task names no handles; give Task(handles={name: mask})")
    jobs = {}
    for attack in attacks:
        if not attack.needs & {"continuous", "tokens"}:
            continue  # selects whole inputs, see `restrict`
        for name, handle in task.handles.items():
            part = attack._replace(name=f"{attack.name}@{name}")
            target = restrict(task.target, handle)
            jobs[part.name] = Job(part, key, target, handle)
    if not jobs:
        raise ValueError(
            "no attack searches inputs from a start, so none can be restricted to a "
            "handle; add --attack gradient_ascent"
        )
    return jobs


def _on_judge(attack) -> str:
    return f"{attack.name}@judge"


def _on_oracle(task, attacks, key) -> dict[str, Job]:
    """The same attacks on the judge itself."""
    if task.oracle is None:
        raise ValueError(
            "the task has no oracle, the judge as a JAX function; give Task(oracle=...)"
        )
    target = on_oracle(task.target, task.oracle)
    return {
        _on_judge(a): Job(a._replace(name=_on_judge(a)), key, target) for a in attacks
    }


def _attack_and_judge(judges, draw, attack, names, progress):
    """Run all jobs, and the judges beside them on what is already found.

    Returns:
      base draws and their true values; per name, the trace and its true values. True
      values are lists, one array per judge.
    """
    asked: list[Future] = []
    with _pool(1) as judge_pool, _pool(_AT_ONCE) as attack_pool:

        def then_judge(make, score, *arguments):
            result = make(*arguments)
            future = judge_pool.submit(
                lambda: [score(result, judge, name=n) for n, judge in judges.items()]
            )
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
    for name in (*task.judges, *task.handles):
        if set(name) & set("/#:") or name == "the judge":
            raise ValueError(
                f"a judge or handle is named {name!r}; give a name without / # : that "
                "is not 'the judge'"
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


def _table_attack(attacks, offers, wanted: bool) -> Attack | None:
    """The splitting run whose levels turn scores into nats; the user's if given."""
    for attack in attacks:
        if attack.name == _TABLE:
            return attack
    if not wanted or "move" not in offers or _TABLE not in names("attack"):
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
