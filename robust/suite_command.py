"""`robust run SUITE`: several tasks unattended, and one table of what came out."""

import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from robust.show import terminal

_ALL = "all"
_COLUMNS = ("task", "attack", "verdict", "power", "proxy gain", "true gain", "drop")


def is_suite(name: str) -> bool:
    """Whether a name is a suite's and no task's."""
    from robust import registry

    return name not in registry.names("task") and name in {_ALL, *_suites()}


def run_suite(suite, attack_names, seeds, key, extra, folder, started) -> int:
    """Run each task of a suite in a process of its own and write a table of all.

    A process each gives every task its memory back, and one that fails leaves the
    others be. A task that is finished in the folder is not run again.

    Returns:
      exit code: 1 if a task failed, else 0.

    Raises:
      ValueError: the folder cannot be written, or an option that is for one task.
    """
    from robust import registry, store

    if given := [f"--{name}" for name, wanted in extra.items() if wanted]:
        raise ValueError(
            f"{suite} is a suite and not every task takes {', '.join(given)}; give it "
            "to one task"
        )
    settings = {
        "suite": suite, "attacks": attack_names or [], "seeds": seeds, "key": key,
    }  # fmt: skip
    for name in attack_names or ():
        registry.find("attack", name)  # else every task would say that there is none
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = store.Folder(folder or Path("runs") / f"{suite}-{stamp}", settings)
    options = [f"--key={key}", *([f"--seeds={seeds}"] if seeds else [])]
    options += [f"--attack={name}" for name in attack_names or ()]
    tasks = _tasks(suite)
    failed, done = {}, {}
    for number, task in enumerate(tasks, start=1):
        terminal.say(f"\n{task} ({number} of {len(tasks)})", style="bold")
        where = folder.path / task
        if not (done.get(task) or _finished(where)):
            code = _run(task, where, options)
            if code:
                failed[task] = code
                continue
        done[task] = _finished(where)
    seconds = time.monotonic() - started
    lines = _table(done)
    left = [f"* {task}: failed with exit code {code}" for task, code in failed.items()]
    folder.write_text("report.md", "\n".join([f"# {suite}\n", *lines, "", *left, ""]))
    status = "incomplete" if failed else "complete"
    folder.write_info(status, tasks=list(done), failed=failed, seconds=seconds)
    _print(done)
    for task, code in failed.items():
        terminal.complain(f"{task} failed with exit code {code}; see its line above")
    terminal.say(f"report.md in {folder.path} ({seconds:.0f} s)")
    return 1 if failed else 0


def _tasks(suite: str) -> list[str]:
    from robust import registry

    if suite == _ALL:
        return list(registry.names("task"))
    return _suites()[suite]


def _suites() -> dict[str, list[str]]:
    """Tasks by suite, as their cards say."""
    from robust import registry
    from robust.cards import card_of

    found: dict[str, list[str]] = {}
    for name in registry.names("task"):
        try:
            suites = card_of(registry.find("task", name)).suites
        except ValueError:
            continue  # `robust list` says why it does not load
        for suite in suites:
            found.setdefault(suite, []).append(name)
    return found


def _run(task: str, where: Path, options: list[str]) -> int:
    command = [sys.executable, "-m", "robust.cli", "run", task, f"--out={where}"]
    with subprocess.Popen([*command, *options]) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()  # it was interrupted as well, and saves what it has
            raise


def _finished(where: Path) -> dict | None:
    """run.json of a finished run in a folder, or None."""
    file = where / "run.json"
    if not file.is_file():
        return None
    info = json.loads(file.read_text())
    return info if info["status"] == "complete" else None


def _cells(task: str, result: dict) -> list[str]:
    end = {name: result[name] for name in ("power", "proxy", "true")}
    beyond = "≥ " if (result["beyond"][-1] or 0) > 0.01 else ""
    return [
        task,
        result["attack"],
        result["verdict"],
        f"{beyond}{_number(end['power']['mean'][-1], '.1f')}",
        _last(end["proxy"]),
        _last(end["true"]),
        _triple(result["drop"]),
    ]


def _rows(done: dict[str, dict]):
    for task, info in done.items():
        for result in info["results"]:
            yield _cells(task, result)


def _last(interval: dict) -> str:
    return _triple({name: bound[-1] for name, bound in interval.items()})


def _triple(interval: dict) -> str:
    mean, low, high = (interval[name] for name in ("mean", "low", "high"))
    if low is None:
        return _number(mean, "+.2f")
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def _number(value, style: str) -> str:
    return "–" if value is None else f"{value:{style}}"


def _table(done: dict[str, dict]) -> list[str]:
    """GitHub's Markdown."""
    from robust.show.table import markdown_table

    return [
        *markdown_table([_COLUMNS, *_rows(done)]), "",
        "Power in nats; gains and drop in base standard deviations, 95 % intervals.",
    ]  # fmt: skip


def _print(done: dict[str, dict]) -> None:
    from rich.table import Table

    table = Table(*_COLUMNS)
    for row in _rows(done):
        table.add_row(*row)
    terminal.show(table)
