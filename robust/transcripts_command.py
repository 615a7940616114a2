"""What `robust transcripts` does: read chains, plan or score, draw and print."""

import contextlib
import json
from pathlib import Path

from robust.adapters.reader import ask_reader, find_reader
from robust.adapters.transcripts import Transcripts, read_answers, read_transcripts
from robust.chain_plan import make_plan, write_plan
from robust.chain_study import Asked, hidden_chains, study
from robust.show import terminal
from robust.show import transcripts as words
from robust.show.picture import check_picture, save_picture
from robust.show.transcripts_summary import notes, sentences

_MANY = 2000  # chains that take more than some seconds


def plan_of_transcripts(
    path: Path, plan: Path, *, fractions: str, key: int, format_: str
) -> None:
    """Write the interventions that the user's model is to answer, and count them.

    Raises:
      ValueError: in one line what was got, what was wanted and what to do.
    """
    shares = _fractions(fractions)
    transcripts, _ = read_transcripts(path)
    made = make_plan(transcripts, shares, key)
    write_plan(made, plan)
    counts = {"chains": len(transcripts.id), "rows": len(made.rows)}
    left = {
        "without_number": made.without_number, "without_donor": made.without_donor,
        "donors_alike": made.donors_alike,
    }  # fmt: skip
    if format_ == "json":
        said = {"schema": words.SCHEMA, "plan": str(plan), **counts, **left}
        print(json.dumps(said, indent=1))
        return
    terminal.say(
        f"{len(made.rows)} rows for {len(transcripts.id)} chains in {plan}: let the "
        "model that wrote the chains answer each `question` after its `chain`, which "
        "must be forced, write that into `answer`, and give the rows back with "
        "--answers (paraphrase: first do what `ask` says)"
    )
    for name, why in (
        ("without_number", "chains have no number and get no mistake"),
        ("without_donor", "chains have no other question's chain to swap in"),
        ("donors_alike", "swaps have a donor with the same answer and cannot tell"),
    ):
        if left[name]:
            terminal.say(f"{left[name]} {why}", style="dim")


def measure_transcripts(
    path: Path,
    *,
    answers: Path | None,
    reader: str | None,
    over: str,
    batch: int,
    timeout: float,
    key: int,
    modulus: int | None,
    format_: str,
    picture: Path | None,
) -> None:
    """Print what the chains show by step, and draw it.

    Raises:
      ValueError: in one line what was got, what was wanted and what to do.
    """
    _check_numbers(batch, timeout, modulus)
    if picture is not None:
        check_picture(picture, "steps.png")
    read = None if reader is None else find_reader(reader, timeout)
    transcripts, answered = read_transcripts(path)
    if answers is not None:
        answered = answered + read_answers(answers, transcripts)
    if over == "seed" and transcripts.seed is None:
        raise ValueError(f"{path} has no 'seed'; --over seed takes one in every row")
    kept = path.with_name(f"{path.name.partition('.')[0]}.reader.json")
    asked = None
    if reader is not None and read is not None:
        asked = _ask(read, reader, transcripts, kept, batch)
    with _progress(len(transcripts.id)) as progress:
        steps = study(transcripts, answered, asked, over, key, progress, modulus)
    if picture is not None:
        _write_picture(steps, picture, path.name)
    said = sentences(steps)
    beside = notes(steps, over, reader, str(kept))
    if format_ == "json":
        found = words.record(steps, said, beside, {"over": over, "reader": reader})
        print(json.dumps(found, indent=1, allow_nan=False))
        return
    tables = words.tables(steps)
    if format_ == "markdown":
        print(words.markdown(said, tables, beside))
        return
    _print(said, tables, beside)
    if picture is not None:
        terminal.say(f"picture in {picture}")


def _print(said, tables, beside) -> None:
    terminal.say(said[0], style="bold")
    for line in said[1:]:
        terminal.say(line)
    for title, table in tables.items():
        print(f"\n{title}\n{words.text(table)}")
    print()
    for line in beside:
        terminal.say(line, style="dim")


@contextlib.contextmanager
def _progress(chains: int):
    """Where to tell the share that is measured; a bar where it takes a while."""
    if chains < _MANY:
        yield lambda share: None
        return
    with terminal.progress_bar() as bar:
        yield lambda share: bar.say("measuring the chains", share)


def _ask(read, name: str, transcripts: Transcripts, kept: Path, batch: int) -> Asked:
    plain, hidden = transcripts.chain, hidden_chains(transcripts)
    with terminal.progress_bar() as bar:
        told = ask_reader(
            read, name, plain + hidden, kept, batch=batch,
            progress=lambda share: bar.say("asking the reader", share),
        )  # fmt: skip
    return Asked(told[: len(plain)], told[len(plain) :])


def _fractions(text: str) -> list[float]:
    try:
        shares = sorted({float(part) for part in text.split(",")})
    except ValueError:
        shares = []
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise ValueError(
            f"--fractions is {text!r}; give numbers from 0 to 1 with commas between, "
            "such as 0,0.33,0.67"
        )
    return shares


def _check_numbers(batch: int, timeout: float, modulus: int | None) -> None:
    if batch < 1:
        raise ValueError(f"--batch is {batch}; give a whole number above zero")
    if not timeout > 0:
        raise ValueError(f"--timeout is {timeout:g}; give seconds above zero")
    if modulus is not None and modulus < 2:
        raise ValueError(f"--modulus is {modulus}; give a whole number above one")


def _write_picture(steps, path: Path, title: str) -> None:
    from robust.show.transcripts_plot import plot_transcripts

    save_picture(plot_transcripts(steps, title), path)
