"""`robust run`: from names on the command line to verdicts and a run folder."""

import inspect
import time
from datetime import datetime
from pathlib import Path

from robust.cache import keep_compiled_programs
from robust.show import terminal
from robust.threads import use_one_blas_thread

_DEFAULT = ("best_of_n", "splitting", "gradient_ascent")
_SEEDS = 8
_WITHOUT_GRADIENT = {"embedding": "token_search", "move": "annealing"}


def run_task(task_name, attack_names, seeds, key, extra, folder, started) -> None:
    """Attack a task by name, print the verdicts and write a run folder.

    Args:
      task_name: an entry point or FILE.py:NAME.
      attack_names: likewise, or None for all default attacks that apply.
      seeds, key: as on the command line; seeds None: as the task has it.
      extra: {"handles": bool, "regret": bool}, likewise.
      folder: where to write, or None for runs/TASK-TIME.
      started: `time.monotonic()` when the command began.

    Raises:
      ValueError: anything that the user can mend.
    """
    keep_compiled_programs()
    use_one_blas_thread()
    import jax

    from robust import registry, store
    from robust.attack import Attack
    from robust.show import summary
    from robust.show.table import record
    from robust.target import capabilities, resolve
    from robust.task import Task

    for name in attack_names or ():  # complain before any work
        _check_type("attack", name, registry.make("attack", name), Attack)
    if len(set(attack_names or ())) < len(attack_names or ()):
        raise ValueError(f"attacks are {', '.join(attack_names)}; give each name once")
    registry.find("task", task_name)
    keys = dict(
        zip(("task", "study"), jax.random.split(jax.random.key(key)), strict=True)
    )
    short = Path(task_name.rpartition(":")[0] or task_name).stem
    with terminal.progress_bar() as bar:
        bar.say(f"making the task {short}", 0.0)
        wanted = {} if seeds is None else {"seeds": seeds}
        task = registry.make("task", task_name, key=keys["task"], **wanted)
        _check_type("task", task_name, task, Task)
        seeds = task.settings.get("seeds", seeds) or _seeds(task)
        bar.say("base draws", 0.1)
        first = None
        if task.context is not None:
            first = jax.tree.map(lambda leaf: leaf[0], task.context)
        target = resolve(task.target, 0, first)
        offers = capabilities(target)  # which some attacks are made for
        names = attack_names or list(task.attacks) or _usual(offers)
        attacks = {n: _attack(n, task, offers) for n in names}
        attacks = _applicable(attacks, target, optional=not attack_names)
        if not attacks:
            raise ValueError(
                "none of the task's attacks fits its target; name one with --attack"
            )
        _check_settings(task)
        settings = {
            "task": task_name,
            "attacks": [attack.name for attack in attacks.values()],
            "seeds": seeds,
            "key": key,
            **extra,
            "options": {
                n: dict(task.attacks.get(n, {}))
                for n in [*attacks, *(task.attacks if "worst_case" in attacks else ())]
            },
            **{n: v for n, v in task.settings.items() if n != "seeds"},
            "data": store.data_hash(task.target, task.context),
            "sources": {
                name: store.source_hash(registry.find(kind, name))
                for kind, name in [
                    ("task", task_name),
                    *(("attack", n) for n in attacks),
                ]
            },
        }
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = store.Folder(folder or Path("runs") / f"{short}-{stamp}", settings)
        options = {**task.settings, "key": keys["study"], "seeds": seeds, **extra}
        study = _study(task, list(attacks.values()), options, folder, bar)
        bar.say("pictures", 0.97)
        facts = {k: v() if callable(v) else v for k, v in task.facts.items()}
        pictures = _save(folder, facts, task, study, short)
    seconds = time.monotonic() - started
    folder.write_info(
        "complete", facts=facts, results=record(study),
        summary=summary.record(study), seconds=seconds,
        memory_mb=store.peak_memory_mb(),
    )  # fmt: skip
    terminal.report(facts, study)
    names = ", ".join([*pictures, "report.md"])
    terminal.say(f"\n{names} in {folder.path} ({seconds:.0f} s)")


def _seeds(task) -> int:
    """As many as the task has proxies, or the usual number."""
    from robust.target import PerSeed

    return task.target.seeds if isinstance(task.target, PerSeed) else _SEEDS


def _check_settings(task) -> None:
    from robust.study import study

    known = {"seeds", "keep", "draws", "judged", "table", "points"}
    assert known <= set(inspect.signature(study).parameters)
    if unknown := task.settings.keys() - known:
        raise ValueError(
            f"the task's settings have {', '.join(sorted(unknown))}; they may have "
            f"{', '.join(sorted(known))}"
        )


