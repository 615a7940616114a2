"""`robust run EXPERIMENT` and `robust bench`: run it, print it, keep it."""

import inspect
import time
from datetime import datetime
from pathlib import Path

from robust.cache import keep_compiled_programs
from robust.show import terminal
from robust.threads import use_one_blas_thread


def is_experiment(name: str) -> bool:
    """Whether a name is an experiment's."""
    from robust import registry

    return name in registry.names("experiment")


def run_experiment(name, attack_names, seeds, key, extra, folder, started) -> None:
    """Run an experiment by name, print what it found and write a run folder.

    Args:
      name: an entry point or FILE.py:NAME.
      attack_names, extra: options of tasks; none may be given.
      seeds: as on the command line; None: as the experiment has it.
      key: as on the command line.
      folder: where to write, or None for runs/NAME-TIME.
      started: `time.monotonic()` when the command began.

    Raises:
      ValueError: anything that the user can mend.
    """
    keep_compiled_programs()
    use_one_blas_thread()
    from robust import registry, store

    given = ["--attack"] if attack_names else []
    given += [f"--{option}" for option, wanted in extra.items() if wanted]
    if given:
        raise ValueError(
            f"{name} is an experiment, which brings its own attacks, and takes no "
            f"{', '.join(given)}; give it to a task"
        )
    experiment = registry.find("experiment", name)
    if seeds is None:
        seeds = inspect.signature(experiment).parameters["seeds"].default
    short = Path(name.rpartition(":")[0] or name).stem
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    settings = {
        "experiment": name, "seeds": seeds, "key": key,
        "sources": {name: store.source_hash(experiment)},
    }  # fmt: skip
    folder = store.Folder(folder or Path("runs") / f"{short}-{stamp}", settings)
    if folder.resumed:
        terminal.say(f"going on with the unfinished run in {folder.path}")
    try:
        with terminal.progress_bar() as bar:
            bar.say(f"starting {short}", 0.0)
            findings = experiment(folder.path, key=key, seeds=seeds, say=bar.say)
    finally:
        folder.discard_if_empty()
    _finish(folder, findings, time.monotonic() - started)


def _finish(folder, findings, seconds) -> None:
    from robust import store
    from robust.experiments import as_markdown

    folder.write_text("report.md", as_markdown(findings))
    folder.write_info(
        "complete", seconds=seconds,
        findings=findings._asdict() | {"details": dict(findings.details)},
        memory_mb=store.peak_memory_mb(),
    )  # fmt: skip
    terminal.findings(findings)
    names = ", ".join([*findings.pictures, "report.md"])
    terminal.say(f"\n{names} in {folder.path} ({seconds:.0f} s)")
