"""Read chosen columns of a CSV, JSONL or Parquet file; polars does the work."""

import codecs
import csv
import functools
import glob
import itertools
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robust.adapters.files import HEAD, decode_head, open_packed

_FIRST = 10_000  # lines of JSON from which columns are read, if they suffice
_KINDS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_WANTED = {
    "csv": "comma-separated UTF-8 text with a header",
    "jsonl": "UTF-8 text with one JSON object a line",
    "parquet": "a Parquet file",
}

Choose = Callable[[list[str]], tuple[list[str], str | None]]


def read_table(path: Path, choose: Choose) -> tuple[Any, str | None]:
    """Read the columns of a table that are asked for.

    Args:
      path: a .csv, .jsonl, .ndjson (each also .gz) or .parquet file.
      choose: given the names of the columns there are, names those of numbers, and
        one of labels or None.

    Returns:
      a polars DataFrame in the order of the file, lines with nothing in them left
      out, and the name of the column of labels. Numbers are of any type; they are
      text where they did not all read as numbers.

    Raises:
      ValueError: the file is not there or does not read, in one line.
    """
    kind = _kind(path)
    try:
        if kind != "parquet":
            _check_text(path, kind)
        return _read(path, kind, choose)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot read {path}: {why}; check the file") from error


def _kind(path: Path) -> str:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file of scores in it")
    if not path.exists():
        raise ValueError(f"no file {str(path)!r}; check the path")
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    if ending not in _KINDS or (ending == ".parquet" and name.endswith(".gz")):
        raise ValueError(
            f"{path} ends in {path.suffix or path.name!r}; wanted .csv, .jsonl, "
            ".ndjson (each also .gz) or .parquet: convert it, or rename it"
        )
    return _KINDS[ending]


def _check_text(path: Path, kind: str) -> None:
    with open_packed(path) as file:
        head = file.read(HEAD)
    if not head.strip():
        raise ValueError(f"{path} is empty; wanted one row per scored answer")
    text = decode_head(path, head, _WANTED[kind])
    if kind == "jsonl" and not text.lstrip().startswith("{"):
        _json_lines(path, None, _FIRST)  # says where; older polars panic on arrays


def _read(path, kind, choose):
    import polars as pl

    source = _source(path)
    scan, numbers, label = _chosen(path, kind, choose)
    names = list(dict.fromkeys([*numbers, label] if label else numbers))
    types = dict.fromkeys(names, pl.Float64) | ({label: pl.String} if label else {})
    try:
        if kind == "parquet":
            return scan(source).select(names).collect(), label
        table = scan(source, schema_overrides=types).select(names).collect()
    except _errors() as error:
        if kind == "parquet":
            raise _unreadable(path, kind, error) from error
        # Some number is none; reading text is slower and finds out which.
        table = _read_as_text(path, kind, names)
    return _without_empty_lines(path, kind, table), label


def _chosen(path, kind, choose):
    """How to scan the file, and what is chosen; by all lines where the first lack it.

    A file of JSON has no header: any line may bring another column.
    """
    scan, there = _columns(path, kind, _FIRST)
    try:
        numbers, label = choose(there)
        if label or kind != "jsonl":
            return scan, numbers, label
    except ValueError:
        if kind != "jsonl":
            raise
    scan, there = _columns(path, kind, None)
    return scan, *choose(there)


def _columns(path, kind, most):
    """How to scan the file, and its columns; those of the first `most` JSON lines."""
    import polars as pl

    scan: Any = {
        "csv": pl.scan_csv,
        "jsonl": functools.partial(pl.scan_ndjson, infer_schema_length=most),
        "parquet": pl.scan_parquet,
    }[kind]
    try:
        return scan, scan(_source(path)).collect_schema().names()
    except _errors() as error:
        if kind != "jsonl":
            raise _unreadable(path, kind, error) from error
        return scan, list(_json_lines(path, None, most))


def _errors() -> tuple[type[BaseException], ...]:
    import polars as pl

    # Damaged Parquet can bring polars to panic.
    return pl.exceptions.PolarsError, pl.exceptions.PanicException


def _source(path: Path) -> str:
    return glob.escape(str(path))  # polars reads * ? [ as patterns


def _read_as_text(path, kind, names):
    import polars as pl

    if kind == "jsonl":
        columns = _json_lines(path, names)
        return pl.DataFrame(columns, schema=dict.fromkeys(names, pl.String))
    try:
        return pl.scan_csv(_source(path), infer_schema=False).select(names).collect()
    except _errors() as error:
        raise _unreadable(path, kind, error) from error


def _json_lines(path, names, most=None) -> dict[str, list]:
    """Columns of JSON lines as text, by Python's reader, which knows NaN.

    names None: all that the first `most` lines have, without their values.
    """
    columns = {name: [] for name in names or []}
    with open_packed(path) as file:
        for number, line in enumerate(itertools.islice(file, most), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                row = error
            if not isinstance(row, dict):
                text = line.decode(errors="replace").strip()[:40]
                raise ValueError(
                    f"{path} has {text!r} in line {number}; wanted one JSON object a "
                    "line: mend or drop that line"
                )
            if names is None:
                columns.update(dict.fromkeys(row))
                continue
            for name in names:
                columns[name].append(_as_text(row.get(name)))
    return columns


def _as_text(value) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _without_empty_lines(path, kind, table):
    """polars reads an empty line of CSV as a row of nulls."""
    import polars as pl

    nothing = pl.all_horizontal(pl.all().is_null())
    if kind != "csv" or not table.select(nothing.any()).item():
        return table
    empty = pl.scan_csv(_source(path), infer_schema=False).select(nothing).collect()
    return table.filter(~empty.to_series())


def _unreadable(path, kind, error) -> ValueError:
    why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if kind == "csv":
        why = _too_long(path) or why
    return ValueError(
        f"{path} does not read as {kind.upper()}: {why}; wanted {_WANTED[kind]}: mend "
        "it or write it again"
    )


def _too_long(path) -> str | None:
    """Say where a CSV has a row with more fields than its header."""
    with open_packed(path) as file:
        reader = csv.reader(codecs.iterdecode(file, "utf-8", "replace"))
        try:
            width = len(next(reader, []))
            for row in reader:
                if len(row) > width:
                    line = reader.line_num
                    return f"line {line} has {len(row)} fields, the header {width}"
        except csv.Error:  # a field beyond Python's limit
            pass
    return None