def _usual(offers) -> list[str]:
    """Selection, and the search that suits what the target offers."""
    if "gradient" in offers:
        return list(_DEFAULT)
    search = [name for offer, name in _WITHOUT_GRADIENT.items() if offer in offers]
    return [*_DEFAULT[:2], *search[:1]]


def _attack(name: str, task, offers):
    """Make an attack with the task's options for it; one made of others, with all."""
    from robust import registry

    options = dict(task.attacks.get(name, {}))
    slots = options.pop("slots", None)
    known = inspect.signature(registry.find("attack", name)).parameters
    if unknown := options.keys() - known:
        raise ValueError(
            f"the task gives {name} the options {', '.join(sorted(unknown))}, which it "
            f"does not take; it takes slots, {', '.join(known)}"
        )
    parts = {n: o for n, o in task.attacks.items() if n != name}
    offered = {"offers": offers, "attacks": parts or None, **options}
    attack = registry.make("attack", name, **offered)
    return attack if slots is None else attack._replace(slots=slots)


def _applicable(attacks: dict, target, *, optional: bool) -> dict:
    """Attacks whose needs the target meets; others are left out only by default."""
    from robust.attack import NeedsError, check_needs

    kept = {}
    for name, attack in attacks.items():
        try:
            check_needs(attack, target)
        except NeedsError as error:
            if not optional:
                raise
            terminal.say(f"left out: {error}")
        else:
            kept[name] = attack
    return kept


def _study(task, attacks, options, folder, bar):
    from robust.study import study

    latest = {}
    if folder.resumed:
        terminal.say(f"going on with the unfinished run in {folder.path}")
    try:
        return study(
            task, attacks, **options,
            on_phase=lambda phase: bar.say(phase.name, 0.1 + 0.87 * phase.done),
            on_trace=folder.write_trace,
            on_checkpoint=latest.__setitem__,
            traces=folder.traces(), resume=folder.checkpoints(),
        )  # fmt: skip
    except KeyboardInterrupt:
        finished = folder.traces()
        for name, checkpoint in latest.items():
            if name not in finished:
                folder.write_checkpoint(name, checkpoint)
        if folder.keeps_work():
            terminal.complain(
                f"what was computed is kept; go on with --out {folder.path}"
            )
        raise
    except ValueError as error:
        if folder.traces():
            raise ValueError(f"{error}; traces are kept in {folder.path}") from error
        raise
    finally:
        folder.discard_if_empty()


def _told(settings: dict):
    """What a reader must know to have the run again."""
    return [(n, v) for n, v in settings.items() if n not in ("task", "sources")]


def _check_type(kind: str, name: str, made, wanted: type) -> None:
    if not isinstance(made, wanted):
        raise ValueError(
            f"{kind} {name!r} returned {type(made).__name__}; return a "
            f"robust.{wanted.__name__}"
        )


def _save(folder, facts, task, study, title) -> list[str]:
    from robust.show import summary
    from robust.show.inputs import examples, pictures
    from robust.show.judges import judge_rows
    from robust.show.table import markdown, markdown_table, shape_line, verdict_line

    folder.write_arrays("reference.npz", study.reference)
    for i, result in enumerate(study.results):
        folder.write_arrays(
            f"{result.name}.result.npz",
            {
                "true": result.true, "curve": result.curve, "causes": result.causes,
                "views": {judge: v[i].true for judge, v in study.views.items()},
            },
        )  # fmt: skip
    lines = [f"# {title}\n"]
    lines += [f"* {name}: {text}" for name, text in facts.items()]
    lines += ["", markdown(study)]
    for r in study.results:
        lines += [f"* **{r.name}**: {verdict_line(r)}", f"  * {shape_line(r)}"]
    lines += ["", *(f"* {line}" for line in summary.lines(study)), ""]
    lines += [f"* {name}: {value}" for name, value in _told(folder.settings)] + [""]
    lines += markdown_table(judge_rows(study))
    folder.write_text("report.md", "\n".join(lines) + "\n")
    figures = pictures(study, task.render, title)
    for name, figure in figures.items():
        folder.write_figure(name, figure)
    if task.export is None:
        return list(figures)
    inside = folder.path / "inputs"
    inside.mkdir(exist_ok=True)
    for label, x in examples(study):
        task.export(inside, label, x)
    return [*figures, "inputs/"]
