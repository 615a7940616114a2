"""The `robust` command."""

import contextlib
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

from robust.show import terminal

USAGE = 64  # sysexits.h: the command was used incorrectly
INTERRUPTED = 130

app = cyclopts.App(
    name="robust",
    help="Measure how badly learned human concepts break under optimization pressure.",
    version_flags=["--version"],
    help_flags=["--help", "-h"],
)
_DEFAULT = ("best_of_n", "splitting", "gradient_ascent")


class Usage(Exception):
    """Bad input: one line, exit code 64."""


def main() -> None:
    """Run the command line; the process exits with its code."""
    sys.exit(command(sys.argv[1:]))


def command(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0, 64 bad input, 130 interrupted."""
    try:
        app(
            arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except (Usage, cyclopts.CycloptsError) as error:
        text = " ".join(str(error).split())
        terminal.complain(text)
        return USAGE
    except KeyboardInterrupt:
        terminal.complain("stopped")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away, as `head` does; nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


@app.command(name="list")
def list_() -> None:
    """List the attacks and tasks there are, with what they need and cost."""
    from rich.table import Table

    from robust import registry

    table = Table("attack", "needs of the target", "cost per slot and step", "steps")
    for name in registry.names("attack"):
        try:
            attack = registry.make("attack", name)
        except ValueError as error:
            table.add_row(name, f"does not load: {error}", "", "")
            continue
        cost = f"{attack.cost.queries} queries" + (
            f" + {attack.cost.grads} gradients" if attack.cost.grads else ""
        )
        needs = ", ".join(sorted(attack.needs)) or "nothing"
        table.add_row(name, needs, cost, f"up to {attack.steps[-1]}")
    terminal.show(table)
    table = Table("task", "concept")
    for name in registry.names("task"):
        try:
            about = (registry.find("task", name).__doc__ or "").strip().split("\n")[0]
        except ValueError as error:
            about = f"does not load: {error}"
        table.add_row(name, about)
    terminal.show(table)


@app.command
def run(
    task: str = "digits",
    /,
    *,
    attack: Annotated[list[str] | None, Parameter(negative="")] = None,
    seeds: int = 8,
    key: int = 0,
    out_folder: Annotated[Path | None, Parameter(name="--out")] = None,
) -> None:
    """Attack a task, judge what was found, and say what became of the true value.

    Parameters
    ----------
    task
        A task's name (see `robust list`), or a file: my_task.py:task
    attack
        An attack's name, or a file: my_attack.py:attack. Repeat for several.
        Default: best_of_n, splitting and gradient_ascent.
    seeds
        Independent repetitions; fewer than 6 never decide.
    key
        Seed of all randomness: the same key gives the same numbers.
    out_folder
        Folder for curves, pictures and traces. Default: runs/TASK-TIME. A folder
        that holds the same run unfinished is gone on with.
    """
    started = time.monotonic()
    with _complaints():
        if seeds < 1:
            raise ValueError(f"seeds is {seeds}; give a whole number above zero")
        _run(task, attack, seeds, key, out_folder, started)


@app.command
def curve(
    scores: Path,
    /,
    *,
    group: str | None = None,
    proxy: str = "proxy",
    true: str = "true",
    n: Annotated[str | None, Parameter(name=("--n", "-n"))] = None,
    format_: Annotated[
        Literal["table", "json", "markdown"], Parameter(name="--format")
    ] = "table",
    plot: Path | None = None,
    on_nan: Literal["error", "drop"] = "error",
    drop_short: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Say what best-of-n makes of answers that are scored already: exact curves.

    One row per answer. Ties are broken at random, exactly; curves are averaged over
    prompts, never pooled, with intervals over prompts.

    Parameters
    ----------
    scores
        A table: .csv, .jsonl, .ndjson (each also .gz) or .parquet.
    group
        Column that names the prompt. Default: `prompt` where there is one, else all
        rows answer one prompt, which never decides.
    proxy
        Column of the score that selects.
    true
        Column of what it stands for; true and false count as 1 and 0.
    n
        Whole numbers such as 1,5,10, of which the largest is as far as the verdict
        looks. Default: 1, 2, 4, ... up to the smallest number of answers.
    format_
        table, json or markdown.
    plot
        File for a picture: .png, .pdf or .svg.
    on_nan
        error, or drop: leave out rows whose score or prompt is missing, NaN or
        infinite, and count them.
    drop_short
        Leave out prompts with fewer answers than the largest, and count them.
        Default: the curve ends at the smallest number of answers.
    """
    with _complaints():
        asked = None if n is None else _whole_numbers(n)
        if plot is not None:
            _check_picture(plot)
        from robust.adapters.scores import read_scores
        from robust.measure.selection import select_best

        bank = read_scores(
            scores, proxy=proxy, true=true, group=group, on_nan=on_nan,
            drop_short=drop_short,
        )  # fmt: skip
        if asked is not None:
            _check_range(asked, bank.size, drop_short)
        selection = select_best(bank.proxy, bank.true, bank.group, asked)
        if plot is not None:
            _write_picture(selection, plot, scores.name)
    _print_curve(selection, bank, format_, plot)


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"--n is {text!r}; give whole numbers with commas between, such as 1,5,10"
        ) from None


def _check_range(asked, size, drop_short) -> None:
    least, most = int(size.min()), int(size.max())
    wrong = [value for value in asked if not 1 <= value <= least]
    if wrong:
        short = least < most and not drop_short
        raise ValueError(
            f"--n holds {wrong[0]}; give whole numbers from 1 to {least}, the smallest "
            "number of answers to a prompt"
            + (", or leave short prompts out with --drop-short" if short else "")
        )


