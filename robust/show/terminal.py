"""What the command line prints: progress, complaints, reports."""

import contextlib

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from robust.show import summary
from robust.show import table as words
from robust.show.judges import judge_rows

_OUT = Console(highlight=False)
_ERR = Console(stderr=True, highlight=False, soft_wrap=True)

_COLOURS = {
    "DEGENERATE": "magenta", "CATASTROPHIC": "bold red", "STRONG": "red",
    "ROBUST": "green", "WEAK": "yellow", "UNDECIDED": "cyan",
}  # fmt: skip


def say(text: str, indent: int = 0, style: str = "") -> None:
    """Print a paragraph: wrapped in a terminal, on one line of a file."""
    if _OUT.is_terminal:
        _OUT.print(Padding(escape(text), (0, 0, 0, indent)), style=style)
    else:
        _OUT.print(" " * indent + text, markup=False, soft_wrap=True)


def complain(text: str) -> None:
    """Print one line on the error stream."""
    _ERR.print(f"robust: {text}", markup=False)


def show(table: Table) -> None:
    """Print a table."""
    _OUT.print(table)


def report(facts: dict[str, str], study) -> None:
    """Print what is known of the task, and per attack its verdict, causes, diagnosis.

    Args:
      facts: name -> text.
      study: a `Study`.
    """
    for name, text in facts.items():
        say(f"{name}: {text}")
    for result in study.results:
        verdict = words.verdict_of(result).name
        _OUT.print(f"\n[bold]{result.name}[/]: [{_COLOURS[verdict]}]{verdict}[/]")
        lines = [
            words.verdict_line, words.shape_line, words.causes_line,
            words.diagnosis_line,
        ]  # fmt: skip
        for line in lines[:1] if verdict == "DEGENERATE" else lines:
            say(line(result), indent=2)
    _OUT.print()
    # One column per attack: a terminal is 80 wide, and rows of intervals are not.
    cells = words.rows(study)
    table = Table("", *(row[0] for row in cells))
    for i, name in enumerate(words.COLUMNS[1:], start=1):
        table.add_row(name, *(row[i] for row in cells))
    show(table)
    say(words.NOTE, style="dim")
    for line in summary.lines(study):
        say(line)
    if study.views:
        head, *body = judge_rows(study)
        table = Table(*head)
        for row in body:
            table.add_row(*map(escape, row))
        show(table)


def findings(found) -> None:
    """Print an experiment's `Findings`: its paragraphs, then its tables."""
    say("\n\n".join(found.lines))
    for title, (head, *body) in found.tables.items():
        table = Table(*map(escape, head), title=escape(title), title_justify="left")
        for row in body:
            table.add_row(*map(escape, row))
        _OUT.print()
        show(table)


class Bar:
    """A progress bar with the time left; plain lines where there is no terminal."""

    def __init__(self, progress):
        self._progress = progress
        self._job = progress.add_task("starting", total=1.0)
        self._said = set()

    def say(self, phase: str, done: float) -> None:
        """Show what goes on and which share of the whole is done."""
        self._progress.update(self._job, description=phase, completed=done)
        if not _ERR.is_terminal and phase not in self._said:
            _ERR.print(f"{done:4.0%} {phase}", markup=False)
        self._said.add(phase)


@contextlib.contextmanager
def progress_bar():
    """A `Bar` on the error stream, gone when done."""
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<28}"), BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
        TextColumn("· left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=_ERR, transient=True, disable=not _ERR.is_terminal
    ) as progress:
        yield Bar(progress)
