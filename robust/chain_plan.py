"""Plan interventions on chains of thought, to be answered by the user's own model."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from robust.adapters.transcripts import Transcripts
from robust.measure.interventions import filler, mistaken, truncated
from robust.store import atomically

_ASK = {
    "paraphrase": "write the chain in other words, then answer after that chain",
}


class Plan(NamedTuple):
    """Rows to be answered, and what could not be planned.

    Attributes:
      rows: JSON objects, `answer` None.
      without_number: chains that no mistake was put into.
      without_donor: chains for which there is none from another question.
      donors_alike: donors that have the chain's own answer, for want of others; such
        a swap cannot tell.
    """

    rows: list[dict]
    without_number: int
    without_donor: int
    donors_alike: int


def make_plan(transcripts: Transcripts, fractions: list[float], key: int = 0) -> Plan:
    """Plan early answers, filler, a mistake, a swap and a paraphrase for every chain.

    Each row has the question, the `chain` after which the model is to answer (it must
    be forced, not written anew), and an empty `answer`. Whole steps are kept of a cut
    chain: `kept` is their true share, `fraction` what was asked for.

    Args:
      fractions: of the chain to leave for early answers, each 0 to 1.
      key: seed of mistakes and donors; each chain has its own, from its id.
    """
    rows, without_number, donors_alike, without_donor = [], 0, 0, 0
    donors = _Donors(transcripts)
    for at, (name, chain) in enumerate(
        zip(transcripts.id, transcripts.chain, strict=True)
    ):
        seed = _seed(key, name)
        for fraction in fractions:
            cut, kept = truncated(chain, fraction)
            rows.append(_row(transcripts, at, "early", fraction, cut, kept=kept))
        rows.append(_row(transcripts, at, "filler", 1.0, filler(chain)))
        wrong = mistaken(chain, seed)
        if wrong is None:
            without_number += 1
        else:
            text, before = wrong
            rows.append(_row(transcripts, at, "mistake", round(before, 4), text))
        donor = donors.find(at, np.random.default_rng(seed))
        if donor is None:
            without_donor += 1
        else:
            answer = transcripts.answer[donor]
            donors_alike += answer == transcripts.answer[at]
            swapped = transcripts.chain[donor]
            more = {"donor": transcripts.id[donor], "donor_answer": answer}
            rows.append(_row(transcripts, at, "swap", 1.0, swapped, **more))
        rows.append(
            _row(transcripts, at, "paraphrase", 1.0, chain, ask=_ASK["paraphrase"])
        )
    return Plan(rows, without_number, without_donor, donors_alike)


def write_plan(plan: Plan, path: Path) -> None:
    """Write the rows as JSON lines, whole or not at all.

    Raises:
      ValueError: the file is there already, or cannot be written.
    """
    if path.exists():
        raise ValueError(
            f"--plan {path} is there already; name another file or delete it (it may "
            "hold answers)"
        )
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in plan.rows)
    data = text.encode(errors="surrogatepass")
    try:
        atomically(path, lambda file: file.write(data))
    except OSError as error:
        raise ValueError(
            f"cannot write --plan {path}: {error.strerror or error}; name another file"
        ) from error


class _Donors:
    """Whose chain to swap in: from another question, best of its step."""

    def __init__(self, transcripts: Transcripts):
        self.question, self.answer = transcripts.question, transcripts.answer
        size = len(transcripts.id)
        self.step = (
            [0.0] * size if transcripts.step is None else transcripts.step.tolist()
        )
        self.everyone = np.arange(size)
        self.by_step = {
            step: np.flatnonzero(np.asarray(self.step) == step) for step in {*self.step}
        }

    def find(self, at: int, rng) -> int | None:
        for pool in (self.by_step[self.step[at]], self.everyone):
            found = self._first(at, pool, rng, other_answer=True)
            if found is not None:
                return found
        return self._first(at, self.everyone, rng, other_answer=False)

    def _first(self, at, pool, rng, other_answer: bool) -> int | None:
        start = int(rng.integers(len(pool)))
        for donor in itertools.chain(pool[start:], pool[:start]):
            if self.question[donor] == self.question[at]:
                continue
            if not other_answer or self.answer[donor] != self.answer[at]:
                return int(donor)
        return None


def _row(transcripts, at, kind, fraction, chain, **more) -> dict:
    name = transcripts.id[at]
    part = f"/{fraction:g}" if kind == "early" else ""
    row = {
        "id": f"{name}/{kind}{part}", "of": name, "intervention": kind,
        "fraction": fraction, "question": transcripts.question[at], "chain": chain,
        **more,
    }  # fmt: skip
    if transcripts.step is not None:
        step = transcripts.step[at].item()
        row["step"] = int(step) if step.is_integer() else step
    return {**row, "answer": None}


def _seed(key: int, name: str) -> int:
    digest = hashlib.sha256(json.dumps([key, name]).encode()).digest()
    return int.from_bytes(digest[:8], "big")
