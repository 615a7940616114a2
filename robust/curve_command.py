"""What `robust curve` does: read scores, select, draw and print."""

import json
from pathlib import Path

from robust.adapters.scores import read_scores
from robust.measure.fitted import fitted
from robust.measure.selection import select_best
from robust.show import bank as words
from robust.show import terminal
from robust.show.picture import check_picture, save_picture


def curve_of_scores(
    path: Path,
    *,
    n: str | None,
    format_: str,
    picture: Path | None,
    drop_short: bool,
    **columns,
) -> None:
    """Print the best-of-n curve of a table of scored answers, and draw it.

    Args:
      path: the table.
      n: whole numbers with commas between, or None.
      format_: "table", "json" or "markdown".
      picture: where to draw it, or None.
      drop_short, columns: as `read_scores`.

    Raises:
      ValueError: in one line what was got, what was wanted and what to do.
    """
    asked = None if n is None else _whole_numbers(n)
    if picture is not None:
        check_picture(picture, "curve.png")
    scores = read_scores(path, drop_short=drop_short, **columns)
    if asked is not None:
        _check_range(asked, scores.size, drop_short)
    selection = select_best(scores.proxy, scores.true, scores.group, asked)
    read = selection.read
    laws = fitted(selection.curve.kl[read], selection.true_gains[:, read])
    if picture is not None:
        _write_picture(selection, laws, picture, path.name)
    _print(selection, scores, laws, format_, picture)


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


def _write_picture(selection, laws, path: Path, title: str) -> None:
    from robust.show.plot import plot_bank

    title = title.replace("$", r"\$")  # else matplotlib reads formulas
    save_picture(plot_bank(selection, title=title, laws=laws), path)


def _print(selection, scores, laws, format_: str, picture: Path | None) -> None:
    if format_ == "json":
        said = words.record(selection, scores, laws)
        print(json.dumps(said, indent=1, allow_nan=False))
        return
    if format_ == "markdown":
        print(words.markdown(selection, scores, laws))
        return
    terminal.say(words.verdict_line(selection), style="bold")
    print(f"\n{words.text(selection, scores)}\n")
    for line in words.notes(selection, scores, laws):
        terminal.say(line, style="dim")
    if picture is not None:
        terminal.say(f"picture in {picture}")
