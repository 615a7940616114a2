"""Chains of thought and answers after interventions, read from JSON lines."""

import json
import math
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robust.adapters.files import HEAD, decode_head, open_packed

INTERVENTIONS = ("early", "filler", "mistake", "swap", "paraphrase")
REQUIRED = ("question", "chain", "answer")
_WANTED = "UTF-8 text with one JSON object a line"


class Transcripts(NamedTuple):
    """Chains of thought, one each; N of them.

    Attributes:
      id: `[N]`, unique; the row's number, from 1, where the file names none.
      question, chain, answer: `[N]` texts; answers without white space around them.
      step: training step of each, `[N]`, or None.
      seed: label of each one's training run, `[N]`, or None.
      reward, monitor: `[N]`, nan where a row has none; or None.
      truth, hint: `[N]`, None where a row has none; or None.
    """

    id: list[str]
    question: list[str]
    chain: list[str]
    answer: list[str]
    step: np.ndarray | None
    seed: list[str] | None
    reward: np.ndarray | None
    monitor: np.ndarray | None
    truth: list[str | None] | None
    hint: list[str | None] | None


class Answered(NamedTuple):
    """One answer after an intervention.

    Attributes:
      of: id of the chain that was intervened on.
      intervention: one of `INTERVENTIONS`.
      fraction: of the chain that was left.
      answer: None where it is missing.
      donor_answer: that came with a swapped-in chain.
    """

    of: str
    intervention: str
    fraction: float
    answer: str | None
    donor_answer: str | None


def read_transcripts(path: Path) -> tuple[Transcripts, list[Answered]]:
    """Read chains of thought, and any answers after interventions among them.

    Args:
      path: a .jsonl file (or .jsonl.gz); rows with an `intervention` are answers.

    Raises:
      ValueError: in one line what was got, where, what was wanted and what to do.
    """
    rows = _rows(path)
    chains = [(line, row) for line, row in rows if row.get("intervention") is None]
    if not chains:
        raise ValueError(
            f"{path} holds {len(rows)} rows after interventions and no chain; name "
            "the file of the chains, and this one with --answers"
        )
    for line, row in chains:
        _check_chain(path, line, row)
    found = Transcripts(
        id=_ids(path, chains),
        question=[_text(row["question"]) for _, row in chains],
        chain=[row["chain"] for _, row in chains],
        answer=[_text(row["answer"]) for _, row in chains],
        step=_steps(path, chains),
        seed=_labels(path, chains, "seed"),
        reward=_numbers(path, chains, "reward"),
        monitor=_numbers(path, chains, "monitor"),
        truth=_optional(chains, "truth"),
        hint=_optional(chains, "hint"),
    )
    after = [(line, row) for line, row in rows if row.get("intervention") is not None]
    return found, _answered(path, after, found)


def read_answers(path: Path, transcripts: Transcripts) -> list[Answered]:
    """Read the answered rows of a plan.

    Raises:
      ValueError: as `read_transcripts`; or rows that are of no known chain.
    """
    return _answered(path, _rows(path), transcripts)


def _answered(path, rows, transcripts) -> list[Answered]:
    known, found = dict(zip(transcripts.id, transcripts.answer, strict=True)), []
    strange = [(line, row) for line, row in rows if _text(row.get("of")) not in known]
    for line, row in rows:
        for name in ("of", "intervention", "fraction", "answer"):
            if name not in row:
                raise ValueError(
                    f"{path} has no {name!r} in line {line}; it has {_names(row)}: "
                    "give back the rows of --plan, each with its answer"
                )
        kind, fraction = row["intervention"], row["fraction"]
        if kind not in INTERVENTIONS:
            raise ValueError(
                f"{path} has the intervention {kind!r} in line {line}; known: "
                f"{', '.join(INTERVENTIONS)}"
            )
        if not _is_number(fraction) or not 0 <= fraction <= 1:
            raise ValueError(
                f"{path} has the fraction {_short(fraction)} in line {line}; wanted a "
                "number from 0 to 1"
            )
        donor = row.get("donor_answer")
        if kind == "swap" and donor is None:
            raise ValueError(
                f"{path} has no 'donor_answer' in line {line}; a swap takes the answer "
                "that the swapped-in chain came with: keep it from --plan"
            )
        answer = None if row["answer"] is None else _text(row["answer"])
        found.append(
            Answered(
                _text(row["of"]), kind, float(fraction), answer,
                None if donor is None else _text(donor),
            )
        )  # fmt: skip
    if strange:
        line, row = strange[0]
        raise ValueError(
            f"{path}: {len(strange)} of {len(rows)} rows answer no chain that was "
            f"given, the first is of {_short(row['of'])} in line {line}; give the "
            "file of chains that the plan was made from"
        )
    return found


