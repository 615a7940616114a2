"""Tables of scored answers, CSV, JSONL or Parquet, as plain arrays."""

import difflib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robust.adapters.table import read_table

_LARGEST = 1e100  # beyond it, squares overflow
_WORDS = {
    **dict.fromkeys(("", "na", "n/a", "nan", "null", "none"), "nan"),
    "true": "1",
    "false": "0",
}


class Scores(NamedTuple):
    """Scored answers, one row each; G prompts.

    Attributes:
      proxy, true: finite scores, float64 `[rows]`, prompt by prompt.
      group: prompt of each row, 0..G-1 in the order of the labels as text, `[rows]`.
      size: answers to each prompt, `[G]`.
      column: where the labels come from; None where all rows answer one prompt.
      dropped_rows: rows left out because a score or label is not there.
      lost_prompts: prompts that lost all their answers with those rows.
      dropped_prompts: prompts left out because they have fewer answers than the
        largest.
    """

    proxy: np.ndarray
    true: np.ndarray
    group: np.ndarray
    size: np.ndarray
    column: str | None
    dropped_rows: int
    lost_prompts: int
    dropped_prompts: int


def read_scores(
    path: str | Path,
    *,
    proxy: str = "proxy",
    true: str = "true",
    group: str | None = None,
    on_nan: str = "error",
    drop_short: bool = False,
) -> Scores:
    """Read a table of scored answers, one row per answer; other columns are ignored.

    Args:
      path: a .csv, .jsonl, .ndjson (each also .gz) or .parquet file.
      proxy, true: the columns of scores: numbers, or booleans as 0 and 1.
      group: the column that names each answer's prompt. Default: `prompt` where
        there is one, else all rows answer one prompt.
      on_nan: "drop" leaves out rows without finite scores or without a label.
      drop_short: leave out prompts with fewer answers than the largest has.

    Raises:
      ValueError: in one line what was got, what was wanted and what to do.
    """
    import polars as pl

    path = Path(path)

    def choose(there):
        label = "prompt" if group is None and "prompt" in there else group
        options = {proxy: "proxy", true: "true"} | ({label: "group"} if label else {})
        for name, option in options.items():
            _check_there(path, name, option, there)
        return [proxy, true], label

    table, label = read_table(path, choose)
    if not len(table):
        raise ValueError(f"{path} holds no rows; wanted one row per scored answer")
    scores = {name: _numbers(path, table[name]) for name in (proxy, true)}
    labels = None if label is None else _labels(path, table[label])
    keep = _complete(path, scores, labels, label, on_nan)
    dropped_rows = int(len(keep) - keep.sum())
    order, size = _by_prompt(labels, keep)
    lost = 0
    if labels is not None and dropped_rows:
        lost = labels.drop_nulls().n_unique() - len(size)
    short = size < size.max()
    if drop_short:
        order, size = order[np.repeat(~short, size)], size[~short]
    _check_sizes(path, size, label)
    chosen = pl.DataFrame(scores)[order]  # on all cores
    _check_varies(path, chosen[proxy].to_numpy(), size, proxy)
    return Scores(
        proxy=chosen[proxy].to_numpy(), true=chosen[true].to_numpy(),
        group=np.repeat(np.arange(len(size)), size), size=size, column=label,
        dropped_rows=dropped_rows, lost_prompts=lost,
        dropped_prompts=int(short.sum()) if drop_short else 0,
    )  # fmt: skip


