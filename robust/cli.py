"""The `robust` command."""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter, validators

from robust.curve_command import curve_of_scores
from robust.experiment_command import is_experiment, run_experiment
from robust.list_command import show_plugins
from robust.run_command import run_task
from robust.show import terminal
from robust.suite_command import is_suite, run_suite
from robust.transcripts_command import measure_transcripts, plan_of_transcripts

BROKEN = 1
USAGE = 64  # sysexits.h: the command was used incorrectly
INTERRUPTED = 130

# JAX would take larger keys for smaller ones.
Key = Annotated[int, Parameter(validator=validators.Number(gte=0, lt=2**32))]

app = cyclopts.App(
    name="robust",
    help="Measure how badly learned human concepts break under optimization pressure.",
    version_flags=["--version"],
    help_flags=["--help", "-h"],
    suppress_keyboard_interrupt=False,  # `command` says that it stopped
)


class Usage(Exception):
    """Bad input: one line, exit code 64."""


def main() -> None:
    """Run the command line; the process exits with its code."""
    sys.exit(command(sys.argv[1:]))


def command(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    0, or what the command says (1: `selftest` is shown unsound, or a task of a suite
    failed), 64 bad input, 130 interrupted.
    """
    try:
        code = app(
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
    return code or 0


@app.command(name="list")
def list_() -> None:
    """List the attacks and tasks there are, with what they need and cost."""
    show_plugins()


@app.command
def run(
    task: str = "digits",
    /,
    *,
    attack: Annotated[list[str] | None, Parameter(negative="")] = None,
    seeds: int | None = None,
    key: Key = 0,
    handles: Annotated[bool, Parameter(negative="")] = False,
    regret: Annotated[bool, Parameter(negative="")] = False,
    out_folder: Annotated[Path | None, Parameter(name="--out")] = None,
) -> int:
    """Attack a task, judge what was found, and say what became of the true value.

    Parameters
    ----------
    task
        A task's name (see `robust list`), or a file: my_task.py:task; or a suite:
        quick, real, all (exit code 1 if a task of it failed); or an experiment, which
        asks more than one task can answer and brings its own attacks.
    attack
        An attack's name, or a file: my_attack.py:attack. Repeat for several.
        Default: what the task names, or else best_of_n, splitting and a search.
    seeds
        Independent repetitions; fewer than 6 never decide. Default: what the task
        or the experiment names, or else 8.
    key
        Seed of all randomness: the same key gives the same numbers.
    handles
        Also restrict the attacks that search inputs to each group of features that
        the task names, to see which of them carries the adversarial part.
    regret
        Also run the attacks on the judge itself, where the task gives it as an
        oracle, to see what a perfect proxy would have brought.
    out_folder
        Folder for curves, pictures and traces. Default: runs/TASK-TIME. A folder
        that holds the same run unfinished is gone on with.
    """
    started = time.monotonic()
    with _complaints():
        if seeds is not None and seeds < 1:
            raise ValueError(f"seeds is {seeds}; give a whole number above zero")
        extra = {"handles": handles, "regret": regret}
        if is_suite(task):
            return run_suite(task, attack, seeds, key, extra, out_folder, started)
        run_one = run_experiment if is_experiment(task) else run_task
        run_one(task, attack, seeds, key, extra, out_folder, started)
    return 0


@app.command
def bench(
    leaderboard: str = "defences",
    /,
    *,
    seeds: int | None = None,
    key: Key = 0,
    out_folder: Annotated[Path | None, Parameter(name="--out")] = None,
) -> None:
    """Set every attack on every defence and write the leaderboard.

    Parameters
    ----------
    leaderboard
        An experiment's name (see `robust list`), or a file: my_bench.py:bench.
    seeds
        Redraws of data and proxies. Default: what the experiment names.
    key
        Seed of all randomness: the same key gives the same numbers.
    out_folder
        Folder for the tables, as Parquet, JSON and Markdown. Default:
        runs/NAME-TIME.
    """
    started = time.monotonic()
    with _complaints():
        if seeds is not None and seeds < 1:
            raise ValueError(f"seeds is {seeds}; give a whole number above zero")
        run_experiment(leaderboard, None, seeds, key, {}, out_folder, started)


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
    prompts, never pooled, with intervals over prompts; of a single prompt, over its
    answers.

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
        curve_of_scores(
            scores, n=n, format_=format_, picture=plot, proxy=proxy, true=true,
            group=group, on_nan=on_nan, drop_short=drop_short,
        )  # fmt: skip


@app.command
def transcripts(
    file: Path,
    /,
    *,
    plan: Path | None = None,
    answers: Path | None = None,
    reader: str | None = None,
    fractions: str = "0,0.33,0.67",
    over: Literal["question", "seed"] = "question",
    key: Key = 0,
    batch: int = 16,
    timeout: float = 60.0,
    modulus: int | None = None,
    format_: Annotated[
        Literal["table", "json", "markdown"], Parameter(name="--format")
    ] = "table",
    plot: Path | None = None,
) -> None:
    """Say what chains of thought show: wording, legibility, whether answers use them.

    One JSON object a line with question, chain and answer; optionally id, step (of
    training), seed, reward, truth, hint, monitor (a score). No model is run: a plan
    of interventions is written for yours to answer, and its answers are scored.

    Parameters
    ----------
    file
        The chains: .jsonl, or .jsonl.gz.
    plan
        File to write interventions into (early answers, filler, a mistake, a chain
        swapped in, a paraphrase), to be answered by the model that wrote the chains.
    answers
        The rows of a plan with their answers; scored against the chains.
    reader
        What is to tell the answers from the chains alone: file.py:function, a list
        of chains to a list of answers; or an http(s) address, to which
        {"chains": [...]} is posted for {"answers": [...]}. Its answers are kept
        beside the chains.
    fractions
        Parts of the chain to leave for early answers, 0 to 1, commas between.
    over
        Units of the intervals: question, or seed (of training).
    key
        Seed of the plan and of the halves that drift is compared on.
    batch
        Chains that the reader is given at once.
    timeout
        Seconds that an address may take for one batch.
    modulus
        Of the sums in the chains, where they are not the usual ones.
    format_
        table, json or markdown.
    plot
        File for a picture: .png, .pdf or .svg.
    """
    with _complaints():
        if plan is not None:
            others = {"--answers": answers, "--reader": reader, "--plot": plot}
            given = [name for name, value in others.items() if value is not None]
            if given:
                raise ValueError(f"--plan only writes a plan; leave out {given[0]}")
            plan_of_transcripts(
                file, plan, fractions=fractions, key=key, format_=format_
            )
            return
        measure_transcripts(
            file, answers=answers, reader=reader, over=over, batch=batch,
            timeout=timeout, key=key, modulus=modulus, format_=format_, picture=plot,
        )  # fmt: skip


@app.command
def fetch(name: str | None = None, /) -> None:
    """Download the data of a task, or list what there is to download.

    The download goes through pip as you have set it up; it is verified by its
    SHA-256 and kept in the user's data folder, or in the one that ROBUST_DATA names.

    Parameters
    ----------
    name
        Of the data, as listed. Default: list them.
    """
    from robust import fetch as data

    with _complaints():
        if name is None:
            for one, there in data.datasets():
                state = "here" if there else f"{one.bytes / 1e6:.0f} MB to download"
                terminal.say(f"{one.name}: {one.about} ({state}; {one.licence})")
            return
        with terminal.progress_bar() as bar:
            data.fetch(
                name,
                say=terminal.say,
                progress=lambda share: bar.say(f"downloading {name}", share),
            )


@app.command
def cache(*, clear: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Show what is kept between calls: trained proxies, prepared data, programs.

    Parameters
    ----------
    clear
        Forget all of it; it is made again when needed.
    """
    from robust import cache as compiled
    from robust import kept

    if clear:
        terminal.say(f"{(kept.clear() + compiled.clear()) / 2**20:.1f} MiB forgotten")
        return
    for entry in kept.entries():
        terminal.say(f"{entry.bytes / 2**20:8.1f} MiB  {entry.name}")
    programs = compiled.programs()
    size = sum(file.stat().st_size for file in programs)
    terminal.say(f"{size / 2**20:8.1f} MiB  {len(programs)} compiled programs")
    terminal.say(f"in {kept.folder()} and {compiled.folder()}")


@app.command
def selftest(
    *,
    replicates: int = 20,
    key: Key = 0,
    format_: Annotated[
        Literal["table", "json", "markdown"], Parameter(name="--format")
    ] = "table",
) -> int:
    """Test the tool itself on planted proxies whose answer is known.

    A hump, a heavy tail, a flat, a truly robust, a reversed and a shuffled proxy and
    one with masked gradients go through the whole pipeline, drawn anew each time.
    Exit code 1 if an error rate is shown to exceed 8 %.

    Parameters
    ----------
    replicates
        Draws of each problem; 60 without an error bound its rate below 6 %.
    key
        Seed of all randomness.
    format_
        table, json or markdown.
    """
    from robust.selftest_command import check_pipeline

    with _complaints():
        return BROKEN if check_pipeline(replicates, key, format_) is False else 0


@contextlib.contextmanager
def _complaints():
    """Turn what the user can mend into one line; bugs keep their traceback."""
    try:
        yield
    except ValueError as error:
        raise Usage(str(error)) from error


if __name__ == "__main__":
    main()
