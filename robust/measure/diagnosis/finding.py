"""What a check says, and whether a verdict may rest on it."""

import enum
from typing import NamedTuple


class Status(enum.IntEnum):
    """Outcome of a check; FAIL and MISSING bar the verdicts robust and weak."""

    OK = 0
    WARN = 1
    FAIL = 2
    MISSING = 3
    EXEMPT = 4


class Finding(NamedTuple):
    """One check of one attack.

    Attributes:
      check: its name.
      status: a `Status`.
      value: what was measured; nan where the check was not made.
      message: what that means.
      remedy: what to do about it; empty where nothing is to be done.
    """

    check: str
    status: Status
    value: float
    message: str
    remedy: str = ""


def healthy(findings) -> bool:
    """Whether a verdict of robust or weak may rest on an attack with these findings."""
    return all(f.status not in (Status.FAIL, Status.MISSING) for f in findings)


def grade(value: float, warn: float, fail: float) -> Status:
    """Status of a value that should be small; nan is no proof of health."""
    if not value <= fail:
        return Status.FAIL
    return Status.WARN if value > warn else Status.OK