def _rows(path: Path) -> list[tuple[int, dict]]:
    """Rows with their line numbers."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a .jsonl file in it")
    if not path.exists():
        raise ValueError(f"no file {str(path)!r}; check the path")
    try:
        with open_packed(path) as file:
            decode_head(path, file.read(HEAD), _WANTED)
            file.seek(0)
            numbered = enumerate(file, 1)
            rows = [(n, _row(path, n, line)) for n, line in numbered if line.strip()]
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot read {path}: {why}; check the file") from error
    if not rows:
        raise ValueError(f"{path} is empty; wanted {_WANTED}")
    return rows


def _row(path, number: int, line: bytes) -> dict:
    try:
        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        text = line.decode(errors="replace").strip()[:40]
        raise ValueError(
            f"{path} has {text!r} in line {number}; wanted one JSON object a line: "
            "mend or drop that line"
        )
    return row


def _check_chain(path, line: int, row: dict) -> None:
    for name in REQUIRED:
        if row.get(name) is None:
            raise ValueError(
                f"{path} has no {name!r} in line {line}; it has {_names(row)}: wanted "
                "question, chain and answer in every row"
            )
        if isinstance(row[name], list | dict):
            raise ValueError(
                f"{path} has a {type(row[name]).__name__} for {name!r} in line {line}; "
                "wanted text"
            )
    if not isinstance(row["chain"], str):
        raise ValueError(
            f"{path} has {_short(row['chain'])} for 'chain' in line {line}; wanted "
            "text: the reasoning as it was written"
        )


def _ids(path, rows) -> list[str]:
    seen: dict[str, int] = {}
    for number, (line, row) in enumerate(rows, 1):
        name = str(number) if row.get("id") is None else _text(row["id"])
        if name in seen:
            raise ValueError(
                f"{path} has the id {name!r} in line {seen[name]} and in line {line}; "
                "give each chain its own"
            )
        seen[name] = line
    return list(seen)


def _steps(path, rows) -> np.ndarray | None:
    return _numbers(path, rows, "step") if _all_or_none(path, rows, "step") else None


def _labels(path, rows, name: str) -> list[str] | None:
    if not _all_or_none(path, rows, name):
        return None
    return [_text(row[name]) for _, row in rows]


def _all_or_none(path, rows, name: str) -> bool:
    """Whether all rows have a field; some rows only is a mistake."""
    without = [line for line, row in rows if row.get(name) is None]
    if without and len(without) < len(rows):
        raise ValueError(
            f"{path} has no {name!r} in {len(without)} of {len(rows)} rows, the first "
            f"in line {without[0]}; give it to all chains or to none"
        )
    return not without


def _numbers(path, rows, name: str) -> np.ndarray | None:
    values = [row.get(name) for _, row in rows]
    if all(value is None for value in values):
        return None
    for (line, _), value in zip(rows, values, strict=True):
        if value is not None and not _is_number(value):
            raise ValueError(
                f"{path} has {_short(value)} for {name!r} in line {line}; wanted a "
                "number"
            )
    bad = [
        line for (line, _), value in zip(rows, values, strict=True)
        if value is not None and not math.isfinite(value)
    ]  # fmt: skip
    if bad:
        raise ValueError(
            f"{path} has NaN or infinity for {name!r} in {len(bad)} of {len(rows)} "
            f"rows, the first in line {bad[0]}; mend them, or write null where there "
            "is none"
        )
    return np.array([np.nan if value is None else value for value in values], float)


def _optional(rows, name: str) -> list[str | None] | None:
    values = [row.get(name) for _, row in rows]
    if all(value is None for value in values):
        return None
    return [None if value is None else _text(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value)


def _names(row: dict) -> str:
    shown = ", ".join(_short(name) for name in list(row)[:8])
    return shown + (f" and {len(row) - 8} more" if len(row) > 8 else "") or "nothing"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, str) and len(text) <= 40 else text[:40]
