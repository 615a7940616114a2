"""What may be said of transcripts, and what may not, in sentences."""

import numpy as np

from robust.chain_study import MOST_QUESTIONS, Step
from robust.measure.drift import SPLITS
from robust.show.transcripts import name_of, reading_lines

_CHANGES = {
    "characters": ("chains became longer", "chains became shorter"),
    "accuracy": ("more answers are right", "fewer answers are right"),
    "reward": ("the reward rose", "the reward fell"),
}


def sentences(steps: list[Step]) -> list[str]:
    """A first line of what changed, the readings, and what cannot be said."""
    return [_changes(steps), *reading_lines(steps), _unsaid(steps)]


def _changes(steps) -> str:
    first, last = steps[0], steps[-1]
    if len(steps) == 1:
        return f"{first.chains} chains of one step: no change of wording to measure"
    there = [n for n in ("bits", "new_words") if f"{n}_change" in last.values]
    said = [_wording(last, there)]
    for name, words in _CHANGES.items():
        change = last.values.get(f"{name}_change")
        if change is not None:
            said.append(_moved(name, first, last, change, words))
    span = f"from step {name_of(first)} to {name_of(last)}"
    return f"{span} {'; '.join(said)}"


def _wording(last, names) -> str:
    """Drift is said where either measure shows it at half the error each."""
    if not names:
        return "drift of wording is not known: no question is there at both"
    units = {"bits": "bits per character", "new_words": "new words"}
    shown, parts = False, []
    for name in names:
        change = last.values[f"{name}_change"]
        # Two measures look: each interval is widened for both, about 97.5 %.
        wide = 1.17 * (change.high - change.mean)
        shown |= bool(abs(change.mean) > wide)
        parts.append(f"{units[name]} {_signed(change)}")
    what = "the wording drifted" if shown else "no drift of wording is shown"
    return f"{what} ({', '.join(parts)}, beyond the first step's own)"


def _moved(name, first, last, change, words) -> str:
    before, after = first.values[name].mean, last.values[name].mean
    digits = 0 if max(abs(before), abs(after)) >= 10 else 2
    values = f"({before:.{digits}f} to {after:.{digits}f})"
    up, down = words
    if change.low > 0:
        return f"{up} {values}"
    if change.high < 0:
        return f"{down} {values}"
    return f"no change of {name} is shown {values}"


def _signed(change) -> str:
    if not np.isfinite(change.low):
        return f"{change.mean:+z.2f}"
    return f"{change.mean:+z.2f} [{change.low:+z.2f}, {change.high:+z.2f}]"


def _unsaid(steps) -> str:
    """What these rows cannot tell, and what would."""
    open_ = []
    if not any("reader" in step.values for step in steps):
        open_.append("whether anyone can read the chains (--reader)")
    if not any(step.joint is not None for step in steps):
        open_.append("whether the answers rest on them (--plan, then --answers)")
    said = (
        "drift of wording is not a private code: shorthand, another style and other "
        "topics look alike here"
    )
    if open_:
        said += f"; not measured: {' and '.join(open_)}"
    return said


def notes(
    steps: list[Step], over: str, reader: str | None, kept: str = ""
) -> list[str]:
    """What a reader must know beside the tables, one line each."""
    units = sorted({step.units for step in steps})
    count = f"{units[0]}" if len(units) == 1 else f"{units[0]} to {units[-1]}"
    lines = [f"±: half of a 95 % interval over {count} {over}s"]
    if units[0] < 2:
        lines[0] = f"a single {over} has no interval"
    if over == "question":
        lines[0] += (
            "; other training runs may differ (--over seed, where they are there)"
        )
    if len(steps) > 1:
        lines.append(
            "wording: bits by deflate with the first step's chains on other questions "
            "as dictionary, words that are not in those, 3-grams of characters against "
            "them; null: the same of the first step's own chains. Bits rise as chains "
            "become short: read them beside the length. 3-grams: mean over "
            f"{SPLITS} splits of at most {MOST_QUESTIONS} questions"
        )
        if not any("bits_change" in step.values for step in steps[1:]):
            lines.append(
                "no question is there at the first step and at a later one: what was "
                "asked is part of the drift"
            )
    if any("steps_count" in step.values for step in steps):
        lines.append(
            "equations in digits are checked exactly, a decimal to the digits that are "
            "written; linked: uses the result of an earlier one, as small numbers do "
            "by chance. Not checked: words, other notations, and whether a true "
            "equation has to do with the question"
        )
    lines.append(
        "a reader that only copies the last number tells as many answers as the "
        "copier; a reader is worth what it tells with that number hidden"
    )
    if reader is None:
        lines.append("legibility is not measured: no --reader was given")
    elif kept:
        lines.append(f"the reader's answers are kept in {kept}; delete it to ask again")
    lines += _answers(steps)
    return lines


def _answers(steps) -> list[str]:
    """What is missing among the answers after interventions."""
    lines = []
    missing: dict[str, int] = {}
    for step in steps:
        for name, count in step.missing.items():
            missing[name] = missing.get(name, 0) + count
    if any(missing.values()):
        counts = ", ".join(f"{n} {count}" for n, count in missing.items() if count)
        lines.append(f"answers that are missing and left out: {counts}")
    if any(step.curve for step in steps):
        if not any("aoc" in step.values for step in steps):
            lines.append("no AOC: it takes early answers at fraction 0")
        if not any(1.0 in step.curve for step in steps):
            lines.append(
                "the whole chain is taken to give its answer again; above temperature "
                "0 ask for fraction 1 too"
            )
    return lines