def _check_picture(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"--plot {path} is a folder; name a file such as curve.png")
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ValueError(
            f"--plot {path} ends in {path.suffix or path.name!r}; name a .png, .pdf or "
            ".svg file"
        )
    if not path.parent.is_dir():
        raise ValueError(
            f"--plot {path}: there is no folder {str(path.parent)!r}; make it or name "
            "another"
        )


def _write_picture(selection, path: Path, title: str) -> None:
    from robust.show.plot import plot_bank

    title = title.replace("$", r"\$")  # else matplotlib reads formulas
    try:
        plot_bank(selection, title=title).savefig(path)
    except OSError as error:
        raise ValueError(
            f"cannot write --plot {path}: {error.strerror or error}; name another file"
        ) from error


def _print_curve(selection, bank, format_: str, plot: Path | None) -> None:
    import json

    from robust.show import bank as words

    if format_ == "json":
        print(json.dumps(words.record(selection, bank), indent=1, allow_nan=False))
        return
    if format_ == "markdown":
        print(words.markdown(selection, bank))
        return
    terminal.say(words.verdict_line(selection), style="bold")
    print(f"\n{words.text(selection, bank)}\n")
    for line in words.notes(selection, bank):
        terminal.say(line, style="dim")
    if plot is not None:
        terminal.say(f"picture in {plot}")


@contextlib.contextmanager
def _complaints():
    """Turn what the user can mend into one line; bugs keep their traceback."""
    try:
        yield
    except ValueError as error:
        raise Usage(str(error)) from error


def _run(task_name, attack_names, seeds, key, folder, started) -> None:
    _persistent_cache()
    import jax

    from robust import registry, store
    from robust.target import resolve

    asked = attack_names or list(_DEFAULT)
    attacks = {name: registry.make("attack", name) for name in asked}
    if len(attacks) < len(asked):
        raise ValueError(f"attacks are {', '.join(asked)}; give each name once")
    registry.find("task", task_name)  # complain before any work
    keys = dict(
        zip(("task", "study"), jax.random.split(jax.random.key(key)), strict=True)
    )
    short = Path(task_name.rpartition(":")[0] or task_name).stem
    with terminal.progress_bar() as bar:
        bar.say(f"making the task {short}", 0.0)
        task = registry.make("task", task_name, key=keys["task"], seeds=seeds)
        _check_task(task, task_name)
        bar.say("base draws", 0.1)
        first = None
        if task.context is not None:
            first = jax.tree.map(lambda leaf: leaf[0], task.context)
        target = resolve(task.target, 0, first)
        attacks = _applicable(attacks, target, optional=not attack_names)
        settings = {
            "task": task_name,
            "attacks": [attack.name for attack in attacks.values()],
            "seeds": seeds,
            "key": key,
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
        study = _study(task, list(attacks.values()), keys["study"], seeds, folder, bar)
        bar.say("pictures", 0.97)
        pictures = _save(folder, task, study, short)
    seconds = time.monotonic() - started
    folder.write_info("complete", **_summary(task, study, seconds))
    terminal.report(_facts(task), study)
    names = ", ".join([*pictures, "report.md"])
    terminal.say(f"\n{names} in {folder.path} ({seconds:.0f} s)")


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


def _study(task, attacks, key, seeds, folder, bar):
    from robust.study import study

    latest = {}
    if folder.resumed:
        terminal.say(f"going on with the unfinished run in {folder.path}")
    try:
        return study(
            task, attacks, key=key, seeds=seeds,
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
        terminal.complain(f"what was computed is kept; go on with --out {folder.path}")
        raise
    except ValueError as error:
        if folder.traces():
            raise ValueError(f"{error}; traces are kept in {folder.path}") from error
        raise
    finally:
        folder.discard_if_empty()


def _check_task(task, name) -> None:
    from robust.task import Task

    if not isinstance(task, Task):
        raise ValueError(
            f"task {name!r} returned {type(task).__name__}; return a robust.Task"
        )


def _save(folder, task, study, title) -> list[str]:
    from robust.show.plot import pictures
    from robust.show.table import markdown, verdict_line

    folder.write_arrays("reference.npz", study.reference)
    for result in study.results:
        folder.write_arrays(
            f"{result.name}.result.npz",
            {"true": result.true, "curve": result.curve, "causes": result.causes},
        )
    lines = [f"# {title}\n"]
    lines += [f"* {name}: {text}" for name, text in _facts(task).items()]
    lines += ["", markdown(study)]
    lines += [f"* **{r.name}**: {verdict_line(r)}" for r in study.results]
    folder.write_text("report.md", "\n".join(lines) + "\n")
    figures = pictures(study, task.render, title)
    for name, figure in figures.items():
        folder.write_figure(name, figure)
    return list(figures)


def _facts(task) -> dict[str, str]:
    return {k: v() if callable(v) else v for k, v in task.facts.items()}


def _summary(task, study, seconds) -> dict:
    from robust.show.table import record

    return {"facts": _facts(task), "results": record(study), "seconds": seconds}


def _persistent_cache() -> None:
    """Keep compiled programs between calls, in the command line only."""
    import jax
    import platformdirs

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = platformdirs.user_cache_dir("robust-to-optimization")
        jax.config.update("jax_compilation_cache_dir", str(Path(folder) / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


if __name__ == "__main__":
    main()