def _check_there(path, name: str, option: str, there: list[str]) -> None:
    if name not in there:
        near = sorted(there, key=lambda other: -_likeness(name, other))
        shown = ", ".join(_short(other) for other in near[:8])
        more = f" and {len(near) - 8} more" if len(near) > 8 else ""
        raise ValueError(
            f"{path} has no column {name!r}; it has {shown}{more}: "
            f"name one with --{option}"
        )
    if f"{name}_duplicated_0" in there:  # as polars calls the second of one name
        raise ValueError(f"{path} has two columns {name!r}; rename one of them")


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _numbers(path, series) -> np.ndarray:
    """A column as float64; nan where there is nothing."""
    import polars as pl

    if series.dtype in (pl.String, pl.Categorical, pl.Enum):
        text = series.cast(pl.String).str.strip_chars().str.to_lowercase()
        values = text.replace(_WORDS).cast(pl.Float64, strict=False)
        wrong = (values.is_null() & text.is_not_null()).to_numpy()
        if wrong.any():
            at = int(wrong.argmax())
            raise ValueError(
                f"{path} has text in {wrong.sum()} of {len(wrong)} rows of column "
                f"{series.name!r}, the first {_short(series[at])} in row {at + 1}; "
                "wanted numbers: mend them or name another column"
            )
    elif series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        values = series.cast(pl.Float64)
    else:
        raise ValueError(
            f"{path} has {series.dtype} in column {series.name!r}; wanted numbers: "
            "name another column"
        )
    return values.fill_null(float("nan")).to_numpy()


def _short(text) -> str:
    text = str(text)
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _labels(path, series):
    """The labels as text; null where there is none."""
    import polars as pl

    if series.dtype.is_nested() or series.dtype == pl.Binary:
        raise ValueError(
            f"{path} has {series.dtype} in column {series.name!r}; wanted names of "
            "prompts: name another column with --group"
        )
    if series.dtype.is_float():
        series = series.fill_nan(None)
    return series.cast(pl.String)


def _by_prompt(labels, keep) -> tuple[np.ndarray, np.ndarray]:
    """The rows that are kept, prompt by prompt, and how many each prompt has `[G]`."""
    import polars as pl

    if labels is None:
        return np.flatnonzero(keep), np.array([keep.sum()])
    rows = pl.DataFrame({"label": labels}).with_row_index("row")
    rows = rows if keep.all() else rows.filter(keep)  # it copies the text
    prompts = rows.group_by("label").agg("row").sort("label")
    size = prompts["row"].list.len().to_numpy().astype(int)
    return prompts["row"].explode().to_numpy(), size


def _complete(path, scores, labels, label, on_nan) -> np.ndarray:
    """Which rows have all they need, `[rows]`; says where not, unless they may go."""
    bad = {name: ~(np.abs(values) < _LARGEST) for name, values in scores.items()}
    if label is not None:
        bad[label] = bad.get(label, False) | labels.is_null().to_numpy()
    any_bad = np.any(list(bad.values()), axis=0)
    if not any_bad.any():
        return ~any_bad
    at = int(any_bad.argmax())
    counts = ", ".join(f"{b.sum()} in column {n!r}" for n, b in bad.items() if b.any())
    found = (
        f"{path} has {any_bad.sum()} of {len(any_bad)} rows where something is "
        f"missing, NaN, infinite or beyond {_LARGEST:g} ({counts}), the first in row "
        f"{at + 1}"
    )
    if any_bad.all():
        raise ValueError(f"{found}; nothing is left, score the answers again")
    if on_nan != "drop":
        raise ValueError(f"{found}; mend them, or leave them out with --on-nan drop")
    return ~any_bad


def _check_sizes(path, size, label) -> None:
    single = int(np.sum(size == 1))
    if not single:
        return
    if single == len(size):
        what = "every prompt has" if label else "there is"
        hint = f" (is {label!r} the column of the prompts?)" if label else ""
        raise ValueError(
            f"{path}: {what} a single answer; wanted at least two answers to choose "
            f"between{hint}"
        )
    raise ValueError(
        f"{path}: {single} of {len(size)} prompts have a single answer, so the curve "
        f"would end at n = 1; wanted at least two: leave short prompts out with "
        "--drop-short"
    )


def _check_varies(path, scores, size, name) -> None:
    start = np.cumsum(size) - size
    if (np.minimum.reduceat(scores, start) == np.maximum.reduceat(scores, start)).all():
        raise ValueError(
            f"{path} has equal scores in column {name!r} for all answers to a prompt, "
            "so there is nothing to choose by; wanted scores that differ: check that "
            "--proxy names what the answers were selected by and --group their prompts"
        )
